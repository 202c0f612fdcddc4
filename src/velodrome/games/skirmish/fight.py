"""One game loop, a sixteenth of a second: units choose, walk, and strike, all at once.

What everyone does follows from how things stood when the loop began; nobody gains from having a lower number.
"""

from __future__ import annotations

import math

from velodrome.games.kernel import below, draw, rule
from velodrome.games.skirmish.maps import SIDE
from velodrome.games.skirmish.units import (
    BIOLOGICAL,
    BURST,
    BURST_RADIUS,
    ENERGY_MOST,
    ENERGY_PER_HEALTH,
    ENERGY_PER_LOOP,
    HEAL,
    HEAL_PER_LOOP,
    LANCE,
    LANCE_DEPTH,
    LANCE_HALF,
    LEAST_DAMAGE,
    SHIELD_PER_LOOP,
    SHIELD_WAITS,
)

HOLD, MOVE, TARGET, MARCH = range(4)
"""Orders: stand; walk to a point; walk up to a target and act on it; march to the goal and attack whom one meets."""
FOLLOW = 1.0
"""How close a healer that is not needed keeps to the nearest of its own."""
ARRIVED = 2.0
"""How close to the goal the march is over."""
GONE, STANDS, WALKS, STRIKES = range(4)
"""What a unit does in a loop."""


# -- what is where ----------------------------------------------------------------------------------------------------


@rule
def alive(game, u):  # type: ignore[no-untyped-def]
    """Whether a unit lives."""
    return game.health[u] > 0


@rule
def is_free(world, x, y):  # type: ignore[no-untyped-def]
    """Whether one can stand there."""
    return x >= 0 and y >= 0 and x < SIDE and y < SIDE and world.free[int(y), int(x)] != 0


@rule
def can_target(world, u, v):  # type: ignore[no-untyped-def]
    """Whether a unit's weapon, or its healing, is for units like another."""
    if world.way[u] == HEAL:
        return world.flies[v] == 0 and world.attributes[v] & BIOLOGICAL != 0
    return world.hits_air[u] != 0 or world.flies[v] == 0


@rule
def distance(game, u, v):  # type: ignore[no-untyped-def]
    """From centre to centre."""
    return math.sqrt((game.x[u] - game.x[v]) ** 2 + (game.y[u] - game.y[v]) ** 2)


@rule
def is_within(game, u, x, y, away):  # type: ignore[no-untyped-def]
    """Whether a unit is that near to a point."""
    dx, dy = game.x[u] - x, game.y[u] - y
    return dx * dx + dy * dy <= away * away


@rule
def in_reach(game, world, u, v):  # type: ignore[no-untyped-def]
    """Whether a unit can act on another from where it stands."""
    return is_within(game, u, game.x[v], game.y[v], world.reach[u] + world.radius[u] + world.radius[v])


@rule
def side_of(world, allied):  # type: ignore[no-untyped-def]
    """The units from..to of a side."""
    if allied:
        return 0, world.allies
    return world.allies, world.allies + world.enemies


# -- choosing ---------------------------------------------------------------------------------------------------------


@rule
def choose_target(game, world, u):  # type: ignore[no-untyped-def]
    """Whom a marching unit attacks: the same as before while that is in reach, else the nearest that it sees or that
    has hit it, those that can fight before those that cannot. -1 for nobody."""
    held = game.target[u]
    if held >= 0 and alive(game, held) and in_reach(game, world, u, held):
        return held
    lo, hi = side_of(world, u >= world.allies)
    sees, best, nearest = world.scan[u] + world.radius[u], -1, 1e9
    for v in range(lo, hi):
        if alive(game, v) and can_target(world, u, v):
            away = distance(game, u, v) - world.radius[v]
            if away <= sees or world.hunts or game.hit_by[u] == v:
                if world.way[v] == HEAL:
                    away += SIDE
                if away < nearest:
                    best, nearest = v, away
    return best


@rule
def choose_patient(game, world, u):  # type: ignore[no-untyped-def]
    """Whom a marching healer sees to: the nearest of its own that is hurt, else the nearest to stay with."""
    lo, hi = side_of(world, u < world.allies)
    best, nearest = -1, 1e9
    for v in range(lo, hi):
        if alive(game, v) and can_target(world, u, v):
            away = distance(game, u, v)
            if game.health[v] >= world.health[v] or game.energy[u] < ENERGY_PER_HEALTH * HEAL_PER_LOOP:
                away += SIDE * 2.0
            if away < nearest:
                best, nearest = v, away
    return best


@rule
def choose(game, world, u):  # type: ignore[no-untyped-def]
    """Settle what a unit is after in this loop, as far as that is its own choice."""
    if game.order[u] == MARCH:
        game.target[u] = choose_patient(game, world, u) if world.way[u] == HEAL else choose_target(game, world, u)
    elif game.order[u] == TARGET and not alive(game, game.target[u]):
        game.order[u] = HOLD
        game.target[u] = -1


