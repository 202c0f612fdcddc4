"""What a run folder tells: its files read into plain values, whatever of them is there.

A run that was never evaluated, profiled or even trained gives a shorter story, not an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.meter.budget import Budget
from velodrome.mistake import Mistake
from velodrome.runs.run import Run

Record = dict[str, Any]
UNITS = {
    "game_steps": "game steps",
    "decisions": "decisions",
    "learner_samples": "learner samples",
}
"""The counts of an iteration, and what they are called."""


@dataclass(frozen=True)
class Score:
    """How well the agent played against one opponent, at one moment of the training."""

    against: str
    score: float
    stderr: float
    score_name: str
    better: str
    episodes: int
    duplicate: int
    """Games played from each start, the seats rotated."""
    seconds: float
    """Into the training."""
    baselines: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Score and standard error of the trivial players against the same opponent."""

    @property
    def half(self) -> float:
        """Half the interval that is shown: two standard errors."""
        return 2 * self.stderr


@dataclass(frozen=True)
class Story:
    """One run, as its folder tells it."""

    folder: Path
    config: Record
    points: list[Record]
    """The lines of metrics.jsonl, oldest first."""
    budgets: list[Budget]
    """One an iteration."""
    scores: list[Score]
    verdicts: list[Record]
    cards: list[Record]
    looks: dict[str, list[Record]]
    """Where each net looks, in a few positions."""
    trust: list[Record]
    """How often nets are right that say how sure they are."""
    profile: Record

    @property
    def recipe(self) -> str:
        """The recipe's name; the folder's where the run does not say."""
        return str(self.config.get("recipe") or self.folder.name)

    @cached_property
    def budget(self) -> Budget:
        """All iterations together."""
        return sum(self.budgets, Budget())

    @property
    def iterations(self) -> int:
        """How many were done."""
        return int(self.points[-1].get("iteration", len(self.points))) if self.points else 0

    @property
    def seconds(self) -> float:
        """Wall clock of the training, evaluation left out."""
        if self.points and "seconds" in self.points[-1]:
            return float(self.points[-1]["seconds"])
        return self.budget.wall_s

    def total(self, unit: str) -> int:
        """How many game steps, decisions or learner samples the run counted."""
        return int(sum(point.get(unit, 0) for point in self.points))

    def latest(self) -> list[Score]:
        """The last score against each opponent, the hardest one first."""
        last = {score.against: score for score in self.scores}
        return sorted(last.values(), key=lambda one: -one.score if one.better == "lower" else one.score)

    def metric(self, name: str) -> tuple[list[float], list[float]]:
        """`(seconds, values)` of one metric where it was written."""
        kept = [point for point in self.points if isinstance(point.get(name), (int, float)) and "seconds" in point]
        return [float(point["seconds"]) for point in kept], [float(point[name]) for point in kept]

    def rates(self, unit: str) -> list[float]:
        """Units per second in each iteration."""
        return [point[unit] / point["iteration_s"] for point in self.points if _timed(point, unit)]


def read(folder: Path) -> Story:
    """Read what the folder holds."""
    run = Run(folder)
    if not run.exists:
        raise Mistake(f"{folder} is no run: it has no config.json")
    return Story(
        folder=folder,
        config=_document(folder / "config.json"),
        points=[_point(line) for line in run.lines("metrics.jsonl")],
        budgets=[Budget.from_json(line) for line in run.lines("budget.jsonl")],
        scores=with_baselines([score_from_json(line) for line in run.lines("evaluations.jsonl")]),
        verdicts=run.lines("verdicts.jsonl"),
        cards=_document(folder / "cards.json").get("models", []),
        looks=_document(folder / "looks.json").get("nets", {}),
        trust=_document(folder / "trust.json").get("trust", []),
        profile=_document(folder / "profile.json"),
    )


def score_from_json(line: Mapping[str, Any]) -> Score:
    """A score from a line of evaluations.jsonl."""
    baselines = line.get("baselines") or {}
    return Score(
        against=str(line["against"]),
        score=float(line["score"]),
        stderr=float(line["stderr"]),
        score_name=str(line.get("score_name", "score")),
        better=str(line.get("better", "higher")),
        episodes=int(line.get("episodes", 0)),
        duplicate=int(line.get("duplicate", 1)),
        seconds=float(line.get("seconds", math.nan)),
        baselines={name: (float(one["score"]), float(one["stderr"])) for name, one in baselines.items()},
    )


def with_baselines(scores: Sequence[Score]) -> list[Score]:
    """Each score beside what trivial players reach against its opponent, which only some of the records hold."""
    known = {score.against: score.baselines for score in scores if score.baselines}
    return [replace(score, baselines=known.get(score.against, {})) for score in scores]


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names, as the command line calls them."""
    rows: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            rows |= flat(value, f"{prefix}{name}.")
        else:
            rows[prefix + name] = value
    return rows


def rolling_median(values: Sequence[float] | NDArray[np.float64], window: int) -> list[float]:
    """The median of the last `window` values at each place."""
    return [float(np.median(values[max(0, end - window) : end])) for end in range(1, len(values) + 1)]


def _point(line: Record) -> Record:
    """A line of metrics.jsonl with its counts and metrics on one level."""
    return line | (line.get("counts") or {}) | (line.get("metrics") or {})


def _timed(point: Record, unit: str) -> bool:
    return bool(point.get("iteration_s")) and isinstance(point.get(unit), (int, float))


def _document(path: Path) -> Record:
    if not path.is_file():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    return document if isinstance(document, dict) else {}
