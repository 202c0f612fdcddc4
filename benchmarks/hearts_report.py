"""What the report on Hearts by self-play advises, each advice tried and judged by name. results/hearts_report.json.

The recipe is hearts-attention with the report's net, batch, minibatch and epochs, in one lane. Each advice is a trial
beside it, and where it is faster, both sides train for as long from several seeds, on a core each. Then what
the report says is slow is measured. Interrupted, it goes on where it stopped.

python benchmarks/hearts_report.py [SECONDS OF A TRIAL] [SECONDS OF COMPARING SKILL]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import torch

from common import RESULTS, Disturbance, keep
from velodrome.meter.card import card
from velodrome.nets import make_net
from velodrome.proof.changes import Change
from velodrome.proof.knobs import kind_of
from velodrome.proof.processes import Setup
from velodrome.proof.tune import Judge, Verdict, measured
from velodrome.recipes import find
from velodrome.runs.settings import settings_to_json

REDUCED = {"width": 64, "heads": 2, "layers": 1}
ADVICE: dict[str, tuple[str, Mapping[str, Any]]] = {
    "reduced net (1.1)": ("2.04 x forward passes", REDUCED),
    "minimal net (table)": ("1.92 x forward passes", {"width": 32, "heads": 1, "layers": 1}),
    "6 epochs (2)": ("1.5 to 2 x, with the next two", {"ppo.epochs": 6}),
    "minibatch 64 (2)": ("", {"ppo.minibatch": 64}),
    "minibatch 128 (2)": ("", {"ppo.minibatch": 128}),
    "batch 6000 (2)": ("", {"ppo.batch": 6000}),
    "batch 2000 (2)": ("", {"ppo.batch": 2000}),
    "twice the runners, and twice their games (3)": ("1.5 to 3 x collection", {"lanes": 2, "games": 160}),
    "all of option 1": ("about 6 x", REDUCED | {"ppo.epochs": 6, "ppo.minibatch": 64, "ppo.batch": 6000, "lanes": 2,
                                                "games": 160}),
    "mixed precision (phase 2)": ("", {"ppo.precision": "bfloat16"}),
    "gradient accumulation (phase 2)": ("", {"ppo.accumulate": 2}),
    "ours": ("", REDUCED | {"ppo.minibatch": 256, "ppo.rate": 1e-4}),
}  # fmt: skip
"""By name and place in the report: what it promises, and the settings. The last is no advice of its."""
BOTTLENECKS = {
    "forward passes, of an iteration": 0.40,
    "data collection, of an iteration": 0.20,
    "gradients and optimizer, of an iteration": 0.40,
    "encoder, of a forward pass": 0.464,
    "input projection, of a forward pass": 0.11,
    "positions, of a forward pass": 0.038,
    "pooling, of a forward pass": 0.025,
    "heads, of a forward pass": 0.016,
}
"""What the report says each takes."""
LINES = RESULTS / "hearts_report.lines.jsonl"


def baseline() -> Setup:
    """The recipe as it is."""
    return Setup("hearts-attention", settings_to_json(find("hearts-attention").settings(lanes=1)), threads=1)


def tried(name: str, trial_s: float, guard_s: float) -> dict[str, Any]:
    """One advice, judged."""
    promise, patch = ADVICE[name]
    before, others = baseline(), Disturbance()
    judge = Judge(before, 0, 0.0, say=lambda text: print(text, file=sys.stderr, flush=True))
    change = Change(name, patch, {}, kind_of(list(patch)))
    found = judge.measured(change, trial_s)
    if found.verdict == "faster, skill unproven" and guard_s:
        found = judge.with_skill(found, guard_s)
    return {"advice": name, "promised": promise, **_row(found), "others": others.share()}


def _row(found: Verdict) -> dict[str, Any]:
    document = found.to_json()
    trial = document.pop("trial", {})
    return document | {
        "speedup": 1 / found.ratio,
        "unit": trial.get("unit"),
        "pairs": trial.get("pairs"),
        "iterations": trial.get("iterations"),
        "memory_mb": trial.get("memory_mb"),
        "moved": trial.get("moved"),
    }


def bottlenecks() -> list[dict[str, Any]]:
    """What the report says is slow, beside what is."""
    seen = measured(baseline())
    collect, forward = seen.seconds("collect"), seen.seconds("learn.forward") + seen.seconds("collect.infer")
    rest = seen.seconds("learn.backward") + seen.seconds("learn.optimize")
    torch.set_num_threads(1)
    module, inputs = make_net("hearts/attention")
    spent = {part.name: part.forward_us for part in card(module, *inputs, batches=(32,)).components}
    whole = sum(spent.values()) or 1.0
    own = {
        "forward passes, of an iteration": seen.share(forward),
        "data collection, of an iteration": seen.share(collect),
        "gradients and optimizer, of an iteration": seen.share(rest),
        "encoder, of a forward pass": _of(spent, "encoder") / whole,
        "input projection, of a forward pass": _of(spent, "input") / whole,
        "positions, of a forward pass": _of(spent, "own", "seats") / whole,
        "pooling, of a forward pass": _of(spent, "pool") / whole,
        "heads, of a forward pass": _of(spent, "value", "policy") / whole,
    }
    rows = [{"what": what, "said": said, "measured": own[what]} for what, said in BOTTLENECKS.items()]
    return [*rows, {"what": "parts as measured, us for 32 rows", "parts": spent}]


def _of(spent: Mapping[str, float], *words: str) -> float:
    return sum(us for name, us in spent.items() if any(word in name for word in words))


def main(trial_s: float, guard_s: float) -> None:
    """Go on until every advice is judged."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []
    for name in ADVICE:
        if all(row["advice"] != name for row in rows):
            rows.append(tried(name, trial_s, guard_s))
            with LINES.open("a") as lines:
                lines.write(json.dumps(rows[-1]) + "\n")
            print(name, rows[-1]["verdict"], rows[-1]["speedup"], file=sys.stderr, flush=True)
    keep(
        "hearts_report", rows, bottlenecks=bottlenecks(), settings=baseline().settings, trial_s=trial_s, guard_s=guard_s
    )
    LINES.unlink()


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]]
    main(given[0] if given else 120.0, given[1] if len(given) > 1 else 420.0)
