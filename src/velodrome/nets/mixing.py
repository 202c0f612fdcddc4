"""What a team is worth, from what each agent expects of its own order."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDED, MIXED = 64, 32
"""Widths of the published mixer: inside the nets that make its weights, and of its hidden layer."""


class Sum(nn.Module):
    """The sum of all (Sunehag et al. 2018)."""

    views: tuple[str, ...] = ()
    """What it looks at beside."""

    def forward(self, own: Tensor) -> Tensor:
        """`own [rows, agents]`."""
        return own.sum(-1)


class Monotone(nn.Module):
    """Two layers whose weights the state gives, none below zero (Rashid et al. 2018): whatever is better for one agent
    is no worse for the team."""

    views: tuple[str, ...] = ("state",)

    def __init__(self, state: int, agents: int, embedded: int = EMBEDDED, mixed: int = MIXED):
        super().__init__()
        self.agents, self.mixed = agents, mixed
        self.first = nn.Sequential(nn.Linear(state, embedded), nn.ReLU(), nn.Linear(embedded, agents * mixed))
        self.first_bias = nn.Linear(state, mixed)
        self.second = nn.Sequential(nn.Linear(state, embedded), nn.ReLU(), nn.Linear(embedded, mixed))
        self.second_bias = nn.Sequential(nn.Linear(state, mixed), nn.ReLU(), nn.Linear(mixed, 1))

    def forward(self, own: Tensor, state: Tensor) -> Tensor:
        """`own [rows, agents]` in `state [rows, n]`."""
        first = self.first(state).abs().view(-1, self.agents, self.mixed)
        hidden = F.elu((own.unsqueeze(-1) * first).sum(1) + self.first_bias(state))
        worth: Tensor = (hidden * self.second(state).abs()).sum(-1) + self.second_bias(state).squeeze(-1)
        return worth
