"""Several seeds of one training: each trained and evaluated, then mean and interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from velodrome.verbs.answer import Answer
from velodrome.verbs.evaluate import Evaluate, evaluated

if TYPE_CHECKING:
    from velodrome.verbs.train import Train

OneSeed = Callable[[Path, int], Answer]
"""Trains one seed in its folder."""


def train_seeds(flags: Train, folder: Path, one: OneSeed) -> Answer:
    """Train `flags.seeds` seeds one after another, in `folder/seed-0` and so on."""
    first = flags.seed or 0
    exam = Evaluate(against=flags.against, episodes=flags.episodes)
    runs: list[dict[str, Any]] = []
    for seed in range(first, first + (flags.seeds or 1)):
        own = folder / f"seed-{seed}"
        answer = one(own, seed)
        if answer.code:
            return dataclasses.replace(answer, document={"run": str(folder), "runs": [*runs, answer.document]})
        runs.append(answer.document | {"evaluation": evaluated(own, exam)})
    return _summary(folder, runs)


def _summary(folder: Path, runs: list[dict[str, Any]]) -> Answer:
    scores = [run["evaluation"]["score"] for run in runs]
    evaluation = runs[0]["evaluation"]
    mean, low, high = interval(scores)
    document = {
        "run": str(folder),
        "recipe": runs[0]["recipe"],
        "seeds": [run["seed"] for run in runs],
        "runs": runs,
        "against": evaluation["against"],
        "score_name": evaluation["score_name"],
        "better": evaluation["better"],
        "score": mean,
        "interval": [low, high],
    }
    lines = [f"seed {run['seed']}: {evaluation['score_name']} {run['evaluation']['score']:.3f}" for run in runs]
    spread = f", 95 % interval over seeds {low:.3f} to {high:.3f}" if len(runs) > 1 else ""
    lines.append(f"mean {mean:.3f}{spread}, against {evaluation['against']} ({evaluation['better']} is better)")
    return Answer(document, "\n".join([*lines, f"runs: {folder}"]))


def interval(scores: list[float]) -> tuple[float, float | None, float | None]:
    """Mean and 95 % interval (Student's t) of a few independent figures; one figure has no interval."""
    import numpy as np
    from scipy import stats

    mean = float(np.mean(scores))
    if len(scores) < 2:
        return mean, None, None
    half = float(stats.t.ppf(0.975, len(scores) - 1) * np.std(scores, ddof=1) / np.sqrt(len(scores)))
    return mean, mean - half, mean + half
