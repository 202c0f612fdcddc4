"""The guard of a change: whether what is faster is also no worse at the game.

What it takes depends on how far the change goes. **exact**: the same mathematics, so the same weights after as many
iterations; a hash says so. **numeric**: the same algorithm, rounded otherwise, so the first iteration tells nearly the
same. **algorithmic**: other learning; then both sides train for the same time, over several seeds, and the second must
not score worse.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from velodrome.meter.machine import cores
from velodrome.meter.statistics import mean
from velodrome.mistake import Mistake
from velodrome.proof.processes import Process, Setup, at_once, at_work
from velodrome.proof.trial import LABELS, Pair

Kind = Literal["exact", "numeric", "algorithmic"]
KINDS: tuple[Kind, ...] = ("exact", "numeric", "algorithmic")
Passed = Literal["passed", "failed", "unproven"]

TOLERANCE = 0.01
"""How far, as a part of it, what the first iteration tells may differ for the algorithm to be the same."""
SEEDS, CONFIDENCE = 3, 0.9
"""Of the interval, so that 19 in 20 lie above its lower end."""
WORSE = 0.1
"""No worse: what the second side lost is less than this part of what the first has learnt since it played at random."""
LEAST_S = 5.0
"""A seed cannot be compared in less."""
EPISODES, MOST_EPISODES, EVALUATING = 100, 2000, 0.1
"""Of an evaluation, and the share of the time that it may take."""


@dataclass(frozen=True)
class Guard:
    """What was found."""

    kind: Kind
    verdict: Passed
    says: str
    scores: list[dict[str, Any]] = field(default_factory=list)
    """Of each seed: both scores, after how many iterations and seconds."""
    trivial: dict[str, float] = field(default_factory=dict)
    """The scores of the game's bots where the trained agents sat."""
    difference: tuple[float, float, float] | None = None
    """How much better the second side scores: the mean over seeds, and its interval."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def same_learning(pairs: Sequence[Pair], declared: Kind) -> Guard:
    """What the trial itself shows of a change that is said to be of that kind."""
    if all(len(set(pair.weights)) == 1 for pair in pairs):
        most = max(pair.warm_up + pair.iterations for pair in pairs)
        return Guard("exact", "passed", f"equal weights after up to {most} iterations from {len(pairs)} seeds")
    if declared == "algorithmic":
        return Guard("algorithmic", "unproven", "it learns in another way, and its skill was not compared")
    name, off = max(
        (_furthest(*pair.first_metrics) for pair in pairs), key=lambda found: found[1], default=("nothing", math.inf)
    )
    told = f"of the first iteration's figures {name} differs most, by {off:.2g} of its size"
    if off <= TOLERANCE:
        return Guard("numeric", "passed", f"{told}: rounding")
    return Guard("algorithmic", "unproven", f"{told}: more than rounding, and its skill was not compared")


def _furthest(first: dict[str, float], second: dict[str, float]) -> tuple[str, float]:
    """The figure that differs most between two sides, relative to the larger of both."""
    off = {
        name: abs(value - second.get(name, math.inf)) / max(abs(value), abs(second.get(name, 0.0)), 1e-6)
        for name, value in first.items()
    }
    return max(off.items(), key=lambda found: found[1], default=("nothing", math.inf))


def compare_skill(
    first: Setup,
    second: Setup,
    budget_s: float,
    *,
    seed: int = 0,
    seeds: int = SEEDS,
    progress: Callable[[dict[str, Any]], None] = lambda row: None,
) -> Guard:
    """Train both sides for as long, from several seeds, and compare how well they then play."""
    if budget_s < seeds * LEAST_S:
        raise _too_little(budget_s, seeds)
    began, rows, trivial, episodes = time.monotonic(), list[dict[str, Any]](), dict[str, float](), EPISODES
    better, train_s = "higher", 0.0
    for number in range(seeds):
        slice_s = (budget_s - (time.monotonic() - began)) / (seeds - number)
        slice_began = time.monotonic()
        with at_work(list(zip(LABELS, (first, second), strict=True)), seed + 1000 + number) as running:
            at_once(running, "iterate")
            if not trivial:
                trivial, episodes = _trivial(running[0], EVALUATING * slice_s / 2)
            left_s = slice_s * (1 - EVALUATING) - (time.monotonic() - slice_began)
            together = fit_together(first, second)
            train_s = train_s or left_s / (1 if together else 2)
            if train_s < 1:
                raise _too_little(budget_s, seeds)
            row = {"seed": seed + 1000 + number} | trained(running, train_s, together, episodes)
        better = row.pop("better")
        rows.append(row)
        progress(row)
    return judged(rows, trivial, better, train_s)


def _too_little(budget_s: float, seeds: int) -> Mistake:
    return Mistake(f"--guard-budget {budget_s:g}s: {seeds} seeds need more; try {60 * seeds:g}s or more")


def _trivial(process: Process, at_most_s: float) -> tuple[dict[str, float], int]:
    """What the bots score, and how many episodes an evaluation may have."""
    began = time.monotonic()
    scores = {"random": float(process.do("score", episodes=EPISODES, player="random")["score"])}
    each_s = (time.monotonic() - began) / EPISODES
    return scores, int(min(max(EPISODES, at_most_s / 2 / each_s), MOST_EPISODES))


def trained(running: Sequence[Process], seconds: float, together: bool, episodes: int) -> dict[str, Any]:
    """Train for so long, at once or one after another, and play: what each did and scored, and what is better."""
    row: dict[str, Any] = {}
    if together:
        for process in running:
            process.ask("train", seconds=seconds)
    for process in running:
        said = process.told() if together else process.do("train", seconds=seconds)
        row[process.label] = {"iterations": said["iterations"], "seconds": said["seconds"], **said["counts"]}
    for process in running:
        said = process.do("score", episodes=episodes)
        row[process.label] |= {"score": said["score"], "stderr": said["stderr"]}
        row["better"] = said["better"]
    return row


def fit_together(*setups: Setup) -> bool:
    """Whether both can train at once, a core each, without one slowing the other more than it is slowed."""
    return cores() >= 2 and all(setup.threads == 1 and setup.settings.get("lanes", 1) == 1 for setup in setups)


def judged(rows: list[dict[str, Any]], trivial: dict[str, float], better: str, train_s: float) -> Guard:
    """The verdict on what both sides scored."""
    sign = 1.0 if better == "higher" else -1.0
    first, second = (np.array([row[label]["score"] for row in rows]) for label in LABELS)
    gains = mean(sign * (second - first), CONFIDENCE)
    learnt = sign * (float(first.mean()) - trivial["random"])
    found = (gains.mean, *gains.interval)
    told = (
        f"after {train_s:.0f} s of training each, {len(rows)} seeds: {first.mean():.4g} before, {second.mean():.4g} "
        f"after, random {trivial['random']:.4g} ({better} is better)"
    )
    if gains.interval[0] >= -WORSE * max(learnt, 0.0):
        return Guard("algorithmic", "passed", f"no worse {told}", rows, trivial, found)
    if gains.interval[1] < 0:
        return Guard("algorithmic", "failed", f"worse {told}", rows, trivial, found)
    return Guard("algorithmic", "unproven", f"not told apart {told}", rows, trivial, found)
