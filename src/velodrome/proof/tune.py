"""Tuning: find the causes, propose changes, try each alone, keep what is proven, and measure the kept ones together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from velodrome.mistake import Mistake, callers_mistake
from velodrome.proof.causes import Cause, find
from velodrome.proof.changes import Change, joined, patched, propose
from velodrome.proof.evidence import Evidence
from velodrome.proof.farm import Farm, Here
from velodrome.proof.guard import LEAST_S, SEEDS, Guard, Passed, compare_skill, fit_together, same_learning
from velodrome.proof.processes import Process, Setup
from velodrome.proof.trial import FEWEST_PAIRS, FEWEST_TURNS, LONG_S, Trial, trial
from velodrome.recipes.recipe import find as find_recipe

Outcome = Literal["kept", "rejected", "inconclusive", "faster, skill unproven", "not tried"]
OPEN: Outcome = "faster, skill unproven"
GUARDED: dict[Passed, Outcome] = {"passed": "kept", "failed": "rejected", "unproven": OPEN}
"""What becomes of a faster change once it is known whether it learns no worse."""
TOGETHER = 0.35
"""The part of the budget for kept changes beside each other and together."""
START_S = 1.0
"""What it takes to start a process, about."""
LONGEST_S = 60.0
"""Of one trial."""
MOST_GUARDS, LEAST_GUARD_S = 4, 45.0
FEWEST_LEARNT = 20
"""Iterations after which skill may be compared."""
LITTLE = 0.03
"""A larger turn of a knob that promises no more than this beyond what is proven is not worth its trial, and a gain that
may be smaller is not worth other learning."""

HERE = Here()
Say = Callable[[str], None]


@dataclass(frozen=True)
class Verdict:
    """What became of a change."""

    change: Change
    verdict: Outcome
    why: str
    trial: Trial | None = None
    guard: Guard | None = None

    @property
    def ratio(self) -> float:
        """Time after over time before; 1 where nothing was measured."""
        return self.trial.ratio if self.trial else 1.0

    @property
    def learns_otherwise(self) -> bool:
        """Whether more than the speed is another."""
        return (self.guard.kind if self.guard else self.change.kind) == "algorithmic"

    def to_json(self) -> dict[str, Any]:
        """A line of verdicts.jsonl."""
        change, found = self.change, self.trial
        document: dict[str, Any] = {
            "change": change.says,
            "verdict": self.verdict,
            "why": self.why,
            "cause": change.cause,
            "kind": self.guard.kind if self.guard else change.kind,
            "predicted": 1 - change.predicted,
            "patch": dict(change.patch),
            "before": dict(change.before),
        }
        if found is not None:
            document |= {"ratio": found.ratio, "interval": list(found.interval), "trial": found.to_json()}
        return document | ({"guard": self.guard.to_json()} if self.guard else {})


@dataclass
class Tuning:
    """Everything that a tuning found."""

    setup: Setup
    evidence: Evidence
    causes: list[Cause]
    verdicts: list[Verdict] = field(default_factory=list)
    together: Verdict | None = None
    """All kept changes as one, with those whose skill was left open if that is proven; None where there are not two."""
    spent_s: float = 0.0
    interrupted: bool = False

    @property
    def kept(self) -> list[Verdict]:
        """The changes that are proven, each alone."""
        return [found for found in self.verdicts if found.verdict == "kept"]

    @property
    def open(self) -> list[Verdict]:
        """Those that are faster, but not known to learn no worse, where no other value of the setting is proven."""
        proven = _names(self.kept)
        return [found for found in self.verdicts if found.verdict == OPEN and found.change.name not in proven]

    @property
    def best(self) -> Verdict | None:
        """What to train with: all kept changes if they are proven together, else the one that gains most."""
        if self.together is not None and self.together.verdict == "kept":
            return self.together
        return min(self.kept, key=lambda found: found.ratio, default=None)

    @property
    def tuned(self) -> Setup:
        """The setup to train with."""
        return patched(self.setup, self.best.change.patch) if self.best else self.setup


def tune(
    setup: Setup, *, budget_s: float, guard_budget_s: float = 0.0, seed: int = 0, say: Say = lambda text: None,
    kept: Callable[[Verdict], None] = lambda verdict: None, farm: Farm = HERE,
) -> Tuning:  # fmt: skip
    """Spend the budget on trials, in the order of predicted gain per risk, and the guard's budget on comparing skill.

    `kept` is called with every verdict as soon as it stands, and again when comparing skill has changed it. Ctrl-C ends
    it with what is known by then.
    """
    began = time.monotonic()
    with callers_mistake():
        recipe = find_recipe(setup.recipe)
    evidence = measured(setup, seed)
    found = Tuning(setup, evidence, find(evidence))
    say(f"{len(found.causes)} causes: {', '.join(cause.name for cause in found.causes) or 'none'}")
    judge = Judge(setup, seed, evidence.iteration_s, say, farm)
    try:
        _try_all(found, propose(recipe, setup, found.causes), judge, began + budget_s * (1 - TOGETHER), kept)
        found.verdicts = judge.guarded(found.verdicts, guard_budget_s * _for_single_ones(found.verdicts), kept)
        put_together(found, judge, began + budget_s, guard_budget_s, kept)
    except KeyboardInterrupt:
        found.interrupted = True
    found.spent_s = time.monotonic() - began
    return found


def put_together(
    found: Tuning, judge: Judge, until: float, guard_budget_s: float, kept: Callable[[Verdict], None]
) -> None:
    """Measure several changes as one: first with those whose skill no comparison has settled alone, since together they
    may gain so much that it shows; then, if that proves nothing, without them."""

    def measured_as_one(chosen: Sequence[Verdict], share: float) -> bool:
        left_s, guard_s = until + judge.guarding_s - time.monotonic(), guard_budget_s - judge.guarding_s
        found.together = judge.all_together(chosen, left_s, share * guard_s)
        kept(found.together)
        return found.together.verdict == "kept"

    def prune(which: Outcome) -> None:
        last = until + judge.guarding_s - judge.least_s
        found.verdicts = judge.pruned(found.verdicts, last, kept, which)

    if len(found.kept) > 1:
        prune("kept")
    share = 0.5 if len(found.kept) > 1 else 1.0
    if found.open and share * (guard_budget_s - judge.guarding_s) >= judge.least_guard_s:
        prune(OPEN)
        chosen = [*found.kept, *found.open]
        if found.open and len(chosen) > 1 and measured_as_one(chosen, share):
            why = "its skill is proven together with the other changes, not alone"
            members = {id(each) for each in found.open}
            found.verdicts = [replace(each, why=why) if id(each) in members else each for each in found.verdicts]
            return
    if len(found.kept) > 1:
        measured_as_one(found.kept, 1.0)


def _for_single_ones(verdicts: Sequence[Verdict]) -> float:
    """The part of the guard's budget for single changes: the rest is for all together, if there are several."""
    names = {found.change.name for found in verdicts if found.verdict in ("kept", OPEN)}
    return 0.5 if len(names) > 1 else 1.0


