"""How much memory a process has held."""

from __future__ import annotations

import resource
import sys


def peak_memory_mb() -> float:
    """The most that this process ever held, in millions of bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
