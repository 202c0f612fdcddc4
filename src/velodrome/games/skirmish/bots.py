"""Scripted players. Each decides for one agent, from all that there is on the map."""

from __future__ import annotations

from velodrome.games.kernel import below, draw, kernel, rule
from velodrome.games.skirmish.fight import alive, can_target, distance
from velodrome.games.skirmish.rules import (
    FIRST_TARGET,
    MOVE_X,
    MOVE_Y,
    NORTH,
    NOTHING,
    RUNNING,
    STOP,
    WEST,
    can_move,
    legal,
    may_target,
    target_of,
    vigour,
)
from velodrome.games.skirmish.units import HEAL

RANDOM, STAND, NEAREST, KITE, FOCUS = range(5)
BOTS = ("random", "stand", "nearest", "kite", "focus")
BUSY = 4.0
"""Loops until a weapon is ready from which on it pays to step back."""
TOO_CLOSE = 1.5
"""Cells that whoever steps back keeps between the reach of others and itself."""


@rule
def random_action(game, world, agent):  # type: ignore[no-untyped-def]
    """Any legal action."""
    n = 0
    for action in range(FIRST_TARGET + world.enemies):
        n += legal(game, world, agent, action)
    game.luck, bits = draw(game.luck)
    left = below(bits, n)
    for action in range(FIRST_TARGET + world.enemies):
        if legal(game, world, agent, action):
            if left == 0:
                return action
            left -= 1
    return NOTHING


@rule
def towards(game, world, agent, u, sign):  # type: ignore[no-untyped-def]
    """The move that brings an agent nearest to a unit or, with the sign -1, farthest from it; to stop if none does."""
    best, gain = STOP, 0.0
    for action in range(NORTH, WEST + 1):
        if can_move(game, world, agent, action):
            along = MOVE_X[action] * (game.x[u] - game.x[agent]) + MOVE_Y[action] * (game.y[u] - game.y[agent])
            if sign * along > gain:
                best, gain = action, sign * along
    return best


@rule
def nearest_enemy(game, world, agent):  # type: ignore[no-untyped-def]
    """The living enemy that is nearest; -1 if there is none."""
    best, nearest = -1, 1e9
    for u in range(world.allies, world.allies + world.enemies):
        if alive(game, u) and distance(game, agent, u) < nearest:
            best, nearest = u, distance(game, agent, u)
    return best


@rule
def tend(game, world, agent):  # type: ignore[no-untyped-def]
    """A healer sees to the living that has lost most of its health, and keeps near."""
    best, worst = -1, 2.0
    for u in range(world.allies):
        left = game.health[u] / world.health[u]
        if alive(game, u) and can_target(world, agent, u) and left < worst:
            best, worst = u, left
    if best < 0:
        return STOP
    if legal(game, world, agent, FIRST_TARGET + best):
        return FIRST_TARGET + best
    return towards(game, world, agent, best, 1)


@rule
def attack(game, world, agent, weakest):  # type: ignore[no-untyped-def]
    """The enemy in range with least left, or the nearest one; without one in range, the way there."""
    best, least = -1, 1e9
    for action in range(FIRST_TARGET, FIRST_TARGET + world.enemies):
        if may_target(game, world, agent, action):
            u = target_of(world, agent, action)
            if can_target(world, agent, u):
                cost = vigour(game, u) if weakest else distance(game, agent, u)
                if cost < least:
                    best, least = action, cost
    if best >= 0:
        return best
    u = nearest_enemy(game, world, agent)
    return towards(game, world, agent, u, 1) if u >= 0 else STOP


@rule
def step_back(game, world, agent):  # type: ignore[no-untyped-def]
    """The move away from the nearest enemy while the weapon is not ready and the enemy is close; STOP if there is no
    need of it, or no way."""
    u = nearest_enemy(game, world, agent)
    if u < 0 or game.cooldown[agent] < BUSY or world.reach[u] >= world.reach[agent]:
        return STOP
    room = distance(game, agent, u) - world.radius[agent] - world.radius[u]
    if room > min(world.reach[u] + TOO_CLOSE, world.reach[agent]):
        return STOP
    return towards(game, world, agent, u, -1)


@rule
def advice(game, world, bot, agent):  # type: ignore[no-untyped-def]
    """The action that a bot would take."""
    if not alive(game, agent):
        return NOTHING
    if bot == RANDOM:
        return random_action(game, world, agent)
    if bot == STAND:
        return STOP
    if world.way[agent] == HEAL:
        return tend(game, world, agent)
    if bot == KITE:
        action = step_back(game, world, agent)
        if action != STOP:
            return action
    return attack(game, world, agent, bot != NEAREST)


@kernel
def advise(bot, games, lo, hi, world, actions):  # type: ignore[no-untyped-def]
    """Write the actions that a bot would take in every battle that goes on."""
    for i in range(lo, hi):
        for agent in range(world.allies):
            actions[i, agent] = advice(games[i], world, bot, agent) if games[i].over == RUNNING else NOTHING
