"""Counts a net's passes with gradients, so that a benchmark can see that all sides did the same work."""

from __future__ import annotations

import torch
from torch import nn


class Passes:
    """`minibatches` and `samples` that a net learnt from since the last `taken`.

    Passes of more rows than a minibatch only estimate values.
    """

    def __init__(self, net: nn.Module, minibatch: int):
        self.minibatch, self.minibatches, self.samples = minibatch, 0, 0
        net.register_forward_hook(self._count)

    def _count(self, net: nn.Module, inputs: object, outputs: dict[str, torch.Tensor]) -> None:
        if outputs["value"].requires_grad and len(outputs["value"]) <= self.minibatch:
            self.minibatches += 1
            self.samples += len(outputs["value"])

    def taken(self) -> dict[str, int]:
        """The counts, which then begin anew."""
        counts = {"minibatches": self.minibatches, "samples": self.samples}
        self.minibatches = self.samples = 0
        return counts