# -- walking ----------------------------------------------------------------------------------------------------------


@rule
def sees_way(world, x, y, to_x, to_y):  # type: ignore[no-untyped-def]
    """Whether the straight way between two points stays on the ground."""
    steps = int(2 * max(abs(to_x - x), abs(to_y - y))) + 1
    for n in range(1, steps):  # noqa: SIM110 compiled
        if not is_free(world, x + (to_x - x) * n / steps, y + (to_y - y) * n / steps):
            return False
    return True


@rule
def next_stop(world, x, y, to_x, to_y):  # type: ignore[no-untyped-def]
    """Where to walk straight to in order to get to a point: the point itself, or the next cell on the way there."""
    if not world.cornered or sees_way(world, x, y, to_x, to_y):
        return to_x, to_y
    step = world.ways[int(y) * SIDE + int(x), int(to_y) * SIDE + int(to_x)]
    if step < 0:
        return to_x, to_y
    return step % SIDE + 0.5, step // SIDE + 0.5


@rule
def plan_walk(game, world, u, to_x, to_y, places):  # type: ignore[no-untyped-def]
    """Note where one loop's walk towards a point leads."""
    x, y = game.x[u], game.y[u]
    if not world.flies[u]:
        to_x, to_y = next_stop(world, x, y, to_x, to_y)
    dx, dy = to_x - x, to_y - y
    away = math.sqrt(dx * dx + dy * dy)
    share = min(world.speed[u] / max(away, 1e-9), 1.0)
    places[0, u] = x + share * dx
    places[1, u] = y + share * dy


@rule
def go_to(game, world, u, x, y):  # type: ignore[no-untyped-def]
    """Stand there or, at the edge of the ground, as near as it allows."""
    if world.flies[u]:
        game.x[u] = min(max(x, 0.0), SIDE - 0.01)
        game.y[u] = min(max(y, 0.0), SIDE - 0.01)
    elif is_free(world, x, y):
        game.x[u], game.y[u] = x, y
    elif is_free(world, x, game.y[u]):
        game.x[u] = x
    elif is_free(world, game.x[u], y):
        game.y[u] = y


@rule
def plan(game, world, u, places):  # type: ignore[no-untyped-def]
    """What a unit does in this loop: STANDS, WALKS, then its place is noted, or STRIKES."""
    order, target = game.order[u], game.target[u]
    if order == HOLD:
        return STANDS
    if order == MOVE:
        if is_within(game, u, game.to_x[u], game.to_y[u], 1e-6):
            return STANDS
        plan_walk(game, world, u, game.to_x[u], game.to_y[u], places)
        return WALKS
    if target >= 0:
        follows = order == MARCH and world.way[u] == HEAL and game.health[target] >= world.health[target]
        if follows and is_within(game, u, game.x[target], game.y[target], FOLLOW):
            return STANDS
        if in_reach(game, world, u, target) and not follows:
            return STRIKES
        plan_walk(game, world, u, game.x[target], game.y[target], places)
        return WALKS
    if is_within(game, u, world.goal_x, world.goal_y, ARRIVED):
        return STANDS
    plan_walk(game, world, u, world.goal_x, world.goal_y, places)
    return WALKS


@rule
def make_room(game, world, does, places):  # type: ignore[no-untyped-def]
    """Units on the ground keep their bodies apart: who walks gives way to who stands, two of a kind share it."""
    units = world.allies + world.enemies
    pushed = False
    for u in range(units):
        places[0, u] = 0.0
        places[1, u] = 0.0
    for u in range(units):
        if not alive(game, u) or world.flies[u]:
            continue
        x, y, body, walks = game.x[u], game.y[u], world.body[u], does[u] == WALKS
        for v in range(u + 1, units):
            dx, dy, apart = x - game.x[v], y - game.y[v], body + world.body[v]
            square = dx * dx + dy * dy
            if square >= apart * apart or not alive(game, v) or world.flies[v]:
                continue
            away = math.sqrt(square)
            if away > 0:
                dx, dy = dx / away, dy / away
            else:
                dx, dy = 1.0, 0.0
            share = 0.5
            if walks != (does[v] == WALKS):
                share = 1.0 if walks else 0.0
            deep = apart - away
            places[0, u] += share * deep * dx
            places[1, u] += share * deep * dy
            places[0, v] -= (1 - share) * deep * dx
            places[1, v] -= (1 - share) * deep * dy
            pushed = True
    if pushed:
        for u in range(units):
            if places[0, u] != 0 or places[1, u] != 0:
                go_to(game, world, u, game.x[u] + places[0, u], game.y[u] + places[1, u])


# -- striking ---------------------------------------------------------------------------------------------------------


