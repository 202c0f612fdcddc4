"""A mixture of experts: several nets for one task, and a router that says how much each counts."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Experts(nn.Module):
    """The weighted sum of what experts make of a sequence. The router sees the mean of it."""

    def __init__(self, experts: Iterable[nn.Module], width: int, asked: int = 0):
        """Of each sequence so many are `asked`, those that count most; 0: all."""
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.asked = asked or len(self.experts)
        self.router = nn.Linear(width, len(self.experts))

    def route(self, x: Tensor, known: Tensor) -> Tensor:
        """How much each expert counts for each sequence, `[rows, experts]`; they sum up to 1."""
        there = known.unsqueeze(-1).to(x.dtype)
        logits = self.router((x * there).sum(1) / there.sum(1).clamp(min=1.0))
        out = logits < logits.topk(self.asked, -1).values[:, -1:]
        return logits.masked_fill(out, -torch.inf).softmax(-1)  # type: ignore[no-any-return]

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """`x [rows, n, width]`, of which `known [rows, n]` is there. An expert works for those that ask it alone."""
        shares = self.route(x, known)
        found: list[tuple[Tensor, Tensor]] = []
        for number, expert in enumerate(self.experts):
            rows = shares[:, number].nonzero().squeeze(1)
            if len(rows):
                share = shares[rows, number].view(-1, 1, 1)
                found.append((rows, share * expert(x[rows], known[rows])))
        total = found[0][1].new_zeros(len(x), *found[0][1].shape[1:])
        for rows, part in found:
            total = total.index_add(0, rows, part)
        return total
