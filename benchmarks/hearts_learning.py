"""Trains recipes for a fixed time, alone on the machine, and scores them: benchmarks/results/hearts_learning.json.

python benchmarks/hearts_learning.py [RECIPE:SECONDS:SEEDS ...]

Without arguments: `hearts` for 15 minutes with three seeds, one of them on to 60 minutes, `hearts-attention` for 30.
Runs are kept under runs/learning and go on where they were stopped; a longer training of a seed goes on from a
shorter one. Evaluation is off the clock, over 5,000 duplicate deals, with the scripted players' scores beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common import RESULTS, Disturbance, keep, velodrome

NAME = "hearts_learning"
DEALS = 5000
PLAN = ("hearts:900:3", "hearts:3600:1", "hearts-attention:1800:1")
WANTED = {
    ("hearts", 900, "random"): 2.5,
    ("hearts", 900, "rule"): 6.0,
    ("hearts-attention", 1800, "rule"): 10.0,
}
"""What the mean plus two standard errors has to be below."""


def train(recipe: str, seconds: int, seed: int) -> list[dict[str, Any]]:
    """Train one seed for so long in all, and score it against each opponent."""
    run, others = Path("runs/learning") / f"{recipe}-{seed}", Disturbance()
    go_on = ["--resume"] if (run / "config.json").exists() else ["--seed", str(seed)]
    trained = velodrome("train", recipe, "--run", str(run), "--seconds", str(seconds), *go_on)
    busy = others.share()
    return [score(run, recipe, seconds, seed, against) | {"decisions": trained["decisions"], "others_took": busy}
            for against in ("random", "lowest", "rule")]  # fmt: skip


def score(run: Path, recipe: str, seconds: int, seed: int, against: str) -> dict[str, Any]:
    """Over deals that no evaluation during training has seen."""
    found = velodrome("evaluate", str(run), "--against", against, "--episodes", str(DEALS), "--seed", "1000")
    return {
        "recipe": recipe,
        "minutes": seconds / 60,
        "seed": seed,
        "against_three": against,
        "points": found["score"],
        "stderr": found["stderr"],
        "plus_two_stderr": found["score"] + 2 * found["stderr"],
        "wanted_below": WANTED.get((recipe, seconds, against)),
        "random_player": found["baselines"]["random"]["score"],
        "rule_player": found["baselines"]["rule"]["score"],
    }


def main(plan: list[str]) -> None:
    """Add the plan's figures to those on record, which stand until the same training is done again."""
    path = RESULTS / f"{NAME}.json"
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.exists() else []
    for entry in plan:
        recipe, seconds, seeds = entry.split(":")
        for seed in range(int(seeds)):
            rows = train(recipe, int(seconds), seed)
            same = {(row["recipe"], row["minutes"], row["seed"]) for row in rows}
            figures = [row for row in figures if (row["recipe"], row["minutes"], row["seed"]) not in same] + rows
            keep(NAME, figures, deals=DEALS)


if __name__ == "__main__":
    main(sys.argv[1:] or list(PLAN))
