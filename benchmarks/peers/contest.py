"""Sides that first choose their layout and then take turns: what the benchmarks against peers share."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from turns import Record, Side


@dataclass(frozen=True)
class Contestant:
    """One side: what runs it, what it does, and the layouts that it may choose from."""

    name: str
    python: Path
    script: Path
    settings: Record
    layouts: tuple[Record, ...]

    @contextmanager
    def seated(self, layout: Record, folder: Path) -> Iterator[Side]:
        """Its process, for as long as this lasts."""
        side = Side(self.python, self.script, self.settings | layout, folder / f"{self.name}.log")
        try:
            yield side
        finally:
            side.close()


@contextmanager
def seated(all_sides: list[Contestant], best: dict[str, Record], folder: Path) -> Iterator[dict[str, Side]]:
    """All sides at once, each at its best layout."""
    with contextlib.ExitStack() as stack:
        yield {each.name: stack.enter_context(each.seated(best[each.name], folder)) for each in all_sides}


def try_layouts(contestant: Contestant, tries: int, folder: Path) -> list[Record]:
    """The layouts, the fastest first, with their seconds: of a step where turns are told in steps, else of a turn."""
    tried = []
    for layout in contestant.layouts:
        with contestant.seated(layout, folder) as side:
            side.turn()
            turns = [side.turn() for _ in range(tries)]
        seconds = min(turn["seconds"] / turn.get("steps", 1) for turn in turns)
        tried.append({"layout": layout, "seconds": seconds})
        print(f"{contestant.name}: {layout} {seconds:.3g} s", flush=True)
    return sorted(tried, key=lambda each: float(each["seconds"]))


@dataclass(frozen=True)
class Contest:
    """How a contest went."""

    about: dict[str, Record]
    layouts: dict[str, list[Record]]
    turns: dict[str, list[Record]]

    def best(self, name: str) -> Record:
        """The layout that a side has chosen."""
        layout: Record = self.layouts[name][0]["layout"]
        return layout

    def seconds(self, name: str) -> list[float]:
        """Of each of its turns."""
        return [float(turn["seconds"]) for turn in self.turns[name]]


def contest(all_sides: list[Contestant], tries: int, rounds: int) -> Contest:
    """Let each side choose its layout, then let them take turns."""
    with tempfile.TemporaryDirectory() as folder:
        tried = {each.name: try_layouts(each, tries, Path(folder)) for each in all_sides}
        best = {name: found[0]["layout"] for name, found in tried.items()}
        with seated(all_sides, best, Path(folder)) as sides:
            about = {name: side.about for name, side in sides.items()}
            return Contest(about, tried, race(sides, rounds))


def on_cores(n: int) -> None:
    """Let this process, and the sides that it starts, have so many cores: not every side can be told its threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n])


def race(sides: dict[str, Side], rounds: int) -> dict[str, list[Record]]:
    """Rounds in which each side does one iteration, a different one first each time."""
    turns: dict[str, list[Record]] = {name: [] for name in sides}
    for side in sides.values():
        side.turn()
    names = list(sides)
    for round_ in range(rounds):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            turns[name].append(sides[name].turn())
        print({name: round(taken[-1]["seconds"], 2) for name, taken in turns.items()}, flush=True)
    return turns
