"""A plain torch loop that knows nothing of Velodrome: `python benchmarks/trainers/loop.py [--steps 3000]`.

A small net learns a function from random samples.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--width", type=int, default=128)
    options = parser.parse_args()
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(16, options.width), nn.ReLU(), nn.Linear(options.width, options.width), nn.ReLU(),
        nn.Linear(options.width, 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    weights = torch.randn(16, 1)
    for step in range(1, options.steps + 1):
        inputs = torch.randn(options.batch, 16)
        targets = torch.sin(inputs @ weights / 4)
        loss = (net(inputs) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 500 == 0:
            print(f"step {step}: loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
