"""How far long work is: a bar on a terminal, plain lines in a pipe. All of it on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from velodrome.show.words import duration

Say = Callable[[str], None]


@contextmanager
def progress(title: str, about_s: float) -> Iterator[Say]:
    """Follow work that takes about so long; what is said stands beside the bar, or on a line of its own."""
    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"velodrome: {title}, about {duration(about_s)}", file=sys.stderr, flush=True)
        yield lambda text: print(f"velodrome: {text}", file=sys.stderr, flush=True)
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[said]}")
    with Progress(*columns, console=console, refresh_per_second=2) as bar:
        task = bar.add_task(f"{title}, about {duration(about_s)}", total=None, said="")
        yield lambda text: bar.update(task, said=text)
