"""PPO of RLlib on Hearts, either of its stacks, a turn an iteration.

Argument: `{stack: "old" | "new", net, seed, threads, runners, envs, batch, minibatch, epochs, rate, discount, entropy,
value, compiled, keep}`; the last two may be missing: whether the net has our compiled kernels, and a folder to go on
from and to save to.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import ray
import ray.rllib.algorithms.ppo.ppo as rllib_ppo
import torch
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.models import ModelCatalog
from ray.rllib.models.torch.torch_modelv2 import TorchModelV2
from ray.tune.registry import register_env
from safetensors.torch import save_file
from torch import Tensor, nn

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))
from counting import Passes  # noqa: E402
from hearts_table import Layout, Table, make_game, make_net, masked  # noqa: E402
from turns import Record, take_turns  # noqa: E402


class OldStackNet(TorchModelV2, nn.Module):
    """Our net as a model of the old stack."""

    def __init__(self, obs_space: Any, action_space: Any, num_outputs: int, model_config: dict[str, Any], name: str):
        TorchModelV2.__init__(self, obs_space, action_space, num_outputs, model_config, name)
        nn.Module.__init__(self)
        asked = model_config["custom_model_config"]
        self.net, self.layout = make_net(**asked), Layout(make_game(asked["net"], 1, 0))

    def forward(self, input_dict: dict[str, Any], state: list[Tensor], seq_lens: Any) -> tuple[Tensor, list[Tensor]]:
        """The logits; what is not legal has no chance."""
        views = self.layout.read(input_dict["obs"])
        outputs = self.net(views)
        self._value = outputs["value"]
        return masked(outputs["card"], views["legal"]), state

    def value_function(self) -> Tensor:
        """The values of the rows that `forward` saw last."""
        return self._value


class NewStackNet(TorchRLModule, ValueFunctionAPI):
    """Our net as a module of the new stack."""

    def setup(self) -> None:
        """Make the net."""
        asked = {name: self.model_config[name] for name in ("net", "compiled")}
        self.net, self.layout = make_net(**asked), Layout(make_game(asked["net"], 1, 0))

    def _forward(self, batch: dict[str, Any], **more: Any) -> dict[str, Tensor]:
        views = self.layout.read(batch[Columns.OBS])
        outputs = self.net(views)
        return {
            Columns.ACTION_DIST_INPUTS: masked(outputs["card"], views["legal"]),
            Columns.EMBEDDINGS: outputs["value"],
        }

    def compute_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """The values that `_forward` has found, or found now."""
        if embeddings is not None:
            return embeddings
        return self.net(self.layout.read(batch[Columns.OBS]))["value"]


def configure(settings: Record) -> PPOConfig:
    """The algorithm.

    What is not set here is this library's default. Its penalty on the divergence from the last policy is off, since it
    would be work that nobody else does.
    """
    new, kind = settings["stack"] == "new", settings["net"]
    asked = {"net": kind, "compiled": settings.get("compiled", True)}
    register_env("hearts", lambda context: Table(kind, settings["seed"] + 1000 * context.worker_index))
    config = (
        PPOConfig()
        .api_stack(enable_rl_module_and_learner=new, enable_env_runner_and_connector_v2=new)
        .environment("hearts", disable_env_checking=True)
        .framework("torch")
        .debugging(seed=settings["seed"], log_level="ERROR")
        .env_runners(
            num_env_runners=settings["runners"],
            num_envs_per_env_runner=settings["envs"],
            rollout_fragment_length="auto",
        )
        .training(
            train_batch_size_per_learner=settings["batch"],
            minibatch_size=settings["minibatch"],
            num_epochs=settings["epochs"],
            lr=settings["rate"],
            gamma=settings["discount"],
            lambda_=0.95,
            entropy_coeff=settings["entropy"],
            vf_loss_coeff=settings["value"],
            clip_param=0.2,
            grad_clip=0.5,
            use_kl_loss=False,
            kl_coeff=0.0,
        )
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=0)
    )
    if new:
        return config.rl_module(rl_module_spec=RLModuleSpec(module_class=NewStackNet, model_config=asked))
    ModelCatalog.register_custom_model("ours", OldStackNet)
    config.experimental(_disable_preprocessor_api=True)
    return config.training(
        train_batch_size=settings["batch"], model={"custom_model": "ours", "custom_model_config": asked}
    )


def net_of(algorithm: PPO, stack: str) -> nn.Module:
    """The module that learns."""
    if stack == "old":
        return algorithm.get_policy().model.net
    return algorithm.learner_group._learner.module["default_policy"].net


class Sampling:
    """Times this library's sampling; its own timers are running means."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._sample = rllib_ppo.synchronous_parallel_sample
        rllib_ppo.synchronous_parallel_sample = self

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        began = time.perf_counter()
        sampled = self._sample(*arguments, **more)
        self.seconds = time.perf_counter() - began
        return sampled


def main() -> None:
    settings: Record = json.loads(sys.argv[1])
    torch.set_num_threads(settings["threads"])
    ray.init(
        num_cpus=settings["runners"] + 1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": str(HERE)}},
    )
    try:
        sampling = Sampling()
        algorithm = configure(settings).build_algo()
        folder = Path(settings.get("keep", ".")).resolve()
        old = settings["stack"] == "old"
        if (folder / "algorithm").exists():
            restore = algorithm.restore if old else algorithm.restore_from_path
            restore(str(folder / "algorithm"))
        net = net_of(algorithm, settings["stack"])
        passes = Passes(net, settings["minibatch"])

        def turn() -> Record:
            began = time.perf_counter()
            result = algorithm.train()
            seconds = time.perf_counter() - began
            told = {"seconds": seconds, "collect_s": sampling.seconds, "learn_s": seconds - sampling.seconds}
            return told | {"steps": steps_of(result, settings["stack"])} | passes.taken()

        def save() -> None:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(net.state_dict(), folder / "weights.safetensors")
            if old:
                algorithm.save(str(folder / "algorithm"))
            else:
                algorithm.save_to_path(folder / "algorithm")

        parameters = sum(parameter.numel() for parameter in net.parameters())
        side = f"RLlib, {settings['stack']} stack"
        take_turns(turn, {"side": side, "version": ray.__version__, "parameters": parameters}, save)
    finally:
        ray.shutdown()


def steps_of(result: Record, stack: str) -> int:
    """The decisions of an iteration."""
    if stack == "old":
        return int(result["num_env_steps_sampled_this_iter"])
    return int(result["env_runners"]["num_env_steps_sampled"])


if __name__ == "__main__":
    main()
