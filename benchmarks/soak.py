"""A soak: hours of training with evaluations and checkpoints, watched from outside: results/soak.json.

    python benchmarks/soak.py [--recipe hearts] [--hours 2] [--every 60] [--device cpu|cuda]

Once a minute it notes what memory the training's processes hold, what the device holds, how fast it went, how much of
the time its budget leaves unaccounted, and how large the run's logs and checkpoints are. What comes of that is slopes
over the hours, with 95 % intervals: medians over all pairs of minutes (Theil and Sen), those of a process apart from
those of the one that went on where it was interrupted, without the minutes in which each warmed up.

It fails, exit code 1, though the record is written: if memory grows, speed falls, the budget does not close, or the
run's files are not bounded. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from scipy import stats

from common import Lines, keep, on_device

EVALUATE_S, SAVE_S, EPISODES = 300.0, 60.0, 400
WARMING = 0.1
"""The part of the hours that counts for nothing at first; of a process that goes on, a third of that."""
LEAST = 6
"""Samples that a slope takes."""
GROWS, FALLS = 0.02, 0.05
"""The part of what it was that memory may grow by in these hours, and speed fall by, if that is more than chance."""
UNACCOUNTED, APART = 0.05, 1e-6
"""The share of a minute that a budget may leave unaccounted, and by how much its rows may miss the wall clock."""
LOGS_MB_PER_HOUR, LINE_GROWS = 100.0, 0.25
"""What logs may come to, and the part by which their lines may become longer."""
LOGS = ("metrics.jsonl", "budget.jsonl", "evaluations.jsonl")


class Tail:
    """What was added to a growing file since the last look."""

    def __init__(self, path: Path):
        self.path, self.at = path, path.stat().st_size if path.is_file() else 0

    def lines(self) -> list[dict[str, Any]]:
        """The whole lines that are new."""
        if not self.path.is_file():
            return []
        size = self.path.stat().st_size
        if size < self.at:  # cut back, where a killed run went on
            self.at = size
        with self.path.open("rb") as file:
            file.seek(self.at)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.at += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


class Watch:
    """One process that trains, looked at now and then."""

    def __init__(self, run: Path, process: subprocess.Popen[bytes], device: str, session: int):
        self.run, self.process, self.device, self.session = run, process, device, session
        self.metrics, self.budgets = Tail(run / "metrics.jsonl"), Tail(run / "budget.jsonl")

    def sample(self) -> dict[str, Any] | None:
        """What there is to note; nothing where no iteration was done since the last time."""
        metrics, budgets, held = self.metrics.lines(), self.budgets.lines(), self._held_mb()
        if not metrics or not budgets or not held:
            return None
        wall = sum(one["wall_s"] for one in budgets)
        return {
            "session": self.session,
            "hours": metrics[-1]["seconds"] / 3600,
            "iteration": metrics[-1]["iteration"],
            "processes": len(held),
            "memory_mb": sum(held),
            "device_mb": self._device_mb(),
            "decisions_per_s": sum(one["decisions"] for one in metrics) / sum(one["iteration_s"] for one in metrics),
            "unaccounted": sum(one["unaccounted"] for one in budgets) / wall,
            "apart": max(abs(_sum(one) - one["wall_s"]) / one["wall_s"] for one in budgets),
            "log_mb": sum(_size(self.run / name) for name in LOGS) / 1e6,
            "checkpoints_mb": _size(self.run / "checkpoints") / 1e6,
            "checkpoints": len(list((self.run / "checkpoints").glob("iteration-*"))),
        }

    def _held_mb(self) -> list[float]:
        """By the process and by each below it; nothing if it is gone."""
        held = list[float]()
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            for process in (own, *own.children(recursive=True)):
                held.append(process.memory_info().rss / 1e6)
        return held

    def _device_mb(self) -> float | None:
        """Held on the device by all who are there."""
        if self.device == "cpu":
            return None
        free, whole = torch.cuda.mem_get_info()
        return (whole - free) / 1e6


def _sum(budget: dict[str, Any]) -> float:
    """What a budget's rows come to."""
    return float(sum(phase["seconds"] for phase in budget["phases"]) + budget["unaccounted"])


def _size(path: Path) -> int:
    """Of a file, or of all in a folder; what is removed meanwhile counts for nothing."""
    found = 0
    for each in [path] if path.is_file() else list(path.rglob("*")):
        with contextlib.suppress(OSError):
            found += each.stat().st_size if each.is_file() else 0
    return found


