"""Independent PPO on spread beside the same in JAX on JaxMARL's, in one run: results/ippo_peers.json.

Settings are those of JaxMARL's own baseline. Both sides have two cores and take turns of as many iterations, from
nothing to a million steps; what their games earn at the end stands beside how fast they got there.

    python benchmarks/peers/make.py jaxmarl
    python benchmarks/ippo_peers.py [--seeds 3]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from common import Disturbance, keep

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from contest import Contestant, on_cores, race  # noqa: E402
from make import python_of  # noqa: E402
from turns import Record  # noqa: E402

from velodrome.meter.statistics import mean, median_ratio  # noqa: E402

OURS, THEIRS = "Velodrome", "JaxMARL"
THREADS, STEPS = 2, 10**6
SETTINGS = {
    "agents": 3, "games": 16, "rows": 128, "epochs": 4, "parts": 4, "rate": 2.5e-4, "widths": [64, 64],
    "iterations": 20, "threads": THREADS,
}  # fmt: skip
STATED = {"JaxMARL's baseline, steps_per_s": 86_000, "wanted_ratio": 1.3}


def sides(seed: int) -> list[Contestant]:
    """Both, of that seed."""
    settings = SETTINGS | {"seed": seed}
    return [
        Contestant(OURS, Path(sys.executable), HERE / "peers/ours/ippo.py", settings, ({},)),
        Contestant(THEIRS, python_of("jaxmarl"), HERE / "peers/jaxmarl/ippo.py", settings, ({},)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    on_cores(THREADS)
    others, turns = Disturbance(), list[dict[str, list[Record]]]()
    rounds = round(STEPS / (SETTINGS["iterations"] * SETTINGS["games"] * SETTINGS["rows"]))  # type: ignore[operator]
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            one, other = sides(seed)
            with one.seated({}, Path(folder)) as ours, other.seated({}, Path(folder)) as theirs:
                turns.append(race({OURS: ours, THEIRS: theirs}, rounds))
    rates = {
        name: [turn["steps"] / turn["seconds"] for taken in turns for turn in taken[name]] for name in (OURS, THEIRS)
    }
    ratio = median_ratio(rates[THEIRS], rates[OURS], paired=True)
    figures = []
    for name in (OURS, THEIRS):
        earned = mean([taken[name][-1]["return"] for taken in turns])
        figures.append(
            {
                "side": name, "steps_per_s": median(rates[name]), "return": earned.mean,
                "return interval": list(earned.interval), "seeds": seeds,
            }
        )  # fmt: skip
    figures[0] |= {"ratio": ratio.ratio, "interval": list(ratio.interval), "wanted_ratio": STATED["wanted_ratio"]}
    keep("ippo_peers", figures, stated=STATED, settings=SETTINGS, turns=turns, others_took=others.share())


if __name__ == "__main__":
    main()
