"""Which lines the time goes to that no watched call covers: a timer asks now and then where the program is."""

from __future__ import annotations

import linecache
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType

import torch

from velodrome.meter.hot import Hot, is_interpreting
from velodrome.meter.operations import Where, named

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


Place = tuple[str, bool, int, int]
"""Where the program was seen: the phase, whether that was in a call that has a row, which code, and where in it."""


class Lines:
    """Looks at the main thread by the timer that profilers use, where there is one and nobody else uses it.

    A thread that looked at another would see it mostly where that one lets go of the interpreter.
    """

    def __init__(self, phase: Callable[[], tuple[str, bool] | None]):
        """`phase` says in which one the thread is and whether a call covers it, or None where that does not matter."""
        self._phase = phase
        self._seen: Counter[Place] = Counter()
        self._codes: dict[int, CodeType] = {}
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
        found: Counter[Where] = Counter()
        files: dict[Where, str] = {}
        for (_, covered, code, at), count in self._seen.items():
            if not covered:
                where = _where(self._codes[code], at)
                found[where] += count
                files[where] = self._codes[code].co_filename
        part = share / max(found.total(), 1)
        return [
            Line(files[where], where.line, linecache.getline(files[where], where.line).strip(), part * n, n)
            for where, n in found.most_common(most)
        ]

    def hot(self) -> list[Hot]:
        """The lines that were seen in no phase, with their share of all looks, the largest first."""
        found: Counter[tuple[str, Where, bool]] = Counter()
        for (phase, covered, number, at), count in self._seen.items():
            if not covered:
                code = self._codes[number]
                found[phase, _where(code, at), is_interpreting(code, at)] += count
        total = max(self._seen.total(), 1)
        return [Hot(*place, count / total) for place, count in found.most_common()]

    def _look(self, _: int, frame: FrameType | None) -> None:
        began = time.perf_counter_ns()
        phase = self._phase()
        if phase is not None:
            theirs = own_frame(frame, through=phase[1])
            if theirs is not None:
                code = theirs.f_code
                self._codes[id(code)] = code
                self._seen[(*phase, id(code), theirs.f_lasti)] += 1
        self.spent_ns += time.perf_counter_ns() - began


def shown(line: Line) -> str:
    """The line for a person."""
    return f"{line.share:>6.1%}  {named(line.file)}:{line.line}  {line.text[:80]}"


def own_frame(frame: FrameType | None, through: bool = True) -> FrameType | None:
    """The innermost frame that is somebody's own; unless `through`, none where one of ours comes before it, as what is
    about to enter or leave a phase is at no line."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("velodrome.edge"):
            if not through:
                return None
        elif module.split(".")[0] not in PLUMBING:
            return frame
        frame = frame.f_back
    return None


def _where(code: CodeType, at: int) -> Where:
    line = next((line for first, end, line in code.co_lines() if first <= at < end), 0)
    return Where(named(code.co_filename), line or 0, code.co_name)
