"""How the arena is drawn."""

from __future__ import annotations

import math

import numpy as np

from velodrome.games.arena.teacher import MODES
from velodrome.games.arena.views import arrange
from velodrome.games.arena.world import (
    BOX_RADIUS,
    ENEMIES,
    ENEMY_HULL,
    ENEMY_SHIELD,
    FIRST_BOX,
    FIRST_PORTAL,
    HEIGHT,
    HULL,
    KINDS,
    OBJECTS,
    OUTSIDE,
    PORTAL_RADIUS,
    RADIUS,
    SAFE,
    SCREEN_X,
    SCREEN_Y,
    SECOND,
    SHIELD,
    WIDTH,
)
from velodrome.games.game import Array
from velodrome.games.scene import FAINTEST, Bar, Bars, Box, Dart, Disc, Line, Mind, Scene, Shape, Text, Tiles

BOUNDS = (-OUTSIDE, -OUTSIDE, WIDTH + OUTSIDE, HEIGHT + OUTSIDE)
SHIP = 75.0
"""The drawn radius of the ship; everything is drawn larger than it is."""
LARGER = 1.6
BOX = 2 * LARGER * BOX_RADIUS
DIM = 0.45
"""How opaque is what the player does not see."""
KEYS = ("click", "heavy volley")
PER_POSITION = 10.0
"""Positions a second at least: faster, and more of them are shown than anyone can see."""


def scene_of(game: Array, frames: int, objects: int, mind: Mind) -> Scene:
    """The map with everything on it, what of that is on the screen, and what the net points at and attends to."""
    shapes: dict[str, Shape] = {
        "space": Tiles(*BOUNDS[:2], BOUNDS[2] - BOUNDS[0], BOUNDS[3] - BOUNDS[1], 1, bytes(1), ("cliff",),
                       layer="ground"),
        "map": Box(WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT, "soil", layer="ground"),
        "screen": Box(*_ship(game), SCREEN_X, SCREEN_Y, "screen", round=30, layer="ground"),
        "screen's edge": Box(*_ship(game), SCREEN_X, SCREEN_Y, "rule", round=30, hollow=1, layer="ground"),
    }  # fmt: skip
    for i in np.flatnonzero(game["there"]).tolist():
        shapes |= _object(game, i)
    shapes |= _ship_shapes(game) | _wants(game, objects, mind)
    says = (
        f"second {game['time'] / SECOND:.0f}: earned {game['returned']:.1f}, {game['kills']} kills, "
        f"{game['boxes']} boxes, hull {100 * game['hull'] / HULL:.0f} %, shield {100 * game['shield'] / SHIELD:.0f} %"
    )
    pace = max(SECOND / frames, PER_POSITION)
    return Scene(BOUNDS, shapes, says, _bars(game, objects, mind), ["the ship"], pace=pace)


def _ship(game: Array) -> tuple[float, float]:
    return float(game["ship_x"]), float(game["ship_y"])


def _sees(game: Array, x: float, y: float) -> bool:
    return bool(abs(x - game["ship_x"]) <= SCREEN_X / 2 and abs(y - game["ship_y"]) <= SCREEN_Y / 2)


def _object(game: Array, i: int) -> dict[str, Shape]:
    x, y = float(game["x"][i]), float(game["y"][i])
    strength = 1.0 if _sees(game, x, y) else DIM
    if i >= FIRST_PORTAL:
        return {
            f"haven {i}": Disc(x, y, SAFE, "portal", strength=0.16, layer="ground"),
            f"portal {i}": Disc(x, y, PORTAL_RADIUS, "portal", hollow=1, strength=strength),
        }
    if i >= FIRST_BOX:
        return {f"box {i}": Box(x, y, BOX, BOX, "box", round=8, strength=strength)}
    kind = int(game["kind"][i])
    radius = LARGER * float(RADIUS[kind])
    left = (game["enemy_hull"][i] + game["enemy_shield"][i]) / (ENEMY_HULL[kind] + ENEMY_SHIELD[kind])
    colour = "hunter" if KINDS[kind] == "hunter" else "second"
    found: dict[str, Shape] = {f"enemy {i}": Disc(x, y, radius, colour, KINDS[kind][0].upper(), strength=strength)}
    if left < 1:
        found[f"left {i}"] = Bar(x, y - radius - 30, 120, 20, left, "second", strength=strength)
    if game["chasing"][i]:
        found[f"chasing {i}"] = Disc(x, y, radius + 18, colour, hollow=1, strength=strength)
    return found


