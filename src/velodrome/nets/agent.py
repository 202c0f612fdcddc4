"""One net for all agents of a team: what decides is what an agent sees, what it did last, and which one it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.recurrent import unroll

Views = Mapping[str, Tensor]


class AgentNet(nn.Module):
    """A layer, a GRU and a layer (Rashid et al. 2018); without memory, a plain layer in the GRU's place.

    Views are `seen` and `seat`; what is remembered stands among them as `before`, the last order plus one, 0 at first,
    and as `hidden`.
    """

    def __init__(
        self,
        seen: int,
        part: str,
        orders: int,
        agents: int,
        width: int = 64,
        *,
        memory: bool = True,
    ):
        """`part` is what the action is called."""
        super().__init__()
        self.part, self.orders, self.agents, self.width = part, orders, agents, width
        self.wants = ("seen", "seat")
        self.see = nn.Linear(seen + orders + agents, width)
        self.remember = nn.GRU(width, width) if memory else None
        self.think = None if memory else nn.Linear(width, width)
        self.decide = nn.Linear(width, orders)

    def start(self, rows: int) -> dict[str, Tensor]:
        """What so many agents remember at first."""
        before = {"before": torch.zeros(rows, dtype=torch.int64)}
        return before | ({"hidden": torch.zeros(rows, self.width)} if self.remember is not None else {})

    def inputs(self, views: Views) -> Tensor:
        """All that is known of each agent, `[..., n]`."""
        seen = views["seen"].float()
        before = views["before"] if "before" in views else torch.zeros_like(views["seat"])
        last = F.embedding(before, torch.eye(self.orders + 1, device=seen.device)[:, 1:])
        return torch.cat([seen, last, F.embedding(views["seat"], torch.eye(self.agents, device=seen.device))], -1)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """A number for each order of every row, and the new `hidden`."""
        x = F.relu(self.see(self.inputs(views)))
        if self.think is not None:
            return {self.part: self.decide(F.relu(self.think(x)))}
        assert self.remember is not None
        before = views["hidden"] if "hidden" in views else x.new_zeros(len(x), self.width)
        hidden = torch.gru_cell(x, before, *self.remember.all_weights[0])
        return {self.part: self.decide(hidden), "hidden": hidden}

    def unroll(self, inputs: Tensor, sizes: Tensor) -> Tensor:
        """The numbers `[rows, agents, orders]` of whole episodes, from `inputs [rows, agents, n]`: step after step the
        first `sizes [steps]` of the episodes, fewer and fewer. Time passes in the GRU alone."""
        x = F.relu(self.see(inputs))
        if self.think is not None:
            x = F.relu(self.think(x))
        elif self.remember is not None:
            x = unroll(self.remember, x.flatten(0, 1), sizes * self.agents).view(x.shape)
        return self.decide(x)  # type: ignore[no-any-return]
