"""The rules of Skirmish, on one game's record: what may be ordered, what a step brings, how a battle ends.

Units are numbered, allies first. Orders stand for a step of eight game loops, which `fight` plays.
"""

from __future__ import annotations

import numpy as np

from velodrome.games.kernel import below, draw, rule, uniform
from velodrome.games.skirmish.fight import HOLD, MARCH, MOVE, TARGET, alive, can_target, distance, game_loop, is_free
from velodrome.games.skirmish.maps import KILL, MOST_ALLIES, MOST_UNITS, SIDE, VICTORY
from velodrome.games.skirmish.units import ENERGY_AT_FIRST, HEAL, SHIELD_WAITS

NOTHING, STOP, NORTH, SOUTH, EAST, WEST, FIRST_TARGET = range(7)
"""The actions; each from `FIRST_TARGET` on is an enemy to attack, or for a healer an ally to heal."""
MOVE_X = np.array([0, 0, 0, 0, 1, -1])
MOVE_Y = np.array([0, 0, 1, -1, 0, 0])
MOVED = 2.0
"""Cells that an order to move is for."""
SIGHT, SHOOT = 9.0, 6.0
"""Who is nearer than the first is seen; who is not farther than the second can be made a target."""
LOOPS = 8
RUNNING, WON, LOST, DRAWN, CUT = range(5)
SCATTER = 0.1
"""How far from their places units appear."""

RECORD = np.dtype(
    [
        # by unit
        ("x", np.float64, MOST_UNITS),
        ("y", np.float64, MOST_UNITS),
        ("health", np.float64, MOST_UNITS),
        ("shield", np.float64, MOST_UNITS),
        ("energy", np.float64, MOST_UNITS),
        ("cooldown", np.float64, MOST_UNITS),  # loops
        ("to_x", np.float64, MOST_UNITS),  # where a move leads
        ("to_y", np.float64, MOST_UNITS),
        ("calm", np.int32, MOST_UNITS),  # loops since the last damage
        ("order", np.int8, MOST_UNITS),
        ("target", np.int8, MOST_UNITS),  # -1 for nobody
        ("hit_by", np.int8, MOST_UNITS),  # who did the last damage; -1 for nobody
        ("last", np.int8, MOST_ALLIES),  # the actions of the last step; -1 before the first
        # the course of the battle
        ("time", np.int16),
        ("over", np.int8),
        ("earned", np.float64),  # the reward of the last step
        ("earned_so_far", np.float64),
        # random states
        ("starts", np.uint64),  # drawn on by places alone
        ("luck", np.uint64),  # drawn on by weapons and bots
    ],
    align=True,
)


# -- the start --------------------------------------------------------------------------------------------------------


@rule
def deploy(game, world):  # type: ignore[no-untyped-def]
    """Put every unit in its place for the next battle."""
    units = world.allies + world.enemies
    for u in range(units):
        game.x[u], game.y[u] = world.spawn_x[u], world.spawn_y[u]
    for u in range(units - 1, 0, -1):
        mates = 0
        for v in range(u + 1):
            mates += world.party[v] == world.party[u]
        game.starts, bits = draw(game.starts)
        wanted, other = below(bits, mates), u
        for v in range(u + 1):
            if world.party[v] == world.party[u]:
                if wanted == 0:
                    other = v
                wanted -= 1
        swap(game, u, other)
    for u in range(units):
        game.starts, one = draw(game.starts)
        game.starts, two = draw(game.starts)
        x = game.x[u] + SCATTER * (2 * uniform(one) - 1)
        y = game.y[u] + SCATTER * (2 * uniform(two) - 1)
        if is_free(world, x, y):
            game.x[u], game.y[u] = x, y
    order_agents(game, world)
    begin(game, world)


@rule
def swap(game, u, v):  # type: ignore[no-untyped-def]
    """Let two units change places."""
    x, y = game.x[u], game.y[u]
    game.x[u], game.y[u] = game.x[v], game.y[v]
    game.x[v], game.y[v] = x, y


@rule
def order_agents(game, world):  # type: ignore[no-untyped-def]
    """Number allies of one kind from west to east, as agents are."""
    for u in range(1, world.allies):
        v = u
        while v > 0 and world.type_bit[v - 1] == world.type_bit[v] and is_west(game, v, v - 1):
            swap(game, v, v - 1)
            v -= 1


@rule
def is_west(game, u, v):  # type: ignore[no-untyped-def]
    """Whether one unit stands west of another; of two on one line, south of it."""
    return game.x[u] < game.x[v] or (game.x[u] == game.x[v] and game.y[u] < game.y[v])


