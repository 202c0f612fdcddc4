"""Teams: the agents of a game that all act at once and may talk to each other, played a segment of rows at a time, as
`nets.team` has it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from velodrome.games.game import Array, Game
from velodrome.learn.actions import Actions
from velodrome.learn.trainer import Counts, Memory, Telling, Views
from velodrome.meter.clock import Clock
from velodrome.nets.team import Outputs, Played, TeamNet


class Spans:
    """Times what a net says of itself, on a clock."""

    def __init__(self, clock: Clock, parent: str, own: str):
        self._clock, self._parent, self._own = clock, parent, own

    def own(self) -> AbstractContextManager[Any]:
        """Each agent by itself."""
        return self._clock(f"{self._parent}.{self._own}")

    def communicate(self) -> AbstractContextManager[Any]:
        """Deciding whom to tell what, gathering it, and reading it in: communication in the narrow sense."""
        return self._clock(f"{self._parent}.communicate")

    def comprehend(self) -> AbstractContextManager[Any]:
        """What would not be there without others, beyond that: with it, communication in the broad sense."""
        return self._clock(f"{self._parent}.comprehend")


NEVER = np.iinfo(np.int64).max
UNTIMED = Spans(Clock(enabled=False), "collect", "infer")


class Table:
    """The games of a team, and the segment that it played last."""

    def __init__(
        self, game: Game, net: TeamNet, rows: int, generator: torch.Generator, device: str, apart: bool = False
    ):
        """Segments have `rows` rows to act in, and one to look at. To keep the games `apart`, the first of each slot is
        broken off, each at another time: else games that take as long as each other are all at the same point."""
        spec = game.spec
        if spec.deciders != spec.seats:
            raise ValueError(f"{spec.name}: its players take turns; a team acts at once")
        self.game, self.net, self.generator, self.device = game, net, generator, device
        self.actions, shape = Actions(spec.action), (rows, game.games, spec.seats)
        self.over = np.zeros(game.games, np.bool_)
        """Games that have been looked at for the last time."""
        self.left = np.full(game.games, NEVER)
        """Steps until a game is broken off."""
        if apart:
            self.left = spec.longest * np.arange(1, game.games + 1) // game.games
        started = net.start(game.games * spec.seats)
        self.memory = {name: in_teams(part.to(device), spec.seats) for name, part in started.items()}
        wanted = dict.fromkeys([*net.wants, *self.actions.masks])
        self.now = {name: torch.from_numpy(game.views[name]) for name in wanted}
        self.played = Played(
            {name: self._empty((rows + 1, *view.shape), view.dtype) for name, view in self.now.items()},
            {name: torch.empty_like(part) for name, part in self.memory.items()},
            self._empty((rows + 1, game.games), torch.bool),
            {},
            {
                part.name: self._empty(shape + part.shape, torch.from_numpy(np.zeros(0, part.dtype)).dtype)
                for part in spec.action
            },
            self._empty(shape),
            self._empty((rows, game.games), torch.bool),
            self._empty((rows + 1, game.games), torch.bool),
        )
        self.outcomes = np.zeros(0, np.float32)
        """The scores of the games that ended in the last segment."""

    def _empty(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)

    @torch.no_grad()
    def play(self, clock: Clock) -> Counts:
        """Play a segment into `played`."""
        game, played, spans, scores = self.game, self.played, Spans(clock, "collect", "infer"), []
        rows, steps = len(played.reward), 0
        with getattr(self.net, "settled", nullcontext)(spans):
            for row in range(rows):
                with clock("collect.reset"):
                    begins = self._begin()
                with clock("collect.encode"):
                    views, looks = self._look(row, begins)
                outputs, memory, kept = self.net.act(views, self.memory, spans, self.generator)
                with clock("collect.infer"):
                    action = self._sample(outputs, views)
                with clock("collect.step"):
                    game.step({name: part.cpu().numpy() for name, part in action.items()})
                    self.left -= 1
                with clock("collect.encode"):
                    self.memory, self.over = memory, looks
                    self._keep(row, kept, action)
                    scores.append(game.outcome[(game.ended | game.cut) & ~looks].mean(1))
                    steps += int((~looks).sum())
        with clock("collect.reset"):
            begins = self._begin()
        with clock("collect.encode"):
            _, self.over = self._look(rows, begins)
            played.looks[rows] = True
            self.outcomes = np.concatenate(scores)
        return Counts(steps, steps * game.spec.seats)

    def _begin(self) -> Array:
        """Begin the next of the games that have been looked at for the last time; says which."""
        begins = self.over
        if begins.any():
            self.left[begins] = NEVER
            self.game.reset(begins)
            seats, which = self.game.spec.seats, torch.from_numpy(begins)
            for name, part in self.net.start(int(begins.sum()) * seats).items():
                self.memory[name] = self.memory[name].clone()  # the net may have kept it
                self.memory[name][which] = in_teams(part.to(self.device), seats)
        return begins

    def _look(self, row: int, begins: Array) -> tuple[dict[str, Tensor], Array]:
        """Keep what is seen now; returns it, and which games are looked at for the last time."""
        game, played = self.game, self.played
        looks: Array = game.ended | game.cut | (self.left == 0)
        if row == 0:
            for name, part in self.memory.items():
                played.memory[name].copy_(part)
        for name, view in self.now.items():
            played.views[name][row] = view
        played.fresh[row] = torch.from_numpy(begins)
        played.looks[row] = torch.from_numpy(looks)
        return {name: played.views[name][row] for name in self.now}, looks

    def _sample(self, outputs: Outputs, views: Views) -> dict[str, Tensor]:
        flat = {name: part.flatten(0, 1) for name, part in outputs.items() if name in self.actions.heads}
        masks = {name: views[name].flatten(0, 1) for name in self.actions.masks}
        action, _ = self.actions.sample(flat, masks, self.generator)
        return {name: in_teams(part, self.game.spec.seats) for name, part in action.items()}

    def _keep(self, row: int, kept: Mapping[str, Tensor], action: Mapping[str, Tensor]) -> None:
        """Keep what was done, and what it brought."""
        game, played = self.game, self.played
        for name, part in kept.items():
            if name not in played.kept:
                played.kept[name] = self._empty((len(played.reward), *part.shape), part.dtype)
            played.kept[name][row] = part
        for name, part in action.items():
            played.action[name][row] = part
        played.reward[row] = torch.from_numpy(game.rewards)
        played.ended[row] = torch.from_numpy(game.ended)

    def state(self) -> dict[str, Any]:
        """The games in mid-play, what is remembered, and the random state."""
        return {
            "game": self.game.records.copy(),
            "over": self.over,
            "left": self.left,
            "memory": self.memory,
            "generator": self.generator.get_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Put everything where `state` left it."""
        self.game.resume(state["game"])
        self.over = np.asarray(state["over"], np.bool_) if self.game.resumes else np.zeros_like(self.over)
        self.left = np.array(state["left"], np.int64)
        seats = self.game.spec.seats
        for name, part in self.net.start(self.over.size * seats).items():
            kept = state["memory"][name] if self.game.resumes else in_teams(part, seats)
            self.memory[name] = torch.as_tensor(kept).to(self.device)
        self.generator.set_state(torch.as_tensor(state["generator"]))


