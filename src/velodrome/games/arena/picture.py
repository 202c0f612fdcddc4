"""The screen of Arena as a small picture."""

from __future__ import annotations

import numpy as np

from velodrome.games.arena.rules import in_view, radius_of
from velodrome.games.arena.world import (
    ENEMIES,
    FIRST_BOX,
    FIRST_HUNTER,
    FIRST_PORTAL,
    HEIGHT,
    HULL,
    OBJECTS,
    SAFE,
    SCREEN_X,
    SCREEN_Y,
    SHIELD,
    WIDTH,
)
from velodrome.games.kernel import kernel, rule

SIDE = 96
"""Pixels of the picture, either way."""
SPACE = np.array([8, 8, 24], np.uint8)
BEYOND = np.array([64, 8, 8], np.uint8)
HAVEN = np.array([8, 48, 48], np.uint8)
PORTAL = np.array([0, 224, 224], np.uint8)
BOX = np.array([240, 208, 32], np.uint8)
ENEMY = np.array([[255, 144, 64], [255, 112, 48], [255, 64, 48], [192, 48, 32]], np.uint8)
"""By kind."""
HUNTER = np.array([232, 64, 232], np.uint8)
TARGET = np.array([255, 255, 255], np.uint8)
SHIP = np.array([64, 255, 64], np.uint8)
SHIP_RADIUS = 40.0
BAR_HULL, BAR_SHIELD = np.array([64, 255, 64], np.uint8), np.array([64, 144, 255], np.uint8)


@rule
def disc(game, x, y, radius, colour, out):  # type: ignore[no-untyped-def]
    """Fill a disc on the map, the pixel in its middle at least."""
    left, top = game.ship_x - SCREEN_X / 2, game.ship_y - SCREEN_Y / 2
    wide, high = SCREEN_X / SIDE, SCREEN_Y / SIDE
    middle_column, middle_row = int((x - left) // wide), int((y - top) // high)
    columns, rows = int(radius / wide) + 1, int(radius / high) + 1
    for row in range(max(middle_row - rows, 0), min(middle_row + rows + 1, SIDE)):
        for column in range(max(middle_column - columns, 0), min(middle_column + columns + 1, SIDE)):
            dx, dy = left + (column + 0.5) * wide - x, top + (row + 0.5) * high - y
            if dx * dx + dy * dy <= radius * radius or (row == middle_row and column == middle_column):
                out[row, column, :] = colour


@rule
def ground(game, out):  # type: ignore[no-untyped-def]
    """The map, and what lies outside it."""
    left, top = game.ship_x - SCREEN_X / 2, game.ship_y - SCREEN_Y / 2
    for row in range(SIDE):
        y = top + (row + 0.5) * SCREEN_Y / SIDE
        for column in range(SIDE):
            x = left + (column + 0.5) * SCREEN_X / SIDE
            out[row, column, :] = SPACE if 0 <= x <= WIDTH and 0 <= y <= HEIGHT else BEYOND


@rule
def colour_of(game, i):  # type: ignore[no-untyped-def]
    """The colour of an object."""
    if i < FIRST_HUNTER:
        return ENEMY[game.kind[i]]
    if i < FIRST_BOX:
        return HUNTER
    return BOX if i < FIRST_PORTAL else PORTAL


@rule
def bar(part, colour, row, out):  # type: ignore[no-untyped-def]
    """A line as long as what is left."""
    for column in range(int(np.ceil(part * SIDE))):
        out[row, column, :] = colour


@rule
def draw_game(game, out):  # type: ignore[no-untyped-def]
    """Safe zones, everything in view, the ship, and what is left of its hull and shield."""
    ground(game, out)
    for i in range(FIRST_PORTAL, OBJECTS):
        if game.there[i]:
            disc(game, game.x[i], game.y[i], SAFE, HAVEN, out)
    for i in range(OBJECTS - 1, -1, -1):
        if in_view(game, i):
            disc(game, game.x[i], game.y[i], radius_of(game, i), colour_of(game, i), out)
    if 0 <= game.locked < ENEMIES and in_view(game, game.locked):
        disc(game, game.x[game.locked], game.y[game.locked], 0.0, TARGET, out)
    disc(game, game.ship_x, game.ship_y, SHIP_RADIUS, SHIP, out)
    bar(game.hull / HULL, BAR_HULL, 0, out)
    bar(game.shield / SHIELD, BAR_SHIELD, 1, out)


@kernel
def draw_all(games, lo, hi, which, pictures):  # type: ignore[no-untyped-def]
    """Draw the marked games."""
    for i in range(lo, hi):
        if which[i]:
            draw_game(games[i], pictures[i, 0])
