"""Where measurements are made: here, one after another, or elsewhere, several at a time on machines of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

Work = Callable[..., Any]


class Farm(Protocol):
    """Does the same work for many jobs."""

    @property
    def places(self) -> int:
        """How many jobs are done at a time."""
        ...

    def __call__(self, work: Work, jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """What this function, a module's, gives with each job's arguments, and the job's number: as they are done."""
        ...


class Here:
    """In this process, in their order."""

    places = 1

    def __call__(self, work: Work, jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """One after another."""
        for number, job in enumerate(jobs):
            yield number, work(*job)
