"""The loop of a training: where it stops, when it saves and evaluates, and what it writes down."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from velodrome.learn.evaluate import Evaluation
from velodrome.learn.session import Exam, Goal, Limits, Saving, Totals, Trained, resume, seed_everything, train
from velodrome.learn.trainer import Counts, Progress
from velodrome.meter.clock import Clock
from velodrome.mistake import Mistake
from velodrome.runs.run import Config, Run

SCORE = Evaluation(5.0, 0.4, "points", "lower", 10, 1, {}, 100, 50, -5.0, 0.0)


class Time:
    """A source of nanoseconds that moves only when told to."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns

    def passes(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


class Counting:
    """A trainer whose weight is a sum of draws from the global generator; an iteration takes one second."""

    game: Any = None

    def __init__(self, time: Time, meanwhile: Callable[[int], None] = lambda iteration: None):
        self.nets: dict[str, nn.Module] = {"net": nn.Linear(1, 1)}
        self.time, self.meanwhile, self.done = time, meanwhile, 0

    def iterate(self, clock: Clock) -> Progress:
        with clock("learn.forward"), torch.no_grad():
            self.time.passes(1.0)
            self.nets["net"].weight.add_(torch.rand(()))  # type: ignore[operator]
        self.done += 1
        self.meanwhile(self.done)
        return Progress(Counts(10, 5, 20), {"loss": 1 / self.done})

    def policy(self, greedy: bool = False) -> Any:
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        return {"done": self.done, "net": self.nets["net"].state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        self.done = state["done"]
        self.nets["net"].load_state_dict(state["net"])


class Bench:
    """A run folder, a time, and what is needed to train there."""

    def __init__(self, folder: Path):
        self.time = Time()
        self.run = Run(folder / "run")
        self.run.folder.mkdir()
        self.run.write_config(Config("counting", {}, 0, "cpu", 1, ""))
        self.saves: list[int] = []
        self.save_takes_s = 0.0
        really_save = self.run.checkpoints.save

        def save(iteration: int, *given: Any) -> Path:
            self.time.passes(self.save_takes_s)
            self.saves.append(iteration)
            return really_save(iteration, *given)

        self.run.checkpoints.save = save  # type: ignore[method-assign]

    def train(self, limits: Limits, trainer: Counting | None = None, **options: Any) -> Trained:
        seed_everything(3)
        trainer = trainer or Counting(self.time)
        return train(trainer, self.run, limits, clock=Clock(now=self.time, span_cost_ns=0.0), **options)

    def exam(self, every_s: float, *scores: float, takes_s: float = 100.0) -> Exam:
        left = list(scores)

        def sit() -> Evaluation:
            self.time.passes(takes_s)
            return replace(SCORE, score=left.pop(0))

        return Exam(sit, "rule", every_s)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("limits", "iterations", "reason"),
    [
        (Limits(iterations=7), 7, "iterations"),
        (Limits(seconds=4.5), 5, "seconds"),
        (Limits(iterations=3, seconds=9), 3, "iterations"),
        (Limits(iterations=0), 0, "iterations"),
    ],
)
def test_it_stops_at_the_first_limit(bench: Bench, limits: Limits, iterations: int, reason: str) -> None:
    trained = bench.train(limits)
    assert (trained.totals.iteration, trained.stopped_by) == (iterations, reason)
    assert trained.totals.counts == Counts(10 * iterations, 5 * iterations, 20 * iterations)
    assert trained.totals.seconds == iterations
    newest = bench.run.checkpoints.newest()
    assert newest is not None
    assert (newest.iteration, newest.folder) == (iterations, trained.checkpoint)


def test_every_iteration_is_written_down_once(bench: Bench) -> None:
    bench.train(Limits(iterations=4))
    metrics, budgets = bench.run.lines("metrics.jsonl"), bench.run.lines("budget.jsonl")
    assert [(line["iteration"], line["seconds"], line["iteration_s"]) for line in metrics] == [
        (number, number, 1.0) for number in range(1, 5)
    ]
    assert metrics[1] | {"game_steps": 10, "decisions": 5, "learner_samples": 20, "loss": 0.5} == metrics[1]
    assert [line["iteration"] for line in budgets] == [1, 2, 3, 4]
    assert [line["phases"][0]["name"] for line in budgets] == ["warm-up.learn.forward"] + ["learn.forward"] * 3


def test_going_on_gives_what_would_have_been(bench: Bench, tmp_path: Path) -> None:
    whole = bench.train(Limits(iterations=6))
    (tmp_path / "other").mkdir()
    parts = Bench(tmp_path / "other")
    parts.train(Limits(iterations=3))
    checkpoint = parts.run.checkpoints.newest()
    assert checkpoint is not None
    trainer = Counting(parts.time)
    torch.rand(100)
    totals = resume(trainer, checkpoint)
    again = train(trainer, parts.run, Limits(iterations=6), clock=Clock(now=parts.time), totals=totals)
    assert again.digest == whole.digest
    assert again.totals == whole.totals
    assert parts.run.lines("metrics.jsonl") == bench.run.lines("metrics.jsonl")


def test_nothing_to_do_saves_nothing(bench: Bench) -> None:
    bench.train(Limits(iterations=2))
    checkpoint = bench.run.checkpoints.newest()
    assert checkpoint is not None
    trainer = Counting(bench.time)
    again = bench.train(Limits(iterations=2), trainer, totals=resume(trainer, checkpoint))
    assert bench.saves == [2]
    assert again.checkpoint == checkpoint.folder


def test_saves_come_at_their_pace(bench: Bench) -> None:
    bench.train(Limits(iterations=25), saving=Saving(every_s=10))
    assert bench.saves == [10, 20, 25]


def test_slow_saves_come_less_often(bench: Bench) -> None:
    bench.save_takes_s = 0.5
    trained = bench.train(Limits(iterations=100), saving=Saving(every_s=10, share=0.02))
    assert bench.saves == [10, 35, 60, 85, 100]
    spent = {"save": 0.0}
    for line in bench.run.lines("budget.jsonl"):
        for phase in line["phases"]:
            spent[phase["name"]] = spent.get(phase["name"], 0.0) + phase["seconds"]
    assert spent["save"] == 4 * 0.5  # of the last save nobody is left to tell
    assert trained.totals.seconds == 102
    assert spent["save"] <= 0.02 * trained.totals.seconds


def test_evaluation_is_off_the_clock(bench: Bench) -> None:
    trained = bench.train(Limits(iterations=5), exam=bench.exam(2.0, 9.0, 8.0))
    assert trained.totals.seconds == 5
    lines = bench.run.lines("evaluations.jsonl")
    assert [(line["iteration"], line["seconds"], line["score"], line["evaluation_s"]) for line in lines] == [
        (2, 2.0, 9.0, 100.0),
        (4, 4.0, 8.0, 100.0),
    ]
    assert lines[0]["against"] == "rule"
    assert all("evaluate" not in phase["name"] for line in bench.run.lines("budget.jsonl") for phase in line["phases"])


def test_a_goal_needs_two_standard_errors(bench: Bench) -> None:
    trained = bench.train(Limits(goal=Goal.parse("score<6"), iterations=50), exam=bench.exam(1.0, 7.0, 5.3, 5.1))
    assert (trained.totals.iteration, trained.stopped_by) == (3, "score")


@pytest.mark.parametrize(
    ("text", "score", "reached"),
    [
        ("score<6", 5.19, True),
        ("score<6", 5.21, False),
        ("score > -1.5e1", -14.19, True),
        ("score > -1.5e1", -14.21, False),
    ],
)
def test_goals(text: str, score: float, reached: bool) -> None:
    assert Goal.parse(text).reached(replace(SCORE, score=score)) is reached


@pytest.mark.parametrize("text", ["6", "score", "score<", "score=6", "points<6", "score<six", "score<6; x"])
def test_other_goals_are_refused(text: str) -> None:
    with pytest.raises(Mistake, match=r'is not understood; write for example --until "score<6"'):
        Goal.parse(text)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_iteration_and_saves(bench: Bench, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    trainer = Counting(bench.time, lambda done: os.kill(os.getpid(), number) if done == 3 else None)
    trained = bench.train(Limits(iterations=9), trainer)
    assert (trained.totals.iteration, trained.stopped_by, bench.saves) == (3, number.name, [3])
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait(bench: Bench) -> None:
    def twice(done: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        bench.train(Limits(iterations=9), Counting(bench.time, twice))
    assert bench.saves == []


def test_a_signal_ends_an_evaluation_at_once(bench: Bench) -> None:
    def sit() -> Evaluation:
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it was not abandoned")

    trained = bench.train(Limits(iterations=9), exam=Exam(sit, "rule", 2.0))
    assert (trained.totals.iteration, trained.stopped_by, bench.saves) == (2, "SIGINT", [2])
    assert bench.run.lines("evaluations.jsonl") == []


class Watching:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def iteration(self, seen: Any) -> None:
        self.told.append(f"{seen.totals.iteration}{' warming' if seen.warming else ''}")

    def examined(self, totals: Totals, against: str, evaluation: Evaluation, took_s: float) -> None:
        self.told.append(f"{against} {evaluation.score} in {took_s} s")

    def close(self) -> None:
        self.told.append("close")


def test_watchers_are_told(bench: Bench) -> None:
    watching = Watching()
    bench.train(Limits(iterations=3), exam=bench.exam(2.0, 4.0), watchers=[watching])
    assert watching.told == ["1 warming", "rule 4.0 in 100.0 s", "2", "3", "close"]


def test_a_failing_trainer_leaves_the_run_as_last_saved(bench: Bench) -> None:
    def fail(done: int) -> None:
        if done == 4:
            raise ZeroDivisionError

    watching = Watching()
    with pytest.raises(ZeroDivisionError):
        bench.train(Limits(), Counting(bench.time, fail), saving=Saving(every_s=2), watchers=[watching])
    newest = bench.run.checkpoints.newest()
    assert newest is not None
    assert newest.iteration == 2
    assert watching.told[-1] == "close"
