"""Velodrome trains game-playing agents fast, accounts for every millisecond, and keeps only what is proven."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from velodrome.edge.export import export as export
    from velodrome.edge.observe import observe as observe
    from velodrome.games import make as make
    from velodrome.meter.card import card as card
    from velodrome.meter.clock import Clock as Clock
    from velodrome.meter.machine import machine as machine
    from velodrome.recipes.shipped import load as load

__version__ = "0.1.0"

_OFFERED = {
    "Clock": "velodrome.meter.clock",
    "card": "velodrome.meter.card",
    "export": "velodrome.edge.export",
    "load": "velodrome.recipes.shipped",
    "machine": "velodrome.meter.machine",
    "make": "velodrome.games",
    "observe": "velodrome.edge.observe",
}
"""What `velodrome.NAME` stands for. Imported when first asked for: torch and Numba take seconds."""


def __getattr__(name: str) -> Any:
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])
