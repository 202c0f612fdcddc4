"""The parts of ToM2C's agents: what remembers, what looks, what believes, what values."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.graphs import Two

WIDTH = 32
"""Of what is remembered."""


class Gru(nn.Module):
    """A GRU cell whose state is normalised on its way into the next row (published: on its way out as well)."""

    def __init__(self, inputs: int):
        super().__init__()
        self.cell, self.norm = nn.GRUCell(inputs, WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """The next state, `x [..., inputs]` and `state [..., WIDTH]`."""
        return self._follow(self._given(x), state)

    def unroll(self, x: Tensor, state: Tensor, fresh: Tensor) -> Tensor:
        """The states over `x [rows, games, ..., inputs]`, forgetting where `fresh [rows, games]`."""
        given = self._given(x)
        goes_on = (~fresh).view(fresh.shape + (1,) * (x.dim() - 2)).to(x.dtype)
        states = []
        for row in range(len(x)):
            state = self._follow(given[row], state * goes_on[row])
            states.append(state)
        return torch.stack(states)

    def _given(self, x: Tensor) -> Tensor:
        return F.linear(x, self.cell.weight_ih, self.cell.bias_ih)

    def _follow(self, given: Tensor, state: Tensor) -> Tensor:
        state = self.norm(state)
        known = F.linear(state, self.cell.weight_hh, self.cell.bias_hh)
        reset, update = (given + known)[..., : 2 * WIDTH].sigmoid().chunk(2, -1)
        new = torch.tanh(given[..., 2 * WIDTH :] + reset * known[..., 2 * WIDTH :])
        return torch.lerp(new, state, update)


class Attention(nn.Module):
    """Everything looks at everything: queries, keys and values between -1 and 1, and their products not scaled."""

    def __init__(self, inputs: int, width: int, keeps_own: bool = False):
        """Whether each thing keeps its own value, whatever it finds in others."""
        super().__init__()
        self.keeps_own = keeps_own
        self.query, self.key, self.value = (nn.Linear(inputs, width) for _ in range(3))
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`x [..., n, inputs]`."""
        value = self.value(x).tanh()
        found = self.weights(x) @ value
        return found + value if self.keeps_own else found  # type: ignore[no-any-return]

    def weights(self, x: Tensor) -> Tensor:
        """How much each looks at each, `[..., n, n]`."""
        query, key = (layer(x).tanh() for layer in (self.query, self.key))
        return (query @ key.transpose(-1, -2)).softmax(-1)  # type: ignore[no-any-return]


class Critic(nn.Module):
    """One value for the team, of what all choose from."""

    def __init__(self, inputs: int):
        super().__init__()
        self.attention, self.value = Attention(inputs, 6 * inputs), nn.Linear(6 * inputs, 1)

    def forward(self, given: Tensor) -> Tensor:
        """`given [rows, agents, targets, inputs]`."""
        return self.value(self.attention(given.sum(2)).sum(1)).squeeze(-1)  # type: ignore[no-any-return]


class Beliefs(nn.Module):
    """Theory of mind: what each agent thinks of each, itself included. It learns by itself."""

    def __init__(self, goals: Two, sees: Two | None = None):
        super().__init__()
        self.memory, self.goals, self.sees = Gru(4), goals, sees


def normalise_rows(layer: nn.Linear, norm: float) -> None:
    """Weights of any direction, all of that length, and no bias."""
    with torch.no_grad():
        layer.weight.copy_(norm * F.normalize(torch.randn_like(layer.weight), dim=1))
        layer.bias.zero_()
