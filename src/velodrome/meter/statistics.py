"""What repeated measurements say, and how sure one may be of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Samples = NDArray[np.float64]
Verdict = Literal["faster", "slower", "no difference", "inconclusive"]

RESAMPLES = 2000
CHUNK = 4_000_000
"""Numbers drawn at a time, so that a bootstrap of many samples stays small in memory."""


@dataclass(frozen=True)
class Mean:
    """A mean, its standard error, and the interval that holds the true one with the asked confidence."""

    mean: float
    stderr: float
    interval: tuple[float, float]
    n: int


@dataclass(frozen=True)
class Ratio:
    """The median of one set of times over that of another, with its bootstrap interval."""

    ratio: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """Whether times changed: `ratio` is after over before, so that below 1 is faster."""

    verdict: Verdict
    ratio: float
    interval: tuple[float, float]
    p: float
    """Of the rank test: Mann-Whitney, or Wilcoxon's for pairs."""


def mean(samples: ArrayLike, confidence: float = 0.95) -> Mean:
    """The mean of independent samples, with Student's interval."""
    values = _checked(samples, least=2)
    centre, stderr = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    reach = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * stderr
    return Mean(centre, stderr, (centre - reach, centre + reach), len(values))


def percentile(samples: ArrayLike, q: float) -> float:
    """The value below which `q` percent of the samples lie, linear between two of them."""
    return float(np.percentile(_checked(samples), q))


def median_ratio(
    before: ArrayLike, after: ArrayLike, paired: bool = False, confidence: float = 0.95, seed: int = 0
) -> Ratio:
    """Median of `after` over median of `before`, with a percentile bootstrap interval.

    Where sample i of both was taken together, `paired` draws them together too: what disturbed both cancels out.
    """
    old, new = _both(before, after, paired)
    generator = np.random.default_rng(seed)
    ratios: list[Samples] = []
    for count in _chunks(max(len(old), len(new))):
        of_old = generator.integers(len(old), size=(count, len(old)))
        of_new = of_old if paired else generator.integers(len(new), size=(count, len(new)))
        ratios.append(np.median(new[of_new], 1) / np.median(old[of_old], 1))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(np.concatenate(ratios), [tail, 100 - tail])
    return Ratio(float(np.median(new) / np.median(old)), (float(low), float(high)))


def nested_ratio(pairs: Sequence[tuple[ArrayLike, ArrayLike]], confidence: float = 0.95, seed: int = 0) -> Ratio:
    """After over before where every pair holds repeated times of both, taken in turn: sample i of one beside sample i
    of the other.

    Times inside a pair have more in common than times of different pairs: one process is a little faster than the next
    for as long as it lives. So the interval is Student's over pairs. Few pairs may agree by luck; then it is as wide
    as a bootstrap of the samples within them says.
    """
    logs = [np.log(new / old) for old, new in (_both(*pair, paired=True) for pair in pairs)]
    if len(logs) < 2:
        raise ValueError("an interval over pairs needs two of them or more")
    generator, centres = np.random.default_rng(seed), np.array([_trimmed(each[None])[0] for each in logs])
    between = centres.std(ddof=1) / np.sqrt(len(logs)) * float(stats.t.ppf((1 + confidence) / 2, len(logs) - 1))
    drawn = [_trimmed(each[generator.integers(len(each), size=(RESAMPLES, len(each)))]) for each in logs]
    low, high = np.percentile(np.mean(drawn, 0), [50 * (1 - confidence), 50 * (1 + confidence)])
    centre, reach = float(centres.mean()), max(float(between), float(high - low) / 2)
    return Ratio(float(np.exp(centre)), (float(np.exp(centre - reach)), float(np.exp(centre + reach))))


def _trimmed(rows: Samples) -> Samples:
    """The mean of each row without its lowest and highest fifth: what disturbed single samples has no weight."""
    cut = rows.shape[1] // 5
    trimmed: Samples = np.sort(rows, 1)[:, cut : rows.shape[1] - cut].mean(1)
    return trimmed


def rank_test(before: ArrayLike, after: ArrayLike, paired: bool = False) -> float:
    """How likely ranks as different as these are if nothing changed."""
    old, new = _both(before, after, paired)
    if paired:
        return 1.0 if np.array_equal(old, new) else float(stats.wilcoxon(old, new).pvalue)
    return float(stats.mannwhitneyu(old, new).pvalue)


def difference(
    before: ArrayLike, after: ArrayLike, margin: float = 0.03, paired: bool = False, confidence: float = 0.95
) -> Difference:
    """Whether `after` is faster or slower than `before`, both being times.

    "No difference" is a finding too: the whole interval lies within `margin` of 1. Faster and slower need an interval
    on one side of 1 and a rank test that agrees; anything else is inconclusive.
    """
    found = median_ratio(before, after, paired, confidence)
    p = rank_test(before, after, paired)
    low, high = found.interval
    verdict: Verdict = "inconclusive"
    if 1 - margin <= low and high <= 1 + margin:
        verdict = "no difference"
    elif p < 1 - confidence and (high < 1 or low > 1):
        verdict = "faster" if high < 1 else "slower"
    return Difference(verdict, found.ratio, found.interval, p)


def _both(before: ArrayLike, after: ArrayLike, paired: bool) -> tuple[Samples, Samples]:
    old, new = _checked(before), _checked(after)
    if paired and len(old) != len(new):
        raise ValueError(f"pairs need as many samples on both sides, not {len(old)} and {len(new)}")
    if min(old.min(), new.min()) <= 0:
        raise ValueError("a ratio of times needs times above zero")
    return old, new


def _checked(samples: ArrayLike, least: int = 1) -> Samples:
    values: Samples = np.asarray(samples, np.float64).ravel()
    if len(values) < least:
        raise ValueError(f"{len(values)} samples are too few: {least} or more are needed")
    if not np.isfinite(values).all():
        raise ValueError("the samples hold a value that is not a finite number")
    return values


def _chunks(width: int) -> Sequence[int]:
    each = max(CHUNK // width, 1)
    whole, rest = divmod(RESAMPLES, each)
    return [each] * whole + [rest] * (rest > 0)
