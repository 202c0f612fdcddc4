"""The budget: a closed account of one stretch of a thread's wall time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PHASES = (
    "start",
    "warm-up",
    "compile",
    "collect.infer",
    "collect.communicate",
    "collect.comprehend",
    "collect.step",
    "collect.reset",
    "collect.encode",
    "learn.sample",
    "learn.forward",
    "learn.loss",
    "learn.communicate",
    "learn.comprehend",
    "learn.backward",
    "learn.optimize",
    "sync",
    "wait",
    "evaluate",
    "save",
    "causes",
    "end",
)
"""The names that Velodrome's own trainers use and that it gives what it observes, in the order in which budgets list
them. Others are the user's."""

UNACCOUNTED = "unaccounted"


@dataclass(frozen=True)
class Spent:
    """What went into one span name, the spans inside it included."""

    ns: int = 0
    samples: int = 0
    """How often it was opened; 0 for a parent that stands only in the names of its children."""
    device_ns: int = 0
    """From the moment the device reached the span's start to the moment it reached its end."""

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.ns + other.ns, self.samples + other.samples, self.device_ns + other.device_ns)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.ns - other.ns, self.samples - other.samples, self.device_ns - other.device_ns)


@dataclass(frozen=True)
class Phase:
    """One row of a budget: a leaf of the tree of spans."""

    name: str
    seconds: float
    share: float
    samples: int
    device_s: float | None = None


