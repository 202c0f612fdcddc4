"""A net for games that nobody has written one for: whatever is seen in one row, through plain layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.moments import Moments, Watching
from velodrome.nets.parts import Plain, orthogonal

Views = Mapping[str, Tensor]


class Eyes(Watching):
    """Named arrays as one row: numbers, normalised if wished, then each kind as one of n, then whose seat it is."""

    def __init__(self, numbers: Mapping[str, int], kinds: Mapping[str, tuple[int, int, int]], seats: int, norm: bool):
        """`numbers` says how many a view holds; `kinds` how many it holds, the lowest, and of how many each is one."""
        super().__init__()
        self.numbers, self.kinds, self.seats = tuple(numbers), dict(kinds), seats
        self.moments = Moments(sum(numbers.values())) if norm and numbers else None
        self.wants = (*numbers, *kinds, *(["seat"] if seats > 1 else []))
        self.width = sum(numbers.values()) + sum(size * n for size, _, n in kinds.values()) + seats * (seats > 1)

    def forward(self, views: Views) -> Tensor:
        """`[rows, width]`."""
        parts = []
        if self.numbers:
            numbers = self.watched(views)
            parts.append(numbers if self.moments is None else self.moments(numbers))
        parts += [_one_of(views[name], low, n) for name, (_, low, n) in self.kinds.items()]
        if self.seats > 1:
            parts.append(_one_of(views["seat"], 0, self.seats))
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def watched(self, views: Views) -> Tensor:
        """The numbers, `[rows, n]`."""
        numbers = [views[name].reshape(views[name].shape[0], -1).float() for name in self.numbers]
        return numbers[0] if len(numbers) == 1 else torch.cat(numbers, -1)


def _one_of(values: Tensor, low: int, n: int) -> Tensor:
    return F.one_hot((values.long() - low).clamp(0, n - 1), n).flatten(1).float()


class FlatNet(nn.Module):
    """What `eyes` see, through plain layers, split among named outputs."""

    def __init__(self, eyes: Eyes, widths: Sequence[int], heads: Mapping[str, int], masks: Sequence[str] = ()):
        """`masks` are views that go with the outputs and are not looked at here."""
        super().__init__()
        self.eyes, self.heads = eyes, dict(heads)
        self.wants = (*eyes.wants, *masks)
        self.layers = Plain(eyes.width, *widths, sum(heads.values()))
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        orthogonal(self.layers, last)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """The outputs by name; `value` without a last dimension."""
        parts = self.layers(self.eyes(views)).split(list(self.heads.values()), -1)
        named = dict(zip(self.heads, parts, strict=True))
        return {name: part.squeeze(-1) if name == "value" else part for name, part in named.items()}
