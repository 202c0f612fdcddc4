"""A few threads that run one kernel over slices of the games. The kernels release the GIL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


class Pool:
    """Runs `work(lo, hi)` over contiguous slices, one a thread; with one thread it is a plain call."""

    def __init__(self, threads: int = 1):
        if threads < 1:
            raise ValueError(f"threads={threads}: at least one is needed")
        self.threads = threads
        self._executor = ThreadPoolExecutor(threads - 1, "velodrome-games") if threads > 1 else None

    def run(self, n: int, work: Callable[[int, int], T]) -> list[T]:
        """What `work` returned for each slice of 0..n, in order."""
        if self._executor is None or n < self.threads:
            return [work(0, n)]
        edges = [n * i // self.threads for i in range(self.threads + 1)]
        others = [self._executor.submit(work, lo, hi) for lo, hi in pairwise(edges[1:])]
        own = work(edges[0], edges[1])
        return [own] + [other.result() for other in others]
