"""The rules of Coverage, on one game's record: sensors stand and turn, targets walk, obstacles block what is seen.

Angles are degrees. A decision is which targets a sensor tracks; for ten small steps it then turns towards the middle of
these while all targets walk on.
"""

from __future__ import annotations

import math

import numpy as np

from velodrome.games.kernel import below, draw, rule, uniform

MOST, MOST_TARGETS = 32, 40
RANGE, HALF_VIEW, TURN = 800.0, 45.0, 5.0
"""How far a sensor sees, how far to either side it covers, how far it turns in a small step."""
SMALL_STEPS = 10
NOTHING_TRACKED = -0.1
"""The reward of a small step in which no sensor covers what it tracks."""
BOUND = 1250.0
"""How far out a target with a goal goes."""
PACE, QUICKER = 0.13, 0.2
SLOWEST, SPEEDS = 50, 50
NEAR, SHORT, LONG_WALK = 5.0, 10.0, 200
"""A target with a goal takes another when it is so near, when one of two moves led no farther than so, or after so
many moves."""
TRIES = 20
WALKER, SEEKER = range(2)
RUNNING, CUT = range(2)

PLACES = np.array(
    [
        [400, 400], [400, -500], [-500, -500], [-500, 400],
        [1250, -50], [-1350, -50], [-50, 1100], [-50, -1200], [1250, 1100], [-1350, -1200],
    ],
    np.float64,
)  # fmt: skip
"""The corner of the square of 100 by 100 in which each of the first ten sensors stands."""
RING = 1800.0
"""How far from the centre the sensors after those stand."""

RECORD = np.dtype(
    [
        ("x", np.float64, MOST),
        ("y", np.float64, MOST),
        ("heading", np.float64, MOST),
        ("block_x", np.float64, MOST),
        ("block_y", np.float64, MOST),
        ("block_radius", np.float64, MOST),
        ("target_x", np.float64, MOST_TARGETS),
        ("target_y", np.float64, MOST_TARGETS),
        ("goal_x", np.float64, MOST_TARGETS),
        ("goal_y", np.float64, MOST_TARGETS),
        ("speed", np.float64, MOST_TARGETS),
        ("moved", np.float64, (2, MOST_TARGETS)),  # how far the last two moves led
        ("walked", np.int16, MOST_TARGETS),  # moves since the goal was chosen
        ("kind", np.int8, MOST_TARGETS),
        ("returned", np.float64),
        ("time", np.int32),
        ("over", np.int8),
        # random states
        ("starts", np.uint64),
        ("luck", np.uint64),
    ],
    align=True,
)


# -- angles -----------------------------------------------------------------------------------------------------------


@rule
def turned(angle):  # type: ignore[no-untyped-def]
    """The same angle from above -180 to 180."""
    return angle - 360 * math.ceil((angle - 180) / 360)


@rule
def bearing(game, sensor, x, y):  # type: ignore[no-untyped-def]
    """In which direction a point is, from where a sensor looks."""
    return turned(math.degrees(math.atan2(y - game.y[sensor], x - game.x[sensor])) - game.heading[sensor])


@rule
def away_from(game, sensor, x, y):  # type: ignore[no-untyped-def]
    """How far a point is from a sensor."""
    return math.hypot(x - game.x[sensor], y - game.y[sensor])


# -- the start --------------------------------------------------------------------------------------------------------


@rule
def whole_number(state, low, n):  # type: ignore[no-untyped-def]
    """One of n whole numbers from `low` on."""
    state, bits = draw(state)
    return state, low + below(bits, n)


@rule
def place_sensors(game, sensors):  # type: ignore[no-untyped-def]
    """Each in its own square, looking anywhere."""
    for i in range(sensors):
        if i < len(PLACES):
            x, y = PLACES[i, 0], PLACES[i, 1]
        else:
            angle = 2 * math.pi * (i - len(PLACES)) / max(sensors - len(PLACES), 1)
            x, y = RING * math.cos(angle) - 50, RING * math.sin(angle) - 50
        game.starts, dx = whole_number(game.starts, 0, 101)
        game.starts, dy = whole_number(game.starts, 0, 101)
        game.starts, angle = whole_number(game.starts, -180, 360)
        game.x[i], game.y[i], game.heading[i] = x + dx, y + dy, turned(float(angle))


@rule
def place_obstacles(game, sensors):  # type: ignore[no-untyped-def]
    """One between each sensor and the next, where no sensor is inside."""
    for k in range(sensors - 1):
        x, y = 0.5 * (game.x[k] + game.x[k + 1]), 0.5 * (game.y[k] + game.y[k + 1])
        apart = math.hypot(game.x[k + 1] - game.x[k], game.y[k + 1] - game.y[k])
        for _ in range(TRIES):
            game.starts, bits = draw(game.starts)
            game.starts, angle = whole_number(game.starts, 0, 360)
            game.starts, radius = whole_number(game.starts, 70, 40)
            far = uniform(bits) * (RANGE - apart / 2) * 0.8
            game.block_x[k] = x + far * math.cos(math.radians(angle))
            game.block_y[k] = y + far * math.sin(math.radians(angle))
            game.block_radius[k] = radius
            clear = True
            for i in range(sensors):
                clear &= away_from(game, i, game.block_x[k], game.block_y[k]) > radius
            if clear:
                break


