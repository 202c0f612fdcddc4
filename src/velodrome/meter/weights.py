"""Weights that nothing depends on, and inputs that are never set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from velodrome.meter.tensors import Inputs, named_tensors, random_like, rows, with_rows

BATCHES = 8
SHAKEN_BATCHES = 32
"""With other weights: so many that a unit that is on half the time is taken for dead once in four billion."""
LEAST_ROWS = 64
"""In each of these batches, however few the example has."""


def _backward(module: nn.Module, inputs: Inputs, generator: torch.Generator) -> None:
    """One backward pass in which every output has a part, with weights at random.

    A plain sum would not do: that of a softmax, or of a normalised layer, is constant.
    """
    outputs = [tensor for _, tensor in named_tensors(module(*inputs)) if tensor.requires_grad]
    if outputs:
        pulls = [torch.randn(out.shape, generator=generator).to(out.device, out.dtype) for out in outputs]
        torch.autograd.backward(outputs, pulls)


@dataclass(frozen=True)
class Silent:
    """Elements by parameter that had no gradient in any batch; parameters without such elements are left out."""

    dead: dict[str, int]
    """None with other weights near the present ones either: the wiring leaves them out."""
    dormant: dict[str, int]
    """None with the present weights alone, as behind a ReLU that nothing switches on or a factor that is zero."""


def silent_weights(module: nn.Module, inputs: Inputs, generator: torch.Generator) -> Silent:
    """Which trained weights have no gradient over eight batches of dense random inputs.

    The module's weights are not the same afterwards.
    """
    inputs = with_rows(inputs, max(rows(inputs), LEAST_ROWS))
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    silent = {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in trained.items()}
    for _ in range(BATCHES):
        _strike_out(silent, module, random_like(inputs, generator), generator)
    dead = {name: mask.clone() for name, mask in silent.items()}
    original = {name: parameter.detach().clone() for name, parameter in trained.items()}
    for _ in range(SHAKEN_BATCHES):
        if not any(mask.any() for mask in dead.values()):
            break
        _shake(trained, original, generator)
        _strike_out(dead, module, random_like(inputs, generator), generator)
    dormant = {name: mask & ~dead[name] for name, mask in silent.items()}
    return Silent(_counts(dead), _counts(dormant))


def _strike_out(silent: dict[str, Tensor], module: nn.Module, inputs: Inputs, generator: torch.Generator) -> None:
    """Take out of `silent` whatever has a gradient on these inputs."""
    module.zero_grad(set_to_none=True)
    _backward(module, inputs, generator)
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            silent[name] &= parameter.grad.to_dense() == 0
    module.zero_grad(set_to_none=True)


def _shake(parameters: dict[str, nn.Parameter], original: dict[str, Tensor], generator: torch.Generator) -> None:
    """Move every weight by noise of about the size that layers start from, 1 / sqrt(inputs)."""
    for name, parameter in parameters.items():
        size = 1 / math.sqrt(max(parameter.shape[1:].numel(), 1))
        noise = torch.randn(parameter.shape, generator=generator).to(parameter.device, parameter.dtype)
        parameter.data.copy_(original[name] + size * noise)


def _counts(masks: dict[str, Tensor]) -> dict[str, int]:
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    return {name: count for name, count in counts.items() if count}


def unset_inputs(samples: Iterable[Inputs]) -> dict[str, list[int]]:
    """By input, the positions within a row that are zero in every sample; of indices, the values that never occur.

    Positions count through the row's last axes; values run from 0 to the largest seen.
    """
    seen: dict[str, Tensor] = {}
    for sample in samples:
        for name, tensor in named_tensors(sample):
            now = _set_now(tensor.detach())
            seen[name] = _either(seen[name], now) if name in seen else now
    unset = {name: torch.nonzero(~positions).flatten().tolist() for name, positions in seen.items()}
    return {name: positions for name, positions in unset.items() if positions}


def _set_now(tensor: Tensor) -> Tensor:
    """Which positions of a row, or which values of an index, this tensor has."""
    if tensor.dtype == torch.bool or tensor.is_floating_point():
        return (tensor != 0).flatten(1).any(0) if tensor.dim() > 1 else (tensor != 0).any(0, keepdim=True)
    return torch.bincount(tensor.flatten().clamp(min=0)) > 0


def _either(one: Tensor, other: Tensor) -> Tensor:
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    both = longer.clone()
    both[: len(shorter)] |= shorter
    return both
