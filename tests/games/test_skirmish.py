"""The rules of Skirmish: sizes, orders, duels worked out by hand, rewards and ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from velodrome.games.game import Array, IllegalAction
from velodrome.games.kernel import kernel
from velodrome.games.skirmish import MAPS, Skirmish, fight
from velodrome.games.skirmish.fight import game_loop
from velodrome.games.skirmish.maps import MOST_ALLIES, MOST_UNITS, SIDE, Group, Map, prepared, walkable, world_of
from velodrome.games.skirmish.rules import (
    CUT,
    DRAWN,
    EAST,
    FIRST_TARGET,
    LOST,
    NORTH,
    NOTHING,
    RECORD,
    RUNNING,
    STOP,
    WEST,
    WON,
    begin,
    give_order,
    how_it_ended,
    play_step,
)

SIZES = {
    # agents, limit, actions, obs, state, seen and state of the other layout, points for a reward of 1
    "3m": (3, 60, 9, 30, 48, 64, 81, 18.25),
    "8m": (8, 120, 14, 80, 168, 204, 251, 32.0),
    "5m_vs_6m": (5, 70, 12, 55, 98, 124, 156, 26.5),
    "8m_vs_9m": (8, 120, 15, 85, 179, 217, 267, 34.75),
    "10m_vs_11m": (10, 150, 17, 105, 243, 289, 351, 40.25),
    "27m_vs_30m": (27, 180, 36, 285, 1170, 1288, 1458, 92.5),
    "2s3z": (5, 120, 11, 80, 120, 144, 173, 51.0),
    "3s5z": (8, 150, 14, 128, 216, 252, 299, 75.5),
    "3s5z_vs_3s6z": (8, 170, 15, 136, 230, 268, 318, 83.5),
    "3s_vs_3z": (3, 150, 9, 36, 54, 70, 87, 34.0),
    "3s_vs_4z": (3, 200, 10, 42, 61, 79, 99, 42.0),
    "3s_vs_5z": (3, 250, 11, 48, 68, 88, 111, 50.0),
    "MMM": (10, 150, 16, 160, 290, 334, 393, 50.75),
    "MMM2": (10, 180, 18, None, None, None, None, 60.25),
    "so_many_baneling": (7, 100, 38, 202, 397, 479, 595, 74.0),
    "corridor": (6, 400, 30, 156, 282, 346, 435, 64.0),
    "bane_vs_bane": (24, 200, 30, None, None, None, None, 63.0),
    "6h_vs_8z": (6, 150, 14, None, None, None, None, 74.0),
    "2c_vs_64zg": (2, 400, 70, None, None, None, None, 154.0),
}


# -- what is there ----------------------------------------------------------------------------------------------------


def test_all_maps_are_there() -> None:
    assert set(MAPS) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name: str) -> None:
    agents, limit, actions, seen, state, seen_madt, state_madt, worth = SIZES[name]
    stock = Skirmish(1, 0, map=name, state=True).spec
    madt = Skirmish(1, 0, map=name, observation="madt", state=True).spec
    assert (stock.seats, stock.longest, stock.action[0].n) == (agents, limit, actions)
    assert world_of(name, True).worth == worth
    if seen is not None:
        assert (stock.views["seen"].shape, stock.views["state"].shape) == ((seen,), (state,))
        assert (madt.views["seen"].shape, madt.views["state"].shape) == ((seen_madt,), (state_madt,))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("observation", ["stock", "madt"])
def test_layouts_are_filled_to_the_last_number(name: str, observation: Any) -> None:
    """Nothing is left as it was: whatever stood there before, the same is written."""
    game = Skirmish(2, 0, map=name, observation=observation, state=True)
    for _ in range(8):
        game.step(game.bot("nearest"))
    shown = {view: array.copy() for view, array in game.views.items()}
    for array in game.views.values():
        array[:] = True if array.dtype == bool else 777
    game.restore(game.snapshot())
    for view, array in game.views.items():
        np.testing.assert_array_equal(array, shown[view], view)


def test_most_units_is_enough_and_not_more() -> None:
    worlds = [world_of(name, True) for name in MAPS]
    assert max(world.allies + world.enemies for world in worlds) == MOST_UNITS
    assert max(world.allies for world in worlds) == MOST_ALLIES


@pytest.mark.parametrize("name", SIZES)
def test_everyone_starts_on_the_ground_and_apart(name: str) -> None:
    game = Skirmish(4, 3, map=name, observation="none")
    world = game.world
    n = world.allies + world.enemies
    for record in game.records:
        at = np.stack([record["x"][:n], record["y"][:n]], 1)
        for x, y in at:
            assert world.free[int(y), int(x)]
        away = np.linalg.norm(at[:, None] - at, axis=-1) + 99 * np.eye(n)
        assert away.min() > 0.4


def test_the_strip_is_eight_to_twenty_four() -> None:
    rows = np.flatnonzero(walkable("strip").all(1))
    assert (rows.min(), rows.max(), len(rows)) == (8, 23, 16)
    assert walkable("strip").any(1).sum() == 16


def test_the_rooms_have_a_choke_of_three_cells() -> None:
    free = walkable("rooms")
    assert np.flatnonzero(free[12]).tolist() == [11, 12, 13]
    assert np.flatnonzero(free[13]).tolist() == [12, 13, 14]


@pytest.mark.parametrize("name", ["corridor", "so_many_baneling"])
def test_ways_lead_from_everywhere_to_everywhere(name: str) -> None:
    world = world_of(name, True)
    cells = [int(y) * SIDE + int(x) for y, x in zip(*np.nonzero(world.free), strict=True)]
    goal = int(world.goal_y) * SIDE + int(world.goal_x)
    for cell in cells:
        steps = 0
        while cell != goal:
            before, cell = cell, int(world.ways[cell, goal])
            assert abs(before % SIDE - cell % SIDE) <= 1
            assert abs(before // SIDE - cell // SIDE) <= 1
            steps += 1
            assert steps < 100


def test_the_enemy_comes_through_the_choke() -> None:
    """Zerglings that meet nobody arrive at the far end of the map."""
    game = Skirmish(1, 0, map="corridor", observation="none")
    record = game.records[0]
    record["x"][:6], record["y"][:6] = 27.5, np.linspace(26.5, 28.5, 6)  # behind the enemy's back
    record["x"][6:30], record["y"][6:30] = np.tile(np.linspace(13, 16, 6), 4), np.repeat(np.linspace(16, 19, 4), 6)
    for _ in range(40):
        game.step(game.bot("stand"))
    at = np.stack([game.records[0]["x"][6:30], game.records[0]["y"][6:30]], 1)
    assert (np.linalg.norm(at - [4.47, 4.33], axis=1) < 6).all()


# -- orders -----------------------------------------------------------------------------------------------------------


def field(game: Skirmish, **values: Any) -> None:
    """Write into the records of all games, and look again."""
    for name, value in values.items():
        game.records[name][:, : len(value)] = value
    game.restore(game.snapshot())


def test_the_dead_do_nothing_and_the_living_something() -> None:
    game = Skirmish(1, 0)
    field(game, health=[0, 45, 45])
    assert np.flatnonzero(game.views["legal"][0, 0]).tolist() == [NOTHING]
    assert not game.views["legal"][0, 1, NOTHING]
    assert game.views["legal"][0, 1, STOP]
    assert game.acting[0].tolist() == [False, True, True]
    with pytest.raises(IllegalAction):
        game.step(np.array([[NOTHING, STOP, NOTHING]]))


def test_targets_are_within_six_cells_of_the_centre() -> None:
    game = Skirmish(1, 0)
    field(game, x=[10, 10, 10, 16, 16.01, 9], y=[16, 10, 22, 16, 16, 16], health=[45, 45, 45, 45, 45, 0])
    assert game.views["legal"][0, 0, FIRST_TARGET:].tolist() == [True, False, False]


def test_moves_ask_for_ground_one_cell_ahead() -> None:
    game = Skirmish(1, 0)
    field(game, x=[0.5, 31.5, 16, 30, 30, 30], y=[16, 16, 8.5, 20, 20, 20])
    legal = game.views["legal"][0]
    assert legal[0, NORTH : WEST + 1].tolist() == [True, True, True, False]
    assert legal[1, NORTH : WEST + 1].tolist() == [True, True, False, True]
    assert legal[2, NORTH : WEST + 1].tolist() == [True, False, True, True]


def test_a_step_of_walking() -> None:
    """Eight loops at 2.25 cells a second of sixteen loops: 1.125 cells."""
    game = Skirmish(1, 0)
    field(game, x=[5, 10, 15, 30, 30, 30], y=[12, 16, 20, 9, 9, 9])
    game.step(np.array([[NORTH, EAST, WEST]]))
    np.testing.assert_allclose(game.records["x"][0, :3], [5, 11.125, 13.875])
    np.testing.assert_allclose(game.records["y"][0, :3], [13.125, 16, 20])


def test_a_healer_heals_and_never_a_healer() -> None:
    game = Skirmish(1, 0, map="MMM")
    assert not game.views["legal"][0, 9, FIRST_TARGET + 9]
    assert game.views["legal"][0, 9, FIRST_TARGET : FIRST_TARGET + 9].all()


# -- duels, loop by loop ----------------------------------------------------------------------------------------------


@kernel
def start(games, world):  # type: ignore[no-untyped-def]
    begin(games[0], world)


@kernel
def order(games, world, agent, action):  # type: ignore[no-untyped-def]
    give_order(games[0], world, agent, action)


@kernel
def play_loops(games, world, loops):  # type: ignore[no-untyped-def]
    does, places = np.zeros(MOST_UNITS, np.int8), np.zeros((2, MOST_UNITS))
    for _ in range(loops):
        game_loop(games[0], world, does, places)


@kernel
def play_steps(games, world, steps):  # type: ignore[no-untyped-def]
    before, does, places = np.zeros(MOST_UNITS), np.zeros(MOST_UNITS, np.int8), np.zeros((2, MOST_UNITS))
    for _ in range(steps):
        play_step(games[0], world, before, does, places)


@kernel
def ending(games, world):  # type: ignore[no-untyped-def]
    return how_it_ended(games[0], world)


class Duel:
    """Two sides on open ground, placed by hand, weapons as regular as clocks."""

    def __init__(self, allies: dict[str, list[tuple[float, float]]], enemies: dict[str, list[tuple[float, float]]]):
        sides = [tuple(Group(kind, len(at), (16.0, 16.0)) for kind, at in side.items()) for side in (allies, enemies)]
        self.world = prepared(Map(sides[0], sides[1], 100, (16.0, 16.0), "open"), jitter=False)
        self.games = np.zeros(1, RECORD)
        for u, (x, y) in enumerate(at for side in (allies, enemies) for places in side.values() for at in places):
            self.games["x"][0, u], self.games["y"][0, u] = x, y
        start(self.games, self.world)

    def order(self, agent: int, action: int) -> None:
        order(self.games, self.world, agent, action)

    def loops(self, n: int) -> None:
        play_loops(self.games, self.world, n)

    def __getattr__(self, name: str) -> Array:
        return np.array(self.games[name][0])


def test_marine_against_marine_to_the_loop() -> None:
    """Reach is 5 and two radii. Six points a hit: the eighth kills. A shot falls in the first loop that starts when
    0.861 seconds, 13.776 loops, have gone for each before: shot 8 in loop 1 + ceil(7 x 13.776) = 98."""
    duel = Duel({"marine": [(10, 16)]}, {"marine": [(15.75, 16)]})
    duel.order(0, FIRST_TARGET)
    duel.loops(1)
    assert duel.health[:2].tolist() == [39, 39]
    duel.loops(13)
    assert duel.health[:2].tolist() == [39, 39]
    duel.loops(1)
    assert duel.health[:2].tolist() == [33, 33]
    duel.loops(82)
    assert duel.health[:2].tolist() == [3, 3]
    duel.loops(1)
    assert duel.health[:2].tolist() == [0, 0]
    assert ending(duel.games, duel.world) == DRAWN


def test_out_of_reach_by_a_hair() -> None:
    duel = Duel({"marine": [(10, 16)]}, {"marine": [(15.751, 16)]})
    duel.order(0, FIRST_TARGET)
    duel.loops(1)
    assert duel.health[:2].tolist() == [45, 45], "both take a step first"
    assert duel.x[1] == pytest.approx(15.751 - 2.25 / 16)
    duel.loops(1)
    assert duel.health[:2].tolist() == [39, 39]


def test_allies_never_attack_on_their_own() -> None:
    duel = Duel({"marine": [(10, 16)]}, {"marine": [(15, 16)]})
    duel.loops(20)
    assert duel.health[1] == 45
    assert duel.health[0] == 45 - 2 * 6


def test_zealot_against_armour_and_shield() -> None:
    """Two hits of 8: ten of them take the 80 of the shield, then armour leaves 7 of each; twelve more kill."""
    duel = Duel({"zealot": [(10, 16)]}, {"stalker": [(11.2, 16)]})
    duel.order(0, FIRST_TARGET)
    period = 1.2 * 16
    duel.loops(1)
    assert (duel.shield[1], duel.health[1]) == (64, 80)
    for attack, left in [(5, (0, 80)), (6, (0, 66)), (10, (0, 10)), (11, (0, 0))]:
        duel.games["health"][0, 0] = 100  # it would not live so long
        duel.games["shield"][0, 0] = 50
        due = 1 + int(np.ceil((attack - 1) * period - 1e-9))
        while self_loops(duel) < due:
            duel.loops(1)
            duel.games["health"][0, 0] = 100
            duel.games["time"][0] += 1
        assert (duel.shield[1], duel.health[1]) == left, attack


def self_loops(duel: Duel) -> int:
    """How many loops the test above has played."""
    return int(duel.games["time"][0]) + 1


def test_a_hit_goes_through_the_rest_of_the_shield_to_the_hull() -> None:
    """Thirteen points: the fourth hit finds 11 of 50 left, and armour takes one of the other two."""
    duel = Duel({"stalker": [(10, 16)]}, {"zealot": [(16, 16)]})
    duel.order(0, FIRST_TARGET)
    duel.games["shield"][0, 1] = 11
    duel.loops(1)
    assert (duel.shield[1], duel.health[1]) == (0, 99)


def test_bonus_damage() -> None:
    """A stalker does 18 to armoured units: shields feel it, too."""
    duel = Duel({"stalker": [(10, 16)]}, {"stalker": [(16, 16)]})
    duel.order(0, FIRST_TARGET)
    duel.loops(1)
    assert (duel.shield[1], duel.health[1]) == (80 - 18, 80)


def test_shields_grow_after_ten_seconds() -> None:
    duel = Duel({"stalker": [(1, 1)]}, {"zealot": [(31, 31)]})
    duel.games["shield"][0, 0], duel.games["calm"][0, 0] = 10, 0
    duel.loops(160)
    assert duel.shield[0] == 10
    duel.loops(16)
    assert duel.shield[0] == 12


def test_zerg_mend() -> None:
    duel = Duel({"zergling": [(1, 1)]}, {"marine": [(31, 31)]})
    duel.games["health"][0, 0] = 20
    duel.loops(16)
    assert duel.health[0] == pytest.approx(20.2734)


def test_a_baneling_takes_all_around_it_along() -> None:
    """35 to what is light, within 2.2 of the edge; its own side stays unhurt."""
    duel = Duel(
        {"zealot": [(16, 16), (16, 18.5), (16, 19.3)]}, {"baneling": [(16.9, 16), (18.5, 16)]},
    )  # fmt: skip
    duel.loops(1)
    assert duel.health[3] == 0
    assert duel.health[4] == 30
    assert (duel.health[:3] + duel.shield[:3]).tolist() == [115, 115, 150]


def test_a_baneling_bursts_when_it_is_killed() -> None:
    duel = Duel({"marine": [(10, 16), (12.5, 16)]}, {"baneling": [(14, 16)]})
    duel.games["health"][0, 2] = 6
    duel.order(0, FIRST_TARGET)
    duel.loops(1)
    assert duel.health[:3].tolist() == [45, 10, 0]


def test_a_chain_of_bursts() -> None:
    """One baneling of each side: the death of the one kills the other, and that one's burst hurts in turn."""
    duel = Duel({"marine": [(10, 16)], "baneling": [(15, 16)]}, {"baneling": [(15.5, 16)], "zergling": [(15, 14)]})
    duel.games["health"][0, :4] = [45, 15, 6, 35]
    duel.order(0, FIRST_TARGET)
    duel.loops(1)
    assert duel.health[:4].tolist() == [45, 0, 0, 0]