@rule
def blocked(game, obstacles, x, y):  # type: ignore[no-untyped-def]
    """Whether a point is in an obstacle."""
    for k in range(obstacles):
        dx, dy = x - game.block_x[k], y - game.block_y[k]
        if dx * dx + dy * dy <= game.block_radius[k] * game.block_radius[k]:
            return True
    return False


@rule
def place_targets(game, sensors, targets, walkers):  # type: ignore[no-untyped-def]
    """Each where some sensor looks; so many walk by chance, as the share of walkers says."""
    for j in range(targets):
        for _ in range(TRIES):
            game.starts, i = whole_number(game.starts, 0, sensors)
            game.starts, side = whole_number(game.starts, -45, 91)
            game.starts, far = whole_number(game.starts, 100, 600)
            angle = math.radians(game.heading[i] + side)
            game.target_x[j], game.target_y[j] = game.x[i] + far * math.cos(angle), game.y[i] + far * math.sin(angle)
            if not blocked(game, sensors - 1, game.target_x[j], game.target_y[j]):
                break
        game.starts, bits = draw(game.starts)
        game.kind[j] = WALKER if uniform(bits) < walkers else SEEKER
        choose_goal(game, sensors, j)


@rule
def choose_goal(game, sensors, j):  # type: ignore[no-untyped-def]
    """Another goal, anywhere that sensors see to, and another speed."""
    left, right, low, high = 1e9, -1e9, 1e9, -1e9
    for i in range(sensors):
        left, right = min(left, game.x[i]), max(right, game.x[i])
        low, high = min(low, game.y[i]), max(high, game.y[i])
    game.luck, dx = whole_number(game.luck, 0, int(right - left + 2 * RANGE) + 1)
    game.luck, dy = whole_number(game.luck, 0, int(high - low + 2 * RANGE) + 1)
    game.luck, more = whole_number(game.luck, 0, SPEEDS)
    game.goal_x[j], game.goal_y[j] = left - RANGE + dx, low - RANGE + dy
    game.speed[j] = SLOWEST + more
    game.walked[j] = 0  # and what the last moves came to is forgotten
    game.moved[0, j] = game.moved[1, j] = 1e9


@rule
def begin(game, sensors, targets, walkers):  # type: ignore[no-untyped-def]
    """Everything in its place for the next game."""
    place_sensors(game, sensors)
    place_obstacles(game, sensors)
    place_targets(game, sensors, targets, walkers)
    game.returned = 0.0
    game.time, game.over = 0, RUNNING


# -- targets ----------------------------------------------------------------------------------------------------------


@rule
def stroll(game, obstacles, j):  # type: ignore[no-untyped-def]
    """A walker's move, by chance."""
    for _ in range(TRIES):
        game.luck, dx = whole_number(game.luck, -10, 20)
        game.luck, dy = whole_number(game.luck, -10, 20)
        x, y = game.target_x[j] + dx, game.target_y[j] + dy
        if not blocked(game, obstacles, x, y):
            game.target_x[j], game.target_y[j] = x, y
            return


@rule
def seek(game, sensors, j):  # type: ignore[no-untyped-def]
    """A move towards the goal; another goal where that is reached, or leads nowhere. Who is far outside may come in."""
    dx, dy = game.goal_x[j] - game.target_x[j], game.goal_y[j] - game.target_y[j]
    stuck = min(game.moved[0, j], game.moved[1, j]) < SHORT
    if math.hypot(dx, dy) < NEAR or stuck or game.walked[j] > LONG_WALK:
        choose_goal(game, sensors, j)
    x, y = game.target_x[j], game.target_y[j]
    for drawn in range(TRIES):
        dx, dy = game.goal_x[j] - game.target_x[j], game.goal_y[j] - game.target_y[j]
        game.luck, bits = draw(game.luck)
        pace = game.speed[j] * (1 + QUICKER * uniform(bits)) * PACE / max(math.hypot(dx, dy), 1e-9)
        x, y = game.target_x[j] + pace * dx, game.target_y[j] + pace * dy
        if drawn == TRIES - 1 or (abs(x) <= BOUND and abs(y) <= BOUND):
            break
        choose_goal(game, sensors, j)
    if blocked(game, sensors - 1, x, y):
        x, y = game.target_x[j], game.target_y[j]
    game.moved[1, j] = game.moved[0, j]
    game.moved[0, j] = math.hypot(x - game.target_x[j], y - game.target_y[j])
    game.target_x[j], game.target_y[j] = x, y
    game.walked[j] += 1


@rule
def move_targets(game, sensors, targets):  # type: ignore[no-untyped-def]
    """Every target moves once."""
    for j in range(targets):
        if game.kind[j] == WALKER:
            stroll(game, sensors - 1, j)
        else:
            seek(game, sensors, j)


