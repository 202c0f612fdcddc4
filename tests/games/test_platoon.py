"""Platoon: known trajectories to the last digit, and scripted players' scores."""

from typing import Any

import numpy as np
import pytest

from velodrome.games import make
from velodrome.games.game import Game


def begun(scenario: str, gap: float = 20.0, speed: float = 15.0) -> Game:
    game = make("platoon", 1, 0, scenario=scenario)
    game.records["gap"][0, :8], game.records["speed"][0, :8] = 20.0, speed
    game.records["gap"][0, 0], game.records["first_speed"][0] = gap, speed
    return game


STEADY = np.full((1, 8), 3)


def test_catching_up() -> None:
    game = begun("catch-up", gap=40.0)
    game.step(STEADY)
    np.testing.assert_allclose(game.records["gap"][0, :3], [39.9875, 20.0125, 20])
    assert game.records["speed"][0, 0] == pytest.approx(15.25)
    assert game.outcome[0, 0] == pytest.approx(-400.1878, abs=5e-5)
    for _ in range(9):
        game.step(STEADY)
    np.testing.assert_allclose(game.records["gap"][0, :5], [38.75, 21.0482, 20.1806, 20.0197, 20.0015], atol=5e-5)
    np.testing.assert_allclose(game.records["speed"][0, :4], [17.5, 15.6427, 15.0960, 15.0092], atol=5e-5)
    assert game.outcome[0, 0] == pytest.approx(-384.6405, abs=5e-5)
    for _ in range(590):
        game.step(STEADY)
    assert game.cut[0]
    assert game.outcome[0, 0] == pytest.approx(-77.5382, abs=5e-5)


def test_slowing_down() -> None:
    game = begun("slow-down", speed=30.0)
    game.step(STEADY)
    assert game.records["gap"][0, 0] == pytest.approx(20.01)
    np.testing.assert_allclose(game.records["speed"][0, :8], 29.75)
    assert game.outcome[0, 0] == pytest.approx(-1745.5001, abs=5e-5)


def test_what_a_vehicle_knows() -> None:
    game = begun("slow-down", speed=18.0)
    record = game.records[0]
    record["gap"][:3], record["speed"][:3], record["force"][:3] = [20, 5, 40], [18, 30, 12], [1.0, -2.5, 0]
    game.look(0, 1)
    seen = game.views["seen"][0]
    np.testing.assert_allclose(seen[0], [0.2, 0, -0.6, 0, 0.4], atol=1e-6)  # at a gap of 20 it wants to go 15
    np.testing.assert_allclose(seen[1], [1.0, -2.0, -2.0, (5 - 1.2 - 20) / 20, -1.0], atol=1e-6)
    np.testing.assert_allclose(seen[2], [-0.2, 2.0, 2.0, (40 + 1.8 - 20) / 20, 0], atol=1e-6)


@pytest.mark.parametrize("scenario", ["catch-up", "slow-down"])
def test_a_crash_stands_to_the_end_of_its_block(scenario: str) -> None:
    game = begun(scenario)
    game.records["gap"][0, 3] = 1.01
    game.records["speed"][0, 3] = 20
    for step in range(1, 61):
        before, seen = game.records["gap"].copy(), game.views["seen"].copy()
        game.step(np.zeros((1, 8), np.int64))
        if step > 1:
            np.testing.assert_array_equal(game.records["gap"], before)
            np.testing.assert_array_equal(game.views["seen"], seen)
        np.testing.assert_array_equal(game.rewards[0], -1000)
        assert game.ended[0] == (step == 60)
    assert game.outcome[0, 0] == -8000


def test_the_warning_is_in_the_reward_and_not_in_the_score() -> None:
    rewards = {}
    for warn in (False, True):
        game = make("platoon", 1, 0, warn=warn)
        game.records["gap"][0, :8] = 9.0
        game.step(np.zeros((1, 8), np.int64))
        rewards[warn], score = game.rewards[0].copy(), game.outcome[0, 0]
    np.testing.assert_allclose(rewards[False] - rewards[True], 5.0)
    assert score == pytest.approx(rewards[False].sum())


@pytest.mark.parametrize(
    ("scenario", "bot", "anchor", "slack", "crashes"),
    [
        ("catch-up", "heedless", -419.67, 5, 0.0),
        ("catch-up", "steady", -78.24, 1, 0.0),
        ("catch-up", "mixed", -38.4, 1, 0.0),
        ("slow-down", "heedless", -2636.5, 40, 1.0),
        ("slow-down", "steady", -478.12, 10, 0.0),
        ("catch-up", "random", -1380, 60, 0.98),
        ("slow-down", "random", -1735, 120, 0.88),
    ],
)
def test_scripted_players_score_as_in_the_original(
    scenario: Any, bot: str, anchor: float, slack: float, crashes: float
) -> None:
    game = make("platoon", 500, 3, threads=2, scenario=scenario)
    crashed = np.zeros(500, np.bool_)
    for _ in range(600):
        game.step(game.bot(bot))
        crashed |= game.ended
    found, stderr = game.outcome[:, 0].mean(), game.outcome[:, 0].std() / np.sqrt(50)  # the anchor is of 50 games
    assert abs(found - anchor) < 3 * stderr + slack
    assert abs(crashed.mean() - crashes) < 0.12


def test_a_decision_may_be_good_for_several_steps() -> None:
    kind: dict[str, Any] = {"scenario": "slow-down", "vehicles": 4}
    held, each = make("platoon", 30, 3, hold=5, **kind), make("platoon", 30, 3, **kind)
    assert held.spec.longest == each.spec.longest / 5
    for _ in range(held.spec.longest):
        action, earned = held.bot("random"), np.zeros((30, 4))
        held.step(action)
        for _ in range(5):
            each.step(action)
            earned += each.rewards
        np.testing.assert_allclose(held.rewards, earned / 5, rtol=1e-5)
        for name in ("gap", "speed", "time", "over"):
            np.testing.assert_array_equal(held.records[name], each.records[name])
    assert held.ended.any()
    np.testing.assert_array_equal(held.outcome, each.outcome)
    with pytest.raises(ValueError, match="hold=7; it takes a divisor of 60"):
        make("platoon", 1, 0, hold=7)
