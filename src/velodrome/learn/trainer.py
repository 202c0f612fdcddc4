"""The narrow waist: what training, profiling, saving, evaluating and reporting know of an algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from velodrome.games.game import Game
from velodrome.meter.clock import Clock

Views = Mapping[str, Tensor]
Memory = dict[str, Tensor]
"""What a policy remembers: named tensors with one leading row per trajectory; empty for a feed-forward net."""


@dataclass
class Counts:
    """What an iteration did, in the only units that throughput is ever given in."""

    game_steps: int = 0
    decisions: int = 0
    learner_samples: int = 0

    def __iadd__(self, other: Counts) -> Counts:
        self.game_steps += other.game_steps
        self.decisions += other.decisions
        self.learner_samples += other.learner_samples
        return self


@dataclass
class Progress:
    """What one iteration brought."""

    counts: Counts
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scheme:
    """What kind of learning it is where several agents learn."""

    training: Literal["centralised", "decentralised"] = "decentralised"
    """Whether anything is learnt from what all see and do; else each learns from its own, and from its neighbours'."""
    communication: Literal["none", "graph", "learnt"] = "none"
    """What of others enters an agent's decisions: nothing, what comes along a given graph, or what they learn to
    tell."""

    def __str__(self) -> str:
        return f"{self.training} training, {_SAID[self.communication]}"


_SAID = {"none": "no communication", "graph": "communication along a graph", "learnt": "learnt communication"}


NUMBER_BYTES = 4


@dataclass(frozen=True)
class Exchange:
    """What agents told each other while an iteration was played: in one step of one game, in the mean. A trainer whose
    agents communicate has a method `exchange` that gives it."""

    messages: float
    bytes: float
    graph: list[list[float]]
    """How often each agent, a row, told each other one something."""


class Policy(Protocol):
    """Something that acts. Rows are independent trajectories; `views` are rows-first and hold `seat` and `game`, too:
    whose decision it is, and in which game, by numbers that rows of one game share."""

    def start(self, rows: int) -> Memory:
        """The memory of so many new trajectories."""
        ...

    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        """An action per row as `{part: tensor[rows, ...]}`, and the memory for these rows' next decision."""
        ...


Listener = Callable[[Any, Mapping[str, Tensor], Views], None]
"""Is told which net has decided, what it gave for each row, and the rows' views. What is given bears the names of
`Actions.heads`; `PART.worth` is no chance but a worth, and `PART.shares` holds shares as they are."""


class Telling:
    """A policy that tells whoever listens what its net makes of each decision."""

    listener: Listener | None = None

    def heard_by(self, listener: Listener) -> None:
        """From now on, tell this listener."""
        self.listener = listener

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return self.listener is not None

    def tell(self, net: Any, given: Mapping[str, Tensor], views: Views) -> None:
        """If anybody listens."""
        if self.listener is not None:
            self.listener(net, given, views)


class Trainer(Protocol):
    """One learning algorithm at work on one game."""

    @property
    def game(self) -> Game:
        """What is played, and how the players see it."""
        ...

    @property
    def nets(self) -> dict[str, nn.Module]:
        """What learns, by name."""
        ...

    def iterate(self, clock: Clock) -> Progress:
        """Do one iteration, its phases timed by `clock`. It does the same on one machine and on many."""
        ...

    def policy(self, greedy: bool = False) -> Policy:
        """The agent as it now stands. It shares the trainer's weights: use it before the next iteration."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs: a tree of dicts and lists with tensors, arrays, numbers,
        strings and None at its leaves. It may share memory with the trainer: save or copy it before going on."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        ...


class Stages:
    """Trainers one after another, each for its number of iterations, the last for ever; itself a trainer.

    Stages that share a net share its module. Stages change on counts, never on seconds, or a resumed run would
    differ from an uninterrupted one. A trainer with a method `hand_over` is told when the next one is to go on.
    """

    def __init__(self, stages: Sequence[tuple[Trainer, int]]):
        if not stages:
            raise ValueError("Stages needs at least one (trainer, iterations)")
        self.stages = list(stages)
        self.iteration = 0

    @property
    def index(self) -> int:
        """Which stage is at work."""
        left = self.iteration
        for index, (_, length) in enumerate(self.stages[:-1]):
            if left < length:
                return index
            left -= length
        return len(self.stages) - 1

    @property
    def now(self) -> Trainer:
        """The trainer at work."""
        return self.stages[self.index][0]

    @property
    def game(self) -> Game:
        """The game of the stage at work."""
        return self.now.game

    @property
    def nets(self) -> dict[str, nn.Module]:
        """The nets of all stages."""
        merged: dict[str, nn.Module] = {}
        for stage, _ in self.stages:
            merged.update(stage.nets)
        return merged

    def iterate(self, clock: Clock) -> Progress:
        """One iteration of the stage at work."""
        index = self.index
        before = [(stage, length) for stage, length in self.stages[:index] if length]
        if before and self.iteration == sum(length for _, length in before):
            hand_over: Callable[[], None] | None = getattr(before[-1][0], "hand_over", None)
            if hand_over is not None:
                hand_over()
        progress = self.stages[index][0].iterate(clock)
        progress.metrics["stage"] = index
        self.iteration += 1
        return progress

    def policy(self, greedy: bool = False) -> Policy:
        """The agent of the stage at work."""
        return self.now.policy(greedy)

    def exchange(self) -> Exchange | None:
        """What agents tell each other in the stage at work."""
        return exchange_of(self.now)

    def state(self) -> dict[str, Any]:
        """The state of every stage."""
        return {"iteration": self.iteration, "stages": [stage.state() for stage, _ in self.stages]}

    def load(self, state: dict[str, Any]) -> None:
        """Continue every stage."""
        self.iteration = state["iteration"]
        for (stage, _), saved in zip(self.stages, state["stages"], strict=True):
            stage.load(saved)


def exchange_of(trainer: Trainer) -> Exchange | None:
    """What agents tell each other, where the trainer says so."""
    told: Callable[[], Exchange | None] | None = getattr(trainer, "exchange", None)
    return told() if told is not None else None
