"""Arena: motion, fights and views worked out by hand, the teacher's modes, and scripted players' returns."""

from typing import Any

import numpy as np
import pytest

from velodrome.games import make
from velodrome.games.arena.bots import BOTS
from velodrome.games.arena.enemies import look_around
from velodrome.games.arena.picture import BAR_HULL, BAR_SHIELD, BEYOND, BOX, ENEMY, HAVEN, HUNTER, SHIP, SPACE, TARGET
from velodrome.games.arena.pilot import circle, least_visited, point_at, quiet_box
from velodrome.games.arena.rules import hurt, strike, volley, watch
from velodrome.games.arena.teacher import CAUTIOUS, EXPLORE, FIGHT, FLEE, LOOT, decide
from velodrome.games.arena.world import GUARD, HULK, LONG_AGO, RAIDER, RUNNING, SCOUT, SECOND
from velodrome.games.arena.world import HUNTER as HUNTERS
from velodrome.games.game import Array, Game, IllegalAction

FIRST_BOX, FIRST_PORTAL, OBJECTS = 20, 36, 40
X, Y = 3200.0, 2000.0
"""Where the ship is in a scene, in the middle of the map."""


def scene(**options: Any) -> Game:
    """A game in which there is nothing but the ship, whole and at rest."""
    game = make("arena", 1, 0, **options)
    record = game.records[0]
    record["there"] = 0
    record["last"] = LONG_AGO
    record["comes"] = 2**31 - 1
    record["ship_x"], record["ship_y"], record["safe"] = X, Y, 0
    record["visits"], record["cell"] = 0, 10
    return game


def put(game: Game, i: int, dx: float, dy: float, kind: int = SCOUT, chasing: bool = False) -> int:
    """Place an object so far from the ship; an enemy is at rest and looks around a second from now."""
    record = game.records[0]
    record["x"][i], record["y"][i], record["there"][i] = record["ship_x"] + dx, record["ship_y"] + dy, 1
    if i < FIRST_BOX:
        hull, shield = ((800, 400), (2000, 2000), (6000, 3000), (20000, 10000), (12000, 12000))[kind]
        record["kind"][i], record["enemy_hull"][i], record["enemy_shield"][i] = kind, hull, shield
        record["vx"][i] = record["vy"][i] = record["enemy_left"][i] = record["aggressive"][i] = 0
        record["chasing"][i], record["enemy_ready"][i], record["enemy_hit"][i] = chasing, 0, LONG_AGO
    return i


def look(game: Game) -> dict[str, Array]:
    """See the scene as it now is; everything of one game and its one row."""
    watch(game.records[0])
    game.look(0, 1)
    return {name: view[0, 0] for name, view in game.views.items()}


def act(game: Game, x: float = 0.5, y: float = 0.5, click: int = 0, ability: int = 0, frames: int = 1) -> float:
    """Act once and then wait for the rest of so many frames; returns what that earned."""
    earned = 0.0
    for frame in range(frames):
        keys = [click, ability] if frame == 0 else [0, 0]
        game.step({"pointer": np.array([x, y]), "keys": np.array(keys)})
        earned += float(game.rewards[0, 0])
    return earned


def place(game: Game) -> tuple[float, float]:
    return float(game.records["ship_x"][0]), float(game.records["ship_y"][0])


# -- motion -----------------------------------------------------------------------------------------------------------


def test_a_click_sends_the_ship_there_at_its_speed() -> None:
    game = scene()
    act(game, 0.5 + 640 / 2000, 0.5, click=1, frames=60)
    assert place(game) == pytest.approx((X + 320, Y))
    act(game, frames=60)
    assert place(game) == pytest.approx((X + 640, Y))
    act(game, frames=30)
    assert place(game) == pytest.approx((X + 640, Y))
    assert game.records["idle"][0] in (29, 30)


def test_the_screen_is_2000_by_1125_around_the_ship() -> None:
    game = scene()
    act(game, 0.75, 0.0, click=1)
    assert (game.records["to_x"][0], game.records["to_y"][0]) == pytest.approx((X + 500, Y - 562.5))
    far = np.hypot(500, 562.5)
    assert place(game) == pytest.approx((X + 500 / far * 320 / 60, Y - 562.5 / far * 320 / 60))


