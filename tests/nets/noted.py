"""Spans that note where the time would go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


class Noted:
    """Where the time would go: which spans were entered, and which one it is now."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.now: str | None = None

    @contextmanager
    def _span(self, name: str) -> Iterator[None]:
        assert self.now is None, f"{name} within {self.now}"
        self.entered.append(name)
        self.now = name
        yield
        self.now = None

    def own(self) -> AbstractContextManager[None]:
        return self._span("own")

    def communicate(self) -> AbstractContextManager[None]:
        return self._span("communicate")

    def comprehend(self) -> AbstractContextManager[None]:
        return self._span("comprehend")
