"""Round bodies on a plane, pushed about ten times a second, as in the multi-agent particle environments.

A body's new speed moves it, so a push shows at once. Bodies that overlap are driven apart, by the more the deeper they
are in each other; just outside, the force is still felt a little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from velodrome.games.kernel import draw, rule, uniform

MOST = 32
"""Agents, and landmarks, of one game."""
STEP = 0.1
"""Seconds."""
LOST = 0.25
"""The part of its speed that a body loses in a step."""
STIFFNESS, MARGIN = 100.0, 1e-3
"""Of bodies that touch: the force for each unit of depth, and the breadth of the zone in which it sets in."""
FELT = 40.0
"""So many margins apart, the force is less than what rounding leaves of any other."""
RUNNING, CUT = range(2)

ROOMS = (4, 8, 16, MOST)
"""For so many agents, and landmarks, there are records: small games lie close together. Rules are compiled for each."""


def record_for(bodies: int) -> np.dtype[Any]:
    """The smallest record with room for so many agents, and landmarks."""
    room = next(room for room in ROOMS if bodies <= room)
    return np.dtype(
        [
            ("x", np.float64, room),
            ("y", np.float64, room),
            ("vx", np.float64, room),
            ("vy", np.float64, room),
            ("mark_x", np.float64, room),
            ("mark_y", np.float64, room),
            ("returned", np.float64, room),  # what each agent has earned so far
            ("time", np.int16),
            ("over", np.int8),
            # random states
            ("starts", np.uint64),  # drawn on by places alone
            ("luck", np.uint64),  # drawn on by bots
        ],
        align=True,
    )


WORLD = np.dtype(
    [
        ("agents", np.int64),
        ("marks", np.int64),
        ("mark_radius", np.float64),  # 0 for landmarks that one can walk through
        ("radius", np.float64, MOST),
        ("strength", np.float64, MOST),  # the force of a whole push
        ("top", np.float64, MOST),  # the highest speed, or 0 for any
    ],
    align=True,
)
"""What the rules read of a game's bodies."""
World = Any
"""A record of that kind."""


def world_of(
    radius: Sequence[float],
    marks: int,
    *,
    mark_radius: float = 0.0,
    strength: Sequence[float] = (),
    top: Sequence[float] = (),
) -> World:
    """Bodies for the rules to read, one radius an agent."""
    n = len(radius)
    world: Any = np.zeros(1, WORLD).view(np.recarray)[0]
    world.agents, world.marks, world.mark_radius = n, marks, mark_radius
    world.radius[:n], world.strength[:n], world.top[:n] = radius, strength or [5.0] * n, top or [0.0] * n
    return world


# -- places -----------------------------------------------------------------------------------------------------------


@rule
def scatter(game, x, y, n, reach):  # type: ignore[no-untyped-def]
    """Put n things anywhere in the square of that reach around the centre."""
    for i in range(n):
        game.starts, one = draw(game.starts)
        game.starts, two = draw(game.starts)
        x[i], y[i] = reach * (2 * uniform(one) - 1), reach * (2 * uniform(two) - 1)


@rule
def begin(game, world):  # type: ignore[no-untyped-def]
    """Agents and nothing else anew: anywhere, at rest."""
    scatter(game, game.x, game.y, world.agents, 1.0)
    for i in range(world.agents):
        game.vx[i] = game.vy[i] = game.returned[i] = 0.0
    game.time, game.over = 0, RUNNING


@rule
def overlap(game, world, i, j):  # type: ignore[no-untyped-def]
    """Whether two agents are in each other."""
    dx, dy, touching = game.x[i] - game.x[j], game.y[i] - game.y[j], world.radius[i] + world.radius[j]
    return dx * dx + dy * dy < touching * touching


@rule
def overlaps(game, world):  # type: ignore[no-untyped-def]
    """Pairs of agents that are in each other."""
    n = 0
    for i in range(world.agents):
        for j in range(i):
            n += overlap(game, world, i, j)
    return n


@rule
def left_uncovered(game, world):  # type: ignore[no-untyped-def]
    """How far every landmark is from the agent nearest to it, all together."""
    total = 0.0
    for mark in range(world.marks):
        least = 1e18
        for i in range(world.agents):
            dx, dy = game.x[i] - game.mark_x[mark], game.y[i] - game.mark_y[mark]
            least = min(least, dx * dx + dy * dy)
        total += math.sqrt(least)
    return total