class TeamPolicy(Telling):
    """Plays all seats of each game with nets that may talk to each other; without chance where `greedy`."""

    def __init__(self, net: TeamNet, actions: Actions, seats: int, greedy: bool, device: str):
        self.net, self.actions, self.seats, self.greedy, self.device = net, actions, seats, greedy, device

    def start(self, rows: int) -> Memory:
        """What each agent remembers at first."""
        return {name: part.cpu() for name, part in self.net.start(rows).items()}

    @torch.no_grad()
    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        """An action for every row; the rows are all those of some games."""
        order = torch.argsort(views["game"] * self.seats + views["seat"])
        if len(order) % self.seats or (views["seat"][order] != torch.arange(len(order)) % self.seats).any():
            raise ValueError("this team plays all seats of a game together: nobody else can hold one")
        masks = {name: views[name].to(self.device) for name in self.actions.masks}
        there = {name: in_teams(views[name][order].to(self.device), self.seats) for name in self.net.wants}
        before = {name: in_teams(part[order].to(self.device), self.seats) for name, part in memory.items()}
        outputs, after, _ = self.net.act(there, before, UNTIMED, generator, self.greedy)
        back = torch.argsort(order).to(self.device)
        told = outputs if self.heard else {name: outputs[name] for name in self.actions.heads}
        flat = {name: part.flatten(0, 1)[back] for name, part in told.items()}
        self.tell(self.net, flat, views)
        action, _ = self.actions.sample(flat, masks, generator, self.greedy)
        return {name: part.cpu() for name, part in action.items()}, {
            name: part.flatten(0, 1)[back].cpu() for name, part in after.items()
        }


def in_teams(rows: Tensor, agents: int) -> Tensor:
    """`[games * agents, ...]` as `[games, agents, ...]`."""
    return rows.view(-1, agents, *rows.shape[1:])


def returns(
    played: Played, value: Tensor, reward: Tensor, discount: float, trace: float = 1.0
) -> tuple[Tensor, Tensor]:
    """What each row turned out to be worth, and how much more than `value [rows, games, ...]` said, both `[rows - 1,
    games, ...]`: returns to the end of the segment, or with a trace under 1 the advantages of Schulman et al. 2016.

    `reward [rows - 1, games, ...]` is shaped as values are. Last looks are worth what they are said to be.
    """
    wide = played.looks.shape + (1,) * (value.dim() - 2)
    goes_on = (~played.ended).view(len(played.ended), *wide[1:]).float() * discount
    decides = (~played.looks).view(wide).float()
    advantage, after = torch.empty_like(reward), torch.zeros_like(value[0])
    for row in range(len(reward) - 1, -1, -1):
        surprise = reward[row] + goes_on[row] * value[row + 1] - value[row]
        after = (surprise + goes_on[row] * trace * after) * decides[row]
        advantage[row] = after
    return advantage + value[:-1], advantage
