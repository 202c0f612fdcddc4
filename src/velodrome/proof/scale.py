"""How a recipe's times grow with its agents, its threads or its games, and what communication takes of them.

Every size is measured in several processes, in rounds over all sizes: what drifts meanwhile belongs to none of them.
Where the recipe can be silenced, each has the same without what agents tell each other beside it, in turn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from velodrome.learn.trainer import Counts
from velodrome.meter.budget import Budget, Spent
from velodrome.meter.law import Law, fit, growth, knee
from velodrome.meter.statistics import Ratio, nested_ratio, percentile
from velodrome.mistake import Mistake
from velodrome.proof.changes import patched
from velodrome.proof.farm import Farm, Here
from velodrome.proof.processes import Process, Setup, at_work
from velodrome.recipes.recipe import Recipe, find
from velodrome.recipes.shares import share_of
from velodrome.runs.settings import settings_from_json, settings_to_json

Over = Literal["agents", "threads", "games", "workers"]

PROCESSES = 3
"""Of each size."""
FEWEST_TURNS, TURN_S = 5, 0.25
DECISIONS = 300
"""Whose latency is taken in each process."""
IDLE = 2000
"""Iterations without learning after which it will not begin."""
HERE = Here()
TALKING, SILENT = "talking", "silent"
OF_MESSAGES = {"narrow": ("communicate",), "broad": ("communicate", "comprehend")}
"""By scope: the phases that count as communication."""
TIMES: dict[str, Callable[[Point], Sequence[Sequence[float]]]] = {
    "iteration": lambda point: point.seconds(),
    "update": lambda point: point.seconds("learn"),
    "decision": lambda point: [taken.decision_s for taken in point.taken],
}
"""What a law of growth is fitted to."""
PARTS = ("", "collect", "learn")
"""Of an iteration: all of it, and the two in which agents communicate."""


@dataclass(frozen=True)
class Taken:
    """What one process took."""

    budgets: Sequence[Budget]
    """A turn each."""
    counts: Sequence[Counts]
    iterations: int
    """Of a turn."""
    decision_s: Sequence[float]
    """From what is seen to what all agents of all games do."""
    exchange: Mapping[str, Any] | None = None
    """What agents told each other, for a game step, where the trainer says so."""
    told: Mapping[str, float] = field(default_factory=dict)
    """What a worker has to tell the others in an iteration, if there are any."""
    silent: Sequence[Budget] = ()
    """The same turns without communication, in the process beside it."""


@dataclass(frozen=True)
class Point:
    """What was measured at one size."""

    value: int
    taken: Sequence[Taken]
    """By each process."""

    def seconds(self, parent: str = "") -> list[list[float]]:
        """Of an iteration in every turn of each process, or of one of its parts."""
        return [[_of(budget, parent) / taken.iterations for budget in taken.budgets] for taken in self.taken]

    def typical(self, parent: str = "") -> float:
        """The median over processes of each one's median."""
        return float(np.median([np.median(each) for each in self.seconds(parent)]))

    def decision_ms(self, q: float) -> float:
        """Within this time so many in a hundred decisions are made."""
        return 1e3 * percentile(np.concatenate([taken.decision_s for taken in self.taken]), q)

    def share(self, scope: str, parent: str = "") -> float:
        """The part of the time, or of a part of the iteration, in which agents communicate, as the spans say. What goes
        backwards through messages is in no such span: it is a part of learn.backward."""
        within = [parent] if parent else PARTS[1:]
        names = [f"{part}.{phase}" for part in within for phase in OF_MESSAGES[scope]]
        whole = self.budget
        return sum(_of(whole, name) for name in names) / _of(whole, parent)

    @property
    def budget(self) -> Budget:
        """All turns of all processes together."""
        return sum((budget for taken in self.taken for budget in taken.budgets), Budget())

    def ablated(self, parent: str = "") -> Ratio | None:
        """The part of the time that is gone without communication."""
        if not all(taken.silent for taken in self.taken):
            return None
        pairs = [[[_of(b, parent) for b in each] for each in (taken.budgets, taken.silent)] for taken in self.taken]
        found = nested_ratio([(talking, silent) for talking, silent in pairs])
        low, high = found.interval
        return Ratio(1 - found.ratio, (1 - high, 1 - low))

    def rates(self) -> dict[str, float]:
        """Work a second, at the typical speed."""
        total, iterations = Counts(), 0
        for taken in self.taken:
            for counts in taken.counts:
                total += counts
                iterations += taken.iterations
        iteration_s = self.typical()
        done = {f"{name}_per_s": n / iterations / iteration_s for name, n in asdict(total).items()}
        return {"iterations_per_s": 1 / iteration_s, **done}

    def to_json(self) -> dict[str, Any]:
        """The point as a JSON object."""
        shares = {scope: {part or "iteration": self.share(scope, part) for part in PARTS} for scope in OF_MESSAGES}
        ablated = {part or "iteration": self.ablated(part) for part in PARTS}
        return {
            "value": self.value,
            **self.rates(),
            "iteration_s": self.typical(),
            "collect_s": self.typical("collect"),
            "update_s": self.typical("learn"),
            "decision_ms": {f"p{q}": self.decision_ms(q) for q in (50, 99)},
            "exchange": self.taken[-1].exchange,
            "communication": shares | {"ablation": {part: each and asdict(each) for part, each in ablated.items()}},
            "processes": len(self.taken),
            "turns": [len(taken.budgets) for taken in self.taken],
            "budget": self.budget.to_json(),
        }


