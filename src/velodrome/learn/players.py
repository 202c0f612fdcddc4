"""Who may sit at a game: policies, trainers and bots, behind one small interface."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from velodrome.games.game import Array, Box, Game, Simplex, Spec
from velodrome.learn.actions import Actions
from velodrome.learn.trainer import Memory, Policy, Trainer, Views

Player = Policy | Trainer | str
"""A policy, a trainer (as it now stands), or a bot of the game by name; "random" can play every game."""


def rival_of(spec: Spec) -> str | None:
    """The last and strongest of a game's bots; nobody where all seats are on one side, or all bots play at random."""
    return None if spec.together or spec.seats == 1 or set(spec.bots) <= {"random"} else spec.bots[-1]


class Seated:
    """A player at the tables of one game."""

    def decide(self, rows: Array) -> dict[str, Array]:
        """Actions in the rows `[games, K]` that are marked; what stands in the others means nothing."""
        raise NotImplementedError

    def begin(self, games: Array) -> None:
        """Forget what is remembered of the games `[games]` that are marked."""

    def chances(self, rows: Array) -> dict[str, Array]:
        """How likely each thing is in the marked rows, for the parts of the action that choose one: `[marked, n]`.
        Empty for a player that does not weigh them. Nothing is decided, and nothing remembered of it."""
        return {}


def seated(player: Player, game: Game, *, number: int = 0, greedy: bool = False, device: str = "cpu") -> Seated:
    """Seat a player; players of different `number` at one game draw different random numbers."""
    if isinstance(player, str) and (player in game.spec.bots or player != "random"):
        return _Bot(player, game)
    if isinstance(player, str):
        return _Deciding(RandomPolicy(game.spec), game, game, number, "cpu")
    policy = player.policy(greedy) if hasattr(player, "policy") else player
    return _Deciding(policy, game, eyes_of(player, game), number, device)


def eyes_of(player: Policy | Trainer, game: Game) -> Game:
    """The game whose views a player decides on: `game`, or, for a trainer that learnt on another observation of it, a
    game of that kind that is shown the same records."""
    own = getattr(player, "game", None)
    if own is None or own.spec.views == game.spec.views:
        return game
    if own.spec.name != game.spec.name or own.record != game.record or own.spec.action != game.spec.action:
        raise ValueError(f"a player of {own.spec.name} with these settings cannot play {game.spec.name} with those")
    eyes: Game = own.again(game.games)
    return eyes


class _Bot(Seated):
    def __init__(self, name: str, game: Game):
        self.name, self.game = name, game

    def decide(self, rows: Array) -> dict[str, Array]:
        return self.game.bot(self.name)


class _Deciding(Seated):
    """A policy, with a memory for each seat of each game."""

    def __init__(self, policy: Policy, game: Game, eyes: Game, number: int, device: str):
        self.policy, self.game, self.eyes = policy, game, eyes
        seed = np.random.SeedSequence([game.seed, game.first, number]).generate_state(1)
        self.generator = torch.Generator(device).manual_seed(int(seed[0]))
        self.memory = policy.start(game.games * game.spec.seats)

    def begin(self, games: Array) -> None:
        which = torch.from_numpy(np.repeat(games, self.game.spec.seats).nonzero()[0])
        for name, value in self.policy.start(len(which)).items():
            self.memory[name][which] = value

    @torch.no_grad()
    def decide(self, rows: Array) -> dict[str, Array]:
        spec, which = self.game.spec, np.flatnonzero(rows)
        action: dict[str, Array] = {part.name: np.zeros((rows.size, *part.shape), part.dtype) for part in spec.action}
        if which.size:
            views, trajectory = self._views(which)
            remembered = {name: value[trajectory] for name, value in self.memory.items()}
            chosen, after = self.policy.act(views, remembered, self.generator)
            for name, value in after.items():
                self.memory[name][trajectory] = value
            for name, part in chosen.items():
                action[name][which] = part.cpu().numpy()
        return {name: part.reshape(rows.shape + part.shape[1:]) for name, part in action.items()}

    def chances(self, rows: Array) -> dict[str, Array]:
        if not hasattr(self.policy, "chances"):
            return {}
        views, trajectory = self._views(np.flatnonzero(rows))
        weighed = self.policy.chances({**views, **{name: value[trajectory] for name, value in self.memory.items()}})
        return {name: part.numpy() for name, part in weighed.items()}

    def _views(self, which: Array) -> tuple[dict[str, Tensor], Tensor]:
        """What is seen in these rows, and which trajectory each of them goes on with."""
        if self.eyes is not self.game:
            self.eyes.restore(self.game.records)
        views = {"seat": torch.from_numpy(self.game.seat.reshape(-1)[which])}
        views["game"] = torch.from_numpy(which // self.game.spec.deciders)
        for name, view in self.eyes.spec.views.items():
            if not view.private:
                views[name] = torch.from_numpy(self.eyes.views[name].reshape(-1, *view.shape)[which])
        return views, torch.from_numpy(which // self.game.spec.deciders * self.game.spec.seats) + views["seat"]


class RandomPolicy:
    """Plays anything legal with equal chance: an opponent that every game has."""

    def __init__(self, spec: Spec):
        self.actions = Actions(spec.action)

    def start(self, rows: int) -> Memory:
        """Nothing to remember."""
        return {}

    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        """The action, and nothing remembered."""
        rows = len(views["seat"])
        even = {part.name: -100.0 for part in self.actions.parts if isinstance(part, Simplex)}
        outputs = {name: torch.full((rows, n), even.get(name, 0.0)) for name, n in self.actions.heads.items()}
        action, _ = self.actions.sample(outputs, views, generator)
        for part in self.actions.parts:
            if isinstance(part, Box):
                action[part.name].uniform_(part.low, part.high, generator=generator)
        return action, {}
