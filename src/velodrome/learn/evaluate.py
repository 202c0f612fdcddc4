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

from velodrome.games import make
from velodrome.games.game import Array, Game, Spec
from velodrome.learn.players import Player, Seated, seated
from velodrome.runs.datasets import Recorder

Maker = Callable[..., Game]

_BLOCK_BYTES = 64 * 2**20


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
    mean_return: float
    """What the hero's seats earned in a game, on average."""
    cut: float
    """The part of the games that a time limit cut off; the others were over by their rules."""

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
    record: Recorder | None = None,
) -> Evaluation:
    """Play `episodes` starts, `hero` in one seat and `against` in all others, or `hero` in all seats without it.

    `game` is a game to play more of, its name, or a function that makes it. `greedy` is for trainers, which are asked
    for a policy of that kind. `device` is where policies compute, so where they want their random numbers. `record` is
    told all that is seen and done.
    """
    if episodes < 2:
        raise ValueError(f"episodes={episodes}: a standard error needs at least two")
    maker = maker_of(game)
    one = maker(games=1, seed=seed)
    spec = one.spec
    if against is not None and spec.seats == 1:
        raise ValueError(f"{spec.name} has one seat: there is nobody to play against")
    duplicate = spec.duplicate if against is not None else 1
    block = max(1, _games_side_by_side(one) // duplicate)
    blocks = []
    for first in range(0, episodes, block):
        games = min(block, episodes - first) * duplicate
        slots = maker(games=games, seed=seed, threads=threads, first=first * duplicate, duplicate=duplicate > 1)
        players = [
            seated(player, slots, number=number, greedy=greedy, device=device)
            for number, player in enumerate((hero, against))
            if player is not None
        ]
        blocks.append(_play(slots, players, record))
    return _summary(spec, blocks, episodes, duplicate)


def maker_of(game: Game | str | Maker) -> Maker:
    """A function `(games, seed, threads, first, duplicate) -> Game` for more of the same game."""
    if isinstance(game, str):
        return partial(make, game)
    return game.again if isinstance(game, Game) else game


def _games_side_by_side(game: Game) -> int:
    """As many as fill a modest memory. It depends on the game alone, because a sampled action depends on the rows
    beside it through the shared generator."""
    spec = game.spec
    row = sum(math.prod(view.shape) * np.dtype(view.dtype).itemsize for view in spec.views.values())
    return max(1, min(game.side_by_side, _BLOCK_BYTES // max(1, row * spec.deciders)))


@dataclass
class _Played:
    """What a block of games came to, `hero [games, seats]` marking the hero's seats."""

    outcome: Array
    earned: Array
    hero: Array
    cut: Array
    game_steps: int
    decisions: int


def _play(game: Game, players: list[Seated], record: Recorder | None) -> _Played:
    """Play every slot once to its end. The first player is the hero, seated by the number of the game."""
    hero = np.ones((game.games, game.spec.seats), np.bool_)
    if len(players) > 1:
        hero = (game.first + np.arange(game.games))[:, None] % game.spec.seats == np.arange(game.spec.seats)
    outcome, earned = np.zeros(hero.shape), np.zeros(hero.shape)
    live, cut = np.ones(game.games, np.bool_), np.zeros(game.games, np.bool_)
    steps = decisions = 0
    for _ in range(game.spec.longest):
        if not live.any():
            break
        rows = live[:, None] & game.acting
        heros = np.take_along_axis(hero, game.seat, 1)
        action = players[0].decide(rows & heros)
        for rival in players[1:]:
            others = rival.decide(rows & ~heros)
            action = {name: np.where(_wide(heros, part), part, others[name]) for name, part in action.items()}
        steps += int(live.sum())
        decisions += int((rows & heros).sum())
        if record is not None:
            record.before(game, live, action)
        game.step(action)
        over = live & (game.ended | game.cut)
        if record is not None:
            record.after(game, live, over)
        outcome[over] = game.outcome[over]
        cut |= over & ~game.ended
        earned += game.rewards * live[:, None]
        live = live & ~over
    if live.any():
        raise RuntimeError(f"{game.spec.name}: a game is not over after the {game.spec.longest} steps that it declares")
    return _Played(outcome, earned, hero, cut, steps, decisions)


def _wide(mask: Array, like: Array) -> Array:
    return mask.reshape(mask.shape + (1,) * (like.ndim - mask.ndim))


def _summary(spec: Spec, blocks: list[_Played], episodes: int, duplicate: int) -> Evaluation:
    outcome, hero = np.concatenate([b.outcome for b in blocks]), np.concatenate([b.hero for b in blocks])
    per_game = (outcome * hero).sum(1) / hero.sum(1)
    earned = (np.concatenate([b.earned for b in blocks]) * hero).sum(1) / hero.sum(1)
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
        mean_return=float(earned.mean()),
        cut=float(np.concatenate([b.cut for b in blocks]).mean()),
        game_steps=sum(b.game_steps for b in blocks),
        decisions=sum(b.decisions for b in blocks),
    )
