"""Changes: edits of a recipe's settings, proposed for causes that were found."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from velodrome.mistake import Mistake
from velodrome.proof.causes import Cause
from velodrome.proof.guard import Kind
from velodrome.proof.knobs import THREADS, knob_of, values
from velodrome.proof.processes import Setup
from velodrome.recipes.recipe import Recipe
from velodrome.runs.settings import settings_from_json, settings_to_json

TRUST: dict[Kind, float] = {"exact": 1.0, "numeric": 0.8, "algorithmic": 0.15}
"""What a predicted gain counts for, given what may go wrong, and what it takes to show that it did not."""
_RATES = ("rate", "learning_rate", "lr")


@dataclass(frozen=True)
class Change:
    """A proposed edit."""

    name: str
    """The setting's dotted name, or what a person calls it."""
    patch: Mapping[str, Any]
    """New values by dotted name."""
    before: Mapping[str, Any]
    kind: Kind
    cause: str = ""
    predicted: float = 0.0
    """The part of an iteration that it should save."""
    touches: tuple[str, ...] = ("",)
    """The phases that may move, by how their names begin."""

    @property
    def value(self) -> Any:
        """Of the setting that it is named for."""
        return self.patch.get(self.name)

    @property
    def says(self) -> str:
        """As flags."""
        return " ".join(flag_of(name, value) for name, value in self.patch.items())

    @property
    def worth(self) -> float:
        """What it is tried in the order of: predicted gain per risk."""
        return self.predicted * TRUST[self.kind]


def propose(recipe: Recipe, setup: Setup, causes: Sequence[Cause]) -> list[Change]:
    """Every knob of the recipe that bears on a cause, at every value worth trying; the most promising first."""
    settings = settings_from_json(recipe.settings, setup.settings)
    knobs = list(values(settings))
    found: dict[tuple[str, str], Change] = {}
    for cause in causes:
        for name, value, others in knobs:
            if name.rpartition(".")[2] in cause.knobs:
                for other in others:
                    if cause.mends(value, other):
                        _keep_best(found, _change(cause, setup, name, value, other))
        if THREADS in cause.knobs and all(name.rpartition(".")[2] != THREADS for name, _, _ in knobs):
            knob = knob_of(THREADS)
            assert knob is not None
            change = Change(THREADS, {THREADS: 1}, {THREADS: setup.threads}, knob.kind, cause.name, cause.share)
            if setup.threads != 1:
                _keep_best(found, change)
    allowed = [change for change in found.values() if _allowed(recipe, setup, change)]
    return sorted(allowed, key=lambda change: -change.worth)


def _keep_best(found: dict[tuple[str, str], Change], change: Change) -> None:
    key = (change.name, repr(change.value))
    if key not in found or found[key].predicted < change.predicted:
        found[key] = change


def _change(cause: Cause, setup: Setup, name: str, value: Any, other: Any) -> Change:
    knob = knob_of(name)
    assert knob is not None
    patch, before = {name: other}, {name: value}
    rate = _rate_beside(setup.settings, name)
    if rate is not None and knob.rate_power and isinstance(other, int | float):
        beside, now = rate
        patch[beside] = float(f"{now * math.pow(other / value, knob.rate_power):.3g}")
        before[beside] = now
    return Change(name, patch, before, knob.kind, cause.name, min(cause.saved_by(value, other), 0.99), knob.touches)


def _rate_beside(settings: Mapping[str, Any], name: str) -> tuple[str, float] | None:
    parent = name.rpartition(".")[0]
    group = _at(settings, parent) if parent else settings
    for rate in _RATES:
        if isinstance(group.get(rate), float):
            return (f"{parent}.{rate}" if parent else rate), group[rate]
    return None


def _at(settings: Mapping[str, Any], path: str) -> Any:
    found: Any = settings
    for part in path.split("."):
        found = found[part]
    return found


def _allowed(recipe: Recipe, setup: Setup, change: Change) -> bool:
    try:
        settings_from_json(recipe.settings, patched(setup, change.patch).settings)
    except (Mistake, ValueError):
        return False
    return True


def patched(setup: Setup, patch: Mapping[str, Any]) -> Setup:
    """The setup with these values in their places."""
    settings, threads = copy.deepcopy(setup.settings), setup.threads
    for name, value in patch.items():
        if name == THREADS and THREADS not in settings:
            threads = value
            continue
        parent, _, last = name.rpartition(".")
        group = _at(settings, parent) if parent else settings
        if last not in group:
            raise Mistake(f"{setup.recipe} has no setting {name}")
        group[last] = settings_to_json(value)
    return replace(setup, settings=settings, threads=threads)


def joined(changes: Sequence[Change]) -> Change:
    """All of them as one."""
    patch: dict[str, Any] = {}
    before: dict[str, Any] = {}
    for change in changes:
        patch |= change.patch
        before |= change.before
    kind = max((change.kind for change in changes), key=list(TRUST).index)
    saved = 1 - math.prod(1 - change.predicted for change in changes)
    return Change("together", patch, before, kind, "", saved)


def flag_of(name: str, value: Any) -> str:
    """A setting as a flag of the command."""
    name = name.replace("_", "-")
    if isinstance(value, bool):
        parent, _, last = name.rpartition(".")
        return f"--{name}" if value else f"--{parent}{'.' * bool(parent)}no-{last}"
    return f"--{name} " + (" ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
