"""Seconds per PPO iteration on Hearts, ours against RLlib and Stable-Baselines3: results/hearts_peers.json.

The same attention net in single precision, batch 4,000, minibatch 32, 10 epochs, on two cores. First each side tries
its layouts (how many processes collect, how many games side by side, how many threads and lanes) and keeps its fastest.
Then all sides take turns, an iteration each, and what disturbs a round disturbs all of them. The peers train the same
module twice: in torch's own operations, as their users would have it, and with our compiled kernels in it, so that
nothing differs but the trainer.

    python benchmarks/peers/make.py rllib sb3
    python benchmarks/hearts_peers.py [--rounds 7] [--tries 2] [--epochs 10]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from common import keep
from floor import floor_of_minibatch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from contest import Contestant, race, seated, try_layouts  # noqa: E402
from make import python_of  # noqa: E402
from turns import Record  # noqa: E402

from velodrome.meter.statistics import median_ratio  # noqa: E402

PPO = {"batch": 4000, "minibatch": 32, "rate": 2e-4, "discount": 0.99, "entropy": 0.05, "value": 1.0}


def contestants(epochs: int) -> list[Contestant]:
    peers, ppo = HERE / "peers", PPO | {"epochs": epochs}
    rllib = tuple(
        {"runners": runners, "envs": envs, "threads": threads}
        for runners, envs in ((0, 40), (2, 20))
        for threads in (1, 2)
    )
    ours = {
        "recipe": "hearts-attention", "ppo": ppo | {"kl_stop": 0.0, "average": 0.0}, "seed": 0,
        "forced": "asked", "opponents": {"bots_share": 0.0},
    }  # fmt: skip
    rows = [
        Contestant(
            "Velodrome", Path(sys.executable), peers / "ours" / "hearts.py", ours,
            ({"lanes": 2, "threads": 1}, {"lanes": 1, "threads": 2}, {"lanes": 1, "threads": 1}),
        )
    ]  # fmt: skip
    sb3 = tuple({"envs": 40, "threads": threads} for threads in (1, 2))
    for net, compiled in (("torch's net", False), ("our compiled net", True)):
        theirs = ppo | {"net": "attention", "seed": 0, "compiled": compiled}
        for stack in ("old", "new"):
            name, settings = f"RLlib, {stack} stack, {net}", theirs | {"stack": stack}
            rows.append(Contestant(name, python_of("rllib"), peers / "rllib" / "hearts.py", settings, rllib))
        rows.append(Contestant(f"SB3 MaskablePPO, {net}", python_of("sb3"), peers / "sb3" / "hearts.py", theirs, sb3))
    return rows


def figure(name: str, layout: Record, turns: list[Record], ours: list[Record]) -> Record:
    """One row: a side's medians, and how much longer than ours it takes."""
    seconds = [turn["seconds"] for turn in turns]
    ratio = median_ratio([turn["seconds"] for turn in ours], seconds, paired=True)
    return {
        "side": name,
        "iteration_s": median(seconds),
        "collect_s": median(turn["collect_s"] for turn in turns),
        "learn_s": median(turn["learn_s"] for turn in turns),
        "times_ours": ratio.ratio,
        "interval": list(ratio.interval),
        "minibatches": int(median(turn["minibatches"] for turn in turns)),
        "layout": ", ".join(f"{key} {value}" for key, value in layout.items()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tries", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, all_sides = Path(name), contestants(options.epochs)
        tried = {each.name: try_layouts(each, options.tries, folder) for each in all_sides}
        best = {side: found[0]["layout"] for side, found in tried.items()}
        with seated(all_sides, best, folder) as sides:
            about = {side: process.about for side, process in sides.items()}
            turns = race(sides, options.rounds)
    figures = [figure(side, best[side], taken, turns["Velodrome"]) for side, taken in turns.items()]
    keep("hearts_peers", figures, about=about, layouts=tried, turns=turns, floor=floor_of_minibatch(PPO["minibatch"]))


if __name__ == "__main__":
    main()
