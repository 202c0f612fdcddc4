"""How the land-grab is drawn."""

from __future__ import annotations

from colorsys import hls_to_rgb

import numpy as np

from velodrome.games.game import Array
from velodrome.games.scene import FAINTEST, Bars, Box, Line, Mind, Scene, Shape, Text, Tiles
from velodrome.games.territory.views import DIRECTIONS, INTENSITIES, WAIT
from velodrome.games.territory.world import AGENT, CUT, LOST, MOST, NOBODY, WATER, WON

ENDS = {WON: ", won", LOST: ", lost", CUT: ", out of time"}
WAYS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west", "wait")
WAY_X, WAY_Y = (0, 1, 1, 1, 0, -1, -1, -1), (-1, -1, 0, 1, 1, 1, 0, -1)
FINEST = 16
"""Squares along a side of what is shown of a net's looks, at most."""
NAMED = 6
"""How many of those who hold most are named."""


def bot_colour(n: int) -> str:
    """That of the n-th bot; none is blue."""
    parts = hls_to_rgb((0.02 + 0.61803 * n % 0.5) % 1, 0.52, 0.5)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


PALETTE = ("water", "land", "land-high", "land-higher", "own", *(bot_colour(n) for n in range(MOST)))
"""Of water; of nobody's land, by its height; of the agent's, then each bot's."""


def scene_of(record: Array, longest: int, ticks: int, mind: Mind) -> Scene:
    """Who holds what, cities, troops, where the net looks and what it wants."""
    game, size = record["head"], int(record["head"]["size"])
    shapes: dict[str, Shape] = {"board": Tiles(0, 0, size, size, size, _tiles(record, size), PALETTE, layer="ground")}
    for tile in np.flatnonzero(record["city"]).tolist():
        x, y = _place(tile, size)
        shapes[f"city {tile}"] = Box(x, y, 1.3, 1.3, "city", 45)
    alive = [player for player in range(AGENT, int(game["players"]) + 1) if game["held"][player]]
    first = sorted(alive, key=lambda player: -game["held"][player])[:NAMED]
    for player in {*first, AGENT} & set(alive):
        x, y = game["sum_x"][player] / game["held"][player] - 0.5, game["sum_y"][player] / game["held"][player] - 0.5
        troops = f"{game['troops'][player] / 1000:.0f}k"
        shapes[f"troops {player}"] = Text(x, y, size / 26, troops, "label", int(player == AGENT))
    shapes |= _looks(mind, size)
    bars = [_land(game, first)]
    wish = mind.wish("order", 0)
    if wish is not None:
        shapes |= _wants(game, wish, size)
        bars = [*_orders(mind, wish), *bars]
    says = (
        f"decision {int(game['now']) // ticks} of {longest}: the agent holds "
        f"{100 * game['held'][AGENT] / game['land']:.1f} % of the land, "
        f"{game['cities'][AGENT]} cities{ENDS.get(int(game['over']), '')}"
    )
    return Scene((0, 0, size, size), shapes, says, bars, ["the agent"], pace=10.0)


def _place(tile: int, size: int) -> tuple[float, float]:
    return tile % (size + 2) - 0.5, tile // (size + 2) - 0.5


def _tiles(record: Array, size: int) -> bytes:
    owner, terrain = (record[name].reshape(size + 2, size + 2)[1:-1, 1:-1] for name in ("owner", "terrain"))
    values = np.where(owner == NOBODY, terrain, owner + WATER + 3)
    values = np.where(terrain == WATER, WATER, values)
    return np.ascontiguousarray(values, np.uint8).tobytes()


def _looks(mind: Mind, size: int) -> dict[str, Shape]:
    """How little each square is looked at, in the mean over all the ways of looking."""
    squares = [coarse(look[0]) for look in mind.looks.values()]
    if not squares:
        return {}
    side = max(len(each) for each in squares)
    weight = np.mean([spread(each / max(each.max(), 1e-9), side) for each in squares], 0)
    dark = np.round(100 * (1 - weight / max(weight.max(), 1e-9))).astype(np.uint8)
    return {"looks": Tiles(0, 0, size, size, side, dark.tobytes(), layer="looks", of=0)}


def coarse(look: Array) -> Array:
    """In as many squares as are shown, or fewer."""
    times = -(-len(look) // FINEST)
    cut = look[: len(look) // times * times, : len(look) // times * times]
    found: Array = cut.reshape(len(cut) // times, times, len(cut) // times, times).mean((1, 3))
    return found


def spread(look: Array, side: int) -> Array:
    """In so many squares along a side."""
    at = np.arange(side) * len(look) // side
    found: Array = look[at[:, None], at]
    return found


def _wants(game: Array, wish: Array, size: int) -> dict[str, Shape]:
    """An arrow from the middle of the agent's land in each direction, as long as it is likely."""
    if not game["held"][AGENT]:
        return {}
    x, y = (game[name][AGENT] / game["held"][AGENT] - 0.5 for name in ("sum_x", "sum_y"))
    found: dict[str, Shape] = {}
    for way, share in enumerate(wish.reshape(DIRECTIONS + 1, -1).sum(1)[:DIRECTIONS].tolist()):
        if share >= FAINTEST:
            far = size / 3 * np.sqrt(share) / np.hypot(WAY_X[way], WAY_Y[way])
            to = x + far * WAY_X[way], y + far * WAY_Y[way]
            found[f"wants {way}"] = Line(x, y, *to, "wish", size / 90, 1, layer="wants", of=0, strength=0.9)
    return found


def _orders(mind: Mind, wish: Array) -> list[Bars]:
    """Where to, with how many troops where it attacks, and whether to build a city."""
    by, done = wish.reshape(DIRECTIONS + 1, len(INTENSITIES), 2), int(mind.action["order"][0])
    way, intensity = done // (2 * len(INTENSITIES)), done // 2 % len(INTENSITIES)
    ways = {name: float(share) for name, share in zip(WAYS, by.sum((1, 2)), strict=True)}
    attacks = by[:WAIT].sum((0, 2))
    sent = attacks / max(attacks.sum(), 1e-9)
    troops = {f"{100 * share:.0f} %": float(part) for share, part in zip(INTENSITIES, sent, strict=True)}
    chosen = [list(troops)[intensity]] if way != WAIT else []
    return [
        Bars("Attacks", ways, [WAYS[way]], of=0),
        Bars("With so many of its troops", troops, chosen, of=0),
        Bars("Builds", {"a city": float(by[..., 1].sum())}, ["a city"] if done % 2 else [], of=0),
    ]


def _land(game: Array, first: list[int]) -> Bars:
    """What those hold who hold most."""
    names = {player: "the agent" if player == AGENT else f"bot {player - AGENT}" for player in first}
    held = {names[player]: float(game["held"][player] / game["land"]) for player in first}
    return Bars(
        "Land", held, colours=["own" if player == AGENT else bot_colour(player - AGENT - 1) for player in first]
    )
