"""The clock around a loop that is not Velodrome's: `python docs/examples/own_loop.py`."""

from __future__ import annotations

import torch
from torch import nn

import velodrome as vd

net = nn.Linear(64, 1)
optimizer = torch.optim.Adam(net.parameters())
clock = vd.Clock()
for _ in range(50):
    with clock("collect"):
        batch = torch.randn(256, 64)
    with clock("learn.forward"):
        loss = net(batch).square().mean()
    with clock("learn.backward"):
        optimizer.zero_grad()
        loss.backward()
    with clock("learn.optimize"):
        optimizer.step()
print(clock.budget())
