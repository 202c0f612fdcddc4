"""How a time grows: t(n) = a + b n^k, fitted to what several processes took, with intervals and within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Samples = NDArray[np.float64]
Interval = tuple[float, float]
Times = Mapping[float, Sequence[ArrayLike]]
"""By size: what each of the processes took that were measured there, sample by sample."""

FEWEST, REACH = 5, 2.0
"""Sizes of a fit; how far beyond them it may be asked, as a factor."""
FLATTEST, STEEPEST, RESAMPLES = 0.05, 6.0, 400
_GRIDS = tuple(sign * np.linspace(FLATTEST, STEEPEST, 120) for sign in (1, -1))
"""Exponents of times that grow, and of times that fall."""
LEAST_BEND = 1.1
"""How far a curve rises above the line between its ends, at least, where it bends."""


@dataclass(frozen=True)
class Law:
    """A fit of t(n) = a + b n^k, with 95 % bootstrap intervals."""

    a: float
    b: float
    k: float
    a_interval: Interval
    b_interval: Interval
    k_interval: Interval
    changes: bool
    """Whether the time at the largest size differs from that at the smallest; else the exponent says nothing."""
    misfit: float
    """By what part of itself the time at some size is off, at most."""
    measured: tuple[float, float]
    """The smallest n that was measured, and the largest."""
    drawn: Samples
    """`[resamples, 3]`: a, b and k of each."""

    def at(self, n: float) -> tuple[float, Interval]:
        """The time at n and its interval; a ValueError where that is too far from anything that was measured."""
        low, high = self.measured
        if not low / REACH <= n <= high * REACH:
            raise ValueError(f"measured from {low:g} to {high:g}: nothing is known of {n:g}; measure nearer to it")
        a, b, k = self.drawn.T
        return self.a + self.b * n**self.k, _interval(a + b * n**k)


class _Sizes:
    """Logarithms of the times at each size, and how much those of processes differ."""

    def __init__(self, times: Times):
        self.n = np.array(sorted(times), np.float64)
        medians = [[np.median(np.asarray(found, np.float64)) for found in times[n]] for n in sorted(times)]
        if self.n[0] <= 0 or any(not found or min(found) <= 0 for found in medians):
            raise ValueError("a law of growth takes sizes and times above zero")
        logs = [np.log(found) for found in medians]
        self.centres, self.taken = np.array([found.mean() for found in logs]), np.array([len(found) for found in logs])
        self.apart = np.concatenate([found - found.mean() for found in logs])
        if (free := self.apart.size - self.n.size) > 0:
            self.apart = self.apart * (self.apart.size / free) ** 0.5

    def drawn(self, generator: np.random.Generator) -> Samples:
        """Centres as they might have come out as well: processes differ at all sizes alike."""
        away = [generator.choice(self.apart, taken).mean() for taken in self.taken]
        drawn: Samples = self.centres + np.array(away)
        return drawn


def fit(times: Times) -> Law:
    """The law of times: at each size the mean over processes of each one's median counts, relative to its size.

    Intervals hold how much processes differ, and how far the law is off at single sizes.
    """
    if len(times) < FEWEST:
        raise ValueError(f"{len(times)} points; a law of growth takes {FEWEST} or more")
    sizes, generator = _Sizes(times), np.random.default_rng(0)
    n, centres = sizes.n, sizes.centres
    a, b, k = _fit(n, np.exp(centres))
    off = centres - np.log(a + b * n**k)
    wide = off * (n.size / (n.size - 3)) ** 0.5
    draws = [sizes.drawn(generator) + generator.choice(wide, n.size) for _ in range(RESAMPLES)]
    drawn = np.array([_fit(n, np.exp(each)) for each in draws])
    ends = [drawn[:, 0] + drawn[:, 1] * end ** drawn[:, 2] for end in (n[0], n[-1])]
    low, high = _interval(ends[1] / ends[0])
    of_a, of_b, of_k = (_interval(column) for column in drawn.T)
    measured = float(n[0]), float(n[-1])
    return Law(a, b, k, of_a, of_b, of_k, not low <= 1 <= high, float(np.expm1(np.abs(off).max())), measured, drawn)


def _fit(n: Samples, t: Samples) -> tuple[float, float, float]:
    """Least squares of relative errors, a and b at least zero: the best exponent of a grid, then of finer ones."""
    found, least = (0.0, 0.0, 0.0), np.inf
    for grid in _GRIDS:
        ends = sorted((grid[0], grid[-1]))
        for _ in range(3):
            a, b, error = _linear(n ** grid[:, None], t)
            best, step = int(np.argmin(error)), abs(grid[1] - grid[0])
            if error[best] < least - 1e-12:
                found, least = (float(a[best]), float(b[best]), float(grid[best])), float(error[best])
            grid = np.clip(np.linspace(grid[best] - step, grid[best] + step, 21), *ends)
    return found


def _linear(x: Samples, t: Samples) -> tuple[Samples, Samples, Samples]:
    """For each row of x, a and b of t = a + b x and the sum of squared relative errors."""
    one, other = np.broadcast_to(1 / t, x.shape), x / t
    of_one, of_other, both = (one * one).sum(1), (other * other).sum(1), (one * other).sum(1)
    to_one, to_other = one.sum(1), other.sum(1)
    scale = np.maximum(of_one * of_other - both * both, 1e-300)
    a = (to_one * of_other - to_other * both) / scale
    b = (to_other * of_one - to_one * both) / scale
    a, b = (
        np.where(b < 0, to_one / of_one, np.maximum(a, 0)),
        np.where(a < 0, to_other / of_other, np.maximum(b, 0)),
    )
    return a, b, ((a[:, None] * one + b[:, None] * other - 1) ** 2).sum(1)


def growth(times: Times, low: float, high: float) -> tuple[float, Interval]:
    """How many times as long for each doubling from `low` to `high`, both measured, with its bootstrap interval."""
    sizes, generator = _Sizes(times), np.random.default_rng(0)
    ends = [int(np.searchsorted(sizes.n, end)) for end in (low, high)]
    doublings = np.log2(high / low)

    def each(centres: Samples) -> float:
        return float(np.exp((centres[ends[1]] - centres[ends[0]]) / doublings))

    return each(sizes.centres), _interval(np.array([each(sizes.drawn(generator)) for _ in range(RESAMPLES)]))


def knee(cost: Sequence[float], gain: Sequence[float]) -> int | None:
    """Where a curve of gain over cost, both above zero, bends: the point that lies farthest above the line between its
    ends once both are logarithms, unless that is next to nothing."""
    x, y = np.log(np.asarray(cost, np.float64)), np.log(np.asarray(gain, np.float64))
    order = np.argsort(x)
    first, last = order[0], order[-1]
    slope = (y[last] - y[first]) / max(x[last] - x[first], 1e-12)
    height = y - y[first] - slope * (x - x[first])
    best = int(np.argmax(height))
    return best if height[best] > np.log(LEAST_BEND) else None


def _interval(values: Samples) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
