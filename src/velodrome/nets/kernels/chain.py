"""Linear layers with ReLU between them, forward and back, compiled whole: for batches so small that calling the
operations one by one takes longer than doing them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from velodrome.compiled import summing_kernel
from velodrome.nets.kernels.encoder import clear_where_cut, cut_negative, linear, linear_back
from velodrome.nets.kernels.operation import BackToInput, Room, part_alone
from velodrome.nets.kernels.places import Array, Place


@summing_kernel
def chain_forward(x, layers, outputs):  # type: ignore[no-untyped-def]
    """Write what each layer gives, behind its ReLU but for the last."""
    linear(x, layers[0][0], layers[0][1], outputs[0])
    for i in range(1, len(layers)):
        cut_negative(outputs[i - 1])
        linear(outputs[i - 1], layers[i][0], layers[i][1], outputs[i])


@summing_kernel
def chain_backward(given, x, layers, hidden, found, to_x):  # type: ignore[no-untyped-def]
    """The gradients of each layer's weight and bias, and of the input; `hidden` is what each but the last gave."""
    flow = given
    for i in range(len(layers) - 1, 0, -1):
        linear_back(flow, hidden[i - 1], found[i][0], found[i][1])
        below = np.empty_like(hidden[i - 1])
        np.dot(flow, layers[i][0], below)
        clear_where_cut(below, hidden[i - 1])
        flow = below
    linear_back(flow, x, found[0][0], found[0][1])
    np.dot(flow, layers[0][0], to_x)


def chained(x: Array, weights: Sequence[Array], room: Room) -> tuple[Array, BackToInput]:
    """As `chain`, on arrays, with the way back."""
    layers = _pairs(weights)
    *hidden, out = (room(len(x), len(bias)) for _, bias in layers)
    chain_forward(x, layers, (*hidden, out))

    def back(gradient: Array, places: Sequence[Place]) -> Array:
        to_x = np.empty(x.shape, np.float32)
        chain_backward(gradient, x, layers, tuple(hidden), _pairs([place.array for place in places]), to_x)
        return to_x

    return out, back


def _pairs(arrays: Sequence[Array]) -> tuple[tuple[Array, Array], ...]:
    return tuple(zip(arrays[::2], arrays[1::2], strict=True))


def chain(x: Tensor, weights: list[Tensor]) -> Tensor:
    """`x [rows, n]` through layers whose weights and biases take turns in the list."""
    return part_alone(chained, weights, x)
