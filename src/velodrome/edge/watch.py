"""What is put in front of calls that are watched: each tells the account of its thread when it began and ended.

These functions stand where somebody else's stood. So they may be pickled with a class, traced by a compiler, called in
a forked child or on any thread, and must then only call what they stand in front of.
"""

from __future__ import annotations

import functools
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import CO_VARARGS, CO_VARKEYWORDS
from typing import Any, Literal

import torch
from torch import nn

from velodrome.edge.account import ENCODE, FORWARD, INFER, RESET, STEP, Account, Event, Kind
from velodrome.edge.diary import Diary
from velodrome.edge.nets import LOOK_INSIDE, Nets
from velodrome.edge.patches import Front

CALIBRATING_CALLS, TRUSTED = 300, 20

Count = Callable[[Any], int]

now = time.perf_counter_ns
is_compiling = torch.compiler.is_dynamo_compiling
is_grad_enabled = torch.is_grad_enabled


@dataclass(frozen=True)
class Record:
    """How a call is written down, and in which phase one is meanwhile."""

    at: str
    kind: Kind
    one: Any = None
    other: Any = None
    count: Count | None = None
    """Says of an environment how many games it steps, if not one."""


class Gate:
    """What every front asks first, as that is quick: whether a watched call is at work in the only thread there is."""

    __slots__ = ("alone", "busy")

    def __init__(self, alone: bool, busy: bool = False):
        self.alone, self.busy = alone, busy

    def __reduce__(self) -> tuple[Callable[[bool, bool], Any], tuple[bool, bool]]:
        return Gate, (False, True)

    def open(self) -> None:
        """Have each thread ask for itself, from now on."""
        self.alone = self.busy = False


class Here(threading.local):
    """The diary of the thread that asks, and the nets that were met on all of them."""

    def __init__(self, make: Callable[[], Diary], nets: Nets, gate: Gate):
        self.diary, self.nets, self.gate = make(), nets, gate

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return _Nowhere, ()


class _Nowhere:
    """What becomes of `Here` in another process."""

    def __init__(self) -> None:
        self.nets, self.gate = Nets(), Gate(False, busy=True)
        self.diary = Diary(Account("elsewhere", 0), {})
        self.diary.busy = True

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return _Nowhere, ()


def steps(count: Count | None = None, samples: int = 1) -> Record:
    """An environment's step, or without a sample the beginning of one."""
    return Record(STEP, "step", samples, samples, count if samples else None)


def waits(kind: Literal["reset", "store", "encode"]) -> Record:
    """What may belong to playing or to learning."""
    return Record(RESET if kind == "reset" else ENCODE, kind)


def learns(name: str, samples: int = 1) -> Record:
    """A part of learning."""
    return Record(name, "learn", name, samples)


def timed(here: Here, record: Record) -> Front:
    """A front that writes down every call that is inside no other."""
    gate = here.gate
    told = record.kind, record.at, record.one, record.other, record.count

    def front(inner: Callable[..., Any]) -> Callable[..., Any]:
        names = _plain_arguments(inner)

        @functools.wraps(inner)
        def call(*arguments: Any, **named: Any) -> Any:
            return inner(*arguments, **named) if gate.busy else _timed(here, told, inner, arguments, named)

        @functools.wraps(inner)
        def with_action(self: Any, action: Any) -> Any:
            return inner(self, action) if gate.busy else _timed(here, told, inner, (self, action), {})

        @functools.wraps(inner)
        def with_actions(self: Any, actions: Any) -> Any:
            return inner(self, actions) if gate.busy else _timed(here, told, inner, (self, actions), {})

        if names == ("self", "action"):
            return with_action
        return with_actions if names == ("self", "actions") else call

    return front


