"""Where the gradients of weights are written: in a place offered for them, or else in new memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from velodrome.compiled import kernel

Array = NDArray[Any]


@kernel
def clear_rows(array, rows):  # type: ignore[no-untyped-def]
    """Set these rows to zero."""
    for at in range(rows.shape[0]):
        array[rows[at]] = 0


class Place:
    """Memory for the gradient of one of the weights."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor
        self.written = False
        """Whether a gradient was, since somebody last looked."""
        self._rows: Array | None = None
        """The rows that hold anything but zeros, if that is known."""

    @cached_property
    def array(self) -> Array:
        """The same memory, for kernels."""
        array: Array = self.tensor.numpy()
        return array

    def cleared(self, rows: Array) -> Array:
        """The memory for a gradient of which only these rows will be written, with zeros in all others.

        No more is cleared than what was written last.
        """
        if self._rows is None:
            self.array.fill(0)
        else:
            clear_rows(self.array, self._rows)
        self._rows = rows
        return self.array

    def zero(self) -> None:
        """Say that there is no gradient."""
        self.tensor.zero_()

    def forget(self) -> Tensor:
        """The memory for somebody who writes anything anywhere."""
        self._rows = None
        return self.tensor


def offer(parameters: Iterable[Tensor], places: Iterable[Place]) -> None:
    """Offer each parameter a place where its next gradient is wanted; what is written there appears nowhere else.

    A place is taken by one use of the parameter alone: with a second one, that gradient goes where gradients go.
    """
    for parameter, place in zip(parameters, places, strict=True):
        parameter.gradient_place = place  # type: ignore[attr-defined]


def taken(weights: Iterable[Tensor]) -> list[Place | None]:
    """The places offered for these weights, which from now on are."""
    return [vars(weight).pop("gradient_place", None) for weight in weights]


def withdraw(parameters: Iterable[Tensor]) -> None:
    """Take back what was offered and not taken."""
    taken(parameters)


def bring(parameters: Sequence[Tensor], places: Sequence[Place]) -> None:
    """See to it that each parameter's whole gradient is in its place, wherever it was left; zeros if there is none."""
    targets, gradients = [], []
    for parameter, place in zip(parameters, places, strict=True):
        gradient, written, place.written = parameter.grad, place.written, False
        if gradient is None:
            if not written:
                place.zero()
        elif written:
            place.forget().add_(gradient)
        else:
            targets.append(place.forget())
            gradients.append(gradient)
    if targets:
        torch._foreach_copy_(targets, gradients)


def array_of(tensor: Tensor) -> Array:
    """The tensor's memory as an array, which is remembered: making it anew takes as long as many a small layer."""
    known = vars(tensor).get("known_array")
    address = tensor.data_ptr()
    if known is None or known[0] != address:
        known = address, tensor.detach().numpy()
        tensor.known_array = known  # type: ignore[attr-defined]
    array: Array = known[1]
    return array
