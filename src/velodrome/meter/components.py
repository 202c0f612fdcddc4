"""Which part of a module is at work at each moment, whether it is called or one of its methods is."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

OWN = "own"
"""The module's own code and the parameters that belong to none of its children."""


def component_names(module: nn.Module, depth: int) -> dict[str, str]:
    """The component of every submodule, by dotted name: its first `depth` names, or `own` for the module itself."""
    return {path: ".".join(path.split(".")[:depth]) or OWN for path, _ in module.named_modules()}


class Watch:
    """While entered, follows the calls inside a module and keeps `current`, the component that is at work.

    Calls are followed by putting a function in front of `forward` and, in classes that are not torch's, of the other
    public methods. Hooks would do less: they miss methods, and they turn off the transformer encoder's fast path.
    """

    def __init__(self, module: nn.Module, depth: int = 1):
        self.module = module
        self.names = component_names(module, depth)
        self.current = OWN
        self._covered: list[tuple[nn.Module, str]] = []

    def moved(self) -> None:
        """Called before `current` changes."""

    def call(self, part: nn.Module, method: str, inner: Callable[..., Any], args: Any, named: Any) -> Any:
        """Makes a followed call."""
        return inner(*args, **named)

    def __enter__(self) -> Self:
        for path, part in self.module.named_modules():
            for method in _followed(part):
                vars(part)[method] = self._in_front_of(part, method, self.names[path])
                self._covered.append((part, method))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._covered:
            part, method = self._covered.pop()
            del vars(part)[method]

    def _in_front_of(self, part: nn.Module, method: str, component: str) -> Callable[..., Any]:
        inner = getattr(part, method)

        @functools.wraps(inner)
        def follow(*args: Any, **named: Any) -> Any:
            before = self.current
            self._move(component)
            try:
                return self.call(part, method, inner, args, named)
            finally:
                self._move(before)

        return follow

    def _move(self, component: str) -> None:
        if component != self.current:
            self.moved()
            self.current = component


class Stopwatch(Watch):
    """Nanoseconds of each component, those of the components that it calls not included."""

    def __init__(self, module: nn.Module, depth: int, settle: Callable[[], None]):
        super().__init__(module, depth)
        self.settle = settle
        self.ns = dict.fromkeys(self.names.values(), 0)
        self._since = 0

    def moved(self) -> None:
        """Give the time since the last move to the component that was at work."""
        self.settle()
        now = time.perf_counter_ns()
        self.ns[self.current] += now - self._since
        self._since = now

    def run(self, inputs: tuple[Any, ...]) -> dict[str, int]:
        """Nanoseconds of each component in one forward pass."""
        self.ns = dict.fromkeys(self.ns, 0)
        self.settle()
        self._since = time.perf_counter_ns()
        with torch.no_grad():
            self.module(*inputs)
        self.moved()
        return self.ns


def _followed(part: nn.Module) -> list[str]:
    own_code = [kind for kind in type(part).__mro__ if not kind.__module__.startswith(("torch.", "builtins"))]
    methods = [name for kind in own_code for name, value in vars(kind).items() if inspect.isfunction(value)]
    public = [name for name in methods if not name.startswith("_") and not name.endswith("_flops")]
    return list(dict.fromkeys(["forward", *public]))
