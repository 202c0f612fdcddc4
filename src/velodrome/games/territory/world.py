"""What a game of Territory holds: the board, the players, and who borders on whom.

A board is a square of tiles within a margin of water, so that every tile has four neighbours. Tiles are numbered row
by row. Records differ in length with the board and the number of players; compiled rules see the part that is always
alike, here `game`, and the arrays that are not, here `board`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from velodrome.games.kernel import count_bits, lowest_bit, mix, rule, uniform

MOST = 51
"""Players of a game."""
SIZES = (32, 64, 128)
NOBODY, AGENT = 0, 1
"""Whose land is nobody's, and the player who decides; bots come after."""
WATER, PLAINS, HIGHLAND, MOUNTAIN = range(4)
RUNNING, WON, LOST, CUT = range(4)
END = -1
"""What stands for the tile after the last of a list, and before the first."""

START_TROOPS, START_TROOPS_BOT = 25_000.0, 10_000.0
LIMIT_BOT, GROWTH_BOT = 1 / 3, 0.6
"""What a handicapped bot has of the limit and of the growth of others."""
GOLD, GOLD_BOT = 100.0, 50.0
"""In a tick."""
CITY_TROOPS = 250_000.0
"""By which a city raises its owner's limit."""
CITY_COST, CITY_COST_MOST = 125_000.0, 1_000_000.0
TO_WIN = 0.8
"""The share of the land that a winner has more than."""
NOISE = 7.0
"""How much chance there is in the order in which tiles fall."""

HEAD = np.dtype(
    [
        ("size", np.int64),
        ("wide", np.int64),  # from a tile to the one below it
        ("players", np.int64),
        ("land", np.int64),  # tiles that can be held
        ("least", np.int64),  # who has fewer tiles is out
        ("spacing", np.int64),  # between cities
        ("now", np.int64),  # ticks
        ("over", np.int8),
        ("moved", np.uint8),  # whether a tile has changed hands since encirclements were last looked for
        # players, the first of them nobody
        ("troops", np.float64, MOST + 1),
        ("gold", np.float64, MOST + 1),
        ("held", np.int64, MOST + 1),  # tiles
        ("sum_x", np.int64, MOST + 1),  # of their columns and rows
        ("sum_y", np.int64, MOST + 1),
        ("cities", np.int64, MOST + 1),
        ("first", np.int16, MOST + 1),  # of the tiles that lie next to another player's
        ("mild", np.uint8, MOST + 1),  # whether handicapped
        # what bots go by
        ("trigger", np.float64, MOST + 1),
        ("reserve", np.float64, MOST + 1),
        ("expand", np.float64, MOST + 1),
        ("every", np.int64, MOST + 1),
        ("phase", np.int64, MOST + 1),
        ("enemy", np.int64, MOST + 1),
        ("enemy_until", np.int64, MOST + 1),
        # the agent's attacks: in which direction, seen from where
        ("aim", np.int8, MOST + 1),
        ("aim_x", np.float64, MOST + 1),
        ("aim_y", np.float64, MOST + 1),
        # what rewards and views go by
        ("share", np.float64),  # of the land, after the decision before
        ("shares", np.float64, 10),  # gained by each of the last ten decisions
        ("rank", np.int64),
        ("home", np.float64),  # troops, after the decision before
        ("last", np.int64),  # the last action
        # random states
        ("starts", np.uint64),
        ("luck", np.uint64),
    ],
    align=True,
)


class Board(NamedTuple):
    """What lies on the tiles of a game, or of all games; and what each player has sent against each."""

    terrain: Any
    owner: Any
    city: Any
    foes: Any
    """How many of a tile's neighbours other players hold; with any, it is on its owner's list."""
    noise: Any
    """What chance adds to a tile's turn to fall."""
    since: Any
    """When a tile came to lie next to another player's."""
    after: Any
    """The next of its owner's tiles that lie next to another player's."""
    before: Any
    sent: Any
    """Troops, by who has sent them and against whom."""
    begun: Any
    """When."""


class Room(NamedTuple):
    """Where rules keep what they need for a moment only."""

    score: Any
    tile: Any
    mark: Any
    stamp: Any