def test_a_decision_may_be_good_for_several_frames() -> None:
    held, each = (make("arena", 20, 3, frames=frames, longest=600) for frames in (6, 1))
    assert held.spec.longest == 100
    for _ in range(100):
        action = held.bot("random")
        each.bot("random")  # draws as much luck
        held.step(action)
        earned = np.zeros((20, 1))
        for frame in range(6):
            each.step(action if frame == 0 else {"pointer": action["pointer"], "keys": np.zeros((20, 1, 2))})
            earned += each.rewards
        np.testing.assert_allclose(held.rewards, earned, atol=1e-5)
        for name in ("ship_x", "hull", "x", "enemy_hull", "hits", "time", "over"):
            np.testing.assert_array_equal(held.records[name], each.records[name], name)
    assert (held.cut | held.ended).all()
    np.testing.assert_allclose(held.outcome, each.outcome)


def test_outside_the_map_the_ship_is_damaged_and_goes_no_farther_than_so() -> None:
    game = scene()
    game.records["ship_x"][0] = 10
    assert act(game, 0.0, 0.5, click=1) == 0
    act(game, frames=58)
    assert place(game)[0] == pytest.approx(-300)
    inside = game.records["hull"][0] + game.records["shield"][0]
    assert act(game, frames=60) == pytest.approx(-4, abs=1e-4)
    assert inside - game.records["hull"][0] - game.records["shield"][0] == pytest.approx(2000)


# -- boxes and portals ------------------------------------------------------------------------------------------------


def test_a_box_is_taken_by_who_comes_for_it() -> None:
    game = scene()
    box = put(game, FIRST_BOX, 320, 0)
    put(game, FIRST_BOX + 1, 160, 0)  # on the way, but not asked for
    assert act(game, 0.5 + 310 / 2000, 0.5, click=1, frames=54) == 0
    assert act(game) == 1.0
    assert game.records["boxes"][0] == 1
    assert np.hypot(game.records["x"][0, box] - X, game.records["y"][0, box] - Y) > 900
    assert game.records["x"][0, FIRST_BOX + 1] == X + 160
    assert act(game, frames=60) == 0


def test_a_portal_leads_to_the_next() -> None:
    game = scene()
    put(game, FIRST_PORTAL, 100, 0)
    put(game, FIRST_PORTAL + 1, -2000, 500)
    act(game, 0.55, 0.5, click=1, frames=8)  # 60 units from it after 7.5 frames
    act(game, frames=193)
    assert place(game) == pytest.approx((X + 100, Y))
    act(game)
    assert place(game) == pytest.approx((X - 2000, Y + 500))
    act(game, frames=250)
    assert place(game) == pytest.approx((X - 2000, Y + 500))


# -- fighting ---------------------------------------------------------------------------------------------------------


def test_a_shield_takes_four_fifths_while_it_lasts() -> None:
    game = scene()
    record = game.records[0]
    hurt(record, 1000.0)
    assert (record["shield"], record["hull"]) == pytest.approx((9200, 9800))
    record["shield"] = 100
    hurt(record, 1000.0)
    assert (record["shield"], record["hull"]) == pytest.approx((0, 8900))
    assert record["earned"] == pytest.approx(-4)
    put(game, 0, 500, 0, RAIDER)
    strike(record, 0, 1000.0)
    assert (record["enemy_shield"][0], record["enemy_hull"][0]) == pytest.approx((1200, 1800))
    assert record["earned"] == pytest.approx(-3)


def test_a_volley_may_miss_and_varies() -> None:
    game = scene()
    done = np.array([volley(game.records[0], 1000.0) for _ in range(4000)])
    assert (done == 0).mean() == pytest.approx(0.1, abs=0.02)
    hits = done[done > 0]
    assert hits.min() >= 750
    assert hits.max() < 1250
    assert hits.mean() == pytest.approx(1000, abs=15)


