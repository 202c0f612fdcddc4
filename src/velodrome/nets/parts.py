"""Small modules that several nets are made of."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.kernels.attention import attend
from velodrome.nets.kernels.sparse import listed_linear, packed_linear, unpack


class InputLinear(nn.Module):
    """A linear layer for inputs that are mostly zero: weight stored `[inputs, outputs]`, a row per input.

    The same weights serve three forms of one input: dense, a list of set indices, a packed bit set. A few inputs
    `beside` them, that are never zero, have weights of their own: a slice of the large ones would cost a second
    gradient of their whole size.
    """

    def __init__(self, inputs: int, outputs: int, beside: int = 0):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.weight_beside = nn.Parameter(torch.empty(beside, outputs)) if beside else None
        self.bias = nn.Parameter(torch.empty(outputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As `nn.Linear` does it: uniform within 1 / sqrt(inputs), those beside counted in."""
        beside = 0 if self.weight_beside is None else len(self.weight_beside)
        bound = 1 / math.sqrt(len(self.weight) + beside)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def beside(self, inputs: Tensor) -> Tensor:
        """What the inputs `beside`, `[..., n]` numbers, add to the output."""
        assert self.weight_beside is not None
        return inputs @ self.weight_beside

    def dense(self, inputs: Tensor) -> Tensor:
        """From `[..., inputs]` numbers."""
        return inputs @ self.weight + self.bias

    def listed(self, indices: Tensor, padding: int) -> Tensor:
        """From `[rows, n]` indices of inputs that are 1; those equal to `padding` count for nothing."""
        return listed_linear(indices, padding, self.weight, self.bias)

    def listed_flops(self, indices: Tensor, padding: int) -> int:
        """What `listed` adds up, for the card."""
        return int((indices != padding).sum()) * self.weight.shape[1]

    def packed(self, bits: Tensor) -> Tensor:
        """From `[rows, bytes]` packed bits, lowest bit first."""
        return packed_linear(bits, self.weight, self.bias)

    def packed_flops(self, bits: Tensor) -> int:
        """What `packed` adds up, for the card."""
        return int(unpack(bits, self.weight.shape[0]).sum()) * self.weight.shape[1]


class Attend(nn.Module):
    """Each query takes from the values what its products with the keys give it; see `kernels.attention.attend`."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.width, self.heads = width, heads

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Projections `[rows or 1, q, ...]` look at projections `[rows, k, ...]` where `mask [rows, k]` allows it."""
        return attend(queries, keys, mask, self.heads, self.width)

    def forward_flops(self, queries: Tensor, keys: Tensor, mask: Tensor) -> int:
        """Products and weighted sums, for the card."""
        return 4 * queries.shape[1] * mask.numel() * self.width


class SelfAttention(nn.Module):
    """Multi-head attention with the parameters of `nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.input = nn.Linear(width, 3 * width)
        self.attend = Attend(width, heads)
        self.output = nn.Linear(width, width)

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """`query [rows or 1, q, width]` looks at `keys [rows, k, width]` where `mask [rows, k]` allows it."""
        if query is keys:
            projected = self.input(query)
            return self.output(self.attend(projected, projected, mask))  # type: ignore[no-any-return]
        width, weight, bias = query.shape[-1], self.input.weight, self.input.bias
        queries, others = F.linear(query, weight[:width], bias[:width]), F.linear(keys, weight[width:], bias[width:])
        return self.output(self.attend(queries, others, mask))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """One transformer layer, normalised after each residual sum, ReLU, feed-forward of twice the width."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.attention_norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`x [rows, n, width]`, attending where `mask [rows, n]` allows it."""
        x = self.attention_norm(x + self.dropout(self.attention(x, x, mask)))
        return self.norm(x + self.dropout(self.narrow(self.dropout(F.relu(self.wide(x))))))  # type: ignore[no-any-return]


def sinusoids(positions: int, width: int) -> Tensor:
    """The fixed position code of Vaswani et al. 2017, section 3.5."""
    angle = torch.arange(positions)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


def at_least_one(mask: Tensor) -> Tensor:
    """The mask, with rows that allow nothing allowing everything: a softmax over nothing is not a number."""
    return mask | ~mask.any(-1, keepdim=True)


def plain(widths: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them; the last one is bare."""
    layers: list[nn.Module] = []
    for n, m in itertools.pairwise(widths):
        layers += [nn.Linear(n, m), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def orthogonal(module: nn.Module, last: nn.Linear | None = None, gain: float = 0.01) -> None:
    """Orthogonal weights and zero biases; the `last` layer's are small, so that a new policy is almost uniform."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.orthogonal_(part.weight, gain if part is last else math.sqrt(2))
            nn.init.zeros_(part.bias)
