"""NeurComm and its siblings (Chu et al. 2020): an LSTM for each agent, which reads what the agent's neighbours show.

All agents' weights lie in one stack, and agents are a dimension of the products. What an agent sees, and the policies
that others had, are known for all rows of a segment at once; only what is heard of others' hidden states goes row by
row. `neurcomm_plain` is the same as anyone would write it down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.stacked import Layer
from velodrome.nets.team import PERFECT, Channel, Memory, Outputs, Played, Timing

Method = Literal["neurcomm", "ia2c", "fprint", "consenet", "commnet", "dial"]
Neighbours = Sequence[Sequence[int]]
"""Whom each agent has next to it."""
TELLS: dict[Method, tuple[str, ...]] = {
    "neurcomm": ("sight", "policy", "hidden"),
    "ia2c": ("sight",),
    "fprint": ("sight", "policy"),
    "consenet": (),
    "commnet": ("sight", "hidden"),
    "dial": ("sight", "hidden"),
}
"""What each agent's neighbours get to know in every step."""
GAIN = math.sqrt(2)
"""Of the orthogonal weights at first."""
SMALL_GAIN = 0.01
"""Of those that give choices and values: at first every choice is about as likely, and nothing is worth anything.
Published: as of all others."""
SIGHTS, SAID = (-2.0, 2.0), 2.0
"""Between what sights lie that are told in few bits, and up to what DIAL's messages go: what is beyond is cut."""
Hear = Callable[[Tensor, Tensor | None], Tensor]


def line(agents: int) -> list[list[int]]:
    """Everyone's neighbours where all stand in a line."""
    return [[other for other in (agent - 1, agent + 1) if 0 <= other < agents] for agent in range(agents)]


def distances(neighbours: Neighbours) -> Tensor:
    """Steps from each agent to each, from neighbour to neighbour; infinite where there is no way."""
    agents = len(neighbours)
    away = torch.full((agents, agents), math.inf)
    for agent in range(agents):
        reached, steps = [agent], 0
        while reached:
            away[agent, reached] = steps
            beyond = {other for each in reached for other in neighbours[each]}
            reached, steps = [other for other in beyond if away[agent, other] == math.inf], steps + 1
    return away


