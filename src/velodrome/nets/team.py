"""Nets of teams: the agents of a game that all act at once and may talk to each other. What they are asked for.

A segment of play is laid out `[rows, games, agents, ...]`. Its last row is only looked at: nobody acts there, and what
it is worth stands for everything after it. A game that is over is looked at once more, so that what a time limit cut
off has a value, too; then the next one begins. So each row is a decision or a last look.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Outputs = dict[str, Tensor]
Memory = dict[str, Tensor]


class Timing(Protocol):
    """Where a net says itself what its time goes into: what each agent makes of its own sight, messages between
    agents, and what is made of these."""

    def own(self) -> AbstractContextManager[Any]:
        """Each agent by itself."""
        ...

    def communicate(self) -> AbstractContextManager[Any]:
        """Deciding whom to tell what, gathering it, and reading it in: communication in the narrow sense."""
        ...

    def comprehend(self) -> AbstractContextManager[Any]:
        """What would not be there without others, beyond that: with it, communication in the broad sense."""
        ...


@dataclass(frozen=True)
class Channel:
    """What becomes of what agents tell each other on its way."""

    lost: float = 0.0
    """The part of messages that do not arrive: any of them, each with that chance."""
    bits: int = 0
    """Of each number told, spread over its range; 0: numbers arrive as they are."""

    def __post_init__(self) -> None:
        if not 0 <= self.lost <= 1:
            raise ValueError(f"lost={self.lost:g} is no part of the messages: it takes from 0 to 1")
        if not 0 <= self.bits <= 16:
            raise ValueError(f"bits={self.bits}: a number takes from 1 to 16, or 0 for what it is")

    def arriving(self, games: int, agents: int, generator: torch.Generator) -> Tensor:
        """Which messages arrive, `[games, to, from]`; with oneself everyone is in touch."""
        device = generator.device
        drawn = torch.rand(games, agents, agents, generator=generator, device=device) >= self.lost
        return drawn | torch.eye(agents, dtype=torch.bool, device=device)

    def coarse(self, told: Tensor, low: float, high: float) -> Tensor:
        """What arrives of numbers of that range; gradients pass as if they had arrived as they are."""
        if not self.bits:
            return told
        steps, wide = 2**self.bits - 1, high - low
        near: Tensor = ((told.clamp(low, high) - low) / wide * steps).round() / steps * wide + low
        return told + (near - told).detach()


PERFECT = Channel()


@dataclass
class Played:
    """A segment. Where `looks` is set, a row is a last look: what stands there as action and reward means nothing."""

    views: dict[str, Tensor]
    """`[rows, games, agents, ...]`"""
    memory: Memory
    """Before the first row, `[games, agents, ...]`; where `fresh`, that counts for nothing."""
    fresh: Tensor
    """Where a game begins, `[rows, games]`."""
    kept: dict[str, Tensor]
    """What the net wanted kept from when it acted, `[rows - 1, games, ...]`."""
    action: dict[str, Tensor]
    """`[rows - 1, games, agents, ...]`"""
    reward: Tensor
    """`[rows - 1, games, agents]`"""
    ended: Tensor
    """After which rows the game was over by its rules, `[rows - 1, games]`."""
    looks: Tensor
    """`[rows, games]`; the last row is one."""


class TeamNet(Protocol):
    """The nets of all agents, as one module. One that makes something of its weights before it uses them has a context
    manager `settled(spans)`, in which nothing learns and that is made once."""

    @property
    def wants(self) -> tuple[str, ...]:
        """The views that it looks at."""
        ...

    def start(self, rows: int) -> Memory:
        """What so many agents remember at first."""
        ...

    def act(
        self,
        views: Mapping[str, Tensor],
        memory: Memory,
        spans: Timing,
        generator: torch.Generator,
        greedy: bool = False,
    ) -> tuple[Outputs, Memory, dict[str, Tensor]]:
        """What decides the action, what is remembered, and what is to be kept, of `[games, agents, ...]`. Where it is
        `greedy`, nothing that agents decide is left to chance."""
        ...

    def unroll(self, played: Played, spans: Timing) -> Outputs:
        """The same over all rows of a segment, to be learnt from, and whatever else the algorithm wants."""
        ...
