"""The geometry of the report's charts: where lines, ticks and labels stand, as percentages of a plot area.

Lines are drawn by an SVG that stretches with the page, labels are text beside it: so a chart fills a phone and
a desk alike and its type keeps its size. How it looks is the templates' business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

PHASE_COLOURS = {
    "warm-up": "#c3c8ce",
    "compile": "#636c76",
    "collect.infer": "#1d5a99",
    "collect.communicate": "#2f9bc4",
    "collect.comprehend": "#7fc4dd",
    "collect.step": "#5a93d1",
    "collect.encode": "#9cc3ea",
    "learn.sample": "#f5d08a",
    "learn.forward": "#eda942",
    "learn.communicate": "#b98d4f",
    "learn.comprehend": "#dcc39a",
    "learn.backward": "#d9701e",
    "learn.optimize": "#9c420f",
    "sync": "#8467b3",
    "wait": "#b3a6cc",
    "evaluate": "#2d8a7b",
    "save": "#8fc9ae",
    "unaccounted": "#8d949c",
}
"""Blue collects, orange learns, violet waits for others, green keeps house. The two big families differ in hue and
their members in lightness, so that no kind of colour blindness merges neighbours."""

_OTHER_COLOURS = ("#a8456e", "#cf86a4", "#6f7f3a", "#a9b56d", "#5d6c8a")
"""For phases that users name themselves."""

_MOST_POINTS = 300
"""A line holds no more points than this: a page about a long run stays small."""


def phase_colour(name: str) -> str:
    """The colour of a phase, the same in every run and on every page."""
    for known in (name, name.split(".")[0]):
        if known in PHASE_COLOURS:
            return PHASE_COLOURS[known]
    return _OTHER_COLOURS[sum(name.encode()) % len(_OTHER_COLOURS)]


@dataclass(frozen=True)
class Series:
    """Values over x, with an optional half-width of their interval."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    half: Sequence[float] = ()
    dots: bool = False


@dataclass(frozen=True)
class Tick:
    """A label at a percentage of the way along its axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A series as SVG paths in a box of 100 by 100, and its dots."""

    name: str
    path: str
    band: str
    dots: list[tuple[float, float]]
    style: int


@dataclass(frozen=True)
class Level:
    """A horizontal reference line; its label may stand a little off the line where two would collide."""

    name: str
    at: float
    label_at: float


@dataclass(frozen=True)
class Chart:
    """One chart, ready to be drawn, with the rows of the table that stands in for it."""

    title: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    levels: list[Level]
    says: str
    """What the chart shows, in words."""
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Scale:
    """Maps values between `low` and `high` to 0..100."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Where `value` stands."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


def number(value: float) -> str:
    """Three significant digits, thousands set apart, no exponent where a person would write none."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("infinite" if value > 0 else "minus infinite")
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e15:
        return f"{value:.2e}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` round numbers that span low..high."""
    if not high > low:
        low, high = low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1)
    rough = (high - low) / (most - 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 2.5, 5, 10, 20):
        size = factor * unit
        first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
        if last - first < most:
            break
    return [round(index * size, 12) for index in range(first, last + 1)]


def line_chart(
    title: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    levels: Sequence[tuple[str, float]] = (),
    says: str = "",
    from_zero: bool = False,
) -> Chart | None:
    """Lay out a line chart from x = 0; None where no series has a finite point."""
    kept = [thin(finite(one)) for one in series]
    kept = [one for one in kept if len(one.x)]
    if not kept:
        return None
    ys = [y for one in kept for y in _reach(one)] + [value for _, value in levels] + ([0.0] if from_zero else [])
    xs = [0.0] + [x for one in kept for x in one.x]
    x_ticks, y_ticks = nice_ticks(min(xs), max(xs)), nice_ticks(min(ys), max(ys), most=5)
    across = Scale(min(xs), max(xs) if max(xs) > min(xs) else x_ticks[-1])
    up = Scale(y_ticks[0], y_ticks[-1])
    return Chart(
        title=title,
        x_label=x_label,
        y_label=y_label,
        x_ticks=[tick for tick in _ticks(x_ticks, across) if tick.at <= 100.01],
        y_ticks=_ticks(y_ticks, up),
        lines=[_line(one, across, up, style) for style, one in enumerate(kept)],
        levels=_levels(levels, up),
        says=says,
        head=[x_label, *(one.name for one in kept)],
        rows=_table(kept),
    )