@rule
def hit(game, world, u, v, damage):  # type: ignore[no-untyped-def]
    """One hit of a unit on another: the shield takes what it can, armour is in the way of the rest."""
    if not alive(game, v):
        return
    if world.attributes[v] & world.bonus_to[u] != 0:
        damage += world.bonus[u]
    taken = min(game.shield[v], damage)
    game.shield[v] -= taken
    if damage > taken:
        game.health[v] = max(game.health[v] - max(damage - taken - world.armour[v], LEAST_DAMAGE), 0.0)
        if game.health[v] == 0:
            game.shield[v] = 0.0
    game.calm[v] = 0
    game.hit_by[v] = u


@rule
def burst(game, world, u):  # type: ignore[no-untyped-def]
    """A dying unit of that kind does damage to all of the other side around it."""
    lo, hi = side_of(world, u >= world.allies)
    for v in range(lo, hi):
        if not world.flies[v] and is_within(game, u, game.x[v], game.y[v], BURST_RADIUS + world.radius[v]):
            hit(game, world, u, v, world.damage[u])


@rule
def lance(game, world, u, target):  # type: ignore[no-untyped-def]
    """Hit the target and whoever of its side stands beside it across the line of fire."""
    dx, dy = game.x[target] - game.x[u], game.y[target] - game.y[u]
    away = max(math.sqrt(dx * dx + dy * dy), 1e-9)
    dx, dy = dx / away, dy / away
    lo, hi = side_of(world, u >= world.allies)
    for v in range(lo, hi):
        from_x, from_y = game.x[v] - game.x[target], game.y[v] - game.y[target]
        along, across = abs(from_x * dx + from_y * dy), abs(from_x * dy - from_y * dx)
        in_line = along <= LANCE_DEPTH + world.radius[v] and across <= LANCE_HALF
        if v == target or (in_line and not world.flies[v]):
            for _ in range(world.hits[u]):
                hit(game, world, u, v, world.damage[u])


@rule
def heal(game, world, u, target):  # type: ignore[no-untyped-def]
    """Mend a living unit for a loop, as far as it is hurt and there is energy."""
    if alive(game, target):
        given = min(HEAL_PER_LOOP, world.health[target] - game.health[target], game.energy[u] / ENERGY_PER_HEALTH)
        game.health[target] += given
        game.energy[u] -= given * ENERGY_PER_HEALTH


@rule
def strike(game, world, u):  # type: ignore[no-untyped-def]
    """Attack the target, which may have died in this very loop."""
    target = game.target[u]
    if world.way[u] == BURST:
        game.health[u] = 0.0
    elif world.way[u] == LANCE:
        lance(game, world, u, target)
    else:
        for _ in range(world.hits[u]):
            hit(game, world, u, target, world.damage[u])
    game.cooldown[u] += world.period[u]
    if world.jitter and world.period[u] > 0:
        game.luck, bits = draw(game.luck)
        game.cooldown[u] += below(bits, 4) - 1


@rule
def bury(game, world, does):  # type: ignore[no-untyped-def]
    """Let those that died in this loop burst if they are of that kind, and those that die of it, too."""
    again = True
    while again:
        again = False
        for u in range(world.allies + world.enemies):
            if does[u] != GONE and not alive(game, u):
                does[u] = GONE
                if world.way[u] == BURST:
                    burst(game, world, u)
                    again = True


@rule
def recover(game, world, u):  # type: ignore[no-untyped-def]
    """What time mends."""
    if game.cooldown[u] > 0:
        game.cooldown[u] -= 1.0
    game.calm[u] += 1
    if game.calm[u] > SHIELD_WAITS:
        game.shield[u] = min(game.shield[u] + SHIELD_PER_LOOP, world.shield[u])
    if world.mends[u] > 0:
        game.health[u] = min(game.health[u] + world.mends[u], world.health[u])
    if world.way[u] == HEAL:
        game.energy[u] = min(game.energy[u] + ENERGY_PER_LOOP, ENERGY_MOST)


@rule
def game_loop(game, world, does, places):  # type: ignore[no-untyped-def]
    """Play one loop. The last two are room to work in: what each unit does, and where it goes."""
    units = world.allies + world.enemies
    for u in range(units):
        if alive(game, u):
            choose(game, world, u)
    some_walk = False
    for u in range(units):
        does[u] = plan(game, world, u, places) if alive(game, u) else GONE
        some_walk |= does[u] == WALKS
    if some_walk:
        for u in range(units):
            if does[u] == WALKS:
                go_to(game, world, u, places[0, u], places[1, u])
        make_room(game, world, does, places)
    for u in range(units):
        if does[u] == STRIKES and world.way[u] != HEAL and game.cooldown[u] <= 0:
            strike(game, world, u)
    bury(game, world, does)
    for u in range(units):
        if does[u] == STRIKES and world.way[u] == HEAL:
            heal(game, world, u, game.target[u])
    for u in range(units):
        if does[u] != GONE:
            recover(game, world, u)
