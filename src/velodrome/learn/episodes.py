"""Whole games of a team: played side by side to their end, and learnt from without the padding between them.

What is played lies in memory as `[games, looks, agents, ...]`. A game that is over is looked at once more, so that what
a time limit cut off has a value, too: a game of n decisions has n + 1 looks, and what stands behind them is zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from velodrome.games.game import Array, Choice, Game
from velodrome.learn.kernels.advantage import look_back
from velodrome.learn.trainer import Counts, Policy
from velodrome.meter.clock import Clock


class Episodes:
    """The games, and the memory that they are played into."""

    def __init__(self, game: Game, shared: Sequence[str] = ()):
        """Views to keep beside what each agent sees: of those `shared` the first agent's stands for all."""
        spec = game.spec
        if spec.deciders != spec.seats or len(spec.action) != 1 or not isinstance(spec.action[0], Choice):
            raise ValueError(f"{spec.name}: a team is wanted whose agents all act at once, one choice each")
        self.game, self.part, self.looks = game, spec.action[0], 0
        """How many looks the longest game had."""
        games, seats, longest = game.games, spec.seats, spec.longest + 1
        names = ("seen", *(() if self.part.mask is None else (self.part.mask,)))
        views = {name: torch.from_numpy(game.views[name]) for name in (*names, *shared)}
        self.now = {name: view[:, 0] if name in shared else view for name, view in views.items()}
        self.rows = {name: views[name].flatten(0, 1) for name in names} | {
            "seat": torch.from_numpy(game.seat).flatten(),
            "game": torch.arange(games).repeat_interleave(seats),
        }
        """What a policy is shown."""
        self.parts = {
            name: torch.zeros(games, longest, *view.shape[1:], dtype=view.dtype) for name, view in self.now.items()
        } | {
            "order": torch.zeros(games, longest, seats, dtype=torch.int64),
            "reward": torch.zeros(games, longest),
            "length": torch.zeros(games, dtype=torch.int64),
            "ended": torch.zeros(games, dtype=torch.bool),
        }
        """`length` is a game's number of decisions, `ended` whether it was over by its rules."""
        self.outcome: Array = np.zeros(games, np.float32)

    @torch.no_grad()
    def play(self, policy: Policy, generator: torch.Generator, clock: Clock) -> Counts:
        """Play every game from its start to its end."""
        game, parts, counts = self.game, self.parts, Counts()
        with clock("collect.reset"):
            game.reset()
            memory, live = policy.start(len(self.rows["seat"])), np.ones(game.games, np.bool_)
        for look in range(game.spec.longest + 1):
            with clock("collect.encode"):
                for name, view in self.now.items():
                    parts[name][:, look] = view
            with clock("collect.infer"):
                action, memory = policy.act(self.rows, memory, generator)
                orders = action[self.part.name].view(game.games, -1)
                parts["order"][:, look] = orders
            if not live.any():
                break
            with clock("collect.step"):
                counts += Counts(int(live.sum()), int((live[:, None] & game.acting).sum()))
                game.step({self.part.name: orders.numpy()})
                parts["reward"][:, look] = torch.from_numpy(game.rewards.mean(1))
                live &= ~self._finish(live & (game.ended | game.cut), look + 1)
        with clock("collect.encode"):
            self._blank(look + 1)
        return counts

    def _finish(self, over: Array, length: int) -> Array:
        """Note how these games went."""
        which = torch.from_numpy(over)
        self.parts["length"][which] = length
        self.parts["ended"][which] = torch.from_numpy(self.game.ended[over])
        self.outcome[over] = self.game.outcome[over].mean(1)
        return over

    def _blank(self, looks: int) -> None:
        """Put zeros behind the last look of every game; nothing is paid there."""
        self.looks = looks
        behind = torch.arange(looks) > self.parts["length"].unsqueeze(1)
        for part in self.parts.values():
            if part.dim() > 1:
                part[:, :looks][behind] = 0
        self.parts["reward"].scatter_(1, self.parts["length"].unsqueeze(1), 0.0)

    def whole(self) -> dict[str, Tensor]:
        """All that was played, as long as the longest game."""
        return {name: part[:, : self.looks] if part.dim() > 1 else part for name, part in self.parts.items()}

    def legal(self, rows: Rows) -> Tensor | None:
        """Which orders were, in these rows; without a mask all."""
        return None if self.part.mask is None else rows.parts[self.part.mask]

    def state(self) -> dict[str, Any]:
        """From where the next games begin."""
        return {"game": self.game.records.copy()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Begin the next games as they would have begun."""
        self.game.resume(state["game"])


@dataclass
class Rows:
    """Looks of some episodes, one step after another and the longest episodes first: those that go on are always the
    first ones, and nothing is padded."""

    parts: dict[str, Tensor]
    """`[rows, ...]`; also `before`, the orders of the look before plus one, 0 at first."""
    sizes: Tensor
    """`[steps]`, on the CPU: how many episodes have that look."""
    decides: Tensor
    """Which rows are decisions, `[rows]`: all but every episode's last look."""
    ended: Tensor
    """After which last looks nothing comes, `[rows]`: the game is over by its rules."""

    def returns(self, worth: Tensor, reward: Tensor, discount: float, trace: float, limit_ends: bool = False) -> Tensor:
        """What each look turned out to be worth if `worth [rows, ...]` is what it was said to be: TD(lambda), where a
        trace of 0 looks one step ahead. Last looks are worth what is said, or nothing where the game had ended, be it
        by its rules or, where `limit_ends`, by a time limit."""
        nothing = ~self.decides if limit_ends else self.ended
        worth = worth.masked_fill(nothing.view(-1, *[1] * (worth.dim() - 1)), 0.0)
        said = worth.cpu().view(len(worth), -1).numpy()
        paid, found = reward.cpu().view(len(reward), -1).expand(*said.shape).numpy(), said.copy()
        look_back(said, paid, self.sizes.numpy(), np.float32(discount), np.float32(trace), found)
        return torch.from_numpy(found).view(worth.shape).to(worth.device)


def rows_of(parts: Mapping[str, Tensor], which: Tensor, device: str = "cpu") -> Rows:
    """The episodes `which` of those in memory, `[episodes, looks, ...]`."""
    lengths, by_length = parts["length"][which].sort(descending=True, stable=True)
    which = which[by_length]
    real = torch.arange(int(lengths[0]) + 1).unsqueeze(1) <= lengths
    step, place = real.nonzero(as_tuple=True)
    at = which[place] * parts["reward"].shape[1] + step
    found = {name: part.flatten(0, 1).index_select(0, at) for name, part in parts.items() if part.dim() > 1}
    earlier = parts["order"].flatten(0, 1).index_select(0, (at - 1).clamp(min=0)).long() + 1
    found |= {"order": found["order"].long(), "before": earlier.masked_fill((step == 0).unsqueeze(1), 0)}
    last = step == lengths[place]
    ended = last & parts["ended"][which[place]]
    there = {name: part.to(device) for name, part in found.items()}
    return Rows(there, real.sum(1), ~last.to(device), ended.to(device))