def _ship_shapes(game: Array) -> dict[str, Shape]:
    x, y = _ship(game)
    moves = game["ship_vx"] or game["ship_vy"]
    angle = math.degrees(math.atan2(game["ship_vy"], game["ship_vx"])) if moves else -90.0
    found: dict[str, Shape] = {
        "course": Line(x, y, float(game["to_x"]), float(game["to_y"]), "own", 9, strength=0.4),
        "ship": Dart(x, y, SHIP, angle, "own"),
        "hull": Bar(x, y - SHIP - 55, 170, 24, float(game["hull"]) / HULL, "own"),
        "shield": Bar(x, y - SHIP - 85, 170, 18, float(game["shield"]) / SHIELD, "shield"),
    }
    if game["left"] <= 0:
        del found["course"]
    locked = int(game["locked"])
    if 0 <= locked < ENEMIES and game["there"][locked]:
        fires = game["attacking"] > 0
        to = float(game["x"][locked]), float(game["y"][locked])
        found["fire"] = Line(x, y, *to, "shot", 22 if fires else 8, strength=0.85 if fires else 0.4)
    return found


def _wants(game: Array, objects: int, mind: Mind) -> dict[str, Shape]:
    """Where it points, and lines to what it attends to."""
    (x, y), found = _ship(game), dict[str, Shape]()
    attention = _shares(mind, "choice")
    if attention:
        for i, likely in zip(_shown(game, objects), attention, strict=False):
            if likely >= FAINTEST:
                share = math.sqrt(likely)
                at = float(game["seen_x"][i]), float(game["seen_y"][i])
                found[f"attends {i}"] = Line(x, y, *at, "wish", 14, layer="looks", of=0, strength=share)
                found[f"attended {i}"] = Disc(*at, 90, "wish", hollow=1, layer="looks", of=0, strength=share)
    if "pointer" in mind.action:
        to = mind.action["pointer"][0]
        at = x + (float(to[0]) - 0.5) * SCREEN_X, y + (float(to[1]) - 0.5) * SCREEN_Y
        clicks = bool(mind.action["keys"][0][0])
        found["pointer"] = Disc(*at, 55, "wish", hollow=1 if clicks else 2, layer="wants", of=0)
        found["pointer's middle"] = Disc(*at, 18 if clicks else 9, "wish", layer="wants", of=0)
        if mind.action["keys"][0][1]:
            found["volley"] = Text(x, y + SHIP + 90, 90, "heavy volley", "shot", 1)
    return found


def _shares(mind: Mind, name: str) -> list[float]:
    """The softmax of what a net gives, where it does."""
    if name not in mind.more:
        return []
    given = np.exp(mind.more[name][0] - mind.more[name][0].max())
    return (given / given.sum()).tolist()  # type: ignore[no-any-return]


def _shown(game: Array, objects: int) -> list[int]:
    """The numbers of the objects that the player is shown, nearest first."""
    order, far = np.zeros(OBJECTS, np.int64), np.zeros(OBJECTS)
    return order[: int(arrange(game, objects, order, far))].tolist()  # type: ignore[no-any-return]


def _called(game: Array, i: int) -> str:
    return KINDS[game["kind"][i]] if i < FIRST_BOX else "box" if i < FIRST_PORTAL else "portal"


def _bars(game: Array, objects: int, mind: Mind) -> list[Bars]:
    """The strategist's mode, the tactician's target, the executor's keys."""
    bars: list[Bars] = []
    keys, mode, attention = mind.wish("keys", 0), _shares(mind, "mode"), _shares(mind, "choice")
    if mode:
        bars.append(Bars("Strategist: mode", dict(zip(MODES, mode, strict=True)), of=0))
    if attention:
        names = [f"{n}: {_called(game, i)}" for n, i in enumerate(_shown(game, objects), 1)]
        likely = {name: share for name, share in zip(names, attention, strict=False) if share >= FAINTEST}
        likely |= {"none": attention[objects]} if len(attention) > objects else {}
        bars.append(Bars("Tactician: target", likely, of=0, colours=("wish",)))
    if keys is not None:
        pressed = [name for name, done in zip(KEYS, mind.action["keys"][0].tolist(), strict=True) if done]
        bars.append(Bars("Executor: keys", dict(zip(KEYS, keys.tolist(), strict=True)), pressed, of=0))
    return bars
