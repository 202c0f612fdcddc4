"""One worker and two on this machine, in turn, and what the plan foretold of two: results/workers.json.

Every recipe is trained in rounds of both, each run in processes of its own; a worker has one lane and one thread. The
first iterations of a run, which compile and warm up, are left out. The plan is made of what one worker does with half
of the games, and of what the ring takes between two processes of this machine.

    python benchmarks/workers.py [--iterations 12] [--rounds 3] [--plan 30] [RECIPE ...]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import Disturbance, keep, velodrome
from plans import points_of
from velodrome.learn.workers import NUMBER_BYTES, Workers
from velodrome.proof.plan import Network, plan
from velodrome.recipes import find
from velodrome.runs.run import Run

RECIPES = ("hearts", "skirmish-mappo", "territory", "spread-qmix", "platoon-neurcomm", "coverage-tom2c")
WORKERS = (1, 2)
WARM_UP = 3
"""Iterations that are left out."""
FEW, MANY, TIMES = 1, 1_000_000, 100
"""Numbers by which the ring is measured, and how often."""


def own(recipe: str) -> list[str]:
    """The flags of one lane and one thread."""
    lanes = ["--lanes", "1"] if hasattr(find(recipe).settings(), "lanes") else []
    return [*lanes, "--threads", "1"]


def trained(recipe: str, workers: int, iterations: int) -> dict[str, float]:
    """Seconds of an iteration in a run of its own, by phase; the median over iterations."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        count = ["--workers", str(workers), "--iterations", str(iterations + WARM_UP), "--save-every", "1e9"]
        velodrome("train", recipe, "--run", str(run), *count, *own(recipe))
        lines = Run(run).lines("budget.jsonl")[WARM_UP:]
    phases = [{phase["name"]: phase["seconds"] for phase in line["phases"]} for line in lines]
    names = dict.fromkeys(name for each in phases for name in each)
    found = {name: float(np.median([each.get(name, 0.0) for each in phases])) for name in names}
    return found | {"iteration": float(np.median([line["wall_s"] for line in lines]))}


def ring() -> dict[str, float]:
    """What two processes of this machine take: until a message is there, and for a number that both add up."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    other = multiprocessing.get_context("fork").Process(target=pass_on, args=(1, listeners))
    other.start()
    few_s, many_s = pass_on(0, listeners)
    other.join()
    return {"latency_us": 1e6 * few_s, "gbit": 8 * MANY * NUMBER_BYTES / max(many_s - 2 * few_s, 1e-9) / 1e9}


def pass_on(index: int, listeners: list[socket.socket]) -> tuple[float, float]:
    """Seconds of a hop of nothing much, and of adding up many numbers."""
    workers = Workers(index, 2)
    workers.join(listeners[index], [each.getsockname() for each in listeners], bytes(16))
    numbers, times = np.zeros(MANY, np.float32), []
    for work in (lambda: workers.exchange(np.zeros((1, FEW))), lambda: workers.add_up(numbers)):
        work()
        began = time.perf_counter()
        for _ in range(TIMES):
            work()
        times.append((time.perf_counter() - began) / TIMES)
    workers.leave()
    return times[0], times[1]


def figure(recipe: str, taken: dict[int, list[dict[str, float]]], foretold_s: float) -> dict[str, Any]:
    """The row of a recipe. `plan_off`: how far the foretold time of two workers is from the measured one."""
    one, two = (np.array([each["iteration"] for each in taken[workers]]) for workers in WORKERS)
    ratios, two_s = one / two, float(np.median(two))
    return {
        "recipe": recipe,
        "one_s": float(np.median(one)),
        "two_s": two_s,
        "speedup": float(np.median(ratios)),
        "between": [float(ratios.min()), float(ratios.max())],
        "efficiency": float(np.median(ratios)) / 2,
        "sync": float(np.median([each.get("sync", 0.0) / each["iteration"] for each in taken[2]])),
        "wait": float(np.median([each.get("wait", 0.0) / each["iteration"] for each in taken[2]])),
        "foretold_s": foretold_s,
        "plan_off": foretold_s / two_s - 1,
    }


def main() -> None:
    """Measure all, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plan", type=float, default=30.0)
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    options = parser.parse_args()
    disturbance, measured = Disturbance(), ring()
    network = Network(measured["latency_us"] / 1e6, measured["gbit"] * 1e9 / 8)
    figures, phases, plans = [], {}, {}
    for recipe in options.recipes:
        taken: dict[int, list[dict[str, float]]] = {workers: [] for workers in WORKERS}
        for _ in range(options.rounds):
            for workers in WORKERS:
                taken[workers].append(trained(recipe, workers, options.iterations))
        found = plan(points_of(recipe, WORKERS, options.plan), network)
        figures.append(figure(recipe, taken, found.rows[1].iteration_s))
        plans[recipe] = found.to_json()
        phases[recipe] = {str(workers): rounds[-1] for workers, rounds in taken.items()}
        print(json.dumps(figures[-1]), flush=True)
    keep("workers", figures, ring=[measured], phases=phases, plans=plans, disturbed=disturbance.share())


if __name__ == "__main__":
    main()
