"""Episodes that were played, kept to learn from: a folder of flat arrays with a card that says what they are.

All steps of all episodes stand one after the other; `starts` says where each episode begins. Arrays are mapped into
memory, so that a set may be larger than it. A set that is damaged, or of another game, is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from velodrome.games.game import Array, Game, Spec
from velodrome.mistake import Mistake
from velodrome.runs.files import plain, write_durably, writing_to

VERSION = 1
CARD = "card.json"
BINS = 20
"""Of the histogram of returns."""


class Recorder:
    """Takes down games while they are played, each slot one episode."""

    def __init__(self) -> None:
        self._steps: list[dict[str, Array]] = []
        self._numbers: list[Array] = []
        self._ends: list[dict[str, Array]] = []
        self._spec: Spec | None = None

    def before(self, game: Game, live: Array, action: Mapping[str, Array]) -> None:
        """What is seen, and what will be done, in the games `live [games]` that go on."""
        self._spec = game.spec
        seen = {f"view.{name}": view[live].copy() for name, view in game.views.items()}
        done = {f"action.{name}": part[live].copy() for name, part in action.items()}
        self._steps.append(seen | done | {"seat": game.seat[live].copy(), "acting": game.acting[live].copy()})
        self._numbers.append(game.first + np.flatnonzero(live))

    def after(self, game: Game, live: Array, over: Array) -> None:
        """What the step brought, and which games are over."""
        self._steps[-1]["reward"] = game.rewards[live].copy()
        which = np.flatnonzero(over)
        ends: dict[str, Array] = {
            "number": game.first + which,
            "outcome": game.outcome[which].copy(),
            "cut": game.cut[which].copy(),
        }
        self._ends.append(ends)

    def write(self, folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
        """Write everything to `folder`, which must not hold a set yet; returns the card."""
        assert self._spec is not None, "nothing was recorded"
        arrays = self._arrays()
        returns = _sums(arrays["reward"].mean(1), arrays["starts"])
        counts, edges = np.histogram(returns, BINS)
        card = {
            "version": VERSION,
            "game": self._spec.name,
            "settings": dict(self._spec.settings),
            **about,
            "episodes": len(returns),
            "steps": len(arrays["reward"]),
            self._spec.score.name: float(arrays["outcome"].mean()),
            "mean return": float(returns.mean()),
            "returns": {"edges": edges.tolist(), "counts": counts.tolist()},
            "arrays": {name: [str(array.dtype), *array.shape] for name, array in arrays.items()},
            "hash": _digest(arrays),
        }
        with writing_to(folder, "choose another --record"):
            folder.mkdir(parents=True, exist_ok=True)
            refuse_a_set_in(folder)
            for name, array in arrays.items():
                _save(folder / f"{name}.npy", array)
            write_durably(folder / CARD, (json.dumps(plain(card), indent=1) + "\n").encode())
        return card

    def _arrays(self) -> dict[str, Array]:
        """The steps, episode after episode in the order of their numbers."""
        numbers = np.concatenate(self._numbers)
        order = np.argsort(numbers, kind="stable")
        arrays = {name: np.concatenate([step[name] for step in self._steps])[order] for name in self._steps[0]}
        ends = {name: np.concatenate([end[name] for end in self._ends]) for name in self._ends[0]}
        by_number = np.argsort(ends.pop("number"), kind="stable")
        _, counts = np.unique(numbers, return_counts=True)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return arrays | {name: end[by_number] for name, end in ends.items()} | {"starts": starts}


class Dataset:
    """A set that was written before, its arrays by name."""

    def __init__(self, folder: Path):
        """Refuses what is not whole."""
        self.folder, self.card = folder, _card(folder)
        self.arrays = {name: _mapped(folder, name, declared) for name, declared in self.card["arrays"].items()}
        if _digest(self.arrays) != self.card["hash"]:
            raise Mistake(f"{folder} is not what was recorded there: its hash is another; record it again")
        self.starts = np.asarray(self.arrays["starts"])

    def __len__(self) -> int:
        """How many episodes there are."""
        return len(self.starts) - 1

    def refuse_unless_of(self, game: Game) -> None:
        """Refuse a set of another game, or of one with other options."""
        own = {"game": game.spec.name, "settings": plain(dict(game.spec.settings))}
        for name, wanted in own.items():
            held = self.card[name]
            if held != wanted:
                difference = _difference(held, wanted) if isinstance(held, dict) else f"{held}, not {wanted}"
                raise Mistake(f"{self.folder} was recorded of {difference}; record one of this game")


def refuse_a_set_in(folder: Path) -> None:
    """Nothing that was recorded is ever written over."""
    if (folder / CARD).exists():
        raise Mistake(f"{folder} holds a set already; choose another --record, or remove it")


def _difference(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    names = [name for name in {**held, **wanted} if held.get(name) != wanted.get(name)]
    return "; ".join(f"{name}={held.get(name)!r}, not {wanted.get(name)!r}" for name in names)


def _card(folder: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Mistake(
            f"{folder} is no set of episodes: its {CARD} cannot be read; record one with evaluate --record"
        ) from error
    if card.get("version") != VERSION:
        raise Mistake(f"{folder} is of version {card.get('version')}, this is {VERSION}: record it again")
    return card


def _mapped(folder: Path, name: str, declared: list[Any]) -> Array:
    path = folder / f"{name}.npy"
    try:
        array: Array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise Mistake(f"{path} is missing or cut short: record the set again") from error
    if [str(array.dtype), *array.shape] != declared:
        raise Mistake(f"{path} is not as {CARD} says: record the set again")
    return array


def _save(path: Path, array: Array) -> None:
    with open(path, "wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _digest(arrays: Mapping[str, Array]) -> str:
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(name.encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _sums(values: Array, starts: Array) -> Array:
    """The sum over each episode."""
    return np.add.reduceat(values.astype(np.float64), starts[:-1])
