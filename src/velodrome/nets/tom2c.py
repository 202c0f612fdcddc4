"""ToM2C (Wang et al. 2022): agents that reason about what the others see and want, and decide whom to tell.

Each agent looks at its targets with attention, keeps a belief of every other agent (its theory of mind), guesses from
that what the other sees and goes for, decides whom to tell these guesses, and chooses its own targets knowing what it
was told. A critic sees what all choose from. All agents share the weights, and are dimensions of one batch: over a
segment only the recurrent parts go row by row.

Beliefs learn from what others were seen to do alone: nothing that follows from them teaches them, nor do they teach the
eyes that they rest on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.graphs import Form, GraphNet, Two, drawn, linear_of_parts, logistic, messages, of_own_graphs
from velodrome.nets.minds import WIDTH, Attention, Beliefs, Critic, Gru, normalise_rows
from velodrome.nets.team import Channel, Memory, Outputs, Played, Timing

EYE = 32
"""Width of what is made of anything seen, before attention."""
OF_OTHERS, HEARD = 3, 2
"""What an agent knows of others for each target: how surely it thinks that one of them goes for it; and what it hears:
what those who tell it of the target believe of itself, and how many they are."""
FAINT = 1e-6
"""What an agent wants of a landmark, as others hear it, at least."""


@dataclass(frozen=True)
class Minds:
    """Settings of the nets."""

    graph: Form | Literal["none"] = "factored"
    """reference: the published form of the graph net; factored: the same, faster; shared: one graph for all agents in
    place of one for each, which is another algorithm, and less work by up to their number; none: nobody tells anybody
    anything."""
    hidden: int = 32
    """Width of the graph net (published: 288 for coverage, 192 for navigation)."""
    carried: bool = True
    """Learn with the beliefs that were held in play (published: no; each row is learnt from as if the first)."""
    apart: bool = True
    """Each thing that is seen keeps its own value beside what attention finds (published: no; at first all are then
    alike, and it takes long to tell one from another)."""
    valued: bool = False
    """Let the critic teach whom to tell, too, as published: edges then come and go with what suits its sums, and those
    that would serve choices are gone before they do."""
    rounds: int = 0
    """Of giving way, in navigation: there an agent passes over a landmark as far as others want it more surely, by what
    those who tell it something want, and by what it believes of the rest (published: 0)."""
    channel: Channel = Channel()
    """What becomes of messages on their way."""
    rectified: bool = False
    """Put choices through a ReLU, as published: what it sets to zero cannot be learnt from any more."""


@dataclass
class Sight:
    """What agents make of what they see, `[rows, agents, ...]`."""

    targets: Tensor
    """`[rows, agents, targets, width]`"""
    whole: Tensor
    """All that is seen, `[rows, agents, width]`."""
    obstacles: Tensor | None
    """`[rows, agents, width]`"""
    known: Tensor
    """Of which targets an agent can tell others, `[rows, agents, targets]`."""
    poses: Tensor
    """Of each for each, `[rows, agents, agents, 4]`."""
    places: Tensor
    """What choices depend on beside, `[rows, agents, targets, any]`."""


@dataclass
class Thoughts:
    """What agents make of that."""

    given: Tensor
    """What choices are made of, `[rows, agents, targets, inputs]`, what is known of others last."""
    choices: Tensor
    """The action's numbers."""
    chances: Tensor
    """With which each thinks that each other goes for what, `[rows, agents, agents, targets]`."""
    goals: Tensor
    """What each thinks that each goes for, as numbers for an action, `[rows, agents, agents, targets]`."""
    sees: Tensor | None
    """And sees, before a sigmoid."""
    logits: Tensor
    """Of edges."""
    edges: Tensor
    """`[rows, from, to]`"""