@rule
def begin(game, world):  # type: ignore[no-untyped-def]
    """Everyone is whole and has no orders but the enemy, which marches."""
    for u in range(world.allies + world.enemies):
        game.health[u] = world.health[u]
        game.shield[u] = world.shield[u]
        game.energy[u] = ENERGY_AT_FIRST if world.way[u] == HEAL else 0.0
        game.cooldown[u] = 0.0
        game.calm[u] = SHIELD_WAITS
        game.order[u] = HOLD if u < world.allies else MARCH
        game.target[u] = -1
        game.hit_by[u] = -1
        game.to_x[u] = game.x[u]
        game.to_y[u] = game.y[u]
    for agent in range(world.allies):
        game.last[agent] = -1
    game.time = 0
    game.over = RUNNING
    game.earned = game.earned_so_far = 0.0


# -- orders -----------------------------------------------------------------------------------------------------------


@rule
def can_move(game, world, agent, action):  # type: ignore[no-untyped-def]
    """Whether the ground goes on in that direction."""
    return is_free(world, game.x[agent] + MOVE_X[action], game.y[agent] + MOVE_Y[action])


@rule
def target_of(world, agent, action):  # type: ignore[no-untyped-def]
    """The unit that an action means; -1 if there is none."""
    number = action - FIRST_TARGET
    if world.way[agent] == HEAL:
        return number if number < world.allies else -1
    return world.allies + number


@rule
def may_target(game, world, agent, action):  # type: ignore[no-untyped-def]
    """Whether the target that an action means is there, and near enough."""
    target = target_of(world, agent, action)
    if target < 0 or not alive(game, target):
        return False
    if world.way[agent] == HEAL and world.way[target] == HEAL:
        return False
    return distance(game, agent, target) <= SHOOT


@rule
def legal(game, world, agent, action):  # type: ignore[no-untyped-def]
    """Whether an agent may do that now. The dead do nothing, the living something."""
    if action < 0 or action >= FIRST_TARGET + world.enemies:
        return False
    if not alive(game, agent):
        return action == NOTHING
    if action <= STOP:
        return action == STOP
    if action < FIRST_TARGET:
        return can_move(game, world, agent, action)
    return may_target(game, world, agent, action)


@rule
def give_order(game, world, agent, action):  # type: ignore[no-untyped-def]
    """Turn an action into an order; it stands until the next."""
    game.last[agent] = action
    game.target[agent] = -1
    if action <= STOP:
        game.order[agent] = HOLD
    elif action < FIRST_TARGET:
        game.order[agent] = MOVE
        game.to_x[agent] = min(max(game.x[agent] + MOVED * MOVE_X[action], 0.0), SIDE - 0.01)
        game.to_y[agent] = min(max(game.y[agent] + MOVED * MOVE_Y[action], 0.0), SIDE - 0.01)
    else:
        target = target_of(world, agent, action)
        game.order[agent] = TARGET if can_target(world, agent, target) else HOLD
        game.target[agent] = target


# -- a step -----------------------------------------------------------------------------------------------------------


@rule
def vigour(game, u):  # type: ignore[no-untyped-def]
    """What is left of a unit, shield included."""
    return game.health[u] + game.shield[u]


@rule
def play_step(game, world, before, does, places):  # type: ignore[no-untyped-def]
    """Let everyone follow their orders for a step; `earned` is then its reward. The last three are room to work in."""
    for u in range(world.allies, world.allies + world.enemies):
        before[u] = vigour(game, u)
    for _ in range(LOOPS):
        game_loop(game, world, does, places)
    game.time += 1
    points = 0.0
    for u in range(world.allies, world.allies + world.enemies):
        points += before[u] - vigour(game, u)
        if before[u] > 0 and not alive(game, u):
            points += KILL
    game.over = how_it_ended(game, world)
    # an enemy's shield that grows again counts, too: the published reward takes the amount without its sign
    points = abs(points)
    if game.over == WON:
        points += VICTORY
    game.earned = points / world.worth
    game.earned_so_far += np.float32(game.earned)  # as it is handed out


@rule
def fighters(game, world, lo, hi):  # type: ignore[no-untyped-def]
    """How many of these units live, healers apart."""
    n = 0
    for u in range(lo, hi):
        n += alive(game, u) and world.way[u] != HEAL
    return n


@rule
def how_it_ended(game, world):  # type: ignore[no-untyped-def]
    """Whether, and how. A side with nobody left but healers has lost; that of the allies, if both sides have."""
    units = world.allies + world.enemies
    ours = fighters(game, world, 0, world.allies)
    theirs = fighters(game, world, world.allies, units)
    if ours == 0:
        for u in range(units):
            if alive(game, u):
                return LOST
        return DRAWN
    if theirs == 0:
        return WON
    return CUT if game.time >= world.limit else RUNNING