def finite(series: Series) -> Series:
    """The series without points that are not numbers."""
    half = list(series.half) or [0.0] * len(series.x)
    points = [p for p in zip(series.x, series.y, half, strict=True) if all(map(math.isfinite, p))]
    return _with(series, points)


def thin(series: Series, most: int = _MOST_POINTS) -> Series:
    """At most `most` points, evenly chosen, the first and the last among them."""
    if len(series.x) <= most:
        return series
    half = list(series.half) or [0.0] * len(series.x)
    chosen = [round(i * (len(series.x) - 1) / (most - 1)) for i in range(most)]
    return _with(series, [(series.x[i], series.y[i], half[i]) for i in chosen])


def _ticks(values: Sequence[float], scale: Scale) -> list[Tick]:
    """Labels with as many digits as tell neighbours apart."""
    step = values[1] - values[0]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += round(step * 10**digits, 6) % 1 > 0  # a step of 2.5 of its unit
    texts = [f"{value:,.{digits}f}" if 1e-6 < step < 1e9 else f"{value:.3g}" for value in values]
    return [Tick(scale(value), text) for value, text in zip(values, texts, strict=True)]


def _with(series: Series, points: list[tuple[float, float, float]]) -> Series:
    half = [p[2] for p in points] if series.half else []
    return Series(series.name, [p[0] for p in points], [p[1] for p in points], half, series.dots)


def _reach(series: Series) -> list[float]:
    half = list(series.half) or [0.0] * len(series.y)
    return [edge for y, h in zip(series.y, half, strict=True) for edge in (y - h, y + h)]


def _line(series: Series, across: Scale, up: Scale, style: int) -> Line:
    points = [(across(x), round(100 - up(y), 2)) for x, y in zip(series.x, series.y, strict=True)]
    band = ""
    if series.half:
        over = [(across(x), 100 - up(y + h)) for x, y, h in zip(series.x, series.y, series.half, strict=True)]
        under = [(across(x), 100 - up(y - h)) for x, y, h in zip(series.x, series.y, series.half, strict=True)]
        band = _path(over + under[::-1]) + "Z"
    return Line(series.name, _path(points), band, points if series.dots else [], style)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points)


def _levels(levels: Sequence[tuple[str, float]], up: Scale, apart: float = 9.0) -> list[Level]:
    placed: list[Level] = []
    for name, value in sorted(levels, key=lambda level: level[1]):
        at = up(value)
        label_at = max(at, placed[-1].label_at + apart) if placed else at
        placed.append(Level(f"{name} {number(value)}", at, label_at))
    return placed


def _table(series: Sequence[Series], most: int = 12) -> list[list[str]]:
    """The stand-in for a chart: a dozen of its x with the value of each series there."""
    thinned = [thin(one, most) for one in series]
    values = [dict(zip(one.x, one.y, strict=True)) for one in series]
    rows = [[number(x), *(number(each[x]) if x in each else "" for each in values)] for x in thinned[0].x]
    return rows


@dataclass(frozen=True)
class Mark:
    """A value with its interval on a strip."""

    name: str
    at: float
    low: float
    high: float
    text: str
    style: int
    """0 for the agent itself, another number for each player it is held against."""


@dataclass(frozen=True)
class Strip:
    """Values side by side on one scale."""

    name: str
    marks: list[Mark]


def strips(rows: Sequence[tuple[str, Sequence[tuple[str, float, float, int]]]]) -> tuple[list[Strip], list[Tick]]:
    """Lay out rows of `(name, value, half-width, style)` on one scale."""
    values = [edge for _, marks in rows for _, value, half, _ in marks for edge in (value - half, value + half)]
    ticks = nice_ticks(min(values), max(values))
    scale = Scale(ticks[0], ticks[-1])

    def mark(name: str, value: float, half: float, style: int) -> Mark:
        return Mark(name, scale(value), scale(value - half), scale(value + half), number(value), style)

    laid = [Strip(name, [mark(*one) for one in marks]) for name, marks in rows]
    return laid, _ticks(ticks, scale)
