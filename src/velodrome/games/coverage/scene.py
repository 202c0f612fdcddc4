"""How coverage is drawn."""

from __future__ import annotations

import numpy as np

from velodrome.games.coverage.rules import HALF_VIEW, RANGE, covered
from velodrome.games.game import Array
from velodrome.games.scene import (
    FAINTEST,
    Bars,
    Disc,
    Line,
    Mind,
    Scene,
    Shape,
    Wedge,
    attention,
    beliefs,
    messages,
    wishes,
)

MARGIN = 450.0
"""How much is shown around the sensors, at least."""
SENSOR, TARGET = 42.0, 24.0


def scene_of(game: Array, sensors: int, targets: int, longest: int, mind: Mind) -> Scene:
    """Sensors and what they have in view, obstacles, targets, what each sensor wants to track, and whom it tells."""
    x, y = game["x"][:sensors], -game["y"][:sensors]
    seen = [any(covered(game, i, j) for i in range(sensors)) for j in range(targets)]
    shapes: dict[str, Shape] = {}
    for k in range(sensors - 1):
        at = float(game["block_x"][k]), -float(game["block_y"][k])
        shapes[f"obstacle {k}"] = Disc(*at, float(game["block_radius"][k]), "obstacle", layer="ground")
    for j in range(targets):
        colour = "good" if seen[j] else "second"
        at = float(game["target_x"][j]), -float(game["target_y"][j])
        shapes[f"target {j}"] = Disc(*at, TARGET, colour, str(j))
    bars: list[Bars] = []
    names = [f"target {j}" for j in range(targets)]
    for i in range(sensors):
        shapes |= _sensor(game, i) | _wants(game, i, mind)
        bars += wishes(mind, "track", i, names, f"sensor {i} tracks", i)
    shapes |= messages(mind, x, y, 14)
    target_x, target_y = game["target_x"][:targets], -game["target_y"][:targets]
    shapes |= beliefs(mind, x, y, target_x, target_y, 8)
    shapes |= attention(mind, target_x, target_y, 1.5 * TARGET)
    says = f"decision {game['time']} of {longest}: {sum(seen)} of {targets} targets in view"
    if game["time"]:
        says += f", {100 * game['returned'] / game['time']:.0f} % in the mean"
    beyond = MARGIN - 4 * TARGET
    all_x = np.concatenate([x - beyond, x + beyond, target_x])
    all_y = np.concatenate([y - beyond, y + beyond, target_y])
    edge = 4 * TARGET
    bounds = all_x.min() - edge, all_y.min() - edge, all_x.max() + edge, all_y.max() + edge
    return Scene(bounds, shapes, says, bars, [f"sensor {i}" for i in range(sensors)], pace=3.0)


def _sensor(game: Array, i: int) -> dict[str, Shape]:
    x, y, angle = float(game["x"][i]), -float(game["y"][i]), -float(game["heading"][i])
    return {
        f"view {i}": Wedge(x, y, RANGE, angle, HALF_VIEW, "own", layer="ground", strength=0.13),
        f"range {i}": Disc(x, y, RANGE, "own", hollow=2, layer="sees", of=i, strength=0.6),
        f"sensor {i}": Disc(x, y, SENSOR, "own", str(i), of=i),
    }


def _wants(game: Array, i: int, mind: Mind) -> dict[str, Shape]:
    """A line to each target, as strong as it is likely to be tracked."""
    wish = mind.wish("track", i)
    if wish is None:
        return {}
    x, y = float(game["x"][i]), -float(game["y"][i])
    return {
        f"wants {i} {j}": Line(
            x, y, float(game["target_x"][j]), -float(game["target_y"][j]), "wish", 6.0 + 8.0 * float(wish[j]),
            layer="wants", of=i, strength=float(wish[j]),
        )
        for j in np.flatnonzero(wish >= FAINTEST).tolist()
    }  # fmt: skip
