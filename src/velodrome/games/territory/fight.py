"""Attacks: troops that take tile after tile from a frontier; who is cut off or too small is taken whole."""

from __future__ import annotations

import math

import numpy as np

from velodrome.games.kernel import below, draw, rule
from velodrome.games.territory.world import (
    AGENT,
    HIGHLAND,
    MOUNTAIN,
    NOBODY,
    WATER,
    count_around,
    give,
    how_many,
    neighbours,
)

IMMUNE = 50
"""Ticks at first in which no player can be attacked."""
AIM = 30.0
"""By how much the order of tiles follows a direction, beside about ten for all else."""
AGAINST_MILD = 0.8
"""What an attack on a handicapped bot costs of what it would."""
MILD_ON_NOBODY = 0.5
"""What a handicapped bot pays of what others do for nobody's land."""
PASSES = 10


@rule
def terrain_of(kind):  # type: ignore[no-untyped-def]
    """What a tile costs in troops and in time, and how late its turn comes."""
    if kind == MOUNTAIN:
        return 120.0, 25.0, 2.0
    if kind == HIGHLAND:
        return 100.0, 20.0, 1.5
    return 80.0, 16.5, 1.0


@rule
def clamp(x, low, high):  # type: ignore[no-untyped-def]
    """The nearest number that is neither lower nor higher."""
    return min(max(x, low), high)


@rule
def large(held):  # type: ignore[no-untyped-def]
    """Large defenders are weaker."""
    return 0.7 + 0.3 * (1 - 1 / (1 + math.exp(-(held - 150_000) * math.log(2.0) / 50_000)))


@rule
def cost_of_nobodys(kind, troops, mild):  # type: ignore[no-untyped-def]
    """Of a tile that is nobody's, for so many troops: what it uses of a tick's budget, and how many it costs."""
    mag, speed, _ = terrain_of(kind)
    return clamp(2000 * max(10.0, speed) / troops, 5.0, 100.0), mag / 5 * (MILD_ON_NOBODY if mild else 1.0)


@rule
def cost_of(kind, troops, defence, held, on_mild):  # type: ignore[no-untyped-def]
    """Of a player's tile: what it uses, how many troops it costs, and how many the defender loses."""
    mag, speed, _ = terrain_of(kind)
    mag *= AGAINST_MILD if on_mild else 1.0
    weak = large(held)
    use = clamp(defence / (5 * troops), 0.2, 1.5) * speed * weak
    return use, clamp(defence / troops, 0.6, 2.0) * mag * 0.8 * weak, defence / held


@rule
def budget_of(troops, defence, frontier, nobodys):  # type: ignore[no-untyped-def]
    """What an attack may use in a tick: the more, the longer the frontier."""
    if nobodys:
        return 2.0 * frontier
    return 3.0 * frontier * clamp(10 * troops / max(defence, 1e-9), 0.01, 0.5)


# -- whose turn it is to fall -----------------------------------------------------------------------------------------


@rule
def turn_of(game, board, tile, own, attacker, target):  # type: ignore[no-untyped-def]
    """When a tile falls that has so many of the attacker's around it: least first. The agent's aim counts, too."""
    _, _, late = terrain_of(board.terrain[tile])
    turn = (10 + board.noise[tile]) * (1 - 0.5 * own + 0.5 * late) + 1e-6 * board.noise[tile]  # no two are alike
    turn += max(board.since[tile], board.begun[attacker, target])
    if attacker == AGENT and game.aim[target] >= 0:
        dx, dy = tile % game.wide - game.aim_x[target], tile // game.wide - game.aim_y[target]
        x, y = toward(game.aim[target])
        turn -= AIM * (dx * x + dy * y) / max(math.sqrt(dx * dx + dy * dy), 1e-9)
    return turn


@rule
def toward(direction):  # type: ignore[no-untyped-def]
    """The unit vector of a direction: north, then on by the clock; y grows to the south."""
    across = math.sqrt(0.5)
    x = 0.0 if direction % 4 == 0 else 1.0 if direction < 4 else -1.0
    y = 0.0 if direction % 4 == 2 else -1.0 if direction in (7, 0, 1) else 1.0
    return (x * across, y * across) if direction % 2 else (x, y)


@rule
def push(room, n, score, tile):  # type: ignore[no-untyped-def]
    """Put a tile on a heap of n."""
    at = n
    while at > 0:
        up = (at - 1) >> 1
        if room.score[up] <= score:
            break
        room.score[at], room.tile[at] = room.score[up], room.tile[up]
        at = up
    room.score[at], room.tile[at] = score, tile


@rule
def pop(room, n):  # type: ignore[no-untyped-def]
    """Take the tile with the least score off a heap of n."""
    least, score, tile = room.tile[0], room.score[n - 1], room.tile[n - 1]
    at, down = 0, 1
    while down < n - 1:
        if down + 1 < n - 1 and room.score[down + 1] < room.score[down]:
            down += 1
        if score <= room.score[down]:
            break
        room.score[at], room.tile[at] = room.score[down], room.tile[down]
        at, down = down, 2 * down + 1
    room.score[at], room.tile[at] = score, tile
    return least


