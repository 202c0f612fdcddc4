"""Example inputs and outputs of a module: tensors, alone or in dicts, tuples and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Inputs = tuple[Any, ...]


def named_tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in `value`, with its keys and positions as a dotted name."""
    if isinstance(value, Tensor):
        yield name, value
    for key, item in _items(value):
        yield from named_tensors(item, f"{name}.{key}" if name else str(key))


def mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same structure with `function` of each tensor."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: mapped(item, function) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(item, function) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, function) for item in value)
    return value


def rows(inputs: Inputs) -> int:
    """The samples in these inputs: the length of the first tensor."""
    for _, tensor in named_tensors(inputs):
        if tensor.dim():
            return tensor.shape[0]
    raise ValueError("the example inputs hold no tensor with a row per sample: give card(module, *inputs) at least one")


def with_rows(inputs: Inputs, n: int) -> Inputs:
    """The inputs with `n` rows, repeated or cut; tensors that have no row per sample stay as they are."""
    old = rows(inputs)
    chosen = torch.arange(n) % old

    def choose(tensor: Tensor) -> Tensor:
        batched = tensor.dim() and tensor.shape[0] == old
        return tensor.detach().index_select(0, chosen.to(tensor.device)) if batched else tensor

    made: Inputs = mapped(inputs, choose)
    return made


def random_like(inputs: Inputs, generator: torch.Generator) -> Inputs:
    """Dense random inputs of the same kinds.

    Indices stay in the example's range; masks allow at least one thing in each row; numbers that are all 0 or 1 stay
    so, ones that are never negative stay that, and others become normal.
    """
    made: Inputs = mapped(inputs, lambda tensor: _random(tensor.detach().cpu(), generator).to(tensor.device))
    return made


def _random(example: Tensor, generator: torch.Generator) -> Tensor:
    shape, kind = example.shape, example.dtype
    if example.numel() == 0:
        return example
    if kind == torch.bool or (kind.is_floating_point and _all_binary(example)):
        return _some_set(torch.rand(shape, generator=generator) < 0.5, generator).to(kind)
    if not kind.is_floating_point:
        low, high = int(example.min()), int(example.max())
        return torch.randint(low, high + 1, shape, generator=generator).to(kind)
    if example.min() >= 0:
        return (torch.rand(shape, generator=generator) * example.max()).to(kind)
    return torch.randn(shape, generator=generator).to(kind)


def _all_binary(example: Tensor) -> bool:
    return bool(((example == 0) | (example == 1)).all())


def _some_set(mask: Tensor, generator: torch.Generator) -> Tensor:
    """The mask with one more place set in every innermost row, so that none is empty."""
    if mask.dim() == 0:
        return torch.ones_like(mask)
    sure = torch.randint(0, mask.shape[-1], (*mask.shape[:-1], 1), generator=generator)
    return mask.scatter(-1, sure, True)


def _items(value: Any) -> Sequence[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []
