"""How a position is drawn: shapes on a board, bars beside it, and a line that says how the game stands.

A game gives a `Scene` of each position (`Game.scene`). Shapes have names, and one of the same name in the next position
is the same thing, which has moved there: whoever shows scenes one after the other can let it glide. Coordinates are the
game's own, with y growing downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layer = Literal["ground", "looks", "sees", "believes", "tells", "wants", "things"]
"""What a shape belongs to, the lowest layer first: the board; what the net attends to, sees, believes that others want,
tells others and wants; and everything that there is."""
EVERYONE = -1
FAINTEST, LIKELY = 0.02, 0.25
"""Whatever is less likely is not drawn; of beliefs and looks, of which each has many."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Something on the board. Colours are names of the page's palette, or of CSS."""

    layer: Layer = "things"
    of: int = EVERYONE
    """The seat that it tells of."""
    strength: float = 1.0
    """How opaque it is."""


@dataclass(frozen=True)
class Disc(Shape):
    """A disc, or a ring, with a text in it."""

    x: float
    y: float
    radius: float
    colour: str
    text: str = ""
    hollow: int = 0
    """1 for a ring, 2 for a broken one."""


@dataclass(frozen=True)
class Line(Shape):
    """A straight line, perhaps with an arrow's head; `bow` is how far it bends aside, as a part of its length."""

    x: float
    y: float
    to_x: float
    to_y: float
    colour: str
    width: float
    arrow: int = 0
    bow: float = 0.0


@dataclass(frozen=True)
class Box(Shape):
    """A rectangle around its middle, turned by an angle in degrees."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    angle: float = 0.0
    round: float = 0.0
    """The radius of its corners."""
    hollow: int = 0


@dataclass(frozen=True)
class Wedge(Shape):
    """A sector of a disc, to both sides of an angle."""

    x: float
    y: float
    radius: float
    angle: float
    half: float
    colour: str


@dataclass(frozen=True)
class Dart(Shape):
    """A ship that points somewhere."""

    x: float
    y: float
    radius: float
    angle: float
    colour: str


@dataclass(frozen=True)
class Bar(Shape):
    """How much is left of something, on a bar around its middle."""

    x: float
    y: float
    width: float
    height: float
    share: float
    colour: str


@dataclass(frozen=True)
class Text(Shape):
    """Words around a point."""

    x: float
    y: float
    size: float
    text: str
    colour: str = "ink"
    bold: int = 0


@dataclass(frozen=True)
class Card(Shape):
    """A playing card around its middle; it lies face down for whoever should not see it."""

    x: float
    y: float
    width: float
    angle: float
    rank: str
    suit: str
    face: int = 1
    chance: float = EVERYONE
    """With which it is chosen, if it may be."""
    chosen: int = 0


@dataclass(frozen=True)
class Tiles(Shape):
    """A grid of equal tiles from a corner on, `values` row by row: each a number of a colour of the palette; without a
    palette, how little light falls on it, in percent."""

    x: float
    y: float
    width: float
    height: float
    columns: int
    values: bytes
    palette: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bars:
    """What is said of several possibilities, each with its share."""

    title: str
    shares: Mapping[str, float]
    chosen: Sequence[str] = ()
    of: int = EVERYONE
    colours: Sequence[str] = ("own",)
    """Of each, or of all."""


@dataclass(frozen=True)
class Scene:
    """A position."""

    bounds: tuple[float, float, float, float]
    """Left, top, right and bottom of what is shown."""
    shapes: Mapping[str, Shape]
    says: str
    """How the game stands, in a line."""
    bars: Sequence[Bars] = ()
    seats: Sequence[str] = ()
    """What each seat is called."""
    pace: float = 4.0
    """Positions a second."""
    glide: float = 1.0
    """The part of the time to the next position in which things move."""


@dataclass(frozen=True)
class Mind:
    """What the players of one game do in a position, and what their nets say of it. Nothing of what nobody says."""

    action: Mapping[str, Array] = field(default_factory=dict)
    """What is done, `{part: array[K, ...]}`."""
    chances: Mapping[str, Array] = field(default_factory=dict)
    """How likely what is, `{part: array[K, n]}`: of choices and of bits the chance of each, of shares and numbers the
    middle. NaN in rows that decide nothing."""
    worths: bool = False
    """Whether these are no chances, but what each is worth, from the least to the most."""
    told: Array | None = None
    """Whom each seat tells something, `[seats, seats]`."""
    more: Mapping[str, Array] = field(default_factory=dict)
    """Whatever else a net gives, `[K, ...]` by name."""
    looks: Mapping[str, Array] = field(default_factory=dict)
    """Where a net looks, `[K, ...]` by name."""

    def wish(self, part: str, row: int) -> Array | None:
        """The chances of a part of the action in a row, if there are any."""
        if part not in self.chances or np.isnan(self.chances[part][row]).any():
            return None
        found: Array = self.chances[part][row]
        return found

    def title(self, what: str) -> str:
        """Of bars that show chances."""
        return f"{what}, by worth" if self.worths else what


NOTHING_SAID = Mind()


def wishes(mind: Mind, part: str, row: int, names: Sequence[str], title: str, who: int = EVERYONE) -> list[Bars]:
    """The bars of a choice or of bits: whatever is likely enough, and what is done."""
    wish = mind.wish(part, row)
    if wish is None:
        return []
    does = mind.action[part][row]
    done = set(np.flatnonzero(does).tolist()) if np.ndim(does) else {int(does)}
    shares = {name: float(wish[i]) for i, name in enumerate(names) if wish[i] >= FAINTEST or i in done}
    return [Bars(mind.title(title), shares, [names[i] for i in sorted(done)], who)]


def messages(mind: Mind, x: Array, y: Array, width: float, bow: float = 0.15) -> dict[str, Shape]:
    """Arrows from each seat to those that it tells something."""
    if mind.told is None:
        return {}
    return {
        f"tells {a} {b}": Line(
            x[a], y[a], x[b], y[b], "message", width, 1, bow, layer="tells", of=a, strength=float(mind.told[a, b])
        )
        for a, b in np.argwhere(mind.told >= FAINTEST).tolist()
        if a != b
    }


def attention(mind: Mind, x: Array, y: Array, radius: float) -> dict[str, Shape]:
    """Rings around what each seat attends to, the stronger the more; another radius for each seat."""
    if "attention" not in mind.looks:
        return {}
    weights = np.nan_to_num(mind.looks["attention"][:, : len(x)])
    weights = weights / np.maximum(weights.max(1, keepdims=True), FAINTEST)
    return {
        f"looks {a} {thing}": Disc(
            x[thing], y[thing], radius * (1 + 0.3 * a), "look", hollow=1, layer="looks", of=a,
            strength=float(weights[a, thing]),
        )
        for a, thing in np.argwhere(weights >= LIKELY).tolist()
    }  # fmt: skip


def beliefs(mind: Mind, x: Array, y: Array, to_x: Array, to_y: Array, width: float) -> dict[str, Shape]:
    """What each seat believes that the others go for: lines from them to it, as strong as it is likely."""
    if "believes" not in mind.more:
        return {}
    return {
        f"believes {a} {b} {to}": Line(
            x[b], y[b], to_x[to], to_y[to], "belief", width, layer="believes", of=a,
            strength=float(mind.more["believes"][a, b, to]),
        )
        for a, b, to in np.argwhere(mind.more["believes"] >= LIKELY).tolist()
        if a != b
    }  # fmt: skip


def of_views(
    views: Mapping[str, Array], mind: Mind, parts: Mapping[str, int], says: str, seats: Sequence[str]
) -> Scene:
    """A scene of a game that declares none: the numbers that each row sees, `[K, ...]` by name, as bars to both sides
    of a line; at most the first of them. `parts` are the parts of the action, each with how many numbers it is."""
    most, wide, row_high = 24, 96.0, 16.0
    shapes: dict[str, Shape] = {}
    bars: list[Bars] = []
    for row in range(len(seats)):
        seen = np.concatenate([np.ravel(view[row]).astype(np.float64) for view in views.values()])[:most]
        middle, each = (row + 0.5) * row_high, wide / max(len(seen), 1)
        shapes[f"line {row}"] = Line(0, middle, wide, middle, "rule", 0.2, layer="ground")
        for i, value in enumerate(seen.tolist()):
            high = 0.45 * row_high * np.tanh(value)
            place = (i + 0.5) * each, middle - 0.5 * high
            shapes[f"{row} {i}"] = Box(*place, 0.7 * each, max(abs(high), 0.2), "own" if value >= 0 else "second")
        for part, n in parts.items():
            bars += wishes(mind, part, row, [str(i) for i in range(n)], part, row)
    return Scene((-2, 0, wide + 2, len(seats) * row_high), shapes, says, bars, seats)
