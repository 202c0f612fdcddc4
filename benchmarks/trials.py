"""How often a trial is wrong: the same beside the same, and a delay of 5 % in one phase. results/trials.json.

Every trial has 30 s. It must not say faster or slower of two equal sides in more than 5 of 100, and it must find the
delay, in its phase, in at least 95 of 100. Both kinds take turns. Interrupted, it goes on where it stopped.

python benchmarks/trials.py [TRIALS OF EACH KIND]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from common import Disturbance, Lines, keep
from velodrome.proof.guard import same_learning
from velodrome.proof.knobs import kind_of
from velodrome.proof.processes import Setup
from velodrome.proof.trial import trial

RECIPE = f"{Path('benchmarks/recipes/slowed.py').as_posix()}:slowed"
BUDGET_S, DELAY = 30.0, 0.05
PHASES = ("learn.backward", "learn.forward", "collect.infer")


def setup(phase: str, delay: float) -> Setup:
    """One side."""
    return Setup(RECIPE, {"phase": phase, "delay": delay, "batch": 4096}, threads=1)


def one(number: int, delay: float) -> dict[str, Any]:
    """A trial of that number and kind."""
    phase = PHASES[number % len(PHASES)]
    others = Disturbance()
    found = trial(setup(phase, 0.0), setup(phase, delay), budget_s=BUDGET_S, seed=100 * number)
    guard = same_learning(found.pairs, kind_of(["delay"]))
    return {
        "number": number,
        "kind": "delayed" if delay else "same",
        "phase": phase,
        "verdict": found.verdict,
        "ratio": found.ratio,
        "interval": found.interval,
        "moved": [moved.name for moved in found.moved],
        "largest": found.phases[0].name,
        "pairs": len(found.pairs),
        "iterations": found.iterations,
        "spent_s": found.spent_s,
        "guard": [guard.kind, guard.verdict],
        "others": others.share(),
    }


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a kind."""
    same, delayed = ([row for row in rows if row["kind"] == kind] for kind in ("same", "delayed"))
    wrong = [row for row in same if row["verdict"] in ("faster", "slower")]
    found = [row for row in delayed if row["verdict"] == "slower"]
    placed = [row for row in found if row["largest"] == row["phase"] and row["phase"] in row["moved"]]
    return [
        _row("the same beside the same", same, {"said faster or slower": len(wrong)}),
        _row("5 % longer", delayed, {"found": len(found), "found in the right phase": len(placed)}),
    ]


def _row(kind: str, rows: list[dict[str, Any]], counts: dict[str, int]) -> dict[str, Any]:
    verdicts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in {row["verdict"] for row in rows}}
    halves = sorted((row["interval"][1] - row["interval"][0]) / 2 for row in rows)
    return {
        "kind": kind,
        "trials": len(rows),
        **counts,
        "verdicts": dict(sorted(verdicts.items())),
        "median_half_interval": halves[len(halves) // 2],
        "median_ratio": sorted(row["ratio"] for row in rows)[len(rows) // 2],
        "exact_by_hash": sum(row["guard"] == ["exact", "passed"] for row in rows),
        "mean_spent_s": sum(row["spent_s"] for row in rows) / len(rows),
        "disturbed_most": max(row["others"] for row in rows),
    }


def main(trials: int) -> None:
    """Go on until there are as many of each kind."""
    lines = Lines("trials")
    for number in range(trials):
        for delay in (0.0, DELAY):
            kind = "delayed" if delay else "same"
            if not lines.has(number=number, kind=kind):
                lines.add(one(number, delay))
    rows = [row for row in lines.rows if row["number"] < trials]
    keep("trials", summary(rows), budget_s=BUDGET_S, delay=DELAY, trials=rows)
    lines.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
