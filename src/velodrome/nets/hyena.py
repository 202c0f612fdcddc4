"""Hyena (Poli et al. 2023): long convolutions with filters that a small net makes of the place, between gates.

It goes through whole sequences alone: a step of it would cost as much as all steps before.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = 3
FASTEST, SLOWEST, TARGET = 0.3, 1.5, 1e-2
"""Of the window: at which share of the longest sequence the first and the last channel have sunk to the target."""
CODES = 3
"""Numbers that tell the filters' net a place."""


class Sine(nn.Module):
    """The sine of each number, at a frequency that is learnt."""

    def __init__(self, width: int, frequency: float = 10.0):
        super().__init__()
        self.frequency = nn.Parameter(torch.full((width,), frequency))

    def forward(self, x: Tensor) -> Tensor:
        """`x [..., width]`."""
        return (self.frequency * x).sin()


class Filters(nn.Module):
    """A filter for each channel, as long as may be, under a window that sinks."""

    def __init__(self, channels: int, longest: int, width: int = 64):
        super().__init__()
        place = torch.linspace(0, 1, longest)
        angle = 2 * math.pi * place
        self.codes = nn.Parameter(torch.stack([place, angle.cos(), angle.sin()], 1))
        sine = Sine(width)
        layers = [nn.Linear(CODES, width), sine, nn.Linear(width, width), sine, nn.Linear(width, width), sine]
        self.make = nn.Sequential(*layers, nn.Linear(width, channels, bias=False))
        rates = torch.linspace(math.log(TARGET) / FASTEST, math.log(TARGET) / SLOWEST, channels)
        self.register_buffer("window", (place[:, None] * rates).exp(), persistent=False)
        self.window: Tensor

    def forward(self, length: int) -> Tensor:
        """`[length, channels]`."""
        return self.make(self.codes[:length]) * self.window[:length]  # type: ignore[no-any-return]


class Hyena(nn.Module):
    """One operator: `order` gates with a long convolution between each two."""

    def __init__(self, width: int, longest: int, order: int = 2):
        super().__init__()
        self.width, self.order = width, order
        self.input = nn.Linear(width, (order + 1) * width)
        self.mix = nn.Conv1d((order + 1) * width, (order + 1) * width, TAPS, groups=(order + 1) * width)
        self.filters = Filters((order - 1) * width, longest)
        self.passed = nn.Parameter(torch.randn(order - 1, width))
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`x [rows, steps, width]`; nothing looks ahead."""
        steps = x.shape[1]
        mixed = self.mix(F.pad(self.input(x).transpose(1, 2), (TAPS - 1, 0))).transpose(1, 2)
        *gates, value = mixed.split(self.width, -1)
        filters = self.filters(steps).split(self.width, -1)
        for gate, own, passed in zip(gates[:0:-1], filters, self.passed, strict=True):
            value = value * gate
            value = convolved(value, own) + passed * value
        return self.output(value * gates[0])  # type: ignore[no-any-return]


def convolved(x: Tensor, filters: Tensor) -> Tensor:
    """Each channel of `x [rows, steps, channels]` with its filter `[steps, channels]`, from the past alone."""
    steps = x.shape[1]
    spectrum = torch.fft.rfft(x, 2 * steps, 1) * torch.fft.rfft(filters, 2 * steps, 0)
    found: Tensor = torch.fft.irfft(spectrum, 2 * steps, 1)
    return found[:, :steps]