def test_medivacs_heal_as_long_as_they_have_energy() -> None:
    """Nine points a second for a third of a point of energy each, of which 0.5625 a second come back."""
    duel = Duel({"marine": [(10, 16)], "medivac": [(12, 16)]}, {"marine": [(31, 31)]})
    duel.games["health"][0, 0] = 10
    duel.order(1, FIRST_TARGET)
    duel.loops(16)
    assert duel.health[0] == pytest.approx(19)
    assert duel.energy[1] == pytest.approx(50 - 3 + 0.5625)
    duel.games["energy"][0, 1] = 0.1
    duel.loops(1)
    assert duel.health[0] == pytest.approx(19.3)
    duel.games["health"][0, 0] = 44.9
    duel.games["energy"][0, 1] = 10
    duel.loops(4)
    assert duel.health[0] == 45


def test_flyers_are_out_of_reach_of_ground_weapons() -> None:
    duel = Duel({"marauder": [(10, 16)], "marine": [(10, 18)]}, {"medivac": [(13, 16)]})
    duel.order(0, FIRST_TARGET)
    duel.order(1, FIRST_TARGET)
    duel.loops(1)
    assert duel.health[2] == 150 - 5, "six points less armour, of the marine alone"


def test_a_lance_burns_across_the_line_of_fire() -> None:
    duel = Duel({"colossus": [(10, 16)]}, {"zergling": [(15, 16), (15, 17.2), (15, 18), (17, 16)]})
    duel.order(0, FIRST_TARGET)
    duel.loops(1)
    mended = 0.2734 / 16
    wanted = [5 + mended, 5 + mended, 35, 35]  # two hits of 10 and 5 for what is light
    np.testing.assert_allclose(duel.health[1:5], wanted)


