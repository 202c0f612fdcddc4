"""What is put in front of calls that are watched: each tells the account of its thread when it began and ended.

These functions stand where somebody else's stood. So they may be pickled with a class, traced by a compiler, called in
a forked child or on any thread, and must then only call what they stand in front of.
"""

from __future__ import annotations

import functools
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from velodrome.edge.account import ENCODE, FORWARD, INFER, RESET, STEP, Account, Kind, Waiting
from velodrome.edge.nets import LOOK_INSIDE, Nets
from velodrome.edge.patches import Front

CACHE_BYTES, CALIBRATING_CALLS = 2**20, 200
"""What is copied between two calls while their cost is measured, and how many are."""

Make = Callable[[], Account]
Write = Callable[[Account, Any, int, int], None]
"""Gets the account, the call's arguments, and when it began and ended."""

now = time.perf_counter_ns
is_compiling = torch.compiler.is_compiling


@dataclass(frozen=True)
class Record:
    """How a call is written down, and in which phase one is meanwhile."""

    at: str
    write: Write


class Here(threading.local):
    """The account of the thread that asks, and the nets that were met on all of them."""

    def __init__(self, make: Make, nets: Nets):
        self.account, self.nets = make(), nets

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return _Nowhere, ()


class _Nowhere:
    """What becomes of `Here` in another process."""

    def __init__(self) -> None:
        self.account, self.nets = Account("elsewhere", 0), Nets()
        self.account.busy = True

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return _Nowhere, ()


def timed(here: Here, record: Record) -> Front:
    """A front that records every call that is inside no other."""
    at, write = record.at, record.write

    def front(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def call(*arguments: Any, **named: Any) -> Any:
            account = here.account
            if account.busy or is_compiling():
                return inner(*arguments, **named)
            account.busy, account.at = True, at
            began = now()
            try:
                return inner(*arguments, **named)
            finally:
                ended = now()
                account.busy = False
                write(account, arguments, began, ended)

        return call

    return front


def steps(count: Callable[[Any], int] | None = None, samples: int = 1) -> Record:
    """Records an environment's step; `count` says how many games it was for, one if it is not given."""

    def write(account: Account, arguments: Any, began: int, ended: int) -> None:
        account.steps(began, ended, count(arguments[0]) if count is not None and samples else samples, samples)

    return Record(STEP, write)


def waits(kind: Kind) -> Record:
    """Records what may belong to playing or to learning."""

    def write(account: Account, _: Any, began: int, ended: int) -> None:
        account.waits(kind, began, ended)

    return Record(RESET if kind == "reset" else ENCODE, write)


def learns(name: str, samples: int = 1) -> Record:
    """Records a part of learning."""

    def write(account: Account, _: Any, began: int, ended: int) -> None:
        account.learns(name, began, ended, samples)

    return Record(name, write)


def passes(here: Here) -> Front:
    """The front of `nn.Module.__call__`. Every module inside another pays for it, so that it asks one thing first."""

    def front(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def call(*arguments: Any, **named: Any) -> Any:
            account = here.account
            if account.busy or is_compiling():
                return inner(*arguments, **named)
            grad = torch.is_grad_enabled()
            inside = here.nets.met(arguments, named, grad, account)
            if inside == LOOK_INSIDE:
                return _through(here, inner, arguments, named)
            account.busy, account.at = True, FORWARD if grad else INFER
            began = now()
            try:
                return inner(*arguments, **named)
            finally:
                ended = now()
                account.busy = False
                account.passed += inside
                account.passes(began, ended, grad, arguments[0].training)

        return call

    return front


def methods(here: Here) -> Front:
    """The front of a net's other methods. One that calls modules and does nothing else that is watched is a pass."""

    def front(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def call(*arguments: Any, **named: Any) -> Any:
            account = here.account
            if account.busy or is_compiling() or inner in here.nets.no_passes:
                return inner(*arguments, **named)
            return _through(here, inner, arguments, named)

        return call

    return front


def compiled(here: Here) -> Front:
    """The front of `torch.compile`: what it returns is a pass, as its modules are never called one by one."""

    def front(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def compile(*arguments: Any, **named: Any) -> Any:
            made = inner(*arguments, **named)
            if isinstance(made, nn.Module) or not callable(made):
                return made
            if arguments or named.get("model") is not None:
                return _compiled(here, made)
            return lambda model: _compiled(here, made(model))

        return compile

    return front


def _compiled(here: Here, made: Callable[..., Any]) -> Callable[..., Any]:
    if isinstance(made, nn.Module):
        return made

    @functools.wraps(made)
    def call(*arguments: Any, **named: Any) -> Any:
        if here.account.busy or is_compiling():
            return made(*arguments, **named)
        return _through(here, made, arguments, named, surely=True)

    return call


def _through(here: Here, inner: Callable[..., Any], arguments: Any, named: Any, surely: bool = False) -> Any:
    """A call that is one pass if passes are all that happens in it."""
    account = here.account
    if account.inside is not None:
        return inner(*arguments, **named)
    mine: list[Waiting] = []
    account.inside = mine
    grad, began = torch.is_grad_enabled(), now()
    account.at = FORWARD if grad else INFER
    try:
        return inner(*arguments, **named)
    finally:
        ended = now()
        if account.inside is not mine:
            here.nets.no_passes.add(inner)
        else:
            account.inside = None
            if mine or surely:
                grad = any(part[3] for part in mine) if mine else grad
                account.passes(began, ended, grad, all(part[4] for part in mine))


def update_begins(here: Here, *_: Any) -> None:
    """For torch's hook before the step of any optimizer."""
    account = here.account
    if not account.busy:
        account.update_begins(now(), sys._getframe(1))


def update_ends(here: Here, *_: Any) -> None:
    """For torch's hook after the step of any optimizer."""
    account = here.account
    if not account.busy:
        account.update_ends(now(), sys._getframe(1))


@functools.cache
def costs_ns() -> tuple[float, float]:
    """What a watched call costs, and an unwatched one inside it: medians, each after other work, as in a clock."""
    account, module = Account("calibration", now()), nn.Identity()
    here = Here(lambda: account, Nets())
    call = passes(here)(_nothing)
    step = timed(here, steps())(_nothing)
    call(module)
    watched = _median_ns([call, step], module) / 2
    account.busy = True
    passed = _median_ns([call, call], module) / 2
    return max(watched, 1.0), max(passed, 1.0)


def _median_ns(calls: list[Callable[[Any], Any]], argument: Any) -> float:
    """What these calls take longer than as many of nothing."""
    source, target = bytearray(CACHE_BYTES), bytearray(CACHE_BYTES)
    extra = []
    for _ in range(CALIBRATING_CALLS):
        took = []
        for made in (calls, [_nothing] * len(calls)):
            target[:] = source
            began = now()
            for call in made:
                call(argument)
            took.append(now() - began)
        extra.append(took[0] - took[1])
    return statistics.median(extra)


def _nothing(*_: Any, **__: Any) -> None:
    pass
