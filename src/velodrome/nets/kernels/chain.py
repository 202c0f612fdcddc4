"""Linear layers with ReLU between them, forward and back, compiled whole: for batches so small that calling the
operations one by one takes longer than doing them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from velodrome.compiled import single_threaded_products, summing_kernel
from velodrome.nets.kernels.encoder import clear_where_cut, cut_negative, linear, linear_back
from velodrome.nets.kernels.places import array_of, new_gradients, taken


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


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, *weights: Tensor) -> Tensor:
        x, layers = x.detach().contiguous(), _pairs([array_of(weight) for weight in weights])
        *hidden, out = (torch.empty(len(x), len(bias)) for _, bias in layers)
        chain_forward(x.numpy(), layers, tuple(each.numpy() for each in (*hidden, out)))
        context.save_for_backward(x, *hidden)
        context.layers, context.places = layers, taken(weights)
        return out

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        x, *hidden = (each.numpy() for each in context.saved_tensors)
        given, layers = gradient.contiguous().numpy(), context.layers
        arrays = (each for pair in layers for each in pair)
        to_x, (found, written) = torch.empty(x.shape), new_gradients(arrays, context.places)
        chain_backward(given, x, layers, tuple(hidden), _pairs(written), to_x.numpy())
        return to_x, *found


def _pairs(arrays: list[Any]) -> tuple[tuple[Any, Any], ...]:
    return tuple(zip(arrays[::2], arrays[1::2], strict=True))


def chain(x: Tensor, weights: list[Tensor]) -> Tensor:
    """`x [rows, n]` through layers whose weights and biases take turns in the list."""
    single_threaded_products()
    return _Chain.apply(x, *weights)  # type: ignore[no-any-return, no-untyped-call]
