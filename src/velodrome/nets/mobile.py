"""MobileNetV3-small (Howard et al. 2019, table 2): what a picture shows, in few products."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn


class Bottleneck(NamedTuple):
    """A row of the table."""

    taps: int
    wide: int
    channels: int
    squeezes: bool
    hard: bool
    """Whether its activation is the hard swish, and not ReLU."""
    stride: int


TABLE = (
    Bottleneck(3, 16, 16, True, False, 2),
    Bottleneck(3, 72, 24, False, False, 2),
    Bottleneck(3, 88, 24, False, False, 1),
    Bottleneck(5, 96, 40, True, True, 2),
    Bottleneck(5, 240, 40, True, True, 1),
    Bottleneck(5, 240, 40, True, True, 1),
    Bottleneck(5, 120, 48, True, True, 1),
    Bottleneck(5, 144, 48, True, True, 1),
    Bottleneck(5, 288, 96, True, True, 2),
    Bottleneck(5, 576, 96, True, True, 1),
    Bottleneck(5, 576, 96, True, True, 1),
)
FIRST, LAST, HIDDEN = 16, 576, 1024
MULTIPLE = 8
"""The channels that a squeezing layer has are a multiple of it."""


class Convolution(nn.Sequential):
    """A convolution, its norm and an activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        taps: int = 1,
        stride: int = 1,
        groups: int = 1,
        active: nn.Module | None = None,
    ):
        super().__init__(
            nn.Conv2d(inputs, outputs, taps, stride, taps // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
            *([] if active is None else [active]),
        )


class Squeeze(nn.Module):
    """Weighs the channels by what all of the picture shows."""

    def __init__(self, channels: int):
        super().__init__()
        few = max(MULTIPLE, (channels // 4 + MULTIPLE // 2) // MULTIPLE * MULTIPLE)
        self.narrow, self.wide = nn.Conv2d(channels, few, 1), nn.Conv2d(few, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`x [rows, channels, height, width]`."""
        return x * F.hardsigmoid(self.wide(F.relu(self.narrow(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """Wider, along the picture channel by channel, weighed, and narrow again; beside itself where shapes allow it."""

    def __init__(self, inputs: int, row: Bottleneck):
        super().__init__()
        self.beside = row.stride == 1 and inputs == row.channels
        active = nn.Hardswish() if row.hard else nn.ReLU()
        self.layers = nn.Sequential(
            *([] if row.wide == inputs else [Convolution(inputs, row.wide, active=active)]),
            Convolution(row.wide, row.wide, row.taps, row.stride, row.wide, active),
            *([Squeeze(row.wide)] if row.squeezes else []),
            Convolution(row.wide, row.channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`x [rows, channels, height, width]`."""
        found = self.layers(x)
        return x + found if self.beside else found  # type: ignore[no-any-return]


class Mobile(nn.Module):
    """Pictures as rows of numbers."""

    def __init__(self, outputs: int):
        super().__init__()
        blocks, channels = [], FIRST
        for row in TABLE:
            blocks.append(Block(channels, row))
            channels = row.channels
        self.features = nn.Sequential(
            Convolution(3, FIRST, 3, 2, active=nn.Hardswish()),
            *blocks,
            Convolution(channels, LAST, active=nn.Hardswish()),
        )
        self.head = nn.Sequential(nn.Linear(LAST, HIDDEN), nn.Hardswish(), nn.Linear(HIDDEN, outputs))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, picture: Tensor) -> Tensor:
        """`picture [..., height, width, 3]`, bytes or numbers from 0 to 1, as `[..., outputs]`."""
        x = picture if picture.is_floating_point() else picture.float() / 255
        found = self.features(x.flatten(0, -4).movedim(-1, 1)).mean((2, 3))
        return self.head(found).unflatten(0, picture.shape[:-3])  # type: ignore[no-any-return]