@dataclass(frozen=True)
class Budget:
    """Where `wall_ns` went. Phases are the leaves; they and `unaccounted` add up to the wall exactly."""

    wall_ns: int = 0
    spans: Mapping[str, Spent] = field(default_factory=dict)
    """By dotted path, parents included: a parent's time holds that of everything inside it."""
    overhead_ns: int = 0
    """What the timing itself took: spans times their calibrated cost. It is part of the rows, not beside them."""
    tracks: Mapping[str, Budget] = field(default_factory=dict)
    """Other threads and workers, each with a wall time of its own that is no part of this one."""

    @property
    def wall_s(self) -> float:
        """The whole, in seconds."""
        return self.wall_ns / 1e9

    @property
    def phases(self) -> list[Phase]:
        """The leaves, in tree order."""
        return [self._row(path) for path in self._tree() if not self._has_children(path)]

    @property
    def parents(self) -> list[Phase]:
        """The spans that hold others, in tree order."""
        return [self._row(path) for path in self._tree() if self._has_children(path)]

    @property
    def unaccounted(self) -> float:
        """Seconds that are in no phase: those outside every span, and those in a parent but in none of its children."""
        return (self.wall_ns - sum(self.spans[phase.name].ns for phase in self.phases)) / 1e9

    @property
    def unaccounted_share(self) -> float:
        """`unaccounted` as a fraction of the wall."""
        return self.unaccounted / self.wall_s if self.wall_ns else 0.0

    @property
    def overhead(self) -> float:
        """Seconds that the timing itself took, from the calibrated cost of a span."""
        return self.overhead_ns / 1e9

    @property
    def overhead_share(self) -> float:
        """`overhead` as a fraction of the wall."""
        return self.overhead_ns / self.wall_ns if self.wall_ns else 0.0

    def unaccounted_in(self, parent: str = "") -> float:
        """Seconds directly inside `parent` and in none of its children; without a name, outside every span."""
        whole = self.spans[parent].ns if parent else self.wall_ns
        return (whole - sum(self.spans[child].ns for child in self._children(parent))) / 1e9

    def __add__(self, other: Budget) -> Budget:
        tracks = {name: _of(self.tracks, name) + _of(other.tracks, name) for name in _keys(self.tracks, other.tracks)}
        return Budget(
            self.wall_ns + other.wall_ns,
            {path: _at(self.spans, path) + _at(other.spans, path) for path in _keys(self.spans, other.spans)},
            self.overhead_ns + other.overhead_ns,
            tracks,
        )

    def __sub__(self, earlier: Budget) -> Budget:
        """What this account holds more than an earlier state of the same one."""
        spans = {path: spent - _at(earlier.spans, path) for path, spent in self.spans.items()}
        return Budget(
            self.wall_ns - earlier.wall_ns,
            {path: spent for path, spent in spans.items() if spent.samples or spent.ns},
            self.overhead_ns - earlier.overhead_ns,
            {name: track - _of(earlier.tracks, name) for name, track in self.tracks.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """As a JSON document: times in seconds, shares as fractions."""
        return {
            "wall_s": self.wall_s,
            "phases": [_row_to_json(phase) for phase in self.phases],
            "parents": [_row_to_json(row) | {UNACCOUNTED: self.unaccounted_in(row.name)} for row in self.parents],
            "unaccounted": self.unaccounted,
            "unaccounted_share": self.unaccounted_share,
            "overhead": self.overhead,
            "overhead_share": self.overhead_share,
            "tracks": {name: track.to_json() for name, track in self.tracks.items()},
        }

    def to_profile(self) -> dict[str, Any]:
        """The rows and totals that `velodrome profile` answers with."""
        account = self.to_json()
        return {name: account[name] for name in ("wall_s", "phases", "parents", "tracks")} | {
            "unaccounted": self.unaccounted_share,
            "unaccounted_s": self.unaccounted,
            "overhead": self.overhead_share,
            "overhead_s": self.overhead,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Budget:
        """The budget that `to_json` wrote."""
        rows = [*document["parents"], *document["phases"]]
        return cls(
            round(document["wall_s"] * 1e9),
            {row["name"]: _spent_from_json(row) for row in rows},
            round(document["overhead"] * 1e9),
            {name: cls.from_json(track) for name, track in document["tracks"].items()},
        )

    def __str__(self) -> str:
        return "\n".join(_table(self))

    def _row(self, path: str) -> Phase:
        spent = self.spans[path]
        share = spent.ns / self.wall_ns if self.wall_ns else 0.0
        return Phase(path, spent.ns / 1e9, share, spent.samples, spent.device_ns / 1e9 if spent.device_ns else None)

    def _children(self, parent: str) -> list[str]:
        children = [path for path in self.spans if path.rpartition(".")[0] == parent]
        return sorted(children, key=_rank)

    def _has_children(self, path: str) -> bool:
        return any(other.rpartition(".")[0] == path for other in self.spans)

    def _tree(self, parent: str = "") -> Iterator[str]:
        for child in self._children(parent):
            yield child
            yield from self._tree(child)


def phases(budgets: Sequence[Budget]) -> dict[str, NDArray[np.float64]]:
    """Seconds of every phase in each of these budgets (one an iteration), and of `unaccounted`."""
    rows = [{phase.name: phase.seconds for phase in budget.phases} for budget in budgets]
    names = sum(budgets, Budget()).phases
    samples = {phase.name: np.array([row.get(phase.name, 0.0) for row in rows]) for phase in names}
    return samples | {UNACCOUNTED: np.array([budget.unaccounted for budget in budgets])}


def _rank(path: str) -> int:
    for rank, name in enumerate(PHASES):
        if name == path or name.startswith(path + "."):
            return rank
    return len(PHASES)


def _keys(one: Iterable[str], other: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


def _at(spans: Mapping[str, Spent], path: str) -> Spent:
    return spans.get(path, Spent())


def _of(tracks: Mapping[str, Budget], name: str) -> Budget:
    return tracks.get(name, Budget())


def _row_to_json(row: Phase) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": row.name,
        "seconds": row.seconds,
        "share": row.share,
        "samples": row.samples,
    }
    return document if row.device_s is None else document | {"device_s": row.device_s}


def _spent_from_json(row: Mapping[str, Any]) -> Spent:
    return Spent(round(row["seconds"] * 1e9), row["samples"], round(row.get("device_s", 0.0) * 1e9))


def _table(budget: Budget) -> Iterator[str]:
    yield from _header_and_rows(budget)
    yield _line(UNACCOUNTED, budget.unaccounted_in(), budget, None)
    yield _line("wall", budget.wall_s, budget, None)
    yield f"the clock itself took {budget.overhead_share:.2%} of it; {budget.unaccounted_share:.2%} is in no phase"
    for name, track in budget.tracks.items():
        yield ""
        yield f"beside it, {name}:"
        yield from (f"  {line}" for line in _table(track))


def _header_and_rows(budget: Budget) -> Iterator[str]:
    yield f"{'phase':<28}{'seconds':>10}{'share':>9}{'samples':>10}{'each':>12}"
    yield from _rows(budget, "")


def _rows(budget: Budget, parent: str) -> Iterator[str]:
    indent = "  " * (parent.count(".") + 1 if parent else 0)
    for path in budget._children(parent):
        row = budget._row(path)
        line = _line(indent + path.rpartition(".")[2], row.seconds, budget, row.samples)
        yield line if row.device_s is None else f"{line}  {row.device_s:.4f} s on the device"
        yield from _rows(budget, path)
    left = budget.unaccounted_in(parent)
    if parent and left and budget._has_children(parent):
        yield _line(indent + UNACCOUNTED, left, budget, None)


def _line(label: str, seconds: float, budget: Budget, samples: int | None) -> str:
    share = seconds / budget.wall_s if budget.wall_ns else 0.0
    line = f"{label:<28}{seconds:>10.4f}{share:>9.1%}"
    return line + (f"{samples:>10,}{_duration(seconds / samples):>12}" if samples else "")


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 999.5 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"
