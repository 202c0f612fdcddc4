"""Trains the recipe `ppo` on other people's environments, on one core: benchmarks/results/ppo_environments.json.

python benchmarks/ppo_environments.py [SEEDS [SECONDS]]

CartPole-v1 until its mean return over 100 games is above 475 by two standard errors, for several seeds (3): the seconds
of training, and those of the whole command with imports, compilation and evaluations. Pendulum-v1 and simple_spread for
some seconds (60). Every agent is scored once more over games that no evaluation during training has seen, before and
after, with the random player beside it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Disturbance, keep, velodrome

CARTPOLE, SOLVED, WANTED_S = "gymnasium:CartPole-v1", 475, 60
SHORT = ("gymnasium:Pendulum-v1", "pettingzoo:mpe2.simple_spread_v3")
GAMES = ("--episodes", "100")
UNSEEN = (*GAMES, "--seed", "1000", "--threads", "1")


def train(game: str, seed: int, run: str, *until: str) -> dict[str, Any]:
    """Train one seed, and say what the whole command took."""
    began = time.perf_counter()
    flags = ("--game", game, "--seed", str(seed), "--run", run, "--threads", "1", *until)
    trained = velodrome("train", "ppo", *flags)
    return trained | {"command_s": time.perf_counter() - began}


def cartpole(seed: int, folder: Path) -> dict[str, Any]:
    """How long it takes one seed to solve it."""
    others, run = Disturbance(), str(folder / f"cartpole-{seed}")
    trained = train(CARTPOLE, seed, run, "--until", f"score>{SOLVED}", "--evaluate-every", "1", *GAMES)
    busy, found = others.share(), velodrome("evaluate", run, *UNSEEN)
    return {
        "game": CARTPOLE,
        "seed": seed,
        "training_s": trained["seconds"],
        "command_s": trained["command_s"],
        "wanted_below_s": WANTED_S,
        "decisions": trained["decisions"],
        "score": found["score"],
        "stderr": found["stderr"],
        "random_player": found["baselines"]["random"]["score"],
        "others_took": busy,
    }


def short(game: str, seconds: int, folder: Path) -> dict[str, Any]:
    """What some seconds bring."""
    others, run = Disturbance(), str(folder / game.rpartition(":")[2])
    before = velodrome("evaluate", "ppo", "--game", game, *UNSEEN)
    trained = train(game, 0, run, "--seconds", str(seconds))
    busy, found = others.share(), velodrome("evaluate", run, *UNSEEN)
    return {
        "game": game,
        "training_s": trained["seconds"],
        "decisions": trained["decisions"],
        "untrained": before["score"],
        "score": found["score"],
        "stderr": found["stderr"],
        "random_player": found["baselines"]["random"]["score"],
        "others_took": busy,
    }


def main(seeds: int, seconds: int) -> None:
    """All of it on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        solved = [cartpole(seed, Path(folder)) for seed in range(seeds)]
        keep("ppo_environments", solved, short=[short(game, seconds, Path(folder)) for game in SHORT])


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:3]]
    main(*(given + [3, 60][len(given) :]))
