"""Independent PPO on spread, a turn so many iterations.

Argument: `{agents, games, rows, epochs, parts, rate, widths, iterations, threads, seed}`, as the peer takes it. A time
limit is an end and errors of values weigh as there; layers pass ReLU (there tanh), and values are not clipped. The turn
tells what a game earned each agent in the mean.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE)]
from turns import Record, take_turns  # noqa: E402

import velodrome  # noqa: E402
from velodrome.meter.clock import Clock  # noqa: E402
from velodrome.recipes import find  # noqa: E402


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    recipe, batch = find("spread-ippo"), asked["games"] * asked["rows"] * asked["agents"]
    own = recipe.settings()
    learn = replace(
        own.ppo, batch=batch, minibatch=batch // asked["parts"], epochs=asked["epochs"], rate=asked["rate"],
        value=0.25, limit_ends=True,
    )  # fmt: skip
    settings = replace(
        own, agents=asked["agents"], games=asked["games"], lanes=asked["threads"], widths=tuple(asked["widths"]),
        ppo=learn,
    )  # fmt: skip
    torch.set_num_threads(1)  # a lane each
    trainer, clock = recipe.build(settings, asked.get("seed", 0), "cpu"), Clock(enabled=False)

    def turn() -> Record:
        began, steps, earned = time.perf_counter(), 0, []
        for _ in range(asked["iterations"]):
            progress = trainer.iterate(clock)
            steps += progress.counts.game_steps
            earned.append(progress.metrics.get("score", float("nan")) / asked["agents"])
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "steps": steps, "return": sum(earned[-5:]) / len(earned[-5:])}

    take_turns(turn, {"side": "Velodrome", "version": velodrome.__version__, "torch": torch.__version__})


if __name__ == "__main__":
    main()