def test_a_locked_enemy_is_fired_at_once_a_second() -> None:
    game = scene()
    put(game, 0, 600, 0, HULK)
    record = game.records[0]
    act(game, 0.8, 0.52, click=1)
    assert (record["locked"], record["ready"], record["attacking"], record["calm"]) == (0, 61, 1, 0)
    assert place(game) == (X, Y)
    left = record["enemy_hull"][0] + record["enemy_shield"][0]
    earned = act(game, frames=59)
    assert earned == 0
    assert record["enemy_hull"][0] + record["enemy_shield"][0] == left
    act(game)
    assert record["ready"] == 121


def test_who_is_locked_is_out_of_reach_beyond_700_and_lost_beyond_1200() -> None:
    game = scene()
    put(game, 0, 700, 0)
    record = game.records[0]
    act(game, 0.85, 0.5, click=1)
    assert record["attacking"] == 1
    put(game, 0, 701, 0)
    act(game)
    assert (record["locked"], record["attacking"]) == (0, 0)
    put(game, 0, 1201, 0)
    act(game)
    assert record["locked"] == -1


def test_the_ability_hits_harder_and_then_takes_eight_seconds() -> None:
    game = scene()
    put(game, 0, 600, 0, HULK)
    record = game.records[0]
    record["locked"], record["ready"] = 0, 10**6
    done = []
    for _ in range(30):
        record["blast_ready"] = 0
        act(game, ability=1)
        assert record["blast_ready"] == record["time"] - 1 + 480
        done.append(30000 - record["enemy_hull"][0] - record["enemy_shield"][0])
        put(game, 0, 600, 0, HULK)
        act(game, ability=1)  # too soon
        assert record["enemy_hull"][0] == 20000
    hits = [damage for damage in done if damage]
    assert len(hits) > 20
    assert 2250 <= min(hits) <= max(hits) <= 3750


def test_a_kill_earns_its_credits_and_another_comes() -> None:
    game = scene()
    record = game.records[0]
    for kind, left, worth in ((SCOUT, 1200, 0.5), (RAIDER, 4000, 1), (GUARD, 9000, 1.5), (HULK, 30000, 2.5)):
        put(game, 0, 500, 0, kind)
        record["earned"], record["locked"] = 0.0, 0
        strike(record, 0, 1e9)
        assert record["earned"] == pytest.approx(left / 1000 + worth)
        assert record["there"][0] == 0
        assert record["locked"] == -1
    assert record["kills"] == 4
    act(game, frames=599)
    assert record["there"][0] == 0
    act(game)
    assert record["there"][0] == 1
    assert np.hypot(record["x"][0] - X, record["y"][0] - Y) > 1200


def test_shields_grow_again_after_ten_calm_seconds() -> None:
    game = scene()
    record = game.records[0]
    hurt(record, 5000.0)
    assert (record["shield"], record["hull"]) == pytest.approx((6000, 9000))
    act(game, frames=600)
    assert (record["shield"], record["hull"]) == pytest.approx((6000, 9000))
    act(game, frames=60)
    assert (record["shield"], record["hull"]) == pytest.approx((7000, 9100))
    put(game, 0, 700, 0)
    record["enemy_shield"][0], record["enemy_hit"][0] = 100, record["time"] - 599
    look_around(record, 0)
    assert record["enemy_shield"][0] == 100
    record["enemy_hit"][0] -= 1
    look_around(record, 0)
    assert record["enemy_shield"][0] == 140


def test_without_a_hull_the_game_is_over() -> None:
    game = scene()
    record = game.records[0]
    put(game, 0, 300, 0, GUARD, chasing=True)
    record["hull"], record["shield"], record["calm"] = 50, 0, 0
    earned = sum(act(game) for _ in range(300) if record["over"] == RUNNING)
    assert game.ended[0]
    assert not game.cut[0]
    assert earned == pytest.approx(-10 - 0.1)
    assert record["hull"] == 0


# -- enemies ----------------------------------------------------------------------------------------------------------


def test_enemies_notice_a_ship_or_are_provoked() -> None:
    game = scene()
    record = game.records[0]
    put(game, 0, 800, 0)
    put(game, 1, 801, 0)
    put(game, 2, 500, 0)
    record["aggressive"][:3] = 1, 1, 0
    for i in range(3):
        look_around(record, i)
    assert record["chasing"][:3].tolist() == [1, 0, 0]
    strike(record, 2, 10.0)
    assert record["chasing"][2] == 1
    put(game, 0, 1601, 0, chasing=True)
    look_around(record, 0)
    assert record["chasing"][0] == 0


