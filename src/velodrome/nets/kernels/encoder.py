"""Transformer encoder layers over short sequences, forward and back, compiled whole.

For a few dozen sequences of a few positions, torch spends nearly as long on calling its operations, and on the
positions that are masked, as on the products that matter. Here a stack of layers is two calls: sequences are packed,
so that what is masked costs nothing, and the products are BLAS's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from velodrome.compiled import summing_kernel, summing_rule
from velodrome.nets.kernels.operation import BackToInput, Room, array_from, part_alone
from velodrome.nets.kernels.places import Array, Place

WEIGHTS = 12
"""Of a layer: weight and bias of the projections, the output, the norm, the wide, the narrow layer and their norm."""


@summing_rule
def pack(x, mask, starts, tokens):  # type: ignore[no-untyped-def]
    """The positions that `mask [rows, n]` keeps of each row, one after the other, row i from starts[i] on."""
    for row in range(len(starts) - 1):
        at = starts[row]
        for position in range(mask.shape[1]):
            if mask[row, position]:
                tokens[at] = x[row, position]
                at += 1


@summing_rule
def unpack(tokens, mask, starts, x):  # type: ignore[no-untyped-def]
    """The inverse of `pack`, with zeros where nothing was kept."""
    for row in range(len(starts) - 1):
        at = starts[row]
        for position in range(mask.shape[1]):
            if mask[row, position]:
                x[row, position] = tokens[at]
                at += 1
            else:
                x[row, position] = 0


@summing_rule
def add_and_normalise(x, added, gain, shift, normal, spread, out):  # type: ignore[no-untyped-def]
    """LayerNorm of each row of x + added; keeps the normalised rows and their factors for the way back."""
    n = x.shape[1]
    for t in range(x.shape[0]):
        total = np.float32(0)
        for k in range(n):
            value = x[t, k] + added[t, k]
            normal[t, k] = value
            total += value
        mean, square = total / np.float32(n), np.float32(0)
        for k in range(n):
            value = normal[t, k] - mean
            normal[t, k] = value
            square += value * value
        factor = np.float32(1) / np.sqrt(square / np.float32(n) + np.float32(1e-5))
        spread[t] = factor
        for k in range(n):
            value = normal[t, k] * factor
            normal[t, k] = value
            out[t, k] = value * gain[k] + shift[k]


@summing_rule
def normalise_back(given, normal, spread, gain, to_gain, to_shift, out):  # type: ignore[no-untyped-def]
    """The gradient before a LayerNorm from the one behind it, and those of its gain and shift."""
    n = given.shape[1]
    to_gain[:], to_shift[:] = 0, 0
    for t in range(given.shape[0]):
        total, along = np.float32(0), np.float32(0)
        for k in range(n):
            value = given[t, k] * gain[k]
            total += value
            along += value * normal[t, k]
        total /= np.float32(n)
        along /= np.float32(n)
        factor = spread[t]
        for k in range(n):
            out[t, k] = (given[t, k] * gain[k] - total - normal[t, k] * along) * factor
            to_gain[k] += given[t, k] * normal[t, k]
            to_shift[k] += given[t, k]


@summing_rule
def attend(projected, starts, scale, chance, mixed):  # type: ignore[no-untyped-def]
    """Softmax attention inside each packed row: `projected [tokens, 3, heads, c]` are queries, keys and values."""
    for row in range(len(starts) - 1):
        first, end = starts[row], starts[row + 1]
        for head in range(mixed.shape[1]):
            for i in range(first, end):
                query, weight, out = projected[i, 0, head], chance[i, head], mixed[i, head]
                highest = np.float32(-np.inf)
                for j in range(first, end):
                    key, product = projected[j, 1, head], np.float32(0)
                    for c in range(out.shape[0]):
                        product += query[c] * key[c]
                    weight[j - first] = product * scale
                    highest = max(highest, weight[j - first])
                total = np.float32(0)
                for j in range(end - first):
                    weight[j] = np.exp(weight[j] - highest)
                    total += weight[j]
                for c in range(out.shape[0]):
                    out[c] = 0
                for j in range(first, end):
                    share, value = weight[j - first] / total, projected[j, 2, head]
                    weight[j - first] = share
                    for c in range(out.shape[0]):
                        out[c] += share * value[c]


@summing_rule
def attend_back(projected, starts, scale, chance, given, to_projected):  # type: ignore[no-untyped-def]
    """The gradient of the projections of each row from that of what attention mixed of them."""
    slope = np.empty(chance.shape[2], np.float32)
    to_projected[:] = 0
    for row in range(len(starts) - 1):
        first, end = starts[row], starts[row + 1]
        for head in range(given.shape[1]):
            for i in range(first, end):
                query, weight, out = projected[i, 0, head], chance[i, head], given[i, head]
                to_query, mean = to_projected[i, 0, head], np.float32(0)
                for j in range(first, end):
                    value, to_value = projected[j, 2, head], to_projected[j, 2, head]
                    share, product = weight[j - first], np.float32(0)
                    for c in range(out.shape[0]):
                        product += out[c] * value[c]
                    for c in range(out.shape[0]):
                        to_value[c] += share * out[c]
                    slope[j - first] = product
                    mean += share * product
                for j in range(first, end):
                    key, to_key = projected[j, 1, head], to_projected[j, 1, head]
                    push = weight[j - first] * (slope[j - first] - mean) * scale
                    for c in range(out.shape[0]):
                        to_key[c] += push * query[c]
                    for c in range(out.shape[0]):
                        to_query[c] += push * key[c]


@summing_rule
def linear(inputs, weight, bias, out):  # type: ignore[no-untyped-def]
    """As `nn.Linear` does it."""
    np.dot(inputs, weight.T, out)
    for t in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[t, k] += bias[k]


@summing_rule
def linear_back(given, inputs, to_weight, to_bias):  # type: ignore[no-untyped-def]
    """The gradients of a linear layer's weight and bias from that of its output."""
    np.dot(given.T, inputs, to_weight)
    to_bias[:] = 0
    for t in range(given.shape[0]):
        for k in range(given.shape[1]):
            to_bias[k] += given[t, k]


