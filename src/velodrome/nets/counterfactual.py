"""COMA's critic: what the team would be worth, had one agent done something else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.parts import Plain


class Counterfactual(nn.Module):
    """A number for each order of every agent, from the state, what the agent sees, what all others do, what all did
    last, and which agent it is (Foerster et al. 2018).

    The first layer is linear: what is the same for all agents passes it once, and each agent's own order, which it may
    not know, is taken out again.
    """

    def __init__(self, state: int, seen: int, orders: int, agents: int, widths: Sequence[int] = (128, 128)):
        super().__init__()
        self.orders, self.agents = orders, agents
        self.sizes = [state, 2 * agents * orders, seen, agents]
        self.first = nn.Linear(sum(self.sizes), widths[0])
        self.rest = Plain(*widths, orders)

    def forward(self, state: Tensor, seen: Tensor, action: Tensor, before: Tensor) -> Tensor:
        """`[rows, agents, orders]` from `state [rows, n]`, `seen [rows, agents, n]`, and the orders now and before,
        `[rows, agents]`; those before plus one, 0 where there was none."""
        of_state, of_orders, of_seen, of_number = torch.split(self.first.weight, self.sizes, 1)
        orders = F.one_hot(action, self.orders).flatten(1)
        earlier = F.one_hot(before, self.orders + 1)[..., 1:].flatten(1)
        joint = torch.cat([state, orders.to(state.dtype), earlier.to(state.dtype)], -1)
        shared = F.linear(joint, torch.cat([of_state, of_orders], 1), self.first.bias)
        own = action + self.orders * torch.arange(self.agents, device=action.device)
        hidden = F.linear(seen, of_seen) + of_number.T - F.embedding(own, of_orders.T) + shared.unsqueeze(1)
        judged: Tensor = self.rest(F.relu(hidden).flatten(0, 1))
        return judged.view(-1, self.agents, self.orders)
