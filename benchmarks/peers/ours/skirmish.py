"""Random play of Skirmish through `bot`, `step` and `reset`, everything seen, a turn so many steps.

Argument: `{map, games, steps, threads}`.
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
from velodrome.games.skirmish import Skirmish  # noqa: E402


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    game = Skirmish(asked["games"], 0, asked["threads"], map=asked["map"])
    apart = np.random.default_rng(0)
    for _ in range(game.spec.longest):
        game.step(game.bot("random"))
        game.reset(game.ended | game.cut | (apart.random(game.games) < 0.02))

    def turn() -> Record:
        began = time.perf_counter()
        for _ in range(asked["steps"]):
            game.step(game.bot("random"))
            over = game.ended | game.cut
            if over.any():
                game.reset(over)
        return {"seconds": time.perf_counter() - began, "steps": asked["steps"] * asked["games"]}

    take_turns(turn, {"side": "Velodrome", "version": velodrome.__version__})


if __name__ == "__main__":
    main()