def test_bodies_keep_apart() -> None:
    duel = Duel({"marine": [(10, 16), (10.2, 16)]}, {"zergling": [(30, 30)]})
    for agent in range(2):
        duel.order(agent, EAST)
    duel.loops(8)
    assert abs(duel.x[1] - duel.x[0]) >= 0.74


def test_both_sides_fare_alike() -> None:
    """With mirrored places and the same orders, what happens to the one happens to the other."""
    places = [(10.0, 14.0), (10.5, 16.2), (9.8, 18.0)]
    duel = Duel({"marine": places}, {"marine": [(32 - x, y) for x, y in places]})
    duel.games["order"][0, :3] = fight.MARCH
    duel.world.goal_x = 16
    duel.loops(200)
    np.testing.assert_allclose(duel.health[:3], duel.health[3:6])
    np.testing.assert_allclose(duel.x[:3], 32 - duel.x[3:6])
    assert duel.health[:3].min() < 45


# -- rewards and ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["3m", "8m", "5m_vs_6m"])
def test_a_perfect_win_returns_twenty(name: str) -> None:
    game = Skirmish(64, 0, map=name, observation="none")
    total, won = np.zeros(64), np.zeros(64, bool)
    game.records["health"][:, : game.spec.seats] = 500  # so that the allies win
    while not (game.ended | game.cut).all():
        game.step(game.bot("focus"))
        total += game.rewards[:, 0]
        won |= game.ended & (game.outcome[:, 0] == 1)
    assert won.all()
    np.testing.assert_allclose(total, 20, rtol=1e-5)


