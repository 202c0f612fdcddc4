"""What the records of the repository say. They lie outside the package: an installation without a checkout has none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[3] / "benchmarks" / "results"


class NoRecord(Exception):
    """A record that has not been made, or is not here; the text says which."""


def record(name: str) -> dict[str, Any]:
    """The record benchmarks/results/NAME.json."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise NoRecord(f"it takes the record benchmarks/results/{path.name}, which is not here")
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def row(name: str, key: str = "figures", **wanted: Any) -> dict[str, Any]:
    """The first row of a record's list that has the wanted values."""
    rows: list[dict[str, Any]] = record(name)[key]
    for each in rows:
        if all(each.get(column) == value for column, value in wanted.items()):
            return each
    raise NoRecord(f"the record {name}.json has no row with {wanted}")


def taken(found: Mapping[str, Any]) -> str:
    """When and on what machine a record was made."""
    return f"measured {str(found['date'])[:10]} on {found['machine']['cpu']}"
