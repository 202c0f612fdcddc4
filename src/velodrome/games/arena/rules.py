"""The rules of Arena, on one game's record: how a game begins, what a click does, what a frame brings."""

from __future__ import annotations

import math

import numpy as np

from velodrome.games.arena.world import (
    ACROSS,
    AGGRESSIVE,
    BLAST,
    BLAST_WAITS,
    BOX_RADIUS,
    BOXES,
    CREDITS,
    CUT,
    DAMAGE,
    DOWN,
    ENDED,
    ENEMIES,
    ENEMY_HULL,
    ENEMY_SHIELD,
    FEWEST_BOXES,
    FEWEST_ENEMIES,
    FEWEST_PORTALS,
    FIRST_BOX,
    FIRST_HUNTER,
    FIRST_PORTAL,
    FREQUENT,
    HEIGHT,
    HULL,
    HUNTER,
    LONG_AGO,
    NOTHING,
    OBJECTS,
    OUTSIDE,
    PORTAL_RADIUS,
    PORTALS,
    RADIUS,
    REACH,
    RUNNING,
    SAFE,
    SCREEN_X,
    SCREEN_Y,
    SECOND,
    SHIELD,
    STEP,
    WIDTH,
)
from velodrome.games.kernel import below, draw, rule, uniform

MARGIN = 150.0
"""How far from the edges boxes and enemies appear."""
APART, OUT_OF_SIGHT = 900.0, 1300.0
"""How far from the ship enemies are at first, and how far from it others take the place of those that are gone."""
OPEN = 700.0
"""How far from portals a ship begins."""
QUADRANTS = np.array([0, 3, 1, 2])
"""In which part of the map the portals are, one after the other; the first two lie across from each other."""
TRIES = 20
SLACK = 20.0
"""How far beside an object a click still means it."""
COLLECTS, ARRIVES = 30.0, 60.0
"""How near a box a ship takes it, and how near a portal it can jump."""
JUMP = 195
"""Frames that a ship waits at a portal before it jumps."""
LOSES_LOCK = 1200.0
MISSES = 0.1
LEAST_HIT, MORE_HIT = 0.75, 0.5
"""A volley that does not miss does from the first to the sum of both times its damage."""
TO_SHIELD = 0.8
"""The part of a hit that goes to the shield while it lasts."""
NO_HULL = 1e-6
CALM = 10 * SECOND
"""Frames without fighting after which shields grow again and the hull is mended."""
SHIELD_A_SECOND, HULL_A_SECOND = 0.1, 0.01
RADIATION = 2000.0
"""The damage of a second outside the map."""
COMES_AFTER = 10 * SECOND
REMEMBERED = 60
"""Frames for which it is known where something was that is no longer seen."""

PER_DEALT, PER_TAKEN = 1 / 1000, 2 / 1000
PER_BOX, PER_DEATH = 1.0, 10.0
PER_KILL, LEAST_CREDITS = 0.5, 200.0
"""A kill earns the first times the logarithm to base two of how many times the least its credits are."""


# -- chance and distance ----------------------------------------------------------------------------------------------


@rule
def between(state, low, high):  # type: ignore[no-untyped-def]
    """A number from `low` to below `high`."""
    state, bits = draw(state)
    return state, low + (high - low) * uniform(bits)


@rule
def away(game, x, y):  # type: ignore[no-untyped-def]
    """How far a point is from the ship."""
    return math.hypot(x - game.ship_x, y - game.ship_y)


@rule
def far_off(game, state, apart):  # type: ignore[no-untyped-def]
    """A place on the map that far from the ship, if one is soon found."""
    x, y = 0.0, 0.0
    for _ in range(TRIES):
        state, x = between(state, MARGIN, WIDTH - MARGIN)
        state, y = between(state, MARGIN, HEIGHT - MARGIN)
        if away(game, x, y) >= apart:
            break
    return state, x, y


@rule
def in_safety(game, x, y):  # type: ignore[no-untyped-def]
    """Whether a point is in a safe zone."""
    for i in range(FIRST_PORTAL, OBJECTS):
        dx, dy = x - game.x[i], y - game.y[i]
        if game.there[i] and dx * dx + dy * dy <= SAFE * SAFE:
            return True
    return False


# -- the start --------------------------------------------------------------------------------------------------------


