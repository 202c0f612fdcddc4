"""Playing a segment of steps in one lane, and what each decision in it turned out to be worth.

Segments are laid out `[games, steps, K]`, one tensor for each view, allocated once; nothing is copied between playing
and learning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from velodrome.games.game import Game
from velodrome.learn.actions import Actions
from velodrome.learn.kernels.advantage import advantages
from velodrome.learn.opponents import Table
from velodrome.learn.policy import memory_of
from velodrome.learn.returns import Returns
from velodrome.learn.trainer import Counts
from velodrome.meter.clock import Clock

_PIECE = 4096
"""Rows that a net looks at in one go: what it makes of them stays in the cache."""


def _staged(view: Tensor, pinned: bool) -> Tensor:
    return torch.empty_like(view).pin_memory() if pinned else torch.empty_like(view)


class Collector:
    """The games of one lane and the segment that was played last."""

    def __init__(
        self,
        game: Game,
        nets: Mapping[str, nn.Module],
        table: Table,
        steps: int,
        generator: torch.Generator,
        device: str,
        returns: Returns | None = None,
        limit_ends: bool = False,
    ):
        """`nets` has the `net` that plays and, where it does not estimate values itself, a `critic`. With `returns`,
        rewards are learnt from in their units. Where `limit_ends`, what a time limit cuts off is worth nothing."""
        self.game, self.nets, self.table, self.generator, self.device = game, nets, table, generator, device
        self.actions, self.units, self.limit_ends = Actions(game.spec.action), returns, limit_ends
        rows = (game.games, steps, game.spec.deciders)
        wanted = {name for net in nets.values() for name in net.wants} | self.actions.masks  # type: ignore[union-attr]
        self.now = {name: torch.from_numpy(view) for name, view in game.views.items() if name in wanted}
        self.now["seat"] = torch.from_numpy(game.seat)
        kind = torch.device(device).type
        self.staging = (
            None if kind == "cpu" else {name: _staged(view, kind == "cuda") for name, view in self.now.items()}
        )
        """Copies of the views that a GPU can fetch by itself."""
        self.flat = {name: view.flatten(0, 1) for name, view in self.now.items()}
        """The same memory as the views, rows first."""
        self.views = {name: self._empty(rows + view.shape[2:], view.dtype) for name, view in self.now.items()}
        fresh = {role: memory_of(net, 1) for role, net in nets.items()}
        self.fresh = {name: part.to(device) for own in fresh.values() for name, part in own.items()}
        self.memory = {
            name: part.expand(game.games * game.spec.seats, *part.shape[1:]).clone()
            for name, part in self.fresh.items()
        }
        """What is remembered of each seat of each game. In a segment it stands beside what was seen."""
        self.views |= {name: self._empty(rows + part.shape[1:], part.dtype) for name, part in self.memory.items()}
        self.looks_at = {role: (*net.wants, *fresh[role]) for role, net in nets.items()}  # type: ignore[misc]
        self.action = {
            part.name: self._empty(rows + part.shape, torch.from_numpy(np.zeros(0, part.dtype)).dtype)
            for part in game.spec.action
        }
        self.log_prob, self.value = self._empty(rows), self._empty(rows)
        self.acting, self.own = np.ones(rows, bool), np.ones(rows, bool)
        self.rewards = np.zeros((game.games, steps, game.spec.seats), np.float32)
        self.ended, self.cut = np.zeros(rows[:2], bool), np.zeros(rows[:2], bool)
        self.cut_value, self.outcome = np.zeros_like(self.rewards), np.zeros_like(self.rewards)
        self.advantage, self.returns = self._empty((0,)), self._empty((0,))
        """Of every row `[games * steps * K]`; they mean something in the `rows` alone."""
        self.rows = self._empty((0,), torch.int64)
        """The own decisions whose consequences are known."""

    def _empty(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)

    @torch.no_grad()
    def collect(self, clock: Clock) -> Counts:
        """Play one segment; `estimate` its advantages before learning from it."""
        game = self.game
        self.outcome.fill(np.nan)
        for step in range(self.rewards.shape[1]):
            with clock("collect.infer"):
                views = self._on_device() | self._remembered()
                outputs = self.nets["net"](views)
                action, log_prob = self.actions.sample(outputs, views, self.generator)
                self._seat_others(step, action, views)
            with clock("collect.encode"):
                self._keep_decision(step, views, action, log_prob, outputs)
                self._remember(views)
            with clock("collect.step"):
                game.step({name: part.cpu().numpy() for name, part in action.items()})
            with clock("collect.encode"):
                over = self._keep_consequence(step)
            with clock("collect.step"):
                if over.any():
                    game.reset(over)
                    self.table.seat_players(over)
                    for name, part in self.memory.items():
                        part.unflatten(0, (game.games, -1))[torch.from_numpy(over)] = self.fresh[name]  # type: ignore[no-untyped-call]
        with clock("collect.infer"):
            if "critic" in self.nets:
                self.value.view(-1).copy_(self.seen_by(self.nets["critic"], "critic")["value"])
        return Counts(game_steps=self.ended.size, decisions=int((self.acting & self.own).sum()))

    def _on_device(self) -> dict[str, Tensor]:
        """What the deciders see now, rows first. On a GPU all views are on their way at once."""
        if self.staging is None:
            return dict(self.flat)
        for name, view in self.now.items():
            self.staging[name].copy_(view)
        return {name: view.flatten(0, 1).to(self.device, non_blocking=True) for name, view in self.staging.items()}

    def _trajectories(self, games: np.ndarray | None = None) -> Tensor:
        """Whose turn it is in these games, or in all, rows first: numbers of seats over all games."""
        which = np.arange(self.game.games) if games is None else games
        seats = which[:, None] * self.game.spec.seats + self.game.seat[which]
        return torch.from_numpy(seats.reshape(-1)).to(self.device)

    def _remembered(self, games: np.ndarray | None = None) -> dict[str, Tensor]:
        """What those remember whose turn it is."""
        if not self.memory:
            return {}
        which = self._trajectories(games)
        return {name: part[which] for name, part in self.memory.items()}

    def _remember(self, views: dict[str, Tensor]) -> None:
        if self.memory:
            which = self._trajectories()
            for net in self.nets.values():
                for name, part in net.remember(views).items():  # type: ignore[operator]
                    self.memory[name][which] = part

    def _seat_others(self, step: int, action: dict[str, Tensor], views: dict[str, Tensor]) -> None:
        if self.table.mixed:
            self.own[:, step] = self.table.own()
            self.table.answer(action, views, self.actions, self.generator, self.device)

    def _keep_decision(
        self,
        step: int,
        views: Mapping[str, Tensor],
        action: Mapping[str, Tensor],
        log_prob: Tensor,
        outputs: Mapping[str, Tensor],
    ) -> None:
        for name, view in views.items():
            self._put(self.views[name], step, view)
        for name, part in action.items():
            self._put(self.action[name], step, part)
        self._put(self.log_prob, step, log_prob)
        self.acting[:, step] = self.game.acting
        if "critic" not in self.nets:
            self._put(self.value, step, outputs["value"].float())

    def _put(self, segment: Tensor, step: int, rows: Tensor) -> None:
        """Keep what there is of each row. NumPy is the quicker with little."""
        if self.staging is None:
            segment.numpy()[:, step] = rows.numpy().reshape(len(segment), *segment.shape[2:])
        else:
            segment[:, step] = rows.view(len(segment), *segment.shape[2:])

    def _keep_consequence(self, step: int) -> np.ndarray:
        """Returns which games are over."""
        game = self.game
        self.rewards[:, step], self.ended[:, step], self.cut[:, step] = game.rewards, game.ended, game.cut
        over: np.ndarray = game.ended | game.cut
        if over.any():
            self.outcome[over, step] = np.where(self.table.held()[over], game.outcome[over], np.nan)
        if game.cut.any() and not self.limit_ends:
            self._value_of_cut(step)
        return over

    def _value_of_cut(self, step: int) -> None:
        """The value of the positions in which a time limit ended the game, for the seats that were to decide."""
        games = np.flatnonzero(self.game.cut & ~self.game.ended)
        views = {name: view[games].flatten(0, 1).to(self.device) for name, view in self.now.items()}
        views |= self._remembered(games)
        value = self.nets.get("critic", self.nets["net"])(views)["value"].unflatten(0, (len(games), -1))
        self.cut_value[:, step] = np.nan
        left = np.where(self.game.acting[games], value.float().cpu().numpy(), 0)  # who is out earns nothing more
        self.cut_value[games[:, None], step, self.game.seat[games]] = left

    @torch.no_grad()
    def seen_by(self, net: nn.Module, role: str) -> dict[str, Tensor]:
        """What a net makes of every row of the segment; it looks at what the net of that role does."""
        views = {name: self.views[name].flatten(0, 2) for name in self.looks_at[role]}
        pieces = zip(*(torch.split(view, _PIECE) for view in views.values()), strict=True)
        parts = [net(dict(zip(views, piece, strict=True))) for piece in pieces]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def estimate(self, discount: float, trace: float, reward_scale: float) -> None:
        """Estimate the advantages of the segment that was played last."""
        rewards = self.rewards if self.units is None else self.units.in_units(self.rewards)
        advantage, known = np.zeros(self.value.shape, np.float32), np.zeros(self.value.shape, bool)
        advantages(
            rewards * np.float32(reward_scale), self.views["seat"].cpu().numpy(), self.acting,
            self.value.cpu().numpy(), self.ended, self.cut, self.cut_value,
            np.float32(discount), np.float32(trace), advantage, known,
        )  # fmt: skip
        self.advantage = torch.from_numpy(advantage.reshape(-1)).to(self.device)
        self.returns = self.advantage + self.value.view(-1)
        self.rows = torch.from_numpy(np.flatnonzero(known & self.own)).to(self.device)

    def outcomes(self) -> np.ndarray:
        """The scores, in the games that ended in this segment, of the seats that the net held itself."""
        scores: np.ndarray = self.outcome[~np.isnan(self.outcome)]
        return scores

    def state(self) -> dict[str, Any]:
        """The games in mid-play, as far as they can be kept, who sits where, and the random state."""
        return {
            "game": self.game.records.copy(),
            "returns": None if self.units is None else self.units.state(),
            "memory": {name: part.cpu().numpy() for name, part in self.memory.items()},
            "generator": self.generator.get_state(),
            "table": self.table.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Put everything where `state` left it."""
        self.game.resume(state["game"])
        if self.units is not None:
            self.units.load(state["returns"], self.game.resumes)
        for name, part in self.memory.items():
            part[:] = torch.from_numpy(state["memory"][name]) if self.game.resumes else self.fresh[name]
        self.generator.set_state(state["generator"])
        self.table.load(state["table"])