def _plain_arguments(inner: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's arguments, if it takes just these, all of them needed."""
    code, defaults = getattr(inner, "__code__", None), getattr(inner, "__defaults__", None)
    if code is None or defaults or code.co_kwonlyargcount or code.co_flags & (CO_VARARGS | CO_VARKEYWORDS):
        return ()
    return tuple(code.co_varnames[: code.co_argcount])


def _timed(
    here: Here,
    told: tuple[Kind, str, Any, Any, Count | None],
    inner: Callable[..., Any],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
) -> Any:
    kind, at, one, other, count = told
    diary, gate = here.diary, here.gate
    if diary.busy or (kind == "learn" and is_compiling()):
        return inner(*arguments, **named)
    diary.busy, diary.at, gate.busy = True, at, gate.alone
    began = now()
    try:
        return inner(*arguments, **named)
    finally:
        ended = now()
        diary.busy = gate.busy = False
        if kind == "step":
            diary.events.append((kind, began, ended, one if count is None else count(arguments[0]), other, 0))
            diary.stepped()
        else:
            diary.events.append((kind, began, ended, one, other, 0))


def passes(here: Here) -> Front:
    """The front of `nn.Module.__call__`. Every module inside another pays for it, so that it asks one thing first."""
    gate = here.gate

    def front(inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def call(*arguments: Any, **named: Any) -> Any:
            if gate.busy or is_compiling():
                return inner(*arguments, **named)
            diary = here.diary
            if diary.busy:
                return inner(*arguments, **named)
            grad = is_grad_enabled()
            inside = diary.known.get(id(arguments[0]) * 2 + grad)
            if inside is None:
                inside = here.nets.meet(arguments, named, grad, diary.account)
            if inside == LOOK_INSIDE:
                return _through(here, inner, arguments, named)
            diary.busy, diary.at, gate.busy = True, FORWARD if grad else INFER, gate.alone
            began = now()
            try:
                return inner(*arguments, **named)
            finally:
                ended = now()
                diary.busy = gate.busy = False
                training = getattr(arguments[0], "training", True)
                diary.events.append(("pass", began, ended, grad, training, inside))

        return call

    return front


def methods(here: Here) -> Front:
    """The front of a net's other methods. One that calls modules and does nothing else that is watched is a pass.

    One that has been a pass often enough is taken for one, and its modules are not looked at any more.
    """
    gate = here.gate

    def front(inner: Callable[..., Any]) -> Callable[..., Any]:
        seen: list[Event] = []

        @functools.wraps(inner)
        def call(*arguments: Any, **named: Any) -> Any:
            if gate.busy or is_compiling():
                return inner(*arguments, **named)
            diary, nets = here.diary, here.nets
            if diary.busy or diary.inside >= 0 or inner in nets.no_passes:
                return inner(*arguments, **named)
            if len(seen) < TRUSTED:
                return _through(here, inner, arguments, named, seen)
            grad = is_grad_enabled() and inner not in nets.quiet
            diary.busy, diary.at, gate.busy, diary.trusts = True, FORWARD if grad else INFER, gate.alone, inner
            began = now()
            try:
                return inner(*arguments, **named)
            finally:
                ended = now()
                diary.busy = gate.busy = False
                diary.trusts = None
                training = getattr(arguments[0], "training", True)
                diary.events.append(("pass", began, ended, grad, training, seen[-1][5]))

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
        if is_compiling() or here.diary.busy or here.diary.inside >= 0:
            return made(*arguments, **named)
        return _through(here, made, arguments, named, surely=True)

    return call


def _through(
    here: Here,
    inner: Callable[..., Any],
    arguments: Any,
    named: Any,
    seen: list[Event] | None = None,
    surely: bool = False,
) -> Any:
    """A call that is one pass if passes are all that happens in it, which `seen` gets."""
    diary = here.diary
    if diary.inside >= 0:
        return inner(*arguments, **named)
    events, grad = diary.events, is_grad_enabled()
    diary.inside, diary.at = len(events), FORWARD if grad else INFER
    began = now()
    try:
        return inner(*arguments, **named)
    finally:
        ended = now()
        mine, diary.inside = events[diary.inside :], -1
        if any(event[0] != "pass" for event in mine):
            here.nets.no_passes.add(inner)
        elif mine or surely:
            grads = any(event[3] for event in mine) if mine else grad
            if mine and grad and not grads:
                here.nets.quiet.add(inner)
            passed = sum(event[5] for event in mine) + len(mine)
            made: Event = ("pass", began, ended, grads, all(event[4] for event in mine), passed)
            events[len(events) - len(mine) :] = [made]
            if seen is not None:
                seen.append(made)


def update_begins(here: Here, *_: Any) -> None:
    """For torch's hook before the step of any optimizer."""
    diary = here.diary
    if not diary.busy:
        diary.update_begins()
    elif diary.trusts is not None:
        here.nets.no_passes.add(diary.trusts)


def update_ends(here: Here, *_: Any) -> None:
    """For torch's hook after the step of any optimizer."""
    diary = here.diary
    if not diary.busy:
        diary.update_ends()


@functools.cache
def costs_ns() -> tuple[float, float]:
    """What a watched call costs, and an unwatched one inside it: medians, each after a small net's training step.

    In a tight loop both are several times quicker than between a program's own calls, which leave the caches cold.
    """
    nets, training = Nets(), _Training()
    diary = Diary(Account("calibration", now()), nets.inside)
    gate = Gate(True)
    here = Here(lambda: diary, nets, gate)
    step, call = timed(here, steps())(_nothing), passes(here)(_nothing)
    call(training.net)
    watched = [_median_ns(made, training) for made in (step, call)]
    added_up = _each_ns(diary)
    diary.busy = gate.busy = True
    return max(sum(watched) / 2 + added_up, 1.0), max(_median_ns(call, training), 1.0)


class _Training:
    """Something that a processor's caches are full of."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            self.net = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 8))
        self.inputs = torch.zeros(32, 64)

    def step(self) -> None:
        """One pass, forward and backward."""
        torch.autograd.backward(self.net(self.inputs).square().mean())
        self.net.zero_grad()


def _median_ns(call: Callable[[Any], Any], training: _Training) -> float:
    """What a call takes longer than one of nothing."""
    took: dict[bool, list[int]] = {True: [], False: []}
    for turn in range(2 * CALIBRATING_CALLS):
        made = call if turn % 2 else _nothing
        training.step()
        began = now()
        made(training.net)
        took[bool(turn % 2)].append(now() - began)
    return statistics.median(took[True]) - statistics.median(took[False])


def _each_ns(diary: Diary) -> float:
    """What an event costs when many are added up."""
    many = len(diary.events)
    began = now()
    diary.catch_up()
    return (now() - began) / many


def _nothing(*_: Any, **__: Any) -> None:
    pass
