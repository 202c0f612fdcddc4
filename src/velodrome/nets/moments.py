"""Running mean and standard deviation of rows of numbers, and rows that are normalised by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

FARTHEST = 10.0
"""Standard deviations from the mean beyond which all numbers look alike."""
_SMALLEST = 1e-6


class Moments(nn.Module):
    """Buffers, so they are saved, copied and deployed with the net. Nothing but `take` moves them."""

    def __init__(self, width: int):
        super().__init__()
        self.count: Tensor
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """`x [rows, width]`, normalised."""
        return ((x - self.mean) / self.spread).clamp(-FARTHEST, FARTHEST)

    @torch.no_grad()
    def sums(self, x: Tensor) -> Tensor:
        """Of rows to be taken: their number, sums and sums of squares from the present mean, in one vector. Those of
        several lanes are added up before all of them take the total."""
        apart = x.double() - self.mean
        return torch.cat([self.count.new_full((1,), len(x)), apart.sum(0), (apart * apart).sum(0)])

    @torch.no_grad()
    def take(self, sums: Tensor) -> None:
        """Count these rows with those before (Chan, Golub, LeVeque 1979)."""
        n, (total, squares) = sums[0], sums[1:].view(2, -1)
        if not n:
            return
        shift, count = total / n, self.count + n
        deviation = self.spread.double() ** 2 * self.count + squares - total * shift + shift**2 * self.count * n / count
        self.mean += (shift * n / count).float()
        self.spread.copy_((deviation.clamp_min(0) / count).sqrt().clamp_min(_SMALLEST))
        self.count.copy_(count)


class Watching(nn.Module):
    """A module with moments of something that it makes of the views: trainers see to it that they are kept."""

    wants: tuple[str, ...]
    moments: Moments | None

    def watched(self, views: Mapping[str, Tensor]) -> Tensor:
        """What the moments are of, `[rows, n]`."""
        raise NotImplementedError


def watching(nets: Iterable[nn.Module]) -> list[tuple[Watching, Moments]]:
    """Those inside these nets, each once."""
    found = {id(module): module for net in nets for module in net.modules() if isinstance(module, Watching)}
    return [(module, module.moments) for module in found.values() if module.moments is not None]
