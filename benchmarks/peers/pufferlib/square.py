"""PufferLib's PPO loop on the smallest game, a turn an iteration.

The game is ours and writes straight into this library's buffers, as its own compiled games do.
Argument: `{games, threads, minibatch, epochs, horizon}`.
"""

from __future__ import annotations

import configparser
import json
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pufferlib
import pufferlib.vector
import torch
from pufferlib.pufferl import PuffeRL
from torch import Tensor, nn

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]
from turns import Record, take_turns  # noqa: E402

from square import CELLS, MOVES, Square, SquareNet  # noqa: E402


class Squares(pufferlib.PufferEnv):
    """Many games at once."""

    def __init__(self, games: int = 1, buf: Any = None, seed: int = 0):
        self.single_observation_space = gymnasium.spaces.Box(0, 2, (CELLS,), np.uint8)
        self.single_action_space = gymnasium.spaces.Discrete(MOVES)
        self.num_agents = games
        super().__init__(buf)
        self.game = Square(games, seed)
        self.game.views["cells"] = self.observations[:, None]
        self.scores: list[float] = []

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, list[Record]]:
        self.game.reset()
        return self.observations, []

    def step(self, actions: np.ndarray) -> tuple[Any, ...]:
        game = self.game
        game.step(actions)
        self.rewards[:] = game.rewards[:, 0]
        self.terminals[:] = game.ended
        if game.ended.any():
            self.scores.append(float(game.outcome[game.ended].mean()))
            game.reset(game.ended)
        return self.observations, self.rewards, self.terminals, self.truncations, []

    def close(self) -> None:
        """Nothing to close."""


class Policy(nn.Module):
    """The same net, in the form that this library asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.net = SquareNet()

    def forward(self, observations: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        outputs = self.net({"cells": observations})
        return outputs["move"], outputs["value"][:, None]

    forward_eval = forward


def settings(asked: Record) -> Record:
    """This library's defaults, but for what both sides share."""
    parser = configparser.ConfigParser()
    parser.read(Path(pufferlib.__file__).parent / "config" / "default.ini")
    train = {name: _value(text) for name, text in parser["train"].items()}
    shared = {
        "batch_size": asked["games"] * asked["horizon"],
        "bptt_horizon": asked["horizon"],
        "minibatch_size": asked["minibatch"],
        "max_minibatch_size": asked["minibatch"],
        "update_epochs": asked["epochs"],
        "learning_rate": 3e-3,
        "gamma": 0.95,
        "gae_lambda": 0.9,
    }
    here = {"env": "square", "use_rnn": False, "device": "cpu", "optimizer": "adam", "data_dir": asked["folder"]}
    endless = {"anneal_lr": False, "total_timesteps": 10**12, "checkpoint_interval": 10**9}
    return train | shared | here | endless | {"torch_deterministic": False}


def _value(text: str) -> Any:
    try:
        return json.loads(text.strip().replace("_", "").lower())
    except json.JSONDecodeError:
        return text.strip()


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    torch.manual_seed(0)
    games = pufferlib.vector.make(
        Squares, backend=pufferlib.PufferEnv, num_envs=1, env_kwargs={"games": asked["games"]}
    )
    policy = Policy()
    trainer = PuffeRL(settings(asked), games, policy)
    torch.set_num_threads(asked["threads"])

    def turn() -> Record:
        began = time.perf_counter()
        trainer.evaluate()
        collected = time.perf_counter()
        trainer.train()
        ended = time.perf_counter()
        told = {"seconds": ended - began, "collect_s": collected - began, "learn_s": ended - collected}
        score = float(np.mean(games.driver_env.scores)) if games.driver_env.scores else None
        games.driver_env.scores.clear()
        return told | {"steps": asked["games"] * asked["horizon"], "score": score}

    parameters = sum(parameter.numel() for parameter in policy.parameters())
    try:
        take_turns(turn, {"side": "PufferLib", "version": "3.0.0", "parameters": parameters})
    finally:
        trainer.utilization.stop()  # a thread that would outlive the process


if __name__ == "__main__":
    main()
