"""Workers as threads of this process."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from velodrome.learn.workers import Workers, joined

SECRET = bytes(range(16))


def all_at_once(count: int, work: Callable[[Workers], Any]) -> list[Any]:
    """What this work gives in each of so many workers, which are threads here."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [listener.getsockname()[:2] for listener in listeners]

    def run(index: int) -> Any:
        workers = Workers(index, count)
        workers.join(listeners[index], addresses, SECRET)
        try:
            with joined(workers):
                return work(workers)
        finally:
            workers.leave()

    try:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(run, range(count)))
    finally:
        for listener in listeners:
            listener.close()
