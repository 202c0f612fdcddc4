"""Our PPO loop on the smallest game, a turn an iteration.

Argument: `{games, lanes, threads, minibatch, epochs, horizon}`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]
from turns import Record, take_turns  # noqa: E402

import velodrome  # noqa: E402
from square import Square, SquareNet  # noqa: E402
from velodrome.learn.ppo import Ppo, SelfPlay  # noqa: E402
from velodrome.meter.clock import Clock  # noqa: E402


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    torch.manual_seed(0)
    ppo = Ppo(
        batch=asked["games"] * asked["horizon"], minibatch=asked["minibatch"], epochs=asked["epochs"],
        rate=3e-3, discount=0.95, trace=0.9, entropy=0.001, value=2.0, gradient_clip=1.5,
    )  # fmt: skip
    trainer = SelfPlay(Square(asked["games"], seed=0), SquareNet(), ppo, lanes=asked["lanes"])
    clock = Clock()

    def turn() -> Record:
        clock.lap()
        began = time.perf_counter()
        progress = trainer.iterate(clock)
        seconds = time.perf_counter() - began
        spans = clock.lap().spans
        collect_s = sum(span.ns for name, span in spans.items() if name.startswith("collect.")) / 1e9
        told = {"seconds": seconds, "collect_s": collect_s, "learn_s": seconds - collect_s}
        samples = progress.counts.learner_samples // asked["epochs"]
        return told | {"steps": samples, "score": progress.metrics.get("score")}

    parameters = sum(parameter.numel() for parameter in trainer.nets["net"].parameters())
    take_turns(turn, {"side": "Velodrome", "version": velodrome.__version__, "parameters": parameters})


if __name__ == "__main__":
    main()
