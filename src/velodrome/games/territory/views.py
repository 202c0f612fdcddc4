"""What the agent sees, what it may do, and what it earns."""

from __future__ import annotations

import math

import numpy as np

from velodrome.games.kernel import rule
from velodrome.games.territory.fight import IMMUNE
from velodrome.games.territory.world import (
    AGENT,
    LOST,
    NOBODY,
    RUNNING,
    WATER,
    WON,
    city_cost,
    count_around,
    growth_of,
    limit,
    neighbours,
    rank_of,
    share_of,
)

PIXELS, PLANES = 128, 5
GLOBALS = 16
DIRECTIONS, INTENSITIES = 8, (0.2, 0.35, 0.5, 0.75, 1.0)
WAIT = DIRECTIONS
ACTIONS = (DIRECTIONS + 1) * len(INTENSITIES) * 2
"""Where to, with what share of the troops, and whether to build a city."""
LEAST_TROOPS = 100.0
"""With fewer, none are sent."""
CELLS, FEATURES = 16, 8
"""Of the coarse map."""
SIGHTS = 10
"""What is told of the target in a direction."""

_X = np.array([0, 1, 1, 1, 0, -1, -1, -1])
_Y = np.array([-1, -1, 0, 1, 1, 1, 0, -1])


# -- whom a direction means -------------------------------------------------------------------------------------------


@rule
def middle(game, player):  # type: ignore[no-untyped-def]
    """The tile that a player's land has its middle in."""
    n = max(game.held[player], 1)
    return game.sum_x[player] // n, game.sum_y[player] // n


@rule
def target_of(game, board, direction):  # type: ignore[no-untyped-def]
    """Whose land comes first beyond the agent's in a direction, from the middle of it: -1 if there is none, and how
    many tiles away."""
    x, y = middle(game, AGENT)
    found, far, steps = np.int64(-1), 0, 0
    while 1 <= x <= game.size and 1 <= y <= game.size:
        tile = y * game.wide + x
        if board.owner[tile] == AGENT:
            found = np.int64(-1)
        elif found < 0 and board.terrain[tile] != WATER:
            found, far = np.int64(board.owner[tile]), steps
        x, y, steps = x + _X[direction], y + _Y[direction], steps + 1
    return found, far


@rule
def may_build(game):  # type: ignore[no-untyped-def]
    """Whether there is gold enough for a city. A place for it may yet be wanting: then no gold is spent."""
    return game.gold[AGENT] >= city_cost(game, AGENT)


@rule
def look_around(game, board, targets, legal):  # type: ignore[no-untyped-def]
    """Write the target in each direction, -1 for none that can be attacked, and the actions that are legal."""
    near, able = neighbours(game, board, AGENT), game.troops[AGENT] >= LEAST_TROOPS
    city = may_build(game)
    for direction in range(DIRECTIONS + 1):
        open_ = direction == WAIT
        if direction < DIRECTIONS:
            target, _ = target_of(game, board, direction)
            beside = target >= 0 and (near >> np.uint64(target)) & np.uint64(1) != 0
            allowed = beside and (target == NOBODY or game.now >= IMMUNE)
            targets[direction] = target if allowed else -1
            open_ = allowed and able
        for i in range(len(INTENSITIES)):
            at = 2 * (len(INTENSITIES) * direction + i)
            legal[at] = open_
            legal[at + 1] = open_ and city


# -- views ------------------------------------------------------------------------------------------------------------


@rule
def fullness(game, player):  # type: ignore[no-untyped-def]
    """A player's troops as a part of what its land feeds."""
    return min(game.troops[player] / limit(game, player), 1.0) if game.held[player] else 0.0


