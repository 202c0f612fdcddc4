"""What the C library does with memory that tensors have freed."""

from __future__ import annotations

import ctypes
import functools
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The numbers of these parameters in glibc's malloc.h."""


@functools.cache
def keep_freed_memory(most_bytes: int = 2**28) -> bool:
    """Let the process keep freed memory for the next tensors; says whether the C library can be told so.

    By default glibc hands large blocks back to the system, and every minibatch gets its gradients anew, one page fault
    for each 4 kB: a tenth of a small net's learning.
    """
    if sys.platform != "linux":
        return False
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is None:
        return False
    # a larger block than this, the largest that glibc takes here, is still handed back
    return bool(tune(_TRIM_THRESHOLD, most_bytes) and tune(_MMAP_THRESHOLD, 2**25))
