"""Coverage: what is seen and what counts, and scripted players' scores."""

import numpy as np
import pytest

from velodrome.games import make
from velodrome.games.coverage.rules import bearing, covered, turn, turned, visible
from velodrome.games.game import Game


def scene(sensors: int = 2, targets: int = 1, axes: str = "own") -> Game:
    """One sensor in the middle that looks east, the others far away, one obstacle far away."""
    game = make("coverage", 1, 0, sensors=sensors, targets=targets, axes=axes)
    record = game.records[0]
    record["x"][:sensors], record["y"][:sensors], record["heading"][:sensors] = [0, *[9000] * (sensors - 1)], 0, 0
    record["block_x"][: sensors - 1] = record["block_y"][: sensors - 1] = -9000
    return game


@pytest.mark.parametrize(
    ("angle", "same"), [(0, 0), (180, 180), (181, -179), (-180, 180), (-179, -179), (540, 180), (725, 5)]
)
def test_angles_come_round(angle: float, same: float) -> None:
    assert turned(float(angle)) == pytest.approx(same)


def test_a_target_is_known_wherever_one_looks_but_covered_only_in_view() -> None:
    game = scene()
    record = game.records[0]
    for x, y, known, inside in [
        (500, 0, True, True),
        (-500, 0, True, False),
        (900, 0, False, False),
        (0, 700, True, False),
    ]:
        record["target_x"][0], record["target_y"][0] = x, y
        assert visible(record, 1, 0, 0) == known
        assert covered(record, 0, 0) == inside
    record["target_x"][0], record["target_y"][0] = 300, 300
    assert bearing(record, 0, 300.0, 300.0) == pytest.approx(45)


def test_an_obstacle_hides_what_is_behind_it_and_counts_for_nothing_else() -> None:
    game = scene()
    record = game.records[0]
    record["block_x"][0], record["block_y"][0], record["block_radius"][0] = 300, 20, 80
    record["target_x"][0], record["target_y"][0] = 600, 0
    assert not visible(record, 1, 0, 0)
    assert covered(record, 0, 0)
    record["target_x"][0] = 200
    assert visible(record, 1, 0, 0)


def test_a_sensor_turns_to_the_middle_of_what_it_tracks() -> None:
    game = scene(targets=2)
    record = game.records[0]
    record["target_x"][:2], record["target_y"][:2] = [0, 5], [600, 600]
    record["kind"][:2] = 0
    tracks = np.zeros((1, 2, 2), np.int64)
    tracks[0, 0] = 1
    game.step(tracks)
    assert game.records["heading"][0, 0] == 50
    assert game.rewards[0, 0] > -0.1


@pytest.mark.parametrize("axes", ["own", "world"])
def test_what_a_sensor_knows(axes: str) -> None:
    game = scene(sensors=2, targets=2, axes=axes)
    record = game.records[0]
    record["x"][:2], record["y"][:2], record["heading"][:2] = [0, 400], [0, -200], [30, 120]
    record["target_x"][:2], record["target_y"][:2] = [0, 5000], [-500, 0]
    record["block_x"][0], record["block_y"][0], record["block_radius"][0] = -300, 0, 80
    game.look(0, 1)
    seen, others = game.views["seen"][0], game.views["others"][0]
    np.testing.assert_allclose(seen[0], [[0, 0, -120 / 180, 0.25], [0] * 4, [0, 0, 150 / 180, 0.15]], rtol=1e-6)
    away = np.hypot(400, 300)
    angle = np.degrees(np.arctan2(-300, -400)) - 120 + 360
    np.testing.assert_allclose(seen[1, 0], [0.5, 0, angle / 180, away / 2000], rtol=1e-6)
    np.testing.assert_allclose(others[0, 0], [0, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(others[0, 1, 2:], [0, 1], atol=1e-6)
    np.testing.assert_allclose(others[1, 0, 2:], [0, -1], atol=1e-6)
    places = others[[0, 1], [1, 0], :2]
    if axes == "world":
        np.testing.assert_allclose(places, [[0.2, -0.1], [-0.2, 0.1]], atol=1e-6)
    else:  # as far away, and in the direction in which a target would be seen there
        np.testing.assert_allclose(np.hypot(*places.T), np.hypot(0.2, 0.1), rtol=1e-6)
        angles = np.degrees(np.arctan2(places[:, 1], places[:, 0]))
        np.testing.assert_allclose(angles, [bearing(record, 0, 400, -200), bearing(record, 1, 0, 0)], rtol=1e-5)


def test_a_team_that_covers_nothing_it_tracks_loses_a_little() -> None:
    game = scene(targets=2)
    record = game.records[0]
    record["target_x"][:2], record["target_y"][:2], record["kind"][:2] = [500, -5000], [0, 0], 0
    tracks = np.zeros((1, 2, 2), np.int64)
    tracks[0, 0, 1] = 1  # it looks at the first target, but tracks the second
    record["heading"][0] = 179
    game.step(tracks)
    assert game.rewards[0, 0] == pytest.approx(-0.1)


def test_a_sensor_turns_a_whole_step_or_none() -> None:
    game = scene(targets=1)
    record = game.records[0]
    tracks = np.zeros((1, 2, 1), np.int64)
    tracks[0, 0] = 1
    for angle, turned_by in ((4.9, 0), (-0.1, -5), (5.1, 5), (-5.1, -5)):
        record["heading"][0] = 0
        x, y = 1e6 * np.cos(np.radians(angle)), 1e6 * np.sin(np.radians(angle))
        record["target_x"][0], record["target_y"][0] = x, y
        turn(record, 0, 1, tracks[0, 0])
        assert record["heading"][0] == turned_by


@pytest.mark.parametrize(("bot", "anchor"), [("all", 0.519), ("random", 0.517), ("visible", 0.708), ("nearest", 0.743)])
def test_six_sensors_score_as_in_the_original(bot: str, anchor: float) -> None:
    game = make("coverage", 120, 3, threads=2, sensors=6, targets=8)
    for _ in range(100):
        game.step(game.bot(bot))
    score = game.outcome[:, 0]
    assert abs(score.mean() - anchor) <= 3 * score.std() * (1 / 6 + 1 / 120) ** 0.5


def test_targets_far_outside_are_not_stuck_there() -> None:
    game = make("coverage", 20, 0, sensors=16, targets=16)
    before = game.records["target_x"].copy()
    for _ in range(30):
        game.step(game.bot("none"))
    stuck = (game.records["target_x"] == before)[:, :16] & (game.records["kind"][:, :16] == 1)
    assert not stuck.any()


@pytest.mark.parametrize(
    ("bot", "anchor"), [("none", -0.1), ("all", 0.455), ("random", 0.347), ("visible", 0.629), ("nearest", 0.701)]
)
def test_scripted_players_score_as_in_the_original(bot: str, anchor: float) -> None:
    """The original's scores are means over as few as six games."""
    game = make("coverage", 300, 3, threads=2)
    for _ in range(100):
        game.step(game.bot(bot))
    assert game.cut.all()
    score = game.outcome[:, 0]
    assert abs(score.mean() - anchor) <= 3 * score.std() * (1 / 6 + 1 / 300) ** 0.5 + 1e-6
