"""A side of a benchmark, run as a process of its own that works one turn whenever it is told to.

Sides in turn, all of them warm, share whatever the machine does meanwhile; a side that waits costs nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Any

Record = dict[str, Any]


def take_turns(work: Callable[[], Record], about: Record, save: Callable[[], None] | None = None) -> None:
    """Say what this side is, then answer each line on stdin until it closes.

    To "go" the answer is the record of one turn, to "save" it is empty.
    """
    answers = _private_stdout()
    _say(answers, about)
    for line in sys.stdin:
        if line.strip() == "save" and save is not None:
            save()
            _say(answers, {})
        else:
            _say(answers, work())


def _private_stdout() -> Any:
    """The real stdout; whatever else prints goes to stderr from here on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _say(answers: Any, record: Record) -> None:
    print(json.dumps(record), file=answers, flush=True)


class Side:
    """The parent's end of such a process."""

    def __init__(self, python: str | Path, script: str | Path, settings: Mapping[str, Any], log: Path):
        """`settings` reach the script as one JSON argument.

        What it prints besides its answers goes to `log`, whose folder it works in: some libraries leave files there.
        """
        self._log = log
        with log.open("w") as errors:
            self._process = Popen(
                [str(python), str(script), json.dumps(settings)],
                stdin=PIPE, stdout=PIPE, stderr=errors, text=True, cwd=log.parent,
            )  # fmt: skip
        self.about = self._answer()

    def turn(self) -> Record:
        """One turn."""
        return self._ask("go")

    def save(self) -> None:
        """Have it keep its weights, and all that it needs to go on from here, where its settings say."""
        self._ask("save")

    def _ask(self, word: str) -> Record:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Let the process end, and see that it does."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> Record:
        """The next answer; what a library prints before its side begins is skipped."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: Record = json.loads(line)
                return answer
        self._process.wait(60)
        last = "\n".join(self._log.read_text().splitlines()[-20:])
        raise RuntimeError(f"a side ended with code {self._process.returncode}:\n{last}")
