"""What enemies of Arena do, on one game's record: once a second each looks around, in between it flies and fires."""

from __future__ import annotations

import math

from velodrome.games.arena.rules import (
    CALM,
    MARGIN,
    OUT_OF_SIGHT,
    SHIELD_A_SECOND,
    away,
    between,
    end_in_time,
    hurt,
    place_enemy,
    ship_frame,
    volley,
    watch,
)
from velodrome.games.arena.world import (
    ENEMIES,
    ENEMY_DAMAGE,
    ENEMY_HOLDS,
    ENEMY_REACH,
    ENEMY_SHIELD,
    ENEMY_SPEED,
    HEIGHT,
    RUNNING,
    SECOND,
    WIDTH,
)
from velodrome.games.kernel import rule

NOTICES, LOSES = 800.0, 1600.0
"""How near a ship is that is attacked unprovoked, and how far one that is chased no more."""
SWING = 1.0
"""By how many radians at most an enemy circles a ship at once."""
WANDERS = 800.0
"""How far an enemy goes, along either axis, when it has nothing else to do."""
IN_TURN = 3
"""Frames between the looks of one enemy and the next."""


@rule
def fly_to(game, i, x, y):  # type: ignore[no-untyped-def]
    """Go straight to a point, or as near as the map allows."""
    game.goal_x[i] = min(max(x, MARGIN), WIDTH - MARGIN)
    game.goal_y[i] = min(max(y, MARGIN), HEIGHT - MARGIN)
    dx, dy = game.goal_x[i] - game.x[i], game.goal_y[i] - game.y[i]
    far, step = math.sqrt(dx * dx + dy * dy), ENEMY_SPEED[game.kind[i]] / SECOND
    game.enemy_left[i] = math.ceil(far / step)
    if far > 0:
        game.vx[i], game.vy[i] = dx * step / far, dy * step / far


@rule
def close_in(game, i):  # type: ignore[no-untyped-def]
    """Go to the circle around the ship that the enemy keeps to, a little to one side."""
    game.luck, aside = between(game.luck, -SWING, SWING)
    angle = math.atan2(game.y[i] - game.ship_y, game.x[i] - game.ship_x) + aside
    holds = ENEMY_HOLDS[game.kind[i]]
    fly_to(game, i, game.ship_x + holds * math.cos(angle), game.ship_y + holds * math.sin(angle))


@rule
def wander(game, i):  # type: ignore[no-untyped-def]
    """Go anywhere not far from here."""
    game.luck, dx = between(game.luck, -WANDERS, WANDERS)
    game.luck, dy = between(game.luck, -WANDERS, WANDERS)
    fly_to(game, i, game.x[i] + dx, game.y[i] + dy)


@rule
def look_around(game, i):  # type: ignore[no-untyped-def]
    """Take up the chase or give it up, and choose where to go; a shield grows again if nobody has fired at it."""
    most = ENEMY_SHIELD[game.kind[i]]
    if game.enemy_shield[i] < most and game.time - game.enemy_hit[i] >= CALM:
        game.enemy_shield[i] = min(game.enemy_shield[i] + SHIELD_A_SECOND * most, most)
    far = away(game, game.x[i], game.y[i])
    if game.safe or far > LOSES:
        game.chasing[i] = 0
    elif game.aggressive[i] and far <= NOTICES:
        game.chasing[i] = 1
    if game.chasing[i]:
        close_in(game, i)
    elif game.enemy_left[i] == 0:
        wander(game, i)


@rule
def fly(game, i):  # type: ignore[no-untyped-def]
    """Move an enemy by a frame."""
    if game.enemy_left[i] == 0:
        return
    game.enemy_left[i] -= 1
    if game.enemy_left[i] > 0:
        game.x[i] += game.vx[i]
        game.y[i] += game.vy[i]
    else:
        game.x[i], game.y[i] = game.goal_x[i], game.goal_y[i]
        game.vx[i] = game.vy[i] = 0.0


@rule
def fire_back(game, i):  # type: ignore[no-untyped-def]
    """A volley at the ship that is chased, if it is near and it is time for the next."""
    if not game.chasing[i] or game.safe or game.enemy_ready[i] > game.time:
        return
    kind = game.kind[i]
    if away(game, game.x[i], game.y[i]) <= ENEMY_REACH[kind]:
        game.enemy_ready[i] = game.time + SECOND
        game.calm = 0
        damage = volley(game, ENEMY_DAMAGE[kind])
        if damage > 0:
            hurt(game, damage)


@rule
def enemies_frame(game):  # type: ignore[no-untyped-def]
    """A frame of all enemies."""
    for i in range(ENEMIES):
        if not game.there[i]:
            if game.comes[i] <= game.time:
                game.luck = place_enemy(game, i, game.luck, OUT_OF_SIGHT)
            continue
        if (game.time + IN_TURN * i) % SECOND == 0:
            look_around(game, i)
        fly(game, i)
        fire_back(game, i)
        if game.over != RUNNING:
            return


@rule
def play_frame(game, longest):  # type: ignore[no-untyped-def]
    """A frame of everything."""
    game.time += 1
    ship_frame(game)
    if game.over == RUNNING:
        enemies_frame(game)
    watch(game)
    end_in_time(game, longest)
