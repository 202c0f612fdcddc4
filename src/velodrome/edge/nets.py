"""The nets that a watched program uses: found by their optimizers and calls, and their cards."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from velodrome.edge.account import Account
from velodrome.meter.card import Card, card
from velodrome.meter.tensors import Inputs, mapped, named_tensors

LOOK_INSIDE = -1
"""Said of a module whose inputs are no tensors that a card could be made from, but perhaps those of its parts are."""

MOST_NETS, EXAMPLES = 64, 64
"""How many modules are remembered, and rows of the inputs of each."""

MOST_OBJECTS = 100_000
"""How far to look for what a net holds."""

LIBRARIES = ("torch", "tensordict", "torchrl", "builtins", "abc", "typing")
"""Packages whose modules are used by calling them, so that their methods need no watching."""


@dataclass
class Met:
    """A module that was called directly, with some of its inputs."""

    module: nn.Module
    inputs: Inputs
    batches: set[int]
    """How many rows it was called with."""


@dataclass(frozen=True)
class Cards:
    """The cards of the nets that were met, and why there is none of some."""

    cards: list[Card]
    missing: dict[str, str]


class Nets:
    """What is known of the nets."""

    def __init__(self) -> None:
        self.no_passes: set[Callable[..., Any]] = set()
        """Methods of nets that were seen to do more than pass through them."""
        self.quiet: set[Callable[..., Any]] = set()
        """Methods of nets that turn gradients off by themselves."""
        self.roots: dict[int, nn.Module] = {}
        """Modules that are part of no other and hold what an optimizer updates."""
        self._updated: set[int] = set()
        self._met: dict[int, Met] = {}
        self._asked: deque[nn.Module] = deque(maxlen=16)
        """Modules that were asked for their parameters lately."""
        self.inside: dict[int, int] = {}
        """Modules inside one that was called, by its id and whether gradients were on."""

    def asks(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        """The front of `nn.Module.named_parameters`: who is asked is about to be given to an optimizer, perhaps."""

        @functools.wraps(inner)
        def named_parameters(module: nn.Module, *arguments: Any, **named: Any) -> Any:
            if not torch.compiler.is_dynamo_compiling():
                self._asked.append(module)
            return inner(module, *arguments, **named)

        return named_parameters

    def find(self, optimizers: Iterable[torch.optim.Optimizer]) -> list[nn.Module]:
        """The modules that these optimizers update: of those that hold such parameters, the outermost."""
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        updated = {id(weights) for group in groups for weights in group["params"]}
        self._updated |= updated
        found = _outermost(list(self._asked), updated)
        if updated - {id(weights) for module in found for weights in _weights(module)}:
            found = _outermost([each for each in gc.get_objects() if issubclass(type(each), nn.Module)], updated)
        self.roots |= {id(module): module for module in found}
        return found

    def sizes(self) -> dict[str, int]:
        """How many weights the nets have, by name."""
        return {name: _size(met.module) for name, met in self._largest()}

    def cards(self, most: int) -> Cards:
        """The cards of the largest nets, at the batch sizes that they were called with."""
        made, missing = [], {}
        for name, met in self._largest()[:most]:
            try:
                made.append(card(_copy(met.module), *met.inputs, name=name, batches=_batches(met.batches)))
            except Exception as error:  # a net of somebody else's may refuse anything; its card is then missing
                missing[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Cards(made, missing)

    def meet(self, arguments: Any, named: Any, grad: bool, account: Account) -> int:
        """A module is called for the first time: how many are inside it, or `LOOK_INSIDE`."""
        began = time.perf_counter_ns()
        key = id(arguments[0]) * 2 + grad
        try:
            inside = self._remember(arguments[0], arguments[1:], bool(named), key)
        except Exception:  # whatever is odd about a net, its program must not hear of it from us
            inside = self.inside[key] = 0
        account.spent_ns += time.perf_counter_ns() - began
        return inside

    def _remember(self, module: nn.Module, inputs: Inputs, named: bool, key: int) -> int:
        self.inside[key] = inside = sum(1 for _ in module.modules()) - 1
        rows = _rows(inputs)
        plain = rows is not None and not named
        if rows is not None and plain and len(self._met) < MOST_NETS and _has_weights(module):
            met = self._met.setdefault(id(module), Met(module, inputs, set()))
            if rows > max(met.batches, default=0):
                met.inputs = _some(inputs, rows)
            met.batches.add(rows)
        return inside if plain or not inside else LOOK_INSIDE

    def _largest(self) -> list[tuple[str, Met]]:
        """Nets that are learnt, then others; of two of one kind and size only one, and no part beside its whole."""
        names = dict(self._named())
        kept: dict[int, Met] = {}
        taken: set[int] = set()
        seen: set[tuple[str, int]] = set()
        for met in sorted(self._met.values(), key=lambda met: (-self._is_learnt(met.module), -_size(met.module))):
            own = {id(weights) for weights in met.module.parameters()}
            whole = next((each for each in kept.values() if own <= {id(w) for w in each.module.parameters()}), met)
            whole.batches |= met.batches
            kind = (type(met.module).__qualname__, _size(met.module))
            copied = kind in seen and not own & self._updated
            if not own <= taken and not copied:
                kept[id(met.module)] = met
                taken |= own
                seen.add(kind)
        return [(names.get(key, type(met.module).__name__), met) for key, met in kept.items()]

    def _named(self) -> Iterator[tuple[int, str]]:
        for root in self.roots.values():
            for path, module in root.named_modules():
                yield id(module), f"{type(root).__name__}.{path}" if path else type(root).__name__

    def _is_learnt(self, module: nn.Module) -> bool:
        return any(id(weights) in self._updated for weights in module.parameters())


def own_methods(module: nn.Module) -> Iterator[tuple[type, str]]:
    """The public methods of a net, with the classes that define them, that no library has given it."""
    for kind in type(module).__mro__:
        if kind.__module__.split(".")[0] in LIBRARIES:
            continue
        for name, value in vars(kind).items():
            is_method = inspect.isfunction(value) and not inspect.isgeneratorfunction(value)
            if is_method and not name.startswith("_") and (name == "forward" or not hasattr(nn.Module, name)):
                yield kind, name


def _copy(module: nn.Module) -> nn.Module:
    """A copy, in which results that the module has kept of its last pass are cut off from it."""
    kept: dict[int, Any] = {}
    seen: set[int] = set()
    left: list[Any] = [module]
    while left and len(seen) < MOST_OBJECTS:
        each = left.pop()
        if isinstance(each, Tensor) and not each.is_leaf:
            kept[id(each)] = each.detach()
            continue
        inner = [part for part in gc.get_referents(each) if not isinstance(part, type | ModuleType | FunctionType)]
        left += [part for part in inner if id(part) not in seen]
        seen |= {id(part) for part in inner}
    return copy.deepcopy(module, kept)


def _outermost(modules: list[nn.Module], updated: set[int]) -> list[nn.Module]:
    """Those with such parameters that are part of no other."""
    whole = list({id(module): module for module in modules if "_modules" in vars(module)}.values())
    inner = {id(part) for module in whole for part in module.modules() if part is not module}
    outer = [module for module in whole if id(module) not in inner]
    return [module for module in outer if any(id(weights) in updated for weights in _weights(module))]


def _weights(module: nn.Module) -> Iterator[nn.Parameter]:
    for part in module.modules():
        yield from (weights for weights in part._parameters.values() if weights is not None)


def _rows(inputs: Inputs) -> int | None:
    """How many rows a call has; None where its inputs are not plain tensors, or structures of them."""
    if not inputs or not all(_is_plain(each) for each in inputs):
        return None
    tensors = [tensor for _, tensor in named_tensors(inputs)]
    return next((tensor.shape[0] for tensor in tensors if tensor.dim() > 1), 1) if tensors else None


def _is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(_is_plain(each) for each in value.values())
    return all(_is_plain(each) for each in value) if type(value) in (list, tuple) else isinstance(value, Tensor)


def _some(inputs: Inputs, rows: int) -> Inputs:
    """A copy of a few rows; of what has none, as one."""
    batched = any(tensor.dim() > 1 for _, tensor in named_tensors(inputs))

    def copy(tensor: Tensor) -> Tensor:
        some = tensor.detach() if batched else tensor.detach()[None]
        return (some[:EXAMPLES] if some.dim() and some.shape[0] == rows else some).clone()

    made: Inputs = mapped(inputs, copy)
    return made


def _batches(seen: set[int]) -> list[int]:
    return sorted({1, min(seen), max(seen)})


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _size(module: nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters())
