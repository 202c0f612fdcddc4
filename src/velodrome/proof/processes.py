"""The processes in which the sides of a trial are at work."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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


class Process:
    """A side at work. `ask` sends, `told` waits for the answer: two sides can be asked at once."""

    def __init__(self, label: str, setup: Setup, seed: int):
        self.label = label
        # a file rather than a pipe: nobody reads what it says unless it fails
        self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        asked = {
            "recipe": setup.recipe, "settings": setup.settings, "seed": seed, "device": setup.device,
            "threads": setup.threads,
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "velodrome.proof.side", json.dumps(asked)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True,
        )  # fmt: skip

    def ask(self, do: str, **how: Any) -> None:
        """Say what to do."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **how}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None

    def told(self) -> dict[str, Any]:
        """Its next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
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

    def _gone(self) -> Mistake:
        code = self._process.wait()
        self._said.seek(0)
        lines = [line for line in self._said.read().splitlines() if line.strip()]
        said = lines[-1].removeprefix("velodrome: ")[:300] if lines else "without a word"
        return Mistake(f"side {self.label} ended with exit code {code}: {said}")

    def end(self) -> None:
        """It has nothing to lose."""
        self._process.kill()
        self._process.communicate()
        self._said.close()


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
