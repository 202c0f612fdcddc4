"""A training as it goes: a live budget on a terminal, plain lines in a pipe. All of it on stderr."""

from __future__ import annotations

import statistics
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from velodrome.learn.evaluate import Evaluation
from velodrome.learn.session import Limits, Seen, Totals, Watcher
from velodrome.meter.budget import Budget

UNITS = {"game_steps": "game steps/s", "decisions": "decisions/s", "learner_samples": "learner samples/s"}
WARM_UP = "warm-up"
_ROLLING = 20
"""Iterations that a rolling throughput looks back over."""
_KEPT = 1000
"""Iterations that a median is taken over."""
_SHOWN_METRICS = 6


class Speeds:
    """Throughput over the last iterations and its median over many; the warm-up is left out."""

    def __init__(self) -> None:
        self._iterations: deque[dict[str, float]] = deque(maxlen=_KEPT)

    def add(self, seen: Seen) -> None:
        """Take an iteration into account."""
        if not seen.warming:
            self._iterations.append({"seconds": seen.budget.wall_s, **asdict(seen.progress.counts)})

    def rows(self) -> Iterable[tuple[str, float, float]]:
        """`(unit, rolling, median)`; nothing before the second iteration."""
        if not self._iterations:
            return
        recent = list(self._iterations)[-_ROLLING:]
        seconds = sum(one["seconds"] for one in recent)
        for count, unit in UNITS.items():
            rates = [one[count] / one["seconds"] for one in self._iterations]
            yield unit, sum(one[count] for one in recent) / seconds, statistics.median(rates)
        each = statistics.median(one["seconds"] for one in self._iterations)
        yield "iterations/s", len(recent) / seconds, 1 / each


class Lines:
    """One plain line every few seconds, for a pipe or a log."""

    def __init__(self, limits: Limits, every_s: float = 10.0):
        self._limits, self._every_s = limits, every_s
        self._speeds = Speeds()
        self._said_at = -every_s

    def iteration(self, seen: Seen) -> None:
        """Say how far it is, unless that was said just now."""
        self._speeds.add(seen)
        now = time.monotonic()
        if now - self._said_at >= self._every_s:
            self._said_at = now
            speeds = "; ".join(f"{rolling:,.4g} {unit}" for unit, rolling, _ in self._speeds.rows())
            metrics = ", ".join(f"{name} {value:.4g}" for name, value in _shown(seen))
            self._print("; ".join(part for part in (_where(seen.totals, self._limits), speeds, metrics) if part))

    def examined(self, totals: Totals, against: str, evaluation: Evaluation, took_s: float) -> None:
        """Say the score."""
        self._print(f"{_where(totals, self._limits)}; {score_line(against, evaluation)}")

    def close(self) -> None:
        """Nothing is left open."""

    def _print(self, line: str) -> None:
        print(f"velodrome: {line}", file=sys.stderr, flush=True)


class Screen:
    """The live budget."""

    def __init__(self, title: str, limits: Limits, console: Console, every_s: float = 0.5):
        self._title, self._limits, self._every_s = title, limits, every_s
        self._speeds = Speeds()
        self._budget = Budget()
        self._evaluated_s = 0.0
        self._score = ""
        self._drawn_at = 0.0
        self._seen: Seen | None = None
        # Drawn by hand between iterations: a drawing thread would take time from them unseen.
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False)
        self._live.start()

    def iteration(self, seen: Seen) -> None:
        """Take it into account, and draw now and then."""
        self._speeds.add(seen)
        self._budget += seen.budget
        self._seen = seen
        if time.monotonic() - self._drawn_at >= self._every_s:
            self._draw()

    def examined(self, totals: Totals, against: str, evaluation: Evaluation, took_s: float) -> None:
        """Show the score from now on."""
        self._evaluated_s += took_s
        self._score = score_line(against, evaluation)

    def close(self) -> None:
        """Draw a last time and leave it standing."""
        self._draw()
        self._live.stop()

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        if self._seen is None:
            return
        lines: list[RenderableType] = [
            Text(self._title, style="bold"),
            self._progress(self._seen.totals),
            self._phases(),
            self._throughput(),
        ]
        metrics = "   ".join(f"{name} {value:.4g}" for name, value in _shown(self._seen))
        lines += [Text(line) for line in (metrics, self._score) if line]
        self._live.update(Group(*lines), refresh=True)

    def _progress(self, totals: Totals) -> Table:
        grid = Table.grid(padding=(0, 1))
        done = _done(totals, self._limits)
        where = Text(_where(totals, self._limits))
        grid.add_row(*([where] if done is None else [ProgressBar(total=1.0, completed=done, width=30), where]))
        return grid

    def _phases(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("phase", "seconds", "share"):
            table.add_column(heading, justify="left" if heading == "phase" else "right")
        table.add_column("")
        for name, seconds in _rows(self._budget).items():
            share = seconds / self._budget.wall_s
            table.add_row(name, f"{seconds:.2f}", f"{share:.1%}", ProgressBar(total=1.0, completed=share, width=24))
        if self._evaluated_s:
            table.add_row("evaluate", f"{self._evaluated_s:.2f}", "", "off the clock")
        return table

    def _throughput(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("throughput", "now", "median"):
            table.add_column(heading, justify="left" if heading == "throughput" else "right")
        for unit, rolling, median in self._speeds.rows():
            table.add_row(unit, f"{rolling:,.4g}", f"{median:,.4g}")
        return table


def watch_terminal(title: str, limits: Limits) -> Watcher:
    """The live budget where stderr is a terminal, else plain lines."""
    console = Console(stderr=True)
    return Screen(title, limits, console) if console.is_terminal else Lines(limits)


def score_line(against: str, evaluation: Evaluation) -> str:
    """An evaluation in one line."""
    return (
        f"{evaluation.score_name} {evaluation.score:.3f} ± {2 * evaluation.stderr:.3f} against {against} "
        f"({evaluation.better} is better; two standard errors, {evaluation.episodes:,} episodes)"
    )


def _rows(budget: Budget) -> dict[str, float]:
    """Seconds by phase, the warm-up as one."""
    rows: dict[str, float] = {}
    for phase in budget.phases:
        name = WARM_UP if phase.name.startswith(f"{WARM_UP}.") else phase.name
        rows[name] = rows.get(name, 0.0) + phase.seconds
    return rows | {"unaccounted": budget.unaccounted}


def _shown(seen: Seen) -> list[tuple[str, float]]:
    return list(seen.progress.metrics.items())[:_SHOWN_METRICS]


def _done(totals: Totals, limits: Limits) -> float | None:
    """The share of the nearest limit, if there is one."""
    shares = []
    if limits.iterations:
        shares.append(totals.iteration / limits.iterations)
    if limits.seconds:
        shares.append(totals.seconds / limits.seconds)
    return min(1.0, max(shares)) if shares else None


def _where(totals: Totals, limits: Limits) -> str:
    iterations = f" of {limits.iterations:,}" if limits.iterations else ""
    seconds = f" of {limits.seconds:,.0f}" if limits.seconds else ""
    return f"iteration {totals.iteration:,}{iterations}, {totals.seconds:,.1f}{seconds} s"
