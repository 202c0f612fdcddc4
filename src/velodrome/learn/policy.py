"""A feed-forward net as a policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from velodrome.learn.actions import Actions
from velodrome.learn.trainer import Memory, Views


class NetPolicy:
    """Acts by sampling from the net's outputs, or takes the likeliest action where `greedy`."""

    def __init__(self, net: nn.Module, actions: Actions, greedy: bool = False, device: str = "cpu"):
        self.net, self.actions, self.greedy, self.device = net, actions, greedy, device

    def start(self, rows: int) -> Memory:
        """A feed-forward net remembers nothing."""
        return {}

    @torch.no_grad()
    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        """An action for every row."""
        training = self.net.training
        self.net.eval()
        there = {name: view.to(self.device) for name, view in views.items()}
        action, _ = self.actions.sample(self.net(there), there, generator, self.greedy)
        self.net.train(training)
        return {name: part.cpu() for name, part in action.items()}, memory