def _of(budget: Budget, name: str) -> float:
    """Seconds in a phase or a parent of some, on the device where there is one; all of them without a name."""
    if not name:
        return budget.wall_s
    spent = budget.spans.get(name, Spent())
    return max(spent.ns, spent.device_ns) / 1e9


@dataclass(frozen=True)
class Scaling:
    """All sizes, and how times grow from one to the next."""

    over: Over
    points: Sequence[Point]

    def laws(self) -> dict[str, Law]:
        """Of every kind of time."""
        return {name: fit({point.value: times(point) for point in self.points}) for name, times in TIMES.items()}

    def growths(self) -> dict[str, tuple[float, tuple[float, float]]]:
        """How many times as long for each doubling from the first size to the last."""
        low, high = self.points[0].value, self.points[-1].value
        return {
            name: growth({point.value: times(point) for point in self.points}, low, high)
            for name, times in TIMES.items()
        }

    def within(self, latency_ms: float, update_ms: float = math.inf) -> list[Point]:
        """The points whose decisions take no longer than that in 99 of 100 cases, nor updates in 99 of 100 turns."""
        return [
            point
            for point in self.points
            if point.decision_ms(99) <= latency_ms
            and 1e3 * percentile(np.concatenate(point.seconds("learn")), 99) <= update_ms
        ]

    def bend(self) -> Point | None:
        """Where decisions a second, over how long each takes, cease to grow as they did."""
        rates = [point.rates()["decisions_per_s"] for point in self.points]
        best = knee([point.decision_ms(99) for point in self.points], rates)
        return None if best is None else self.points[best]


def setup_at(recipe: Recipe, setup: Setup, over: Over, value: int) -> Setup:
    """The setup at that size; that of each of so many workers."""
    if over == "games":
        return patched(setup, {"games": value})
    if over == "workers":
        shared = share_of(settings_from_json(recipe.settings, setup.settings), value)
        return replace(setup, settings=settings_to_json(shared))
    if over == "threads":
        return patched(setup, {"lanes": value}) if "lanes" in setup.settings else replace(setup, threads=value)
    if recipe.team is None or recipe.team.agents is None:
        raise Mistake(f"{recipe.name} has no setting that says how many agents there are; use --over threads or games")
    return patched(setup, {recipe.team.agents: value})


def measure(
    setups: Mapping[int, Setup], seconds: float, seed: int, say: Callable[[str], None], farm: Farm = HERE
) -> list[Point]:
    """Measure every size, for about so long in all, or as much quicker as the farm has places."""
    taken: dict[int, list[Taken]] = {value: [] for value in setups}
    order, each_s = np.random.default_rng(seed), seconds / PROCESSES / len(setups)
    values = [value for _ in range(PROCESSES) for value in order.permutation(list(setups)).tolist()]
    for number, found in farm(take, [(setups[value], each_s, seed) for value in values]):
        value = values[number]
        taken[value].append(found)
        rate = Point(value, taken[value]).rates()["iterations_per_s"]
        say(f"round {number // len(setups) + 1} of {PROCESSES}, {value}: {rate:.3g} iterations/s")
    return [Point(value, each) for value, each in taken.items()]


def take(setup: Setup, seconds: float, seed: int) -> Taken:
    """What a new process takes."""
    recipe, sides = find(setup.recipe), [(TALKING, setup)]
    if recipe.team is not None and recipe.team.silent:
        sides.append((SILENT, patched(setup, recipe.team.silent)))
    with at_work(sides, seed) as running:
        once = max(_warm(process) for process in running)
        iterations = max(1, math.ceil(min(TURN_S, seconds / FEWEST_TURNS / len(running)) / once))
        turns: list[list[dict[str, Any]]] = [[] for _ in running]
        until, before = time.monotonic() + seconds, running[0].do("told")
        while len(turns[0]) < FEWEST_TURNS or time.monotonic() < until:
            for process, told in zip(running, turns, strict=True):
                told.append(process.do("iterate", times=iterations))
        after, done = running[0].do("told"), iterations * len(turns[0])
        decision_s = running[0].do("decide", times=DECISIONS)["seconds"]
        exchange = running[0].do("exchange")["exchange"]
    budgets = [[Budget.from_json(said["budget"]) for said in told] for told in turns]
    counts = [Counts(**said["counts"]) for said in turns[0]]
    told_each = {name: (after[name] - before[name]) / done for name in after}
    return Taken(budgets[0], counts, iterations, decision_s, exchange, told_each, *budgets[1:])


def _warm(process: Process) -> float:
    """Iterate until it learns; returns how long an iteration then takes."""
    for _ in range(IDLE):
        if process.do("iterate")["counts"]["learner_samples"]:
            return float(process.do("iterate")["budget"]["wall_s"])
    raise Mistake(f"side {process.label} did not learn in {IDLE} iterations: its warm-up is too long to measure")
