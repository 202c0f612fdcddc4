"""A trial: two settings of one recipe measured side by side, in turn, until the answer is as sure as was asked.

A pair is two fresh processes, one a side, both warm, that iterate in turn: whatever drifts meets both. How fast a
process is differs a little from one to the next (where its memory came to lie, which core it got), so there are several
pairs, and the interval is taken over pairs and over the turns in them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from velodrome.learn.trainer import Counts
from velodrome.meter.budget import Budget, phases
from velodrome.meter.statistics import Ratio, Samples, Verdict, mean, nested_ratio, rank_test
from velodrome.proof.processes import Process, Setup, at_once, at_work

PAIRS, FEWEST_PAIRS, FEWEST_TURNS = 10, 3, 2
MARGIN = 0.03
"""Intervals that lie inside this are a finding too: no difference."""
TURN_S = 0.25
"""A turn is one iteration, or as many as take this long: caches have to warm up again in each."""
LONG_S = 4.0
"""An iteration as long as this is a turn."""
LABELS = ("a", "b")


@dataclass
class Pair:
    """What the two sides of one pair of processes took, turn by turn."""

    budgets: tuple[list[Budget], list[Budget]] = field(default_factory=lambda: ([], []))
    counts: tuple[list[Counts], list[Counts]] = field(default_factory=lambda: ([], []))
    first_metrics: list[dict[str, float]] = field(default_factory=list)
    """What each side told of its first iteration."""
    memory_mb: list[float] = field(default_factory=lambda: [0.0, 0.0])
    weights: list[str] = field(default_factory=list)
    """A hash of each side's, after as many iterations on both."""
    iterations_a_turn: int = 1
    warm_up: int = 1
    """Iterations of each side before its first turn."""

    @property
    def turns(self) -> int:
        """Of each side."""
        return len(self.budgets[0])

    @property
    def iterations(self) -> int:
        """Of each side in its turns."""
        return self.turns * self.iterations_a_turn

    def seconds(self, unit: str) -> tuple[Samples, Samples]:
        """Wall seconds for a unit of work, in every turn of each side."""
        first, second = (
            np.array([budget.wall_s for budget in budgets]) / self._units(counts, unit)
            for budgets, counts in zip(self.budgets, self.counts, strict=True)
        )
        return first, second

    def _units(self, counts: list[Counts], unit: str) -> float:
        """Of work in a turn, in the mean."""
        return self.iterations_a_turn if unit == ITERATION else _mean_count(counts, unit)


ITERATION = "iteration"


@dataclass(frozen=True)
class Moved:
    """One phase on both sides, in seconds for a unit of work."""

    name: str
    seconds: tuple[float, float]
    change: float
    """Of this phase, as a share of all that the first side needed."""
    interval: tuple[float, float]
    """Of the change."""

    @property
    def verdict(self) -> Verdict:
        """Whether it moved."""
        low, high = self.interval
        if low > 0 or high < 0:
            return "slower" if low > 0 else "faster"
        return "no difference" if low > -MARGIN and high < MARGIN else "inconclusive"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self) | {"verdict": self.verdict}


