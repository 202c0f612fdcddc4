"""Figures as a person says them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from velodrome.show.charts import number


def said(value: bool | int | float | str | None) -> str:
    """A value of any kind; nothing of none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else value


def duration(seconds: float) -> str:
    """A length of time in the units of everyday."""
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds >= 1 else short(seconds)
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def short(seconds: float) -> str:
    """A length of time under a second, in the largest unit that leaves digits before the point."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def measured(value: float, half: float) -> str:
    """A value with half its interval, both to the two digits of the interval that mean something."""
    if not (math.isfinite(value) and math.isfinite(half) and half > 0):
        return f"{value:.3g}"
    digits = min(6, max(0, 1 - math.floor(math.log10(half))))
    return f"{value:,.{digits}f} ± {half:,.{digits}f}"


def share(fraction: float) -> str:
    """A fraction as a percentage with about two digits that mean something."""
    percent = 100 * fraction
    if 0 < percent < 0.005:
        return "under 0.01 %"
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.1f} %" if percent >= 0.095 else f"{percent:.2f} %"


def amount(count: float) -> str:
    """A count, large ones in millions and billions."""
    for word, size in (("billion", 1e9), ("million", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return f"{round(count):,}"


def size(count: float) -> str:
    """A number of bytes."""
    for word, unit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= unit:
            return f"{count / unit:.3g} {word}"
    return f"{round(count)} bytes"


def several(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{amount(count)} {noun}" if count != 1 else f"1 {noun.removesuffix('s')}"


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence, the last one joined by `and`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
