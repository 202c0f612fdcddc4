"""Attention with one learnt query over short sequences, forward and back, compiled whole.

The query is the same for every row, so what it seeks is a vector a head that can be held against the input itself:
no keys have to be computed, and values only of what was mixed, one for each row and head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from velodrome.compiled import summing_kernel, summing_rule
from velodrome.nets.kernels.encoder import add_and_normalise, linear, linear_back, normalise_back
from velodrome.nets.kernels.operation import BackToInput, Room, array_from, part_alone
from velodrome.nets.kernels.places import Array, Place


@summing_rule
def seek(query, weight, bias, sought, own):  # type: ignore[no-untyped-def]
    """The query's projection, and what it seeks in the input: `sought [heads, width]`."""
    heads, width = sought.shape
    c = width // heads
    for k in range(width):
        total = bias[k]
        for i in range(width):
            total += weight[k, i] * query[i]
        own[k] = total
    sought[:] = 0
    for head in range(heads):
        for k in range(head * c, (head + 1) * c):
            for i in range(width):
                sought[head, i] += own[k] * weight[width + k, i]


@summing_rule
def mix(x, mask, sought, scale, chance, mixed):  # type: ignore[no-untyped-def]
    """What each head finds in each row, `mixed [heads, rows, width]`, and how it shared out its attention."""
    for row in range(x.shape[0]):
        for head in range(sought.shape[0]):
            share, out, highest = chance[row, head], mixed[head, row], np.float32(-np.inf)
            for j in range(x.shape[1]):
                if mask[row, j]:
                    product = np.float32(0)
                    for k in range(x.shape[2]):
                        product += x[row, j, k] * sought[head, k]
                    share[j] = product * scale
                    highest = max(highest, share[j])
            total = np.float32(0)
            for j in range(x.shape[1]):
                share[j] = np.exp(share[j] - highest) if mask[row, j] else np.float32(0)
                total += share[j]
            out[:] = 0
            for j in range(x.shape[1]):
                share[j] /= total
                if mask[row, j]:
                    for k in range(x.shape[2]):
                        out[k] += share[j] * x[row, j, k]


@summing_rule
def mix_back(x, mask, sought, scale, chance, given, to_x, to_sought):  # type: ignore[no-untyped-def]
    """The gradients of the input and of what was sought, from `given [heads, rows, width]`, that of what was found."""
    slope = np.empty(x.shape[1], np.float32)
    to_x[:] = 0
    to_sought[:] = 0
    for row in range(x.shape[0]):
        for head in range(sought.shape[0]):
            share, along, mean = chance[row, head], given[head, row], np.float32(0)
            for j in range(x.shape[1]):
                if mask[row, j]:
                    product = np.float32(0)
                    for k in range(x.shape[2]):
                        product += along[k] * x[row, j, k]
                    slope[j] = product
                    mean += share[j] * product
            for j in range(x.shape[1]):
                if mask[row, j]:
                    push = share[j] * (slope[j] - mean) * scale
                    for k in range(x.shape[2]):
                        to_x[row, j, k] += share[j] * along[k] + push * sought[head, k]
                        to_sought[head, k] += push * x[row, j, k]


@summing_kernel
def pool_forward(x, mask, query, weights, scale, kept, out):  # type: ignore[no-untyped-def]
    """`kept` is what the way back needs: own projection, what it seeks, shares, what it found, and its values."""
    own, sought, chance, mixed, values = kept
    heads, width = sought.shape
    c = width // heads
    seek(query, weights[0], weights[1], sought, own)
    mix(x, mask, sought, scale, chance, mixed)
    value = np.empty((len(x), c), np.float32)
    for head in range(heads):
        lo = 2 * width + head * c
        linear(mixed[head], weights[0][lo : lo + c], weights[1][lo : lo + c], value)
        values[:, head * c : (head + 1) * c] = value
    linear(values, weights[2], weights[3], out)


@summing_kernel
def pool_backward(given, x, mask, query, weights, scale, kept, to_x, to_query, found):  # type: ignore[no-untyped-def]
    """The gradients of the input, the query and the weights."""
    own, sought, chance, mixed, values = kept
    heads, width = sought.shape
    c = width // heads
    linear_back(given, values, found[2], found[3])
    to_values, to_mixed, to_sought = np.empty_like(values), np.empty_like(mixed), np.empty_like(sought)
    np.dot(given, weights[2], to_values)
    weight, to_weight, to_bias = weights[0], found[0], found[1]
    for head in range(heads):
        lo = 2 * width + head * c
        value = to_values[:, head * c : (head + 1) * c].copy()
        np.dot(value, weight[lo : lo + c], to_mixed[head])
        linear_back(value, mixed[head], to_weight[lo : lo + c], to_bias[lo : lo + c])
    mix_back(x, mask, sought, scale, chance, to_mixed, to_x, to_sought)
    to_query[:] = 0
    for head in range(heads):
        for k in range(head * c, (head + 1) * c):
            slope = np.float32(0)
            for i in range(width):
                slope += weight[width + k, i] * to_sought[head, i]
                to_weight[width + k, i] = own[k] * to_sought[head, i]
            to_bias[k], to_bias[width + k] = slope, 0
            for i in range(width):
                to_weight[k, i] = slope * query[i]
                to_query[i] += slope * weight[k, i]


def pooled(x: Array, weights: Sequence[Array], room: Room, mask: Array, heads: int) -> tuple[Array, BackToInput]:
    """As `pool`, on arrays, with the way back."""
    rows, longest, width = x.shape
    shapes = ((width,), (heads, width), (rows, heads, longest), (heads, rows, width), (rows, width))
    kept, out = tuple(room.several(shapes)), room(rows, width)
    query, own = weights[0], tuple(weights[1:])
    given = x, mask, query, own, np.float32(1 / math.sqrt(width // heads)), kept
    pool_forward(*given, out)

    def back(gradient: Array, places: Sequence[Place]) -> Array:
        to_query, *found = (place.array for place in places)
        to_x = np.empty(x.shape, np.float32)
        pool_backward(gradient, *given, to_x, to_query, tuple(found))
        return to_x

    return out, back


def normalised(x: Array, weights: Sequence[Array], room: Room) -> tuple[Array, BackToInput]:
    """LayerNorm of `x [rows, width]`, whose weights are gain and shift, with the way back."""
    normal, spread, out = room(*x.shape), room(len(x)), room(*x.shape)
    add_and_normalise(x, np.zeros_like(x), *weights, normal, spread, out)

    def back(gradient: Array, places: Sequence[Place]) -> Array:
        to_x = np.empty(x.shape, np.float32)
        normalise_back(gradient, normal, spread, weights[0], *(place.array for place in places), to_x)
        return to_x

    return out, back


def pool(x: Tensor, mask: Tensor, heads: int, query: Tensor, *weights: Tensor) -> Tensor:
    """What `query [width]` finds in each row of `x [rows, n, width]` where `mask [rows, n]` is set, `[rows, width]`.

    The weights are those of attention: weight and bias of the projections, and of the output.
    """
    allowed = array_from(mask)
    return part_alone(lambda x, arrays, room: pooled(x, arrays, room, allowed, heads), (query, *weights), x)
