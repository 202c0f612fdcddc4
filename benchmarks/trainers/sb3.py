"""PPO of Stable-Baselines3 on CartPole: `python benchmarks/trainers/sb3.py [--steps 20000]`, in its environment."""

from __future__ import annotations

import argparse

import torch
from stable_baselines3 import PPO


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--rollout", type=int, default=1024)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=options.rollout, batch_size=64, seed=0, device="cpu")
    model.learn(options.steps)


if __name__ == "__main__":
    main()
