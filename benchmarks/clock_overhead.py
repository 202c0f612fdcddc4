"""What the clock costs a small training loop, and whether a delay shows where it is: results/clock_overhead.json.

The same loop without spans, with a clock that is not enabled, with one that is, and with one that records a trace take
turns, in a new random order each round, so that whatever disturbs the machine hits all of them. The difference between
an iteration with and one without, measured, is compared with what the budget says it is: spans times calibrated cost.

python benchmarks/clock_overhead.py [ROUNDS]
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from common import keep
from velodrome.meter.budget import Budget, phases
from velodrome.meter.clock import Clock, calibrated_span_ns
from velodrome.meter.statistics import difference
from velodrome.meter.trace import Trace

STEPS, MINIBATCHES = 16, 4
DELAY = 0.05
BATCHES_OF_ROUNDS = 20


class Loop:
    """A small learner's work: steps of play with a net's decision each, then minibatches."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
        self.optimizer = torch.optim.SGD(self.net.parameters(), 1e-6)
        self.views, self.state = torch.randn(64, 64), np.random.default_rng(0).random((64, 64))
        self.delay_s = 0.0

    def infer(self) -> None:
        """A forward pass without gradients."""
        with torch.no_grad():
            self.net(self.views)

    def play(self) -> None:
        """Some array work, as a game's step would be."""
        self.state = np.sort(self.state, axis=1)[:, ::-1]

    def forward(self) -> torch.Tensor:
        """A loss."""
        loss: torch.Tensor = self.net(self.views).square().mean()
        return loss

    def backward(self, loss: torch.Tensor) -> None:
        """Its gradients, and the injected delay."""
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        until = time.perf_counter() + self.delay_s
        while self.delay_s and time.perf_counter() < until:
            pass

    def bare(self) -> None:
        """One iteration without a word about time."""
        for _ in range(STEPS):
            self.infer()
            self.play()
        for _ in range(MINIBATCHES):
            loss = self.forward()
            self.backward(loss)
            self.optimizer.step()

    def timed(self, clock: Clock) -> None:
        """The same with a span around everything."""
        for _ in range(STEPS):
            with clock("collect.infer"):
                self.infer()
            with clock("collect.step"):
                self.play()
        for _ in range(MINIBATCHES):
            with clock("learn.forward"):
                loss = self.forward()
            with clock("learn.backward"):
                self.backward(loss)
            with clock("learn.optimize"):
                self.optimizer.step()


def in_turn(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each in every round, each round in an order of its own."""
    generator = np.random.default_rng(0)
    names = list(works)
    took: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for at in generator.permutation(len(names)):
            began = time.perf_counter()
            works[names[at]]()
            took[names[at]].append(time.perf_counter() - began)
    return {name: np.array(seconds) for name, seconds in took.items()}


def overhead(rounds: int) -> list[dict[str, Any]]:
    """What each kind of clock added to an iteration: measured, and by the calibrated cost of a span."""
    loop, spans = Loop(), 2 * STEPS + 3 * MINIBATCHES
    clocks = {"not enabled": Clock(enabled=False), "enabled": Clock(), "traced": Clock(trace=Trace())}
    works: dict[str, Callable[[], Any]] = {"bare": loop.bare}
    works |= {name: functools.partial(loop.timed, clock) for name, clock in clocks.items()}
    in_turn(works, 50)
    took = in_turn(works, rounds)
    costs = {"not enabled": None, "enabled": calibrated_span_ns(), "traced": calibrated_span_ns("cpu", True)}
    return [added(name, took["bare"], took[name], spans, costs[name]) for name in clocks]


def added(name: str, bare: np.ndarray, timed: np.ndarray, spans: int, cost_ns: float | None) -> dict[str, Any]:
    """One row: the quick half of the iterations decides, since a span makes those slower too, and noise does not."""
    batches = list(zip(np.array_split(bare, BATCHES_OF_ROUNDS), np.array_split(timed, BATCHES_OF_ROUNDS), strict=True))
    extra_s = np.array([np.percentile(after, 25) - np.percentile(before, 25) for before, after in batches])
    plain_s = float(np.percentile(bare, 25))
    each_ns = float(extra_s.mean()) / spans * 1e9
    stderr_ns = float(extra_s.std(ddof=1)) / len(extra_s) ** 0.5 / spans * 1e9
    return {
        "clock": name,
        "spans": spans,
        "iteration_us": plain_s * 1e6,
        "measured_span_ns": each_ns,
        "stderr_ns": stderr_ns,
        "calibrated_span_ns": cost_ns,
        "measured_overhead": each_ns * spans / 1e9 / plain_s,
        "calibrated_overhead": cost_ns * spans / 1e9 / plain_s if cost_ns is not None else None,
    }


def delayed(rounds: int) -> list[dict[str, Any]]:
    """Phase by phase, a run with 5 % more time in `learn.backward` beside the same run without."""
    plain, slow = Loop(), Loop()
    clocks = {"plain": Clock(), "slow": Clock()}
    laps: dict[str, list[Budget]] = {"plain": [], "slow": []}

    def one(name: str, loop: Loop) -> None:
        clocks[name].lap()
        loop.timed(clocks[name])
        laps[name].append(clocks[name].lap())

    works = {"plain": lambda: one("plain", plain), "slow": lambda: one("slow", slow)}
    in_turn(works, 200)
    slow.delay_s = DELAY * float(np.median(phases(laps["plain"])["learn.backward"])) / MINIBATCHES
    for taken in laps.values():
        taken.clear()
    in_turn(works, rounds)
    before, after = phases(laps["plain"]), phases(laps["slow"])
    rows = []
    for name in before:
        found = difference(before[name], after[name], paired=True)
        rows.append({"phase": name, "ratio": found.ratio, "interval": found.interval, "verdict": found.verdict})
    return rows


def main(rounds: int) -> None:
    """Measure and keep."""
    torch.set_num_threads(1)
    keep("clock_overhead", overhead(rounds), rounds=rounds, torch_threads=1, delay=DELAY, delayed=delayed(rounds))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
