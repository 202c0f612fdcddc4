"""A linear layer on a packed bit set: the sum of the weight rows of the set bits.

A dense product reads every input, set or not. Here only set bits cost anything, and the input stays packed
(one bit a feature) from the game to the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from velodrome.compiled import kernel, lowest_bit, rule


@rule
def add_listed(table, listed, lo, hi, out):  # type: ignore[no-untyped-def]
    """Add the table's rows listed[lo:hi] to `out`, four at a time so that `out` is read and written less often."""
    width = out.shape[0]
    at = lo
    while at + 4 <= hi:
        a, b, c, d = table[listed[at]], table[listed[at + 1]], table[listed[at + 2]], table[listed[at + 3]]
        for k in range(width):
            out[k] += (a[k] + b[k]) + (c[k] + d[k])
        at += 4
    while at < hi:
        a = table[listed[at]]
        for k in range(width):
            out[k] += a[k]
        at += 1


@kernel
def list_bits(bits, starts, listed):  # type: ignore[no-untyped-def]
    """The set bits of row i as listed[starts[i]:starts[i + 1]]; returns how many there are in all."""
    count = 0
    for i in range(bits.shape[0]):
        starts[i] = count
        for byte in range(bits.shape[1]):
            word = np.uint64(bits[i, byte])
            while word:
                listed[count] = byte * 8 + np.int64(lowest_bit(word))
                count += 1
                word &= word - np.uint64(1)
    starts[bits.shape[0]] = count
    return count


@kernel
def list_rows(starts, listed, feature_starts, rows):  # type: ignore[no-untyped-def]
    """The lists the other way round: rows[feature_starts[f]:feature_starts[f + 1]] have the feature f."""
    features = feature_starts.shape[0] - 1
    feature_starts[:] = 0
    for at in range(starts[-1]):
        feature_starts[listed[at] + 1] += 1
    for feature in range(features):
        feature_starts[feature + 1] += feature_starts[feature]
    free = feature_starts[:-1].copy()
    for i in range(starts.shape[0] - 1):
        for at in range(starts[i], starts[i + 1]):
            feature = listed[at]
            rows[free[feature]] = i
            free[feature] += 1


@kernel
def sum_listed(table, starts, listed, out):  # type: ignore[no-untyped-def]
    """out[i] += the table's rows that list i names."""
    for i in range(starts.shape[0] - 1):
        add_listed(table, listed, starts[i], starts[i + 1], out[i])


class _PackedLinear(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, bits: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        starts = np.empty(bits.shape[0] + 1, np.int64)
        listed = np.empty(bits.shape[0] * bits.shape[1] * 8, np.int16)
        count = list_bits(bits.numpy(), starts, listed)
        out = bias.detach().repeat(bits.shape[0], 1)
        sum_listed(weight.detach().numpy(), starts, listed, out.numpy())
        context.lists = starts, listed[:count]
        context.features = weight.shape[0]
        return out

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        starts, listed = context.lists
        feature_starts = np.empty(context.features + 1, np.int64)
        rows = np.empty(len(listed), np.int32)
        list_rows(starts, listed, feature_starts, rows)
        weight_gradient = torch.zeros(context.features, gradient.shape[1])
        sum_listed(gradient.contiguous().numpy(), feature_starts, rows, weight_gradient.numpy())
        return None, weight_gradient, gradient.sum(0)


def unpack(bits: Tensor, features: int) -> Tensor:
    """Packed bits `[rows, bytes]`, lowest bit first, as floats `[rows, features]`."""
    shifts = torch.arange(8, device=bits.device, dtype=torch.uint8)
    return ((bits[..., None] >> shifts) & 1).flatten(-2)[..., :features].float()


def packed_linear(bits: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`unpack(bits) @ weight + bias`, compiled on the CPU in single precision, dense elsewhere."""
    if bits.device.type == "cpu" and weight.dtype == torch.float32 and not torch.compiler.is_compiling():
        return _PackedLinear.apply(bits.contiguous(), weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    return unpack(bits, weight.shape[0]).to(weight.dtype) @ weight + bias
