"""Recipes made so small that an iteration takes no time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from velodrome.recipes import find
from velodrome.runs.settings import differences, settings_to_json

TOY = f"{Path(__file__).parent / 'toys.py'}:meadow"
SMALL = {"games": 8, "batch": 64, "minibatch": 32, "epochs": 2, "imitate": 2, "warm_up": 1, "memory": 250, "rows": 13}
"""What a setting of this name is, wherever it occurs."""


def small(settings: Any) -> Any:
    """These settings with everything in them made small."""
    changed = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = small(value)
        elif field.name in SMALL:
            changed[field.name] = SMALL[field.name]
    return dataclasses.replace(settings, **changed)


def flags_for(default: Any, wanted: Any) -> list[str]:
    """The flags that turn the settings `default` into `wanted`."""
    flags: list[str] = []
    for name, _, value in differences(settings_to_json(default), settings_to_json(wanted)):
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            head, _, last = flag.rpartition(".")
            flags.append(f"--{flag}" if value else f"--{head}{'.' if head else ''}no-{last}")
        else:
            flags += [f"--{flag}", *(str(item) for item in (value if isinstance(value, list) else [value]))]
    return flags


def small_flags(recipe: str) -> list[str]:
    """The flags that make a recipe small."""
    default = find(recipe).settings()
    return flags_for(default, small(default))
