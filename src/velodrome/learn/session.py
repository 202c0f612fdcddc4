"""A training: iterations until a limit is reached, with every one timed, recorded, and saved now and then.

What the trainer learns depends on the number of iterations alone. Seconds decide when to save, when to evaluate and
when to stop, and none of these touches the trainer.
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch

from velodrome.learn.evaluate import Evaluation
from velodrome.learn.trainer import Counts, Progress, Trainer
from velodrome.meter.budget import Budget
from velodrome.meter.clock import Clock
from velodrome.mistake import Mistake
from velodrome.runs.checkpoint import Checkpoint, digest, weights_of
from velodrome.runs.files import writing_to
from velodrome.runs.run import Run


@dataclass(frozen=True)
class Goal:
    """A score to reach, with two standard errors to spare."""

    bound: float
    lower: bool

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Read `score<6` or `score>0.5`."""
        found = re.fullmatch(r"\s*score\s*(<|>)\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*", text)
        if not found:
            raise Mistake(f'--until {text!r} is not understood; write for example --until "score<6"')
        return cls(float(found[2]), found[1] == "<")

    def reached(self, evaluation: Evaluation) -> bool:
        """Whether the score is better than the bound by two standard errors."""
        if self.lower:
            return evaluation.score + 2 * evaluation.stderr < self.bound
        return evaluation.score - 2 * evaluation.stderr > self.bound


@dataclass(frozen=True)
class Limits:
    """Where training stops: at whichever comes first. All are totals, earlier parts of a resumed run included."""

    iterations: int | None = None
    seconds: float | None = None
    goal: Goal | None = None


@dataclass(frozen=True)
class Exam:
    """An evaluation now and then, off the clock."""

    sit: Callable[[], Evaluation]
    against: str
    every_s: float = 60.0
    """Seconds of training between two of them."""


@dataclass(frozen=True)
class Saving:
    """How often to save."""

    every_s: float = 60.0
    share: float = 0.02
    """Saves come less often where they would take more than this part of the time."""


@dataclass
class Totals:
    """How far a run has come."""

    iteration: int = 0
    seconds: float = 0.0
    """Wall clock of the iterations; evaluation and set-up are not in it."""
    examined_s: float = 0.0
    """When the last evaluation was."""
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True)
class Seen:
    """What watchers are told after each iteration."""

    totals: Totals
    progress: Progress
    budget: Budget
    warming: bool
    """True for the first iteration of this process, whose time is not like that of the others."""


class Watcher(Protocol):
    """Who follows a training: the terminal, TensorBoard, Weights & Biases."""

    def iteration(self, seen: Seen) -> None:
        """An iteration is done."""
        ...

    def examined(self, totals: Totals, against: str, evaluation: Evaluation, took_s: float) -> None:
        """An evaluation is done; the training's seconds stood still meanwhile."""
        ...

    def close(self) -> None:
        """The training has ended, however it did."""
        ...


@dataclass(frozen=True)
class Trained:
    """What a training came to."""

    totals: Totals
    checkpoint: Path
    digest: str
    """SHA-256 over all weights."""
    stopped_by: str
    """`iterations`, `seconds`, `score`, or the name of the signal that asked for it."""


