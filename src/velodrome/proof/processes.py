"""The processes in which the sides of a trial are at work.

Each is forked by a nursery, a process that has imported what they need and has done nothing else: a trial is short, and
without it the better part of its time would go into imports.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from velodrome.mistake import Mistake
from velodrome.proof.side import MISTAKEN


@dataclass(frozen=True)
class Setup:
    """What a side trains."""

    recipe: str
    settings: Any
    """As JSON."""
    threads: int | None = None
    """Torch's, for one operation; by default as many as torch takes."""
    device: str = "cpu"


class Nursery:
    """Where sides come from. It ends with whoever holds it."""

    def __init__(self) -> None:
        self._asks, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "velodrome.proof.side", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, process_group=0,  # Ctrl-C is for whoever asks
            )  # fmt: skip
        weakref.finalize(self, _ended, self._asks, self._process)

    def fork(self, *files: int) -> int:
        """The number of a new side that has these as its standard files."""
        return self._answer(b"fork\n", files)

    def exit_code(self, pid: int) -> int:
        """Of a side, once it has ended."""
        return self._answer(f"{pid}\n".encode())

    def _answer(self, asked: bytes, files: Sequence[int] = ()) -> int:
        try:
            socket.send_fds(self._asks, [asked], files)
            with self._asks.makefile() as answers:
                if line := answers.readline():
                    return int(line)
        except ConnectionError:
            pass
        nursery.cache_clear()
        raise Mistake(f"the process that starts the sides ended with exit code {self._process.wait()}; try again")


def _ended(asks: socket.socket, process: subprocess.Popen[bytes]) -> None:
    asks.close()
    process.wait()


@lru_cache(maxsize=1)
def nursery(environment: frozenset[tuple[str, str]], directory: str) -> Nursery:
    """The nursery for this environment and directory: one serves as long as they stay."""
    return Nursery()


class Process:
    """A side at work. `ask` sends, `told` waits for the answer: two sides can be asked at once."""

    def __init__(self, label: str, setup: Setup, seed: int):
        self.label = label
        # a file rather than a pipe: nobody reads what it says unless it fails
        self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._nursery = nursery(frozenset(os.environ.items()), os.getcwd())
        (asked, asks), (answers, answered) = os.pipe(), os.pipe()
        self._asks, self._answers = os.fdopen(asks, "wb", buffering=0), os.fdopen(answers)
        self._code: int | None = None
        try:
            self._pid = self._nursery.fork(asked, answered, self._said.fileno())
        finally:
            os.close(asked)
            os.close(answered)
        self._write(asdict(setup) | {"seed": seed})

    def ask(self, do: str, **how: Any) -> None:
        """Say what to do."""
        self._write({"do": do, **how})

    def told(self) -> dict[str, Any]:
        """Its next answer."""
        line = self._answers.readline()
        if not line:
            raise self._gone()
        said: dict[str, Any] = json.loads(line)
        if MISTAKEN in said:
            raise Mistake(f"side {self.label}: {said[MISTAKEN]}")
        return said

    def do(self, do: str, **how: Any) -> dict[str, Any]:
        """Ask, and wait for the answer."""
        self.ask(do, **how)
        return self.told()

    def _write(self, document: Any) -> None:
        try:
            self._asks.write(f"{json.dumps(document)}\n".encode())
        except BrokenPipeError:
            raise self._gone() from None

    def _gone(self) -> Mistake:
        code = self._ended()
        self._said.seek(0)
        lines = [line for line in self._said.read().splitlines() if line.strip()]
        said = lines[-1].removeprefix("velodrome: ")[:300] if lines else "without a word"
        return Mistake(f"side {self.label} ended with exit code {code}: {said}")

    def end(self) -> None:
        """It has nothing to lose."""
        if self._code is None:
            os.kill(self._pid, signal.SIGKILL)
            self._ended()
        for file in (self._asks, self._answers, self._said):
            file.close()

    def _ended(self) -> int:
        if self._code is None:
            self._code = self._nursery.exit_code(self._pid)
        return self._code


def at_once(running: Sequence[Process], do: str, **how: Any) -> list[dict[str, Any]]:
    """Ask all of them before any has answered."""
    for process in running:
        process.ask(do, **how)
    return [process.told() for process in running]


@contextmanager
def at_work(setups: Sequence[tuple[str, Setup]], seed: int) -> Iterator[list[Process]]:
    """A process for each of these labelled setups, all ready."""
    begun: list[Process] = []
    try:
        for label, setup in setups:
            begun.append(Process(label, setup, seed))
        for process in begun:
            process.told()
        yield begun
    finally:
        for process in begun:
            process.end()
