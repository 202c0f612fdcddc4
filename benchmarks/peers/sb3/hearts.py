"""MaskablePPO of Stable-Baselines3 on Hearts, a turn an iteration.

Argument: `{net, seed, threads, envs, batch, minibatch, epochs, rate, discount, entropy, value, reward, per_seat,
compiled, keep}`; the last four may be missing: whether each trick pays or the deal, advantages along each seat's own
decisions, whether the net has our compiled kernels, and a folder to go on from and to save to.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sb3_contrib
import torch
from safetensors.torch import save_file
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
from sb3_contrib.common.maskable.distributions import MaskableDistribution
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from counting import Passes
from hearts_table import REWARD_SCALE, Layout, make_game, make_net
from turns import Record, take_turns

from velodrome.learn.kernels.advantage import advantages


class Tables(VecEnv):
    """Many games in this library's own vector form, which costs it less than any number of single ones."""

    def __init__(self, net: str, games: int, seed: int, reward: Literal["deal", "trick"]):
        self.game = make_game(net, games, seed, reward)
        self.layout = Layout(self.game)
        super().__init__(games, self.layout.observation_space, self.layout.action_space)

    def reset(self) -> np.ndarray:
        self.game.reset()
        return self._rows()

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        game, seat = self.game, self.game.seat.copy()
        game.step(self.actions[:, None])
        self.earned, self.seat = game.rewards * np.float32(REWARD_SCALE), seat[:, 0]
        own = np.take_along_axis(self.earned, seat, 1)[:, 0]
        self.ended = ended = game.ended.copy()
        infos: list[dict[str, Any]] = [{} for _ in range(game.games)]
        if ended.any():
            last = self._rows()
            for i in np.flatnonzero(ended):
                infos[i] = {"terminal_observation": last[i]}
            game.reset(ended)
        return self._rows(), own, ended, infos

    def _rows(self) -> np.ndarray:
        rows = np.empty((self.num_envs, self.layout.width), np.int16)
        self.layout.write(self.game, rows)
        return rows

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **more: Any) -> Any:
        assert method_name == "action_masks"
        return self.game.views["legal"][:, 0]

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [self.game.views["legal"][:, 0] if attr_name == "action_masks" else None] * self.num_envs

    def has_attr(self, attr_name: str) -> bool:
        return attr_name == "action_masks"

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(attr_name)

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs

    def close(self) -> None:
        """Nothing to close."""


