"""How well someone plays: one figure with its standard error, for any game and any player.

Every game counts once: game number n of an evaluation is a slot of its own, seeded by n, played from its start to its
end and never again. So short games are not over-represented, nobody's memory outlives a game, and the result depends
on the seed alone, not on how many games are played side by side or on how many threads.

Where `spec.duplicate` is D > 1, each start is played D times with the hero in another seat; the standard error is then
taken over starts, since games of one start are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from velodrome.games import make
from velodrome.games.game import Array, Box, Game, Simplex, Spec
from velodrome.learn.actions import Actions
from velodrome.learn.trainer import Memory, Policy, Trainer, Views

Player = Policy | Trainer | str
"""Who plays: a policy, a trainer (as it now stands), or a bot of the game by name."""
Maker = Callable[..., Game]

_BLOCK_BYTES = 64 * 2**20
_LARGEST_BLOCK = 4096


@dataclass(frozen=True)
class Evaluation:
    """A player's score against an opponent."""

    score: float
    stderr: float
    score_name: str
    better: str
    episodes: int
    """Different starts."""
    duplicate: int
    """Games played from each start, the hero in another seat each time."""
    by_role: dict[str, float]
    """The mean score in each role, where the game has roles."""
    game_steps: int
    decisions: int
    """Of the hero."""

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return asdict(self)


