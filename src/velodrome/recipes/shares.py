"""What of a recipe's settings is each worker's where several learn one net together."""

from __future__ import annotations

import dataclasses
from typing import Any


def share_of(settings: Any, workers: int) -> Any:
    """These settings as each of so many workers has them. The games are shared out, and of an algorithm's settings
    those that its `SHARED` names, rounded up: all workers together do what one would."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = share_of(value, workers)
        elif field.name == "games":
            if value % workers:
                raise ValueError(
                    f"games {value} cannot be shared out among {workers} workers; give --games {_near(value, workers)}"
                )
            changed["games"] = value // workers
        elif field.name in getattr(settings, "SHARED", ()):
            changed[field.name] = -(-value // workers)
    return dataclasses.replace(settings, **changed)


def _near(games: int, workers: int) -> int:
    return max(1, round(games / workers)) * workers
