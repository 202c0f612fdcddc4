"""Skirmish beside JaxMARL's SMAX on the CPU, random legal play with everything seen: results/skirmish_speed.json.

Both sides have two cores and play as many game steps a turn, in turn; first each tries how many games at once suit it.
A step is eight game loops on both sides. Ours has shields, healing, splash and terrain besides.

    python benchmarks/peers/make.py jaxmarl
    python benchmarks/skirmish_speed.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median

from common import Disturbance, keep

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from contest import Contest, Contestant, contest, on_cores  # noqa: E402
from make import python_of  # noqa: E402
from turns import Record  # noqa: E402

from velodrome.meter.statistics import median_ratio  # noqa: E402

MAPS = {"3m": (2**17, 5.0), "8m": (2**16, 5.0), "27m_vs_30m": (2**14, 8.0)}
"""How many game steps a turn has on each map, and how many times their speed is wanted."""
GAMES = (64, 256, 1024, 4096)
THREADS = 2


def contestants(name: str, steps: int) -> list[Contestant]:
    layouts = tuple({"games": games, "steps": steps // games} for games in GAMES)
    ours = {"game": "skirmish", "options": {"map": name}, "threads": THREADS, "apart": True}
    return [
        Contestant("Velodrome", Path(sys.executable), HERE / "peers/ours/random_play.py", ours, layouts),
        Contestant("JaxMARL", python_of("jaxmarl"), HERE / "peers/jaxmarl/skirmish.py", {"map": name}, layouts),
    ]


def figure(name: str, wanted: float, found: Contest) -> Record:
    """One row: both rates, and how many times theirs ours is."""
    ratio = median_ratio(found.seconds("Velodrome"), found.seconds("JaxMARL"), paired=True)
    rates = {side: MAPS[name][0] / median(found.seconds(side)) for side in found.turns}
    return {
        "map": name,
        "steps_per_s": rates["Velodrome"],
        "games": found.best("Velodrome")["games"],
        "peer": "JaxMARL",
        "peer_per_s": rates["JaxMARL"],
        "peer_games": found.best("JaxMARL")["games"],
        "ratio": ratio.ratio,
        "interval": list(ratio.interval),
        "wanted_ratio": wanted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tries", type=int, default=2)
    options = parser.parse_args()
    on_cores(THREADS)
    others, figures, kept = Disturbance(), [], {}
    for name, (steps, wanted) in MAPS.items():
        found = contest(contestants(name, steps), options.tries, options.rounds)
        figures.append(figure(name, wanted, found))
        kept[name] = asdict(found)
    keep("skirmish_speed", figures, maps=kept, threads=THREADS, taken_by_others=others.share())


if __name__ == "__main__":
    main()
