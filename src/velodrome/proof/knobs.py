"""Settings that bear on speed, by name: what turning one changes, and what to try.

A recipe, ours or anyone's, names its settings as here where they mean the same, and is tuned without a word more. A
choice (a switch, a `Literal`) is tried with every other value but those that are known to be worse, a number with the
factors given here.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from velodrome.proof.guard import KINDS, Kind

THREADS = "threads"
"""Not a setting of a recipe but of the process: torch's threads for one operation."""


@dataclass(frozen=True)
class Knob:
    """A setting that bears on speed."""

    kind: Kind
    """How far turning it goes, at most; the trial may find that it goes less far."""
    factors: tuple[float, ...] = ()
    """What a number is multiplied by."""
    touches: tuple[str, ...] = ("",)
    """The phases that may move when it is turned, by how their names begin."""
    worse: tuple[Any, ...] = ()
    """Values that are mended, and so never tried."""
    rate_power: float = 0.0
    """Where there is a learning rate beside it, that is multiplied by the factor to this power."""


_NET = ("collect.infer", "collect.encode", "learn")
KNOBS = {
    "games": Knob("algorithmic", (4, 2, 0.5, 0.25)),
    "minibatch": Knob("algorithmic", (4, 16, 2), rate_power=0.5),
    "epochs": Knob("algorithmic", (0.5,)),
    "accumulate": Knob("numeric", (0.5, 0.25), ("learn",)),
    "lanes": Knob("algorithmic", (2, 0.5)),
    "workers": Knob("algorithmic", (2, 0.5)),
    THREADS: Knob("numeric", (0.125, 0.25, 0.5)),
    "precision": Knob("numeric", touches=_NET, worse=("float32", "highest")),
    "compile": Knob("numeric", touches=_NET, worse=(False,)),
    "fused": Knob("numeric", touches=("learn",), worse=(False,)),
    "optimizer": Knob("numeric", touches=("learn",)),
    "attention": Knob("numeric", touches=_NET, worse=("spelt",)),
    "every_agent": Knob("numeric", touches=_NET, worse=("loop",)),
    "candidates": Knob("numeric", touches=_NET, worse=("loop",)),
    "steps": Knob("numeric", touches=("collect", "learn"), worse=("loop",)),
    "layout": Knob("numeric", touches=_NET, worse=("contiguous",)),
    "positions": Knob("exact", touches=_NET, worse=("copied",)),
    "tables": Knob("exact", touches=_NET, worse=("copied",)),
    "acting": Knob("exact", touches=("collect",), worse=("recorded",)),
    "slow_targets": Knob("exact", touches=("collect", "learn"), worse=("every epoch",)),
    "reads": Knob("exact", touches=("collect", "learn"), worse=("each",)),
    "keep_memory": Knob("exact", worse=(False,)),
    "share_out": Knob("exact", worse=("blocks",)),
    "input": Knob("numeric", touches=_NET, worse=("dense",)),
    "observation": Knob("algorithmic"),
    "forced": Knob("algorithmic", worse=("asked",)),
    "dead": Knob("numeric", touches=_NET, worse=(True,)),
    "net": Knob("algorithmic"),
    "width": Knob("algorithmic", (0.5, 0.25)),
    "widths": Knob("algorithmic"),
    "layers": Knob("algorithmic", (0.5,)),
    "heads": Knob("algorithmic", (0.5,)),
}
"""By the last part of a setting's dotted name."""


def knob_of(name: str) -> Knob | None:
    """The knob that a dotted setting is."""
    return KNOBS.get(name.rpartition(".")[2])


def kind_of(changed: list[str]) -> Kind:
    """How far a change of these settings goes: what is not known here may change the learning."""
    kinds = [knob.kind if (knob := knob_of(name)) else "algorithmic" for name in changed]
    return max(kinds, key=KINDS.index, default="exact")


def touched_by(changed: list[str]) -> tuple[str, ...]:
    """The phases that may move when these settings change, by how their names begin."""
    knobs = [knob_of(name) for name in changed]
    return tuple(dict.fromkeys(phase for knob in knobs for phase in (knob.touches if knob else ("",))))


def values(settings: Any) -> Iterator[tuple[str, Any, list[Any]]]:
    """`(dotted name, value, other values to try)` of every knob that a settings dataclass has."""
    yield from _values(settings, "")


def _values(settings: Any, prefix: str) -> Iterator[tuple[str, Any, list[Any]]]:
    hints = get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _values(value, f"{name}.")
        elif (knob := knob_of(name)) is not None:
            others = [other for other in _others(hints[field.name], value, knob) if other != value]
            yield name, value, [other for other in others if other not in knob.worse]


def _others(kind: Any, value: Any, knob: Knob) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(option for option in get_args(kind) if option is not type(None))
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if isinstance(value, int):
        return [max(1, round(value * factor)) for factor in knob.factors]
    if isinstance(value, tuple) and value and all(isinstance(each, int) for each in value):
        return [tuple(max(1, each // 2) for each in value)]
    return []
