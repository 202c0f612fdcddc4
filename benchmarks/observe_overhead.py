"""What it costs a trainer to be watched: results/observe_overhead.json.

Each of three scripts that know nothing of Velodrome trains in two processes, one watched and one not, both warm and in
turn, the order drawn anew each round. Where a process comes to lie in memory alone makes it some per cent faster or
slower, so there are several pairs of fresh ones; the interval is Student's over them. The ratio, measured, is put
beside the overhead that a budget prints: calls times their calibrated cost. Seconds of the processor are given too,
which other programs disturb less. Cards and causes are not part of it: the first come after a run, the second are a
phase of their own.

    python benchmarks/observe_overhead.py [--pairs 6] [--rounds 5]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from statistics import median

from common import Disturbance, keep

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from make import make, python_of  # noqa: E402
from turns import Record, Side  # noqa: E402

from velodrome.meter.statistics import mean  # noqa: E402


@dataclass(frozen=True)
class Trainer:
    """A script, what it is told, and whose environment it runs in: ours where there is no peer."""

    name: str
    script: str
    arguments: tuple[str, ...]
    peer: str = ""

    @property
    def python(self) -> str:
        """The interpreter of that environment, which is made if it is missing."""
        if self.peer and not python_of(self.peer).exists():
            make(self.peer)
        return str(python_of(self.peer)) if self.peer else sys.executable


TRAINERS = (
    Trainer("plain torch loop", "loop.py", ("--steps", "2000")),
    Trainer("PPO in one file", "single_file_ppo.py", ("--updates", "8")),
    Trainer("SB3 PPO on CartPole", "sb3.py", ("--steps", "2048"), "sb3"),
)


def pair(trainer: Trainer, rounds: int) -> dict[str, list[Record]]:
    """Turns of two fresh processes."""
    asked = {"script": str(HERE / "trainers" / trainer.script), "arguments": trainer.arguments}
    order, turns = random.Random(0), {"plain": [], "observed": []}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        sides = {}
        for name in turns:
            settings, log = asked | {"observed": name == "observed"}, Path(folder) / f"{name}.log"
            sides[name] = Side(trainer.python, HERE / "trainers" / "side.py", settings, log)
            stack.callback(sides[name].close)
            sides[name].turn()
        for _ in range(rounds):
            for name in order.sample(list(sides), 2):
                turns[name].append(sides[name].turn())
    return turns


def figure(trainer: Trainer, pairs: list[dict[str, list[Record]]]) -> Record:
    """One row."""
    told = {side: [turn for turns in pairs for turn in turns[side]] for side in ("plain", "observed")}
    ratio, cpu_ratio = (mean([log(times(turns, kind)) for turns in pairs]) for kind in ("seconds", "cpu_s"))
    return {
        "trainer": trainer.name,
        "plain_s": median(turn["seconds"] for turn in told["plain"]),
        "observed_s": median(turn["seconds"] for turn in told["observed"]),
        "ratio": exp(ratio.mean),
        "interval": [exp(bound) for bound in ratio.interval],
        "cpu_ratio": exp(cpu_ratio.mean),
        "cpu_interval": [exp(bound) for bound in cpu_ratio.interval],
        "calibrated_overhead": median(turn["overhead"] for turn in told["observed"]),
        "watched_calls": median(turn["calls"] for turn in told["observed"]),
    }


def times(turns: dict[str, list[Record]], kind: str) -> float:
    """How many times as long the watched one of a pair takes."""
    plain, observed = (median(turn[kind] for turn in turns[side]) for side in ("plain", "observed"))
    return observed / plain


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    others, pairs, figures = Disturbance(), {}, []
    for trainer in TRAINERS:
        pairs[trainer.name] = [pair(trainer, options.rounds) for _ in range(options.pairs)]
        figures.append(figure(trainer, pairs[trainer.name]))
        print(figures[-1], flush=True)
    keep("observe_overhead", figures, rounds=options.rounds, pairs=pairs, disturbed=others.share())


if __name__ == "__main__":
    main()
