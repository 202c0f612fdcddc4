"""What the benchmarks share: sides that take turns, and how a record is kept."""

from __future__ import annotations

import datetime
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from velodrome.meter.machine import hardware

RESULTS = Path(__file__).resolve().parent / "results"

Work = Callable[[], int]
"""Does some work and returns how much: decisions, samples, calls."""


def take_turns(
    sides: Mapping[str, Work], rounds: int, seed: int = 0, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """The rate of every side in every round, in units of work a second.

    All sides work once in each round, in a new random order, so that whatever disturbs the machine hits all of them;
    a round before the first warms up. The seconds are CPU seconds of this process unless another clock is given,
    which for work on several threads has to be `time.perf_counter`.
    """
    generator = np.random.default_rng(seed)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for place in generator.permutation(len(sides)):
            name = list(sides)[place]
            began = clock()
            done = sides[name]()
            if turn:
                rates[name].append(done / (clock() - began))
    return rates


def ratio(ours: Sequence[float], peer: Sequence[float]) -> dict[str, Any]:
    """How many times faster we are: the median over rounds, and what nine rounds in ten lie between."""
    ratios = np.array(ours) / np.array(peer)
    low, high = np.quantile(ratios, [0.05, 0.95])
    return {"ratio": float(np.median(ratios)), "ratio_between": [float(low), float(high)]}


def busy_s() -> float:
    """CPU seconds that all programs together have taken since the machine started."""
    times = psutil.cpu_times()._asdict()
    return float(sum(times.values()) - times["idle"] - times.get("iowait", 0.0) - times.get("guest", 0.0))


def own_s() -> float:
    """CPU seconds of this process and of all below it, those that have ended, too."""
    own = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (own, *own.children(recursive=True)))


class Disturbance:
    """The share of the machine that other programs take while this one measures."""

    def __init__(self) -> None:
        self.began_s, self.busy_s, self.own_s = time.perf_counter(), busy_s(), own_s()

    def share(self) -> float:
        """From the start until now."""
        others_s = (busy_s() - self.busy_s) - (own_s() - self.own_s)
        return max(others_s / (time.perf_counter() - self.began_s) / (psutil.cpu_count() or 1), 0.0)


def on_device(name: str, device: str) -> str:
    """The name of a record that is kept of each kind of device; the CPU's has no more to it."""
    return name if device == "cpu" else f"{name}_{torch.cuda.get_device_name().lower().replace(' ', '-')}"


def called(name: str) -> str:
    """A name as folders have it."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")


class Lines:
    """Rows of a long measurement, kept from call to call until its record is made of them."""

    def __init__(self, name: str):
        self.path = RESULTS / f"{name}.lines.jsonl"
        self.new = not self.path.exists()
        """Whether this call is the measurement's first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        lines = self.path.read_text(encoding="utf-8").splitlines()
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def add(self, row: dict[str, Any]) -> None:
        """Keep one more."""
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row)[:300], file=sys.stderr, flush=True)

    def has(self, **wanted: Any) -> bool:
        """Whether a row with these values is there."""
        return any(all(row.get(name) == value for name, value in wanted.items()) for row in self.rows)

    def close(self) -> None:
        """The record is made: the next call begins anew."""
        self.path.unlink(missing_ok=True)


def two_at_once(lines: Lines, work: Callable[..., dict[str, Any]], jobs: Sequence[Sequence[Any]]) -> None:
    """Keep a line for each job. One that failed is told of when all others are done."""
    failed = list[str]()
    pool = ThreadPoolExecutor(2)
    try:
        for done in as_completed([pool.submit(work, *job) for job in jobs]):
            try:
                lines.add(done.result())
            except subprocess.CalledProcessError as error:
                failed.append(str(error))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    if failed:
        raise SystemExit("\n".join([f"{len(failed)} runs failed, and will be done by the next call:", *failed]))


def velodrome(*arguments: str) -> dict[str, Any]:
    """The JSON document with which the command answers; its progress goes to the terminal."""
    done = subprocess.run([sys.executable, "-m", "velodrome", *arguments, "--json"], stdout=subprocess.PIPE, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def record(figures: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Figures with the command, the date and the machine that they were taken with."""
    return {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": hardware(),
        "figures": figures,
        **more,
    }


def keep(name: str, figures: list[dict[str, Any]], **more: Any) -> None:
    """Write results/NAME.json and print the figures."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = json.dumps(record(figures, **more), indent=1)
    (RESULTS / f"{name}.json").write_text(kept + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))
