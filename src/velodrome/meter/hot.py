"""Which lines of Python a thread is found at, looked at now and then."""

from __future__ import annotations

import dis
import functools
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType, TracebackType
from typing import Self

from velodrome.meter.operations import Where, innermost, where_of

EVERY_S = 0.004


@dataclass(frozen=True)
class Hot:
    """A line at which Python was found."""

    phase: str
    where: Where
    interpreting: bool
    """Whether that was inside a loop of its function, and not in something that it had called."""
    share: float
    """Of the time."""


class HotLines:
    """`with HotLines(phase) as hot: ...`: looks at the thread that entered, from another one.

    A line is where Python is, or where it called something compiled; libraries count for the line that called them.
    """

    def __init__(self, phase: Callable[[], str] = str, every_s: float = EVERY_S):
        self._phase, self._every_s = phase, every_s
        self._watched = threading.get_ident()
        self._found: dict[tuple[str, Where, bool], float] = {}
        """Seconds. Who holds Python's lock is looked at less often, so each look counts for the time before it."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def lines(self) -> list[Hot]:
        """What was found, the largest share first."""
        whole = sum(self._found.values()) or 1.0
        ordered = sorted(self._found.items(), key=lambda item: -item[1])
        return [Hot(*found, seconds / whole) for found, seconds in ordered]

    def __enter__(self) -> Self:
        self._watched = threading.get_ident()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        last = time.perf_counter()
        while not self._over.is_set():
            time.sleep(self._every_s)
            frame: FrameType | None = sys._current_frames().get(self._watched)
            now = time.perf_counter()
            if frame is not None:
                inner = innermost(frame)
                key = self._phase(), where_of(inner), inner is not None and is_interpreting(inner.f_code, inner.f_lasti)
                self._found[key] = self._found.get(key, 0.0) + now - last
            last = now


def is_interpreting(code: CodeType, at: int) -> bool:
    """Whether a place in the bytecode is inside a loop of its function, and not where something is called."""
    return at not in _calls(code) and any(first <= at <= last for first, last in _loops(code))


@functools.cache
def _loops(code: CodeType) -> list[tuple[int, int]]:
    """From where to where the loops of a function reach, in its bytecode."""
    return [(step.argval, step.offset) for step in dis.get_instructions(code) if "JUMP_BACKWARD" in step.opname]


@functools.cache
def _calls(code: CodeType) -> frozenset[int]:
    """Where it calls something."""
    return frozenset(step.offset for step in dis.get_instructions(code) if "CALL" in step.opname)