def test_the_reward_of_a_step() -> None:
    """Six points off one marine, the last six of another, ten for its death; all agents get the same."""
    game = Skirmish(1, 0)
    field(game, x=[10, 10, 10, 15, 15, 30], y=[16, 17, 15, 16, 17, 9], health=[45, 45, 45, 15, 6, 45])
    game.records["calm"] = 0
    game.step(np.array([[FIRST_TARGET, FIRST_TARGET + 1, STOP]]))
    np.testing.assert_allclose(game.rewards[0], (6 + 6 + 10) / 18.25, rtol=1e-6)


def test_shields_that_grow_again_pay_without_their_sign() -> None:
    duel = Duel({"stalker": [(1, 1)]}, {"zealot": [(31, 31)]})
    duel.games["shield"][0, 1], duel.games["calm"][0, 1] = 10, 1000
    play_steps(duel.games, duel.world, 1)
    assert duel.earned == pytest.approx(1.0 / duel.world.worth)


@pytest.mark.parametrize(
    ("health", "end"),
    [
        ([45, 0, 0, 0], WON),
        ([0, 45, 0, 0], LOST),  # nobody but the healer is left
        ([0, 0, 0, 45], LOST),
        ([0, 0, 0, 0], DRAWN),
        ([0, 0, 45, 0], LOST),
        ([45, 0, 0, 45], RUNNING),
        ([45, 0, 45, 0], WON),  # nobody but the enemy's healer is left
    ],
)
def test_ends(health: list[float], end: int) -> None:
    duel = Duel({"marine": [(1, 1)], "medivac": [(3, 1)]}, {"medivac": [(31, 31)], "marine": [(30, 30)]})
    duel.games["health"][0, :4] = health
    assert ending(duel.games, duel.world) == end


