"""The maps: who fights whom, where, and how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from velodrome.games.game import Array
from velodrome.games.skirmish.units import (
    ALLIED,
    KINDS,
    LOOPS_PER_SECOND,
    PROTOSS,
    SCAN,
    SCAN_MORE,
    ZERG,
    ZERG_PER_LOOP,
    Kind,
)
from velodrome.games.skirmish.ways import lead_ways

SIDE = 32
"""Maps are squares of so many cells."""
MOST_UNITS, MOST_ALLIES = 66, 27
KILL, VICTORY = 10.0, 200.0
"""Points beside those for damage."""
FULL_RETURN = 20
"""What all points of a battle add up to as a reward."""
Point = tuple[float, float]


@dataclass(frozen=True)
class Group:
    """Units of one kind that appear around one point."""

    kind: str
    n: int
    at: Point


@dataclass(frozen=True)
class Map:
    """A battle to be fought."""

    allies: tuple[Group, ...]
    """In the order of the agents."""
    enemies: tuple[Group, ...]
    limit: int
    """Steps."""
    goal: Point
    """Where the enemy marches, attacking whom it meets."""
    ground: str = "strip"
    types: tuple[str, ...] = ()
    """The kinds that observations tell apart, in the order of their bits; none where each side has one kind."""
    enemy_types: tuple[str, ...] = ()
    hunts: bool = False
    """Whether the enemy knows from the first where to find its targets."""


WEST, EAST = (9.0, 16.0), (23.0, 16.0)


def _west(**n: int) -> tuple[Group, ...]:
    return tuple(Group(kind, count, WEST) for kind, count in n.items())


def _east(**n: int) -> tuple[Group, ...]:
    return tuple(Group(kind, count, EAST) for kind, count in n.items())


def _marines(allies: int, enemies: int, limit: int) -> Map:
    return Map(_west(marine=allies), _east(marine=enemies), limit, WEST)


def _protoss(enemies: tuple[Group, ...], limit: int, **allies: int) -> Map:
    # the bits of the two kinds are the other way round for enemies
    return Map(_west(**allies), enemies, limit, WEST, "strip", ("stalker", "zealot"), ("zealot", "stalker"))


_SQUAD = ("marauder", "marine", "medivac")
_SOUTH, _FAR_CORNER, _NEAR_CORNER = (16.0, 8.0), (27.91, 28.24), (4.47, 4.33)
MAPS = {
    "3m": _marines(3, 3, 60),
    "8m": _marines(8, 8, 120),
    "5m_vs_6m": _marines(5, 6, 70),
    "8m_vs_9m": _marines(8, 9, 120),
    "10m_vs_11m": _marines(10, 11, 150),
    "27m_vs_30m": _marines(27, 30, 180),
    "2s3z": _protoss(_east(stalker=2, zealot=3), 120, stalker=2, zealot=3),
    "3s5z": _protoss(_east(stalker=3, zealot=5), 150, stalker=3, zealot=5),
    "3s5z_vs_3s6z": _protoss(_east(stalker=3, zealot=6), 170, stalker=3, zealot=5),
    "3s_vs_3z": Map(_west(stalker=3), _east(zealot=3), 150, WEST, "open"),
    "3s_vs_4z": Map(_west(stalker=3), _east(zealot=4), 200, WEST, "open"),
    "3s_vs_5z": Map(_west(stalker=3), _east(zealot=5), 250, WEST, "open"),
    "MMM": Map(
        _west(marauder=2, marine=7, medivac=1), _east(marine=7, marauder=2, medivac=1), 150, WEST, "strip",
        _SQUAD, _SQUAD,
    ),
    "MMM2": Map(
        _west(marauder=2, marine=7, medivac=1), _east(marine=8, marauder=3, medivac=1), 180, WEST, "strip",
        _SQUAD, _SQUAD,
    ),
    "so_many_baneling": Map(
        (Group("zealot", 7, (11.47, 12.02)),), (Group("baneling", 32, _FAR_CORNER),), 100, _NEAR_CORNER, "valley",
    ),
    "corridor": Map(
        (Group("zealot", 6, (19.04, 19.12)),), (Group("zergling", 24, _FAR_CORNER),), 400, _NEAR_CORNER, "rooms",
    ),
    "bane_vs_bane": Map(
        (Group("baneling", 4, _SOUTH), Group("zergling", 20, (16.0, 11.0))),
        (Group("zergling", 20, (16.0, 21.0)), Group("baneling", 4, (16.0, 24.0))),
        200, _SOUTH, "wide octagon", ("baneling", "zergling"), ("baneling", "zergling"),
    ),
    "6h_vs_8z": Map(
        (Group("hydralisk", 6, (14.60, 9.49)),), (Group("zealot", 8, (14.41, 16.76)),), 150, (14.60, 9.49), "octagon",
    ),
    "2c_vs_64zg": Map(
        (Group("colossus", 2, (16.0, 16.0)),), (Group("zergling", 64, (16.0, 9.0)),), 400, (16.0, 16.0), "open",
        hunts=True,
    ),
}  # fmt: skip

_PLATEAUS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    # rows from y to y, columns from x to x, all inclusive
    "open": ((0, 31, 0, 31),),
    "strip": ((7, 24, 0, 31),),
    "rooms": (
        (1, 2, 1, 14), (3, 3, 1, 13), (4, 9, 1, 12), (10, 10, 1, 13), (11, 11, 1, 14), (12, 12, 1, 15),
        (13, 13, 10, 26), (14, 14, 11, 27), (15, 15, 12, 28), (16, 16, 12, 29), (17, 22, 11, 30), (23, 23, 12, 30),
        (24, 24, 13, 30), (25, 25, 14, 30), (26, 26, 15, 30), (27, 27, 16, 30), (28, 28, 17, 30), (29, 29, 18, 30),
        (30, 30, 19, 30),
    ),
    "valley": (
        (1, 1, 1, 8), (2, 2, 1, 9), (3, 5, 1, 12), (6, 6, 1, 13), (7, 8, 1, 16), (9, 9, 2, 16), (10, 10, 3, 17),
        (11, 12, 3, 20), (13, 13, 6, 20), (14, 15, 7, 20), (16, 16, 7, 21), (17, 17, 8, 26), (18, 18, 9, 26),
        (19, 19, 12, 26), (20, 20, 13, 27), (21, 22, 13, 30), (23, 23, 14, 30), (24, 24, 15, 30), (25, 25, 18, 30),
        (26, 28, 19, 30), (29, 29, 20, 30), (30, 30, 21, 30),
    ),
    "wide octagon": (
        (5, 5, 9, 22), (6, 6, 8, 23), (7, 7, 7, 24), (8, 8, 6, 25), (9, 22, 5, 26), (23, 23, 6, 25), (24, 24, 7, 24),
        (25, 25, 8, 23), (26, 26, 9, 22),
    ),
    "octagon": ((7, 7, 9, 20), (8, 8, 8, 21), (9, 18, 7, 22), (19, 19, 8, 21), (20, 20, 9, 20)),
}  # fmt: skip
_WITH_CORNERS = ("rooms", "valley")
"""Where the straight way may lead off the ground."""


WORLD = np.dtype(
    [
        ("allies", np.int64),
        ("enemies", np.int64),
        ("limit", np.int64),
        ("types", np.int64),
        ("ally_shields", np.bool_),
        ("enemy_shields", np.bool_),
        ("worth", np.float64),  # points that count as a reward of 1
        # by unit, allies first, in cells and loops
        ("type_bit", np.int64, MOST_UNITS),
        ("health", np.float64, MOST_UNITS),
        ("shield", np.float64, MOST_UNITS),
        ("armour", np.float64, MOST_UNITS),
        ("radius", np.float64, MOST_UNITS),
        ("body", np.float64, MOST_UNITS),
        ("speed", np.float64, MOST_UNITS),
        ("reach", np.float64, MOST_UNITS),
        ("scan", np.float64, MOST_UNITS),
        ("period", np.float64, MOST_UNITS),
        ("damage", np.float64, MOST_UNITS),
        ("bonus", np.float64, MOST_UNITS),
        ("bonus_to", np.int64, MOST_UNITS),
        ("hits", np.int64, MOST_UNITS),
        ("attributes", np.int64, MOST_UNITS),
        ("way", np.int64, MOST_UNITS),
        ("flies", np.uint8, MOST_UNITS),
        ("hits_air", np.uint8, MOST_UNITS),
        ("mends", np.float64, MOST_UNITS),  # health that grows again
        ("shown", np.float64, MOST_UNITS),
        ("spawn_x", np.float64, MOST_UNITS),
        ("spawn_y", np.float64, MOST_UNITS),
        ("party", np.int64, MOST_UNITS),  # units of one number change places by chance
        # the ground
        ("free", np.uint8, (SIDE, SIDE)),  # the cells that can be walked on, [y, x]
        ("cornered", np.bool_),  # whether the straight way may lead off it
        ("ways", np.int16, (SIDE * SIDE, SIDE * SIDE)),  # the next cell from each to each, as y * SIDE + x
        # the enemy's march
        ("goal_x", np.float64),
        ("goal_y", np.float64),
        ("hunts", np.bool_),
        ("jitter", np.bool_),  # whether the time between two attacks varies by a few loops
    ],
    align=True,
)
"""A map as the rules read it."""
World = Any
"""A record of that kind."""


@cache
def walkable(ground: str) -> Array:
    """The cells `[y, x]` whose neighbours are all on the plateau: its rim is cliff."""
    plateau = np.ones((SIDE + 2, SIDE + 2), np.bool_)  # beyond the map's edge there is no cliff
    plateau[1:-1, 1:-1] = False
    for low, high, left, right in _PLATEAUS[ground]:
        plateau[low + 1 : high + 2, left + 1 : right + 2] = True
    free = np.ones((SIDE, SIDE), np.bool_)
    for x in range(3):
        for y in range(3):
            free &= plateau[y : y + SIDE, x : x + SIDE]
    return free


def _is_free(free: Array, x: int, y: int) -> bool:
    return 0 <= x < SIDE and 0 <= y < SIDE and bool(free[y, x])


def names_of(groups: Sequence[Group]) -> list[str]:
    """The kind of each unit."""
    return [group.kind for group in groups for _ in range(group.n)]


@cache
def world_of(name: str, jitter: bool) -> World:
    """The map of that name."""
    return prepared(MAPS[name], jitter)


def prepared(battle: Map, jitter: bool) -> World:
    """A map for the rules to read."""
    allies = [ALLIED[name] for name in names_of(battle.allies)]
    enemies = [KINDS[name] for name in names_of(battle.enemies)]
    kinds = [*allies, *enemies]
    world: Any = np.zeros(1, WORLD).view(np.recarray)[0]
    world.allies, world.enemies = len(allies), len(enemies)
    world.limit, world.hunts, world.jitter = battle.limit, battle.hunts, jitter
    world.goal_x, world.goal_y = battle.goal
    world.types = len(battle.types)
    world.ally_shields, world.enemy_shields = allies[0].race == PROTOSS, enemies[0].race == PROTOSS
    points = KILL * len(enemies) + VICTORY + sum(kind.health + kind.shield for kind in enemies)
    world.worth = points / FULL_RETURN
    for u, kind in enumerate(kinds):
        types = battle.types if u < len(allies) else battle.enemy_types
        world.type_bit[u] = types.index(kind.name) if types else -1
        for field in _AS_THEY_ARE:
            world[field][u] = getattr(kind, field)
        world.body[u] = kind.radius if kind.body is None else kind.body
        world.speed[u] = kind.speed / LOOPS_PER_SECOND
        world.period[u] = kind.cooldown * LOOPS_PER_SECOND
        world.scan[u] = max(SCAN, kind.reach) + SCAN_MORE
        world.mends[u] = ZERG_PER_LOOP if kind.race == ZERG else 0
    world.free[:] = walkable(battle.ground)
    world.cornered = battle.ground in _WITH_CORNERS
    if world.cornered:
        lead_ways(world.free, world.ways)
    _place(battle, kinds, world)
    return world


_AS_THEY_ARE = (
    "health", "shield", "armour", "radius", "reach", "damage", "bonus", "bonus_to", "hits", "attributes", "way",
    "flies", "hits_air", "shown",
)  # fmt: skip
"""What the rules take from a kind as it stands there."""


def _place(battle: Map, kinds: list[Kind], world: World) -> None:
    """A place for each unit: the groups of one side that share a point are packed around it together."""
    sides = (battle.allies, battle.enemies)
    points = [(side, group.at) for side in (0, 1) for group in sides[side] for _ in range(group.n)]
    for number, point in enumerate(dict.fromkeys(points)):
        members = [u for u, other in enumerate(points) if other == point]
        widest = max(kinds[u].radius for u in members)
        for u, (x, y) in zip(members, _packed(point[1], len(members), 2 * widest + 0.05, world.free), strict=True):
            world.spawn_x[u], world.spawn_y[u], world.party[u] = x, y, number


def _packed(at: Point, n: int, spacing: float, free: Array) -> list[Point]:
    """The points of a square grid around one that are on the ground and nearest to it."""
    side = math.ceil(math.sqrt(n))
    offset = 0.5 * (side % 2 == 0)
    reach = range(-side - 3, side + 4)
    grid = [(at[0] + (i + offset) * spacing, at[1] + (j + offset) * spacing) for i in reach for j in reach]
    on_ground = [(x, y) for x, y in grid if _is_free(free, math.floor(x), math.floor(y))]
    return sorted(on_ground, key=lambda point: (round(math.dist(point, at), 6), point))[:n]
