"""A real tuning, from the first symptom to the verdict: results/hearts_tuning.json.

It begins with hearts-attention at the report's net, batch, minibatch and epochs, in one lane, so that both sides can
train side by side where their skill is compared.

python benchmarks/hearts_tuning.py [SECONDS OF TRIALS] [SECONDS OF COMPARING SKILL]
"""

from __future__ import annotations

import sys
from typing import Any

from common import Disturbance, keep
from velodrome.proof.processes import Setup
from velodrome.proof.tune import Tuning, Verdict, tune
from velodrome.recipes import find
from velodrome.runs.settings import settings_to_json
from velodrome.show.tuning import as_document
from velodrome.show.words import share

RECIPE = "hearts-attention"


def row(found: Verdict) -> dict[str, Any]:
    """A change as a line of a table."""
    trial, guard = found.trial, found.guard
    return {
        "change": found.change.says,
        "for": found.change.cause,
        "predicted": 1 - found.change.predicted,
        "measured": trial.ratio if trial else None,
        "interval": list(trial.interval) if trial else None,
        "class": guard.kind if guard else found.change.kind,
        "verdict": found.verdict,
        "because": found.why,
        "memory_mb": list(trial.memory_mb()) if trial else None,
        "scores": guard.scores if guard else [],
    }


def summary(found: Tuning) -> list[dict[str, Any]]:
    """What it came to."""
    best = found.best
    if best is None or best.trial is None:
        return [{"tuned": "nothing is proven"}]
    return [
        {
            "tuned": best.change.says,
            "speedup": 1 / best.ratio,
            "interval": sorted(1 / bound for bound in best.trial.interval),
            "memory_mb": list(best.trial.memory_mb()),
            "verdict": best.verdict,
            "guard": best.why,
        }
    ]


def main(trial_s: float, guard_s: float) -> None:
    """Tune, and keep what was found."""
    others = Disturbance()
    setup = Setup(RECIPE, settings_to_json(find(RECIPE).settings(lanes=1)), threads=1)
    found = tune(
        setup, budget_s=trial_s, guard_budget_s=guard_s, say=lambda text: print(text, file=sys.stderr, flush=True)
    )
    if found.interrupted:
        raise KeyboardInterrupt
    phases = found.evidence.phases
    whole = sum(phases.values())
    keep(
        "hearts_tuning",
        summary(found),
        says=as_document(found)["says"],
        phases=[{"phase": name, "seconds": spent, "share": spent / whole} for name, spent in phases.items()],
        causes=[
            {"cause": cause.name, "at most": share(min(cause.share, 1)), "evidence": cause.says}
            for cause in found.causes
        ],
        verdicts=[row(verdict) for verdict in found.verdicts],
        together=[row(found.together)] if found.together else [],
        spent_s=found.spent_s,
        trial_s=trial_s,
        guard_s=guard_s,
        others=others.share(),
    )


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]]
    main(given[0] if given else 1200.0, given[1] if len(given) > 1 else 3600.0)