@rule
def frontier(game, board, room, attacker, target):  # type: ignore[no-untyped-def]
    """Heap up the target's tiles next to the attacker's; returns how many."""
    n, tile = 0, np.int64(game.first[target])
    room.stamp[0] += 1
    while tile >= 0:
        own = count_around(board, game.wide, tile, attacker)
        if own:
            push(room, n, turn_of(game, board, tile, own, attacker, target), tile)
            room.mark[tile] = room.stamp[0]
            n += 1
        tile = np.int64(board.after[tile])
    return n


# -- attacks ----------------------------------------------------------------------------------------------------------


@rule
def send(game, board, attacker, target, troops):  # type: ignore[no-untyped-def]
    """Send troops, as many as there are; those that come the other way fall first, one for one."""
    troops = min(troops, game.troops[attacker])
    if troops < 1:
        return
    game.troops[attacker] -= troops
    if target != NOBODY and board.sent[target, attacker] > 0:
        met = min(board.sent[target, attacker], troops)
        board.sent[target, attacker] -= met
        troops -= met
    if troops <= 0:
        return
    if board.sent[attacker, target] <= 0:
        board.begun[attacker, target] = game.now
    board.sent[attacker, target] += troops


@rule
def come_home(game, board, attacker, target):  # type: ignore[no-untyped-def]
    """The troops of an attack are at home again."""
    game.troops[attacker] += board.sent[attacker, target]
    board.sent[attacker, target] = 0


@rule
def attack(game, board, room, attacker, target):  # type: ignore[no-untyped-def]
    """A tick of an attack."""
    n = frontier(game, board, room, attacker, target)
    if n == 0:
        come_home(game, board, attacker, target)
        return
    nobodys = target == NOBODY
    game.luck, bits = draw(game.luck)
    budget = budget_of(board.sent[attacker, target], game.troops[target], n + below(bits, 5), nobodys)
    while budget > 0 and n > 0 and board.sent[attacker, target] >= 1:
        tile, troops = pop(room, n), board.sent[attacker, target]
        n -= 1
        kind = board.terrain[tile]
        if nobodys:
            use, loss = cost_of_nobodys(kind, troops, game.mild[attacker] != 0)
        else:
            on_mild = game.mild[target] != 0 and game.mild[attacker] == 0
            use, loss, harm = cost_of(kind, troops, game.troops[target], float(game.held[target]), on_mild)
            game.troops[target] -= harm
        board.sent[attacker, target] = max(troops - loss, 0.0)
        budget -= use
        give(game, board, tile, attacker)
        if not nobodys and game.held[target] < game.least:
            annex(game, board, room, target, attacker)
            return
        for step in (-1, 1, -game.wide, game.wide):
            other = tile + step
            exposed = board.owner[other] == target and board.terrain[other] != WATER
            if exposed and room.mark[other] != room.stamp[0]:
                own = count_around(board, game.wide, other, attacker)
                push(room, n, turn_of(game, board, other, own, attacker, target), other)
                room.mark[other] = room.stamp[0]
                n += 1
    if board.sent[attacker, target] < 1:
        board.sent[attacker, target] = 0


@rule
def attacks(game, board, room):  # type: ignore[no-untyped-def]
    """A tick of all attacks. Who comes first changes from tick to tick."""
    players = game.players
    for turn in range(players):
        attacker = (game.now + turn) % players + 1
        for target in range(NOBODY, players + 1):
            if board.sent[attacker, target] > 0:
                attack(game, board, room, attacker, target)


# -- the end of a player ----------------------------------------------------------------------------------------------


@rule
def leave(game, board, player, to):  # type: ignore[no-untyped-def]
    """A player is out: the gold goes to who took the last tile, troops abroad are lost, those against it go home."""
    game.gold[to] += game.gold[player]
    game.gold[player] = game.troops[player] = 0
    for other in range(NOBODY, game.players + 1):
        board.sent[player, other] = 0
        if other != NOBODY and board.sent[other, player] > 0:
            come_home(game, board, other, player)


@rule
def heir(game, board, tile, player, favourite):  # type: ignore[no-untyped-def]
    """Who next to a player's tile has it when the player falls: the favourite, else the largest; nobody if none is."""
    best = np.int64(NOBODY)
    for step in (-1, 1, -game.wide, game.wide):
        other = np.int64(board.owner[tile + step])
        if other == favourite:
            return favourite
        if other != player and other != NOBODY:
            larger = best == NOBODY or game.held[other] > game.held[best]
            if larger or (game.held[other] == game.held[best] and other < best):
                best = other
    return best


@rule
def annex(game, board, room, player, to):  # type: ignore[no-untyped-def]
    """Hand all that a player holds to its neighbours, from the outside in, and what nobody reaches to nobody."""
    for _ in range(PASSES):
        n = 0
        for tile in range(board.owner.shape[0]):
            if board.owner[tile] == player:
                who = heir(game, board, tile, player, to)
                if who != NOBODY:
                    room.tile[n], room.score[n] = tile, who
                    n += 1
        if n == 0:
            break
        for i in range(n):
            give(game, board, room.tile[i], np.int64(room.score[i]))
    if game.held[player]:
        for tile in range(board.owner.shape[0]):
            if board.owner[tile] == player:
                give(game, board, tile, NOBODY)
    leave(game, board, player, to)


