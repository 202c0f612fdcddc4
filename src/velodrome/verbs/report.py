"""`velodrome report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from velodrome.runs.files import writing_to
from velodrome.runs.run import Run
from velodrome.show.report import write_report
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import parse, subject


@dataclass(frozen=True)
class Report:
    """Write the report of a run: one page that opens offline, and the same as Markdown."""

    json: bool = False
    """Answer with one JSON document."""


def report(arguments: Sequence[str]) -> Answer:
    """Write a run's report and say where it is."""
    name, rest = subject("report", "RUN", arguments)
    parse("report RUN", Report, rest)
    folder = Path(name)
    Run(folder).read_config()
    with writing_to(folder, "make room there, or copy the run elsewhere"):
        paths = write_report(folder)
    document = {"run": name} | {name: str(path) for name, path in paths.items()}
    return Answer(document, "\n".join(str(path) for path in paths.values()))
