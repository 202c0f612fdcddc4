"""Small modules that several nets are made of."""

from __future__ import annotations

import itertools
import math
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.kernels import kernels_take
from velodrome.nets.kernels.chain import chain
from velodrome.nets.kernels.encoder import encode
from velodrome.nets.kernels.pooling import pool
from velodrome.nets.kernels.sparse import listed_linear, packed_linear, unpack

LONGEST = 32
"""Positions of a sequence up to which compiled attention is the faster form."""
FEW = 256
"""Rows up to which compiled linear layers are; with more of them, calling torch's does not matter."""


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


class SelfAttention(nn.Module):
    """Multi-head attention with the parameters of `nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.input = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor, query: Tensor | None = None) -> Tensor:
        """`x [rows, n, width]`, or `query [width]` alone, looks at `x` where `mask [rows, n]` allows it."""
        width = x.shape[-1]
        if query is None:
            queries, keys, values = self.input(x).chunk(3, -1)
        else:
            weight, bias = self.input.weight, self.input.bias
            queries = F.linear(query, weight[:width], bias[:width]).expand(x.shape[0], 1, -1)
            keys, values = F.linear(x, weight[width:], bias[width:]).chunk(2, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (queries, keys, values))
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        return self.output(found.transpose(1, 2).flatten(-2))  # type: ignore[no-any-return]

    def weights(self) -> tuple[Tensor, ...]:
        """In the order that the compiled forms take them."""
        return self.input.weight, self.input.bias, self.output.weight, self.output.bias


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
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        return self.norm(x + self.dropout(self.narrow(self.dropout(F.relu(self.wide(x))))))  # type: ignore[no-any-return]

    def weights(self) -> tuple[Tensor, ...]:
        """In the order that the compiled form takes them."""
        norm, wide, narrow = self.attention_norm, self.wide, self.narrow
        return (
            *self.attention.weights(), norm.weight, norm.bias, wide.weight, wide.bias,
            narrow.weight, narrow.bias, self.norm.weight, self.norm.bias,
        )  # fmt: skip


class Encoder(nn.Module):
    """Transformer layers one after the other."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float = 0.0):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.layers = nn.ModuleList(EncoderLayer(width, heads, dropout) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`x [rows, n, width]`, attending where `mask [rows, n]` allows it; what stands elsewhere says nothing."""
        if serves(x) and x.shape[1] <= LONGEST and not (self.training and self.dropout):
            return encode(x, mask, self.heads, self.weights())
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def weights(self) -> list[Tensor]:
        """Those of each layer, one layer after the other."""
        return [weight for layer in self.layers if isinstance(layer, EncoderLayer) for weight in layer.weights()]

    def forward_flops(self, x: Tensor, mask: Tensor) -> int:
        """Products of what is not masked, for the card."""
        width, lengths = x.shape[-1], mask.sum(1)
        return int(len(self.layers) * (16 * lengths * width**2 + 4 * lengths**2 * width).sum())


class Pooling(nn.Module):
    """One learnt query looks at the whole sequence."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.query = nn.Parameter(torch.randn(width) * width**-0.5)
        self.attention = SelfAttention(width, heads)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """What the query finds in `x [rows, n, width]` where `mask [rows, n]` allows it."""
        if serves(x) and x.shape[1] <= LONGEST:
            found = pool(x, mask, self.attention.heads, *self.weights())
        else:
            found = self.attention(x, mask, self.query).squeeze(1)
        return self.norm(found)  # type: ignore[no-any-return]

    def looks(self, x: Tensor, mask: Tensor) -> Tensor:
        """How much the query attends to each place `[rows, n]`, in the mean over heads."""
        heads, width = self.attention.heads, len(self.query)
        weight, bias = self.attention.input.weight, self.attention.input.bias
        query = F.linear(self.query, weight[:width], bias[:width]).view(heads, 1, -1)
        keys = F.linear(x, weight[width : 2 * width], bias[width : 2 * width]).view(*mask.shape, heads, -1)
        scores = (query @ keys.permute(0, 2, 3, 1)).squeeze(-2) / math.sqrt(width // heads)
        found: Tensor = scores.masked_fill(~mask.unsqueeze(1), -math.inf).softmax(-1).mean(1)
        return found

    def weights(self) -> tuple[Tensor, ...]:
        """In the order that the compiled form takes them; the norm comes behind it."""
        return self.query, *self.attention.weights()

    def forward_flops(self, x: Tensor, mask: Tensor) -> int:
        """What the compiled form does, for the card."""
        rows, width, heads = len(x), x.shape[-1], self.attention.heads
        return int(4 * width**2 + 4 * mask.sum() * heads * width + 4 * rows * width**2)


def serves(x: Tensor) -> bool:
    """Whether compiled forms do: where kernels take `x`, unless the products are to be done in mixed precision. To be
    asked before numbers of rows are: what torch compiles or exports takes any number of them."""
    return kernels_take(x) and not torch.is_autocast_enabled("cpu")


def serves_whole(net: nn.Module, x: Tensor, weight: Tensor, dropout: float) -> bool:
    """Whether a net of such parts is better computed in one operation: with few rows of `x`, and all of it compiled.

    Not while somebody watches the parts: then each is to be called.
    """
    compiled = serves(weight) and not (net.training and dropout)
    return compiled and len(x) <= FEW and x.shape[1] <= LONGEST and "forward" not in vars(net)


class Plain(nn.Sequential):
    """Linear layers with ReLU between them; the last one is bare."""

    def __init__(self, *widths: int, dropout: float = 0.0):
        layers: list[nn.Module] = []
        for n, m in itertools.pairwise(widths):
            layers += [*([nn.ReLU(), nn.Dropout(dropout)] if layers else []), nn.Linear(n, m)]
        super().__init__(*layers)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """`x [rows, n]`."""
        if serves(x) and len(x) <= FEW and len(self._weights) > 2 and not (self.training and self.dropout):
            return chain(x, self._weights)
        return super().forward(x)  # type: ignore[no-any-return, no-untyped-call]

    @cached_property
    def _weights(self) -> list[Tensor]:
        return list(self.parameters())

    def forward_flops(self, x: Tensor) -> int:
        """Products, for the card."""
        return 2 * len(x) * sum(layer.weight.numel() for layer in self if isinstance(layer, nn.Linear))


def sinusoids(positions: int, width: int) -> Tensor:
    """The fixed position code of Vaswani et al. 2017, section 3.5."""
    angle = torch.arange(positions)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


def at_least_one(mask: Tensor) -> Tensor:
    """The mask, with rows that allow nothing allowing everything: a softmax over nothing is not a number."""
    return mask | ~mask.any(-1, keepdim=True)


def orthogonal(module: nn.Module, last: nn.Linear | None = None, gain: float = 0.01) -> None:
    """Orthogonal weights and zero biases; the `last` layer's are small, so that a new policy is almost uniform."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.orthogonal_(part.weight, gain if part is last else math.sqrt(2))
            nn.init.zeros_(part.bias)
