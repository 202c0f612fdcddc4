"""What a player of Arena is told, laid out as for a bot that looks at the screen: itself, objects, the situation.

Places are parts of the screen, so that the ship is always at a half and a half; velocities are those over the map, in
screens a second. Angles count from where x grows towards where y grows, and are parts of a half turn. Objects come
nearest first. One that has just left the screen stays, where it was last seen, for as long as it is remembered.
"""

from __future__ import annotations

import math

from velodrome.games.arena.rules import REMEMBERED, in_view, radius_of
from velodrome.games.arena.world import (
    ENEMIES,
    FIRST_HUNTER,
    FIRST_PORTAL,
    HEIGHT,
    HULL,
    NOTHING,
    OBJECTS,
    SCREEN_X,
    SCREEN_Y,
    SECOND,
    SHIELD,
    WIDTH,
)
from velodrome.games.kernel import rule

PLAYER, OBJECT, CONTEXT = 16, 20, 16
"""How many numbers tell of the ship, of an object, of the situation."""
EDGE = 0.15
"""The part of the map on each side that is near an edge."""
NEAREST = 0.1
"""What is nearer than this part of the screen counts as if it were so far."""


@rule
def apart(game, x, y):  # type: ignore[no-untyped-def]
    """How far a point is from the ship, in screens along either axis."""
    return math.hypot((x - game.ship_x) / SCREEN_X, (y - game.ship_y) / SCREEN_Y)


@rule
def arrange(game, n, order, far):  # type: ignore[no-untyped-def]
    """Write the numbers of the objects to be shown, at most n, nearest first; returns how many. The nearest portal is
    always one of them."""
    known, portal = 0, NOTHING
    for i in range(OBJECTS):
        if game.time - game.last[i] > REMEMBERED:
            continue
        distance, place = apart(game, game.seen_x[i], game.seen_y[i]), known
        while place > 0 and far[place - 1] > distance:
            order[place], far[place] = order[place - 1], far[place - 1]
            place -= 1
        order[place], far[place] = i, distance
        known += 1
    for place in range(known):
        if order[place] >= FIRST_PORTAL:
            portal = place
            break
    if portal >= n:
        order[n - 1], far[n - 1] = order[portal], far[portal]
    return min(known, n)


@rule
def put_player(game, out):  # type: ignore[no-untyped-def]
    """The ship: its place and velocity, what is left of it, what it does, where on the map it is."""
    x, y = game.ship_x / WIDTH, game.ship_y / HEIGHT
    out[0] = out[1] = 0.5
    out[2] = game.ship_vx * SECOND / SCREEN_X / 10
    out[3] = game.ship_vy * SECOND / SCREEN_Y / 10
    out[4] = game.hull / HULL
    out[5] = 10 * (game.hull - game.hull_before) / HULL
    out[6] = game.shield / SHIELD
    out[7] = 10 * (game.shield - game.shield_before) / SHIELD
    out[8] = game.attacking > 0
    out[9] = min(game.attacking / SECOND / 10, 1.0)
    out[10] = min(game.unhurt / SECOND / 5, 1.0)
    out[11] = 0
    out[12] = min(game.idle / SECOND / 5, 1.0)
    out[13], out[14] = x, y
    out[15] = min(x, 1 - x, y, 1 - y)


@rule
def put_object(game, i, distance, out):  # type: ignore[no-untyped-def]
    """An object: where it is, how it moves, how well it is known, what it is."""
    seen, missed = in_view(game, i), game.time - game.last[i]
    dx, dy = (game.seen_x[i] - game.ship_x) / SCREEN_X, (game.seen_y[i] - game.ship_y) / SCREEN_Y
    vx = game.vx[i] * SECOND / SCREEN_X if seen else 0.0
    vy = game.vy[i] * SECOND / SCREEN_Y if seen else 0.0
    out[0], out[1], out[2], out[3] = 0.5 + dx, 0.5 + dy, distance, math.atan2(dy, dx) / math.pi
    out[4], out[5], out[6], out[7] = 10 * vx, 10 * vy, 10 * math.hypot(vx, vy), math.atan2(vy, vx) / math.pi
    out[8], out[9] = 2 * radius_of(game, i) / SCREEN_X, 2 * radius_of(game, i) / SCREEN_Y
    out[10] = 1 - missed / (REMEMBERED + 1)
    out[11] = min((game.time - game.first[i]) / 100, 1.0)
    out[12], out[13] = min(game.hits[i] / 50, 1.0), min(missed / 10, 1.0)
    out[14], out[15] = seen, not seen
    enemy, box, player = i < ENEMIES, ENEMIES <= i < FIRST_PORTAL, FIRST_HUNTER <= i < ENEMIES
    out[16], out[17], out[18] = enemy, box, player
    out[19] = 1 - enemy - box - player  # for a hunter, which is an enemy and a player, -1


@rule
def put_objects(game, shown, order, far, out, mask):  # type: ignore[no-untyped-def]
    """All that are shown, then zeros."""
    for place in range(len(mask)):
        mask[place] = place < shown
        if place < shown:
            put_object(game, order[place], far[place], out[place])
        else:
            out[place, :] = 0


@rule
def put_marks(game, shown, order, out):  # type: ignore[no-untyped-def]
    """What the ship has locked and what it goes for."""
    for place in range(len(out)):
        out[place] = place < shown and (order[place] == game.locked or order[place] == game.wanted)


@rule
def put_context(game, out):  # type: ignore[no-untyped-def]
    """How many enemies and boxes are in view and how near, and whether the map's edges are near."""
    enemies, boxes, threat, loot, enemy_far, box_far = 0, 0, 0.0, 0.0, 1.0, 1.0
    for i in range(FIRST_PORTAL):
        if in_view(game, i):
            distance = apart(game, game.x[i], game.y[i])
            if i < ENEMIES:
                enemies, threat = enemies + 1, threat + 1 / max(NEAREST, distance)
                enemy_far = min(enemy_far, distance)
            else:
                boxes, loot = boxes + 1, loot + 1 / max(NEAREST, distance)
                box_far = min(box_far, distance)
    x, y = game.ship_x / WIDTH, game.ship_y / HEIGHT
    out[0], out[1], out[2], out[3] = min(enemies / 5, 1.0), min(boxes / 5, 1.0), enemies > 0, boxes > 0
    out[4], out[5], out[6], out[7] = enemy_far, box_far, min(threat / 10, 1.0), min(loot / 5, 1.0)
    out[8], out[9], out[10], out[11] = x < EDGE, x > 1 - EDGE, y < EDGE, y > 1 - EDGE
    out[12:] = 0