@rule
def place_portals(game):  # type: ignore[no-untyped-def]
    """Two to four, each in a part of the map of its own."""
    game.starts, bits = draw(game.starts)
    portals = FEWEST_PORTALS + below(bits, PORTALS - FEWEST_PORTALS + 1)
    game.starts, bits = draw(game.starts)
    turn = below(bits, 4)
    for k in range(portals):
        i, part = FIRST_PORTAL + k, QUADRANTS[k] ^ turn
        game.starts, game.x[i] = between(game.starts, 0.15, 0.85)
        game.starts, game.y[i] = between(game.starts, 0.15, 0.85)
        game.x[i] = (game.x[i] + part % 2) * WIDTH / 2
        game.y[i] = (game.y[i] + part // 2) * HEIGHT / 2
        game.there[i] = 1


@rule
def place_ship(game):  # type: ignore[no-untyped-def]
    """Whole, at rest, and in the open if that is soon found."""
    for _ in range(TRIES):
        game.starts, game.ship_x = between(game.starts, 2 * MARGIN, WIDTH - 2 * MARGIN)
        game.starts, game.ship_y = between(game.starts, 2 * MARGIN, HEIGHT - 2 * MARGIN)
        clear = True
        for i in range(FIRST_PORTAL, OBJECTS):
            clear &= game.there[i] == 0 or away(game, game.x[i], game.y[i]) >= OPEN
        if clear:
            break
    stop(game)
    game.hull = game.hull_before = HULL
    game.shield = game.shield_before = SHIELD
    game.locked = game.wanted = NOTHING
    game.ready = game.blast_ready = game.attacking = game.idle = game.charged = 0
    game.calm = game.unhurt = CALM
    game.safe = in_safety(game, game.ship_x, game.ship_y)


@rule
def place_enemy(game, i, state, apart):  # type: ignore[no-untyped-def]
    """One more enemy, of any kind that it can be."""
    state, game.x[i], game.y[i] = far_off(game, state, apart)
    state, chance = between(state, 0.0, 1.0)
    state, temper = between(state, 0.0, 1.0)
    kind = 0
    while chance >= FREQUENT[kind]:
        kind += 1
    if i >= FIRST_HUNTER:
        kind, temper = HUNTER, 0.0
    game.kind[i], game.aggressive[i] = kind, temper < AGGRESSIVE
    game.enemy_hull[i], game.enemy_shield[i] = ENEMY_HULL[kind], ENEMY_SHIELD[kind]
    game.vx[i] = game.vy[i] = 0.0
    game.enemy_left[i] = game.chasing[i] = 0
    game.enemy_ready[i], game.enemy_hit[i], game.last[i] = game.time, LONG_AGO, LONG_AGO
    game.there[i] = 1
    return state


@rule
def place_enemies(game):  # type: ignore[no-untyped-def]
    """Ten to eighteen, and up to two hunters."""
    game.starts, bits = draw(game.starts)
    enemies = FEWEST_ENEMIES + below(bits, FIRST_HUNTER - FEWEST_ENEMIES + 1)
    game.starts, bits = draw(game.starts)
    hunters = below(bits, ENEMIES - FIRST_HUNTER + 1)
    for i in range(ENEMIES):
        game.comes[i] = np.int32(2**31 - 1)
        if i < enemies or FIRST_HUNTER <= i < FIRST_HUNTER + hunters:
            game.starts = place_enemy(game, i, game.starts, APART)


@rule
def place_boxes(game):  # type: ignore[no-untyped-def]
    """Ten to sixteen."""
    game.starts, bits = draw(game.starts)
    boxes = FEWEST_BOXES + below(bits, BOXES - FEWEST_BOXES + 1)
    for i in range(FIRST_BOX, FIRST_BOX + boxes):
        game.starts, game.x[i], game.y[i] = far_off(game, game.starts, 0.0)
        game.there[i] = 1


@rule
def begin(game):  # type: ignore[no-untyped-def]
    """Everything in its place for the next game."""
    game.time = game.kills = game.boxes = 0
    game.earned = game.returned = 0.0
    game.over = RUNNING
    for i in range(OBJECTS):
        game.there[i] = 0
        game.x[i] = game.y[i] = game.vx[i] = game.vy[i] = 0.0
        game.last[i], game.hits[i] = LONG_AGO, 0
    game.visits[:] = 0
    game.cell = NOTHING
    place_portals(game)
    place_ship(game)
    place_enemies(game)
    place_boxes(game)
    visit(game)
    watch(game)


# -- what is seen -----------------------------------------------------------------------------------------------------


@rule
def on_screen(game, i):  # type: ignore[no-untyped-def]
    """Whether an object is where the screen shows it."""
    return abs(game.x[i] - game.ship_x) <= SCREEN_X / 2 and abs(game.y[i] - game.ship_y) <= SCREEN_Y / 2


@rule
def in_view(game, i):  # type: ignore[no-untyped-def]
    """Whether an object is seen in this frame."""
    return game.last[i] == game.time


@rule
def watch(game):  # type: ignore[no-untyped-def]
    """Take note of everything in view: what is on the screen, and portals wherever they are."""
    for i in range(OBJECTS):
        if game.there[i] and (i >= FIRST_PORTAL or on_screen(game, i)):
            if game.time - game.last[i] > REMEMBERED:
                game.first[i], game.hits[i] = game.time, 0
            game.last[i] = game.time
            game.hits[i] += 1
            game.seen_x[i], game.seen_y[i] = game.x[i], game.y[i]


@rule
def cell_of(x, y):  # type: ignore[no-untyped-def]
    """The cell of the map that holds a point, or that is next to one outside."""
    column = min(max(int(x / WIDTH * ACROSS), 0), ACROSS - 1)
    row = min(max(int(y / HEIGHT * DOWN), 0), DOWN - 1)
    return row * ACROSS + column


@rule
def visit(game):  # type: ignore[no-untyped-def]
    """Count the visit if the ship has come to another cell."""
    cell = cell_of(game.ship_x, game.ship_y)
    if cell != game.cell:
        game.cell = cell
        game.visits[cell] += 1


# -- the ship ---------------------------------------------------------------------------------------------------------


@rule
def stop(game):  # type: ignore[no-untyped-def]
    """Stay here."""
    game.to_x, game.to_y = game.ship_x, game.ship_y
    game.ship_vx = game.ship_vy = 0.0
    game.left = 0


@rule
def set_course(game, x, y):  # type: ignore[no-untyped-def]
    """Go straight to a point."""
    game.to_x = min(max(x, -OUTSIDE), WIDTH + OUTSIDE)
    game.to_y = min(max(y, -OUTSIDE), HEIGHT + OUTSIDE)
    far = away(game, game.to_x, game.to_y)
    if far == 0:
        stop(game)
        return
    game.left = math.ceil(far / STEP)
    game.ship_vx, game.ship_vy = (game.to_x - game.ship_x) * STEP / far, (game.to_y - game.ship_y) * STEP / far


@rule
def radius_of(game, i):  # type: ignore[no-untyped-def]
    """How large an object is."""
    if i < ENEMIES:
        return RADIUS[game.kind[i]]
    return BOX_RADIUS if i < FIRST_PORTAL else PORTAL_RADIUS


@rule
def object_at(game, x, y):  # type: ignore[no-untyped-def]
    """The object that a click at a point means: the nearest of those that it hits."""
    best, nearest = NOTHING, 1e18
    for i in range(OBJECTS):
        dx, dy = x - game.x[i], y - game.y[i]
        apart, reach = dx * dx + dy * dy, radius_of(game, i) + SLACK
        if game.there[i] and apart <= reach * reach and apart < nearest:
            best, nearest = i, apart
    return best


@rule
def click(game, x, y):  # type: ignore[no-untyped-def]
    """Lock an enemy, or go: to a box and take it, to a portal and jump, or just there."""
    i = object_at(game, x, y)
    if 0 <= i < ENEMIES:
        game.locked = i
        return
    game.wanted, game.charged = i, 0
    if i == NOTHING:
        set_course(game, x, y)
    else:
        set_course(game, game.x[i], game.y[i])


@rule
def move(game):  # type: ignore[no-untyped-def]
    """Move the ship by a frame."""
    game.idle += 1
    if game.left == 0:
        return
    game.idle = 0
    game.left -= 1
    if game.left > 0:
        game.ship_x, game.ship_y = game.ship_x + game.ship_vx, game.ship_y + game.ship_vy
    else:
        game.ship_x, game.ship_y = game.to_x, game.to_y
        stop(game)


@rule
def collect(game):  # type: ignore[no-untyped-def]
    """Take the box that the ship has come for; the next appears somewhere else."""
    i = game.wanted
    if FIRST_BOX <= i < FIRST_PORTAL and away(game, game.x[i], game.y[i]) <= COLLECTS:
        game.boxes += 1
        game.earned += PER_BOX
        game.wanted, game.last[i] = NOTHING, LONG_AGO
        game.luck, game.x[i], game.y[i] = far_off(game, game.luck, OUT_OF_SIGHT)


@rule
def jump(game):  # type: ignore[no-untyped-def]
    """Wait at the portal that the ship has come to, then be at the next."""
    i = game.wanted
    if i < FIRST_PORTAL or away(game, game.x[i], game.y[i]) > ARRIVES:
        game.charged = 0
        return
    game.charged += 1
    if game.charged >= JUMP:
        to = i + 1 if i + 1 < OBJECTS and game.there[i + 1] else FIRST_PORTAL
        game.ship_x, game.ship_y = game.x[to], game.y[to]
        game.wanted, game.locked, game.charged = NOTHING, NOTHING, 0
        stop(game)


# -- fighting ---------------------------------------------------------------------------------------------------------


@rule
def volley(game, damage):  # type: ignore[no-untyped-def]
    """What a volley does, if it does not miss."""
    game.luck, chance = between(game.luck, 0.0, 1.0)
    game.luck, times = between(game.luck, LEAST_HIT, LEAST_HIT + MORE_HIT)
    return 0.0 if chance < MISSES else damage * times


@rule
def hurt(game, damage):  # type: ignore[no-untyped-def]
    """Damage to the ship; without a hull the game is over."""
    damage = min(damage, game.hull + game.shield)
    held = min(game.shield, TO_SHIELD * damage)
    game.shield -= held
    game.hull -= damage - held
    game.earned -= PER_TAKEN * damage
    game.calm = game.unhurt = 0
    if game.hull < NO_HULL:
        game.hull = 0.0
        game.earned -= PER_DEATH
        game.over = ENDED


@rule
def strike(game, i, damage):  # type: ignore[no-untyped-def]
    """Damage to an enemy, which from now on chases the ship, or is gone."""
    damage = min(damage, game.enemy_hull[i] + game.enemy_shield[i])
    held = min(game.enemy_shield[i], TO_SHIELD * damage)
    game.enemy_shield[i] -= held
    game.enemy_hull[i] -= damage - held
    game.earned += PER_DEALT * damage
    game.enemy_hit[i], game.chasing[i] = game.time, 1
    if game.enemy_hull[i] < NO_HULL:
        game.earned += PER_KILL * math.log2(CREDITS[game.kind[i]] / LEAST_CREDITS)
        game.kills += 1
        game.there[i] = game.chasing[i] = 0
        game.vx[i] = game.vy[i] = 0.0
        game.last[i], game.comes[i] = LONG_AGO, game.time + COMES_AFTER
        game.locked = NOTHING


@rule
def can_fire(game):  # type: ignore[no-untyped-def]
    """Whether the ship has locked an enemy that it reaches, outside safe zones."""
    i = game.locked
    return i != NOTHING and not game.safe and away(game, game.x[i], game.y[i]) <= REACH


@rule
def fire(game):  # type: ignore[no-untyped-def]
    """A volley at the locked enemy, if it is time for the next."""
    if game.locked != NOTHING and away(game, game.x[game.locked], game.y[game.locked]) > LOSES_LOCK:
        game.locked = NOTHING
    if not can_fire(game):
        game.attacking = 0
        return
    game.attacking += 1
    game.calm = 0
    if game.ready <= game.time:
        game.ready = game.time + SECOND
        strike(game, game.locked, volley(game, DAMAGE))


@rule
def blast(game):  # type: ignore[no-untyped-def]
    """Use the ability on the locked enemy, if that can be done."""
    if game.blast_ready <= game.time and can_fire(game):
        game.blast_ready = game.time + BLAST_WAITS
        game.calm = 0
        strike(game, game.locked, volley(game, BLAST))


@rule
def mend(game):  # type: ignore[no-untyped-def]
    """In calm, the shield grows with every frame and the hull is mended once a second."""
    game.calm += 1
    game.unhurt += 1
    if game.calm > CALM:
        game.shield = min(game.shield + SHIELD * SHIELD_A_SECOND / SECOND, SHIELD)
        if game.calm % SECOND == 0:
            game.hull = min(game.hull + HULL * HULL_A_SECOND, HULL)


@rule
def radiate(game):  # type: ignore[no-untyped-def]
    """Damage outside the map."""
    if not (0 <= game.ship_x <= WIDTH and 0 <= game.ship_y <= HEIGHT):
        hurt(game, RADIATION / SECOND)


@rule
def ship_frame(game):  # type: ignore[no-untyped-def]
    """A frame of the ship."""
    move(game)
    collect(game)
    jump(game)
    visit(game)
    game.safe = in_safety(game, game.ship_x, game.ship_y)
    mend(game)
    fire(game)
    radiate(game)


@rule
def end_in_time(game, longest):  # type: ignore[no-untyped-def]
    """A game that has lasted long enough is cut off."""
    if game.over == RUNNING and game.time >= longest:
        game.over = CUT
