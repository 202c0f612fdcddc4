"""Nets of many agents side by side: one stack of weights, one product a layer for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Layer(nn.Module):
    """A linear layer for each agent. `weight [agents, inputs, outputs]`, drawn as Xavier has it."""

    def __init__(self, agents: int, inputs: int, outputs: int):
        super().__init__()
        bound = (6 / (inputs + outputs)) ** 0.5
        self.weight = nn.Parameter(torch.empty(agents, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(agents, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`x [agents, rows, inputs]`."""
        return torch.baddbmm(self.bias, x, self.weight)

    def of_shared(self, x: Tensor) -> Tensor:
        """The same for all agents, `x [rows, inputs]`, in one product of matrices."""
        agents, inputs, outputs = self.weight.shape
        flat = x @ self.weight.transpose(0, 1).reshape(inputs, agents * outputs)
        return flat.view(len(x), agents, outputs).transpose(0, 1) + self.bias


class Stack(nn.Module):
    """A net of linear layers and ReLU for each agent."""

    def __init__(self, agents: int, sizes: Sequence[int]):
        super().__init__()
        self.layers = nn.ModuleList(Layer(agents, a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """`x [agents, rows, inputs]`, or the same for all as `[rows, inputs]`."""
        first: Layer = self.layers[0]  # type: ignore[assignment]
        return self.after(first.of_shared(x) if x.dim() == 2 else first(x))

    def after(self, hidden: Tensor) -> Tensor:
        """The rest, behind what the first layer gives."""
        for layer in list(self.layers)[1:]:
            hidden = layer(F.relu(hidden))
        return hidden


class Actors(Stack):
    """A net for each agent; or one for all that `of [agents]` gives the same number."""

    def __init__(self, of: Sequence[int], sizes: Sequence[int]):
        super().__init__(max(of) + 1, sizes)
        self.alone, self.one = list(of) == list(range(len(of))), max(of) == 0
        self.register_buffer("of", torch.tensor(of), persistent=False)
        self.of: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`x [agents, rows, inputs]`, each agent's rows through its own net."""
        if self.alone:
            return super().forward(x)
        if self.one:
            return super().forward(x.reshape(1, -1, x.shape[-1])).view(*x.shape[:2], -1)
        for number, layer in enumerate(self.layers):
            x = torch.baddbmm(layer.bias[self.of], F.relu(x) if number else x, layer.weight[self.of])  # type: ignore[index]
        return x


class JointCritics(Stack):
    """A critic for each agent, or for all that `of [agents]` gives the same number, that knows what all see and do:
    `[agents * (seen + orders)]`, the sights first."""

    def __init__(self, of: Sequence[int], seen: int, orders: int, widths: Sequence[int]):
        super().__init__(max(of) + 1, [len(of) * (seen + orders), *widths, 1])
        self.agents, self.seen, self.orders = len(of), seen, orders
        self.alone = list(of) == list(range(len(of)))
        whose = F.one_hot(torch.tensor(of)).T.float()
        self.register_buffer("whose", whose.repeat_interleave(orders, 1)[:, None], persistent=False)
        self.whose: Tensor
        """Which numbers of an action are whose critic's, `[critics, 1, agents * orders]`."""

    def of_own(self, joint: Tensor, own: Tensor) -> Tensor:
        """Values `[critics, rows]` if the agents of each critic had done `own [agents, rows, orders]` and all others
        what they did. The joint part is the same for all, so only the differences pass the first layer again."""
        first: Layer = self.layers[0]  # type: ignore[assignment]
        at = self.agents * self.seen
        did = joint[:, at:].view(len(joint), self.agents, self.orders).transpose(0, 1)
        if self.alone:
            blocks = first.weight[:, at:].view(self.agents, self.agents, self.orders, -1)
            mine = blocks[torch.arange(self.agents), torch.arange(self.agents)]
            change = torch.bmm(own - did, mine)
        else:
            change = torch.matmul((own - did).transpose(0, 1).flatten(1) * self.whose, first.weight[:, at:])
        return self.after(first.of_shared(joint) + change).squeeze(-1)