def test_who_chases_comes_near_at_its_speed_and_fires() -> None:
    game = scene()
    record = game.records[0]
    put(game, 0, 700, 0, SCOUT, chasing=True)
    look_around(record, 0)
    assert np.hypot(record["vx"][0], record["vy"][0]) == pytest.approx(280 / 60)
    assert np.hypot(record["goal_x"][0] - X, record["goal_y"][0] - Y) == pytest.approx(300)
    act(game, frames=30)
    assert record["unhurt"] > SECOND  # still beyond its reach of 450
    act(game, frames=300)
    assert record["hull"] < 10000
    assert np.hypot(record["x"][0] - X, record["y"][0] - Y) < 320


def test_in_a_safe_zone_nobody_fires() -> None:
    game = scene()
    record = game.records[0]
    put(game, FIRST_PORTAL, 300, 0)
    act(game)
    put(game, 0, 200, 0, GUARD, chasing=True)
    record["locked"] = 0
    assert act(game, ability=1, frames=120) == 0
    assert record["safe"] == 1
    assert record["chasing"][0] == 0
    assert record["hull"] + record["shield"] == 20000
    record["x"][FIRST_PORTAL] += 1
    act(game)
    assert record["safe"] == 0
    assert record["attacking"] == 1


# -- what is seen -----------------------------------------------------------------------------------------------------


def test_what_is_off_the_screen_is_in_fog_but_for_portals() -> None:
    game = scene()
    for i, (dx, dy) in enumerate([(999, 0), (1001, 0), (0, -562), (0, -563)]):
        put(game, i, dx, dy)
        put(game, FIRST_BOX + i, dx, dy)
    put(game, FIRST_PORTAL, 2500, 1500)
    seen = look(game)
    assert seen["mask"].tolist() == [True] * 5 + [False] * 11
    assert game.records["last"][0, [0, 1, 2, 3]].tolist() == [0, LONG_AGO, 0, LONG_AGO]
    np.testing.assert_allclose(seen["objects"][4, :3], [0.5 + 2500 / 2000, 0.5 + 1500 / 1125, np.hypot(1.25, 4 / 3)])
    assert not seen["objects"][5:].any()


def test_what_has_left_the_screen_is_remembered_for_a_second() -> None:
    game = scene()
    record = game.records[0]
    put(game, 0, 990, 0)
    look(game)
    record["time"] += 1
    put(game, 0, 1010, 0)
    record["time"] += 1
    seen = look(game)
    np.testing.assert_allclose(seen["objects"][0, 10:16], [1 - 2 / 61, 0.02, 1 / 50, 0.2, 0, 1], rtol=1e-6)
    np.testing.assert_allclose(seen["objects"][0, [0, 4, 5, 6, 7]], [0.5 + 0.495, 0, 0, 0, 0], atol=1e-6)
    assert seen["context"][2] == 0
    record["time"] = 60
    assert look(game)["mask"].sum() == 1
    record["time"] = 61
    assert look(game)["mask"].sum() == 0
    put(game, 0, 990, 0)
    np.testing.assert_allclose(look(game)["objects"][0, 10:16], [1, 0, 1 / 50, 0, 1, 0])


