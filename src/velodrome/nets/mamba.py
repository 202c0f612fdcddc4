"""Mamba (Gu and Dao 2023): a recurrence whose rates and inputs depend on what it sees."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.kernels.scan import selective_scan

Memory = dict[str, Tensor]
REMEMBERED = ("seen", "states")

FASTEST, SLOWEST, LEAST = 0.1, 0.001, 1e-4
"""Between which steps begin, and what none begins below."""


class Scan(nn.Module):
    """The recurrence itself, with its rates and what passes it by. Neither is for weight decay."""

    def __init__(self, channels: int, states: int):
        super().__init__()
        rates = torch.arange(1, states + 1, dtype=torch.float32)
        self.rate_logs = nn.Parameter(rates.log()[:, None].repeat(1, channels))
        self.skip = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, step: Tensor, enter: Tensor, read: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """What is read of the states after each step, and the last states."""
        return selective_scan(x, step, -self.rate_logs.exp(), enter, read, self.skip, state)

    def forward_flops(self, x: Tensor, step: Tensor, enter: Tensor, read: Tensor, state: Tensor) -> int:
        """For the card: a product for the decay of each state, and one for decaying it; it is added to, and read."""
        return 6 * x.numel() * enter.shape[-1]


class Mamba(nn.Module):
    """A block, without norm or residual. What it remembers is what the convolution saw last, and the states."""

    def __init__(self, width: int, states: int = 64, taps: int = 4, expand: int = 2):
        super().__init__()
        channels, rank = expand * width, math.ceil(width / 16)
        self.parts = [rank, states, states]
        self.taps, self.channels, self.states = taps, channels, states
        self.input = nn.Linear(width, 2 * channels, bias=False)
        self.mix = nn.Conv1d(channels, channels, taps, groups=channels)
        self.select = nn.Linear(channels, sum(self.parts), bias=False)
        self.pace = nn.Linear(rank, channels)
        self.scan = Scan(channels, states)
        self.output = nn.Linear(channels, width, bias=False)
        self.reset_pace()

    def reset_pace(self) -> None:
        """Steps begin spread evenly over their orders of magnitude."""
        rank = self.pace.in_features
        nn.init.uniform_(self.pace.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            logs = torch.empty(self.channels).uniform_(math.log(SLOWEST), math.log(FASTEST))
            steps = logs.exp().clamp(min=LEAST)
            self.pace.bias.copy_(steps + (-(-steps).expm1()).log())  # what softplus gives these steps of

    def start(self, rows: int) -> Memory:
        """What so many sequences remember at first."""
        weight = self.input.weight
        seen = weight.new_zeros(rows, self.taps - 1, self.channels)
        return {"seen": seen, "states": weight.new_zeros(rows, self.states, self.channels)}

    def forward(self, x: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """`x [rows, steps, width]`, behind what is remembered; returns as much, and what is then remembered."""
        memory = self.start(len(x)) if memory is None else memory
        x, gate = self.input(x).chunk(2, -1)
        seen = torch.cat([memory["seen"].to(x.dtype), x], 1)
        x = F.silu(self.mix(seen.transpose(1, 2)).transpose(1, 2))
        pace, enter, read = self.select(x).split(self.parts, -1)
        found, states = self.scan(x, F.softplus(self.pace(pace)), enter, read, memory["states"])
        out = self.output(found * F.silu(gate))
        return out, {"seen": seen[:, seen.shape[1] - self.taps + 1 :], "states": states}

    def step(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """One step, `x [rows, width]`."""
        out, memory = self(x.unsqueeze(1), memory)
        return out.squeeze(1), memory


class Stack(nn.Module):
    """Blocks one after the other, with a norm between two. What each remembers has its number before its name."""

    def __init__(self, width: int, blocks: int, states: int = 64, taps: int = 4, expand: int = 2):
        super().__init__()
        self.blocks = nn.ModuleList(Mamba(width, states, taps, expand) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(width) if number else nn.Identity() for number in range(blocks))

    def start(self, rows: int) -> Memory:
        """What so many sequences remember at first."""
        started = [block.start(rows) for block in self.blocks if isinstance(block, Mamba)]
        return {f"{number}.{name}": part for number, memory in enumerate(started) for name, part in memory.items()}

    def forward(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """`x [rows, steps, width]`, behind what is remembered; returns as much, and what is then remembered."""
        after: Memory = {}
        for number, (norm, block) in enumerate(zip(self.norms, self.blocks, strict=True)):
            x, own = block(norm(x), {name: memory[f"{number}.{name}"] for name in REMEMBERED})
            after |= {f"{number}.{name}": part for name, part in own.items()}
        return x, after