# -- seeing -----------------------------------------------------------------------------------------------------------


@rule
def visible(game, obstacles, sensor, j):  # type: ignore[no-untyped-def]
    """Whether a sensor knows where a target is: near enough, and nothing between; where it looks is no matter."""
    dx, dy = game.target_x[j] - game.x[sensor], game.target_y[j] - game.y[sensor]
    far = math.hypot(dx, dy)
    if far > RANGE:
        return False
    for k in range(obstacles):
        ox, oy = game.block_x[k] - game.x[sensor], game.block_y[k] - game.y[sensor]
        along, across = (ox * dx + oy * dy) / max(far, 1e-9), abs(ox * dy - oy * dx) / max(far, 1e-9)
        if along > 0 and 0 < across < game.block_radius[k] and math.hypot(ox, oy) < far:
            return False
    return True


@rule
def covered(game, sensor, j):  # type: ignore[no-untyped-def]
    """Whether a sensor has a target in view; obstacles do not matter here."""
    if away_from(game, sensor, game.target_x[j], game.target_y[j]) > RANGE:
        return False
    return abs(bearing(game, sensor, game.target_x[j], game.target_y[j])) < HALF_VIEW


# -- a step -----------------------------------------------------------------------------------------------------------


@rule
def turn(game, sensor, targets, tracks):  # type: ignore[no-untyped-def]
    """Turn a little towards the middle of what is tracked; anywhere, or not at all, where nothing is."""
    n, x, y = 0, 0.0, 0.0
    for j in range(targets):
        if tracks[j]:
            n, x, y = n + 1, x + game.target_x[j], y + game.target_y[j]
    if n == 0:
        game.luck, bits = draw(game.luck)
        by = float(below(bits, 3) - 1)
    else:
        by = min(max(math.floor(bearing(game, sensor, x / n, y / n) / TURN), -1.0), 1.0)
    game.heading[sensor] = turned(game.heading[sensor] + TURN * by)


@rule
def coverage(game, sensors, targets, tracks):  # type: ignore[no-untyped-def]
    """The share of targets in some sensor's view; a little less than none if no sensor has in view what it tracks."""
    n, some = 0, False
    for j in range(targets):
        any_covers = False
        for i in range(sensors):
            if covered(game, i, j):
                any_covers = True
                some |= tracks[i, j] != 0
        n += any_covers
    return n / targets if some else NOTHING_TRACKED


@rule
def play_step(game, sensors, targets, tracks, longest):  # type: ignore[no-untyped-def]
    """Play a decision; returns what it earns everyone."""
    earned = 0.0
    move_targets(game, sensors, targets)
    for _ in range(SMALL_STEPS):
        for i in range(sensors):
            turn(game, i, targets, tracks[i])
        move_targets(game, sensors, targets)
        earned += coverage(game, sensors, targets, tracks)
    game.time += 1
    game.over = CUT if game.time >= longest else RUNNING
    game.returned += earned / SMALL_STEPS
    return earned / SMALL_STEPS


# -- views ------------------------------------------------------------------------------------------------------------


@rule
def see(game, sensors, targets, sensor, out):  # type: ignore[no-untyped-def]
    """Targets that are known, and obstacles that are near: which of them, in what direction, how far."""
    for j in range(targets):
        out[j, :] = 0
        if visible(game, sensors - 1, sensor, j):
            out[j, 0], out[j, 1] = sensor / sensors, j / targets
            out[j, 2] = bearing(game, sensor, game.target_x[j], game.target_y[j]) / 180
            out[j, 3] = away_from(game, sensor, game.target_x[j], game.target_y[j]) / 2000
    for k in range(sensors - 1):
        at = targets + k
        out[at, :] = 0
        if away_from(game, sensor, game.block_x[k], game.block_y[k]) <= RANGE:
            out[at, 0], out[at, 1] = sensor / sensors, k / (sensors - 1)
            out[at, 2] = bearing(game, sensor, game.block_x[k], game.block_y[k]) / 180
            out[at, 3] = away_from(game, sensor, game.block_x[k], game.block_y[k]) / 2000


@rule
def see_others(game, sensors, sensor, from_here, out):  # type: ignore[no-untyped-def]
    """Where the others stand, along the axes of the world or from where the sensor looks, and how much farther round
    they look."""
    look = math.radians(game.heading[sensor]) if from_here else 0.0
    ahead_x, ahead_y = math.cos(look), math.sin(look)
    for i in range(sensors):
        angle = math.radians(game.heading[i] - game.heading[sensor])
        dx, dy = (game.x[i] - game.x[sensor]) / 2000, (game.y[i] - game.y[sensor]) / 2000
        out[i, 0], out[i, 1] = ahead_x * dx + ahead_y * dy, ahead_x * dy - ahead_y * dx
        out[i, 2], out[i, 3] = math.cos(angle), math.sin(angle)