def test_every_number_that_is_told() -> None:
    game = scene()
    record = game.records[0]
    record["ship_x"], record["ship_y"], record["time"] = 640, 3000, 200
    record["ship_vx"], record["ship_vy"], record["left"] = 3.2, -4.0, 10
    record["hull"], record["hull_before"], record["shield"], record["shield_before"] = 7000, 7500, 400, 2400
    record["attacking"], record["unhurt"], record["idle"] = 150, 60, 0
    hunter = put(game, 18, 500, -225, HUNTERS)
    record["vx"][hunter], record["vy"][hunter] = -5.0, 1.5
    record["first"][hunter], record["last"][hunter], record["hits"][hunter] = 150, 199, 24
    guard = put(game, 3, -400, 0, GUARD)
    record["first"][guard], record["last"][guard], record["hits"][guard] = 20, 199, 180
    put(game, FIRST_BOX + 2, 0, 112.5)
    put(game, FIRST_PORTAL + 1, -600, 450)
    seen = look(game)
    np.testing.assert_allclose(
        seen["player"],
        [
            0.5, 0.5, 3.2 * 60 / 2000 / 10, -4.0 * 60 / 1125 / 10,
            0.7, -0.5, 0.04, -2.0,
            1, 0.25, 0.2, 0,
            0, 0.1, 0.75, 0.1,
        ],
        rtol=1e-6,
    )  # fmt: skip
    assert seen["mask"].tolist() == [True] * 4 + [False] * 12
    box, near, far, portal = seen["objects"][:4]
    np.testing.assert_allclose(
        box,
        [0.5, 0.6, 0.1, 0.5] + [0] * 4 + [40 / 2000, 40 / 1125, 1, 0] + [0.02, 0, 1, 0] + [0, 1, 0, 0],
        atol=1e-6,
    )
    np.testing.assert_allclose(
        near,
        [0.3, 0.5, 0.2, 1] + [0] * 4 + [100 / 2000, 100 / 1125, 1, 1] + [1, 0, 1, 0] + [1, 0, 0, 0],
        atol=1e-6,
    )
    vx, vy = -5.0 * 60 / 2000, 1.5 * 60 / 1125
    np.testing.assert_allclose(
        far,
        [
            0.75, 0.3, np.hypot(0.25, 0.2), np.arctan2(-0.2, 0.25) / np.pi,
            10 * vx, 10 * vy, 10 * np.hypot(vx, vy), np.arctan2(vy, vx) / np.pi,
            90 / 2000, 90 / 1125, 1, 0.5,
            0.5, 0, 1, 0,
            1, 0, 1, -1,
        ],
        rtol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(
        portal,
        [
            0.2, 0.9, 0.5, np.arctan2(0.4, -0.3) / np.pi,
            0, 0, 0, 0,
            0.1, 200 / 1125, 1, 0,
            0.02, 0, 1, 0,
            0, 0, 0, 1,
        ],
        rtol=1e-6,
    )  # fmt: skip
    assert not seen["objects"][4:].any()
    distance = np.hypot(0.25, 0.2)
    np.testing.assert_allclose(
        seen["context"],
        [
            0.4, 0.2, 1, 1,
            0.2, 0.1, (5 + 1 / distance) / 10, 1,
            1, 0, 0, 0,
            0, 0, 0, 0,
        ],
        rtol=1e-6,
    )  # fmt: skip


def test_where_there_is_nothing_nothing_is_told() -> None:
    seen = look(scene())
    assert not seen["mask"].any()
    assert not seen["objects"].any()
    np.testing.assert_array_equal(seen["context"], [0] * 4 + [1, 1] + [0] * 10)
    np.testing.assert_allclose(seen["player"], [0.5, 0.5, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0.5, 0.5, 0.5])
    assert (seen["mode"], seen["target"]) == (EXPLORE, 16)


def test_the_nearest_portal_always_has_a_place() -> None:
    game = scene(objects=8)
    for i in range(10):
        put(game, FIRST_BOX + i, 30 + 20 * i, 0)
    for i in range(3):
        put(game, FIRST_PORTAL + i, -1500 - 100 * i, 0)
    seen = look(game)
    assert seen["mask"].all()
    np.testing.assert_allclose(seen["objects"][:, 0], [0.5 + (30 + 20 * i) / 2000 for i in range(7)] + [-0.25])
    assert seen["objects"][7, 19] == 1


def test_marks_show_what_is_locked_and_what_the_ship_goes_for() -> None:
    game = scene(marks=True)
    put(game, 0, 100, 0, RAIDER)
    put(game, 1, 200, 0, RAIDER)
    put(game, FIRST_BOX, 300, 0)
    assert look(game)["marks"].tolist()[:3] == [False, False, False]
    game.records["locked"], game.records["wanted"] = 1, FIRST_BOX
    assert look(game)["marks"].tolist()[:4] == [False, True, True, False]
    assert "marks" not in scene().views


def test_the_picture_shows_the_screen() -> None:
    game = scene(picture=True)
    record = game.records[0]
    record["ship_x"], record["hull"], record["shield"] = 500, 5000, 2500
    put(game, 0, 250, 0, RAIDER)
    put(game, 18, -250, 0, HUNTERS)
    put(game, FIRST_BOX, 0, 200)
    put(game, FIRST_PORTAL, 800, 0)
    record["locked"] = 18
    shown = look(game)["picture"]
    assert shown.shape == (96, 96, 3)
    column, row = 2000 / 96, 1125 / 96
    for x, y, colour in [
        (0, 0, SHIP), (250 + column, 0, ENEMY[RAIDER]), (-250, 0, TARGET), (-250, 2 * row, HUNTER), (0, 200, BOX),
        (600, 0, HAVEN), (0, -300, SPACE), (-600, 0, BEYOND),
    ]:  # fmt: skip
        np.testing.assert_array_equal(shown[int((y + 562.5) / row), int((x + 1000) / column)], colour, f"{x} {y}")
    assert (shown[0] == BAR_HULL).all(1).sum() == 48
    assert (shown[1] == BAR_SHIELD).all(1).sum() == 24


# -- scripted players -------------------------------------------------------------------------------------------------


def mode_in(game: Game) -> tuple[int, int]:
    """The teacher's mode and the number of the object that it is about, which the views tell as well."""
    seen = look(game)
    mode, i = decide(game.records[0])
    assert seen["mode"] == mode
    if i < 0:
        assert seen["target"] == len(seen["mask"])
    else:
        record, told = game.records[0], seen["objects"][seen["target"]]
        dx, dy = record["x"][i] - record["ship_x"], record["y"][i] - record["ship_y"]
        np.testing.assert_allclose(told[:2], [0.5 + dx / 2000, 0.5 + dy / 1125], rtol=1e-5)
    return int(mode), int(i)


def test_the_teacher_fights_whom_it_can_beat_and_nobody_else() -> None:
    game = scene()
    put(game, 0, 500, 0, GUARD)
    put(game, 1, -500, 0, RAIDER)
    assert mode_in(game) == (FIGHT, 1)
    game.records["locked"][0] = 0
    game.records["enemy_hull"][0, 0] = 1000
    assert mode_in(game) == (FIGHT, 0)
    only_hunter = scene()
    put(only_hunter, 18, 500, 0, HUNTERS)
    assert mode_in(only_hunter)[0] != FIGHT


def test_the_teacher_takes_the_nearest_box_that_is_quiet() -> None:
    game = scene()
    put(game, FIRST_BOX, 300, 0)
    put(game, FIRST_BOX + 1, -400, 0)
    assert mode_in(game) == (LOOT, FIRST_BOX)
    put(game, 18, 850, 0, HUNTERS)
    assert mode_in(game) == (LOOT, FIRST_BOX + 1)
    assert quiet_box(game.records[0], 500.0) == FIRST_BOX


def test_the_teacher_flees_to_the_nearest_portal_when_little_is_left() -> None:
    game = scene()
    record = game.records[0]
    put(game, 0, 400, 0, SCOUT, chasing=True)
    put(game, FIRST_PORTAL, 900, 0)
    put(game, FIRST_PORTAL + 1, -2000, 0)
    record["hull"], record["shield"], record["unhurt"] = 5000, 900, 30
    assert mode_in(game) == (FLEE, FIRST_PORTAL)
    record["shield"] = 1100
    assert mode_in(game) == (FIGHT, 0)
    record["shield"], record["unhurt"] = 900, 200
    assert mode_in(game)[0] != FLEE


def test_the_teacher_flees_from_a_fight_that_it_cannot_win() -> None:
    game = scene()
    put(game, 18, 400, 0, HUNTERS, chasing=True)
    put(game, FIRST_PORTAL, 900, 0)
    game.records["unhurt"][0] = 30
    assert mode_in(game) == (FLEE, FIRST_PORTAL)


def test_the_teacher_stands_off_while_its_shield_grows_again() -> None:
    game = scene()
    record = game.records[0]
    put(game, 0, 500, 0, GUARD)
    record["shield"], record["unhurt"] = 2900, 400
    assert mode_in(game) == (CAUTIOUS, 0)
    action = game.bot("teacher")
    assert action["keys"][0, 0].tolist() == [1, 0]
    assert action["pointer"][0, 0, 0] < 0.5
    put(game, 0, 810, 0, GUARD)
    assert mode_in(game) == (CAUTIOUS, 0)
    assert not game.bot("teacher")["keys"].any()


def test_the_teacher_explores_the_nearest_cell_that_it_has_visited_least() -> None:
    game = scene()
    record = game.records[0]
    record["visits"] = 1
    record["visits"][[0, 15]] = 0
    record["ship_x"] -= 100
    assert mode_in(game) == (EXPLORE, -1)
    assert least_visited(record) == (800, 500)
    record["visits"][0] = 2
    assert least_visited(record) == (5600, 3500)


def test_a_point_off_the_screen_is_pointed_at_along_the_way() -> None:
    game = scene()
    assert point_at(game.records[0], X + 200, Y - 450) == pytest.approx((0.6, 0.1))
    assert point_at(game.records[0], X + 4000, Y - 1125) == pytest.approx((0.99, 0.5 - 0.245))


def test_a_circle_keeps_to_the_map() -> None:
    game = scene()
    put(game, 0, 0, 400)
    x, y = circle(game.records[0], 0, 600.0)
    assert np.hypot(x - X, y - (Y + 400)) == pytest.approx(600)
    game.records["ship_y"][0] = 200
    put(game, 0, 0, 400)
    assert circle(game.records[0], 0, 600.0)[1] == 150


def test_the_teacher_locks_whom_it_fights_and_uses_its_ability() -> None:
    game = scene()
    put(game, 0, 600, 100, RAIDER)
    look(game)
    action = game.bot("teacher")
    np.testing.assert_allclose(action["pointer"][0, 0], [0.8, 0.5 + 100 / 1125], rtol=1e-6)
    assert action["keys"][0, 0].tolist() == [1, 0]
    game.step(action)
    assert game.records["locked"][0] == 0
    assert game.bot("teacher")["keys"][0, 0, 1] == 1


def played(bot: str, games: int = 128) -> tuple[Array, Array]:
    """What a bot earned in each of so many games, and its score."""
    game = make("arena", games, 11, threads=2)
    earned, live = np.zeros(games), np.ones(games, np.bool_)
    for _ in range(game.spec.longest):
        game.step(game.bot(bot))
        earned += game.rewards[:, 0] * live
        live &= ~(game.ended | game.cut)
    assert not live.any()
    np.testing.assert_allclose(earned, game.records["returned"], atol=1e-2)
    return earned, game.outcome[:, 0]


def test_the_teacher_is_the_best_of_the_scripted_players_and_scores_one() -> None:
    found = {bot: played(bot) for bot in BOTS}
    returns = {bot: earned.mean() for bot, (earned, _) in found.items()}
    assert returns["teacher"] > max(returns[bot] for bot in BOTS if bot != "teacher") + 20
    assert returns["loot"] < returns["flee"] < 0.5
    assert found["random"][1].mean() == pytest.approx(0, abs=0.1)
    assert found["teacher"][1].mean() == pytest.approx(1, abs=0.2)


def test_all_modes_are_taken_up() -> None:
    game = make("arena", 64, 5)
    modes = np.zeros(5)
    for _ in range(1200):
        game.step(game.bot("teacher"))
        modes += np.bincount(game.views["mode"][:, 0], minlength=5)
    assert (modes / modes.sum() > 0.02).all(), modes


# -- what may be asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"frames": 0}, "frames=0: a decision is good for at least one"),
        ({"longest": 0}, "longest=0: a game has at least one frame"),
        ({"objects": 41}, "objects=41; it takes from 1 to 40"),
    ],
)
def test_settings_that_make_no_game_are_refused(options: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make("arena", 1, 0, **options)


def test_an_action_off_the_screen_is_refused() -> None:
    game = scene()
    with pytest.raises(IllegalAction, match="game 0 does not allow"):
        act(game, 1.01, 0.5)
    with pytest.raises(IllegalAction):
        act(game, float("nan"), 0.5)