def _try_all(
    found: Tuning, queue: Sequence[Change], judge: Judge, until: float, kept: Callable[[Verdict], None]
) -> None:
    """One after another, or as many at a time as there are places, without those that promise little beyond what the
    same knob has been proven to gain."""
    places = judge.farm.places
    for first in range(0, len(queue), places):
        worth = []
        for change in queue[first : first + places]:
            gained = [1 - verdict.ratio for verdict in judge.faster if verdict.change.name == change.name]
            if not gained or change.predicted > max(gained) + LITTLE:
                worth.append(change)
        for verdict in judge.tried(worth, until, math.ceil((len(queue) - first) / places)):
            found.verdicts.append(verdict)
            kept(verdict)


def measured(setup: Setup, seed: int = 0) -> Evidence:
    """What a process of its own finds out about this setup."""
    process = Process("tuned", setup, seed)
    try:
        process.told()
        return Evidence.from_json(process.do("evidence"))
    finally:
        process.end()


class Judge:
    """Tries changes of one setup."""

    def __init__(self, setup: Setup, seed: int, iteration_s: float, say: Say = lambda text: None, farm: Farm = HERE):
        self.setup, self.seed, self.iteration_s, self.say, self.farm = setup, seed, iteration_s, say, farm
        self.faster: list[Verdict] = []
        self.guarding_s = 0.0

    @property
    def least_s(self) -> float:
        """The shortest trial."""
        warm_up = 1 if self.iteration_s > LONG_S else 2
        return FEWEST_PAIRS * (START_S + 2 * (warm_up + FEWEST_TURNS) * self.iteration_s)

    @property
    def least_guard_s(self) -> float:
        """The shortest comparison of skill that may show something."""
        each_s = FEWEST_LEARNT * self.iteration_s * (1 if fit_together(self.setup) else 2)
        return max(LEAST_GUARD_S, SEEDS * (each_s + LEAST_S))

    def tried(self, changes: Sequence[Change], until: float, others: int) -> Iterator[Verdict]:
        """The verdicts on speed of changes that are tried side by side, each on a machine of its own, and, as far as
        the trials themselves show it, on learning. There are so many `others` to be tried one after another."""
        left_s = until - time.monotonic()
        if left_s < self.least_s:
            why = f"a trial takes {self.least_s:.0f} s; there was no time left"
            yield from (Verdict(change, "not tried", why) for change in changes)
            return
        budget_s = max(self.least_s, min(2 * left_s / max(others, 1), LONGEST_S + 2 * self.least_s, left_s))
        for verdict in self.measured(changes, budget_s):
            self.say(f"{verdict.change.says}: {verdict.verdict}, {verdict.ratio:.3f} ({verdict.why})")
            if verdict.verdict in ("kept", OPEN):
                self.faster.append(verdict)
            yield verdict

    def measured(self, changes: Sequence[Change], budget_s: float) -> Iterator[Verdict]:
        """A trial of each."""
        jobs = [(self.setup, change.patch, budget_s, self.seed) for change in changes]
        for number, found in self.farm(attempt, jobs):
            change = changes[number]
            if isinstance(found, str):
                yield Verdict(change, "rejected", f"it does not run: {found}")
            else:
                yield judged(change, found)

    def guarded(
        self, verdicts: list[Verdict], budget_s: float, kept: Callable[[Verdict], None] = lambda verdict: None
    ) -> list[Verdict]:
        """The same, with the skill compared of those that learn otherwise, the fastest of each setting first."""
        open_ones = [found for found in verdicts if found.verdict == OPEN]
        open_ones.sort(key=lambda found: found.ratio)
        if not open_ones or budget_s <= 0:
            return verdicts
        began, proven, answers = time.monotonic(), set[str](), dict[int, Verdict]()
        names = {found.change.name for found in open_ones}
        each_s = max(budget_s / min(len(names), MOST_GUARDS), min(budget_s, self.least_guard_s))
        for found in open_ones:
            if found.change.name in proven:
                answers[id(found)] = replace(found, verdict="rejected", why="a proven value of this setting is faster")
            elif budget_s - (time.monotonic() - began) >= 0.9 * each_s:
                answers[id(found)] = self.with_skill(found, each_s)
                proven |= {found.change.name} if answers[id(found)].verdict == "kept" else set()
            if id(found) in answers:
                kept(answers[id(found)])
        self.guarding_s += time.monotonic() - began
        return [answers.get(id(found), found) for found in verdicts]

    def with_skill(self, found: Verdict, budget_s: float) -> Verdict:
        """The verdict once both sides have been trained for as long."""
        try:
            guard = compare_skill(self.setup, patched(self.setup, found.change.patch), budget_s, seed=self.seed)
        except Mistake as mistake:
            return replace(found, why=f"the skill was not compared: {mistake}")
        self.say(f"{found.change.says}: {guard.says}")
        return replace(found, verdict=GUARDED[guard.verdict], why=guard.says, guard=guard)

    def pruned(
        self, verdicts: list[Verdict], until: float, kept: Callable[[Verdict], None], which: Outcome = "kept"
    ) -> list[Verdict]:
        """The same without those changes that add nothing to the others: two may mend one and the same loss. One that
        learns otherwise has to be faster beside them, too. Open ones stand beside the kept ones, and not the other way
        round."""
        least = sorted((found for found in verdicts if found.verdict == which), key=lambda found: -found.ratio)
        if which == "kept" or all(found.verdict != "kept" for found in verdicts):
            least = least[:-1]
        for found in least:
            others = [other.change for other in verdicts if other.verdict in ("kept", which) and other is not found]
            if until - time.monotonic() < self.least_s:
                break
            without = patched(self.setup, joined(others).patch)
            try:
                beside = trial(
                    without, patched(without, found.change.patch), budget_s=min(LONGEST_S, until - time.monotonic()),
                    seed=self.seed, until_clear=True,
                )  # fmt: skip
            except Mistake as mistake:  # they do not go together, which is looked at when all are
                self.say(f"{found.change.says} beside the others: {mistake}")
                continue
            self.say(f"{found.change.says} beside the others: {beside.verdict}, {beside.ratio:.3f}")
            if beside.verdict in ("no difference", "slower") or (found.learns_otherwise and beside.verdict != "faster"):
                why = "no faster" if beside.verdict == "inconclusive" else beside.verdict
                dropped = replace(found, verdict="rejected", why=f"{why} beside the other changes")
                kept(dropped)
                verdicts = [dropped if each is found else each for each in verdicts]
        return verdicts

    def all_together(self, kept: Sequence[Verdict], budget_s: float, guard_budget_s: float) -> Verdict:
        """All kept changes as one, those that do not go together left out."""
        chosen = sorted(kept, key=lambda found: found.ratio)
        chosen = [found for number, found in enumerate(chosen) if found.change.name not in _names(chosen[:number])]
        while True:
            change = joined([found.change for found in chosen])
            (found,) = self.measured([change], max(budget_s, self.least_s))
            if found.trial is not None or len(chosen) < 2:
                break
            chosen = chosen[:-1]
        self.say(f"together: {found.verdict}, {found.ratio:.3f} ({found.why})")
        if found.verdict == OPEN and guard_budget_s > 0:
            began = time.monotonic()
            found = self.with_skill(found, guard_budget_s)
            self.guarding_s += time.monotonic() - began
        return found


