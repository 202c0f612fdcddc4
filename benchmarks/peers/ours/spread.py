"""Random play of Spread through `bot`, `step` and `reset`, everything seen, a turn so many steps.

Argument: `{agents, games, steps, threads}`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE)]
from turns import Record, take_turns  # noqa: E402

import velodrome  # noqa: E402
from velodrome.games.particles import Spread  # noqa: E402


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    game = Spread(
        asked["games"], 0, asked["threads"], agents=asked["agents"], control="choice", convention="pettingzoo"
    )

    def turn() -> Record:
        began = time.perf_counter()
        for _ in range(asked["steps"]):
            game.step(game.bot("random"))
            over = game.ended | game.cut
            if over.any():
                game.reset(over)
        return {"seconds": time.perf_counter() - began, "steps": asked["steps"] * asked["games"]}

    turn()
    take_turns(turn, {"side": "Velodrome", "version": velodrome.__version__})


if __name__ == "__main__":
    main()
