"""Transformer layers whose every choice is a setting: where the norms stand and which they are, the activation, and
whether attention is fused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.parts import at_least_one

Activation = Literal["gelu", "relu", "silu", "mish"]
Norm = Literal["layer", "batch"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU, "mish": nn.Mish}
HIDDEN = -1e4
"""The score of what may not be looked at: its softmax is 0, and yet its logarithm is a number."""


class BatchNorm(nn.BatchNorm1d):
    """Over all dimensions but the last."""

    def forward(self, x: Tensor) -> Tensor:
        """`x [..., width]`."""
        return super().forward(x.flatten(0, -2)).view_as(x)


@dataclass(frozen=True)
class Style:
    """What all layers of a net share."""

    activation: Activation = "gelu"
    norm: Norm = "layer"
    """`batch` takes the moments of whole minibatches when it learns, and of its past ones when it plays."""
    dropout: float = 0.1

    def norm_of(self, width: int) -> nn.Module:
        """A norm."""
        return nn.LayerNorm(width) if self.norm == "layer" else BatchNorm(width)

    def active(self) -> nn.Module:
        """An activation."""
        return ACTIVATIONS[self.activation]()

    def entry(self, inputs: int, width: int, *, drops: bool) -> nn.Sequential:
        """A layer, a norm and an activation, for what comes in."""
        layers = [nn.Linear(inputs, width), self.norm_of(width), self.active()]
        return nn.Sequential(*layers, *([nn.Dropout(self.dropout)] if drops else []))

    def head(self, width: int, middle: int, outputs: int, *, drops: bool = False) -> nn.Sequential:
        """Two layers, for what goes out."""
        dropout = [nn.Dropout(self.dropout)] if drops else []
        return nn.Sequential(nn.Linear(width, middle), self.active(), *dropout, nn.Linear(middle, outputs))


class Attention(nn.Module):
    """Multi-head attention with the parameters of `nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0, *, fused: bool = True):
        super().__init__()
        self.heads, self.dropout, self.fused = heads, dropout, fused
        self.input = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, known: Tensor | None = None, query: Tensor | None = None) -> Tensor:
        """What `query [rows, m, width]`, or else `x`, finds in `x [rows, n, width]` where `known [rows, n]` allows
        it; a row where nothing is known finds anything."""
        q, k, v = self._split(x, x if query is None else query)
        chance = self.dropout if self.training else 0.0
        if self.fused:
            mask = None if known is None else at_least_one(known)[:, None, None]
            found = F.scaled_dot_product_attention(q, k, v, mask, chance)
        else:
            found = F.dropout(_logs(q, k, known).exp(), chance) @ v
        return self._join(found)

    def choose(self, x: Tensor, known: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """What each row's one `query [rows, width]` finds, and the logarithm of the weight that each of `x` has in
        that, `[rows, n]`, in the mean of all heads."""
        q, k, v = self._split(x, query.unsqueeze(1))
        logs = _logs(q, k, known)
        found = self._join(logs.exp() @ v).squeeze(1)
        return found, logs.squeeze(2).logsumexp(1) - math.log(self.heads)

    def _split(self, x: Tensor, query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, bias = self.input.weight, self.input.bias
        width = x.shape[-1]
        if query is x:
            parts = self.input(x).chunk(3, -1)
        else:
            asked = F.linear(query, weight[:width], bias[:width])
            parts = (asked, *F.linear(x, weight[width:], bias[width:]).chunk(2, -1))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return q, k, v

    def _join(self, found: Tensor) -> Tensor:
        return self.output(found.transpose(1, 2).flatten(-2))  # type: ignore[no-any-return]


def _logs(q: Tensor, k: Tensor, known: Tensor | None) -> Tensor:
    """The logarithms of attention's weights, `[rows, heads, m, n]`."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if known is not None:
        scores = scores.masked_fill(~at_least_one(known)[:, None, None], HIDDEN)
    return scores.log_softmax(-1)


class Layer(nn.Module):
    """Attention and two layers, each beside a residual, with norms behind the sums, or before the parts."""

    def __init__(self, width: int, heads: int, wide: int, style: Style, *, pre_norm: bool = False, fused: bool = True):
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = Attention(width, heads, style.dropout, fused=fused)
        self.attention_norm, self.norm = style.norm_of(width), style.norm_of(width)
        self.wide = style.head(width, wide, width, drops=True)
        self.drop = nn.Dropout(style.dropout)

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """`x [rows, n, width]`, attending where `known [rows, n]` allows it."""
        if self.pre_norm:
            x = x + self.drop(self.attention(self.attention_norm(x), known))
            return x + self.drop(self.wide(self.norm(x)))  # type: ignore[no-any-return]
        x = self.attention_norm(x + self.drop(self.attention(x, known)))
        return self.norm(x + self.drop(self.wide(x)))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Layers one after the other."""

    def __init__(self, layers: int, width: int, heads: int, wide: int, style: Style, *, pre_norm: bool, fused: bool):
        super().__init__()
        self.layers = nn.ModuleList(
            Layer(width, heads, wide, style, pre_norm=pre_norm, fused=fused) for _ in range(layers)
        )

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """`x [rows, n, width]`, attending where `known [rows, n]` allows it."""
        for layer in self.layers:
            x = layer(x, known)
        return x


class Residual(nn.Module):
    """A mixer of a sequence behind a norm, beside a residual."""

    def __init__(self, width: int, mixer: nn.Module, style: Style):
        super().__init__()
        self.norm, self.mixer, self.drop = style.norm_of(width), mixer, nn.Dropout(style.dropout)

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """`x [rows, n, width]`; the mixer goes through all of it."""
        mixed = self.mixer(self.norm(x))
        return x + self.drop(mixed[0] if isinstance(mixed, tuple) else mixed)  # type: ignore[no-any-return]
