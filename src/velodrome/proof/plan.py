"""What so many workers would give, each on a machine of its own: a plan made of what one machine can measure.

What one of N workers does in an iteration is measured: it is the recipe with an N-th of the games. What they tell each
other is counted, and takes what the network is said to take. How long the quickest wait for the slowest follows from
how much an iteration's time varies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from velodrome.learn.workers import NUMBER_BYTES
from velodrome.proof.scale import Point

LITTLE = 1.1
"""Gained by twice as many workers or more, less than that is not worth them."""
PARTS = {
    "remains": "what a worker does does not shrink with its share of the games",
    "wait": "the quickest wait for the slowest",
    "sync": "gradients have to go around",
}
"""What keeps N workers from being N times as fast, and how it is said."""


@dataclass(frozen=True)
class Network:
    """From a worker to the next."""

    latency_s: float
    bytes_per_s: float

    def sync_s(self, workers: int, told: Mapping[str, float]) -> float:
        """What a ring of workers takes for what is told in an iteration: `steps`, means of `numbers` in all, and
        `exchanges` of a few numbers. Before each mean all meet."""
        turns = workers - 1
        hops = turns * (told["exchanges"] + 3 * told["steps"])
        sent = 2 * turns / workers * told["numbers"] * NUMBER_BYTES
        return hops * self.latency_s + sent / self.bytes_per_s


@dataclass(frozen=True)
class Planned:
    """So many workers."""

    workers: int
    iteration_s: float
    work_s: float
    """What each does itself, measured."""
    remains_s: float
    """The part of it that is more than its share of what one worker does alone."""
    wait_s: float
    sync_s: float
    speedup: float
    """Over one worker."""
    efficiency: float


@dataclass(frozen=True)
class Plan:
    """All sizes, from one worker up."""

    rows: Sequence[Planned]
    network: Network

    @property
    def enough(self) -> Planned:
        """The size beyond which more workers gain little, as far as was measured."""
        best = self.rows[0]
        for row in self.rows[1:]:
            if row.speedup >= LITTLE * best.speedup:
                best = row
        return best

    @property
    def why(self) -> str | None:
        """What ends it at the next size; None if the last measured size is still worth it."""
        beyond = [row for row in self.rows if row.workers > self.enough.workers]
        if not beyond:
            return None
        return max(PARTS, key=lambda part: float(getattr(beyond[0], f"{part}_s")))

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "network": asdict(self.network),
            "rows": [asdict(row) for row in self.rows],
            "enough": self.enough.workers,
            "why": self.why,
        }


def plan(points: Sequence[Point], network: Network) -> Plan:
    """The plan for these numbers of workers, of which the first is 1."""
    alone_s = points[0].typical()
    rows = []
    for point in points:
        work_s = point.typical()
        wait_s = slowest(point.value) * spread_s(point)
        sync_s = network.sync_s(point.value, told(point))
        iteration_s = work_s + wait_s + sync_s
        speedup = alone_s / iteration_s
        remains_s = max(work_s - alone_s / point.value, 0.0)
        efficiency = speedup / point.value
        rows.append(Planned(point.value, iteration_s, work_s, remains_s, wait_s, sync_s, speedup, efficiency))
    return Plan(rows, network)


def told(point: Point) -> dict[str, float]:
    """What workers tell each other in an iteration, in the mean over processes."""
    return {name: float(np.mean([taken.told[name] for taken in point.taken])) for name in point.taken[0].told}


def spread_s(point: Point) -> float:
    """The standard deviation of an iteration's time, that of turns of several being smaller."""
    within = [
        float(np.std(seconds, ddof=1)) * math.sqrt(taken.iterations)
        for seconds, taken in zip(point.seconds(), point.taken, strict=True)
    ]
    return float(np.median(within))


def slowest(workers: int) -> float:
    """By how many standard deviations the slowest of so many is slower than the mean (Blom 1958)."""
    return float(norm.ppf((workers - 0.375) / (workers + 0.25)))
