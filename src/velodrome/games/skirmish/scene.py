"""How a battle is drawn."""

from __future__ import annotations

import numpy as np

from velodrome.games.game import Array
from velodrome.games.scene import EVERYONE, FAINTEST, Bar, Bars, Disc, Line, Mind, Scene, Shape, Tiles, messages, wishes
from velodrome.games.skirmish.maps import MAPS, SIDE, World, names_of
from velodrome.games.skirmish.rules import EAST, FIRST_TARGET, MOVE_X, MOVE_Y, NORTH, SIGHT, SOUTH, WEST, target_of
from velodrome.games.skirmish.text import ENDS, action_name
from velodrome.games.skirmish.units import HEAL, KINDS

STRIDE = 1.6
"""Length of the arrow of a move that is certain."""
STEEP = 6
"""How much fainter what is worth less is drawn."""


def scene_of(game: Array, name: str, world: World, mind: Mind) -> Scene:
    """The ground, everyone alive with what is left of them, whom they attack, and what allies have in mind."""
    kinds = names_of((*MAPS[name].allies, *MAPS[name].enemies))
    shapes: dict[str, Shape] = {"ground": _ground(world)}
    for u in np.flatnonzero(game["health"][: world.allies + world.enemies] > 0).tolist():
        shapes |= _unit(game, world, u, KINDS[kinds[u]].letter)
    bars: list[Bars] = []
    for agent in np.flatnonzero(game["health"][: world.allies] > 0).tolist():
        shapes |= _wants(game, world, agent, mind)
        orders = [action_name(world, agent, order) for order in range(FIRST_TARGET + world.enemies)]
        bars += wishes(mind, "order", agent, orders, f"ally {agent}, {kinds[agent]}", agent)
    shapes |= messages(mind, game["x"], -game["y"], 0.1)
    left = [int((game["health"][lo:hi] > 0).sum()) for lo, hi in _sides(world)]
    end = f", {ENDS[int(game['over'])]}" if game["over"] else ""
    says = f"{name}, step {game['time']} of {world.limit}: {left[0]} allies against {left[1]}{end}"
    seats = [f"ally {agent}, {kinds[agent]}" for agent in range(world.allies)]
    return Scene(_bounds(world), shapes, says, bars, seats, pace=4.0)


def _sides(world: World) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, int(world.allies)), (int(world.allies), int(world.allies + world.enemies))


def _bounds(world: World) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(world.free)
    left, right = max(columns.min() - 0.5, 0.0), min(columns.max() + 1.5, SIDE)
    return left, max(-rows.max() - 1.5, -SIDE), right, min(-rows.min() + 0.5, 0.0)


def _ground(world: World) -> Tiles:
    values = np.ascontiguousarray(world.free[::-1]).astype(np.uint8).tobytes()
    return Tiles(0, -SIDE, SIDE, SIDE, SIDE, values, ("cliff", "soil"), layer="ground")


def _unit(game: Array, world: World, u: int, letter: str) -> dict[str, Shape]:
    x, y, radius = game["x"][u], -game["y"][u], world.radius[u]
    ours = u < world.allies
    colour = "own" if ours else "second"
    above, wide = y - radius - 0.28, max(2 * radius, 0.9)
    found: dict[str, Shape] = {
        f"unit {u}": Disc(x, y, radius, colour, letter, of=u if ours else EVERYONE),
        f"health {u}": Bar(x, above, wide, 0.16, game["health"][u] / world.health[u], colour),
    }
    if world.shield[u] > 0:
        found[f"shield {u}"] = Bar(x, above - 0.22, wide, 0.12, game["shield"][u] / world.shield[u], "shield")
    target = int(game["target"][u])
    if target >= 0 and game["health"][target] > 0 and _reaches(game, world, u, target):
        colour = "heal" if world.way[u] == HEAL else colour
        found[f"attack {u}"] = Line(x, y, game["x"][target], -game["y"][target], colour, 0.09, strength=0.55)
    if ours:
        found[f"sight {u}"] = Disc(x, y, SIGHT, "own", hollow=2, layer="sees", of=u, strength=0.7)
    return found


def _reaches(game: Array, world: World, u: int, v: int) -> bool:
    away = np.hypot(game["x"][u] - game["x"][v], game["y"][u] - game["y"][v])
    return bool(away <= world.reach[u] + world.radius[u] + world.radius[v])


def _wants(game: Array, world: World, agent: int, mind: Mind) -> dict[str, Shape]:
    """An arrow for each order that it may give itself, as strong as that is likely."""
    wish = mind.wish("order", agent)
    if wish is None:
        return {}
    wish = wish**STEEP if mind.worths else wish
    x, y, found = game["x"][agent], -game["y"][agent], dict[str, Shape]()
    for order in np.flatnonzero(wish >= FAINTEST).tolist():
        share, name = float(wish[order]), f"wants {agent} {order}"
        if order in (NORTH, SOUTH, EAST, WEST):
            far = world.radius[agent] + STRIDE * share
            to = x + far * MOVE_X[order], y - far * MOVE_Y[order]
            found[name] = Line(x, y, *to, "wish", 0.14, 1, layer="wants", of=agent, strength=0.9)
        elif order >= FIRST_TARGET:
            target = int(target_of(world, agent, order))
            to = game["x"][target], -game["y"][target]
            found[name] = Line(x, y, *to, "wish", 0.22 * share + 0.04, layer="wants", of=agent, strength=share)
        elif share > 0.5:
            radius = world.radius[agent] + 0.2
            found[name] = Disc(x, y, radius, "wish", hollow=1, layer="wants", of=agent, strength=share)
    return found
