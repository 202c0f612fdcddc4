"""What the scripted players of Arena earn in a game of a minute: results/arena_bots.json.

The returns of `random` and `teacher` are the two ends of the scale on which the game scores, RANDOM_RETURN and
TEACHER_RETURN in `velodrome.games.arena.game`. Of the teacher it is also told what share of the time it is in each
mode, and what that earns in a minute.

python benchmarks/arena_bots.py [GAMES]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from common import keep
from velodrome.games.arena.bots import BOTS
from velodrome.games.arena.game import MINUTE, Arena
from velodrome.games.arena.teacher import MODES
from velodrome.games.game import Array

AT_ONCE, THREADS = 1024, 2


def play(bot: str, games: int, first: int) -> tuple[Array, Array, Array, Array]:
    """Play so many games to their end: the records then, which games ended with the ship, and for each mode that the
    teacher would be in the steps in it and what they earned."""
    game = Arena(games, 0, THREADS, first)
    live, steps, earned = np.ones(games, np.bool_), np.zeros(len(MODES)), np.zeros(len(MODES))
    while live.any():
        mode = game.views["mode"][live, 0].copy()
        game.step(game.bot(bot))
        steps += np.bincount(mode, minlength=len(MODES))
        earned += np.bincount(mode, game.rewards[live, 0], minlength=len(MODES))
        live &= ~(game.ended | game.cut)
    return game.records, game.ended, steps, earned


def measure(bot: str, games: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a player comes to, and a row for each mode."""
    blocks = [play(bot, min(AT_ONCE, games - first), first) for first in range(0, games, AT_ONCE)]
    records, ended = (np.concatenate([block[part] for block in blocks]) for part in (0, 1))
    steps, earned = (np.sum([block[part] for block in blocks], axis=0) for part in (2, 3))
    returns = records["returned"]
    row = {
        "player": bot,
        "mean_return": float(returns.mean()),
        "stderr": float(returns.std(ddof=1) / np.sqrt(games)),
        "deaths": float(ended.mean()),
        "kills": float(records["kills"].mean()),
        "boxes": float(records["boxes"].mean()),
    }
    print(row, file=sys.stderr, flush=True)
    shares, rates = steps / steps.sum(), earned / steps * MINUTE
    return row, [
        {"mode": mode, "share": float(share), "earned_a_minute": float(rate)}
        for mode, share, rate in zip(MODES, shares, rates, strict=True)
    ]


def main(games: int) -> None:
    """Every player."""
    rows, modes = zip(*(measure(bot, games) for bot in BOTS), strict=True)
    keep("arena_bots", list(rows), modes_of_the_teacher=modes[-1], games=games)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8 * AT_ONCE)