class NetPolicy(MaskableActorCriticPolicy):
    """Our net as this library's policy."""

    def __init__(self, *arguments: Any, net: Record, layout: Layout, **more: Any):
        self._asked, self._layout = net, layout
        super().__init__(*arguments, **more)

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        self.net = make_net(**self._asked)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=lr_schedule(1), eps=1e-5, fused=True)

    def _ask(self, obs: Tensor, masks: Any) -> tuple[MaskableDistribution, Tensor]:
        outputs = self.net(self._layout.read(obs))
        distribution = self.action_dist.proba_distribution(action_logits=outputs["card"])
        if masks is not None:
            distribution.apply_masking(masks)
        return distribution, outputs["value"]

    def forward(
        self, obs: Tensor, deterministic: bool = False, action_masks: Any = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        distribution, value = self._ask(obs, action_masks)
        action = distribution.get_actions(deterministic=deterministic)
        return action, value, distribution.log_prob(action)

    def evaluate_actions(self, obs: Tensor, actions: Tensor, action_masks: Any = None) -> tuple[Tensor, Tensor, Tensor]:
        distribution, value = self._ask(obs, action_masks)
        return value, distribution.log_prob(actions), distribution.entropy()

    def predict_values(self, obs: Tensor) -> Tensor:
        return self.net(self._layout.read(obs))["value"]


class SeatBuffer(MaskableRolloutBuffer):
    """A rollout whose advantages run along each seat's own decisions, with all that the seat earned between them: what
    this library needs in order to learn such a game well, and does not have by itself."""

    def __init__(self, *arguments: Any, tables: Tables, **more: Any):
        self.tables = tables
        super().__init__(*arguments, **more)

    def reset(self) -> None:
        super().reset()
        self.earned = np.zeros((self.buffer_size, self.n_envs, 4), np.float32)
        self.seat = np.zeros((self.buffer_size, self.n_envs), np.int64)
        self.ended = np.zeros((self.buffer_size, self.n_envs), np.bool_)

    def add(self, *arguments: Any, **more: Any) -> None:
        at, tables = self.pos, self.tables
        self.earned[at], self.seat[at], self.ended[at] = tables.earned, tables.seat, tables.ended
        super().add(*arguments, **more)

    def compute_returns_and_advantage(self, last_values: Tensor, dones: np.ndarray) -> None:
        def by_game(rows: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(rows.swapaxes(0, 1))

        value = by_game(self.values)[..., None]
        advantage, known = np.zeros_like(value), np.zeros(value.shape, np.bool_)
        acting, cut = np.ones(value.shape, np.bool_), np.zeros(value.shape[:2], np.bool_)
        earned, seat, ended = by_game(self.earned), by_game(self.seat)[..., None], by_game(self.ended)
        advantages(
            earned, seat, acting, value, ended, cut, earned,
            np.float32(self.gamma), np.float32(self.gae_lambda), advantage, known,
        )  # fmt: skip
        self.advantages = by_game(advantage[..., 0])
        self.returns = self.advantages + self.values


def build(settings: Record) -> MaskablePPO:
    """The algorithm on as many games as `envs`."""
    tables = Tables(settings["net"], settings["envs"], settings["seed"], settings.get("reward", "deal"))
    per_seat = {"rollout_buffer_class": SeatBuffer, "rollout_buffer_kwargs": {"tables": tables}}
    return MaskablePPO(
        NetPolicy,
        tables,
        learning_rate=settings["rate"],
        n_steps=settings["batch"] // settings["envs"],
        batch_size=settings["minibatch"],
        n_epochs=settings["epochs"],
        gamma=settings["discount"],
        gae_lambda=0.95,
        ent_coef=settings["entropy"],
        vf_coef=settings["value"],
        max_grad_norm=0.5,
        policy_kwargs={
            "net": {"net": settings["net"], "compiled": settings.get("compiled", True)},
            "layout": tables.layout,
        },
        seed=settings["seed"],
        device="cpu",
        **(per_seat if settings.get("per_seat") else {}),
    )


def main() -> None:
    settings: Record = json.loads(sys.argv[1])
    torch.set_num_threads(settings["threads"])
    algorithm = build(settings)
    net = algorithm.policy.net
    passes = Passes(net, settings["minibatch"])
    learn_s = 0.0
    train = algorithm.train

    def timed_train() -> None:
        nonlocal learn_s
        began = time.perf_counter()
        train()
        learn_s = time.perf_counter() - began

    def turn() -> Record:
        began = time.perf_counter()
        algorithm.learn(settings["batch"], reset_num_timesteps=False)
        seconds = time.perf_counter() - began
        return {
            "seconds": seconds,
            "learn_s": learn_s,
            "collect_s": seconds - learn_s,
            "steps": settings["batch"],
        } | passes.taken()

    def save() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(net.state_dict(), folder / "weights.safetensors")
        algorithm.save(folder / "beside.zip", include=["policy"])
        os.replace(folder / "beside.zip", folder / "algorithm.zip")

    folder = Path(settings.get("keep", "."))
    if (folder / "algorithm.zip").exists():
        algorithm.set_parameters(folder / "algorithm.zip")
    algorithm.train = timed_train
    parameters = sum(parameter.numel() for parameter in net.parameters())
    take_turns(turn, {"side": "SB3 MaskablePPO", "version": sb3_contrib.__version__, "parameters": parameters}, save)


if __name__ == "__main__":
    main()