def test_time_runs_out() -> None:
    game = Skirmish(3, 0, map="3s_vs_3z", observation="none")
    game.records["x"][:, 3:6] = 31
    game.records["health"][:, :3] = 1e9
    for _ in range(150):
        assert not game.cut.any()
        game.step(game.bot("stand"))
    assert game.cut.all()
    assert not game.ended.any()
    assert (game.records["over"] == CUT).all()
    assert (game.outcome == 0).all()


def test_standing_loses_and_focus_wins_on_even_terms() -> None:
    scores = {}
    for bot in ("stand", "random", "focus"):
        game = Skirmish(128, 1, observation="none")
        won = np.zeros(128, bool)
        while not (game.ended | game.cut).all():
            game.step(game.bot(bot))
            won |= game.ended & (game.outcome[:, 0] == 1)
        scores[bot] = won.mean()
    assert scores["stand"] == 0
    assert scores["random"] < 0.3
    assert scores["focus"] > 0.6


# -- what is seen -----------------------------------------------------------------------------------------------------


def test_stock_observation_of_three_marines() -> None:
    game = Skirmish(1, 0, state=True)
    field(
        game, x=[10, 12, 30, 15, 20, 16], y=[16, 16, 16, 16, 16, 20], health=[45, 30, 45, 15, 45, 45],
        cooldown=[7.5, 0, 0, 0, 0, 0], last=[FIRST_TARGET, -1, STOP],
    )  # fmt: skip
    seen = game.views["seen"][0, 0]
    np.testing.assert_allclose(seen[:4], 1)
    np.testing.assert_allclose(seen[4:9], [1, 5 / 9, 5 / 9, 0, 15 / 45], rtol=1e-6)
    np.testing.assert_allclose(seen[9:14], 0)  # ten cells away
    np.testing.assert_allclose(seen[14:19], [0, np.sqrt(52) / 9, 6 / 9, 4 / 9, 1], rtol=1e-6)
    np.testing.assert_allclose(seen[19:24], [1, 2 / 9, 2 / 9, 0, 30 / 45], rtol=1e-6)
    np.testing.assert_allclose(seen[24:29], 0)
    np.testing.assert_allclose(seen[29:], [1])
    state = game.views["state"][0, 2]
    np.testing.assert_allclose(state[:4], [1, 0.5, -6 / 32, 0], rtol=1e-6)
    np.testing.assert_allclose(state[12:15], [15 / 45, -1 / 32, 0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(state[21:], np.eye(9)[[FIRST_TARGET, 0, STOP]].reshape(-1) * np.repeat([1, 0, 1], 9))


def test_madt_observation_of_three_marines() -> None:
    game = Skirmish(1, 0, observation="madt", state=True)
    field(
        game, x=[10, 12, 30, 15, 20, 16], y=[16, 16, 16, 16, 16, 20], health=[45, 30, 45, 15, 45, 45],
        cooldown=[0, 7.5, 0, 0, 0, 0], last=[FIRST_TARGET, NORTH, STOP],
    )  # fmt: skip
    seen = game.views["seen"][0, 0]
    np.testing.assert_allclose(seen[:5], [1, 2 / 9, 2 / 9, 0, 30 / 45], rtol=1e-6)
    np.testing.assert_allclose(seen[5:14], np.eye(9)[NORTH])
    np.testing.assert_allclose(seen[14:28], 0)
    np.testing.assert_allclose(seen[28:33], [1, 5 / 9, 5 / 9, 0, 15 / 45], rtol=1e-6)
    np.testing.assert_allclose(seen[43:47], 1)
    np.testing.assert_allclose(seen[47:52], [1, 0, 0, 0, 1])
    np.testing.assert_allclose(seen[52:61], np.eye(9)[FIRST_TARGET])
    np.testing.assert_allclose(seen[61:], [1, 0, 0])
    state = game.views["state"][0, 0]
    np.testing.assert_allclose(state[:8], [1, 2 / 9, 2 / 9, 0, 0.5, 30 / 45, -4 / 32, 0], rtol=1e-6)
    np.testing.assert_allclose(state[17:22], [0, 20 / 9, 20 / 9, 0, 0], rtol=1e-6)  # seen from everywhere
    np.testing.assert_allclose(state[34:42], [1, 5 / 9, 5 / 9, 0, 1, 15 / 45, -1 / 32, 0], rtol=1e-6)
    np.testing.assert_allclose(state[58:62], 1)
    np.testing.assert_allclose(state[62:69], [1, 0, 0, 0, 1, -6 / 32, 0], rtol=1e-6)
    np.testing.assert_allclose(state[69:78], np.eye(9)[FIRST_TARGET])
    np.testing.assert_allclose(state[78:], [1, 0, 0])


def test_the_dead_see_nothing_but_their_number() -> None:
    for observation in ("stock", "madt"):
        game = Skirmish(1, 0, observation=observation, state=True)  # type: ignore[arg-type]
        field(game, health=[45, 0, 45])
        numbers = 3 if observation == "madt" else 0
        assert game.views["seen"][0, 1].sum() == (1 if numbers else 0)
        if numbers:
            assert game.views["seen"][0, 1, -3:].tolist() == [0, 1, 0]
            assert game.views["state"][0, 1].sum() == 1


def test_bits_of_stalkers_and_zealots_are_swapped_for_enemies() -> None:
    world = world_of("2s3z", True)
    assert world.type_bit[:5].tolist() == [0, 0, 1, 1, 1]
    assert world.type_bit[5:10].tolist() == [1, 1, 0, 0, 0]
    for name in ("MMM", "bane_vs_bane"):
        world = world_of(name, True)
        kinds = [group.kind for group in (*MAPS[name].allies, *MAPS[name].enemies) for _ in range(group.n)]
        bits = {}
        for kind, bit in zip(kinds, world.type_bit.tolist(), strict=False):
            assert bits.setdefault(kind, bit) == bit


def test_agents_are_numbered_by_kind_and_place() -> None:
    game = Skirmish(5, 2, map="MMM", observation="none")
    for record in game.records:
        for lo, hi in ((0, 2), (2, 9)):
            at = list(zip(record["x"][lo:hi], record["y"][lo:hi], strict=True))
            assert at == sorted(at)


def test_an_unknown_map_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no map '3mm'; did you mean 3m"):
        Skirmish(1, 0, map="3mm")
    with pytest.raises(ValueError, match="observation='smac' is not one of stock, madt, none"):
        Skirmish(1, 0, observation="smac")  # type: ignore[arg-type]


def test_cooldowns_vary_by_chance_alone_with_jitter() -> None:
    steady = [Skirmish(1, seed, jitter=False, observation="none") for seed in (0, 1)]
    steady[1].records[:] = steady[0].records
    steady[1].records["luck"] += 5
    varied = [Skirmish(1, seed, observation="none") for seed in (0, 1)]
    varied[1].records[:] = varied[0].records
    varied[1].records["luck"] += 5
    for pair, same in ((steady, True), (varied, False)):
        for _ in range(20):
            for game in pair:
                game.step(game.bot("focus"))
        assert np.array_equal(pair[0].records["health"], pair[1].records["health"]) == same
