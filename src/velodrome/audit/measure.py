"""What tests of claims count and measure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from velodrome.audit.claim import Test
from velodrome.meter.flops import count_flops
from velodrome.meter.tensors import named_tensors, with_rows
from velodrome.meter.weights import silent_weights
from velodrome.nets import make_net

ROUNDS, LEAST_S = 15, 0.02
"""Turns that each side takes, and how long one lasts at least."""


def parameters(module: nn.Module) -> int:
    """How many there are."""
    return sum(parameter.numel() for parameter in module.parameters())


def weights(net: str, *parts: str) -> int:
    """The parameters of a net of ours, or of its named parts alone."""
    module, _ = make_net(net)
    return sum(parameters(module.get_submodule(part)) for part in parts or ("",))


def counted(net: str, *parts: str) -> Test:
    """The test of a number of parameters."""

    def test() -> int:
        """Counted in our net of the same layers."""
        return weights(net, *parts)

    return test


def flops(module: nn.Module, *inputs: Any) -> int:
    """Of a forward pass in evaluation; a multiply-add is two."""
    counts, _ = count_flops(module.eval(), inputs)
    return sum(count.flops for count in counts.values())


def operations(module: nn.Module, *inputs: Any) -> int:
    """How many torch runs for a forward pass, in the mode that the module is in."""
    return count_flops(module, inputs)[1]


def dead(module: nn.Module, inputs: tuple[Any, ...]) -> dict[str, int]:
    """The weights, by parameter, that can have no gradient. The module is not the same afterwards."""
    return silent_weights(module.train(), inputs, torch.Generator().manual_seed(0)).dead


def farthest(one: Tensor, other: Tensor) -> float:
    """The largest difference between two of the same shape."""
    return float((one.detach() - other.detach()).abs().max())


def kept_bytes(module: nn.Module, inputs: tuple[Any, ...], rows: int) -> int:
    """What learning from so many rows keeps: weights, gradients, Adam's two moments, and what the way back needs."""
    own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = module.train()(*with_rows(inputs, rows))  # held, so that no storage is used twice
    total = 4 * sum(parameter.nbytes for parameter in module.parameters()) + sum(kept.values())
    del outputs
    return total


def forward(net: str, rows: int) -> Callable[[], object]:
    """A net's forward pass, as in play."""
    module, inputs = make_net(net)
    module.eval()
    return acting(module, with_rows(inputs, rows))


def acting(module: nn.Module, inputs: Sequence[Any]) -> Callable[[], object]:
    """A forward pass without gradients."""

    def once() -> object:
        with torch.no_grad():
            return module(*inputs)

    return once


def learning(module: nn.Module, inputs: Sequence[Any]) -> Callable[[], object]:
    """A pass forward and back."""
    module.train()

    def once() -> object:
        module.zero_grad(set_to_none=True)
        outputs = [tensor for _, tensor in named_tensors(module(*inputs)) if tensor.requires_grad]
        torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
        return None

    return once


def seconds(*works: Callable[[], object]) -> list[float]:
    """The median of each, taken in turn on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = [_times_for(work) for work in works]
        taken: list[list[float]] = [[] for _ in works]
        for _ in range(ROUNDS):
            for work, many, own in zip(works, times, taken, strict=True):
                began = time.perf_counter()
                for _ in range(many):
                    work()
                own.append((time.perf_counter() - began) / many)
    finally:
        torch.set_num_threads(before)
    return [float(np.median(own)) for own in taken]


def _times_for(work: Callable[[], object]) -> int:
    """How often to do it in a turn."""
    work()
    began = time.perf_counter()
    work()
    return max(1, int(LEAST_S / max(time.perf_counter() - began, 1e-9)))


def times_as_fast(slow: Callable[[], object], quick: Callable[[], object]) -> float:
    """How many times as long the first takes as the second."""
    one, other = seconds(slow, quick)
    return one / other