class Tom2cNet(nn.Module):
    """What both games' agents have in common."""

    wants: tuple[str, ...] = ()
    part = ""
    """Of the action."""
    told = 0
    """Numbers of a message: one a target, and where agents give way what the agent itself wants of it."""

    def __init__(
        self, agents: int, minds: Minds, *, eye: int, width: int, beliefs: Beliefs, own: Gru | None, places: int
    ):
        """`eye` numbers are seen of everything, and `width` made of it; `own` is what an agent remembers itself, and
        `places` numbers for each target bear on the choice beside what it makes of that."""
        super().__init__()
        if agents < 2:
            raise ValueError(f"agents={agents}: ToM2C needs somebody to think of")
        self.agents, self.minds = agents, minds
        self.encoder = nn.Sequential(nn.Linear(eye, EYE), nn.ReLU(), nn.Linear(EYE, EYE), nn.ReLU())
        self.attention, self.own, self.beliefs = Attention(EYE, width, minds.apart), own, beliefs
        self.graph = None if minds.graph == "none" else GraphNet(width + WIDTH, minds.hidden, minds.graph)
        self.feature = nn.Linear(width + (WIDTH if own is not None else 0), WIDTH)
        self.critic = Critic(places + WIDTH + OF_OTHERS)

    # -- what differs between games ---------------------------------------------------------------------------

    def look(self, views: Mapping[str, Tensor]) -> Sight:
        """Look at views `[rows, agents, ...]`."""
        raise NotImplementedError

    def things(self, seen: Tensor) -> Tensor:
        """What attention chooses from, `[rows, agents, n, any]`."""
        raise NotImplementedError

    def believe(self, sight: Sight, own: Tensor | None, minds: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """What each thinks that each goes for, as chances and as numbers for an action; and sees."""
        raise NotImplementedError

    def expect(self, chances: Tensor) -> Tensor:
        """Which targets each takes each to go for, `[rows, agents, agents, targets]`."""
        raise NotImplementedError

    def choose(self, given: Tensor) -> Tensor:
        """What an agent thinks to do by itself."""
        raise NotImplementedError

    def settle(self, choices: Tensor, goals: Tensor, edges: Tensor) -> Tensor:
        """The numbers for an action, given what others think to do."""
        return choices

    def decided(self, choices: Tensor) -> Tensor:
        """What would be done without chance, `[rows, agents, ...]`."""
        raise NotImplementedError

    # -- what does not ----------------------------------------------------------------------------------------

    @torch.no_grad()
    def looks(self, views: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """How much of its attention falls on each thing that is there to be seen, `[rows, n]`."""
        things = self.things(views["seen"].to(self.feature.weight.device))
        weights = self.attention.weights(self.encoder(things)).mean(-2)
        return {"attention": weights * (things != 0).any(-1)}

    def start(self, rows: int) -> Memory:
        """What so many agents remember at first."""
        own = {} if self.own is None else {"own": torch.zeros(rows, WIDTH)}
        return own | {"beliefs": torch.zeros(rows, self.agents, WIDTH)}

    def act(
        self,
        views: Mapping[str, Tensor],
        memory: Memory,
        spans: Timing,
        generator: torch.Generator,
        greedy: bool = False,
    ) -> tuple[Outputs, Memory, dict[str, Tensor]]:
        """What decides the action, what is remembered, and the noise of edges. Greedy agents take
        the likelier edges (published: they are drawn in evaluations, too)."""
        with spans.own():
            sight = self.look(views)
            own = None if self.own is None else self.own(sight.whole, memory["own"])
        with spans.comprehend():
            minds = self.beliefs.memory(sight.poses, memory["beliefs"])
        with spans.communicate():
            kept = {"noise": logistic(sight.poses[..., 0], None if greedy or self.graph is None else generator)}
            if self.minds.channel.lost:
                arrives = self.minds.channel.arriving(len(minds), self.agents, generator).transpose(1, 2)
                kept["arrives"] = arrives.to(minds.device)
        thoughts = self._think(sight, own, minds, kept, spans)
        after = {"beliefs": minds} if own is None else {"own": own, "beliefs": minds}
        return {self.part: thoughts.choices, "edges": thoughts.edges, "believes": thoughts.chances}, after, kept

    def unroll(self, played: Played, spans: Timing) -> Outputs:
        """Over a segment: the action's numbers and the team's `value`; what each thinks of each, `goals` and maybe
        `sees`, and what they do see, `known`; the `logits` of edges, and the `edges`."""
        sight, thoughts = self._unrolled(played, spans)
        with spans.own():
            own, heard = torch.split(thoughts.given, [thoughts.given.shape[-1] - OF_OTHERS, OF_OTHERS], -1)
            given = thoughts.given if self.minds.valued else torch.cat([own, heard.detach()], -1)
            found = {self.part: thoughts.choices, "value": self.critic(given)}
        found |= {"goals": thoughts.goals, "known": sight.known, "logits": thoughts.logits, "edges": thoughts.edges}
        if thoughts.sees is not None:
            found["sees"] = thoughts.sees
        shape = played.fresh.shape
        return {name: part.view(*shape, *part.shape[1:]) for name, part in found.items()}

    @torch.no_grad()
    def relies(self, played: Played, spans: Timing) -> Tensor:
        """Whether an agent would decide otherwise if nobody told it anything, `[rows, games, agents]` (published: nor
        knew what it believes of others)."""
        _, thoughts = self._unrolled(played, spans)
        with spans.own():
            alone = F.pad(thoughts.given[..., :-HEARD], (0, HEARD))
            unmoved = self.settle(self.choose(alone), thoughts.goals, torch.zeros_like(thoughts.edges))
            differs = self.decided(thoughts.choices) != self.decided(unmoved)
        return differs.view(*played.fresh.shape, self.agents, -1).any(-1)

    def _unrolled(self, played: Played, spans: Timing) -> tuple[Sight, Thoughts]:
        """Everything over all rows at once, but for what is remembered."""
        shape, memory, own = played.fresh.shape, played.memory, None
        with spans.own():
            sight = self.look({name: played.views[name].flatten(0, 1) for name in self.wants})
            if self.own is not None:
                whole = sight.whole.view(*shape, *sight.whole.shape[1:])
                own = self.own.unroll(whole, memory["own"], played.fresh).flatten(0, 1)
        with spans.comprehend():
            fresh = played.fresh if self.minds.carried else torch.ones_like(played.fresh)
            poses = sight.poses.view(*shape, *sight.poses.shape[1:])
            minds = self.beliefs.memory.unroll(poses, memory["beliefs"], fresh).flatten(0, 1)
        with spans.communicate():  # the last row's chance is yet to be drawn: that of the row before does as well
            kept = {name: torch.cat([part, part[-1:]]).flatten(0, 1) for name, part in played.kept.items()}
        return sight, self._think(sight, own, minds, kept, spans)

    def _think(
        self, sight: Sight, own: Tensor | None, minds: Tensor, kept: Mapping[str, Tensor], spans: Timing
    ) -> Thoughts:
        with spans.comprehend():
            chances, goals, sees = self.believe(sight, own, minds)
            oneself = torch.eye(self.agents, dtype=torch.bool, device=minds.device).unsqueeze(-1)
            chances = chances.detach().masked_fill(oneself, 0.0)
        with spans.communicate():
            if self.graph is None:
                logits = edges = arrive = torch.zeros_like(kept["noise"])
                told = tellers = torch.zeros_like(sight.known)
            else:
                logits = self.graph(self._nodes(sight, chances, minds, oneself))
                edges = drawn(logits, kept["noise"])
                arrive = edges * kept["arrives"] if "arrives" in kept else edges
                told, tellers = messages(arrive, sight.known, self.minds.channel.coarse(chances, 0.0, 1.0))
        with spans.own():
            of_others = torch.stack([chances.amax(2), told, tellers], -1)
            given = torch.cat([sight.places, self.feel(sight, own), of_others], -1)
            choices = self.choose(given)
        with spans.comprehend():
            choices = self.settle(choices, goals.detach(), arrive)
        return Thoughts(given, choices, chances, goals, sees, logits, edges)

    @torch.no_grad()
    def _nodes(self, sight: Sight, chances: Tensor, minds: Tensor, oneself: Tensor) -> Tensor:
        """What the graph is made of: of the targets that an agent is taken to go for, and of the beliefs of it."""
        if self.minds.graph == "shared":
            return torch.cat([sight.targets.sum(-2), minds.diagonal(dim1=1, dim2=2).movedim(-1, 1)], -1)
        weights = self.expect(chances).masked_fill(oneself, 1.0)
        return torch.cat([weights @ sight.targets, minds], -1)

    def feel(self, sight: Sight, own: Tensor | None) -> Tensor:
        """What an agent makes of each target for itself, `[rows, agents, targets, WIDTH]`."""
        parts = [sight.targets] if own is None else [sight.targets, own.unsqueeze(-2)]
        return linear_of_parts(self.feature, *parts).relu_()


class Sensors(Tom2cNet):
    """Those of coverage, each of which tracks any number of targets."""

    wants, part = ("seen", "others"), "track"

    def __init__(self, agents: int, targets: int, minds: Minds):
        width = 2 * WIDTH
        beliefs = Beliefs(Two(width + 2 * WIDTH, WIDTH, 2), Two(2 * width + WIDTH, WIDTH, 1))
        super().__init__(agents, minds, eye=4, width=width, beliefs=beliefs, own=Gru(width), places=0)
        self.targets = self.told = targets
        self.actor = nn.Linear(WIDTH + OF_OTHERS, 2)
        normalise_rows(self.actor, 1.0)

    def things(self, seen: Tensor) -> Tensor:
        """Targets, then obstacles. What is not seen is zeros, and looked at like everything else."""
        return seen

    def look(self, views: Mapping[str, Tensor]) -> Sight:
        """Targets one by one, obstacles in the mean."""
        seen, n = views["seen"], self.targets
        found = self.attention(self.encoder(seen))
        known = (seen[..., :n, :] != 0).any(-1).to(seen.dtype)
        return Sight(
            found[..., :n, :], found.sum(-2), found[..., n:, :].mean(-2), known, views["others"], seen[..., :n, :0]
        )

    def believe(self, sight: Sight, own: Tensor | None, minds: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Each target is gone for, or not; and seen, or not."""
        assert own is not None
        assert sight.obstacles is not None
        assert self.beliefs.sees is not None
        targets, whom = sight.targets.detach().unsqueeze(2), minds.unsqueeze(-2)
        goals = self.beliefs.goals.of_parts(whom, targets, own.detach()[:, :, None, None])
        sees = self.beliefs.sees.of_parts(whom, targets, sight.obstacles.detach()[:, :, None, None])
        logits = goals[..., 1] - goals[..., 0]
        return logits.sigmoid(), logits, sees.squeeze(-1)

    def expect(self, chances: Tensor) -> Tensor:
        """All that are more likely than not."""
        return (chances > 0.5).to(chances.dtype)

    def choose(self, given: Tensor) -> Tensor:
        """For each target, how much more there is to say for tracking it than for not."""
        both = self.actor(given)
        both = both.relu() if self.minds.rectified else both
        return both[..., 1] - both[..., 0]  # type: ignore[no-any-return]

    def decided(self, choices: Tensor) -> Tensor:
        """Which targets."""
        return choices > 0


class Walkers(Tom2cNet):
    """Those of navigation, each of which goes to one landmark.

    Nothing tells an agent's number: others come by nearness (published: by number), and what differs between two agents
    is where they are and how they got there.
    """

    wants, part = ("seen",), "goal"

    def __init__(self, agents: int, minds: Minds):
        places = 2 + 2 * (agents - 1)
        beliefs = Beliefs(Two(2 * WIDTH, WIDTH, 1))
        super().__init__(agents, minds, eye=2, width=WIDTH, beliefs=beliefs, own=None, places=places)
        self.told = agents * (2 if minds.rounds else 1)
        self.actor = nn.Linear(places + WIDTH + OF_OTHERS, 1)
        normalise_rows(self.actor, 0.1)

    def things(self, seen: Tensor) -> Tensor:
        """The landmarks."""
        return seen[..., -2 * self.agents :].reshape(*seen.shape[:-1], self.agents, 2)

    def look(self, views: Mapping[str, Tensor]) -> Sight:
        """Landmarks are seen from where one is; of others also how fast they are."""
        seen, n = views["seen"], self.agents
        speed, place, others, _ = torch.split(seen, [2, 2, 2 * (n - 1), 2 * n], -1)
        others, marks = others.reshape(*seen.shape[:-1], n - 1, 2), self.things(seen)
        found, far = self.attention(self.encoder(marks)), marks.norm(dim=-1)
        known = (far == far.amin(-1, keepdim=True)).to(seen.dtype)
        apart = place.unsqueeze(1) - place.unsqueeze(2)
        poses = torch.cat([apart, speed.unsqueeze(1).expand_as(apart)], -1)
        nearest = others.gather(-2, others.norm(dim=-1).argsort(-1).unsqueeze(-1).expand_as(others))
        around = nearest.flatten(-2).unsqueeze(-2).expand(*marks.shape[:-1], -1)
        return Sight(found, found.sum(-2), None, known, poses, torch.cat([marks, around], -1))

    def believe(self, sight: Sight, own: Tensor | None, minds: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """One of the landmarks is gone for."""
        goals = self.beliefs.goals.of_parts(minds.unsqueeze(-2), sight.targets.detach().unsqueeze(2)).squeeze(-1)
        return goals.softmax(-1), goals, None

    def expect(self, chances: Tensor) -> Tensor:
        """The likeliest."""
        return F.one_hot(chances.argmax(-1), chances.shape[-1]).to(chances.dtype)

    def choose(self, given: Tensor) -> Tensor:
        """How much there is to say for each landmark."""
        marks = self.actor(given).squeeze(-1)
        return F.leaky_relu(marks) if self.minds.rectified else marks

    def settle(self, choices: Tensor, goals: Tensor, edges: Tensor) -> Tensor:
        """Give way, round by round: what is wanted of a landmark is shared out among all who want it, and what each
        wants among all landmarks (Sinkhorn and Knopp 1967)."""
        if not self.minds.rounds:
            return choices
        told, believed = edges.transpose(1, 2).unsqueeze(-1), goals.log_softmax(-1)
        said = self.minds.channel.coarse(choices.softmax(-1), 0.0, 1.0).clamp(min=FAINT).log().unsqueeze(1)
        oneself = torch.eye(self.agents, dtype=torch.bool, device=edges.device).unsqueeze(-1)
        own = choices.log_softmax(-1).unsqueeze(2)
        wants = torch.where(oneself, own, believed + told * (said - believed))
        for _ in range(self.minds.rounds):
            wants = wants.log_softmax(2).log_softmax(3)
        return of_own_graphs(wants)

    def decided(self, choices: Tensor) -> Tensor:
        """Which landmark."""
        return choices.argmax(-1)

    def feel(self, sight: Sight, own: Tensor | None) -> Tensor:
        """As for sensors, but that nothing is cut off altogether."""
        return F.leaky_relu(self.feature(sight.targets))
