"""The folder with everything that one training leaves behind.

config.json         recipe, settings, seed, device, threads, workers, machine, version: what `Config` holds
metrics.jsonl       a line an iteration: iteration, seconds into the training, iteration_s, counts, metrics
budget.jsonl        a line an iteration: iteration, and where its time went
evaluations.jsonl   a line an evaluation: iteration, seconds, against whom, score
checkpoints/        see checkpoint.py
profile.json, cards.json, looks.json, verdicts.jsonl, trace.json.gz, report.html, report.md: what the verbs of these
names add
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import velodrome
from velodrome.mistake import Mistake
from velodrome.runs.checkpoint import FORMAT, Checkpoints, refuse_other_format
from velodrome.runs.files import as_line, plain, write_durably, writing_to
from velodrome.runs.settings import settings_from_json

_GROWING = ("metrics.jsonl", "budget.jsonl", "evaluations.jsonl")
"""The files with a line per iteration or evaluation, which are cut back where a killed run resumes."""


@dataclass(frozen=True)
class Config:
    """What a run is, fixed when it begins."""

    recipe: str
    settings: dict[str, Any]
    seed: int
    device: str
    threads: int
    """Torch's threads for one operation: another number rounds sums differently."""
    started: str
    machine: dict[str, Any] = field(default_factory=dict)
    scheme: str = ""
    """What kind of learning it is where several agents learn, in words."""
    workers: int = 1
    """Processes that learn together, each with its share of the games."""
    velodrome: str = velodrome.__version__
    format: int = FORMAT


class Run:
    """One run folder. Reading needs nothing more; whoever writes holds its lock (`with run.owned():`)."""

    def __init__(self, folder: Path, keep: int = 2):
        self.folder = folder
        self.checkpoints = Checkpoints(folder / "checkpoints", keep)
        self._open: dict[str, TextIOWrapper] = {}

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.folder / "config.json").is_file()

    def read_config(self) -> Config:
        """The configuration; a folder without a readable one is a `Mistake`."""
        path = self.folder / "config.json"
        try:
            document = json.loads(path.read_bytes())
        except OSError as error:
            raise Mistake(f"{self.folder} is no run: it has no config.json that can be read") from error
        except ValueError as error:
            raise Mistake(f"{path} is not JSON; restore it, or start a new run") from error
        if not isinstance(document, dict):
            raise Mistake(f"{path} holds no settings; restore it, or start a new run")
        refuse_other_format(self.folder, document)
        config: Config = settings_from_json(Config, document, str(path))
        return config

    def write_config(self, config: Config) -> None:
        """Begin the run."""
        with writing_to(self.folder):
            write_durably(self.folder / "config.json", json.dumps(plain(dataclasses.asdict(config)), indent=2).encode())

    def owned(self) -> Lock:
        """The lock that keeps a second process from writing here; it goes with its process, however that ends."""
        return Lock(self.folder)

    # -- files that grow --------------------------------------------------------------------------------------

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """Add a line to one of the growing files; it is certain to be on disk only after `flush`."""
        if name not in self._open:
            self._open[name] = open(self.folder / name, "a", encoding="utf-8")  # noqa: SIM115
        self._open[name].write(as_line(record) + "\n")

    def flush(self) -> None:
        """Bring all appended lines to the disk."""
        for file in self._open.values():
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the growing files. Lines that were not flushed may be lost where the disk is full."""
        for file in self._open.values():
            with contextlib.suppress(OSError):
                file.close()
        self._open.clear()

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The complete lines of a growing file."""
        path = self.folder / name
        read = (_parsed(line) for line in path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
        return [line for line in read if line is not None]

    def cut_back(self, iteration: int) -> None:
        """Drop the lines after `iteration`: that work was lost and is done again."""
        self.close()
        for name in _GROWING:
            if (self.folder / name).is_file():
                kept = [as_line(line) for line in self.lines(name) if line.get("iteration", 0) <= iteration]
                write_durably(self.folder / name, "".join(f"{line}\n" for line in kept).encode())


class Lock:
    """An exclusive lock on a run folder."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._handle: int | None = None

    def __enter__(self) -> None:
        with writing_to(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 32).decode(errors="replace").strip()
            os.close(handle)
            raise Mistake(
                f"{self._folder} belongs to process {owner or '?'}, which still trains there; wait for it, or choose "
                "another --run"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        _held.add(self)

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def let_go(self) -> None:
        """Close the handle, and with the last copy of it the lock is gone."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_in_child() -> None:
    """A forked worker inherits the lock's handle and would keep the run locked after its parent is gone."""
    for lock in list(_held):
        lock.let_go()


os.register_at_fork(after_in_child=_forget_in_child)


def _parsed(line: str) -> dict[str, Any] | None:
    """The last line of a killed run may be half written."""
    try:
        read = json.loads(line)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