# -- who is cut off ---------------------------------------------------------------------------------------------------


@rule
def flood(game, board, room, start, player, borders):  # type: ignore[no-untyped-def]
    """Gather a player's tiles that hang together with one, corners included; of the border alone, if that is wished.

    Returns how many, whether water, nobody's land or the margin lies next to one, and who else does. They stand in
    `room.tile`."""
    wide, n, done, open_, others = game.wide, 1, 0, False, np.uint64(0)
    room.tile[0] = start
    room.mark[start] = room.stamp[0]
    while done < n:
        tile = room.tile[done]
        done += 1
        for step in (-1, 1, -wide, wide):
            other = board.owner[tile + step]
            open_ |= other == NOBODY
            if other != player and other != NOBODY:
                others |= np.uint64(1) << np.uint64(other)
        for step in (-wide - 1, -wide, -wide + 1, -1, 1, wide - 1, wide, wide + 1):
            near = tile + step
            new = board.owner[near] == player and room.mark[near] != room.stamp[0]
            if new and (not borders or count_around(board, wide, near, player) < 4):
                room.mark[near] = room.stamp[0]
                room.tile[n] = near
                n += 1
    return n, open_, others


@rule
def spread_of(game, board, players):  # type: ignore[no-untyped-def]
    """The least rectangle that holds all tiles of a set of players."""
    left, right, top, bottom = game.wide, 0, game.wide, 0
    for y in range(1, game.size + 1):
        for x in range(1, game.size + 1):
            if (players >> np.uint64(board.owner[y * game.wide + x])) & np.uint64(1):
                left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
    return left, right, top, bottom


@rule
def inside(game, board, room, n, others):  # type: ignore[no-untyped-def]
    """Whether the first n tiles of the room lie within what others spread over."""
    left, right, top, bottom = spread_of(game, board, others)
    for i in range(n):
        x, y = room.tile[i] % game.wide, room.tile[i] // game.wide
        if not (left <= x <= right and top <= y <= bottom):
            return False
    return True


@rule
def receiver(game, board, room, n, player):  # type: ignore[no-untyped-def]
    """Who gets what is cut off: who attacks with most, else who lies next to most of it."""
    best, most = NOBODY, 0.0
    for other in range(AGENT, game.players + 1):
        touching = 0
        for i in range(n):
            touching += count_around(board, game.wide, room.tile[i], other)
        if other != player and touching:
            weight = 1e9 * board.sent[other, player] + touching
            if weight > most:
                best, most = other, weight
    return best


@rule
def cut_off(game, board, room):  # type: ignore[no-untyped-def]
    """Take from every player what others enclose: a part by any of them, the largest part, and with it all, by one."""
    game.moved = 0
    for player in range(AGENT, game.players + 1):
        room.stamp[0] += 1
        largest, somewhere, parts, closed_largest, alone = 0, np.int64(0), 0, False, False
        tile = np.int64(game.first[player])
        while tile >= 0:
            if room.mark[tile] != room.stamp[0]:
                n, open_, others = flood(game, board, room, tile, player, True)
                closed = not open_ and inside(game, board, room, n, others)
                parts += closed
                if n > largest:
                    largest, somewhere, closed_largest, alone = n, tile, closed, how_many(others) == 1
            tile = np.int64(board.after[tile])
        if closed_largest and alone:
            n, _, _ = flood_anew(game, board, room, somewhere, player, True)
            annex(game, board, room, player, receiver(game, board, room, n, player))
        elif parts > closed_largest:
            take_parts(game, board, room, player, somewhere)


@rule
def flood_anew(game, board, room, start, player, borders):  # type: ignore[no-untyped-def]
    """The same, whatever was gathered before."""
    room.stamp[0] += 1
    return flood(game, board, room, start, player, borders)


@rule
def take_parts(game, board, room, player, largest):  # type: ignore[no-untyped-def]
    """Hand parts that are enclosed to one of those around them, all but the one that a tile is in."""
    found = True
    while found and game.held[player]:
        found = False
        flood_anew(game, board, room, largest, player, False)
        tile = np.int64(game.first[player])
        while tile >= 0:
            if room.mark[tile] != room.stamp[0]:
                n, open_, others = flood(game, board, room, tile, player, False)
                if not open_ and inside(game, board, room, n, others):
                    to = receiver(game, board, room, n, player)
                    for i in range(n):
                        give(game, board, room.tile[i], to)
                    found = True
                    break
            tile = np.int64(board.after[tile])


@rule
def reachable(game, board, player, target):  # type: ignore[no-untyped-def]
    """Whether a player may attack another, or nobody's land: it lies next to the player's own."""
    return (neighbours(game, board, player) >> np.uint64(target)) & np.uint64(1) != 0