@contextlib.contextmanager
def training(run: Path, options: argparse.Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """The process that trains; it saves and ends when this does."""
    command = [
        sys.executable, "-m", "velodrome", "train", options.recipe, "--run", str(run), "--resume",
        "--seconds", str(3600 * options.hours), "--evaluate-every", str(EVALUATE_S), "--episodes", str(EPISODES),
        "--save-every", str(SAVE_S), "--device", options.device, "--json",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait()


def soaked(lines: Lines, run: Path, options: argparse.Namespace) -> int:
    """Train until the hours are over, and keep a line of every minute; returns the exit code."""
    session = 1 + max((row["session"] for row in lines.rows), default=-1)
    with training(run, options) as process:
        watch = Watch(run, process, options.device, session)
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(options.every)
            found = watch.sample() if process.poll() is None else None
            if found is not None:
                lines.add(found | {"at": time.time()})
    return int(process.returncode)


def steady(rows: Sequence[dict[str, Any]], hours: float) -> list[dict[str, Any]]:
    """The rows of each process after it has warmed up, and before those below it begin to end."""
    kept = []
    for session in dict.fromkeys(row["session"] for row in rows):
        own = [row for row in rows if row["session"] == session]
        usual = float(np.median([row["processes"] for row in own]))
        warming = WARMING * hours * (1 if session == 0 else 1 / 3)
        began = 0.0 if session == 0 else own[0]["hours"]
        kept += [row for row in own if row["hours"] >= began + warming and row["processes"] >= usual]
    return kept


def slope(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """How a figure moves in an hour, as a part of what it is in the middle, with its interval."""
    hours, values = np.array([row["hours"] for row in rows]), np.array([row[name] for row in rows], float)
    middle = float(np.median(values))
    for session in {row["session"] for row in rows}:
        own = np.array([row["session"] == session for row in rows])
        hours[own] -= np.median(hours[own])
        values[own] -= np.median(values[own])
    found, _, low, high = (float(each) for each in stats.theilslopes(values, hours, 0.95))
    scale = middle or 1.0
    return {
        "figure": name, "median": middle, "slope_per_hour": found, "interval": [low, high],
        "share_per_hour": found / scale, "share_interval": [low / scale, high / scale], "samples": len(rows),
    }  # fmt: skip


def judged(rows: Sequence[dict[str, Any]], hours: float) -> tuple[list[dict[str, Any]], list[str]]:
    """The slopes, and what is wrong."""
    kept = steady(rows, hours)
    if len(kept) < LEAST:
        return [], [f"{len(kept)} samples after warming up; a slope takes {LEAST}: let it last longer"]
    names = ["memory_mb", "decisions_per_s", "unaccounted", "checkpoints_mb", "log_mb"]
    names += ["device_mb"] if kept[0]["device_mb"] is not None else []
    slopes = {name: slope(kept, name) for name in names}
    wrong = [
        f"{name} grows by {found['share_per_hour']:.1%} in an hour"
        for name in ("memory_mb", "device_mb", "checkpoints_mb")
        if (found := slopes.get(name)) and found["interval"][0] > 0 and found["share_per_hour"] * hours > GROWS
    ]
    speed = slopes["decisions_per_s"]
    if speed["interval"][1] < 0 and -speed["share_per_hour"] * hours > FALLS:
        wrong.append(f"speed falls by {-speed['share_per_hour']:.1%} in an hour")
    return list(slopes.values()), wrong + unclosed(kept) + unbounded(kept, slopes["log_mb"])


def unclosed(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Where a budget does not close."""
    unaccounted, apart = (max(row[name] for row in rows) for name in ("unaccounted", "apart"))
    wrong = [f"a minute's budgets leave {unaccounted:.1%} unaccounted"] if unaccounted > UNACCOUNTED else []
    return wrong + ([f"a budget's rows miss the wall clock by {apart:.1g} of it"] if apart > APART else [])


def unbounded(rows: Sequence[dict[str, Any]], logs: dict[str, Any]) -> list[str]:
    """Where logs come to too much."""
    wrong = []
    if logs["slope_per_hour"] > LOGS_MB_PER_HOUR:
        wrong.append(f"logs grow by {logs['slope_per_hour']:.0f} MB in an hour")
    first, middle, last = (rows[at] for at in (0, len(rows) // 2, -1))
    early, late = (
        (two["log_mb"] - one["log_mb"]) / max(two["iteration"] - one["iteration"], 1)
        for one, two in ((first, middle), (middle, last))
    )
    if late > (1 + LINE_GROWS) * early:
        wrong.append(f"an iteration's lines grow from {1e6 * early:.0f} to {1e6 * late:.0f} bytes")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="hearts")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds from one look to the next")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    name = on_device("soak", options.device)
    lines, run = Lines(name), Path("runs/soak") / options.recipe
    if lines.new and run.exists():
        raise SystemExit(f"soak: {run} is there, but no lines of it; move it away, so that a new soak can begin")
    try:
        code = soaked(lines, run, options)
    except KeyboardInterrupt:
        print("soak: interrupted; the same command goes on", file=sys.stderr)
        return 130
    slopes, wrong = judged(lines.rows, options.hours)
    wrong += [f"the training ended with exit code {code}"] if code else []
    keep(name, slopes, recipe=options.recipe, hours=options.hours, wrong=wrong, samples=lines.rows)
    if not code:
        lines.close()
    for each in wrong:
        print(f"soak: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