# -- motion -----------------------------------------------------------------------------------------------------------


@rule
def press(dx, dy, touching):  # type: ignore[no-untyped-def]
    """The force on a body that is dx, dy away from another, where they touch at that distance."""
    away = math.sqrt(dx * dx + dy * dy)
    margins = (touching - away) / MARGIN
    if margins < -FELT or away == 0:
        return 0.0, 0.0
    deep = MARGIN * (max(margins, 0.0) + math.log1p(math.exp(-abs(margins))))
    force = STIFFNESS * deep / away
    return force * dx, force * dy


@rule
def advance(game, world, push_x, push_y):  # type: ignore[no-untyped-def]
    """Play a step of these pushes, to which contacts are added."""
    for i in range(world.agents):
        for j in range(i):
            fx, fy = press(game.x[i] - game.x[j], game.y[i] - game.y[j], world.radius[i] + world.radius[j])
            push_x[i] += fx
            push_y[i] += fy
            push_x[j] -= fx
            push_y[j] -= fy
        if world.mark_radius > 0:
            for m in range(world.marks):
                touching = world.radius[i] + world.mark_radius
                fx, fy = press(game.x[i] - game.mark_x[m], game.y[i] - game.mark_y[m], touching)
                push_x[i] += fx
                push_y[i] += fy
    for i in range(world.agents):
        vx, vy = game.vx[i] * (1 - LOST) + push_x[i] * STEP, game.vy[i] * (1 - LOST) + push_y[i] * STEP
        if world.top[i] > 0:
            speed = math.sqrt(vx * vx + vy * vy)
            if speed > world.top[i]:
                vx, vy = vx / speed * world.top[i], vy / speed * world.top[i]
        game.vx[i], game.vy[i] = vx, vy
        game.x[i] += vx * STEP
        game.y[i] += vy * STEP


# -- pushes -----------------------------------------------------------------------------------------------------------

NOTHING, EAST, WEST, NORTH, SOUTH = range(5)
"""What an agent can do; a push may also be shared among them."""
WHOLE = 1e-3
"""How far shares may be from adding up to one."""


@rule
def are_shares(shares):  # type: ignore[no-untyped-def]
    """Whether these are at least zero and add up to one."""
    total = 0.0
    for share in shares:
        if not share >= -WHOLE:
            return False
        total += share
    return abs(total - 1) <= WHOLE


@rule
def push_by_shares(shares, strength):  # type: ignore[no-untyped-def]
    """The push of shares of the five actions."""
    return strength * (shares[EAST] - shares[WEST]), strength * (shares[NORTH] - shares[SOUTH])


@rule
def push_by_choice(choice, strength):  # type: ignore[no-untyped-def]
    """The push of one of the five actions."""
    return strength * ((choice == EAST) - (choice == WEST)), strength * ((choice == NORTH) - (choice == SOUTH))


@rule
def share_out(x, y, shares):  # type: ignore[no-untyped-def]
    """Shares that push in that direction, as hard as it is long and no harder than can be."""
    scale = 1 / max(abs(x) + abs(y), 1.0)
    shares[EAST], shares[WEST] = max(x, 0.0) * scale, max(-x, 0.0) * scale
    shares[NORTH], shares[SOUTH] = max(y, 0.0) * scale, max(-y, 0.0) * scale
    shares[NOTHING] = 1 - (abs(x) + abs(y)) * scale


@rule
def choose_one(x, y, least):  # type: ignore[no-untyped-def]
    """The action along the longer part of that direction, of equals the second; nothing if it is under the least."""
    if max(abs(x), abs(y)) < least:
        return NOTHING
    if abs(x) > abs(y):
        return EAST if x > 0 else WEST
    return NORTH if y > 0 else SOUTH


@rule
def random_shares(game, shares):  # type: ignore[no-untyped-def]
    """The softmax of five Gumbel numbers: what an untrained net with equal outputs would do."""
    total = 0.0
    for k in range(5):
        game.luck, bits = draw(game.luck)
        shares[k] = 1 / max(-math.log(1 - uniform(bits)), 1e-12)  # exp of a Gumbel number
        total += shares[k]
    for k in range(5):
        shares[k] /= total
