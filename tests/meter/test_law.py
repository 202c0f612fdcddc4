"""Laws of growth: what was put in comes out, and nothing is said of what was not measured."""

import numpy as np
import pytest

from velodrome.meter.law import fit, growth, knee

SIZES = (2, 3, 4, 6, 8, 12, 16)


def made(a: float, b: float, k: float, noise: float = 0.0, seed: int = 1) -> dict[float, list[np.ndarray]]:
    """Three processes a size, which differ by the noise; their own samples by a fifth of it."""
    generator = np.random.default_rng(seed)

    def process(n: int) -> np.ndarray:
        apart = noise * (generator.standard_normal() + 0.2 * generator.standard_normal(9))
        return (a + b * n**k) * np.exp(apart)

    return {n: [process(n) for _ in range(3)] for n in SIZES}


@pytest.mark.parametrize(("a", "b", "k"), [(0.0, 2.0, 3.0), (5.0, 0.1, 2.0), (10.0, 1.0, 1.0), (0.0, 3.0, 0.5)])
def test_an_exact_law_is_found(a: float, b: float, k: float) -> None:
    found = fit(made(a, b, k))
    assert found.k == pytest.approx(k, abs=0.02)
    assert found.a == pytest.approx(a, abs=0.05 * max(a, b))
    assert found.at(32)[0] == pytest.approx(a + b * 32**k, rel=0.03)


def test_the_interval_holds_the_truth_and_widens_with_noise() -> None:
    wide, narrow = (fit(made(5.0, 0.1, 2.0, noise)) for noise in (0.05, 0.005))
    assert wide.k_interval[0] < 2.0 < wide.k_interval[1]
    assert wide.k_interval[1] - wide.k_interval[0] > 3 * (narrow.k_interval[1] - narrow.k_interval[0])
    low, high = wide.at(24)[1]
    assert low < 5 + 0.1 * 24**2 < high


def test_times_that_do_not_grow_have_nothing_to_do_with_the_size() -> None:
    found = fit({n: [[4.0, 4.0]] for n in (1, 2, 4, 8, 16)})
    assert found.at(8)[0] == pytest.approx(4.0)
    assert found.at(2)[0] == pytest.approx(4.0)
    assert not found.changes
    assert not fit(made(10.0, 0.0, 1.0, 0.03)).changes


def test_times_may_fall() -> None:
    found = fit(made(1.0, 10.0, -1.0, 0.005))
    assert found.changes
    assert found.k == pytest.approx(-1, abs=0.15)
    low, high = found.at(32)[1]
    assert low < 1 + 10 / 32 < high


def test_intervals_hold_the_truth_as_often_as_they_say_where_processes_differ() -> None:
    held = 0
    for seed in range(40):
        low, high = fit(made(0.0, 1.0, 2.0, 0.05, seed)).k_interval
        held += low <= 2.0 <= high
    assert held >= 34


def test_what_no_law_fits_is_told_and_widens_the_interval() -> None:
    jump = {n: [[n**2 * (1.5 if n >= 8 else 1.0)]] for n in SIZES}
    found = fit(jump)
    assert found.misfit > 0.08
    assert found.k_interval[1] - found.k_interval[0] > 0.1
    exact = fit(made(0.0, 1.0, 2.0))
    assert exact.misfit < 0.01
    assert exact.k_interval[1] - exact.k_interval[0] < 0.01


@pytest.mark.parametrize("n", [0.9, 33])
def test_nothing_is_said_far_from_what_was_measured(n: float) -> None:
    with pytest.raises(ValueError, match="measured from 2 to 16: nothing is known of"):
        fit(made(0.0, 1.0, 1.0)).at(n)


def test_four_points_are_too_few_and_zero_is_no_time() -> None:
    with pytest.raises(ValueError, match="4 points; a law of growth takes 5"):
        fit({n: [[1.0]] for n in (1, 2, 3, 4)})
    with pytest.raises(ValueError, match="above zero"):
        fit({n: [[0.0]] for n in (1, 2, 3, 4, 5)})


def test_growth_for_each_doubling() -> None:
    ratio, (low, high) = growth(made(0.0, 1.0, 3.0, 0.02), 4, 16)
    assert ratio == pytest.approx(8, rel=0.05)
    assert low < 8 < high


def test_the_knee_is_where_more_cost_gains_little() -> None:
    assert knee([1, 2, 4, 8, 16], [1, 2, 4, 4.4, 4.6]) == 2
    assert knee([16, 8, 4, 2, 1], [4.6, 4.4, 4, 2, 1]) == 2
    assert knee([1, 2, 4, 8], [1, 2, 4, 8]) is None
    assert knee([1, 2, 4, 8], [1, 1.1, 2, 8]) is None
