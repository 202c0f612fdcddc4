"""How a platoon is drawn: the road as who leads it sees it pass, and under each vehicle how it keeps gap and speed."""

from __future__ import annotations

import math

import numpy as np

from velodrome.games.game import Array
from velodrome.games.platoon.rules import BRAKING, GAP, SPEED, STEP, leader_speed
from velodrome.games.scene import Bars, Box, Line, Mind, Scene, Shape, Text, messages, wishes

LONG, WIDE, LANE = 4.6, 4.2, 9.0
"""Of a vehicle and of its lane, in metres; vehicles are drawn twice as wide as they are."""
AHEAD, MARKS = 14.0, 25.0
"""How much road is shown ahead of the leader, and how far marks beside it are from each other."""
TALL = 15.0
"""Of a bar that shows twice what is to be kept."""
HEEDS = ("neither", "the gap", "the speed ahead", "both")


def scene_of(game: Array, n: int, hold: int, longest: int, mind: Mind) -> Scene:
    """The line of vehicles behind its leader, gaps and speeds, and what each heeds."""
    gaps, speeds = game["gap"][:n], game["speed"][:n]
    x = -np.cumsum(gaps)
    now = int(game["crashed"]) or int(game["time"])
    back = -max(n * 1.35 * GAP, n * GAP + 30.0)
    shapes = _road(travelled(game, now), back)
    lead = float(leader_speed(game, now))
    shapes["leader"] = Box(-LONG / 2, 0, LONG, WIDE, "hollow", round=1.2)
    shapes["leader's speed"] = Text(-LONG / 2, -6.6, 3.0, f"{lead:.0f} m/s", "quiet")
    for row, (what, shade) in enumerate((("gap, m", "wish"), ("speed, m/s", "shield"))):
        shapes[f"key {row}"] = Text(back + 16, LANE / 2 + 14 + 5 * row, 3.6, what, shade, 1)
    bars: list[Bars] = []
    for i in range(n):
        shapes |= _vehicle(float(x[i]), float(gaps[i]), float(speeds[i]), i, int(game["crashed"]) > 0)
        bars += wishes(mind, "heed", i, HEEDS, f"vehicle {i} heeds", i)
    shapes |= messages(mind, x - LONG / 2, np.full(n, -WIDE / 2), 0.35, bow=0.35)
    says = f"second {game['time'] * STEP:.1f} of {longest * hold * STEP:.0f}"
    if game["crashed"]:
        says += f": crashed after {game['crashed'] * STEP:.1f} s"
    elif game["time"]:
        says += f": mean reward of a step {game['returned'] / game['time']:.1f}"
    seats = [f"vehicle {i}" for i in range(n)]
    return Scene((back, -22, AHEAD, 42), shapes, says, bars, seats, pace=1 / (hold * STEP))


def travelled(game: Array, now: int) -> float:
    """How far the leader has come after so many steps."""
    steps = np.arange(now)
    first = float(game["first_speed"])
    return float((first + (SPEED - first) * np.minimum((steps + 0.5) / BRAKING, 1.0)).sum() * STEP)


def _road(way: float, back: float) -> dict[str, Shape]:
    """Its marks pass as the leader moves on; each has a number of its own."""
    middle, length = (back + AHEAD) / 2, AHEAD - back
    shapes: dict[str, Shape] = {"road": Box(middle, 0, length, LANE, "road", layer="ground")}
    for mark in range(math.ceil((way + back) / MARKS), math.floor((way + AHEAD) / MARKS) + 1):
        at = mark * MARKS - way
        for side in (-1, 1):
            shapes[f"mark {mark} {side}"] = Box(at, side * (LANE / 2 - 0.5), 6, 0.35, "on-road", layer="ground")
    return shapes


def _vehicle(x: float, gap: float, speed: float, i: int, crashed: bool) -> dict[str, Shape]:
    """Bars grow down from lines at twice what is to be kept; the mark across is what is to be kept."""
    colour = "bad" if crashed else "own"
    middle, under = x - LONG / 2, LANE / 2 + 8.0
    found: dict[str, Shape] = {
        f"vehicle {i}": Box(middle, 0, LONG, WIDE, colour, round=1.2, of=i),
        f"number {i}": Text(middle, 0, 2.8, str(i), "on-own", 1),
    }
    for aside, what, value, wanted in ((-2.4, "gap", gap, GAP), (2.4, "speed", speed, SPEED)):
        high = TALL * min(value / wanted, 2.0) / 2
        at = middle + aside
        shade = "wish" if what == "gap" else "shield"
        found[f"{what} {i}"] = Box(at, under + TALL - high / 2, 3.4, max(high, 0.1), shade)
        found[f"{what} text {i}"] = Text(at, under + TALL + 2.6, 2.6, f"{value:.0f}", "ink")
        found[f"{what} wanted {i}"] = Line(at - 2.2, under + TALL / 2, at + 2.2, under + TALL / 2, "ink", 0.35)
    return found
