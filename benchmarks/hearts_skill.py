"""Seconds of training until a player is below 6.0 points against three rule bots: results/hearts_skill.json.

Ours as it comes, each peer at the self-play report's settings, and Stable-Baselines3 at every one of the good settings
that we could think of: points a trick, advantages along each seat's own decisions, larger minibatches, the report's
plain net or the nets and the game of our own fast recipe. Its best is whichever arrives first. Only training is on the
clock. Every so often the player is scored; one that seems to have arrived is scored over 5,000 other deals.

Has to be alone on the machine. What was trained is under runs/skill, and goes on where it was stopped.

    python benchmarks/peers/make.py rllib sb3
    python benchmarks/hearts_skill.py [--minutes 60] [--sides "Velodrome" "SB3, our nets"]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from common import RESULTS, called, keep, velodrome

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from contest import Contestant  # noqa: E402
from hearts_table import make_game, make_net  # noqa: E402
from make import python_of  # noqa: E402
from turns import Record  # noqa: E402

from velodrome.learn.actions import Actions  # noqa: E402
from velodrome.learn.evaluate import evaluate  # noqa: E402
from velodrome.learn.policy import NetPolicy  # noqa: E402

BELOW = 6.0
GLANCE, PROOF = 500, 5000
"""Deals of a score on the way, and of the one that counts."""

REPORT = {
    "batch": 4000, "minibatch": 32, "epochs": 10, "rate": 2e-4, "discount": 0.99, "entropy": 0.05, "value": 1.0,
    "net": "attention", "seed": 0,
}  # fmt: skip
GOOD = {
    "batch": 16384, "minibatch": 1024, "epochs": 4, "rate": 5e-4, "discount": 1.0, "entropy": 0.01, "value": 0.5,
    "net": "mlp", "seed": 0, "envs": 128, "threads": 2, "reward": "trick", "per_seat": True,
}  # fmt: skip
OURS = {"net": "compact", "rate": 1e-3, "epochs": 2}
TRIES = {
    "SB3, plain net": GOOD,
    "SB3, plain net, small minibatches": GOOD | {"minibatch": 256, "rate": 3e-4, "epochs": 3},
    "SB3, our nets": GOOD | OURS,
    "SB3, our nets, large batch": GOOD | OURS | {"batch": 32768, "minibatch": 2048, "envs": 1024},
    "SB3, our nets, small batch": GOOD | OURS | {"batch": 8192, "minibatch": 512, "epochs": 4, "envs": 256},
}


def peers() -> list[Contestant]:
    rllib, sb3 = HERE / "peers" / "rllib" / "hearts.py", HERE / "peers" / "sb3" / "hearts.py"
    rows = [
        ("RLlib, old stack", "rllib", rllib, REPORT | {"stack": "old"} | layout("RLlib, old stack, our compiled net")),
        ("RLlib, new stack", "rllib", rllib, REPORT | {"stack": "new"} | layout("RLlib, new stack, our compiled net")),
        ("SB3 MaskablePPO", "sb3", sb3, REPORT | layout("SB3 MaskablePPO, our compiled net")),
        *((name, "sb3", sb3, settings) for name, settings in TRIES.items()),
    ]
    return [Contestant(name, python_of(peer), script, settings, ()) for name, peer, script, settings in rows]


def layout(side: str) -> Record:
    """The fastest that the comparison of speeds has found, for a peer at the report's settings."""
    path = RESULTS / "hearts_peers.json"
    if not path.is_file():
        return {"runners": 0, "envs": 40, "threads": 2}
    found: Record = json.loads(path.read_text(encoding="utf-8"))["layouts"][side][0]["layout"]
    return found


