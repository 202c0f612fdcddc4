"""Which lines the time goes to that no watched call covers: a timer asks now and then where the program is."""

from __future__ import annotations

import linecache
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

EVERY_S = 0.02
"""Of the processor's time, between two looks, for each of torch's threads."""

PLUMBING = ("torch", "numpy", "threading", "contextlib", "functools", "copy", "inspect", "typing")
"""Modules whose lines are charged to whoever called them."""


@dataclass(frozen=True)
class Line:
    """A line of source, and the share of the time that it was seen at, in no phase."""

    file: str
    line: int
    text: str
    share: float
    samples: int


class Lines:
    """Looks at the main thread by the timer that profilers use, where there is one and nobody else uses it.

    A thread that looked at another would see it mostly where that one lets go of the interpreter.
    """

    def __init__(self, in_phase: Callable[[], bool]):
        """`in_phase` says what needs no line."""
        self._in_phase = in_phase
        self._seen: Counter[tuple[str, int]] = Counter()
        self._on = False
        self.spent_ns = 0
        """What the looking took."""

    def start(self) -> None:
        """Begin, if that can be done here."""
        main = threading.current_thread() is threading.main_thread()
        if main and hasattr(signal, "SIGPROF") and signal.getsignal(signal.SIGPROF) is signal.SIG_DFL:
            signal.signal(signal.SIGPROF, self._look)
            signal.siginterrupt(signal.SIGPROF, False)
            every_s = EVERY_S * torch.get_num_threads()
            signal.setitimer(signal.ITIMER_PROF, every_s, every_s)
            self._on = True

    def stop(self) -> None:
        """End the looking."""
        if self._on:
            self._on = False
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            if signal.getsignal(signal.SIGPROF) == self._look:
                signal.signal(signal.SIGPROF, signal.SIG_IGN)  # one may still be on its way
                signal.signal(signal.SIGPROF, signal.SIG_DFL)

    def hottest(self, most: int, share: float) -> list[Line]:
        """The lines that were seen most, when `share` is that of the time that is in no phase."""
        return [
            Line(file, line, linecache.getline(file, line).strip(), share * count / self._seen.total(), count)
            for (file, line), count in self._seen.most_common(most)
        ]

    def _look(self, _: int, frame: FrameType | None) -> None:
        began = time.perf_counter_ns()
        if not self._in_phase():
            place = _place(frame)
            if place is not None:
                self._seen[place] += 1
        self.spent_ns += time.perf_counter_ns() - began


def shown(line: Line) -> str:
    """The line for a person."""
    return f"{line.share:>6.1%}  {_short(line.file)}:{line.line}  {line.text[:80]}"


def _place(frame: FrameType | None) -> tuple[str, int] | None:
    """The innermost line that is somebody's own. What is about to enter or leave a phase is at none."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("velodrome.edge"):
            return None
        if module.split(".")[0] not in PLUMBING:
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def _short(file: str) -> str:
    """The name of a file as a person knows it: from the package on, or from the working folder on."""
    for mark in ("site-packages/", "dist-packages/"):
        if mark in file:
            return file.rpartition(mark)[2]
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file