@summing_rule
def cut_negative(x):  # type: ignore[no-untyped-def]
    """Clear what is below 0."""
    for t in range(x.shape[0]):
        for k in range(x.shape[1]):
            x[t, k] = max(x[t, k], np.float32(0))


@summing_rule
def clear_where_cut(x, cut):  # type: ignore[no-untyped-def]
    """Clear x where `cut` is 0."""
    for t in range(x.shape[0]):
        for k in range(x.shape[1]):
            x[t, k] *= np.float32(cut[t, k] > 0)


@summing_rule
def add(x, other):  # type: ignore[no-untyped-def]
    """Add `other` to x."""
    for t in range(x.shape[0]):
        for k in range(x.shape[1]):
            x[t, k] += other[t, k]


@summing_kernel
def forward(x, mask, starts, scale, layers, y):  # type: ignore[no-untyped-def]
    """All rows through all layers; `layers` holds of each its weights and what to keep for the way back."""
    pack(x, mask, starts, layers[0][1][0])
    added = np.empty_like(layers[0][1][0])
    for weights, kept in layers:
        tokens, projected, chance, mixed, normal, spread, middle, wide, last_normal, last_spread, out = kept
        linear(tokens, weights[0], weights[1], projected)
        by_head = (len(tokens), chance.shape[1], tokens.shape[1] // chance.shape[1])
        attend(projected.reshape((by_head[0], 3, *by_head[1:])), starts, scale, chance, mixed.reshape(by_head))
        linear(mixed, weights[2], weights[3], added)
        add_and_normalise(tokens, added, weights[4], weights[5], normal, spread, middle)
        linear(middle, weights[6], weights[7], wide)
        cut_negative(wide)
        linear(wide, weights[8], weights[9], added)
        add_and_normalise(middle, added, weights[10], weights[11], last_normal, last_spread, out)
    unpack(layers[-1][1][10], mask, starts, y)


@summing_kernel
def backward(given, mask, starts, scale, layers, to_x):  # type: ignore[no-untyped-def]
    """`layers`, the last one first, holds of each its weights, what was kept, and where the weights' gradients go."""
    flow = np.empty_like(layers[0][1][0])
    pack(given, mask, starts, flow)
    before, inner, hidden = np.empty_like(flow), np.empty_like(flow), np.empty_like(layers[0][1][7])
    to_projected = np.empty_like(layers[0][1][1])
    for weights, kept, found in layers:
        tokens, projected, chance, mixed, normal, spread, middle, wide, last_normal, last_spread, _ = kept
        normalise_back(flow, last_normal, last_spread, weights[10], found[10], found[11], before)
        linear_back(before, wide, found[8], found[9])
        np.dot(before, weights[8], hidden)
        clear_where_cut(hidden, wide)
        linear_back(hidden, middle, found[6], found[7])
        np.dot(hidden, weights[6], flow)
        add(flow, before)
        normalise_back(flow, normal, spread, weights[4], found[4], found[5], before)
        linear_back(before, mixed, found[2], found[3])
        np.dot(before, weights[2], inner)
        by_head = (len(tokens), chance.shape[1], tokens.shape[1] // chance.shape[1])
        parts = (by_head[0], 3, *by_head[1:])
        attend_back(
            projected.reshape(parts), starts, scale, chance, inner.reshape(by_head), to_projected.reshape(parts)
        )
        linear_back(to_projected, tokens, found[0], found[1])
        np.dot(to_projected, weights[0], flow)
        add(flow, before)
    unpack(flow, mask, starts, to_x)


def _shapes(tokens: int, longest: int, width: int, heads: int, layers: int) -> list[tuple[int, ...]]:
    """Of what is kept for the way back: what enters the first layer, and then of each what leaves its parts."""
    one, each, projected, wide = (tokens, width), (tokens,), (tokens, 3 * width), (tokens, 2 * width)
    return [one, *(projected, (tokens, heads, longest), one, one, each, one, wide, one, each, one) * layers]


def _by_layer(weights: Sequence[Array], kept: list[Array]) -> list[tuple[Any, ...]]:
    """Each layer's weights and what it keeps; what leaves a layer is what enters the next."""
    layers = range(len(weights) // WEIGHTS)
    n = len(kept) // len(layers)
    return [(tuple(weights[WEIGHTS * i : WEIGHTS * (i + 1)]), tuple(kept[n * i : n * (i + 1) + 1])) for i in layers]


def encoded(x: Array, weights: Sequence[Array], room: Room, mask: Array, heads: int) -> tuple[Array, BackToInput]:
    """As `encode`, on arrays, with the way back."""
    rows, longest, width = x.shape
    scale, starts = np.float32(1 / math.sqrt(width // heads)), np.zeros(rows + 1, np.int64)
    np.cumsum(mask.sum(1), out=starts[1:])
    shapes = _shapes(int(starts[-1]), longest, width, heads, len(weights) // WEIGHTS)
    layers = _by_layer(weights, room.several(shapes))
    y = room(*x.shape)
    forward(x, mask, starts, scale, tuple(layers), y)

    def back(gradient: Array, places: Sequence[Place]) -> Array:
        found, to_x = [place.array for place in places], np.empty(x.shape, np.float32)
        lots = [(*layer, tuple(found[WEIGHTS * i : WEIGHTS * (i + 1)])) for i, layer in enumerate(layers)]
        backward(gradient, mask, starts, scale, tuple(lots[::-1]), to_x)
        return to_x

    return y, back


def encode(x: Tensor, mask: Tensor, heads: int, weights: Sequence[Tensor]) -> Tensor:
    """`x [rows, n, width]` through the layers whose weights these are; 0 where `mask [rows, n]` is not set."""
    allowed = array_from(mask)
    return part_alone(lambda x, arrays, room: encoded(x, arrays, room, allowed, heads), weights, x)
