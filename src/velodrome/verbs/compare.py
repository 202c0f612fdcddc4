"""`velodrome compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from velodrome.mistake import Mistake
from velodrome.recipes.restore import refuse_missing_device
from velodrome.runs.run import Run
from velodrome.show.compare import compare_nets, compare_runs
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Count, parse, refuse_below, subject


@dataclass(frozen=True)
class Compare:
    """Set nets side by side, given by name or as path/to/file.py:function, or two runs, given by their folders."""

    batches: tuple[int, ...] = (1, 32, 1024)
    """Batch sizes to take a net's latency at."""
    seed: int = 0
    """Of the nets' weights."""
    device: str = "cpu"
    """cpu, cuda or mps, for nets."""
    threads: Count = None
    """Threads that torch may use for one operation."""
    json: bool = False
    """Answer with one JSON document."""


def compare(arguments: Sequence[str]) -> Answer:
    """Compare nets, or two runs."""
    names, rest = _subjects(arguments)
    flags = parse("compare A B", Compare, rest)
    refuse_below(flags, threads=1, seed=0)
    if not flags.batches or min(flags.batches) < 1:
        raise Mistake("--batches takes sizes of 1 or more")
    if any(Run(Path(name)).exists for name in names):
        if len(names) != 2:
            raise Mistake(f"compare takes two runs, not {len(names)}")
        found = compare_runs(*names)
    else:
        refuse_missing_device(flags.device)
        torch.manual_seed(flags.seed)
        if flags.threads:
            torch.set_num_threads(flags.threads)
        found = compare_nets(names, flags.batches, flags.device)
    return Answer(found.document, found.text)


def _subjects(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before the first flag, and the rest."""
    first, rest = subject("compare", "A", arguments)
    names = [first] if first else []
    while rest and not rest[0].startswith("-"):
        names.append(rest.pop(0))
    return names, rest
