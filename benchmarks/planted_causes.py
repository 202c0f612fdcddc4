"""Whether tuning finds what is planted in the recipes of planted/ and leaves clean ones: results/planted_causes.json.

A planted inefficiency counts as found if its cause was named and its setting mended and kept. Every other change that
was kept is measured again, in a longer trial with all else as tuned and, if it learns in another way, by its skill from
seeds that were not used before: it is false unless it is faster there too, or if it is worse.
Interrupted, this goes on where it stopped; the record is made of all rows at the end.

python benchmarks/planted_causes.py [RECIPE ...] [--budget SECONDS] [--guard-budget SECONDS] [--again]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import Disturbance, Lines, keep
from planted.recipes import CLEAN, PLANTED, Planted, clean_name, name_of, planted
from velodrome.proof.changes import patched
from velodrome.proof.guard import compare_skill
from velodrome.proof.knobs import kind_of
from velodrome.proof.processes import Setup
from velodrome.proof.trial import trial
from velodrome.proof.tune import Verdict, tune
from velodrome.runs.settings import settings_to_json

NAME, FILE = "planted_causes", Path("benchmarks/planted/recipes.py").as_posix()
BUDGET_S, GUARD_S, AGAIN_S, AGAIN_SEED = 80.0, 100.0, 60.0, 5000
CAUSES = {
    "minibatch": "dispatch-bound minibatches",
    "games": "too few games at once",
    "input": "sparse input",
    "dead": "dead weights",
    "agents": "Python loops",
    "candidates": "Python loops",
    "attention": "attention spelt out",
    "positions": "tables copied per call",
    "acting": "gradients recorded where none are used",
    "targets": "results recomputed",
    "reads": "host reads in inner loops",
    "fused": "optimizer not fused",
    "threads": "thread counts that fight",
    "keep_memory": "memory handed back at every step",
    "layout": "slow memory layout for convolutions",
    "precision": "full float32 precision",
    "steps": "Python loops",
    "share_out": "stragglers",
    "width": "a net larger than its task may need",
}
"""What a tuner calls that which is planted under each of these names."""


def recipes() -> dict[str, str | None]:
    """What is planted in each recipe; None in the clean ones."""
    return {name_of(cause): cause for cause in PLANTED} | {clean_name(kind): None for kind in CLEAN}


def setup_of(name: str) -> Setup:
    """The recipe as it is."""
    cause = recipes()[name]
    kinds = {clean_name(kind): settings for kind, settings in CLEAN.items()}
    return Setup(f"{FILE}:{name}", settings_to_json(planted(cause) if cause else kinds[name]))


def tuned(name: str, budget_s: float, guard_s: float) -> dict[str, Any]:
    """The row of one recipe."""
    others, began, cause = Disturbance(), time.monotonic(), recipes()[name]
    found = tune(setup_of(name), budget_s=budget_s, guard_budget_s=guard_s, say=lambda text: print(f"  {text}"))
    if found.interrupted:
        raise KeyboardInterrupt
    row = judged(name, cause, [cause.name for cause in found.causes], found.verdicts)
    return row | {
        "together": found.together.to_json() | {"trial": None} if found.together else None,
        "tuned_s": found.spent_s,
        "spent_s": time.monotonic() - began,
        "others_took": others.share(),
    }


def judged(name: str, cause: str | None, named: Sequence[str], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What is to be said of a recipe before anything is measured again."""
    plant = PLANTED[cause] if cause else None
    kept = [found.change for found in verdicts if found.verdict == "kept"]
    mended = any(plant is not None and mends(plant, change.patch) for change in kept)
    right = cause is not None and CAUSES[cause] in named
    return {
        "recipe": name,
        "planted": {"setting": plant.setting, "value": plant.value, "good": plant.good} if plant else None,
        "causes": list(named),
        "named": right,
        "mended": mended,
        "found": right and mended if plant else None,
        "kept": [dict(change.patch) for change in kept],
        "others": [{"patch": dict(change.patch)} for change in kept if not (plant and mends(plant, change.patch))],
        "tried": [
            {"patch": dict(found.change.patch), "verdict": found.verdict, "why": found.why, "ratio": found.ratio}
            for found in verdicts
        ],
    }


def mends(plant: Planted, patch: Mapping[str, Any]) -> bool:
    """Whether a change turns the planted setting; a number need not come to the good value at once."""
    return plant.setting in patch and patch[plant.setting] != plant.value


def measured_again(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same row, with every kept change that was not planted beside all else that was kept, where that is new."""
    others = []
    for other in row["others"]:
        without = {key: value for patch in row["kept"] if patch != other["patch"] for key, value in patch.items()}
        before = patched(setup_of(row["recipe"]), without)
        after = patched(before, other["patch"])
        if "ratio" not in other:
            seen = trial(before, after, budget_s=AGAIN_S, seed=AGAIN_SEED)
            other = other | {"verdict": seen.verdict, "ratio": seen.ratio, "interval": list(seen.interval)}
        if "skill" not in other:
            skilled = kind_of(list(other["patch"])) != "algorithmic"
            guard = None if skilled else compare_skill(before, after, AGAIN_S, seed=AGAIN_SEED)
            other = other | {"skill": guard.verdict if guard else "the same", "says": guard.says if guard else ""}
            print(f"  {other['patch']} again: {other['verdict']}, {other['ratio']:.3f}, skill {other['skill']}")
        others.append(other)
    false = sum(other["verdict"] != "faster" or other["skill"] == "failed" for other in others)
    return dict(row) | {"others": others, "false_changes": false}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE")
    parser.add_argument("--budget", type=float, default=BUDGET_S)
    parser.add_argument("--guard-budget", type=float, default=GUARD_S)
    parser.add_argument("--again", action="store_true", help="those that are done, too")
    options = parser.parse_args()
    if unknown := set(options.recipes) - set(recipes()):
        parser.error(f"no such recipe: {', '.join(sorted(unknown))}; there are {', '.join(recipes())}")
    lines = Lines(NAME)
    rows = {row["recipe"]: row for row in lines.rows}  # of a recipe, the last
    for name in options.recipes or recipes():
        print(name, flush=True)
        if name not in rows or options.again:
            rows[name] = tuned(name, options.budget, options.guard_budget)
            lines.add(rows[name])
        rows[name] = measured_again(rows[name])
        lines.add(rows[name])
    plants = [row for row in rows.values() if row["planted"]]
    keep(
        NAME,
        list(rows.values()),
        planted=len(plants),
        found=sum(row["found"] for row in plants),
        false_changes=sum(row["false_changes"] for row in rows.values()),
        clean=len(rows) - len(plants),
    )


if __name__ == "__main__":
    main()
