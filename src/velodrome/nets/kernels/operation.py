"""A computation on arrays, with a way back of its own, as one operation of autograd."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from velodrome.compiled import single_threaded_products
from velodrome.nets.kernels.places import Array, Place, array_of, taken

T = TypeVar("T")


class Room:
    """Memory that lasts until the way back, taken in large pieces: torch is slow to give small ones."""

    LEAST, LINE = 2**15, 16
    """Numbers in a piece, and the multiple of them at which each array begins."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []
        self._pieces: list[Array] = []
        self._used: list[int] = []

    def __call__(self, *shape: int) -> Array:
        """A new array."""
        size, lines = math.prod(shape), self._lines(shape)
        self._have(lines)
        at = self._used[-1]
        self._used[-1] = at + lines
        return self._pieces[-1][at : at + size].reshape(shape)

    def several(self, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
        """New arrays in one piece."""
        self._have(sum(map(self._lines, shapes)))
        return [self(*shape) for shape in shapes]

    def _lines(self, shape: tuple[int, ...]) -> int:
        return -(-math.prod(shape) // self.LINE) * self.LINE

    def _have(self, size: int) -> None:
        if not self._pieces or self._used[-1] + size > len(self._pieces[-1]):
            self._pieces.append(torch.empty(max(size, self.LEAST)).numpy())
            self._used.append(0)

    def tensors(self) -> list[Tensor]:
        """All that is kept."""
        pieces = zip(self._pieces, self._used, strict=True)
        return [*self.inputs, *(torch.from_numpy(piece[:used]) for piece, used in pieces)]


Back = Callable[[tuple[Array, ...], list[Place]], Array | None]
"""Takes the gradients of the outputs, writes those of the weights in their places, returns that of the input."""
Run = Callable[[list[Array], Room], tuple[tuple[Array, ...], Back]]
"""Takes the weights and where to keep what the way back needs, returns the outputs and the way back."""


class _Operation(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, run: Run, weights: Sequence[Tensor], places: list[Place] | None, *given: Tensor | None
    ) -> tuple[Tensor, ...]:
        room = Room()
        outputs, context.back = run([array_of(weight) for weight in weights], room)
        context.save_for_backward(*room.tensors())
        context.shapes, context.places = [weight.shape for weight in weights], places
        return tuple(torch.from_numpy(output) for output in outputs)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        _ = context.saved_tensors  # complains if they are gone
        places = context.places or [Place(torch.empty(shape)) for shape in context.shapes]
        to_x = context.back(tuple(gradient.contiguous().numpy() for gradient in gradients), places)
        behind = None if to_x is None else torch.from_numpy(to_x)
        if not context.places:
            return None, None, None, behind, *(place.tensor for place in places)
        for place in places:
            place.written = True
        return None, None, None, behind, None


def operation(run: Run, weights: Sequence[Tensor], x: Tensor | None = None) -> tuple[Tensor, ...]:
    """What `run` makes of the weights, and of `x` if it knows of one that a gradient is wanted for.

    Where no gradients are wanted, autograd knows nothing of it. If all weights were offered places, their gradients are
    written there, and autograd sees no more of them than the one that tells it to come this way.
    """
    single_threaded_products()
    if not torch.is_grad_enabled():
        outputs, _ = run([array_of(weight) for weight in weights], Room())
        return tuple(torch.from_numpy(output) for output in outputs)
    places = taken(weights)
    if None in places:
        return _Operation.apply(run, weights, None, x, *weights)  # type: ignore[no-any-return, no-untyped-call]
    return _Operation.apply(run, weights, places, x, weights[0])  # type: ignore[no-any-return, no-untyped-call]


BackToInput = Callable[[Array, Sequence[Place]], Array]
"""The way back of a part with one input and one output."""
Part = Callable[[Array, list[Array], Room], tuple[Array, BackToInput]]
"""Takes an input, weights and room; returns the output and the way back."""


class Groups:
    """The weights of several parts, one list after the other."""

    def __init__(self, *groups: Sequence[Tensor]):
        self.weights = [weight for group in groups for weight in group]
        ends = list(itertools.accumulate(map(len, groups)))
        self._slices = [slice(end - len(group), end) for group, end in zip(groups, ends, strict=True)]

    def of(self, flat: list[T]) -> list[list[T]]:
        """What belongs to the weights, in the same groups."""
        return [flat[part] for part in self._slices]


def part_alone(part: Part, weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """One part of a net as an operation of its own."""
    given = array_from(x)

    def run(arrays: list[Array], room: Room) -> tuple[tuple[Array, ...], Back]:
        room.inputs.append(x)
        out, back = part(given, arrays, room)
        return (out,), lambda gradients, places: back(gradients[0], places)

    return operation(run, weights, x)[0]


def array_from(x: Tensor) -> Array:
    """An input's numbers, row after row."""
    return x.detach().contiguous().numpy()
