"""Random play of a game of many agents through `bot`, `step` and `reset`, everything seen, a turn so many steps.

Argument: `{game, options, games, steps, threads}`, and `apart` where games are to be at different points first.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE)]
from turns import Record, take_turns  # noqa: E402

import velodrome  # noqa: E402
from velodrome.games import make  # noqa: E402
from velodrome.games.game import Game  # noqa: E402


def play_randomly(game: Game, steps: int) -> int:
    """So many steps of every game, those that are over started anew. Returns how many that is in all."""
    for _ in range(steps):
        game.step(game.bot("random"))
        over = game.ended | game.cut
        if over.any():
            game.reset(over)
    return steps * game.games


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    game = make(asked["game"], asked["games"], 0, threads=asked["threads"], **asked["options"])
    if asked.get("apart"):
        luck = np.random.default_rng(0)
        for _ in range(game.spec.longest):
            game.step(game.bot("random"))
            game.reset(game.ended | game.cut | (luck.random(game.games) < 0.02))

    def turn() -> Record:
        began = time.perf_counter()
        steps = play_randomly(game, asked["steps"])
        return {"seconds": time.perf_counter() - began, "steps": steps}

    turn()
    take_turns(turn, {"side": "Velodrome", "version": velodrome.__version__})


if __name__ == "__main__":
    main()
