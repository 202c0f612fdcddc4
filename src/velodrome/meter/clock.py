"""The clock: nested, named spans of one thread's wall time, and the budget that closes over them."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any


class Clock:
    """Times spans: `with clock("learn.forward"): ...`.

    Spans nest. A dotted name stands for its path: `clock("learn.forward")` inside nothing is the phase `forward` of
    `learn`, and inside `clock("learn")` it is the same phase. `clock("forward")` inside `clock("learn")` is too.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str, int]] = []
        self.totals: dict[str, list[int]] = {}
        self._began = time.perf_counter_ns()

    def __call__(self, name: str) -> _Span:
        return _Span(self, name)


class _Span:
    def __init__(self, clock: Clock, name: str):
        self.clock, self.name = clock, name

    def __enter__(self) -> None:
        self.began = time.perf_counter_ns()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        total = self.clock.totals.setdefault(self.name, [0, 0])
        total[0] += time.perf_counter_ns() - self.began
        total[1] += 1


Budget = Any
