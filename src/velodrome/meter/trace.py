"""Spans written down one by one, for Perfetto or chrome://tracing."""

from __future__ import annotations

import gzip
import json
import os
import threading
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOM_FOR_NOTES = 4096
"""Bytes of a trace that are kept for its head and its track names."""
EVENT_BYTES = 72
"""Of an event's line, beside its name, with times of up to a day."""
GRANT_BYTES = 4096
"""What a track takes of the limit at a time."""


class Trace:
    """Give it to a clock, `Clock(trace=trace)`, and `write` it to a `.json.gz` when the work is done.

    Spans on one track nest strictly, as Perfetto wants it. Recording stops before the file would be larger than
    `limit_bytes` before compression; the file then says so.
    """

    def __init__(self, limit_bytes: int = 20_000_000):
        self.limit_bytes = limit_bytes
        self._left = limit_bytes - ROOM_FOR_NOTES
        self._lock = threading.Lock()
        self._logs: dict[str, Log] = {}

    def log(self, track: str) -> Log:
        """The record of one track, written to by one thread."""
        with self._lock:
            return self._logs.setdefault(track, Log(self))

    def grant(self) -> int:
        """Some of the bytes that are left; 0 when the limit is reached."""
        with self._lock:
            granted = min(GRANT_BYTES, max(self._left, 0))
            self._left -= granted
            return granted

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
        missed = sum(log.missed for log in self._logs.values())
        notes = {"limit_bytes": self.limit_bytes, "limit_reached": missed > 0, "spans_missed": missed}
        events = ",\n".join(json.dumps(event, separators=(",", ":")) for event in self._events())
        return f'{{"displayTimeUnit":"ms","otherData":{json.dumps(notes)},"traceEvents":[\n{events}\n]}}\n'

    def _events(self) -> Iterator[dict[str, Any]]:
        logs = {track: log for track, log in self._logs.items() if log.paths}
        start = min((min(log.began) for log in logs.values()), default=0)
        for number, (track, log) in enumerate(logs.items(), 1):
            yield {"name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": {"name": track}}
            spans = zip(log.paths, log.began, log.ended, strict=True)
            for path, began, ended in sorted(spans, key=lambda span: (span[1], -span[2])):
                times = {"ts": (began - start) / 1000, "dur": (ended - began) / 1000}
                yield {"name": path, "ph": "X", "pid": 1, "tid": number, **times}


class Log:
    """The spans of one track, in columns: a tuple a span would keep the garbage collector busy."""

    def __init__(self, trace: Trace | None = None):
        """Without a trace, all are kept."""
        self.paths: list[str] = []
        self.began, self.ended = array("q"), array("q")
        self.missed = 0
        """Spans that came after the limit was reached."""
        self._trace, self._left = trace, 0

    def add(self, path: str, began_ns: int, ended_ns: int) -> None:
        """Record one span."""
        self._left -= len(path) + EVENT_BYTES
        if self._left < 0 and self._trace is not None:
            self._left += self._trace.grant()
        if self._left < 0 and self._trace is not None:
            self.missed += 1
        else:
            self.paths.append(path)
            self.began.append(began_ns)
            self.ended.append(ended_ns)

    def columns(self) -> tuple[list[str], array[int], array[int]]:
        """All that was recorded."""
        return self.paths, self.began, self.ended

    def extend(self, columns: tuple[list[str], array[int], array[int]]) -> None:
        """Record what another log holds."""
        for path, began, ended in zip(*columns, strict=True):
            self.add(path, began, ended)
