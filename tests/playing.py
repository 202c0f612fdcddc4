"""Playing any game without knowing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from velodrome.games.game import Array, Game
from velodrome.learn.players import RandomPolicy


def bots_in_turn(game: Game) -> Iterator[dict[str, Array]]:
    """What every bot of the game would do, one bot a step; a game's play does not depend on those beside it."""
    while True:
        for name in game.spec.bots:
            yield game.bot(name)


def random_actions(game: Game, seed: int = 0) -> Iterator[dict[str, Array]]:
    """Anything legal, by the masks alone."""
    policy, generator = RandomPolicy(game.spec), torch.Generator().manual_seed(seed)
    while True:
        seen: dict[str, Any] = {name: torch.from_numpy(view).flatten(0, 1) for name, view in game.views.items()}
        seen["seat"] = torch.from_numpy(game.seat).flatten()
        action, _ = policy.act(seen, {}, generator)
        yield {name: part.unflatten(0, game.seat.shape).numpy() for name, part in action.items()}


def nothing(game: Game) -> dict[str, Array]:
    """An action of zeros, for games that have ended."""
    return {part.name: np.zeros(game.seat.shape + part.shape, part.dtype) for part in game.spec.action}


def shown(game: Game) -> dict[str, Array]:
    """A copy of everything that a game shows."""
    arrays = {name: getattr(game, name) for name in ("seat", "acting", "rewards", "ended", "cut")}
    return {name: array.copy() for name, array in (arrays | game.views).items()} | {"records": game.records.copy()}


def play_on(game: Game, steps: int, actions: Iterator[dict[str, Array]] | None = None) -> list[dict[str, Array]]:
    """Play, starting the next game wherever one is over, and keep everything that was shown."""
    actions = bots_in_turn(game) if actions is None else actions
    history = [shown(game)]
    for _ in range(steps):
        game.step(next(actions))
        over = game.ended | game.cut
        history.append(shown(game) | {"outcome": game.outcome * over[:, None]})
        game.reset(over)
        history.append(shown(game))
    return history


def assert_same(one: list[dict[str, Array]], other: list[dict[str, Array]], rows: slice = slice(None)) -> None:
    """The first history equals the slots `rows` of the second."""
    assert len(one) == len(other)
    for step, (left, right) in enumerate(zip(one, other, strict=True)):
        for name in left:
            np.testing.assert_array_equal(left[name], right[name][rows], f"{name} after {step} steps")
