"""Multi-head attention over sequences of a few positions.

Torch's own is made for long sequences; on five positions nearly all its time goes into what surrounds the products.
Here one pass reads the projections where the layer before left them, side by side in each position.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from velodrome.compiled import summing_kernel


@summing_kernel
def attend_forward(queries, keys, allowed, scale, chance, mixed):  # type: ignore[no-untyped-def]
    """Write the softmax `chance [rows, heads, q, k]` and what it mixes, `mixed [rows, q, 1, heads, c]`.

    `queries [rows or 1, q, parts, heads, c]` hold the queries in their first part, `keys [rows, k, parts, heads, c]`
    the keys and the values in their last two.
    """
    key, value = keys.shape[2] - 2, keys.shape[2] - 1
    for row in range(mixed.shape[0]):
        own = row if queries.shape[0] > 1 else 0
        for head in range(mixed.shape[3]):
            for i in range(mixed.shape[1]):
                weight, out = chance[row, head, i], mixed[row, i, 0, head]
                highest = np.float32(-np.inf)
                for j in range(weight.shape[0]):
                    product = np.float32(0)
                    for c in range(out.shape[0]):
                        product += queries[own, i, 0, head, c] * keys[row, j, key, head, c]
                    weight[j] = product * scale
                    if allowed[row, j] and weight[j] > highest:
                        highest = weight[j]
                total = np.float32(0)
                for j in range(weight.shape[0]):
                    weight[j] = np.exp(weight[j] - highest) if allowed[row, j] else np.float32(0)
                    total += weight[j]
                for c in range(out.shape[0]):
                    out[c] = 0
                for j in range(weight.shape[0]):
                    weight[j] = weight[j] / total if total > 0 else np.float32(0)
                    for c in range(out.shape[0]):
                        out[c] += weight[j] * keys[row, j, value, head, c]


@summing_kernel
def attend_backward(queries, keys, scale, chance, gradient, to_queries, to_keys):  # type: ignore[no-untyped-def]
    """Add the gradients to `to_queries` and `to_keys`, laid out as `queries` and `keys`; they may be the same array."""
    key, value = keys.shape[2] - 2, keys.shape[2] - 1
    slope = np.empty(keys.shape[1], np.float32)
    for row in range(gradient.shape[0]):
        own = row if queries.shape[0] > 1 else 0
        for head in range(gradient.shape[3]):
            for i in range(gradient.shape[1]):
                weight, given = chance[row, head, i], gradient[row, i, 0, head]
                mean = np.float32(0)
                for j in range(weight.shape[0]):
                    product = np.float32(0)
                    for c in range(given.shape[0]):
                        product += given[c] * keys[row, j, value, head, c]
                    slope[j] = product
                    mean += weight[j] * product
                for j in range(weight.shape[0]):
                    push = weight[j] * (slope[j] - mean) * scale
                    for c in range(given.shape[0]):
                        to_keys[row, j, value, head, c] += weight[j] * given[c]
                    for c in range(given.shape[0]):
                        to_keys[row, j, key, head, c] += push * queries[own, i, 0, head, c]
                    for c in range(given.shape[0]):
                        to_queries[own, i, 0, head, c] += push * keys[row, j, key, head, c]


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, queries: Tensor, keys: Tensor, allowed: Tensor, heads: int, width: int) -> Tensor:
        scale = np.float32(1 / math.sqrt(width // heads))
        given = _split(queries, heads, width), _split(keys, heads, width)
        rows, q, k = keys.shape[0], queries.shape[1], keys.shape[1]
        chance = np.empty((rows, heads, q, k), np.float32)
        mixed = torch.empty(rows, q, width)
        attend_forward(*given, allowed.contiguous().numpy(), scale, chance, _split(mixed, heads, width))
        context.kept, context.shapes = (*given, scale, chance), (queries.shape, keys.shape, heads, width)
        return mixed

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        queries, keys, heads, width = context.shapes
        to_keys = torch.zeros(keys)
        to_queries = to_keys if queries == keys else torch.zeros(queries)
        given = _split(gradient, heads, width)
        attend_backward(*context.kept, given, _split(to_queries, heads, width), _split(to_keys, heads, width))
        return None if to_queries is to_keys else to_queries, to_keys, None, None, None


def _split(projected: Tensor, heads: int, width: int) -> NDArray[np.float32]:
    """The projections that lie side by side in each position, as an array `[rows, n, parts, heads, c]`."""
    array: NDArray[np.float32] = projected.detach().contiguous().numpy()
    return array.reshape(*array.shape[:2], -1, heads, width // heads)


def attend(queries: Tensor, keys: Tensor, allowed: Tensor, heads: int, width: int) -> Tensor:
    """What each query takes from the values, `[rows, q, width]`, looking where `allowed [rows, k]`.

    The last axis holds projections of `width` side by side: in `keys` the last two are the keys and the values, in
    `queries` the first. They may be the same tensor; `queries` may have a single row that serves all.
    """
    small = keys.shape[1] <= 32 and queries.shape[1] <= 32
    if keys.device.type == "cpu" and keys.dtype == torch.float32 and small and not torch.compiler.is_compiling():
        return _Attend.apply(queries, keys, allowed, heads, width)  # type: ignore[no-any-return, no-untyped-call]
    return attend_by_torch(queries, keys, allowed, heads, width)


def attend_by_torch(queries: Tensor, keys: Tensor, allowed: Tensor, heads: int, width: int) -> Tensor:
    """The same in torch's own operations."""
    q, k, v = queries[..., :width], keys[..., -2 * width : -width], keys[..., -width:]
    q, k, v = (part.view(*part.shape[:2], heads, -1).transpose(1, 2) for part in (q.expand(len(k), -1, -1), k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed[:, None, None, :]).transpose(1, 2).flatten(-2)
