"""How games of particles are drawn."""

from __future__ import annotations

import numpy as np

from velodrome.games.game import Array
from velodrome.games.particles.physics import EAST, NORTH, SOUTH, WEST, World
from velodrome.games.scene import (
    FAINTEST,
    Bars,
    Box,
    Disc,
    Line,
    Mind,
    Scene,
    Shape,
    Text,
    attention,
    beliefs,
    messages,
    wishes,
)

PUSHES = ("nothing", "east", "west", "north", "south")
REACH = 1.35
"""How far out is shown."""
MARK = 0.045
AHEAD = 0.8
"""Length of the arrow of a whole push."""


def scene_of(game: Array, world: World, says: str, names: list[str], colours: list[str], mind: Mind) -> Scene:
    """Landmarks and agents, how agents move, and where each wants to be."""
    shapes: dict[str, Shape] = {"floor": Box(0, 0, 2 * REACH, 2 * REACH, "soil", layer="ground")}
    for mark in range(int(world.marks)):
        x, y = float(game["mark_x"][mark]), -float(game["mark_y"][mark])
        if world.mark_radius > 0:
            shapes[f"mark {mark}"] = Disc(x, y, float(world.mark_radius), "obstacle", layer="ground")
        else:
            shapes[f"mark {mark}"] = Box(x, y, 2 * MARK, 2 * MARK, "goal", 45)
            shapes[f"number {mark}"] = Text(x, y, MARK, str(mark), "panel", 1)
    bars: list[Bars] = []
    for agent in range(int(world.agents)):
        x, y = float(game["x"][agent]), -float(game["y"][agent])
        radius = float(world.radius[agent])
        shapes[f"agent {agent}"] = Disc(x, y, radius, colours[agent], str(agent), of=agent, strength=0.9)
        if "goal" in mind.chances:
            goals = [f"landmark {mark}" for mark in range(int(world.marks))]
            bars += wishes(mind, "goal", agent, goals, f"{names[agent]} goes to", agent)
            shapes |= _goals(game, agent, mind)
        else:
            bars += _pushes(mind, agent, names[agent])
            shapes |= _push(game, world, agent, mind)
    all_x, all_y, marks = game["x"], -game["y"], slice(int(world.marks))
    mark_x, mark_y = game["mark_x"][marks], -game["mark_y"][marks]
    shapes |= messages(mind, all_x, all_y, 0.008) | beliefs(mind, all_x, all_y, mark_x, mark_y, 0.012)
    shapes |= attention(mind, mark_x, mark_y, 1.5 * MARK)
    return Scene(
        (-REACH, -REACH, REACH, REACH), shapes, says, bars, names, pace=6.0 if "goal" not in mind.chances else 1
    )


def _pushes(mind: Mind, agent: int, name: str) -> list[Bars]:
    """Of a push that is shared out, what is done needs no mark."""
    wish = mind.wish("push", agent)
    if wish is None:
        return []
    if mind.action["push"].ndim == 1:
        return wishes(mind, "push", agent, PUSHES, f"{name} pushes", agent)
    return [Bars(mind.title(f"{name} pushes"), dict(zip(PUSHES, wish.tolist(), strict=True)), of=agent)]


def _push(game: Array, world: World, agent: int, mind: Mind) -> dict[str, Shape]:
    """An arrow as long as the push in the mean; by worth, towards what is worth most."""
    wish = mind.wish("push", agent)
    if wish is None:
        return {}
    wish = np.eye(len(PUSHES))[wish.argmax()] if mind.worths else wish
    x, y = float(game["x"][agent]), -float(game["y"][agent])
    dx, dy = float(wish[EAST] - wish[WEST]), -float(wish[NORTH] - wish[SOUTH])
    far = float(np.hypot(dx, dy))
    if far < FAINTEST:
        return {}
    start = float(world.radius[agent]) / far
    to = x + dx * (start + AHEAD), y + dy * (start + AHEAD)
    return {f"wants {agent}": Line(x, y, *to, "wish", 0.022, 1, layer="wants", of=agent)}


def _goals(game: Array, agent: int, mind: Mind) -> dict[str, Shape]:
    """A line to each landmark, as strong as it is likely to be gone to."""
    wish = mind.wish("goal", agent)
    if wish is None:
        return {}
    x, y = float(game["x"][agent]), -float(game["y"][agent])
    return {
        f"wants {agent} {mark}": Line(
            x, y, float(game["mark_x"][mark]), -float(game["mark_y"][mark]), "wish", 0.008 + 0.012 * float(wish[mark]),
            layer="wants", of=agent, strength=float(np.sqrt(wish[mark])),
        )
        for mark in np.flatnonzero(wish >= FAINTEST).tolist()
    }  # fmt: skip
