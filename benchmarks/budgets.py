"""Profiles every recipe and keeps how its budget closes: benchmarks/results/budgets.json.

python benchmarks/budgets.py [ITERATIONS]
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from common import keep
from velodrome.recipes import RECIPES

LONG = "hearts-attention"
"""A recipe whose iteration takes seconds at its defaults: fewer of them do."""


def profile(recipe: str, iterations: int) -> dict[str, Any]:
    """What `velodrome profile` says of a recipe, in a process of its own."""
    command = [sys.executable, "-m", "velodrome", "profile", recipe, "--iterations", str(iterations), "--json"]
    document: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return document


def figure(document: dict[str, Any]) -> dict[str, Any]:
    """The row of a recipe. `closes_within`: how far phases and unaccounted together are off the wall, a fraction."""
    parts = sum(phase["seconds"] for phase in document["phases"]) + document["unaccounted_s"]
    return {
        "recipe": document["recipe"],
        "iterations": document["iterations"],
        "iteration_s": document["plain"]["iteration_s"]["p50"],
        "learner_samples_per_s": document["throughput"]["learner_samples_per_s"],
        "unaccounted": document["unaccounted"],
        "overhead": document["overhead"],
        "closes_within": abs(parts / document["wall_s"] - 1),
    }


def main(iterations: int) -> None:
    """Profile the recipes one after another."""
    documents = {recipe: profile(recipe, 2 if recipe == LONG else iterations) for recipe in RECIPES}
    phases = {recipe: document["phases"] for recipe, document in documents.items()}
    keep("budgets", [figure(document) for document in documents.values()], **phases)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
