"""The start of a game: a map drawn by chance, and a place for everyone."""

from __future__ import annotations

import math

from velodrome.games.kernel import below, draw, rule, uniform
from velodrome.games.territory.bots import make_up_mind
from velodrome.games.territory.views import INTENSITIES, WAIT
from velodrome.games.territory.world import (
    AGENT,
    END,
    HIGHLAND,
    MOUNTAIN,
    NOBODY,
    NOISE,
    PLAINS,
    RUNNING,
    START_TROOPS,
    START_TROOPS_BOT,
    WATER,
    give,
    rank_of,
    share_of,
)

FLAT, HILLY, ISLANDS = range(3)
OCTAVES = 3
RADIUS = 4.0
"""Of the land that a player has at first: 52 tiles."""
APART = 30
"""The least distance between players at first, along rows and columns, where there is room."""
TRIES = 200
LEAST, LEAST_SHARE = 5, 0.001
"""Who has fewer tiles is out, or a smaller share of the land."""
SPACING, ON = 15, 128
"""How far cities are apart, on a board so wide; on others in proportion."""
LAND = 0.6
"""Of a map of islands, at first; what does not hang together with the largest part is then under water."""


@rule
def heights(game, room):  # type: ignore[no-untyped-def]
    """A smooth surface by chance, from 0 to 1, into the room's scores: waves of several lengths that run anywhere."""
    room.score[:] = 0
    low, high = 1e9, -1e9
    for octave in range(OCTAVES):
        for _ in range(4):
            game.starts, bits = draw(game.starts)
            angle = 2 * math.pi * uniform(bits)
            game.starts, bits = draw(game.starts)
            phase = 2 * math.pi * uniform(bits)
            game.starts, bits = draw(game.starts)
            waves = (1.0 + uniform(bits)) * 2.0**octave
            a = 2 * math.pi * waves * math.cos(angle) / game.size
            b = 2 * math.pi * waves * math.sin(angle) / game.size
            for y in range(1, game.size + 1):
                for x in range(1, game.size + 1):
                    room.score[y * game.wide + x] += math.sin(a * x + b * y + phase) / 2.0**octave
    for y in range(1, game.size + 1):
        for x in range(1, game.size + 1):
            low, high = min(low, room.score[y * game.wide + x]), max(high, room.score[y * game.wide + x])
    for y in range(1, game.size + 1):
        for x in range(1, game.size + 1):
            at = y * game.wide + x
            room.score[at] = (room.score[at] - low) / max(high - low, 1e-9)


@rule
def draw_terrain(game, board, room, kind, field, corner):  # type: ignore[no-untyped-def]
    """Land on a square field in the middle or in a corner, all of it, with hills, or islands that hang together; water
    around."""
    board.terrain[:] = WATER
    if kind != FLAT:
        heights(game, room)
    sea = height_of_share(game, room, 1 - LAND) if kind == ISLANDS else -1.0
    first = 1 if corner else 1 + (game.size - field) // 2
    for y in range(first, first + field):
        for x in range(first, first + field):
            at = y * game.wide + x
            board.terrain[at] = PLAINS
            if kind == HILLY:
                board.terrain[at] = MOUNTAIN if room.score[at] > 0.75 else HIGHLAND if room.score[at] > 0.5 else PLAINS
            elif kind == ISLANDS and room.score[at] < sea:
                board.terrain[at] = WATER
    if kind == ISLANDS:
        keep_largest(game, board, room)
    game.land = 0
    for at in range(board.terrain.shape[0]):
        game.land += board.terrain[at] != WATER


@rule
def height_of_share(game, room, share):  # type: ignore[no-untyped-def]
    """Below which height so large a share of the board lies, to a thousandth."""
    low, high = 0.0, 1.0
    for _ in range(10):
        height, n = 0.5 * (low + high), 0
        for y in range(1, game.size + 1):
            for x in range(1, game.size + 1):
                n += room.score[y * game.wide + x] < height
        low, high = (height, high) if n < share * game.size * game.size else (low, height)
    return high


