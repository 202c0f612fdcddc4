"""Where the gradients of weights are written: in a place offered for them, or else in new memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def offer(parameters: Iterable[Tensor], places: Iterable[Tensor]) -> None:
    """Offer each parameter a place where its next gradient is wanted; whatever makes it there need not be copied.

    A place is taken by one use of the parameter alone: with a second one, gradients are added up as ever.
    """
    for parameter, place in zip(parameters, places, strict=True):
        parameter.gradient_place = place  # type: ignore[attr-defined]


def withdraw(parameters: Iterable[Tensor]) -> None:
    """Take back what was offered and not taken."""
    taken(parameters)


def taken(weights: Iterable[Tensor]) -> list[Tensor | None]:
    """The places offered for these weights, which from now on are."""
    return [vars(weight).pop("gradient_place", None) for weight in weights]


def array_of(tensor: Tensor) -> NDArray[Any]:
    """The tensor's memory as an array, which is remembered: making it anew takes as long as many a small layer."""
    known = vars(tensor).get("known_array")
    address = tensor.data_ptr()
    if known is None or known[0] != address:
        known = address, tensor.detach().numpy()
        tensor.known_array = known  # type: ignore[attr-defined]
    array: NDArray[Any] = known[1]
    return array


def new_gradients(
    weights: Iterable[NDArray[Any]], places: Iterable[Tensor | None]
) -> tuple[list[Tensor], list[NDArray[Any]]]:
    """A tensor for the gradient of each of the weights, in its place if it has one, and the arrays to write them in."""
    tensors, arrays = [], []
    for weight, place in zip(weights, places, strict=True):
        if place is None:
            tensors.append(torch.empty(weight.shape))
            arrays.append(tensors[-1].numpy())
        else:
            tensors.append(place.detach())
            arrays.append(array_of(place))
    return tensors, arrays


def cleared(place: Tensor, rows: NDArray[np.int64]) -> Tensor:
    """The place of a gradient of which only these rows will be written, with zeros in all others.

    What is remembered of it are the rows written last, so that no more than those have to be cleared.
    """
    last = vars(place).get("rows")
    if last is None:
        place.zero_()
    else:
        place.numpy()[last] = 0
    place.rows = rows  # type: ignore[attr-defined]
    return place.detach()


def copied(places: list[Tensor], gradients: list[Tensor]) -> None:
    """Copy gradients that were made elsewhere into their places."""
    for place in places:
        vars(place).pop("rows", None)
    if places:
        torch._foreach_copy_(places, gradients)
