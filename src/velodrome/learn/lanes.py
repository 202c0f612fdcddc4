"""Threads that share one trainer's work: each lane has its own games, its own copy of the gradients, one core.

On a small machine this is faster than torch's own threads, which split every single operator: most operators of a
small net are over before a second thread has begun. The GIL is free while torch and compiled rules compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from velodrome.meter.clock import Clock

T = TypeVar("T")


class Lanes:
    """`run` does the same work in every lane at once; the first lane is the calling thread."""

    def __init__(self, count: int):
        if count < 1:
            raise ValueError(f"lanes={count}: at least one is needed")
        self.count = count
        self._executor = (
            ThreadPoolExecutor(count - 1, "velodrome-lane", initializer=torch.set_num_threads, initargs=(1,))
            if count > 1
            else None
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """With several lanes, torch may use one thread in each of them while this lasts."""
        before = torch.get_num_threads()
        if self.count > 1:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def run(self, clock: Clock, work: Callable[[int, Clock], T]) -> list[T]:
        """`[work(0, clock), work(1, its own track), ...]`; waking the other lanes and waiting for them is `wait`."""
        if self._executor is None:
            return [work(0, clock)]
        with clock("wait"):
            others = [self._executor.submit(work, lane, clock.track(f"lane {lane}")) for lane in range(1, self.count)]
        try:
            own = work(0, clock)
        finally:
            with clock("wait"):
                done = [other.exception() for other in others]
        for failure in done:
            if failure is not None:
                raise failure
        return [own] + [other.result() for other in others]
