"""What as many as 64 workers would give, each on a machine of its own, or on a GPU of its own: results/plans.json.

What a worker does with its share of the games is measured here; the network is what is said.

    python benchmarks/plans.py [--budget 60] [--device cpu] [--network-us 50] [--network-gbit 10] [RECIPE ...]
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from common import keep, on_device
from velodrome.proof.plan import PARTS, Network, Plan, plan
from velodrome.proof.processes import Setup
from velodrome.proof.scale import Point, measure, setup_at
from velodrome.recipes import RECIPES, find
from velodrome.runs.settings import settings_to_json

SIZES = (1, 2, 4, 8, 16, 32, 64)
ALONE = ("territory-attention",)
"""Learns with running batch statistics: with one worker only."""
TOLD = (2, 8, 64)
"""Sizes that have columns."""


def points_of(recipe: str, sizes: tuple[int, ...], seconds: float, device: str = "cpu") -> list[Point]:
    """What one of so many workers does, with one lane and one thread; sizes by which games do not divide left out."""
    found = find(recipe)
    lanes = {"lanes": 1} if hasattr(found.settings(), "lanes") else {}
    setup, setups = Setup(recipe, settings_to_json(found.settings(**lanes)), 1, device), dict[int, Setup]()
    for size in sizes:
        try:
            setups[size] = setup_at(found, setup, "workers", size)
        except ValueError as error:
            print(f"{recipe}: {error}", file=sys.stderr)
    return measure(setups, seconds, 0, lambda said: print(f"{recipe}: {said}", file=sys.stderr, flush=True))


def figure(recipe: str, found: Plan) -> dict[str, Any]:
    """The row of a recipe."""
    rows = {row.workers: row for row in found.rows}
    times = {f"times_at_{size}": rows[size].speedup if size in rows else None for size in TOLD}
    why = "each is worth it" if found.why is None else PARTS[found.why]
    return {"recipe": recipe, "iteration_s": found.rows[0].iteration_s, **times, "enough": found.enough.workers} | {
        "beyond": why
    }


def main() -> None:
    """Plan for all, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--network-us", type=float, default=50.0)
    parser.add_argument("--network-gbit", type=float, default=10.0)
    parser.add_argument("recipes", nargs="*", default=[name for name in RECIPES if name not in ALONE])
    options = parser.parse_args()
    network = Network(options.network_us / 1e6, options.network_gbit * 1e9 / 8)
    figures, plans = [], {}
    for recipe in options.recipes:
        found = plan(points_of(recipe, SIZES, options.budget, options.device), network)
        figures.append(figure(recipe, found))
        plans[recipe] = found.to_json()
        print(json.dumps(figures[-1]), flush=True)
    keep(on_device("plans", options.device), figures, plans=plans)


if __name__ == "__main__":
    main()
