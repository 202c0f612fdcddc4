"""How much memory a process has held."""

from __future__ import annotations

import resource
import sys

import psutil  # type: ignore[import-untyped]


def peak_memory_mb() -> float:
    """The most that this process ever held, and what its children hold now beside what they share with it; in millions
    of bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6 + _children_mb()


def _children_mb() -> float:
    own = 0
    for child in psutil.Process().children(recursive=True):
        try:
            own += child.memory_full_info().uss
        except psutil.Error:  # it has ended meanwhile, or is not ours to look at
            continue
    return own / 1e6