class Listening(nn.Module):
    """A linear layer for each agent, of what each of its sources shows. Agents with fewer sources have fewer weights:
    `weight [all sources of all agents * inputs, outputs]`, laid out in a stack with zeros for the products."""

    kept: Tensor | None = None
    """The stack, while nothing learns."""

    def __init__(
        self,
        sources: Neighbours,
        inputs: int,
        outputs: int,
        gain: float = GAIN,
        channel: Channel = PERFECT,
        reach: tuple[float, float] = (-1.0, 1.0),
    ):
        """`reach`: between what the numbers lie that are told."""
        super().__init__()
        self.channel, self.reach = channel, reach
        agents, most = len(sources), max(len(each) for each in sources)
        slots = [[*each, *[agent] * (most - len(each))] for agent, each in enumerate(sources)]
        real = torch.tensor([[slot < len(each) for slot in range(most)] for each in sources], dtype=torch.bool)
        rows = real.repeat_interleave(inputs, 1).flatten().nonzero().flatten()
        self.register_buffer("slots", torch.tensor(slots, dtype=torch.int64).flatten(), persistent=False)
        self.register_buffer("rows", rows, persistent=False)
        told = [[slot != agent for slot in own] for agent, own in enumerate(slots)]
        self.register_buffer("told", torch.tensor(told, dtype=torch.bool).view(agents, most, 1), persistent=False)
        self.shape = agents, most * inputs, outputs
        self.weight = nn.Parameter(torch.empty(len(rows), outputs))
        self.bias = nn.Parameter(torch.zeros(agents, 1, outputs))
        for part in torch.split(self.weight.detach(), [len(each) * inputs for each in sources]):
            nn.init.orthogonal_(part, gain)

    def stack(self) -> Tensor:
        """The weights `[agents, most sources * inputs, outputs]`."""
        if self.kept is not None:
            return self.kept
        agents, inputs, outputs = self.shape
        whole = self.weight.new_zeros(agents * inputs, outputs)
        return whole.index_copy(0, self.get_buffer("rows"), self.weight).view(agents, inputs, outputs)

    def gather(self, shown: Tensor, arrives: Tensor | None) -> Tensor:
        """What every agent gets, `[agents, rows, most sources * inputs]`, of `shown [rows, agents, inputs]`, where
        messages may not arrive: `[rows, to, from]`."""
        (agents, inputs, _), slots = self.shape, self.get_buffer("slots")
        found = shown.index_select(1, slots).view(shown.shape[0], agents, len(slots) // agents, shown.shape[-1])
        if self.channel.bits:
            found = torch.where(self.get_buffer("told"), self.channel.coarse(found, *self.reach), found)
        if arrives is not None:
            found = found * arrives.gather(2, slots.view(agents, -1).expand(shown.shape[0], -1, -1)).unsqueeze(-1)
        return found.view(shown.shape[0], agents, inputs).transpose(0, 1)

    def forward(self, shown: Tensor, arrives: Tensor | None = None) -> Tensor:
        """`shown [rows, agents, inputs]` as `[agents, rows, outputs]`."""
        return torch.baddbmm(self.bias, self.gather(shown, arrives), self.stack())


class Reading(nn.Module):
    """What the agents' LSTMs read. This is IA2C's: own sight and that of the neighbours."""

    heard_at = 0
    """The input from which on the LSTM takes what is heard, if something is: where what is known begins, with which it
    is added up, or behind that."""
    policies = False
    """Whether it reads the policies of the row before."""
    spans: tuple[str, str] = "communicate", "own"
    """Whose time reading is, and whose the LSTM's."""

    def __init__(self, neighbours: Neighbours, seen: int, choices: int, width: int, channel: Channel):
        super().__init__()
        self.width, self.channel = width, channel
        closed = [[agent, *near] for agent, near in enumerate(neighbours)]
        self.sight = Listening(closed, seen, width, channel=channel, reach=SIGHTS)

    @property
    def inputs(self) -> int:
        """What the LSTM takes."""
        return self.width

    def known(self, seen: Tensor, policies: Tensor | None, arrives: Tensor | None) -> Tensor:
        """What is known of all rows at once: `[agents, rows, n]` of what agents see, `[rows, agents, n]`, and of their
        policies in the rows before, as far as that `arrives [rows, to, from]`."""
        return self.sight(seen, arrives).relu_()  # type: ignore[no-any-return]

    def hear(self) -> Hear | None:
        """What makes what is heard of all hidden states, both `[agents, rows, width]`, and of what arrives, for the
        weights as they are."""
        return None


class OwnSight(Reading):
    """ConseNet's: nothing of others."""

    spans = "own", "own"

    def __init__(self, neighbours: Neighbours, seen: int, choices: int, width: int, channel: Channel):
        super().__init__([[] for _ in neighbours], seen, choices, width, channel)


class Fingerprints(Reading):
    """FPrint's: sights, and beside them the neighbours' policies."""

    policies = True

    def __init__(self, neighbours: Neighbours, seen: int, choices: int, width: int, channel: Channel):
        super().__init__(neighbours, seen, choices, width, channel)
        self.prints = Listening(neighbours, choices, width, channel=channel, reach=(0.0, 1.0))

    @property
    def inputs(self) -> int:
        """What the LSTM takes."""
        return 2 * self.width

    def known(self, seen: Tensor, policies: Tensor | None, arrives: Tensor | None) -> Tensor:
        """Sights and policies."""
        assert policies is not None
        return torch.cat([self.sight(seen, arrives), self.prints(policies, arrives)], -1).relu_()


class Messages(Fingerprints):
    """NeurComm's: sights, policies, and beside them the neighbours' hidden states."""

    spans = "communicate", "comprehend"

    def __init__(self, neighbours: Neighbours, seen: int, choices: int, width: int, channel: Channel):
        super().__init__(neighbours, seen, choices, width, channel)
        self.messages = Listening(neighbours, width, width, channel=channel)
        self.heard_at = 2 * width

    @property
    def inputs(self) -> int:
        """What the LSTM takes."""
        return 3 * self.width

    def hear(self) -> Hear:
        """The neighbours' hidden states."""
        messages, weight = self.messages, self.messages.stack()

        def heard(hidden: Tensor, arrives: Tensor | None) -> Tensor:
            return torch.baddbmm(messages.bias, messages.gather(hidden.transpose(0, 1), arrives), weight).relu_()

        return heard


class Means(Reading):
    """CommNet's: sights, and added to them the mean of the neighbours' hidden states."""

    spans = "communicate", "comprehend"

    def __init__(self, neighbours: Neighbours, seen: int, choices: int, width: int, channel: Channel):
        super().__init__(neighbours, seen, choices, width, channel)
        self.register_buffer("mean", mean_over(neighbours), persistent=False)
        self.messages = Layer(len(neighbours), width, width)
        orthogonal(self.messages)

    def known(self, seen: Tensor, policies: Tensor | None, arrives: Tensor | None) -> Tensor:
        """Sights."""
        return self.sight(seen, arrives).tanh()  # type: ignore[no-any-return]

    def hear(self) -> Hear:
        """The mean of the neighbours' hidden states."""
        mean = self.get_buffer("mean").to(self.messages.weight.dtype)

        def heard(hidden: Tensor, arrives: Tensor | None) -> Tensor:
            told = self.channel.coarse(hidden, -1.0, 1.0)
            if arrives is None:
                return self.messages((mean @ told.flatten(1)).view_as(hidden))  # type: ignore[no-any-return]
            found = torch.matmul(mean * arrives, told.transpose(0, 1))
            return self.messages(found.transpose(0, 1))  # type: ignore[no-any-return]

        return heard


class Sayings(Reading):
    """DIAL's: sights, and added to them what the neighbours make of their hidden states, and the agent's own likeliest
    choice in the row before."""

    policies = True
    spans = "communicate", "comprehend"

    def __init__(self, neighbours: Neighbours, seen: int, choices: int, width: int, channel: Channel):
        super().__init__(neighbours, seen, choices, width, channel)
        self.speaking = Layer(len(neighbours), width, width)
        orthogonal(self.speaking)
        self.listening = Listening(neighbours, width, width, channel=channel, reach=(0.0, SAID))

    def known(self, seen: Tensor, policies: Tensor | None, arrives: Tensor | None) -> Tensor:
        """Sights and the own choice."""
        assert policies is not None
        likeliest = F.one_hot(policies.argmax(-1), self.width).transpose(0, 1)
        return F.relu(self.sight(seen, arrives)) + likeliest.to(seen.dtype)

    def hear(self) -> Hear:
        """What the neighbours say."""
        listening, weight = self.listening, self.listening.stack()

        def heard(hidden: Tensor, arrives: Tensor | None) -> Tensor:
            said = listening.gather(F.relu(self.speaking(hidden)).transpose(0, 1), arrives)
            return torch.baddbmm(listening.bias, said, weight).relu_()

        return heard


READINGS: dict[Method, type[Reading]] = {
    "neurcomm": Messages,
    "ia2c": Reading,
    "fprint": Fingerprints,
    "consenet": OwnSight,
    "commnet": Means,
    "dial": Sayings,
}


class Cells(nn.Module):
    """An LSTM cell for each agent; gates in the order input, forget, output, update. The weights of the inputs, then
    those of the hidden state."""

    def __init__(self, agents: int, inputs: int, width: int):
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.empty(agents, inputs + width, 4 * width))
        self.bias = nn.Parameter(torch.zeros(agents, 1, 4 * width))
        for own in self.weight.detach():
            nn.init.orthogonal_(own[:inputs], GAIN)
            nn.init.orthogonal_(own[inputs:], GAIN)

    def ahead(self, known: Tensor) -> Tensor:
        """What the known inputs `[agents, rows, n]`, which are the first, add to the gates."""
        return torch.baddbmm(self.bias, known, self.weight[:, : known.shape[-1]])

    def forward(
        self, ahead: Tensor, heard: Tensor | None, hidden: Tensor, cell: Tensor, at: int
    ) -> tuple[Tensor, Tensor]:
        """The next hidden state and cell, all `[agents, rows, width]`; what is `heard`, if anything, are the inputs
        from number `at` on, the last ones."""
        before_hidden = self.weight.shape[1] - self.width
        gates = torch.baddbmm(ahead, hidden, self.weight[:, before_hidden:])
        if heard is not None:
            gates = torch.baddbmm(gates, heard, self.weight[:, at:before_hidden])
        let_in, keep, show = gates[..., : 3 * self.width].sigmoid().chunk(3, -1)
        cell = keep * cell + let_in * gates[..., 3 * self.width :].tanh()
        return show * cell.tanh(), cell


