"""A battle as text."""

from __future__ import annotations

import math

from velodrome.games.game import Array
from velodrome.games.skirmish.maps import MAPS, SIDE, World, names_of
from velodrome.games.skirmish.rules import CUT, DRAWN, EAST, FIRST_TARGET, LOST, NORTH, NOTHING, SOUTH, STOP, WEST, WON
from velodrome.games.skirmish.units import HEAL, KINDS

ENDS = {WON: "won", LOST: "lost", DRAWN: "drawn", CUT: "out of time"}
NAMES = {NOTHING: "nothing", STOP: "stop", NORTH: "north", SOUTH: "south", EAST: "east", WEST: "west"}


def action_name(world: World, agent: int, action: int) -> str:
    """What an agent does."""
    if action < FIRST_TARGET:
        return NAMES[action]
    what = "heal ally" if world.way[agent] == HEAL else "attack enemy"
    return f"{what} {action - FIRST_TARGET}"


def describe(game: Array, name: str, world: World) -> str:
    """The map where anyone stands, north up, allies as capitals; then everyone alive, with what is left of them."""
    kinds = [KINDS[kind] for kind in names_of((*MAPS[name].allies, *MAPS[name].enemies))]
    units = world.allies + world.enemies
    alive = [u for u in range(units) if game["health"][u] > 0]
    lines = [f"step {game['time']} of {world.limit}" + (f", {ENDS[int(game['over'])]}" if game["over"] else "")]
    cells: dict[tuple[int, int], str] = {}
    for u in alive:
        at = (math.floor(game["y"][u]), math.floor(game["x"][u]))
        letter = kinds[u].letter.upper() if u < world.allies else kinds[u].letter
        cells[at] = letter if at not in cells else "*"
    if cells:
        rows = range(max(y for y, _ in cells), min(y for y, _ in cells) - 1, -1)
        lines += [f"  {y:2d} {''.join(cells.get((y, x), _ground(world, x, y)) for x in range(SIDE))}" for y in rows]
    for u in alive:
        side, number = ("ally", u) if u < world.allies else ("enemy", u - world.allies)
        lines.append(
            f"  {side} {number} {kinds[u].name} at {game['x'][u]:.2f} {game['y'][u]:.2f}{_left(game, world, u)}"
        )
    return "\n".join(lines)


def _ground(world: World, x: int, y: int) -> str:
    return "." if world.free[y, x] else "#"


def _left(game: Array, world: World, u: int) -> str:
    parts = [f", health {game['health'][u]:g}"]
    if world.shield[u]:
        parts.append(f" shield {game['shield'][u]:g}")
    if world.way[u] == HEAL:
        parts.append(f" energy {game['energy'][u]:.1f}")
    if game["cooldown"][u] > 0:
        parts.append(f", ready in {game['cooldown'][u]:.1f}")
    return "".join(parts)
