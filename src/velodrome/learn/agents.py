"""Agents that share one net, as players."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor

from velodrome.learn.actions import FORBIDDEN
from velodrome.learn.trainer import Memory, Telling, Views
from velodrome.nets.agent import AgentNet

Choose = Callable[[Tensor, Tensor | None, torch.Generator], Tensor]
"""From a number and a mask `[rows, orders]` to an order a row; without a mask everything is legal."""


class AgentPolicy(Telling):
    """Every row is an agent that plays by itself; `choose` makes an order of the net's numbers, one that the view
    `mask` allows."""

    def __init__(self, net: AgentNet, choose: Choose, mask: str | None, device: str, worths: bool = False):
        """`worths`: whether the net's numbers say what orders are worth, and not how likely they are."""
        self.net, self.choose, self.mask, self.device = net, choose, mask, device
        self.gives = f"{net.part}.worth" if worths else net.part

    def start(self, rows: int) -> Memory:
        """What so many agents remember at first."""
        return self.net.start(rows)

    @torch.no_grad()
    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        """An order for every row."""
        there = {name: views[name].to(self.device) for name in self.net.wants}
        outputs = self.net(there | {name: part.to(self.device) for name, part in memory.items()})
        self.tell(self.net, {self.gives: outputs[self.net.part]}, views)
        legal = None if self.mask is None else views[self.mask].to(self.device).bool()
        order = self.choose(outputs[self.net.part], legal, generator).cpu()
        known = {"before": order + 1, "hidden": outputs.get("hidden")}
        return {self.net.part: order}, {name: known[name].cpu() for name in memory}


def best(numbers: Tensor, legal: Tensor | None) -> Tensor:
    """The legal order with the highest number."""
    return numbers.argmax(-1) if legal is None else numbers.masked_fill(~legal, FORBIDDEN).argmax(-1)


def mostly_best(chance: float) -> Choose:
    """The best order, or with some chance any legal one."""

    def choose(numbers: Tensor, legal: Tensor | None, generator: torch.Generator) -> Tensor:
        drawn = torch.rand(numbers.shape, generator=generator, device=numbers.device)
        tries = torch.rand(len(numbers), generator=generator, device=numbers.device) < chance
        return best(torch.where(tries.unsqueeze(-1), drawn, numbers), legal)

    return choose


def falling(first: float, least: float, over: int, at: int) -> float:
    """A straight line from `first` down to `least`, which it reaches at `over`, or has at once if that is 0."""
    return max(least, first - (first - least) * at / over) if over else least


def optimizer_of(parameters: Iterable[Tensor], kind: Literal["adam", "rmsprop"], rate: float) -> torch.optim.Optimizer:
    """Adam, or RMSprop as published."""
    if kind == "adam":
        return torch.optim.Adam(parameters, rate, fused=True)
    return torch.optim.RMSprop(parameters, rate, alpha=0.99, eps=1e-5, foreach=True)


def of(numbers: Tensor, orders: Tensor) -> Tensor:
    """The numbers of these orders."""
    return numbers.gather(-1, orders.unsqueeze(-1)).squeeze(-1)
