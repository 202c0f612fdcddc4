"""Spans written down one by one, for Perfetto or chrome://tracing."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOM_FOR_NOTES = 4096
"""Bytes of a trace that are kept for its head and its track names."""


class Trace:
    """Give it to a clock, `Clock(trace=trace)`, and `write` it to a `.json.gz` when the work is done.

    Spans on one track nest strictly, as Perfetto wants it. Recording stops before the file would be larger than
    `limit_bytes` before compression; the file then says so.
    """

    def __init__(self, limit_bytes: int = 20_000_000):
        self.limit_bytes = limit_bytes
        self.missed = 0
        """Spans that came after the limit was reached."""
        self._left = limit_bytes - ROOM_FOR_NOTES
        self._spans: list[tuple[str, str, int, int]] = []

    def add(self, track: str, path: str, began_ns: int, ended_ns: int) -> None:
        """Record one span."""
        self._left -= len(path) + 72  # the fixed part of an event's line, times to a day
        if self._left < 0:
            self.missed += 1
        else:
            self._spans.append((track, path, began_ns, ended_ns))

    def write(self, path: Path | str) -> None:
        """Write the trace beside `path` and rename it, so that there is never half a file."""
        target = Path(path)
        beside = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with beside.open("wb") as file, gzip.GzipFile("", "wb", mtime=0, fileobj=file) as packed:
                packed.write(self._text().encode())
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)

    def _text(self) -> str:
        events = ",\n".join(json.dumps(event, separators=(",", ":")) for event in self._events())
        notes = {"limit_bytes": self.limit_bytes, "limit_reached": self.missed > 0, "spans_missed": self.missed}
        return f'{{"displayTimeUnit":"ms","otherData":{json.dumps(notes)},"traceEvents":[\n{events}\n]}}\n'

    def _events(self) -> Iterator[dict[str, Any]]:
        spans = sorted(self._spans, key=lambda span: (span[2], -span[3]))
        start = spans[0][2] if spans else 0
        numbers: dict[str, int] = {}
        for track, path, began, ended in spans:
            number = numbers.setdefault(track, len(numbers) + 1)
            times = {"ts": (began - start) / 1000, "dur": (ended - began) / 1000}
            yield {"name": path, "ph": "X", "pid": 1, "tid": number, **times}
        for track, number in numbers.items():
            yield {"name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": {"name": track}}
