"""What it costs a trainer to be watched: results/observe_overhead.json.

Each of three scripts that know nothing of Velodrome trains in two processes, one watched and one not, both warm and in
turn, the order drawn anew each round. The ratio of their times, measured, is put beside the overhead that a budget
prints: calls times their calibrated cost. Seconds of the processor are given too, which other programs disturb less.
Cards and causes are not part of it: the first come after a run, the second are a phase of their own.

    python benchmarks/observe_overhead.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from common import Disturbance, keep

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from make import make, python_of  # noqa: E402
from turns import Record, Side  # noqa: E402

from velodrome.meter.statistics import median_ratio  # noqa: E402


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


def pairs(trainer: Trainer, rounds: int) -> dict[str, list[Record]]:
    """Turns of both sides."""
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


def figure(trainer: Trainer, turns: dict[str, list[Record]]) -> Record:
    """One row."""
    seconds = {side: [turn["seconds"] for turn in taken] for side, taken in turns.items()}
    ratio = median_ratio(seconds["plain"], seconds["observed"], paired=True)
    cpu = {side: [turn["cpu_s"] for turn in taken] for side, taken in turns.items()}
    cpu_ratio = median_ratio(cpu["plain"], cpu["observed"], paired=True)
    return {
        "trainer": trainer.name,
        "plain_s": median(seconds["plain"]),
        "observed_s": median(seconds["observed"]),
        "ratio": ratio.ratio,
        "interval": list(ratio.interval),
        "cpu_ratio": cpu_ratio.ratio,
        "cpu_interval": list(cpu_ratio.interval),
        "calibrated_overhead": median(turn["overhead"] for turn in turns["observed"]),
        "watched_calls": median(turn["calls"] for turn in turns["observed"]),
    }


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    others, turns = Disturbance(), {}
    for trainer in TRAINERS:
        turns[trainer.name] = pairs(trainer, options.rounds)
        print(figure(trainer, turns[trainer.name]), flush=True)
    figures = [figure(trainer, turns[trainer.name]) for trainer in TRAINERS]
    keep("observe_overhead", figures, rounds=options.rounds, turns=turns, disturbed=others.share())


if __name__ == "__main__":
    main()
