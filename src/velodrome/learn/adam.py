"""Adam with gradient clipping for a net whose gradients come from several lanes, each of which moves its part."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from velodrome.learn.kernels.adam import add_up, move, sum_of_squares
from velodrome.learn.lanes import Lanes, shared_zeros
from velodrome.learn.workers import here
from velodrome.meter.clock import Clock
from velodrome.nets.kernels.places import Place, bring, offer


class Adam:
    """As `torch.optim.Adam` behind `clip_grad_norm_`: equal but for rounding, and one pass where those take several.

    All weights lie in one vector, as their gradients and running means do. On the CPU every lane sees them.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        rate: float,
        *,
        lanes: int = 1,
        keep: tuple[float, float] = (0.9, 0.999),
        small: float = 1e-5,
        decay: Sequence[float] = (),
    ):
        """`decay` shrinks each parameter towards zero by that much of it for each unit of the rate, as AdamW does."""
        self.rate, self.keep, self.small, self.steps = rate, keep, small, 0
        self.weights, self._first = in_one_vector(parameters), parameters[0]
        device, n = self.weights.device, len(self.weights)
        self.mean, self.square, self.gradients = zeros_on(device, n), zeros_on(device, n), zeros_on(device, lanes, n)
        self.total = zeros_on(device, n if here().count > 1 else 1)
        """The mean over all workers, where there are others."""
        self.decay = _spread(decay, parameters) if any(decay) else None
        self._places = [[Place(part) for part in _parts(own, parameters)] for own in self.gradients]

    @torch.no_grad()
    def bring(self, lane: int, parameters: Sequence[nn.Parameter]) -> None:
        """Lay a lane's gradients beside those of the others; a parameter that got none has zeros."""
        bring(parameters, self._places[lane])

    def offer_places(self, lane: int, parameters: Sequence[nn.Parameter]) -> None:
        """Let the lane's next gradients be written where they would be brought."""
        offer(parameters, self._places[lane])

    @torch.no_grad()
    def average(self, lanes: Lanes, clock: Clock) -> None:
        """Where there are other workers, turn the sum of what the lanes brought into the mean over all workers. Every
        lane calls this, once all have brought theirs."""
        if lanes.workers.count == 1:
            lanes.workers.count_step(len(self.weights))
            return
        own = self.own(lanes)
        with clock("learn.optimize"):
            torch.sum(self.gradients[:, own], 0, out=self.total[own])
        with clock("wait"):
            lanes.meet()
        if lanes.index == 0:
            lanes.workers.average(self.total, clock)
        with clock("wait"):
            lanes.meet()

    @torch.no_grad()
    def step(self, lanes: Lanes, clip: float = math.inf) -> float:
        """Move the weights by the sum of what all lanes brought, or by what `average` made of it; returns its norm
        before clipping.

        Every lane calls this, between two meetings of all.
        """
        if self._first.data_ptr() != self.weights.data_ptr():
            raise RuntimeError("another optimizer has taken these weights: this one would move none that anyone uses")
        self.steps += 1
        own, on_cpu = self.own(lanes), self.weights.device.type == "cpu"
        gradient, squares = self._total(self.gradients if lanes.workers.count == 1 else self.total[None], own)
        norm = math.sqrt(lanes.show(squares)[:, 0].sum())
        scale = min(1.0, clip / (norm + 1e-6))
        mean, square = self.keep
        if self.decay is not None:
            self.weights[own].mul_(1 - self.rate * self.decay[own])
        rate, spread = self.rate / (1 - mean**self.steps), math.sqrt(1 - square**self.steps)
        if on_cpu:
            arrays = (each.numpy() for each in (self.weights[own], self.mean[own], self.square[own], gradient))
            move(*arrays, *(np.float32(each) for each in (scale, rate, mean, square, spread, self.small)))
        else:
            gradient = gradient * scale
            self.mean.lerp_(gradient, 1 - mean)
            self.square.mul_(square).addcmul_(gradient, gradient, value=1 - square)
            self.weights.addcdiv_(self.mean, self.square.sqrt().div_(spread).add_(self.small), value=-rate)
        return norm

    def own(self, lanes: Lanes) -> slice:
        """The part of the weights that this lane moves."""
        n = len(self.weights)
        return slice(n * lanes.index // lanes.count, n * (lanes.index + 1) // lanes.count)

    def _total(self, brought: Tensor, own: slice) -> tuple[Tensor, float]:
        """What the lanes brought, added up, and the sum of its squares; where they left it, it must stay as it is."""
        one: Tensor
        one, *others = brought[:, own]
        if one.device.type != "cpu":
            return one, float(one.square().sum())
        if not others:
            return one, sum_of_squares(one.numpy())
        total, squares = torch.empty_like(one), 0.0
        for other in others:
            squares = add_up(one.numpy(), other.numpy(), total.numpy())
            one = total
        return total, squares

    def state_dict(self) -> dict[str, Any]:
        """What a bit-exact continuation needs beside the weights."""
        return {"steps": self.steps, "mean": self.mean, "square": self.square}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.steps = int(state["steps"])
        self.mean.copy_(state["mean"])
        self.square.copy_(state["square"])


def decays(net: nn.Module, decay: float) -> list[float]:
    """The decay of each of a net's parameters: that of the weights of linear layers that learn, none of all others."""
    linear = {id(module.weight) for module in net.modules() if isinstance(module, nn.Linear)}
    return [decay * (id(each) in linear and each.requires_grad) for each in net.parameters()]


def _spread(values: Sequence[float], parameters: Sequence[nn.Parameter]) -> Tensor:
    """One number a parameter as one a weight."""
    parts = [
        torch.full((parameter.numel(),), value, device=parameter.device)
        for value, parameter in zip(values, parameters, strict=True)
    ]
    return torch.cat(parts)


class Average:
    """A net whose weights are a running average of those that learn. Each lane moves the same part of both."""

    def __init__(self, net: nn.Module, optimizer: Adam, keep: float):
        """The net's parameters have to be the first of those that the optimizer moves. Buffers are those of the net."""
        shared = {id(buffer): buffer for buffer in net.buffers()}
        self.net, self.keep = copy.deepcopy(net, shared).requires_grad_(False), keep
        self.weights = in_one_vector(list(self.net.parameters()))
        self.followed = optimizer.weights[: len(self.weights)]

    def begin(self) -> None:
        """Begin again where the net is now."""
        self.weights.copy_(self.followed)

    def follow(self, part: slice) -> None:
        """Come nearer to the weights of this part, as far as they are the net's."""
        self.weights[part].lerp_(self.followed[part], 1 - self.keep)


def step_together(
    lanes: Lanes,
    moved: Sequence[tuple[Adam, Sequence[nn.Parameter]]],
    clip: float,
    clock: Clock,
    average: Average | None = None,
) -> float:
    """Move the parameters of each optimizer by what all lanes' gradients add up to, or their mean over all workers, and
    the average of what the first one moves; returns the norm of its gradient. Every lane calls this."""
    with clock("learn.optimize"):
        for optimizer, parameters in moved:
            optimizer.bring(lanes.index, parameters)
    with clock("wait"):
        lanes.meet()
    for optimizer, _ in moved:
        optimizer.average(lanes, clock)
    with clock("learn.optimize"):
        norms = [optimizer.step(lanes, clip) for optimizer, _ in moved]
        if average is not None:
            average.follow(moved[0][0].own(lanes))
    with clock("wait"):
        lanes.meet()
    return norms[0]


def young(keep: float, steps: int) -> float:
    """The decay of an average that has followed for few steps: it forgets faster where it began."""
    return min(keep, steps / (steps + 10))


def in_one_vector(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Move the parameters' memory into one vector, which on the CPU every lane sees.

    Where just these lie in one already, as an earlier stage has put them, they stay there.
    """
    known: Tensor | None = getattr(parameters[0], "vector", None)
    if known is not None and _fill(known, parameters):
        return known
    vector = zeros_on(parameters[0].device, sum(parameter.numel() for parameter in parameters))
    parameters[0].vector = vector  # type: ignore[attr-defined]
    for parameter, part in zip(parameters, _parts(vector, parameters), strict=True):
        part.copy_(parameter.data)
        parameter.data = part
    return vector


def _fill(vector: Tensor, parameters: Sequence[nn.Parameter]) -> bool:
    """Whether the parameters lie in the vector one after the other, and nothing beside them."""
    at = vector.data_ptr()
    for parameter in parameters:
        if parameter.data_ptr() != at:
            return False
        at += parameter.numel() * parameter.element_size()
    return at == vector.data_ptr() + vector.numel() * vector.element_size()


def zeros_on(device: torch.device, *shape: int) -> Tensor:
    """Zeros that on the CPU every lane sees."""
    return shared_zeros(*shape) if device.type == "cpu" else torch.zeros(shape, device=device)


def _parts(vector: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    sizes = [parameter.numel() for parameter in parameters]
    return [part.view(like.shape) for part, like in zip(torch.split(vector, sizes), parameters, strict=True)]
