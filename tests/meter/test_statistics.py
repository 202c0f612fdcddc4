from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from velodrome.meter import statistics
from velodrome.meter.statistics import difference, mean, median_ratio, percentile, rank_test


def times(seed: int, n: int, scale: float = 1.0, spread: float = 0.05) -> np.ndarray:
    """Like measured times: a floor, and now and then a delay."""
    return scale * (1 + spread * np.random.default_rng(seed).gamma(2.0, size=n))


def test_mean_is_scipys() -> None:
    samples = times(0, 25)
    found = mean(samples)
    assert found.stderr == pytest.approx(stats.sem(samples))
    expected = stats.t.interval(0.95, 24, samples.mean(), stats.sem(samples))
    assert (found.mean, found.interval, found.n) == (pytest.approx(samples.mean()), pytest.approx(expected), 25)


def test_mean_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = [low <= 5 <= high for low, high in (mean(generator.normal(5, 2, 6)).interval for _ in range(2000))]
    assert 0.935 < np.mean(held) < 0.965


def test_percentile() -> None:
    assert percentile([4, 1, 3, 2], 50) == 2.5
    assert percentile(np.arange(101), 95) == 95


@pytest.mark.parametrize("paired", [False, True])
def test_the_bootstrap_is_scipys(paired: bool) -> None:
    before, after = times(1, 60), times(2, 60, scale=1.2)
    oracle = stats.bootstrap(
        (after, before),
        lambda a, b, axis: np.median(a, axis) / np.median(b, axis),
        paired=paired,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    found = median_ratio(before, after, paired)
    assert found.ratio == pytest.approx(np.median(after) / np.median(before))
    assert found.interval == pytest.approx(tuple(oracle), abs=0.006)


def test_the_bootstrap_holds_the_truth_about_as_often_as_it_says() -> None:
    held = []
    for seed in range(150):
        low, high = median_ratio(times(seed, 40), times(seed + 1000, 40, scale=1.1)).interval
        held.append(low <= 1.1 <= high)
    assert 0.90 < np.mean(held) <= 1


def test_a_bootstrap_in_chunks_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = times(1, 50), times(2, 50)
    whole = median_ratio(before, after)
    monkeypatch.setattr(statistics, "CHUNK", 50 * 300)
    assert sum(statistics._chunks(50)) == statistics.RESAMPLES
    assert median_ratio(before, after).interval == pytest.approx(whole.interval, abs=0.004)


def test_pairs_cancel_what_disturbs_both() -> None:
    drift = np.random.default_rng(0).uniform(1, 3, 40)
    before, after = times(1, 40) * drift, times(2, 40, scale=1.1) * drift
    assert difference(before, after).verdict == "inconclusive"
    together = difference(before, after, paired=True)
    assert together.verdict == "slower"
    assert together.p < 1e-3


def test_the_rank_tests_are_scipys() -> None:
    before, after = times(1, 30), times(2, 30, scale=1.02)
    assert rank_test(before, after) == pytest.approx(stats.mannwhitneyu(after, before).pvalue)
    assert rank_test(before, after, paired=True) == pytest.approx(stats.wilcoxon(after, before).pvalue)
    assert rank_test(before, before, paired=True) == 1


@pytest.mark.parametrize(
    ("scale", "n", "spread", "verdict"),
    [
        (1.2, 60, 0.02, "slower"),
        (0.8, 60, 0.02, "faster"),
        (1.0, 200, 0.02, "no difference"),
        (1.01, 400, 0.01, "no difference"),
        (1.0, 12, 0.5, "inconclusive"),
    ],
)
def test_verdicts(scale: float, n: int, spread: float, verdict: str) -> None:
    found = difference(times(1, n, spread=spread), times(2, n, scale=scale, spread=spread))
    assert found.verdict == verdict
    assert found.interval[0] <= found.ratio <= found.interval[1]


def test_the_same_against_itself_is_rarely_called_a_difference() -> None:
    verdicts = [difference(times(seed, 30), times(seed + 5000, 30)).verdict for seed in range(200)]
    assert sum(verdict in ("faster", "slower") for verdict in verdicts) <= 14


def test_results_are_the_same_every_time() -> None:
    assert difference(times(1, 20), times(2, 20)) == difference(times(1, 20), times(2, 20))


def test_bad_samples_are_named() -> None:
    with pytest.raises(ValueError, match="1 samples are too few: 2 or more"):
        mean([1.0])
    with pytest.raises(ValueError, match="0 samples are too few"):
        difference([], [1.0])
    with pytest.raises(ValueError, match="not 2 and 3"):
        median_ratio([1, 2], [1, 2, 3], paired=True)
    with pytest.raises(ValueError, match="above zero"):
        median_ratio([0, 2], [1, 2])
    with pytest.raises(ValueError, match="not a finite number"):
        percentile([float("nan")], 50)