def record_of(size: int, players: int) -> np.dtype[Any]:
    """The record of a game on such a board."""
    tiles, pairs = (size + 2) ** 2, (players + 1, players + 1)
    return np.dtype(
        [
            ("head", HEAD),
            ("noise", np.float64, tiles),
            ("since", np.int32, tiles),
            ("after", np.int16, tiles),
            ("before", np.int16, tiles),
            ("terrain", np.uint8, tiles),
            ("owner", np.uint8, tiles),
            ("city", np.uint8, tiles),
            ("foes", np.uint8, tiles),
            ("sent", np.float64, pairs),
            ("begun", np.int32, pairs),
        ],
        align=True,
    )


@rule
def board_of(boards, i):  # type: ignore[no-untyped-def]
    """That of one game."""
    return Board(
        boards.terrain[i], boards.owner[i], boards.city[i], boards.foes[i], boards.noise[i], boards.since[i],
        boards.after[i], boards.before[i], boards.sent[i], boards.begun[i],
    )  # fmt: skip


@rule
def room_for(boards):  # type: ignore[no-untyped-def]
    """Enough for one game at a time."""
    n = boards.owner.shape[1]
    return Room(np.empty(n), np.empty(n, np.int64), np.zeros(n, np.int64), np.zeros(1, np.int64))


# -- who borders on whom --------------------------------------------------------------------------------------------


@rule
def count_around(board, wide, tile, player):  # type: ignore[no-untyped-def]
    """How many of the four neighbours of a tile a player holds."""
    owner = board.owner
    return (
        np.int64(owner[tile - 1] == player)
        + np.int64(owner[tile + 1] == player)
        + np.int64(owner[tile - wide] == player)
        + np.int64(owner[tile + wide] == player)
    )


@rule
def enlist(game, board, tile):  # type: ignore[no-untyped-def]
    """Put a tile at the head of its owner's list."""
    own = board.owner[tile]
    board.since[tile] = game.now
    head = game.first[own]
    board.after[tile], board.before[tile] = head, END
    if head >= 0:
        board.before[head] = tile
    game.first[own] = tile


@rule
def strike(game, board, tile):  # type: ignore[no-untyped-def]
    """Take a tile off its owner's list."""
    after, before = board.after[tile], board.before[tile]
    if after >= 0:
        board.before[after] = before
    if before >= 0:
        board.after[before] = after
    else:
        game.first[board.owner[tile]] = after


@rule
def give(game, board, tile, to):  # type: ignore[no-untyped-def]
    """Hand a tile to a player, or to nobody; a city on it goes with it, and nobody's falls to ruin."""
    was, x, y = np.int64(board.owner[tile]), tile % game.wide, tile // game.wide
    if board.foes[tile]:
        strike(game, board, tile)
    board.owner[tile] = to
    game.held[was] -= 1
    game.sum_x[was] -= x
    game.sum_y[was] -= y
    game.held[to] += 1
    game.sum_x[to] += x
    game.sum_y[to] += y
    if board.city[tile]:
        game.cities[was] -= 1
        board.city[tile] = to != NOBODY
        game.cities[to] += board.city[tile]
    bits = mix(
        np.uint64(board.noise[tile] * 2.0**50) + np.uint64(game.now)
    )  # of its own: in what order does not matter
    board.noise[tile] = NOISE * uniform(bits)
    game.moved = 1
    foes = 0
    for step in (-1, 1, -game.wide, game.wide):
        near = tile + step
        if board.terrain[near] != WATER:
            other = np.int64(board.owner[near])
            foes += other != to and other != NOBODY
            before, after = was != other and was != NOBODY, to != other and to != NOBODY
            if after and not before:
                board.foes[near] += 1
                if board.foes[near] == 1:
                    enlist(game, board, near)
            elif before and not after:
                board.foes[near] -= 1
                if board.foes[near] == 0:
                    strike(game, board, near)
    board.foes[tile] = foes
    if foes:
        enlist(game, board, tile)


@rule
def neighbours(game, board, player):  # type: ignore[no-untyped-def]
    """Everyone whose land lies next to a player's, as a set of bits; the lowest is nobody."""
    found = np.uint64(0)
    tile = np.int64(game.first[player])
    while tile >= 0:
        for step in (-1, 1, -game.wide, game.wide):
            found |= np.uint64(1) << np.uint64(board.owner[tile + step])
        tile = np.int64(board.after[tile])
    found &= ~((np.uint64(1) << np.uint64(player)) | np.uint64(1))  # margins and water are nobody's, too
    return found | np.uint64(borders_on_nobody(game, board, player))


