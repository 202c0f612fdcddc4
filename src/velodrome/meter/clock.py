"""The clock: nested, named spans of one thread's wall time."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from velodrome.meter.budget import Budget, Spent
from velodrome.meter.trace import Log

if TYPE_CHECKING:
    from velodrome.meter.trace import Trace

Nanoseconds = Callable[[], int]

CACHE_BYTES, CALIBRATING_SPANS = 2**20, 100
"""What is copied between two spans while their cost is measured, and how many are."""


class ClockError(RuntimeError):
    """Spans that do not nest, or are still open where an account is asked for."""


class Clock:
    """Times spans: `with clock("learn.forward"): ...`, then `print(clock.budget())`.

    Spans nest, and a dotted name stands for a path: `clock("learn.forward")` inside nothing is the phase `forward` of
    `learn`, and inside `clock("learn")` it is the same phase; `clock("forward")` inside `clock("learn")` is too. What
    a name shares with the beginning of the open path is not repeated.

    Warming up and compiling are phases like others: inside `clock("warm-up")` whatever a trainer times becomes a row
    under `warm-up`, apart from the same phase in earnest.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        enabled: bool = True,
        trace: Trace | None = None,
        now: Nanoseconds = time.perf_counter_ns,
        span_cost_ns: float | None = None,
        name: str = "main",
        written: bool = False,
    ):
        """On a `device` other than the CPU, events are recorded there beside the CPU's time and read at `lap`.

        A clock that is not `enabled` times the wall alone and costs next to nothing. `now` is any source of
        nanoseconds that never goes back; the cost of a span is measured unless it is given. `written` keeps every span
        for a trace elsewhere.
        """
        self._enabled, self._trace, self._now = enabled, trace, now
        self._log = trace.log(name) if trace is not None else Log() if written else None
        self._device = _Events(device) if enabled and device != "cpu" else None
        self._marks: list[tuple[_Span, Any, Any]] = []
        self._spans: list[_Span] = []
        self._tracks: dict[str, Clock] = {}
        self._reported: dict[str, Budget] = {}
        if span_cost_ns is None:
            span_cost_ns = calibrated_span_ns(device, trace is not None) if enabled else 0.0
        self._span_cost_ns = span_cost_ns
        self._root = _Span(self, "", None)
        self._open = self._root
        self._began = now()
        self._closed = Budget()

    def __call__(self, name: str) -> _Span:
        """The span of that name inside the one that is open; enter it with `with`, at once."""
        try:
            return self._open.inner[name]
        except KeyError:
            return self._make(name)

    @property
    def open_path(self) -> str:
        """The dotted name of the span that is open; empty outside all of them."""
        return self._open.path

    @property
    def open_mark(self) -> tuple[str, int]:
        """The span that is open, and how often it was left before: another one each time that it is entered."""
        return self._open.path, self._open.samples

    def lap(self) -> Budget:
        """Close the time since the last lap, or since the clock began, and account for it."""
        self._read_device()
        account = self._account(self._checked_now())
        lap, self._closed = account - self._closed, account
        return lap

    def budget(self) -> Budget:
        """Account for everything since the clock began."""
        self._read_device()
        return self._account(self._checked_now())

    def track(self, name: str) -> Clock:
        """The clock of another thread. Its budget is listed under this one's and never added to it."""
        if name not in self._tracks:
            self._tracks[name] = Clock(
                enabled=self._enabled, trace=self._trace, now=self._now, span_cost_ns=self._span_cost_ns, name=name
            )
        return self._tracks[name]

    def report(self, name: str, budget: Budget) -> None:
        """List the budget that another process took of its own work under this clock's current lap."""
        self._reported[name] = self._reported.get(name, Budget()) + budget

    def settings(self) -> dict[str, Any]:
        """What makes a clock like this one in another process, for a piece of work there."""
        return {"enabled": self._enabled, "span_cost_ns": self._span_cost_ns, "written": self._log is not None}

    def hand_over(self) -> tuple[Budget, Any]:
        """All that this clock knows, in a form that can be sent to the process that asked for the work."""
        return self.budget(), self._log.columns() if self._log is not None else None

    def take_over(self, name: str, handed: tuple[Budget, Any]) -> None:
        """List what another process's clock has handed over as a track of that name."""
        budget, columns = handed
        self.report(name, budget)
        if self._trace is not None and columns is not None:
            self._trace.log(name).extend(columns)

    def _make(self, name: str) -> _Span:
        if not self._enabled:
            span: _Span = _Ignored(self, name, self._root)
        else:
            kind = _Span if self._device is None else _DeviceSpan
            span = kind(self, _path(self._open.path, name), self._open)
            self._spans.append(span)
        self._open.inner[name] = span
        return span

    def _checked_now(self) -> int:
        if self._open is not self._root:
            raise ClockError(f"span {self._open.path!r} is still open: leave it before asking for a budget")
        return self._now()

    def _read_device(self) -> None:
        """Wait for the device, which is the phase `wait`, and read its events."""
        if self._device is None or not self._marks:
            return
        self._checked_now()
        with self("wait"):
            self._device.synchronize()
        for span, began, ended in self._marks:
            span.device_ns += self._device.elapsed_ns(began, ended)
        self._marks.clear()

    def _account(self, now: int) -> Budget:
        spans: dict[str, list[int]] = {}
        for span in self._spans:
            ns = span.ns if span.ns >= 0 else span.ns + now
            for path in span.implied:
                _put(spans, path, ns, 0, span.device_ns)
            _put(spans, span.path, ns, span.samples, span.device_ns)
        timed = sum(span.samples for span in self._spans)
        return Budget(
            now - self._began,
            {path: Spent(*spent) for path, spent in spans.items() if spent[0] or spent[1]},
            round(timed * self._span_cost_ns),
            {name: track._steady_account() for name, track in self._tracks.items()} | self._reported,
        )

    def _steady_account(self) -> Budget:
        """The account of a clock that its own thread is using meanwhile: taken again until nothing moved under it."""
        while True:
            before = self._position()
            account = self._account(self._now())
            if self._position() == before:
                return account

    def _position(self) -> tuple[int, int]:
        return id(self._open), sum(span.samples for span in self._spans)


