"""Wall clock of a million game steps of online training, decision transformers on six maps: results/million_steps.json.

Both recipes train in turn in this process, an iteration each, until each one's time for a step is known to 5 % (95 %,
Student's over iterations), or the time is spent and there are six. The hours are that time, a million times. They learn
next to nothing, at a rate of next to nothing: a step costs as much as there are units left to decide, and so both play
on much as they began. Interrupted, it goes on with the next map.

    python -m benchmarks.million_steps [--seconds 300] [--device cpu|cuda]
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import Disturbance, Lines, keep, on_device
from velodrome.learn.trainer import Counts, Trainer
from velodrome.meter.clock import Clock
from velodrome.meter.statistics import mean
from velodrome.recipes import find

SAID_HOURS = {
    "3m": (5.9, 5.8),
    "8m": (7.1, 6.6),
    "3s5z_vs_3s6z": (8.9, 9.4),
    "so_many_baneling": (9.6, 9.8),
    "8m_vs_9m": (10.3, 10.1),
    "corridor": (11.1, 10.4),
}
"""The document's, for MADT and EVAFormer, with StarCraft II on a GPU machine."""
RECIPES = ("skirmish-madt", "skirmish-eva")
STEPS, PRECISION, LEAST = 1_000_000, 0.05, 6
STILL = 1e-9
"""Of a learning rate."""


class Side:
    """One recipe at work."""

    def __init__(self, recipe: str, name: str, device: str):
        found = find(recipe)
        settings = found.settings(map=name)
        settings = replace(settings, ppo=replace(settings.ppo, rate=STILL, critic_rate=STILL))
        self.trainer: Trainer = found.build(settings, 0, device)
        self.clock = Clock()
        self.spent: list[float] = []
        """Seconds for a game step, by iteration."""
        self.done = Counts()
        self.phases: dict[str, float] = {}
        self.iterate(warming=True)

    def iterate(self, warming: bool = False) -> None:
        """One iteration, which counts unless it warms up."""
        self.clock.lap()  # the other side's turn is no part of it
        progress = self.trainer.iterate(self.clock)
        budget = self.clock.lap()
        if warming:
            return
        self.done += progress.counts
        self.spent.append(budget.wall_s / progress.counts.game_steps)
        for phase in budget.phases:
            part = phase.name.split(".")[0]
            self.phases[part] = self.phases.get(part, 0.0) + phase.seconds

    @property
    def precise(self) -> bool:
        """Whether its time for a step is known well enough."""
        if len(self.spent) < LEAST:
            return False
        found = mean(self.spent)
        return found.interval[1] - found.mean <= PRECISION * found.mean

    def row(self, said: float) -> dict[str, Any]:
        """What it comes to."""
        found, whole = mean(self.spent), sum(self.phases.values())
        hours = [bound * STEPS / 3600 for bound in (found.mean, *found.interval)]
        shares = {f"{name} share": spent / whole for name, spent in self.phases.items()}
        row = {"hours": hours[0], "interval": hours[1:], "said hours": said, "iterations": found.n}
        return row | {"decisions a step": self.done.decisions / self.done.game_steps, **shares}


def measured(name: str, seconds: float, device: str) -> list[dict[str, Any]]:
    """Both recipes on this map."""
    sides = [Side(recipe, name, device) for recipe in RECIPES]
    spent = 0.0
    while (spent < seconds or len(sides[0].spent) < LEAST) and not all(side.precise for side in sides):
        for side in sides:
            side.iterate()
        spent = sum(sum(side.phases.values()) for side in sides)
    return [
        {"map": name, "recipe": recipe} | side.row(said)
        for side, recipe, said in zip(sides, RECIPES, SAID_HOURS[name], strict=True)
    ]


def main() -> None:
    """All maps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="for a map, at most")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    record = on_device("million_steps", options.device)
    others, lines = Disturbance(), Lines(record)
    for name in SAID_HOURS:
        if not lines.has(map=name):
            for row in measured(name, options.seconds, options.device):
                lines.add(row)
    figures = lines.rows
    by_map = [
        {
            "map": one["map"],
            "EVAFormer over MADT": two["hours"] / one["hours"],
            "said": two["said hours"] / one["said hours"],
        }
        for one, two in zip(figures[::2], figures[1::2], strict=True)
    ]
    reached = [(row["interval"][1] - row["hours"]) / row["hours"] for row in figures]
    keep(
        record, figures, ratios=by_map, widest=max(reached), wanted=PRECISION,
        settings="as the recipes have them without a set: no expert is asked", taken_by_others=others.share(),
        geometric_mean_ratio=_together(by_map),
    )  # fmt: skip
    lines.close()


def _together(by_map: list[dict[str, Any]]) -> float:
    """The geometric mean of the ratios."""
    return math.exp(sum(math.log(row["EVAFormer over MADT"]) for row in by_map) / len(by_map))


if __name__ == "__main__":
    main()