@dataclass(frozen=True)
class Trial:
    """What came out: `ratio` is the second side's time over the first's, so that below 1 it is faster."""

    verdict: Verdict
    ratio: float
    interval: tuple[float, float]
    p: float
    """Of the rank test over all turns."""
    unit: str
    """What the seconds are for: an iteration, or a decision where an iteration of one side holds more of them."""
    pairs: list[Pair]
    phases: list[Moved]
    """By how much they changed, the largest first."""
    spent_s: float
    precision: float
    """That was asked for, as half the interval."""

    @property
    def iterations(self) -> int:
        """Of each side, in all pairs."""
        return sum(pair.iterations for pair in self.pairs)

    @property
    def half(self) -> float:
        """Half the interval."""
        return math.log(self.interval[1] / self.interval[0]) / 2

    @property
    def precise(self) -> bool:
        """Whether the interval is as narrow as was asked."""
        return self.half <= math.log1p(self.precision)

    @property
    def needed_s(self) -> float:
        """How long a trial would have to be, at this noise, to be as precise as was asked."""
        return self.spent_s * max((self.half / math.log1p(self.precision)) ** 2, 1.0)

    @property
    def moved(self) -> list[Moved]:
        """The phases that account for the difference."""
        return [phase for phase in self.phases if phase.verdict in ("faster", "slower")]

    def elsewhere(self, touches: Sequence[str]) -> float:
        """The part of the difference that lies in phases whose names begin with none of these."""
        whole = sum(phase.change for phase in self.phases)
        touched = sum(phase.change for phase in self.phases if phase.name.startswith(tuple(touches)))
        return 1 - touched / whole if abs(whole) > MARGIN else 0.0

    def budgets(self) -> tuple[Budget, Budget]:
        """Of all turns of each side."""
        first, second = (
            sum((budget for pair in self.pairs for budget in pair.budgets[side]), Budget()) for side in (0, 1)
        )
        return first, second

    def memory_mb(self) -> tuple[float, float]:
        """The most that a process of each side held."""
        first, second = (max(pair.memory_mb[side] for pair in self.pairs) for side in (0, 1))
        return first, second

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; `guard` is added by who has one."""
        return {
            "verdict": self.verdict,
            "ratio": self.ratio,
            "interval": self.interval,
            "p": self.p,
            "unit": self.unit,
            "pairs": len(self.pairs),
            "iterations": self.iterations,
            "phases": [phase.to_json() for phase in self.phases],
            "moved": [phase.name for phase in self.moved],
            "budgets": dict(zip(LABELS, (budget.to_json() for budget in self.budgets()), strict=True)),
            "memory_mb": dict(zip(LABELS, self.memory_mb(), strict=True)),
            "spent_s": self.spent_s,
            "precision": self.precision,
            "precise": self.precise,
            "needed_s": self.needed_s,
        }


def trial(
    first: Setup,
    second: Setup,
    *,
    budget_s: float = 120.0,
    precision: float = MARGIN,
    seed: int = 0,
    until_clear: bool = False,
    progress: Callable[[Trial], None] = lambda found: None,
) -> Trial:
    """Measure until half the interval is within `precision` or the budget is spent.

    `until_clear` is for whoever wants the verdict alone: it stops, too, once the whole interval lies beyond the margin.
    """
    began, pairs = time.monotonic(), list[Pair]()
    while True:
        now = time.monotonic()
        until = now + (budget_s - (now - began)) / max(PAIRS - len(pairs), 1)
        pairs.append(_pair((first, second), seed + len(pairs), until))
        spent_s = time.monotonic() - began
        if len(pairs) < FEWEST_PAIRS:
            continue
        found = judged(pairs, spent_s, precision)
        progress(found)
        beyond = found.interval[1] < 1 - MARGIN or found.interval[0] > 1 + MARGIN
        if found.precise or (until_clear and beyond) or spent_s + 0.75 * spent_s / len(pairs) > budget_s:
            return found


def _pair(sides: tuple[Setup, Setup], seed: int, until: float) -> Pair:
    """At work until then, and at least as long as it took to get to work."""
    pair, began = Pair(), time.monotonic()
    with at_work(list(zip(LABELS, sides, strict=True)), seed) as running:
        first = at_once(running, "iterate")
        pair.first_metrics = [said["metrics"] for said in first]
        warm_s = [said["budget"]["wall_s"] for said in first]
        if max(warm_s) < LONG_S:  # the first one compiles; another tells how long a turn is
            pair.warm_up += 1
            warm_s = [process.do("iterate")["budget"]["wall_s"] for process in running]
        pair.iterations_a_turn = max(1, math.ceil(TURN_S / max(warm_s)))
        until = max(until, 2 * time.monotonic() - began)
        while pair.turns < FEWEST_TURNS or time.monotonic() < until:
            for side in (0, 1) if pair.turns % 2 == 0 else (1, 0):
                _turn(pair, side, running[side])
        endings = [process.do("ending") for process in running]
        pair.weights, pair.memory_mb = ([said[name] for said in endings] for name in ("weights", "memory_mb"))
    return pair


def _turn(pair: Pair, side: int, process: Process) -> None:
    said = process.do("iterate", times=pair.iterations_a_turn)
    pair.budgets[side].append(Budget.from_json(said["budget"]))
    pair.counts[side].append(Counts(**said["counts"]))


def judged(pairs: list[Pair], spent_s: float, precision: float = MARGIN) -> Trial:
    """The verdict on all pairs so far."""
    unit = _unit(pairs)
    seconds = [pair.seconds(unit) for pair in pairs]
    found = nested_ratio(seconds)
    before, after = (np.concatenate([pair[side] for pair in seconds]) for side in (0, 1))
    p = rank_test(before, after, paired=True)
    return Trial(
        verdict(found, p), found.ratio, found.interval, p, unit, pairs, _moves(pairs, unit), spent_s, precision
    )


def verdict(found: Ratio, p: float) -> Verdict:
    """An interval inside the margin is no difference, whatever the ranks say; one on either side of 1 needs them."""
    low, high = found.interval
    if low >= 1 - MARGIN and high <= 1 + MARGIN:
        return "no difference"
    if p < 0.05 and (high < 1 or low > 1):
        return "faster" if high < 1 else "slower"
    return "inconclusive"


def _unit(pairs: list[Pair]) -> str:
    """An iteration is the unit of work unless one of a side holds more decisions than one of the other."""
    for name in ("decisions", "learner_samples"):
        counts = [
            np.mean([_mean_count(pair.counts[side], name) / pair.iterations_a_turn for pair in pairs])
            for side in (0, 1)
        ]
        if min(counts) > 0:
            return name if max(counts) > (1 + MARGIN) * min(counts) else ITERATION
    return ITERATION


def _mean_count(counts: list[Counts], unit: str) -> float:
    return float(np.mean([getattr(each, unit) for each in counts]))


def _moves(pairs: list[Pair], unit: str) -> list[Moved]:
    """Every phase on both sides: the mean over pairs, with Student's interval of the change."""
    by_pair = [[_for_a_unit(pair, side, unit) for side in (0, 1)] for pair in pairs]
    names = dict.fromkeys(name for both in by_pair for side in both for name in side)
    whole = float(np.mean([sum(both[0].values()) for both in by_pair]))
    moves = []
    for name in names:
        first, second = (np.array([both[side].get(name, 0.0) for both in by_pair]) for side in (0, 1))
        change = mean((second - first) / whole)
        moves.append(Moved(name, (float(first.mean()), float(second.mean())), change.mean, change.interval))
    return sorted(moves, key=lambda phase: -abs(phase.change))


def _for_a_unit(pair: Pair, side: int, unit: str) -> dict[str, float]:
    """Seconds of each phase for a unit of work, in the median over turns."""
    units = pair._units(pair.counts[side], unit)
    return {name: float(np.median(samples)) / units for name, samples in phases(pair.budgets[side]).items()}
