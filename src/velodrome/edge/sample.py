"""The one place where operations are recorded: a short stretch of the training, from which its causes are found."""

from __future__ import annotations

import dataclasses
import time
from types import FrameType

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from velodrome.edge.account import ACTING, BACKWARD, CAUSES, FORWARD, LEARNING, LOSS, OPTIMIZE, STEP, Account
from velodrome.edge.diary import Diary
from velodrome.edge.lines import own_frame
from velodrome.edge.watch import Here
from velodrome.meter.budget import Budget
from velodrome.meter.hot import Hot
from velodrome.meter.machine import cores, dispatch_us
from velodrome.meter.operations import Operations, Site, Where, named
from velodrome.proof.causes import Cause, find
from velodrome.proof.evidence import Evidence, NetFacts, fault_us, usage

AFTER_NS, LONGEST_NS = 2_000_000_000, 500_000_000
"""Of training that comes before, and of what is recorded of learning, and of acting."""
ENOUGH = 8
"""Updates after which learning may be left when acting comes next."""
UPDATES = 16
"""What counts as an iteration where no environment is played."""


def own_line(frame: FrameType) -> Where:
    """The line of the library that trains, where only who called it would be told otherwise."""
    own = own_frame(frame)
    return Where(named(own.f_code.co_filename), own.f_lineno or 0, own.f_code.co_name) if own else Where("?", 0, "?")


class Sample:
    """Lets some training pass, records updates and then steps of the environments, and keeps both off the account.

    What is recorded is a phase of its own, and its calls are counted in none of the others.
    """

    def __init__(self, here: Here, diary: Diary):
        self._here, self._diary = here, diary
        self._seen = Operations(self._phase, where=own_line)
        self._scratch: Diary | None = None
        self._began = self._first = 0
        self._wanted = [True, False]
        """Whether what is wanted next is learning: first that, then acting."""
        self._acted = self._plays = False
        self._at_first = usage()
        self.counted: dict[str, int] = {STEP: 0, OPTIMIZE: 0}
        """Steps and updates that were recorded."""
        self.game_steps = 0
        """What environments did meanwhile."""
        diary.moved = self._moved

    @property
    def on(self) -> bool:
        """Whether operations are recorded now."""
        return self._scratch is not None

    def stop(self) -> None:
        """Record no more."""
        self._diary.moved = None
        if self._scratch is not None:
            self._end()

    def causes(self, budget: Budget, nets: list[NetFacts], hot: list[Hot]) -> list[Cause]:
        """What makes the training slow; nothing where it was too short to be recorded."""
        return find(self._evidence(budget, nets, hot)) if self.counted[OPTIMIZE] else []

    def _phase(self) -> str:
        return self._scratch.phase if self._scratch is not None else ""

    def _moved(self, updated: bool) -> None:
        """After each step and each update of the real account, until all is recorded."""
        if not self._first:
            self._first, self._at_first = time.perf_counter_ns(), usage()
        begins = updated == self._wanted[0] and (self._acted or not updated or not self._plays)
        self._plays |= not updated
        self._acted = not updated
        if begins and time.perf_counter_ns() - self._first >= AFTER_NS:
            self._begin()

    def _begin(self) -> None:
        self._began = time.perf_counter_ns()
        self._scratch = Diary(Account(CAUSES, self._began), self._diary.known)
        self._scratch.moved = self._recording
        self._here.diary = self._scratch
        self._seen.__enter__()  # type: ignore[no-untyped-call]

    def _recording(self, updated: bool) -> None:
        scratch = self._scratch
        assert scratch is not None
        seen = scratch.catch_up()
        late = time.perf_counter_ns() - self._began > LONGEST_NS or self._seen.full
        left = self._wanted[0] and not updated and seen.samples(OPTIMIZE) >= ENOUGH
        turned = not self._wanted[0] and updated and seen.samples(STEP) >= ENOUGH
        if (late or left or turned) and _get_current_dispatch_mode() is self._seen:
            self._end()

    def _end(self) -> None:
        self._seen.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        scratch, self._scratch = self._scratch, None
        assert scratch is not None
        scratch.inside = -1
        seen = scratch.catch_up()
        for name in self.counted:
            self.counted[name] += seen.samples(name)
        self.game_steps += seen.game_steps
        self._here.diary = self._diary
        self._diary.catch_up().sets_apart(CAUSES, self._began, time.perf_counter_ns())
        self._wanted.pop(0)
        if not self._wanted or not self._plays:
            self._diary.moved = None

    def _evidence(self, budget: Budget, nets: list[NetFacts], hot: list[Hot]) -> Evidence:
        """Of one iteration: acting and then learning, or some updates where nothing is played."""
        playing = ACTING in budget.spans
        updates = budget.spans[OPTIMIZE].samples
        iterations = max(budget.spans[LEARNING].samples if playing else updates / UPDATES, 1)
        phases = {phase.name: phase.seconds / iterations for phase in budget.phases if "." in phase.name}
        phases[FORWARD] = phases.get(FORWARD, 0.0) + phases.pop(LOSS, 0.0)
        trained_s = sum(budget.spans[family].ns for family in (ACTING, LEARNING) if family in budget.spans) / 1e9
        counts = {name: round(spent.samples / iterations) for name, spent in budget.spans.items()}
        cpu_s, faults, seconds = (now - then for now, then in zip(usage(), self._at_first, strict=True))
        return Evidence(
            iteration_s=trained_s / iterations,
            phases=phases | {"unaccounted": budget.unaccounted / iterations},
            samples=counts | {BACKWARD: max(counts.get(BACKWARD, 0), 1)},
            sites=[site for each in self._seen.sites if (site := self._of_an_iteration(each, counts))][:400],
            hot=hot[:100],
            full=self._seen.full,
            nets=nets,
            constant_inputs=0.0,
            threads=torch.get_num_threads(),
            cores=cores(),
            busy_cores=cpu_s / max(seconds, 1e-9),
            faults=round(faults / iterations),
            fault_us=fault_us(),
            dispatch_us=dispatch_us(),
            matmul_precision=torch.get_float32_matmul_precision(),
            tracks=len(budget.tracks),
        )

    def _of_an_iteration(self, site: Site, counts: dict[str, int]) -> Site | None:
        """A site as if all of an iteration had been recorded."""
        unit = STEP if site.phase.startswith(ACTING) else OPTIMIZE
        if not self.counted[unit]:
            return None
        times = counts.get(unit, 0) / self.counted[unit]
        counted = {name: max(round(getattr(site, name) * times), getattr(site, name) > 0) for name in COUNTS}
        return dataclasses.replace(site, **counted, **{name: getattr(site, name) * times for name in SECONDS})


COUNTS = ("count", "recorded", "repeated", "same_rows", "of_softmax")
SECONDS = ("seconds", "repeated_s", "same_rows_s")


def shown(cause: Cause) -> str:
    """A cause for a person."""
    where = ", ".join(str(each) for each in cause.where[:3])
    told = f"{cause.share:>6.1%}  {cause.name}: {cause.says}; {cause.advice}"
    return f"{told}\n        at {where}" if where else told