class _Span:
    """One span name in one place: entered and left any number of times, allocating nothing."""

    __slots__ = ("began", "clock", "device_began", "device_ns", "implied", "inner", "ns", "outer", "path", "samples")

    def __init__(self, clock: Clock, path: str, outer: _Span | None):
        self.clock, self.path, self.outer = clock, path, outer
        self.implied = _implied(outer.path if outer else "", path)
        self.inner: dict[str, _Span] = {}
        # While the span is open its start is already taken off `ns`, which is then negative: one word holds the time
        # and whether it still runs, so that another thread never sees the one without the other.
        self.began = self.ns = self.samples = self.device_ns = 0
        self.device_began: Any = None

    def __enter__(self) -> None:
        clock = self.clock
        if clock._open is not self.outer:
            raise ClockError(_wrong_place(self, clock._open))
        clock._open = self
        self.began = began = clock._now()
        self.ns -= began

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        clock = self.clock
        ended = clock._now()
        if clock._open is not self:
            raise ClockError(_wrong_place(self, clock._open))
        self.ns += ended
        self.samples += 1
        clock._open = self.outer  # type: ignore[assignment]  # only the root has no outer span, and it is never left
        if clock._log is not None:
            clock._log.add(self.path, self.began, ended)


class _DeviceSpan(_Span):
    """A span that also marks its start and end on the device's stream."""

    __slots__ = ()

    def __enter__(self) -> None:
        super().__enter__()
        assert self.clock._device is not None
        self.device_began = self.clock._device.mark()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.clock._device is not None
        self.clock._marks.append((self, self.device_began, self.clock._device.mark()))
        super().__exit__(kind, error, trace)


class _Ignored(_Span):
    """The span of a clock that is not enabled."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class _Events:
    """A device's own time stamps, which it takes when it gets there and which cost the CPU no waiting."""

    def __init__(self, device: str):
        import torch

        self._torch, self._kind = torch, torch.device(device)
        self.mark()

    def mark(self) -> Any:
        event = self._torch.Event(self._kind, enable_timing=True)
        event.record()
        return event

    def synchronize(self) -> None:
        self._torch.accelerator.synchronize(self._kind)

    def elapsed_ns(self, began: Any, ended: Any) -> int:
        milliseconds: float = began.elapsed_time(ended)
        return round(milliseconds * 1e6)


@functools.cache
def calibrated_span_ns(device: str = "cpu", traced: bool = False) -> float:
    """What one span costs on this machine, in nanoseconds: the median of some, each after other work.

    In a tight loop a span is twice as quick as it is between a net's operations, which leave the caches cold.
    """
    from velodrome.meter.trace import Trace

    clock = Clock(device, trace=Trace() if traced else None, span_cost_ns=0.0)
    other, work = bytearray(CACHE_BYTES), bytearray(CACHE_BYTES)
    with_span, without = [], []
    for _ in range(CALIBRATING_SPANS):
        work[:] = other
        began = time.perf_counter_ns()
        without.append(time.perf_counter_ns() - began)
        work[:] = other
        began = time.perf_counter_ns()
        with clock("learn.forward"):
            pass
        with_span.append(time.perf_counter_ns() - began)
    return max(statistics.median(with_span) - statistics.median(without), 1.0)


def _path(open_path: str, name: str) -> str:
    """The dotted path of `name` inside the open span, less what the two have in common at their beginning."""
    parts, around = name.split("."), open_path.split(".") if open_path else []
    if not all(parts):
        raise ValueError(f"{name!r} is no span name: it needs words, with single dots between them")
    shared = 0
    while shared < min(len(parts) - 1, len(around)) and parts[shared] == around[shared]:
        shared += 1
    return ".".join(around + parts[shared:])


def _implied(outer: str, path: str) -> tuple[str, ...]:
    """The parents between a span and the one around it, which stand only in its name."""
    parents = [path[:i] for i, letter in enumerate(path) if letter == "."]
    return tuple(parent for parent in parents if len(parent) > len(outer))


def _put(spans: dict[str, list[int]], path: str, ns: int, samples: int, device_ns: int) -> None:
    spent = spans.setdefault(path, [0, 0, 0])
    spent[0] += ns
    spent[1] += samples
    spent[2] += device_ns


def _wrong_place(span: _Span, now_open: _Span) -> str:
    around = f"inside {now_open.path!r}" if now_open.path else "outside every span"
    asked = f"inside {span.outer.path!r}" if span.outer and span.outer.path else "outside every span"
    return (
        f"span {span.path!r} was asked for {asked} but is entered or left {around}. Spans must nest: call the clock "
        "where the span starts, and give another thread a clock of its own with clock.track(name)"
    )
