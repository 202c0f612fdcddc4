"""The advantage kernel against a naive reference that follows one seat at a time."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from velodrome.learn.kernels.advantage import advantages

DISCOUNT, TRACE = 0.9, 0.8


def segment(games: int, steps: int, seats: int, deciders: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    rows = (games, steps, deciders)
    seat = (
        random.integers(0, seats, rows)
        if deciders < seats
        else np.broadcast_to(np.arange(seats), rows).astype(np.int64).copy()
    )
    cut_value = random.normal(size=(games, steps, seats)).astype(np.float32)
    cut_value[random.random(cut_value.shape) < 0.3] = np.nan
    return {
        "rewards": random.normal(size=(games, steps, seats)).astype(np.float32),
        "seat": seat,
        "acting": random.random(rows) < 0.9,
        "value": random.normal(size=rows).astype(np.float32),
        "ended": random.random(rows[:2]) < 0.1,
        "cut": random.random(rows[:2]) < 0.1,
        "cut_value": cut_value,
    }


def naive(part: dict[str, Any], game: int, seat: int) -> dict[int, float]:
    """The advantages of one seat's known decisions in one game, by step."""
    steps = part["rewards"].shape[1]
    decisions = [
        (step, k)
        for step in range(steps)
        for k in range(part["seat"].shape[2])
        if part["acting"][game, step, k] and part["seat"][game, step, k] == seat
    ]
    told: dict[int, float] = {}
    following: dict[int, int] = {a[0]: b[0] for a, b in pairwise(decisions)}
    value = {step: float(part["value"][game, step, k]) for step, k in decisions}
    for step, _ in reversed(decisions):
        until = following.get(step)
        over = next((t for t in range(step, steps if until is None else until) if over_at(part, game, t)), None)
        last = over if over is not None else (until - 1 if until is not None else None)
        if last is None:
            continue  # its consequences lie beyond the segment
        earned = float(part["rewards"][game, step : last + 1, seat].sum())
        if over is None:
            later, carried = value[until], told.get(until, 0.0)
        elif part["ended"][game, over]:
            later, carried = 0.0, 0.0
        else:
            later, carried = float(part["cut_value"][game, over, seat]), 0.0
            if np.isnan(later):
                continue
        told[step] = earned + DISCOUNT * later - value[step] + DISCOUNT * TRACE * carried
    return told


def over_at(part: dict[str, Any], game: int, step: int) -> bool:
    return bool(part["ended"][game, step] or part["cut"][game, step])


@pytest.mark.parametrize(("seats", "deciders"), [(4, 1), (1, 1), (3, 3)])
def test_every_seat_has_a_trajectory_of_its_own(seats: int, deciders: int) -> None:
    part = segment(games=20, steps=40, seats=seats, deciders=deciders, seed=seats)
    advantage, known = np.zeros(part["value"].shape, np.float32), np.zeros(part["value"].shape, bool)
    advantages(*part.values(), np.float32(DISCOUNT), np.float32(TRACE), advantage, known)
    for game in range(20):
        for seat in range(seats):
            expected = naive(part, game, seat)
            mine = part["acting"][game] & (part["seat"][game] == seat)
            assert set(np.flatnonzero((mine & known[game]).any(1))) == set(expected)
            for step, wanted in expected.items():
                got = advantage[game, step][mine[step]]
                np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-4)
    assert 0.5 < known.mean() < 1
