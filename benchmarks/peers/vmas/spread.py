"""Random play of VMAS's simple spread, a turn so many steps in whole games.

Argument: `{agents, games, steps, threads}`.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from vmas import make_env

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE)]
from turns import Record, take_turns  # noqa: E402

LONGEST = 25


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    env: Any = make_env(
        "simple_spread", num_envs=asked["games"], device="cpu", continuous_actions=False, seed=0,
        n_agents=asked["agents"],
    )  # fmt: skip

    @torch.no_grad()
    def turn() -> Record:
        began = time.perf_counter()
        for step in range(asked["steps"]):
            if step % LONGEST == 0:
                env.reset()
            env.step([torch.randint(0, 5, (asked["games"],)) for _ in env.agents])
        return {"seconds": time.perf_counter() - began, "steps": asked["steps"] * asked["games"]}

    turn()
    versions = {name: importlib.metadata.version(name) for name in ("vmas", "torch")}
    take_turns(turn, {"side": "VMAS", "version": versions["vmas"], "torch": versions["torch"]})


if __name__ == "__main__":
    main()
