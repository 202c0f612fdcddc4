"""BenchMARL on VMAS's simple spread, an iteration a turn.

Argument: `{algorithm, agents, games, frames, updates, batch, widths, threads}`; everything else is as it comes.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
import time
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import torch
from benchmarl.algorithms import MaddpgConfig, QmixConfig
from benchmarl.environments import VmasTask
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE)]
from turns import Record, take_turns  # noqa: E402

ALGORITHMS = {"maddpg": MaddpgConfig, "qmix": QmixConfig}


GO, DONE = Queue[None](), Queue[int]()
"""Not the callback's own: an experiment writes its callbacks to disk."""


class Turns(Callback):  # type: ignore[misc]
    """Holds the experiment between its iterations."""

    updates = 0

    def on_train_step(self, batch: Any, group: str) -> None:
        self.updates += 1

    def on_train_end(self, training_td: Any, group: str) -> None:
        DONE.put(self.updates)
        self.updates = 0
        GO.get()


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    config: Any = ExperimentConfig.get_from_yaml()
    config.evaluation = config.render = config.create_json = False
    config.loggers, config.save_folder = [], tempfile.mkdtemp()
    config.max_n_frames, config.max_n_iters = None, 10**6
    config.exploration_anneal_frames = 10**6
    config.off_policy_n_envs_per_worker = asked["games"]
    config.off_policy_collected_frames_per_batch = asked["frames"]
    config.off_policy_n_optimizer_steps = asked["updates"]
    config.off_policy_train_batch_size = asked["batch"]
    task: Any = VmasTask.SIMPLE_SPREAD.get_from_yaml()
    task.config |= {"n_agents": asked["agents"]}
    nets: Any = MlpConfig.get_from_yaml()
    nets.num_cells = asked["widths"]
    experiment = Experiment(
        task=task, algorithm_config=ALGORITHMS[asked["algorithm"]].get_from_yaml(), model_config=nets,
        critic_model_config=nets, seed=0, config=config, callbacks=[Turns()],
    )  # fmt: skip
    running = Thread(target=experiment.run, daemon=True)

    def turn() -> Record:
        began = time.perf_counter()
        if running.ident is None:
            running.start()
        else:
            GO.put(None)
        updates = DONE.get()
        return {"seconds": time.perf_counter() - began, "frames": asked["frames"], "updates": updates}

    turn()
    versions = {name: importlib.metadata.version(name) for name in ("benchmarl", "torchrl", "vmas", "torch")}
    take_turns(turn, {"side": "BenchMARL", "version": versions.pop("benchmarl"), **versions})


if __name__ == "__main__":
    main()
