"""A net to be looked at: `velodrome compare docs/examples/own_net.py:narrow docs/examples/own_net.py:wide`."""

from __future__ import annotations

import torch
from torch import nn


def _net(width: int) -> tuple[nn.Module, tuple[torch.Tensor]]:
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 8)), (torch.randn(32, 64),)


def narrow() -> tuple[nn.Module, tuple[torch.Tensor]]:
    """The net, and inputs to call it with, a row per sample."""
    return _net(32)


def wide() -> tuple[nn.Module, tuple[torch.Tensor]]:
    """The same, eight times as wide."""
    return _net(256)
