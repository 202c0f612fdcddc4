"""Sides that first choose their layout and then take turns: what the benchmarks against peers share."""

from __future__ import annotations

import contextlib
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
    """The layouts with their seconds, the fastest first."""
    tried = []
    for layout in contestant.layouts:
        with contestant.seated(layout, folder) as side:
            side.turn()
            seconds = min(side.turn()["seconds"] for _ in range(tries))
        tried.append({"layout": layout, "seconds": seconds})
        print(f"{contestant.name}: {layout} {seconds:.2f} s", flush=True)
    return sorted(tried, key=lambda each: float(each["seconds"]))


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
