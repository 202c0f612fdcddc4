"""PPO of TorchRL's parts on CartPole: `python benchmarks/trainers/torchrl_ppo.py`, in its environment."""

from __future__ import annotations

import argparse

import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torch.distributions import OneHotCategorical
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.envs import GymEnv
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE


def net(outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--batch", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    policy = ProbabilisticActor(
        TensorDictModule(net(2), ["observation"], ["logits"]),
        in_keys=["logits"], distribution_class=OneHotCategorical, return_log_prob=True,
    )  # fmt: skip
    critic = ValueOperator(net(1), in_keys=["observation"])
    loss_module = ClipPPOLoss(policy, critic)
    advantage = GAE(gamma=0.99, lmbda=0.95, value_network=critic)
    optimizer = torch.optim.Adam(loss_module.parameters(), lr=3e-4)
    buffer = ReplayBuffer(
        storage=LazyTensorStorage(options.batch), sampler=SamplerWithoutReplacement(), batch_size=64
    )  # fmt: skip
    frames = options.batch * options.batches
    collector = Collector(GymEnv("CartPole-v1"), policy, frames_per_batch=options.batch, total_frames=frames)
    for data in collector:
        for _ in range(4):
            advantage(data)
            buffer.extend(data.reshape(-1))
            for _ in range(options.batch // 64):
                losses = loss_module(buffer.sample())
                loss = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(loss_module.parameters(), 0.5)
                optimizer.step()
    collector.shutdown()


if __name__ == "__main__":
    main()
