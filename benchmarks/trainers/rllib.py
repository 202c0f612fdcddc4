"""PPO of RLlib's new stack on CartPole, in one process: `python benchmarks/trainers/rllib.py`, in its environment."""

from __future__ import annotations

import argparse
import logging

import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--runners", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=options.runners, num_envs_per_env_runner=4)
        .learners(num_learners=0)
        .training(train_batch_size_per_learner=options.batch, minibatch_size=128, num_epochs=4)
        .debugging(seed=0, log_level="ERROR")
    )
    algorithm = config.build_algo()
    for _ in range(options.iterations):
        algorithm.train()
    algorithm.stop()
    ray.shutdown()


if __name__ == "__main__":
    main()
