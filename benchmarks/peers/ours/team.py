"""MADDPG or QMIX on spread, as many frames and updates a turn as asked for.

Argument: `{algorithm, agents, games, frames, updates, batch, widths, threads}`; a frame is a step of one game.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE)]
from turns import Record, take_turns  # noqa: E402

import velodrome  # noqa: E402
from velodrome.meter.clock import Clock  # noqa: E402
from velodrome.recipes import find  # noqa: E402

LONGEST = 25


def maddpg(asked: Record) -> tuple[Any, int]:
    """The settings, and the iterations of a turn: one update each."""
    own, between = find("spread-maddpg").settings(), asked["frames"] // asked["updates"]
    learn = replace(own.maddpg, batch=asked["batch"], between=between, warm_up=asked["frames"], shared=True)
    return replace(own, games=min(asked["games"], between), widths=tuple(asked["widths"]), maddpg=learn), asked[
        "updates"
    ]


def qmix(asked: Record) -> tuple[Any, int]:
    """The settings, and the iterations of a turn: as many whole games as make up its frames, and all updates."""
    own = find("spread-qmix").settings()
    value = replace(own.value, batch=round(asked["batch"] / LONGEST), updates=asked["updates"])
    return replace(own, games=asked["frames"] // LONGEST, width=asked["widths"][0], value=value), 1


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    settings, iterations = {"maddpg": maddpg, "qmix": qmix}[asked["algorithm"]](asked)
    settings = replace(settings, agents=asked["agents"], convention="vmas")
    trainer = find(f"spread-{asked['algorithm']}").build(settings, 0, "cpu")
    clock = Clock(enabled=False)
    while not trainer.iterate(clock).counts.learner_samples:
        pass

    def turn() -> Record:
        began, frames = time.perf_counter(), 0
        for _ in range(iterations):
            frames += trainer.iterate(clock).counts.game_steps
        return {"seconds": time.perf_counter() - began, "frames": frames, "updates": asked["updates"]}

    turn()
    take_turns(turn, {"side": "Velodrome", "version": velodrome.__version__, "torch": torch.__version__})


if __name__ == "__main__":
    main()
