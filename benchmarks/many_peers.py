"""MADDPG and QMIX end to end beside BenchMARL's on simple spread: results/many_peers.json.

Both sides take turns in one run, two threads each: as many frames, updates of as large a batch, nets as wide, agents
share nets. QMIX here draws whole games, as many as make up the batch.

    python benchmarks/peers/make.py benchmarl
    python benchmarks/many_peers.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from common import Disturbance, keep

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from contest import Contest, Contestant, contest, on_cores  # noqa: E402
from make import python_of  # noqa: E402
from turns import Record  # noqa: E402

from velodrome.meter.statistics import median_ratio  # noqa: E402

OURS, THEIRS = "Velodrome", "BenchMARL"
THREADS = 2
CASES: dict[str, dict[str, Any]] = {
    "its defaults": {"games": 10, "frames": 6000, "updates": 1000, "batch": 128, "wanted": 3.0},
    "larger batches": {"games": 256, "frames": 6400, "updates": 100, "batch": 1024, "wanted": 3.0},
    "an update every 100 frames": {"games": 10, "frames": 6000, "updates": 60, "batch": 128, "wanted": 10.0},
    "an update every 400 frames": {"games": 10, "frames": 6000, "updates": 15, "batch": 128, "wanted": 10.0},
}
WIDTHS = [256, 256]
AGENTS = 3


def figures_of(algorithm: str, name: str, case: Record, found: Contest) -> Record:
    """Frames a second of both."""
    rates = {side: [turn["frames"] / turn["seconds"] for turn in found.turns[side]] for side in (OURS, THEIRS)}
    ratio = median_ratio(rates[THEIRS], rates[OURS], paired=True)
    return {
        "algorithm": algorithm, "settings": name, "frames": case["frames"], "updates": case["updates"],
        "batch": case["batch"], "frames_per_s": median(rates[OURS]), "their_per_s": median(rates[THEIRS]),
        "ratio": ratio.ratio, "interval": list(ratio.interval), "wanted_ratio": case["wanted"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    on_cores(THREADS)
    others, figures, kept = Disturbance(), list[Record](), {}
    for algorithm in ("maddpg", "qmix"):
        for name, case in CASES.items():
            settings = {"algorithm": algorithm, "agents": AGENTS, "widths": WIDTHS, "threads": THREADS, **case}
            layout = ({"games": case["games"]},)
            sides = [
                Contestant(OURS, Path(sys.executable), HERE / "peers/ours/team.py", settings, layout),
                Contestant(THEIRS, python_of("benchmarl"), HERE / "peers/benchmarl/spread.py", settings, layout),
            ]
            found = contest(sides, 1, options.rounds)
            figures.append(figures_of(algorithm, name, case, found))
            kept[f"{algorithm}, {name}"] = asdict(found)
    keep("many_peers", figures, sides=kept, threads=THREADS, others_took=others.share())


if __name__ == "__main__":
    main()