@rule
def draw_map(game, board, full, out):  # type: ignore[no-untyped-def]
    """The published map, filled by any board: own land, others', nobody's, own troops and others', each as a part of
    what the land feeds. `full` tells how full each player is."""
    times = PIXELS // game.size
    for y in range(game.size):
        for x in range(game.size):
            tile = (y + 1) * game.wide + x + 1
            owner, land = board.owner[tile], board.terrain[tile] != WATER
            own, other = owner == AGENT, owner > AGENT
            for v in range(y * times, (y + 1) * times):
                for u in range(x * times, (x + 1) * times):
                    out[v, u, 0] = own
                    out[v, u, 1] = other
                    out[v, u, 2] = land and owner == NOBODY
                    out[v, u, 3] = full[owner] if own else 0.0
                    out[v, u, 4] = full[owner] if other else 0.0


@rule
def draw_coarse(game, board, full, out):  # type: ignore[no-untyped-def]
    """The coarse map, a square of tiles a cell: the shares of own land, others', nobody's and water; own border;
    others' border with the agent; how full others are; and how many troops beside the agent's."""
    side = game.size // CELLS
    each, own_troops = 1.0 / (side * side), max(game.troops[AGENT], 1.0)
    for j in range(CELLS):
        for i in range(CELLS):
            cell = out[j, i]
            cell[:] = 0
            for v in range(side):
                for u in range(side):
                    tile = (j * side + v + 1) * game.wide + i * side + u + 1
                    owner = board.owner[tile]
                    if board.terrain[tile] == WATER:
                        cell[3] += each
                    elif owner == AGENT:
                        cell[0] += each
                        cell[4] += each * (board.foes[tile] != 0)
                    elif owner == NOBODY:
                        cell[2] += each
                    else:
                        cell[1] += each
                        if board.foes[tile] != 0 and count_around(board, game.wide, tile, AGENT):
                            cell[5] += each
                        cell[6] += each * full[owner]
                        cell[7] += each * (game.troops[owner] / (game.troops[owner] + own_troops))


@rule
def tell_targets(game, board, targets, full, out):  # type: ignore[no-untyped-def]
    """What lies in each direction: whether there is a target, whether it is nobody's, how far away it is; how full it
    is, its troops beside the agent's, its land beside the agent's; what the two have sent against each other, and
    what others have sent against it, as parts of the agent's troops."""
    own_troops, own_held = max(game.troops[AGENT], 1.0), max(game.held[AGENT], 1)
    for direction in range(DIRECTIONS):
        sights, target = out[direction], targets[direction]
        sights[:] = 0
        seen, far = target_of(game, board, direction)
        if seen < 0:
            continue
        sights[0] = target >= 0
        sights[1] = seen == NOBODY
        sights[2] = far / game.size
        if seen == NOBODY:
            sights[6] = clipped(board.sent[AGENT, NOBODY] / own_troops)
            continue
        sights[3] = full[seen]
        sights[4] = clipped(math.log(max(game.troops[seen], 1.0) / own_troops))
        sights[5] = clipped(math.log(max(game.held[seen], 1) / own_held))
        sights[6] = clipped(board.sent[AGENT, seen] / own_troops)
        sights[7] = clipped(board.sent[seen, AGENT] / own_troops)
        for other in range(AGENT + 1, game.players + 1):
            sights[8] += board.sent[other, seen] / own_troops
        sights[8] = clipped(sights[8])
        sights[9] = game.mild[seen]


@rule
def clipped(x):  # type: ignore[no-untyped-def]
    """Between -3 and 3."""
    return min(max(x, -3.0), 3.0)


@rule
def tell(game, board, longest, ticks, out):  # type: ignore[no-untyped-def]
    """The sixteen numbers."""
    most, troops, held = limit(game, AGENT), game.troops[AGENT], game.held[AGENT]
    out[:] = 0
    out[0] = min(troops / most, 1.0)
    out[1] = most / 1e5
    out[2] = game.shares[0] / max(share_of(game, AGENT), 1e-3)
    out[3] = share_of(game, AGENT)
    for i in range(10):
        out[4] += game.shares[i]
    out[5] = rank_of(game, AGENT) / 50
    out[6] = pressure(game, board) / game.size
    out[7] = game.cities[AGENT]
    out[8] = game.gold[AGENT] / 50_000
    out[9] = game.now / (longest * ticks)
    out[10] = min(game.now / 1000, 1.0)
    out[11] = nearest_large(game) / game.size
    out[12] = growth_of(troops, most, False) / 1000 if held else 0.0
    out[13] = incoming(game, board) / max(troops, 1.0)
    alive = 0
    for player in range(AGENT + 1, game.players + 1):
        alive += game.held[player] > 0
        out[15] = max(out[15], share_of(game, player))
    out[14] = alive / 10
    for i in range(GLOBALS):
        out[i] = min(max(out[i], -10.0), 10.0)


