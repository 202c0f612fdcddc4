"""What batch statistics and dropout do to PPO's ratio before the first update: results/territory_ratio.json.

Each net plays a segment as it plays, and is then asked, as it learns, how likely it would have done the same: without
an update between the two the ratio should be 1. Told before any training and after some.

    python benchmarks/territory_ratio.py [--iterations 30]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import torch

from common import keep
from velodrome.learn.ppo import SelfPlay
from velodrome.meter.clock import Clock
from velodrome.recipes import find

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "attention, as published": ("territory-attention", {}),
    "attention, steady": ("territory-attention", {"steady": True}),
    "flatten (dropout)": ("territory-flatten", {}),
    "cross": ("territory", {"games": 12}),
}
MINIBATCH, CLIP = 128, 0.2


def ratios_of(trainer: SelfPlay) -> torch.Tensor:
    """Of every decision of a segment, in minibatches."""
    (lane,) = trainer.lanes
    lane.play(Clock(enabled=False))
    lane.estimate()
    found = []
    with torch.no_grad():
        for rows in lane.shuffle().split(MINIBATCH):
            views, action, before, *_ = lane._batch(rows)
            now, _ = lane.actions.log_prob_and_entropy(trainer.nets["net"](views), action, views)
            found.append((now - before).exp())
    return torch.cat(found)


def measured(name: str, iterations: int) -> dict[str, Any]:
    """The net at first, and after some training."""
    recipe, changes = ARMS[name]
    own = replace(find(recipe).settings(), lanes=1, **changes)
    ppo = replace(own.ppo, batch=1536, minibatch=MINIBATCH)
    trainer = find(recipe).build(replace(own, ppo=ppo), 0, "cpu")
    line: dict[str, Any] = {"net": name}
    for when in ("new", "trained"):
        if when == "trained":
            for _ in range(iterations):
                trainer.iterate(Clock(enabled=False))
        ratio = ratios_of(trainer)
        off = (ratio - 1).abs()
        line |= {
            f"{when}, median off": float(off.median()), f"{when}, p95 off": float(off.quantile(0.95)),
            f"{when}, clipped": float((off > CLIP).float().mean()),
        }  # fmt: skip
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=30)
    iterations = parser.parse_args().iterations
    keep("territory_ratio", [measured(name, iterations) for name in ARMS], iterations=iterations)


if __name__ == "__main__":
    main()
