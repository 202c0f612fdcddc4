"""The scripted teacher of Arena: in which of five modes it is, what it is after, and where it clicks.

All of it follows from how the game stands. Of enemies and boxes it heeds only what is in view.
"""

from __future__ import annotations

import numpy as np

from velodrome.games.arena.pilot import (
    circle,
    go_for,
    least_visited,
    nearest,
    nearest_portal,
    point_at,
    quiet_box,
    steer,
    wait,
)
from velodrome.games.arena.rules import MISSES, away, can_fire, in_view, on_screen
from velodrome.games.arena.world import (
    BLAST,
    BLAST_WAITS,
    DAMAGE,
    ENEMIES,
    ENEMY_DAMAGE,
    HULL,
    NOTHING,
    SECOND,
    SHIELD,
    SPEED,
)
from velodrome.games.kernel import rule

FIGHT, LOOT, FLEE, EXPLORE, CAUTIOUS = range(5)
MODES = ("fight", "loot", "flee", "explore", "cautious")

OWN_HARM = (1 - MISSES) * (DAMAGE + BLAST * SECOND / BLAST_WAITS)
"""What the ship does to an enemy in a second."""
REACHES = np.array([0.6, 0.8, 0.8, 0.1, 1.0])
"""The part of an enemy's volleys that reach a ship that circles it, by kind."""
WINS = 0.7
"""A fight is taken up if it takes no more than this part of the time for which the ship would last."""
LOW = 0.3
"""The part of hull and shield below which the ship flees."""
HIT = 3 * SECOND
"""Frames after a hit for which damage comes in."""
SEEKS = 0.3
"""The part of the shield from which on a fight is sought with an enemy that does not chase the ship."""
RESTORED = 0.8
"""The part of the shield below which enemies are kept off."""
CIRCLES = 620.0
"""How far from an enemy the teacher fights: out of its reach, in that of the ship."""
STANDS_OFF = 800.0
"""How far from an enemy it stays while its shield grows again."""
WATCHES = 1000.0
"""How near an enemy is that is to be kept off."""
QUIET = 1000.0
"""How far from every enemy a box is that is gone for."""
LOCKED = 0.5
"""Part of its cost at which an enemy stays the target."""


@rule
def left_of(game, i):  # type: ignore[no-untyped-def]
    """What it takes to destroy an enemy."""
    return game.enemy_hull[i] + game.enemy_shield[i]


@rule
def harm_of(game, i):  # type: ignore[no-untyped-def]
    """What an enemy does to a ship that circles it, in a second."""
    return (1 - MISSES) * REACHES[game.kind[i]] * ENEMY_DAMAGE[game.kind[i]]


@rule
def pursuers(game):  # type: ignore[no-untyped-def]
    """What it takes to destroy all that chase the ship, and what they do in a second."""
    work, harm = 0.0, 0.0
    for i in range(ENEMIES):
        if game.chasing[i] and in_view(game, i):
            work, harm = work + left_of(game, i), harm + harm_of(game, i)
    return work, harm


@rule
def prey(game, work, harm):  # type: ignore[no-untyped-def]
    """The enemy that is soonest destroyed, of those against which a fight with them and all pursuers is won."""
    best, least = NOTHING, 1e9
    for i in range(ENEMIES):
        if not in_view(game, i):
            continue
        more = not game.chasing[i]
        takes = (work + more * left_of(game, i)) / OWN_HARM
        lasts = (game.hull + game.shield) / (harm + more * harm_of(game, i))
        cost = left_of(game, i) / OWN_HARM + away(game, game.x[i], game.y[i]) / SPEED
        if i == game.locked:
            cost *= LOCKED
        if takes < WINS * lasts and cost < least:
            best, least = i, cost
    return best


@rule
def decide(game):  # type: ignore[no-untyped-def]
    """The mode, and the object that it is about, if any."""
    low = game.hull + game.shield < LOW * (HULL + SHIELD)
    hit = game.unhurt < HIT and not game.safe
    work, harm = pursuers(game)
    if low and hit:
        return FLEE, nearest_portal(game)
    i = prey(game, work, harm)
    if i != NOTHING and not low and (game.chasing[i] or game.shield >= SEEKS * SHIELD):
        return FIGHT, i
    if i == NOTHING and hit and harm > 0:
        return FLEE, nearest_portal(game)
    box = quiet_box(game, QUIET)
    if box != NOTHING:
        return LOOT, box
    foe, far = nearest(game, 0, ENEMIES)
    if foe != NOTHING and far < WATCHES and game.shield < RESTORED * SHIELD:
        return CAUTIOUS, foe
    return EXPLORE, NOTHING


@rule
def act(game, mode, i):  # type: ignore[no-untyped-def]
    """Where to point, and whether to click."""
    if mode == FIGHT:
        if game.locked != i and on_screen(game, i):
            x, y = point_at(game, game.x[i], game.y[i])
            return x, y, True
        x, y = circle(game, i, CIRCLES)
        return steer(game, x, y)
    if mode == CAUTIOUS:
        if game.safe or away(game, game.x[i], game.y[i]) >= STANDS_OFF:
            return wait(game)
        x, y = circle(game, i, STANDS_OFF)
        return steer(game, x, y)
    if mode == EXPLORE:
        x, y = least_visited(game)
        return steer(game, x, y)
    return go_for(game, i)


@rule
def uses_ability(game):  # type: ignore[no-untyped-def]
    """Whether to use the ability: whenever that can be done."""
    return game.blast_ready <= game.time and can_fire(game)
