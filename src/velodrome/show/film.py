"""Games as films: every position as the scene that the game makes of it, with what the players' nets say, small enough
to be laid into a page.

A shape is written once with what never changes of it; the rest are columns of whole numbers, each the difference from
the one before. Lengths are told to one part in 4,096 of the board.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from velodrome.games.scene import Bars, Layer, Scene, Shape, Tiles

Coded = dict[str, Any]
STEPS = 4096
"""Along the longer side of a board."""
LENGTHS = {"x", "y", "to_x", "to_y", "radius", "width", "height", "size", "round"}
SHARES = {"strength", "share", "chance", "bow"}
HUNDREDTH = 0.01
LAYERS: tuple[str, ...] = get_args(Layer)


class Film:
    """One game, position by position."""

    def __init__(self) -> None:
        self.scenes: list[Scene] = []
        self.earned: list[float] = []
        """Up to each position, by whoever is watched."""
        self.end = ""

    def add(self, scene: Scene, earned: float) -> None:
        """The next position."""
        self.scenes.append(scene)
        self.earned.append(earned)

    def to_json(self) -> Coded:
        """As the page's player reads it."""
        first, bounds = self.scenes[0], bounds_of(self.scenes)
        quantum = max(bounds[2] - bounds[0], bounds[3] - bounds[1]) / STEPS
        return {
            "bounds": [float(edge) for edge in bounds],
            "scales": {name: scale_of(name, quantum) for name in sorted(LENGTHS | SHARES)},
            "frames": len(self.scenes),
            "pace": first.pace,
            "glide": first.glide,
            "seats": list(first.seats),
            "layers": LAYERS,
            "shapes": shapes_of(self.scenes, quantum),
            "bars": bars_of(self.scenes),
            "says": [scene.says for scene in self.scenes],
            "earned": [float(f"{earned:.5g}") for earned in self.earned],
            "end": self.end,
        }


def bounds_of(scenes: Sequence[Scene]) -> tuple[float, float, float, float]:
    """What holds all that is shown."""
    edges = np.array([scene.bounds for scene in scenes], np.float64)
    (left, top), (right, bottom) = edges[:, :2].min(0).tolist(), edges[:, 2:].max(0).tolist()
    return left, top, right, bottom


def scale_of(name: str, quantum: float) -> float:
    """What one step of a field's numbers stands for."""
    return quantum if name in LENGTHS else HUNDREDTH if name in SHARES else 1.0


# -- shapes -----------------------------------------------------------------------------------------------------------


def shapes_of(scenes: Sequence[Scene], quantum: float) -> list[Coded]:
    """Every shape's life, in the order in which they are drawn."""
    names = list(dict.fromkeys(name for scene in scenes for name in scene.shapes))
    lives = {
        name: [(at, scene.shapes[name]) for at, scene in enumerate(scenes) if name in scene.shapes] for name in names
    }
    names.sort(key=lambda name: LAYERS.index(lives[name][0][1].layer))
    return [{"name": name} | life_of(lives[name], len(scenes), quantum) for name in names]


def life_of(life: Sequence[tuple[int, Shape]], frames: int, quantum: float) -> Coded:
    """One shape, where it is there: `there` holds the first of each run of positions, and how many they are."""
    kind = type(life[0][1])
    coded: Coded = {"kind": kind.__name__.lower(), "layer": LAYERS.index(life[0][1].layer), "fixed": {}, "moves": {}}
    if len(life) < frames:
        coded["there"] = runs([at for at, _ in life])
    for field in dataclasses.fields(kind):
        values = [getattr(shape, field.name) for _, shape in life]
        if field.name == "layer":
            continue
        if kind is Tiles and field.name == "values":
            coded["tiles"] = tiles_of(values)
        elif isinstance(values[0], str):
            keep(coded, field.name, values, [[value, len(list(run))] for value, run in groupby(values)])
        elif isinstance(values[0], tuple):
            coded["fixed"][field.name] = list(values[0])
        else:
            numbers = [round(float(value) / scale_of(field.name, quantum)) for value in values]
            keep(coded, field.name, numbers, differences(numbers))
    return coded


def keep(coded: Coded, name: str, values: Sequence[Any], column: list[Any]) -> None:
    """A field as one value where it never changes, as a column otherwise."""
    if all(value == values[0] for value in values):
        coded["fixed"][name] = values[0]
    else:
        coded["moves"][name] = column


def differences(numbers: Sequence[int]) -> list[int]:
    """The first, then how much each is more than the one before."""
    return [numbers[0], *(after - before for before, after in pairwise(numbers))]


def runs(places: Sequence[int]) -> list[int]:
    """Whole numbers that rise, as the first of each unbroken run and its length, one after the other."""
    found: list[int] = []
    for place in places:
        if found and place == found[-2] + found[-1]:
            found[-1] += 1
        else:
            found += [place, 1]
    return found


def tiles_of(values: Sequence[bytes]) -> list[list[int]]:
    """The first grid whole, then of each the tiles that are others: how far on from the last one, and what it is."""
    grids = [np.frombuffer(value, np.uint8) for value in values]
    return [grids[0].tolist(), *(changes(*pair) for pair in pairwise(grids))]


def changes(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> list[int]:
    """The places that differ, each told from the one before, and what is there now."""
    places = np.flatnonzero(before != after)
    steps = np.diff(places, prepend=0)
    return np.stack([steps, after[places]], 1).flatten().tolist()


# -- bars -------------------------------------------------------------------------------------------------------------


def bars_of(scenes: Sequence[Scene]) -> list[Coded]:
    """Every group of bars, position by position: `[number, share, ...]` of its names, and what was chosen; null where
    it is not there."""
    groups: dict[tuple[int, str], list[Bars | None]] = {}
    for at, scene in enumerate(scenes):
        for bars in scene.bars:
            groups.setdefault((bars.of, bars.title), [None] * len(scenes))[at] = bars
    return [group_of(of, title, group) for (of, title), group in groups.items()]


def group_of(of: int, title: str, group: Sequence[Bars | None]) -> Coded:
    """One group."""
    names: dict[str, int] = {}
    colours: dict[str, str] = {}
    frames: list[Any] = []
    for bars in group:
        if bars is None:
            frames.append(None)
            continue
        for n, name in enumerate(bars.shares):
            names.setdefault(name, len(names))
            colours.setdefault(name, bars.colours[n % len(bars.colours)])
        frames.append([shares_of(bars.shares, names), [names[name] for name in bars.chosen if name in names]])
    return {"of": of, "title": title, "names": list(names), "colours": list(colours.values()), "frames": frames}


def shares_of(shares: Mapping[str, float], names: Mapping[str, int]) -> list[int]:
    """Each name's number, and its share in tenths of a percent."""
    return [number for name, share in shares.items() for number in (names[name], round(1000 * share))]