@rule
def keep_largest(game, board, room):  # type: ignore[no-untyped-def]
    """Flood all land but the largest part that hangs together."""
    largest, most = -1, 0
    room.stamp[0] += 1
    for at in range(board.terrain.shape[0]):
        if board.terrain[at] != WATER and room.mark[at] != room.stamp[0]:
            n = gather(game, board, room, at)
            if n > most:
                largest, most = at, n
    room.stamp[0] += 1
    gather(game, board, room, largest)
    for at in range(board.terrain.shape[0]):
        if room.mark[at] != room.stamp[0]:
            board.terrain[at] = WATER


@rule
def gather(game, board, room, start):  # type: ignore[no-untyped-def]
    """Mark all land that hangs together with a tile; returns how much."""
    n, done = 1, 0
    room.tile[0] = start
    room.mark[start] = room.stamp[0]
    while done < n:
        tile = room.tile[done]
        done += 1
        for step in (-1, 1, -game.wide, game.wide):
            near = tile + step
            if board.terrain[near] != WATER and room.mark[near] != room.stamp[0]:
                room.mark[near] = room.stamp[0]
                room.tile[n] = near
                n += 1
    return n


@rule
def settle(game, board, player, radius):  # type: ignore[no-untyped-def]
    """Give a player a disc of land, as far as possible from others; `APART` is enough, and less must do at last."""
    apart, best, nearest_of_best = float(APART), 0, -1.0
    for _ in range(TRIES):
        game.starts, bits = draw(game.starts)
        x, far = 1 + below(bits, game.size), 1e9
        game.starts, bits = draw(game.starts)
        y = 1 + below(bits, game.size)
        tile = y * game.wide + x
        if board.terrain[tile] == WATER or board.owner[tile] != NOBODY:
            continue
        for other in range(AGENT, player):
            n = max(game.held[other], 1)
            far = min(far, abs(game.sum_x[other] / n - x) + abs(game.sum_y[other] / n - y))
        if far > nearest_of_best:
            best, nearest_of_best = tile, far
        if far >= apart:
            break
    cx, cy, reach = best % game.wide, best // game.wide, int(radius) + 1
    for y in range(max(cy - reach, 1), min(cy + reach, game.size) + 1):
        for x in range(max(cx - reach, 1), min(cx + reach, game.size) + 1):
            tile = y * game.wide + x
            inside = (x - cx + 0.5) ** 2 + (y - cy + 0.5) ** 2 <= radius * radius
            if inside and board.terrain[tile] != WATER and board.owner[tile] == NOBODY:
                give(game, board, tile, player)


@rule
def radius_for(land, players):  # type: ignore[no-untyped-def]
    """Of the discs: smaller than usual where they would take more than half of the land."""
    return min(RADIUS, math.sqrt(0.5 * land / players / math.pi))


@rule
def begin(game, board, room, size, players, kind, field, corner, mild):  # type: ignore[no-untyped-def]
    """Everything in its place for the next game."""
    game.size, game.wide, game.players = size, size + 2, players
    draw_terrain(game, board, room, kind, field, corner)
    game.least = max(LEAST, int(LEAST_SHARE * game.land))
    game.spacing = max(SPACING * size // ON, 2)
    game.now, game.over, game.moved = 0, RUNNING, 0
    game.troops[:] = 0
    game.gold[:] = 0
    game.held[:] = 0
    game.sum_x[:] = 0
    game.sum_y[:] = 0
    game.cities[:] = 0
    game.first[:] = END
    game.aim[:] = -1
    game.shares[:] = 0
    board.owner[:] = NOBODY
    board.city[:] = 0
    board.foes[:] = 0
    board.since[:] = 0
    board.sent[:] = 0
    board.begun[:] = 0
    for tile in range(board.noise.shape[0]):
        game.luck, bits = draw(game.luck)
        board.noise[tile] = NOISE * uniform(bits)
    game.held[NOBODY] = game.land
    radius = radius_for(game.land, players)
    for player in range(AGENT, players + 1):
        game.mild[player] = mild and player > AGENT
        game.troops[player] = START_TROOPS_BOT if game.mild[player] else START_TROOPS
        make_up_mind(game, player)
        settle(game, board, player, radius)
    game.share, game.rank, game.last = share_of(game, AGENT), rank_of(game, AGENT), 2 * len(INTENSITIES) * WAIT
