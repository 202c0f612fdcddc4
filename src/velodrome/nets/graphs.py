"""Who tells whom: a net that passes messages over a graph of agents and judges each of its edges.

In ToM2C every agent builds a graph of its own, with a node for each agent as it believes that one to be, and keeps the
edges that leave itself: N graphs of N^2 edges. There are two forms with the same outcome, and a third that is another
algorithm:

- `reference`: every edge of every graph through every layer, as published.
- `factored`: layers over pairs are multiplied once a node; what no kept edge depends on is left out; where a layer sees
  the same thing twice, its two blocks are one. What is left of N^3 is two matrix products.
- `shared`: one graph for all, of nodes that each agent makes of itself and tells everyone: N^2 edges.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Form = Literal["reference", "factored", "shared"]


def linear_of_parts(layer: nn.Linear, *parts: Tensor) -> Tensor:
    """What a layer gives for parts side by side, each multiplied before it is spread over the others."""
    weights = torch.split(layer.weight, [part.shape[-1] for part in parts], 1)
    terms = [F.linear(part, weight) for part, weight in zip(parts, weights, strict=True)]
    out = terms[0] + layer.bias
    for term in terms[1:]:
        whole = all(n == m or m == 1 for n, m in zip(out.shape, term.shape, strict=True))
        out = out.add_(term) if whole else out + term
    return out


class Two(nn.Module):
    """Two linear layers with ReLU between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.wide, self.out = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`x [..., inputs]`."""
        return self.out(self.wide(x).relu_())  # type: ignore[no-any-return]

    def of_parts(self, *parts: Tensor) -> Tensor:
        """The same for parts of the input side by side, where one that is the same for all may have a dimension of
        1."""
        return self.out(linear_of_parts(self.wide, *parts).relu_())  # type: ignore[no-any-return]


class GraphNet(nn.Module):
    """Two rounds of messages over graphs whose every pair of nodes is an edge, each node to itself included."""

    def __init__(self, width: int, hidden: int, form: Form):
        super().__init__()
        self.form = form
        self.node, self.edge = nn.Linear(width, hidden), nn.Linear(2 * width, hidden)
        self.first, self.second = Two(3 * hidden, hidden, hidden), Two(3 * hidden, hidden, hidden)
        """What an edge becomes in either round, of itself, its receiver and its sender."""
        self.gather = Two(3 * hidden, hidden, hidden)
        """What a node becomes, of how it began, itself, and its edges' sum."""
        self.verdict = Two(2 * hidden, hidden, 2)

    def forward(self, nodes: Tensor) -> Tensor:
        """How much there is to say for an edge, `[rows, N, N]` from agent to agent, of what each believes of each,
        `nodes [rows, N, N, width]`; in the shared form of what each tells of itself, `[rows, N, width]`."""
        judged = self._plainly(nodes) if self.form == "reference" else self._factored(nodes)
        return judged[..., 1] - judged[..., 0]

    def _plainly(self, nodes: Tensor) -> Tensor:
        encoded, beginnings = self.node(nodes).relu(), self.edge(torch.cat(pairs(nodes), -1)).relu()
        node, edge = encoded, beginnings
        for become in (self.first, self.second):
            edge = become(torch.cat([edge, *pairs(node)], -1)).relu()
            node = self.gather(torch.cat([encoded, node, edge.sum(-2)], -1)).relu()
        return of_own_graphs(self.verdict(torch.cat([edge, beginnings], -1)))

    def _factored(self, nodes: Tensor) -> Tensor:
        own_graphs = self.form == "factored"
        nodes, kept = (nodes, of_own_graphs) if own_graphs else (nodes.unsqueeze(1), of_the_graph)
        encoded = self.node(nodes).relu_()
        beginnings = linear_of_parts(self.edge, *ends(nodes)).relu_()
        edge = self.first.of_parts(beginnings, *ends(encoded)).relu_()
        node = self._gathered(encoded, edge.sum(-2))
        receiver, edge, beginnings = kept(node), kept(edge), kept(beginnings)
        edge = self.second.of_parts(edge, receiver.unsqueeze(-2), node).relu_()
        return self.verdict.of_parts(edge, beginnings)

    def _gathered(self, encoded: Tensor, received: Tensor) -> Tensor:
        """What nodes become in the first round, when they still are what they began as."""
        wide = self.gather.wide
        began, now, edges = wide.weight.chunk(3, 1)
        inner = F.linear(encoded, began + now, wide.bias) + F.linear(received, edges)
        return self.gather.out(inner.relu_()).relu_()  # type: ignore[no-any-return]


def ends(nodes: Tensor) -> tuple[Tensor, Tensor]:
    """The receiver and the sender of every edge, from `[..., N, width]`, to be spread over the other."""
    return nodes.unsqueeze(-2), nodes.unsqueeze(-3)


def pairs(nodes: Tensor) -> tuple[Tensor, Tensor]:
    """The same, spread: `[..., N, N, width]` twice."""
    receiver, sender = ends(nodes)
    return receiver.expand(*nodes.shape[:-1], *nodes.shape[-2:]), sender.expand(*nodes.shape[:-1], *nodes.shape[-2:])


def of_own_graphs(parts: Tensor) -> Tensor:
    """From `[rows, graphs, N, ...]` what belongs to the agent whose graph it is, `[rows, N, ...]`."""
    return parts.diagonal(dim1=1, dim2=2).movedim(-1, 1)


def of_the_graph(parts: Tensor) -> Tensor:
    """From the one graph `[rows, 1, N, ...]` everything, `[rows, N, ...]`."""
    return parts.squeeze(1)


def drawn(logits: Tensor, noise: Tensor, temperature: float = 0.5) -> Tensor:
    """Edges, 0 or 1 and none to oneself, of `[rows, N, N]`; gradients are those of Gumbel-softmax (Jang et al. 2017).

    The noise is logistic: the difference of the Gumbel noises of an edge and of none. Without any, the likelier is
    taken."""
    soft = ((logits + noise) / temperature).sigmoid()
    hard = (soft > 0.5).to(soft.dtype)
    apart = 1 - torch.eye(logits.shape[-1], dtype=soft.dtype, device=soft.device)
    return (hard + (soft - soft.detach())) * apart


def logistic(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Logistic noise of that shape; zeros without a generator."""
    if generator is None:
        return torch.zeros_like(like)
    two = torch.empty((2, *like.shape), dtype=like.dtype, device=generator.device).exponential_(generator=generator)
    return (two[0].log() - two[1].log()).to(like.device)


def messages(edges: Tensor, tells: Tensor, beliefs: Tensor) -> tuple[Tensor, Tensor]:
    """What reaches each agent of each target, `[rows, N, targets]` twice: the sum of what those who tell it of the
    target believe that it does, and how many they are.

    `edges [rows, from, to]` say who tells whom, `tells [rows, from, targets]` of which targets, and `beliefs [rows,
    from, to, targets]` what is believed."""
    told = edges.unsqueeze(-1) * tells.unsqueeze(2)
    return (told * beliefs).sum(1), told.sum(1)