def attempt(setup: Setup, patch: Mapping[str, Any], budget_s: float, seed: int) -> Trial | str:
    """One trial of a change, or why it does not run."""
    try:
        return trial(setup, patched(setup, patch), budget_s=budget_s, seed=seed, until_clear=True)
    except Mistake as mistake:
        return str(mistake)


def _names(verdicts: Sequence[Verdict]) -> set[str]:
    return {found.change.name for found in verdicts}


def judged(change: Change, found: Trial) -> Verdict:
    """What a trial says of a change: it has to be faster, for the reason that was given, and learn the same."""
    guard = same_learning(found.pairs, change.kind)
    if found.verdict == "inconclusive":
        return Verdict(
            change, "inconclusive", f"not told apart from no difference in {found.spent_s:.0f} s", found, guard
        )
    if found.verdict != "faster":
        return Verdict(change, "rejected", found.verdict, found, guard)
    if (elsewhere := found.elsewhere(change.touches)) > 0.5:
        why = f"{elsewhere:.0%} of the gain lies in phases that it does not touch"
        return Verdict(change, "inconclusive", why, found, guard)
    if guard.verdict == "passed":
        return Verdict(change, "kept", guard.says, found, guard)
    if found.interval[1] > 1 - LITTLE:
        why = f"it may gain less than {LITTLE:.0%}, too little for other learning"
        return Verdict(change, "rejected", why, found, guard)
    return Verdict(change, OPEN, guard.says, found, guard)