@rule
def pressure(game, board):  # type: ignore[no-untyped-def]
    """How often a tile of the agent's has another player's for a neighbour."""
    n, tile = 0, np.int64(game.first[AGENT])
    while tile >= 0:
        for step in (-1, 1, -game.wide, game.wide):
            n += board.owner[tile + step] > AGENT
        tile = np.int64(board.after[tile])
    return n


@rule
def nearest_large(game):  # type: ignore[no-untyped-def]
    """How far it is to the middle of the nearest player with half as much land or more; the board's size if none is."""
    best = float(game.size)
    x, y = middle(game, AGENT)
    for player in range(AGENT + 1, game.players + 1):
        if game.held[player] and 2 * game.held[player] >= game.held[AGENT]:
            u, v = middle(game, player)
            best = min(best, math.hypot(u - x, v - y))
    return best


@rule
def incoming(game, board):  # type: ignore[no-untyped-def]
    """Troops that others have sent against the agent."""
    total = 0.0
    for other in range(AGENT + 1, game.players + 1):
        total += board.sent[other, AGENT]
    return total


# -- rewards ----------------------------------------------------------------------------------------------------------


@rule
def plain_reward(game, gained):  # type: ignore[no-untyped-def]
    """The share of the land that was gained, and one more for a victory.

    All that is ever gained is less than one: who wins earns more than anyone who does not."""
    return gained + (1.0 if game.over == WON else 0.0)


@rule
def published_reward(game, gained, rank_before, lost, action, time):  # type: ignore[no-untyped-def]
    """The published sum of fifteen terms, after so many decisions. Some of it was told in words alone: a direction is
    kept if it is the one of the decision before, and nearly kept if it is next to that."""
    share, troops, rank = share_of(game, AGENT), game.troops[AGENT], rank_of(game, AGENT)
    density, up = troops / max(game.held[AGENT], 1), rank_before - rank
    direction, before = action // (2 * len(INTENSITIES)), game.last // (2 * len(INTENSITIES))
    earned = 200 * gained - (5000 * gained * gained if gained < -0.05 else 0.0)
    earned += 5.0 if 15 <= density <= 35 else -1.0 if density > 60 else -10.0 if density < 8 else 0.0
    earned -= 1000 * (15 - density) / 15 if share > 0.2 and density < 15 else 0.0
    earned -= lost / 500 if lost > 2000 else 0.0
    if direction == WAIT:
        earned += 1.0 if troops < 5000 else 0.0
    else:
        earned += 1.5 if direction == before else 0.5 if beside(direction, before) else -2.0
        earned += 0.1 if troops > 5000 else 0.0
    earned += time / 10_000 + (50.0 if time == 500 else 100.0 if time == 1500 else 200.0 if time == 3000 else 0.0)
    earned += (100.0 * up if up > 0 else 0.0) + (5000.0 * up if up > 1 else 0.0)
    earned += 1.0 if 2 * rank <= game.players else 0.0
    if rank_before == 1:
        earned += 5.0 if rank == 1 else -10.0
    earned += 5.0 if share >= 0.5 else 3.0 if share >= 0.4 else 2.0 if share >= 0.3 else 0.0
    earned -= 0.05
    if game.over == WON:
        earned += 10_000
    elif game.over == LOST:
        earned -= 10_000
    elif game.over != RUNNING:
        earned -= 5000
    return earned


@rule
def beside(one, other):  # type: ignore[no-untyped-def]
    """Whether two directions are next to each other."""
    return other != WAIT and (one - other) % DIRECTIONS in (1, DIRECTIONS - 1)
