"""Our PPO loop against PufferLib's on the CPU, the game being as good as free: results/ppo_loop.json.

Both train the same net of 16,390 parameters on the same compiled game (square.py) with the same batch, minibatch and
epochs on two cores, in turn, an iteration each. First each side tries one thread and two (ours: lanes too) and keeps
its fastest. PufferLib's own settings for such a game are the large ones; a smaller board of games goes beside them.

    python benchmarks/peers/make.py pufferlib
    python benchmarks/ppo_loop.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from common import keep

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from contest import Contestant, race, seated, try_layouts  # noqa: E402
from make import python_of  # noqa: E402
from turns import Record  # noqa: E402

from velodrome.meter.statistics import median_ratio  # noqa: E402

WORKLOADS = {
    "small": {"games": 1024, "horizon": 64, "minibatch": 8192, "epochs": 1},
    "large": {"games": 4096, "horizon": 64, "minibatch": 32768, "epochs": 1},
}


def contestants(workload: Record, folder: Path) -> list[Contestant]:
    scripts = HERE / "peers"
    ours = ({"lanes": 2, "threads": 1}, {"lanes": 1, "threads": 2}, {"lanes": 1, "threads": 1})
    theirs = {"threads": 2}, {"threads": 1}
    settings = workload | {"folder": str(folder)}
    return [
        Contestant("Velodrome", Path(sys.executable), scripts / "ours" / "square.py", workload, ours),
        Contestant("PufferLib", python_of("pufferlib"), scripts / "pufferlib" / "square.py", settings, theirs),
    ]


def figure(workload: str, side: str, layout: Record, turns: list[Record], ours: list[Record]) -> Record:
    """One row: a side's medians, and how many times its speed ours is."""
    seconds = [turn["seconds"] for turn in turns]
    ratio = median_ratio([turn["seconds"] for turn in ours], seconds, paired=True)
    return {
        "workload": workload,
        "side": side,
        "steps_per_s": turns[0]["steps"] / median(seconds),
        "collect_s": median(turn["collect_s"] for turn in turns),
        "learn_s": median(turn["learn_s"] for turn in turns),
        "times_ours": ratio.ratio,
        "interval": list(ratio.interval),
        "layout": ", ".join(f"{key} {value}" for key, value in layout.items()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tries", type=int, default=3)
    options = parser.parse_args()
    figures, kept = [], {}
    with tempfile.TemporaryDirectory() as name:
        for workload, settings in WORKLOADS.items():
            both = contestants(settings, Path(name))
            tried = {each.name: try_layouts(each, options.tries, Path(name)) for each in both}
            best = {side: found[0]["layout"] for side, found in tried.items()}
            with seated(both, best, Path(name)) as sides:
                about = {side: process.about for side, process in sides.items()}
                turns = race(sides, options.rounds)
            figures += [figure(workload, side, best[side], turns[side], turns["Velodrome"]) for side in turns]
            kept[workload] = {"settings": settings, "about": about, "layouts": tried, "turns": turns}
    keep("ppo_loop", figures, workloads=kept)


if __name__ == "__main__":
    main()