def evaluate(
    hero: Player,
    game: Game | str | Maker,
    against: Player | None = None,
    *,
    episodes: int = 1000,
    seed: int = 0,
    greedy: bool = False,
    threads: int = 1,
    device: str = "cpu",
) -> Evaluation:
    """Play `episodes` starts, `hero` in one seat and `against` in all others, or `hero` in all seats without it.

    `game` is a game to play more of, its name, or a function that makes it. `greedy` is for trainers, which are asked
    for a policy of that kind. `device` is where policies compute, so where they want their random numbers.
    """
    if episodes < 2:
        raise ValueError(f"episodes={episodes}: a standard error needs at least two")
    maker = maker_of(game)
    spec = maker(games=1, seed=seed).spec
    if against is not None and spec.seats == 1:
        raise ValueError(f"{spec.name} has one seat: there is nobody to play against")
    duplicate = spec.duplicate if against is not None else 1
    block = max(1, _games_side_by_side(spec) // duplicate)
    blocks = []
    for first in range(0, episodes, block):
        games, number = min(block, episodes - first) * duplicate, first * duplicate
        slots = maker(games=games, seed=seed, threads=threads, first=number, duplicate=duplicate > 1)
        players = [_seated(player, slots, greedy, device) for player in (hero, against) if player is not None]
        blocks.append(_play(slots, players))
    return _summary(spec, blocks, episodes, duplicate)


def maker_of(game: Game | str | Maker) -> Maker:
    """A function `(games, seed, threads, first, duplicate) -> Game` for more of the same game."""
    if isinstance(game, str):
        return partial(make, game)
    return game.again if isinstance(game, Game) else game


def _games_side_by_side(spec: Spec) -> int:
    """As many as fill a modest memory. It depends on the game alone, because a sampled action depends on the rows
    beside it through the shared generator."""
    row = sum(math.prod(view.shape) * np.dtype(view.dtype).itemsize for view in spec.views.values())
    return max(1, min(_LARGEST_BLOCK, _BLOCK_BYTES // max(1, row * spec.deciders)))


@dataclass
class _Played:
    """What a block of games came to, `hero [games, seats]` marking the hero's seats."""

    outcome: Array
    hero: Array
    game_steps: int
    decisions: int


def _play(game: Game, players: list[_Seated]) -> _Played:
    """Play every slot once to its end. The first player is the hero, seated by the number of the game."""
    hero = np.ones((game.games, game.spec.seats), np.bool_)
    if len(players) > 1:
        hero = (game.first + np.arange(game.games))[:, None] % game.spec.seats == np.arange(game.spec.seats)
    outcome = np.zeros(hero.shape)
    live = np.ones(game.games, np.bool_)
    steps = decisions = 0
    while live.any():
        rows = live[:, None] & game.acting
        heros = np.take_along_axis(hero, game.seat, 1)
        action = players[0].decide(rows & heros)
        for rival in players[1:]:
            others = rival.decide(rows & ~heros)
            action = {name: np.where(_wide(heros, part), part, others[name]) for name, part in action.items()}
        steps += int(live.sum())
        decisions += int((rows & heros).sum())
        game.step(action)
        over = live & (game.ended | game.cut)
        outcome[over] = game.outcome[over]
        live &= ~over
    return _Played(outcome, hero, steps, decisions)


def _wide(mask: Array, like: Array) -> Array:
    return mask.reshape(mask.shape + (1,) * (like.ndim - mask.ndim))


def _summary(spec: Spec, blocks: list[_Played], episodes: int, duplicate: int) -> Evaluation:
    outcome, hero = np.concatenate([b.outcome for b in blocks]), np.concatenate([b.hero for b in blocks])
    per_game = (outcome * hero).sum(1) / hero.sum(1)
    per_start = per_game.reshape(episodes, duplicate).mean(1)
    roles = np.array(spec.roles)
    by_role = {
        str(role): float(outcome[:, roles == role][hero[:, roles == role]].mean())
        for role in np.unique(roles).tolist()
        if hero[:, roles == role].any()
    }
    return Evaluation(
        score=float(per_start.mean()),
        stderr=float(per_start.std(ddof=1) / math.sqrt(episodes)),
        score_name=spec.score.name,
        better=spec.score.better,
        episodes=episodes,
        duplicate=duplicate,
        by_role=by_role,
        game_steps=sum(b.game_steps for b in blocks),
        decisions=sum(b.decisions for b in blocks),
    )


# -- players ------------------------------------------------------------------------------------------------------


class _Seated:
    """A player at the tables of one game: decides in the rows that are given, leaves zeros elsewhere."""

    def decide(self, rows: Array) -> dict[str, Array]:
        raise NotImplementedError


def _seated(player: Player, game: Game, greedy: bool, device: str) -> _Seated:
    if isinstance(player, str) and (player in game.spec.bots or player != "random"):
        return _Bot(player, game)
    if isinstance(player, str):
        return _Acting(RandomPolicy(game.spec), game, "cpu")
    return _Acting(player.policy(greedy) if hasattr(player, "policy") else player, game, device)


class _Bot(_Seated):
    def __init__(self, name: str, game: Game):
        self.name, self.game = name, game

    def decide(self, rows: Array) -> dict[str, Array]:
        return self.game.bot(self.name)


class _Acting(_Seated):
    """A policy, with a memory for each seat of each game."""

    def __init__(self, policy: Policy, game: Game, device: str):
        self.policy, self.game = policy, game
        seed = np.random.SeedSequence([game.seed, game.first]).generate_state(1)
        self.generator = torch.Generator(device).manual_seed(int(seed[0]))
        self.memory = policy.start(game.games * game.spec.seats)

    @torch.no_grad()
    def decide(self, rows: Array) -> dict[str, Array]:
        spec, which = self.game.spec, np.flatnonzero(rows)
        action: dict[str, Array] = {part.name: np.zeros((rows.size, *part.shape), part.dtype) for part in spec.action}
        if which.size:
            views = self._views(which)
            trajectory = torch.from_numpy(which // spec.deciders * spec.seats) + views["seat"]
            remembered = {name: value[trajectory] for name, value in self.memory.items()}
            chosen, after = self.policy.act(views, remembered, self.generator)
            for name, value in after.items():
                self.memory[name][trajectory] = value
            for name, part in chosen.items():
                action[name][which] = part.cpu().numpy()
        return {name: part.reshape(rows.shape + part.shape[1:]) for name, part in action.items()}

    def _views(self, which: Array) -> dict[str, Tensor]:
        views = {"seat": torch.from_numpy(self.game.seat.reshape(-1)[which])}
        for name, view in self.game.spec.views.items():
            if not view.private:
                views[name] = torch.from_numpy(self.game.views[name].reshape(-1, *view.shape)[which])
        return views


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
