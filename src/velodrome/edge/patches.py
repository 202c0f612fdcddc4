"""Functions put in front of other people's, in classes that are there and in those still to come, and taken off."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Front = Callable[[Callable[..., Any]], Callable[..., Any]]
"""What makes of a function the one that is called in its place."""

_ABSENT = object()


class Patches:
    """Everything that was changed, so that `undo` leaves nothing behind."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []
        self._arrivals: _Arrivals | None = None
        self._in_front: set[tuple[int, str]] = set()

    def put(self, owner: Any, name: str, made: Any) -> None:
        """Set an attribute of a class or a module until `undo`."""
        before = vars(owner).get(name, _ABSENT)
        setattr(owner, name, made)
        self._done.append((owner, name, made, before))

    def cover(self, kind: type, fronts: dict[str, Front]) -> None:
        """Put functions in front of methods that a class itself defines, once."""
        for name, front in fronts.items():
            method = vars(kind).get(name)
            if inspect.isfunction(method) and (id(kind), name) not in self._in_front:
                self._in_front.add((id(kind), name))
                self.put(kind, name, front(method))

    def cover_all(self, base: type, fronts: dict[str, Front]) -> None:
        """The same in a class, in all that derive from it, and in those that will."""
        for kind in [base, *_derived(base)]:
            self.cover(kind, fronts)
        own: Any = vars(base).get("__init_subclass__")
        above: Any = super

        def __init_subclass__(cls: Any, /, **named: Any) -> None:
            if own is None:
                above(base, cls).__init_subclass__(**named)
            else:
                own.__get__(None, cls)(**named)
            self.cover(cls, fronts)

        self.put(base, "__init_subclass__", classmethod(__init_subclass__))

    def when_there(self, module: str, then: Callable[[ModuleType], None]) -> None:
        """Call `then` with a module, now if it has been imported, else right after it will be."""
        if module in sys.modules:
            then(sys.modules[module])
            return
        if self._arrivals is None:
            self._arrivals = _Arrivals()
            sys.meta_path.insert(0, self._arrivals)
        self._arrivals.awaited.setdefault(module, []).append(then)

    def undo(self) -> None:
        """Take everything off again. What somebody else has changed since stays as they left it."""
        if self._arrivals is not None:
            self._arrivals.awaited.clear()
            sys.meta_path.remove(self._arrivals)
            self._arrivals = None
        while self._done:
            owner, name, made, before = self._done.pop()
            if vars(owner).get(name) is not made:
                continue
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        self._in_front.clear()


class _Arrivals(MetaPathFinder):
    """Lets some modules be found as always, and calls back when they have been executed."""

    def __init__(self) -> None:
        self.awaited: dict[str, list[Callable[[ModuleType], None]]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders give, with a loader that calls back."""
        if fullname not in self.awaited:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)) is not None:
                if spec.loader is not None:
                    spec.loader = _Calling(spec.loader, self.awaited.pop(fullname))
                return spec
        return None


class _Calling(Loader):
    """Another loader, and what to call afterwards."""

    def __init__(self, loader: Loader, then: list[Callable[[ModuleType], None]]):
        self._loader, self._then = loader, then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the other loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the other loader does, which from now on is the module's only one."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for then in self._then:
            then(module)


def _derived(kind: type) -> list[type]:
    found: dict[type, None] = {}
    children: list[type] = type.__subclasses__(kind)
    for child in children:
        found |= dict.fromkeys([child, *_derived(child)])
    return list(found)