@rule
def borders_on_nobody(game, board, player):  # type: ignore[no-untyped-def]
    """Whether land that is nobody's lies next to a player's."""
    tile = np.int64(game.first[NOBODY])
    while tile >= 0:
        if count_around(board, game.wide, tile, player):
            return True
        tile = np.int64(board.after[tile])
    return False


# -- troops, gold and cities ----------------------------------------------------------------------------------------


@rule
def limit_of(held, cities, mild):  # type: ignore[no-untyped-def]
    """How many troops so much land feeds."""
    limit = 2 * (1000 * held**0.6 + 50_000) + CITY_TROOPS * cities
    return limit * LIMIT_BOT if mild else limit


@rule
def growth_of(troops, limit, mild):  # type: ignore[no-untyped-def]
    """By how many troops grow in a tick: most at about two fifths of the limit."""
    grown = (10 + troops**0.73 / 4) * (1 - troops / limit)
    return grown * GROWTH_BOT if mild else grown


@rule
def limit(game, player):  # type: ignore[no-untyped-def]
    """How many troops a player's land feeds."""
    return limit_of(float(game.held[player]), game.cities[player], game.mild[player] != 0)


@rule
def grow(game):  # type: ignore[no-untyped-def]
    """A tick's troops and gold."""
    for player in range(AGENT, game.players + 1):
        if game.held[player]:
            most, mild = limit(game, player), game.mild[player] != 0
            more = growth_of(game.troops[player], most, mild)
            game.troops[player] = min(game.troops[player] + more, most)
            game.gold[player] += GOLD_BOT if mild else GOLD


@rule
def city_cost(game, player):  # type: ignore[no-untyped-def]
    """What the next one costs."""
    return min(CITY_COST * 2.0 ** min(game.cities[player], 10), CITY_COST_MOST)


@rule
def place_for_city(game, board, player):  # type: ignore[no-untyped-def]
    """The tile within a player's land, far enough from any city, that is nearest to the land's middle; -1 if none is.

    Of some as near, it is the one with the least noise, which any way of counting tiles finds."""
    wide, best, least, noise = game.wide, -1, 1e18, 0.0
    if not game.held[player]:
        return best
    x0, y0 = game.sum_x[player] / game.held[player], game.sum_y[player] / game.held[player]
    for y in range(1, game.size + 1):
        for x in range(1, game.size + 1):
            tile = y * wide + x
            if board.owner[tile] != player:
                continue
            far = (x - x0) * (x - x0) + (y - y0) * (y - y0)
            nearer = far < least or (far == least and board.noise[tile] < noise)
            if nearer and count_around(board, wide, tile, player) == 4 and clear_of_cities(game, board, x, y):
                best, least, noise = tile, far, board.noise[tile]
    return best


@rule
def clear_of_cities(game, board, x, y):  # type: ignore[no-untyped-def]
    """Whether no city is within the distance that cities keep."""
    for v in range(max(y - game.spacing, 1), min(y + game.spacing, game.size) + 1):
        for u in range(max(x - game.spacing, 1), min(x + game.spacing, game.size) + 1):
            if board.city[v * game.wide + u] and abs(u - x) + abs(v - y) < game.spacing:
                return False
    return True


@rule
def build(game, board, player):  # type: ignore[no-untyped-def]
    """Build a city where there is a place for it and gold. Returns whether."""
    cost = city_cost(game, player)
    if game.gold[player] < cost:
        return False
    tile = place_for_city(game, board, player)
    if tile < 0:
        return False
    game.gold[player] -= cost
    board.city[tile] = 1
    game.cities[player] += 1
    return True


@rule
def rank_of(game, player):  # type: ignore[no-untyped-def]
    """How many hold more, plus one."""
    rank = 1
    for other in range(AGENT, game.players + 1):
        rank += game.held[other] > game.held[player]
    return rank


@rule
def share_of(game, player):  # type: ignore[no-untyped-def]
    """Of the land."""
    return game.held[player] / game.land


@rule
def picked(found, n):  # type: ignore[no-untyped-def]
    """The n-th of a set of bits."""
    for _ in range(n):
        found &= found - np.uint64(1)
    return np.int64(lowest_bit(found))


@rule
def how_many(found):  # type: ignore[no-untyped-def]
    """Bits of a set."""
    return np.int64(count_bits(found))
