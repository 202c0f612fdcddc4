"""How scripted players of Arena find their way and where they click, from how the game stands."""

from __future__ import annotations

import math

from velodrome.games.arena.rules import MARGIN, away, in_view, on_screen
from velodrome.games.arena.world import (
    ACROSS,
    DOWN,
    ENEMIES,
    FIRST_BOX,
    FIRST_PORTAL,
    HEIGHT,
    NOTHING,
    OBJECTS,
    SCREEN_X,
    SCREEN_Y,
    STEP,
    WIDTH,
)
from velodrome.games.kernel import rule

INSIDE = 0.49
"""How far from the middle of the screen, along either axis, a scripted player points at most."""
OFF_COURSE = 0.97
"""The cosine of the angle by which the course may differ from the one that is wanted."""
HERE, SOON = 40.0, 100.0
"""A point nearer than the first needs no click; with less than the second left to go it is time for the next one."""
AHEAD = 0.2
"""By how many radians a ship that circles looks ahead."""


@rule
def nearest(game, low, high):  # type: ignore[no-untyped-def]
    """The nearest of the objects in view with these numbers, and how far it is."""
    best, least = NOTHING, 1e9
    for i in range(low, high):
        if in_view(game, i):
            far = away(game, game.x[i], game.y[i])
            if far < least:
                best, least = i, far
    return best, least


@rule
def nearest_portal(game):  # type: ignore[no-untyped-def]
    """The nearest portal; there always is one."""
    return nearest(game, FIRST_PORTAL, OBJECTS)[0]


@rule
def quiet_box(game, apart):  # type: ignore[no-untyped-def]
    """The nearest box in view that has no enemy in view so near."""
    best, least = NOTHING, 1e9
    for i in range(FIRST_BOX, FIRST_PORTAL):
        far = away(game, game.x[i], game.y[i])
        if not in_view(game, i) or far >= least:
            continue
        quiet = True
        for k in range(ENEMIES):
            near = math.hypot(game.x[k] - game.x[i], game.y[k] - game.y[i]) < apart
            quiet &= not (near and in_view(game, k))
        if quiet:
            best, least = i, far
    return best


@rule
def least_visited(game):  # type: ignore[no-untyped-def]
    """The middle of the cell with the fewest visits; of several the nearest."""
    best_x, best_y, least, fewest = 0.0, 0.0, 1e9, 32767
    for cell in range(ACROSS * DOWN):
        x, y = (cell % ACROSS + 0.5) * WIDTH / ACROSS, (cell // ACROSS + 0.5) * HEIGHT / DOWN
        far, visits = away(game, x, y), game.visits[cell]
        if visits < fewest or (visits == fewest and far < least):
            best_x, best_y, least, fewest = x, y, far, visits
    return best_x, best_y


@rule
def inside(x, y):  # type: ignore[no-untyped-def]
    """Whether a point is on the map, and not at its very edge."""
    return MARGIN <= x <= WIDTH - MARGIN and MARGIN <= y <= HEIGHT - MARGIN


@rule
def circle(game, i, radius):  # type: ignore[no-untyped-def]
    """The next point of a circle around an enemy; the other way round where this one leaves the map."""
    angle = math.atan2(game.ship_y - game.y[i], game.ship_x - game.x[i])
    x, y = 0.0, 0.0
    for sign in (1, -1):
        x = game.x[i] + radius * math.cos(angle + sign * AHEAD)
        y = game.y[i] + radius * math.sin(angle + sign * AHEAD)
        if inside(x, y):
            break
    return min(max(x, MARGIN), WIDTH - MARGIN), min(max(y, MARGIN), HEIGHT - MARGIN)


@rule
def point_at(game, x, y):  # type: ignore[no-untyped-def]
    """Where on the screen a point is, or where the way there leaves the screen."""
    dx, dy = (x - game.ship_x) / SCREEN_X, (y - game.ship_y) / SCREEN_Y
    part = min(1.0, INSIDE / max(abs(dx), abs(dy), 1e-9))
    return 0.5 + part * dx, 0.5 + part * dy


@rule
def off_course(game, x, y):  # type: ignore[no-untyped-def]
    """Whether it takes a click to get to a point."""
    far = away(game, x, y)
    if far <= HERE:
        return False
    if game.left == 0 or (game.left * STEP < SOON < far):
        return True
    along = game.ship_vx * (x - game.ship_x) + game.ship_vy * (y - game.ship_y)
    return along < OFF_COURSE * STEP * far


@rule
def steer(game, x, y):  # type: ignore[no-untyped-def]
    """Go to a point: where to point, and whether to click."""
    to_x, to_y = point_at(game, x, y)
    return to_x, to_y, off_course(game, x, y)


@rule
def go_for(game, i):  # type: ignore[no-untyped-def]
    """Go for a box or a portal: where to point, and whether to click."""
    if not on_screen(game, i):
        return steer(game, game.x[i], game.y[i])
    to_x, to_y = point_at(game, game.x[i], game.y[i])
    return to_x, to_y, game.wanted != i


@rule
def wait(game):  # type: ignore[no-untyped-def]
    """Stay here: where to point, and whether to click."""
    return 0.5, 0.5, game.left > 0
