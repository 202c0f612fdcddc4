"""`velodrome profile SCRIPT.py`: a budget of somebody's own program, which is not changed for it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from velodrome.edge.observe import Observer, Watched
from velodrome.edge.script import Ending, Script
from velodrome.meter.machine import hardware
from velodrome.meter.memory import peak_memory_mb
from velodrome.meter.trace import Trace
from velodrome.runs.files import writing_to
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Count, Folder, parse, refuse_below


@dataclass(frozen=True)
class ProfileScript:
    """See where the time of a script goes that trains with torch; it runs as it is. Flags come before it, and all that
    stands after it is its own."""

    cards: int = 4
    """Of how many of its nets to measure a card when it has ended, the largest first."""
    causes: bool = True
    """Record every operation of a second of the training, apart from the budget, and tell what makes it slow."""
    trace: Folder = None
    """Write a trace for Perfetto (.json.gz)."""
    threads: Count = None
    """Threads that torch may use for one operation."""
    json: bool = False
    """Answer with one JSON document; what the script prints goes to stderr."""


def profile_script(path: Path, own: Sequence[str], arguments: Sequence[str]) -> Answer:
    """Run a script under observation and account for its time."""
    flags = parse("profile", ProfileScript, own)
    refuse_below(flags, cards=0, threads=1)
    script = Script(path, arguments)
    if flags.threads:
        torch.set_num_threads(flags.threads)
    trace = Trace() if flags.trace else None
    observer = Observer(trace=trace, causes=flags.causes)
    with _to_stderr() if flags.json else contextlib.redirect_stdout(sys.__stdout__):
        observer.open()
        try:
            ending = script.run()
        finally:
            observer.close()
    watched = Watched(observer, flags.cards if ending.code == 0 else 0)
    if trace is not None and flags.trace is not None:
        with writing_to(flags.trace, "choose another --trace"):
            trace.write(flags.trace)
    return Answer(_document(script, flags, ending, watched), _text(script, ending, watched), ending.code)


def _document(script: Script, flags: ProfileScript, ending: Ending, watched: Watched) -> dict[str, Any]:
    made = {"script": str(script.path), "arguments": script.arguments, "exit_code": ending.code}
    return (made | watched.to_json()) | {
        "trace": str(flags.trace) if flags.trace else None,
        "memory_mb": peak_memory_mb(),
        "machine": hardware() | {"torch_threads": torch.get_num_threads()},
    }


def _text(script: Script, ending: Ending, watched: Watched) -> str:
    head = " ".join([str(script.path), *script.arguments]) + (f" {ending.says}" if ending.says else "")
    return f"{head}\n\n{watched}"


@contextlib.contextmanager
def _to_stderr() -> Iterator[None]:
    """Whatever writes to the process's stdout, Python or not, writes to stderr meanwhile."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # there is no such thing
        yield
        return
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
