"""Our own recipe on Hearts as a side of the benchmarks, a turn an iteration.

Argument: `{recipe, seed, threads, ...}`; all else are settings of the recipe, those of a group such as `ppo` in an
object of that name.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from turns import Record, take_turns

import velodrome
from velodrome.meter.clock import Clock
from velodrome.recipes.recipe import find


def build(argument: Record, threads: int, seed: int) -> Any:
    """The trainer with the recipe's defaults where the argument says nothing."""
    recipe = find(argument.pop("recipe"))
    settings = recipe.settings()
    for name, value in argument.items():
        of_a_group = isinstance(value, dict)
        settings = dataclasses.replace(
            settings, **{name: dataclasses.replace(getattr(settings, name), **value) if of_a_group else value}
        )
    torch.set_num_threads(threads)
    return recipe.build(settings, seed, "cpu")


def main() -> None:
    argument: Record = json.loads(sys.argv[1])
    trainer = build(argument, argument.pop("threads", 1), argument.pop("seed", 0))
    clock = Clock()

    def turn() -> Record:
        began = time.perf_counter()
        clock.lap()
        progress = trainer.iterate(clock)
        seconds = time.perf_counter() - began
        spans = clock.lap().spans
        collect_s = sum(span.ns for name, span in spans.items() if name.startswith("collect.")) / 1e9
        counts, minibatch = progress.counts, trainer.settings.minibatch
        return {
            "seconds": seconds,
            "collect_s": collect_s,
            "learn_s": seconds - collect_s,
            "steps": counts.decisions,
            "minibatches": counts.learner_samples // minibatch,
            "samples": counts.learner_samples,
        }

    parameters = sum(parameter.numel() for net in trainer.nets.values() for parameter in net.parameters())
    take_turns(turn, {"side": "Velodrome", "version": velodrome.__version__, "parameters": parameters})


if __name__ == "__main__":
    main()