def seed_everything(seed: int) -> None:
    """Seed the random states that belong to nobody; trainers and games have their own."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def load(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Put `trainer` where the checkpoint left it."""
    try:
        trainer.load(checkpoint.state["trainer"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise Mistake(
            f"{checkpoint.folder} does not fit the recipe as it now is ({type(error).__name__}: {said}); use the code "
            "and the device that it was trained with, or start a new run"
        ) from error


def resume(trainer: Trainer, checkpoint: Checkpoint) -> Totals:
    """Put `trainer` and the random states where the checkpoint left them."""
    load(trainer, checkpoint)
    set_random_state(checkpoint.state["random"])
    totals = dict(checkpoint.state["totals"])
    return Totals(**(totals | {"counts": Counts(**totals["counts"])}))


def train(
    trainer: Trainer,
    run: Run,
    limits: Limits,
    *,
    clock: Clock,
    totals: Totals | None = None,
    exam: Exam | None = None,
    saving: Saving | None = None,
    watchers: Sequence[Watcher] = (),
) -> Trained:
    """Iterate until a limit is reached or a signal asks to stop; then save. The caller owns the run."""
    session = _Session(trainer, run, limits, clock, totals or Totals(), exam, saving or Saving(), watchers)
    try:
        with stopping_on_signals() as stop:
            return session.train(stop)
    finally:
        for watcher in watchers:
            watcher.close()
        run.close()


@dataclass
class Stop:
    """Set by a signal: training stops at the end of the iteration, an evaluation at once."""

    reason: str | None = None
    at_once: bool = False


class Abandoned(BaseException):
    """Raised out of work that has no effect and need not be finished."""


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[Stop]:
    """Turn Ctrl-C and SIGTERM into a request; a second Ctrl-C is the usual KeyboardInterrupt."""
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.reason is not None:
            raise KeyboardInterrupt
        stop.reason = signal.Signals(number).name
        if stop.at_once:
            raise Abandoned

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Session:
    def __init__(
        self,
        trainer: Trainer,
        run: Run,
        limits: Limits,
        clock: Clock,
        totals: Totals,
        exam: Exam | None,
        saving: Saving,
        watchers: Sequence[Watcher],
    ):
        self.trainer, self.run, self.limits, self.clock, self.totals = trainer, run, limits, clock, totals
        self.exam, self.saving, self.watchers = exam, saving, watchers
        self.warm = False
        self.goal_reached = False
        self.saved_iteration = totals.iteration if totals.iteration else None
        self.saved_at_s = totals.seconds
        self.save_took_s = 0.0

    def train(self, stop: Stop) -> Trained:
        self.clock.lap()  # what went before belongs to no iteration
        while (reason := self.reason_to_stop(stop)) is None:
            seen = self.iterate()
            self.examine(stop)
            with self.clock("record"), writing_to(self.run.folder):
                self.record(seen)
            if self.save_is_due():
                self.save()
        if self.saved_iteration != self.totals.iteration:
            self.save()
        weights = weights_of(self.trainer.nets)
        return Trained(self.totals, self.run.checkpoints.found()[-1], digest(weights), reason)

    def reason_to_stop(self, stop: Stop) -> str | None:
        limits, totals = self.limits, self.totals
        if self.goal_reached:
            return "score"
        if limits.iterations is not None and totals.iteration >= limits.iterations:
            return "iterations"
        if limits.seconds is not None and totals.seconds >= limits.seconds:
            return "seconds"
        return stop.reason

    def iterate(self) -> Seen:
        warming = not self.warm
        with self.clock("warm-up") if warming else contextlib.nullcontext():
            progress = self.trainer.iterate(self.clock)
        self.warm = True
        budget = self.clock.lap()
        self.totals.iteration += 1
        self.totals.seconds += budget.wall_s
        self.totals.counts += progress.counts
        return Seen(self.totals, progress, budget, warming)

    def record(self, seen: Seen) -> None:
        at = {"iteration": self.totals.iteration}
        line = at | {"seconds": self.totals.seconds, "iteration_s": seen.budget.wall_s}
        self.run.append("metrics.jsonl", line | asdict(seen.progress.counts) | seen.progress.metrics)
        self.run.append("budget.jsonl", at | seen.budget.to_json())
        for watcher in self.watchers:
            watcher.iteration(seen)

    def examine(self, stop: Stop) -> None:
        """Evaluate if it is time to; the clock's laps on both sides keep it out of the training's time."""
        exam, totals = self.exam, self.totals
        if exam is None or totals.seconds < totals.examined_s + exam.every_s:
            return
        try:
            stop.at_once = True
            with self.clock("evaluate"):
                evaluation = exam.sit()
        except Abandoned:
            return
        finally:
            stop.at_once = False
            took = self.clock.lap()
        totals.examined_s = totals.seconds
        self.goal_reached = self.limits.goal is not None and self.limits.goal.reached(evaluation)
        at = {"iteration": totals.iteration, "seconds": totals.seconds, "against": exam.against}
        self.run.append("evaluations.jsonl", at | evaluation.to_json() | {"evaluation_s": took.wall_s})
        for watcher in self.watchers:
            watcher.examined(totals, exam.against, evaluation, took.wall_s)

    def save_is_due(self) -> bool:
        pause_s = max(self.saving.every_s, self.save_took_s / self.saving.share)
        return self.totals.seconds - self.saved_at_s >= pause_s

    def save(self) -> None:
        before = self.clock.budget().wall_s
        with self.clock("save"), writing_to(self.run.folder):
            self.run.flush()
            state = {"totals": asdict(self.totals), "random": random_state(), "trainer": self.trainer.state()}
            self.run.checkpoints.save(self.totals.iteration, state, weights_of(self.trainer.nets))
        self.save_took_s = self.clock.budget().wall_s - before
        self.saved_iteration, self.saved_at_s = self.totals.iteration, self.totals.seconds


def random_state() -> dict[str, Any]:
    """The random states that belong to nobody."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002
        "torch": torch.get_rng_state(),
        "cuda": devices,
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put them where `state` has them."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
