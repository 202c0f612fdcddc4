"""How many games and threads decide most, soon enough, and what waits meanwhile: results/latency.json.

    python benchmarks/latency.py [--seconds 60]

Each algorithm is measured over games, with one thread (or lane) and with two (`velodrome scale --latency-ms`). A row
tells the number of games with most decisions a second among those that decide within the bound in 99 of 100 cases,
where the curve bends, and the shares of the time at that size in which lanes wait for each other and batches are drawn
from a memory that all share.
"""

from __future__ import annotations

import argparse
from typing import Any

from common import Disturbance, Lines, keep, velodrome

RECIPES = (
    "spread-maddpg", "spread-ippo", "coverage-tom2c", "navigation-tom2c", "platoon-neurcomm", "skirmish-qmix",
    "skirmish-coma", "skirmish-mappo",
)  # fmt: skip
LANES = ("spread-ippo", "skirmish-mappo")
"""Those whose threads are lanes."""
GAMES, THREADS = (4, 16, 64, 128, 256), (1, 2)
BOUND_MS = 5.0


def row_of(recipe: str, threads: int, seconds: int) -> dict[str, Any]:
    """One recipe with so many threads."""
    found = velodrome(
        "scale", recipe, "--over", "games", "--values", *map(str, GAMES), "--latency-ms", str(BOUND_MS), "--budget",
        f"{seconds}s", *(("--threads", "1", "--lanes") if recipe in LANES else ("--threads",)), str(threads),
    )  # fmt: skip
    return {"recipe": recipe, "threads": threads, "bound": found["bound"], "points": found["points"]}


def figures_of(row: dict[str, Any]) -> dict[str, Any]:
    """What is told of it."""
    best = row["bound"]["most_decisions_per_s"]
    line = {"recipe": row["recipe"], "threads": row["threads"], "bends at": row["bound"]["knee"]}
    if best is None:
        return line | {"games": None}
    point = next(each for each in row["points"] if each["value"] == best["value"])
    phases = {each["name"]: each["share"] for each in point["budget"]["phases"]}
    return line | {
        "games": best["value"], "decisions_per_s": best["decisions_per_s"],
        "iterations_per_s": best["iterations_per_s"], "p50, ms": best["p50_ms"], "p99, ms": best["p99_ms"],
        "wait": phases.get("wait", 0.0), "learn.sample": phases.get("learn.sample", 0.0),
    }  # fmt: skip


def curve_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """What comes of more and more games."""
    return [
        {
            "recipe": row["recipe"], "threads": row["threads"], "games": point["value"],
            "decisions_per_s": point["decisions_per_s"], "iterations_per_s": point["iterations_per_s"],
            **{f"{name}, ms": point["decision_ms"][name] for name in ("p50", "p99")},
        }
        for point in row["points"]
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="of each recipe")
    seconds = parser.parse_args().seconds
    lines, others = Lines("latency"), Disturbance()
    for recipe in RECIPES:
        for threads in THREADS:
            if not lines.has(recipe=recipe, threads=threads):
                lines.add(row_of(recipe, threads, seconds))
    figures = [figures_of(row) for row in lines.rows]
    curves = [point for row in lines.rows for point in curve_of(row)]
    keep("latency", figures, bound_ms=BOUND_MS, others_took=others.share(), curves=curves)
    lines.close()


if __name__ == "__main__":
    main()