class Training:
    """How far a side has come: a file that survives whatever happens."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder, self.path = name, folder, folder / "progress.json"
        self.state: Record = {"seconds": 0.0, "iterations": 0, "steps": 0, "curve": [], "reached": None}
        if self.path.exists():
            self.state = json.loads(self.path.read_text(encoding="utf-8"))

    def over(self, limit_s: float) -> bool:
        """Whether it has arrived or its time is up."""
        return self.state["reached"] is not None or self.state["seconds"] >= limit_s

    def score(self, points: Callable[[int, int], Record]) -> None:
        """Score the player, surely if it seems to have arrived, and keep everything."""
        seen = points(GLANCE, 0) | {"seconds": self.state["seconds"]}
        self.state["curve"].append(seen)
        print(f"{self.name}: {self.state['seconds']:.0f} s, {seen['points']:.2f} points", flush=True)
        if seen["points"] < BELOW:
            proof = points(PROOF, 1000)
            if proof["points"] + 2 * proof["stderr"] < BELOW:
                self.state["reached"] = proof | {"seconds": self.state["seconds"]}
        self.keep()

    def keep(self) -> None:
        """Write the file beside, then in place of the old one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(self.state, indent=1), encoding="utf-8")
        os.replace(beside, self.path)

    def figure(self) -> Record:
        """The row of this side."""
        last, reached = (self.state["curve"] or [{}])[-1], self.state["reached"]
        return {
            "side": self.name,
            "seconds_to_below_6": None if reached is None else reached["seconds"],
            "trained_s": self.state["seconds"],
            "iterations": self.state["iterations"],
            "decisions": self.state["steps"],
            "points": (reached or last).get("points"),
            "stderr": (reached or last).get("stderr"),
        }


def train_peer(peer: Contestant, training: Training, limit_s: float, every_s: float) -> None:
    """Train until it has arrived or its time is up. Its weights are scored by our own evaluation."""
    if training.over(limit_s):
        return
    game = make_game(peer.settings["net"], 1, 0)
    net = make_net(peer.settings["net"])
    plays = getattr(net, "player", net)  # a central critic sees what no player may
    training.folder.mkdir(parents=True, exist_ok=True)

    def points(deals: int, seed: int) -> Record:
        net.load_state_dict(load_file(training.folder / "weights.safetensors"))
        return _points(evaluate(NetPolicy(plays, Actions(game.spec.action)), game, "rule", episodes=deals, seed=seed))

    with peer.seated({"keep": str(training.folder)}, training.folder) as side:
        state, next_s = training.state, training.state["seconds"] + every_s
        while not training.over(limit_s):
            turn = side.turn()
            state["seconds"] += turn["seconds"]
            state["iterations"] += 1
            state["steps"] += turn["steps"]
            if state["seconds"] >= min(next_s, limit_s):
                next_s = state["seconds"] + every_s
                side.save()
                training.score(points)


def train_ours(training: Training, limit_s: float, every_s: float) -> None:
    """The same with the recipe as anybody would run it."""
    run, state = training.folder / "run", training.state

    def points(deals: int, seed: int) -> Record:
        asked = ("--against", "rule", "--episodes", str(deals), "--seed", str(seed))
        found = velodrome("evaluate", str(run), *asked)
        return {"points": found["score"], "stderr": found["stderr"]}

    while not training.over(limit_s):
        seconds = min(state["seconds"] + every_s, limit_s)
        go_on = ["--resume"] if (run / "config.json").exists() else []
        trained = velodrome("train", "hearts", "--run", str(run), "--seconds", str(seconds), *go_on)
        state["seconds"] = max(trained["seconds"], state["seconds"])
        state["iterations"], state["steps"] = trained["iterations"], trained["decisions"]
        training.score(points)


def _points(found: Any) -> Record:
    return {"points": found.score, "stderr": found.stderr}


def main() -> int:
    others = {peer.name: peer for peer in peers()}
    names = ["Velodrome", *others]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=60, help="seconds of training between two scores of a peer")
    parser.add_argument("--sides", nargs="+", default=names, choices=names)
    parser.add_argument("--folder", type=Path, default=Path("runs/skill"))
    options = parser.parse_args()
    folders = {name: options.folder.resolve() / called(name) for name in names}
    trainings = {name: Training(name, folder) for name, folder in folders.items()}
    try:
        for name in options.sides:
            if name == "Velodrome":
                train_ours(trainings[name], options.minutes * 60, min(options.every, 15))
            else:
                train_peer(others[name], trainings[name], options.minutes * 60, options.every)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last score", file=sys.stderr)
        return 130
    figures = [training.figure() for training in trainings.values() if training.state["iterations"]]
    curves = {name: training.state["curve"] for name, training in trainings.items()}
    keep("hearts_skill", figures, below=BELOW, minutes=options.minutes, settings=settings(), curves=curves)
    return 0


def settings() -> Record:
    """What each peer was trained with."""
    return {peer.name: peer.settings for peer in peers()}


if __name__ == "__main__":
    sys.exit(main())
