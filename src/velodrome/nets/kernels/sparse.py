"""Linear layers on binary inputs of which few are set: the sum of the weight rows of those that are.

A dense product reads every input, set or not. Here only what is set costs anything, and the input stays as small as
the game wrote it: packed, one bit a feature, or a list of the set ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from velodrome.compiled import kernel, lowest_bit, rule
from velodrome.nets.kernels import kernels_take
from velodrome.nets.kernels.operation import Back, Room, array_from, operation
from velodrome.nets.kernels.places import Array, Place

_BITS = ((torch.arange(256)[:, None] >> torch.arange(8)) & 1).float()
"""Of every byte, lowest first."""


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
    count, bytes_a_row = 0, bits.shape[1]
    for i in range(bits.shape[0]):
        starts[i] = count
        for first in range(0, bytes_a_row, 8):
            word = np.uint64(0)
            for place in range(min(8, bytes_a_row - first)):
                word |= np.uint64(bits[i, first + place]) << np.uint64(8 * place)
            while word:
                listed[count] = 8 * first + np.int64(lowest_bit(word))
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


@kernel
def sum_named(table, starts, listed, named, out):  # type: ignore[no-untyped-def]
    """out[i] = the sum of the table's rows that list i names, for each i that is named."""
    for at in range(named.shape[0]):
        i = named[at]
        out[i] = 0
        add_listed(table, listed, starts[i], starts[i + 1], out[i])


@kernel
def list_entries(indices, padding, starts, listed):  # type: ignore[no-untyped-def]
    """The entries of row i, padding left out, as listed[starts[i]:starts[i + 1]]; returns how many there are."""
    count = 0
    for i in range(indices.shape[0]):
        starts[i] = count
        for at in range(indices.shape[1]):
            if indices[i, at] != padding:
                listed[count] = indices[i, at]
                count += 1
    starts[indices.shape[0]] = count
    return count


def summed(starts: Array, listed: Array, table: Array, out: Array) -> Callable[[Array, Place], None]:
    """Add to out[i] the table's rows that list i names; returns the way back to the table."""
    sum_listed(table, starts, listed, out)

    def back(gradient: Array, place: Place) -> None:
        feature_starts, rows = np.empty(len(table) + 1, np.int64), np.empty(len(listed), np.int32)
        list_rows(starts, listed, feature_starts, rows)
        named = np.flatnonzero(np.diff(feature_starts))
        sum_named(gradient, feature_starts, rows, named, place.cleared(named))

    return back


def _sum_rows(starts: Array, listed: Array, weight: Tensor, bias: Tensor) -> Tensor:
    """For each row, the bias and the weight rows that its list names."""

    def run(arrays: list[Array], room: Room) -> tuple[tuple[Array, ...], Back]:
        table, shift = arrays
        out = np.tile(shift, (len(starts) - 1, 1))
        to_table = summed(starts, listed, table, out)

        def back(gradients: tuple[Array, ...], places: Sequence[Place]) -> None:
            to_table(gradients[0], places[0])
            np.sum(gradients[0], 0, out=places[1].array)

        return (out,), back

    return operation(run, (weight, bias))[0]


def entries(indices: Array, padding: int) -> tuple[Array, Array]:
    """The entries of `indices [rows, n]` without padding: where each row's begin, and all of them."""
    starts, listed = np.empty(len(indices) + 1, np.int64), np.empty(indices.size, indices.dtype)
    count = list_entries(indices, padding, starts, listed)
    return starts, listed[:count]


def unpack(bits: Tensor, features: int) -> Tensor:
    """Packed bits `[rows, bytes]`, lowest bit first, as floats `[rows, features]`."""
    if torch.compiler.is_exporting():  # elsewhere, bytes are not shifted
        return F.embedding(bits.int(), _BITS).flatten(-2)[..., :features]
    shifts = torch.arange(8, device=bits.device, dtype=torch.uint8)
    return ((bits[..., None] >> shifts) & 1).flatten(-2)[..., :features].float()


def packed_linear(bits: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`unpack(bits) @ weight + bias`, compiled on the CPU, dense elsewhere."""
    if not kernels_take(weight):
        return unpack(bits, weight.shape[0]).to(weight.dtype) @ weight + bias
    packed = array_from(bits)
    starts, listed = np.empty(len(packed) + 1, np.int64), np.empty(packed.size * 8, np.int16)
    count = list_bits(packed, starts, listed)
    return _sum_rows(starts, listed[:count], weight, bias)


def listed_linear(indices: Tensor, padding: int, weight: Tensor, bias: Tensor) -> Tensor:
    """Bias plus the weight rows that `indices [rows, n]` name, those equal to `padding` left out."""
    if not kernels_take(weight):
        within = indices.int().clamp(max=len(weight) - 1)
        counts = (indices != padding).to(weight.dtype)
        if torch.compiler.is_exporting():  # elsewhere, a bag is a loop
            return (F.embedding(within, weight) * counts.unsqueeze(-1)).sum(-2) + bias
        return F.embedding_bag(within, weight, mode="sum", per_sample_weights=counts) + bias
    return _sum_rows(*entries(array_from(indices), padding), weight, bias)