class Values(nn.Module):
    """What each agent's position is worth: linear in its hidden state and in the neighbours' choices."""

    def __init__(self, neighbours: Neighbours, choices: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(neighbours), width, 1))
        for own in self.weight.detach():
            nn.init.orthogonal_(own, SMALL_GAIN)
        self.chosen = Listening(neighbours, choices, 1, SMALL_GAIN)

    def forward(self, hidden: Tensor, chosen: Tensor) -> Tensor:
        """`[agents, rows]`, of `hidden [agents, rows, width]`, and of what `self.chosen` makes of the choices."""
        return (torch.bmm(hidden, self.weight) + chosen).squeeze(-1)


class NeighbourNet(nn.Module):
    """All agents' nets: who chooses among `choices`, under that `choice`'s name, and what it is worth.

    Where nobody has chosen yet, the value takes the policies: being linear, it is then the mean over what the
    neighbours may choose.
    """

    consensus: Tensor | None

    def __init__(
        self,
        neighbours: Neighbours,
        seen: int,
        choice: str,
        choices: int,
        method: Method = "neurcomm",
        width: int = 64,
        channel: Channel = PERFECT,
    ):
        """`seen` is the size of the view of that name."""
        super().__init__()
        agents = len(neighbours)
        self.agents, self.choice, self.choices, self.width = agents, choice, choices, width
        self.channel, self.reading = channel, READINGS[method](neighbours, seen, choices, width, channel)
        self.cells = Cells(agents, self.reading.inputs, width)
        self.actor, self.value = Layer(agents, width, choices), Values(neighbours, choices, width)
        orthogonal(self.actor, SMALL_GAIN)
        closed = [[agent, *near] for agent, near in enumerate(neighbours)]
        self.register_buffer("consensus", mean_over(closed) if method == "consenet" else None, persistent=False)

    @property
    def wants(self) -> tuple[str, ...]:
        """The views that it looks at."""
        return ("seen",)

    def start(self, rows: int) -> Memory:
        """Nothing is remembered at first, and every choice is as likely."""
        like, width = self.actor.bias, self.width
        memory = {"hidden": like.new_zeros(rows, width), "cell": like.new_zeros(rows, width)}
        even = like.new_full((rows, self.choices), 1 / self.choices)
        return memory | ({"policy": even} if self.reading.policies else {})

    def act(
        self,
        views: Mapping[str, Tensor],
        memory: Memory,
        spans: Timing,
        generator: torch.Generator,
        greedy: bool = False,
    ) -> tuple[Outputs, Memory, dict[str, Tensor]]:
        """One row, of `[games, agents, ...]`. Policies are kept."""
        reading, comprehending = self._spans(spans)
        hidden, cell = (memory[name].transpose(0, 1) for name in ("hidden", "cell"))
        with reading():
            arrives = self._arriving(views["seen"].shape[0], generator)
            known = self.reading.known(views["seen"], memory.get("policy"), arrives)
            hear = self.reading.hear()
            heard = None if hear is None else hear(hidden, arrives)
        with comprehending():
            hidden, cell = self.cells(self.cells.ahead(known), heard, hidden, cell, self.reading.heard_at)
        with spans.own():
            logits = self.actor(hidden).transpose(0, 1)
            after = {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}
            policy = {"policy": logits.softmax(-1)} if self.reading.policies else {}
            kept = policy if arrives is None else policy | {"arrives": arrives}
        return {self.choice: logits}, after | policy, kept

    @contextmanager
    def settled(self, spans: Timing) -> Iterator[None]:
        """While this lasts nothing learns: the weights are laid out once."""
        listening = [part for part in self.reading.modules() if isinstance(part, Listening)]
        reading, _ = self._spans(spans)
        with reading(), torch.no_grad():
            for part in listening:
                part.kept = part.stack()
        try:
            yield
        finally:
            for part in listening:
                part.kept = None

    def unroll(self, played: Played, spans: Timing) -> Outputs:
        """All rows, and `value [rows, games, agents]`: in last looks, in the mean over what neighbours may choose."""
        reading, comprehending = self._spans(spans)
        seen = played.views["seen"]
        rows, games = seen.shape[:2]
        with reading():
            arrives = self._arrived(played)
            by_row = [None] * rows if arrives is None else arrives.unbind()
            flat = None if arrives is None else arrives.flatten(0, 1)
            known = self.reading.known(seen.flatten(0, 1), self._policies_before(played), flat)
            hear = self.reading.hear()
        with comprehending():
            ahead = self.cells.ahead(known).view(self.agents, rows, games, -1).unbind(1)
        hidden, cell = (played.memory[name].transpose(0, 1) for name in ("hidden", "cell"))
        with spans.own():
            goes_on, begins = (~played.fresh).to(seen.dtype).unsqueeze(-1), played.fresh.any(1).tolist()
        states = []
        for row in range(rows):
            with reading():
                if begins[row]:
                    hidden, cell = hidden * goes_on[row], cell * goes_on[row]
                heard = None if hear is None else hear(hidden, by_row[row])
            with comprehending():
                hidden, cell = self.cells(ahead[row], heard, hidden, cell, self.reading.heard_at)
            states.append(hidden)
        with spans.own():
            hidden = torch.stack(states, 1).flatten(1, 2)
            logits = self.actor(hidden).transpose(0, 1).unflatten(0, (rows, games))
        with spans.communicate():
            chosen = self.value.chosen(self._chosen(played, logits).flatten(0, 1))
        with spans.own():
            value = self.value(hidden, chosen).view(self.agents, rows, games).permute(1, 2, 0)
        return {self.choice: logits, "value": value}

    def agree(self, spans: Timing) -> None:
        """ConseNet's consensus: every LSTM becomes the mean of its own and its neighbours'."""
        if self.consensus is None:
            return
        with spans.communicate(), torch.no_grad():
            for weights in self.cells.parameters():
                weights.copy_(torch.einsum("ij,jkl->ikl", self.consensus.to(weights.dtype), weights))

    def _spans(self, spans: Timing) -> list[Callable[[], AbstractContextManager[Any]]]:
        """Of reading, and of the LSTM."""
        return [getattr(spans, name) for name in self.reading.spans]

    def _arriving(self, games: int, generator: torch.Generator) -> Tensor | None:
        """Which messages arrive now, where some do not."""
        if not self.channel.lost:
            return None
        return self.channel.arriving(games, self.agents, generator).to(self.actor.weight.device)

    def _arrived(self, played: Played) -> Tensor | None:
        """Which did, `[rows, games, to, from]`; of the last row as of the one before, since nobody acted there."""
        if not self.channel.lost:
            return None
        return torch.cat([played.kept["arrives"], played.kept["arrives"][-1:]])

    def _policies_before(self, played: Played) -> Tensor | None:
        """Of the row before each, `[rows * games, agents, choices]`."""
        if not self.reading.policies:
            return None
        before = torch.cat([played.memory["policy"].unsqueeze(0), played.kept["policy"]])
        return torch.where(played.fresh[..., None, None], 1 / self.choices, before).flatten(0, 1)

    def _chosen(self, played: Played, logits: Tensor) -> Tensor:
        """Everyone's choices, `[rows, games, agents, choices]`; in last looks, how likely each is."""
        likely = logits.detach().softmax(-1)
        chosen = F.one_hot(played.action[self.choice], self.choices).to(likely.dtype)
        chosen = torch.cat([chosen, likely[-1:]])
        return torch.where(played.looks[..., None, None], likely, chosen)


def mean_over(sources: Neighbours) -> Tensor:
    """`[agents, agents]`: by how much each counts in the mean over everyone's sources."""
    share = torch.zeros(len(sources), len(sources), dtype=torch.float64)
    for agent, each in enumerate(sources):
        share[agent, list(each)] = 1 / max(len(each), 1)
    return share


def orthogonal(layer: Layer, gain: float = GAIN) -> None:
    """Orthogonal weights for each agent of a stack."""
    for own in layer.weight.detach():
        nn.init.orthogonal_(own, gain)
