"""What the report on Hearts by self-play advises, each advice tried and judged by name. results/hearts_report.json.

The recipe is hearts-attention with the report's net, batch, minibatch and epochs, in one lane. Each advice is a trial
beside it. The recipe and those that are faster by learning in another way are then trained for as long, from several
seeds, a core each, and play. Last, what the report says is slow is measured. Interrupted, it goes on where it stopped.

python benchmarks/hearts_report.py [SECONDS OF A TRIAL] [SECONDS OF TRAINING]
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from common import Disturbance, Lines, keep
from velodrome.meter.card import card
from velodrome.nets import make_net
from velodrome.proof.changes import Change, patched
from velodrome.proof.guard import SEEDS, fit_together, trained
from velodrome.proof.guard import judged as guarded
from velodrome.proof.knobs import kind_of
from velodrome.proof.processes import Setup, at_once, at_work
from velodrome.proof.tune import GUARDED, OPEN, Judge, measured
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
BASELINE, EPISODES = "as it is", 1000


def setup(name: str) -> Setup:
    """The recipe with one advice, or as it is."""
    before = Setup("hearts-attention", settings_to_json(find("hearts-attention").settings(lanes=1)), threads=1)
    return patched(before, ADVICE[name][1]) if name in ADVICE else before


def tried(name: str, trial_s: float) -> dict[str, Any]:
    """How fast it is with one advice."""
    promise, patch = ADVICE[name]
    change = Change(name, patch, {}, kind_of(list(patch)))
    (found,) = Judge(setup(BASELINE), 0, 0.0).measured([change], trial_s)
    document = found.to_json()
    trial = document.pop("trial", {})
    of_trial = {key: trial.get(key) for key in ("unit", "pairs", "iterations", "memory_mb", "moved")}
    return {"advice": name, "promised": promise} | document | {"speedup": 1 / found.ratio} | of_trial


def learnt(names: Sequence[str], seed: int, train_s: float) -> dict[str, Any]:
    """What these score after as long a training, side by side where each has one thread."""
    setups = [setup(name) for name in names]
    with at_work(list(zip(names, setups, strict=True)), seed) as running:
        at_once(running, "iterate")
        trivial = running[0].do("score", episodes=EPISODES, player="random")["score"]
        return {"seed": seed, "random": trivial} | trained(running, train_s, fit_together(*setups), EPISODES)


def judged(row: dict[str, Any], skills: Sequence[Mapping[str, Any]], train_s: float) -> dict[str, Any]:
    """An advice with the skill that it came to, beside that of the recipe as it is."""
    if row["verdict"] != OPEN:
        return row
    scores = [
        {"seed": seed, "a": _of_arm(skills, seed, BASELINE), "b": _of_arm(skills, seed, row["advice"])}
        for seed in range(SEEDS)
    ]
    random = statistics.mean(skill["random"] for skill in skills)
    guard = guarded(scores, {"random": random}, skills[0]["better"], train_s)
    return row | {"verdict": GUARDED[guard.verdict], "why": guard.says, "guard": guard.to_json()}


def _of_arm(skills: Sequence[Mapping[str, Any]], seed: int, name: str) -> Any:
    return next(skill[name] for skill in skills if skill["seed"] == seed and name in skill)


def bottlenecks() -> list[dict[str, Any]]:
    """What the report says is slow, beside what is."""
    seen = measured(setup(BASELINE))
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


def rounds(names: Sequence[str]) -> list[list[str]]:
    """Which train at once: two at a time, and those alone that take several cores themselves."""
    together = [name for name in names if fit_together(setup(name))]
    pairs = [together[first : first + 2] for first in range(0, len(together), 2)]
    return pairs + [[name] for name in names if name not in together]


def main(trial_s: float, train_s: float) -> None:
    """Go on until every advice is judged."""
    lines = Lines("hearts_report")
    for name in ADVICE:
        if not lines.has(advice=name):
            others = Disturbance()
            lines.add(tried(name, trial_s) | {"others": others.share()})
    advised = [row for row in lines.rows if "advice" in row]
    arms = [BASELINE, *(row["advice"] for row in advised if row["verdict"] == OPEN)]
    for seed in range(SEEDS):
        for names in rounds(arms):
            if not any(row.get("seed") == seed and names[0] in row for row in lines.rows):
                lines.add(learnt(names, seed, train_s))
    skills = [row for row in lines.rows if "seed" in row]
    keep(
        "hearts_report", [judged(row, skills, train_s) for row in advised],
        bottlenecks=bottlenecks(), settings=setup(BASELINE).settings, trial_s=trial_s, train_s=train_s,
    )  # fmt: skip
    lines.close()


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]]
    main(given[0] if given else 120.0, given[1] if len(given) > 1 else 240.0)
