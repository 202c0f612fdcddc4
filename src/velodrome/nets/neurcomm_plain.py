"""NeurComm and its siblings as anyone would write them down: small layers for each agent, a loop over agents inside one
over rows. What `neurcomm` does all at once is checked, and timed, against this."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.neurcomm import GAIN, SMALL_GAIN, Method, Neighbours
from velodrome.nets.team import Memory, Outputs, Played, Timing

TALKING = ("neurcomm", "commnet", "dial")


class PlainAgent(nn.Module):
    """One agent, with so many neighbours."""

    def __init__(self, near: int, seen: int, choices: int, method: Method, width: int):
        super().__init__()
        self.method, self.width = method, width
        inputs = width
        self.sight = nn.Linear(seen * (1 if method == "consenet" else near + 1), width)
        if method in ("neurcomm", "fprint"):
            self.prints = nn.Linear(choices * near, width)
            inputs += width
        if method == "neurcomm":
            self.messages = nn.Linear(width * near, width)
            inputs += width
        if method == "commnet":
            self.messages = nn.Linear(width, width)
        if method == "dial":
            self.speaking, self.listening = nn.Linear(width, width), nn.Linear(width * near, width)
        self.of_inputs, self.of_hidden = nn.Linear(inputs, 4 * width), nn.Linear(width, 4 * width, bias=False)
        self.actor, self.critic = nn.Linear(width, choices), nn.Linear(width + choices * near, 1)
        for layer in self.children():
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight, SMALL_GAIN if layer in (self.actor, self.critic) else GAIN)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def read(self, sights: list[Tensor], policies: list[Tensor], hidden: list[Tensor], said: list[Tensor]) -> Tensor:
        """The LSTM's input, of what is seen, how it was chosen, what is remembered and said: each a list with the
        agent's own first and then its neighbours'."""
        if self.method == "consenet":
            return F.relu(self.sight(sights[0]))
        sight, none = self.sight(torch.cat(sights, -1)), sights[0].new_zeros(sights[0].shape[0], 0)
        if self.method == "ia2c":
            return F.relu(sight)
        if self.method == "commnet":
            heard = torch.stack(hidden[1:]).mean(0) if hidden[1:] else torch.zeros_like(hidden[0])
            return sight.tanh() + self.messages(heard)  # type: ignore[no-any-return]
        if self.method == "dial":
            chosen = F.one_hot(policies[0].argmax(-1), self.width).to(sight.dtype)
            return F.relu(sight) + F.relu(self.listening(torch.cat([none, *said[1:]], -1))) + chosen
        parts = [F.relu(sight), F.relu(self.prints(torch.cat([none, *policies[1:]], -1)))]
        if self.method == "neurcomm":
            parts.append(F.relu(self.messages(torch.cat([none, *hidden[1:]], -1))))
        return torch.cat(parts, -1)

    def say(self, hidden: Tensor) -> Tensor:
        """DIAL's message; others show their hidden state as it is."""
        return F.relu(self.speaking(hidden)) if self.method == "dial" else hidden

    def remember(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The LSTM."""
        let_in, keep, show, update = (self.of_inputs(inputs) + self.of_hidden(hidden)).chunk(4, -1)
        cell = keep.sigmoid() * cell + let_in.sigmoid() * update.tanh()
        return show.sigmoid() * cell.tanh(), cell


class PlainNet(nn.Module):
    """All agents' nets, one by one; takes, remembers and gives what `neurcomm.NeighbourNet` does."""

    def __init__(
        self, neighbours: Neighbours, seen: int, choice: str, choices: int, method: Method = "neurcomm", width: int = 64
    ):
        super().__init__()
        self.neighbours, self.choice, self.choices, self.method, self.width = neighbours, choice, choices, method, width
        self.agents = nn.ModuleList(PlainAgent(len(near), seen, choices, method, width) for near in neighbours)

    @property
    def wants(self) -> tuple[str, ...]:
        """The views that it looks at."""
        return ("seen",)

    def start(self, rows: int) -> Memory:
        """Nothing is remembered at first, and every choice is as likely."""
        like = next(self.parameters())
        memory = {name: like.new_zeros(rows, self.width) for name in ("hidden", "cell")}
        keeps = self.method in ("neurcomm", "fprint", "dial")
        return memory | ({"policy": like.new_full((rows, self.choices), 1 / self.choices)} if keeps else {})

    def act(
        self,
        views: Mapping[str, Tensor],
        memory: Memory,
        spans: Timing,
        generator: torch.Generator,
        greedy: bool = False,
    ) -> tuple[Outputs, Memory, dict[str, Tensor]]:
        """One row, of `[games, agents, ...]`. Policies are kept."""
        logits, hidden, cell = self._row(views["seen"], memory, spans)
        kept = {"policy": logits.softmax(-1)} if "policy" in memory else {}
        return {self.choice: logits}, {"hidden": hidden, "cell": cell} | kept, kept

    def unroll(self, played: Played, spans: Timing) -> Outputs:
        """All rows, and `value [rows, games, agents]`: in last looks, in the mean over what neighbours may choose."""
        memory, rows = played.memory, []
        start = {
            name: part.view(*memory[name].shape) for name, part in self.start(memory["cell"][..., 0].numel()).items()
        }
        for row, seen in enumerate(played.views["seen"]):
            fresh = played.fresh[row][:, None, None]
            memory = {name: torch.where(fresh, start[name], part) for name, part in memory.items()}
            logits, hidden, cell = self._row(seen, memory, spans)
            chosen = likely = logits.detach().softmax(-1)
            if row < len(played.action[self.choice]):
                made = F.one_hot(played.action[self.choice][row], self.choices).to(likely.dtype)
                chosen = torch.where(played.looks[row][:, None, None], likely, made)
                memory = {"hidden": hidden, "cell": cell} | {name: part[row] for name, part in played.kept.items()}
            rows.append((logits, self._values(hidden, chosen, spans)))
        logits, value = (torch.stack(part) for part in zip(*rows, strict=True))
        return {self.choice: logits, "value": value}

    def agree(self, spans: Timing) -> None:
        """ConseNet's consensus: every LSTM becomes the mean of its own and its neighbours'."""
        if self.method != "consenet":
            return
        with spans.communicate(), torch.no_grad():
            owned = [[*each.of_inputs.parameters(), *each.of_hidden.parameters()] for each in self._agents]
            before = [[weights.clone() for weights in own] for own in owned]
            for agent, near in enumerate(self.neighbours):
                closed = [before[each] for each in (agent, *near)]
                for weights, *of_all in zip(owned[agent], *closed, strict=True):
                    weights.copy_(torch.stack(of_all).mean(0))

    @property
    def _agents(self) -> list[PlainAgent]:
        return [each for each in self.agents if isinstance(each, PlainAgent)]

    def _row(self, seen: Tensor, memory: Memory, spans: Timing) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, hidden states and cells after a row, `[games, agents, ...]`."""
        reading = spans.own if self.method == "consenet" else spans.communicate
        remembering = spans.comprehend if self.method in TALKING else spans.own
        sights, hidden, cells = seen.unbind(1), memory["hidden"].unbind(1), memory["cell"].unbind(1)
        policies = memory["policy"].unbind(1) if "policy" in memory else sights
        with reading():
            said = [agent.say(hidden[number]) for number, agent in enumerate(self._agents)]
        after, logits = [], []
        for number, agent in enumerate(self._agents):
            with reading():
                closed = [number, *self.neighbours[number]]
                shown = ([each[other] for other in closed] for each in (sights, policies, hidden, said))
                inputs = agent.read(*shown)
            with remembering():
                after.append(agent.remember(inputs, hidden[number], cells[number]))
            with spans.own():
                logits.append(agent.actor(after[-1][0]))
        hidden_then, cells_then = zip(*after, strict=True)
        return torch.stack(logits, 1), torch.stack(hidden_then, 1), torch.stack(cells_then, 1)

    def _values(self, hidden: Tensor, chosen: Tensor, spans: Timing) -> Tensor:
        values = []
        for number, agent in enumerate(self._agents):
            with spans.communicate():
                others = [chosen[:, other] for other in self.neighbours[number]]
            with spans.own():
                values.append(agent.critic(torch.cat([hidden[:, number], *others], -1)).squeeze(-1))
        return torch.stack(values, 1)
