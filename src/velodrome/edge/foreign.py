"""Other projects' environments as a game of ours: one environment a slot, stepped in Python.

Trainers, evaluation and recipes take such a game as any other. Two things cannot be had: speed, and snapshots, since
nobody can look inside a foreign environment. So a run on one cannot be resumed in mid-play; `snapshot` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, NoReturn, Protocol

import numpy as np

from velodrome.edge.spaces import spaces
from velodrome.games.game import Array, Bits, Box, Choice, Game, Part, Score, Spec, View
from velodrome.games.kernel import draw, seed_states
from velodrome.mistake import Mistake

MASK = "action_mask"
"""The view that says which choices are legal, for environments that tell."""


class Slot(Protocol):
    """One foreign environment, after each call as it stands."""

    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    agents: list[str]
    """One name a seat."""
    deciders: int
    seat: list[int]
    """Whose observation is in each row."""
    acting: list[bool]
    observations: list[Any]
    masks: list[Any]
    """A mask a row, or None where the environment gives none."""
    rewards: list[float]
    ended: bool
    cut: bool

    def begin(self, seed: int) -> None:
        """Start anew."""
        ...

    def play(self, actions: list[Any]) -> None:
        """Play an action a row; those of rows that do not act mean nothing."""
        ...


class ForeignGame(Game):
    """Games that somebody else's environments play."""

    record: ClassVar[np.dtype[Any]] = np.dtype([("start", "u8"), ("luck", "u8"), ("steps", "i8"), ("over", "i1")])
    side_by_side: ClassVar[int] = 64

    def __init__(
        self,
        name: str,
        opened: Callable[[], Slot],
        longest: int,
        settings: Mapping[str, Any],
        games: int,
        seed: int,
        threads: int,
        first: int,
        duplicate: bool,
    ):
        self.slots = [opened() for _ in range(games)]
        self.slots[0].begin(0)
        super().__init__(spec_of(name, self.slots[0], longest, settings), games, seed, threads, first, duplicate)

    def seed_records(self, seed: int, start: Array, luck: Array) -> None:
        """The environments are seeded from one state, the random bot draws on the other."""
        seed_states(seed, start, self.records["start"])
        seed_states(seed + 1, luck, self.records["luck"])

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Reset the environments that are marked."""
        for i in (lo + np.flatnonzero(which[lo:hi])).tolist():
            self.records["start"][i], bits = draw(self.records["start"][i])
            self.slots[i].begin(int(bits) >> 33)
            self.records["steps"][i] = self.records["over"][i] = 0
            self.rewards[i], self.outcome[i], self.ended[i], self.cut[i] = 0, 0, False, False
            self._show(i)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Step the environments."""
        self.rewards[lo:hi] = 0
        for i in range(lo, hi):
            if self.records["over"][i]:
                continue
            rows = [{name: part[i, k] for name, part in action.items()} for k in range(self.spec.deciders)]
            if not all(self._allowed(i, k, row) for k, row in enumerate(rows) if self.acting[i, k]):
                return i
            self._step(i, rows)
        return -1

    def _allowed(self, i: int, k: int, row: Mapping[str, Array]) -> bool:
        for part in self.spec.action:
            value = row[part.name]
            if isinstance(part, Choice):
                mask = np.ones(part.n, np.bool_) if part.mask is None else self.views[part.mask][i, k]
                legal = 0 <= value < part.n and (mask[value] or not mask.any())
            elif isinstance(part, Bits):
                legal = np.isin(value, (0, 1)).all()
            else:
                legal = (np.abs(value) <= 1).all()
            if not legal:
                return False
        return True

    def _step(self, i: int, rows: list[dict[str, Array]]) -> None:
        slot = self.slots[i]
        slot.play([native(slot.action_space, row) for row in rows])
        self.records["steps"][i] += 1
        self.rewards[i] = slot.rewards
        self.outcome[i] += self.rewards[i]
        self.ended[i] = slot.ended
        self.cut[i] = not slot.ended and (slot.cut or self.records["steps"][i] >= self.spec.longest)
        self.records["over"][i] = self.ended[i] or self.cut[i]
        self._show(i)

    def _show(self, i: int) -> None:
        slot = self.slots[i]
        self.seat[i], self.acting[i] = slot.seat, slot.acting
        for k, (observation, mask) in enumerate(zip(slot.observations, slot.masks, strict=True)):
            if observation is not None:
                for name, leaf, _ in leaves(slot.observation_space, observation):
                    self.views[name][i, k] = leaf
                if MASK in self.views:
                    self.views[MASK][i, k] = mask

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Anything legal, with equal chance."""
        for i in range(lo, hi):
            self.records["luck"][i], bits = draw(self.records["luck"][i])
            random = np.random.default_rng(int(bits))
            for k in range(self.spec.deciders):
                for part in self.spec.action:
                    action[part.name][i, k] = self._anything(part, random, i, k)

    def _anything(self, part: Part, random: np.random.Generator, i: int, k: int) -> Any:
        if isinstance(part, Choice):
            legal = np.flatnonzero(self.views[part.mask][i, k]) if part.mask else np.arange(part.n)
            return random.choice(legal) if legal.size else 0
        return random.integers(0, 2, part.n) if isinstance(part, Bits) else random.uniform(-1, 1, part.n)

    def snapshot(self) -> NoReturn:
        """Not to be had."""
        raise Mistake(f"{self.spec.name} is a foreign environment, which cannot be saved in mid-play or put back")

    def restore(self, records: Array) -> NoReturn:
        """Not to be had."""
        self.snapshot()


def spec_of(name: str, slot: Slot, longest: int, settings: Mapping[str, Any]) -> Spec:
    """The declaration of a game that such environments play."""
    views = {path: view_of(space) for path, _, space in leaves(slot.observation_space)}
    action = tuple(parts(slot.action_space))
    if isinstance(action[0], Choice) and len(action) == 1 and slot.masks[0] is not None:
        views[MASK] = View((action[0].n,), np.bool_, 0, 1, "which choices are legal")
        action = (replace(action[0], mask=MASK),)
    seats = len(slot.agents)
    return Spec(name, seats, slot.deciders, views, action, Score("return", "higher"), longest, settings=settings)


def leaves(space: spaces.Space[Any], value: Any = None, path: str = "") -> Iterator[tuple[str, Any, spaces.Space[Any]]]:
    """`(name, value, space)` of every array in an observation, dicts and tuples taken apart."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, part in inner:
            if key != MASK:
                yield from leaves(part, None if value is None else value[key], _below(path, key))
    else:
        yield path or "observation", value, space


def _below(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def view_of(space: spaces.Space[Any]) -> View:
    """The view of one array."""
    if isinstance(space, spaces.Box):
        dtype = np.float32 if space.dtype.kind == "f" else space.dtype
        return View(space.shape, dtype, float(space.low.min()), float(space.high.max()))
    if isinstance(space, spaces.Discrete):
        return View((), np.int64, int(space.start), int(space.start + space.n - 1))
    if isinstance(space, spaces.MultiBinary):
        return View(space.shape, np.int8, 0, 1)
    if isinstance(space, spaces.MultiDiscrete):
        return View(space.shape, np.int64, int(space.start.min()), int((space.start + space.nvec).max() - 1))
    raise ValueError(f"observations in {space} are not supported; wrap the environment so that they are arrays")


def parts(space: spaces.Space[Any], name: str = "") -> Iterator[Part]:
    """The action parts of a space, dicts and tuples taken apart. Numbers are scaled to -1..1."""
    own = name or "action"
    if isinstance(space, spaces.Discrete):
        yield Choice(own, int(space.n))
    elif isinstance(space, spaces.MultiBinary):
        yield Bits(own, int(np.prod(space.shape)))
    elif isinstance(space, spaces.MultiDiscrete):
        for index, n in enumerate(space.nvec.ravel().tolist()):
            yield Choice(f"{own}.{index}", n)
    elif isinstance(space, spaces.Box) and space.dtype.kind == "f" and space.is_bounded():
        yield Box(own, int(np.prod(space.shape)))
    elif isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        for key, part in inner:
            yield from parts(part, _below(name, key))
    else:
        raise ValueError(f"actions in {space} are not supported; wrap the environment so that they are bounded numbers")


def native(space: Any, row: Mapping[str, Array], name: str = "") -> Any:
    """An action as the environment wants it."""
    own = name or "action"
    if isinstance(space, spaces.Discrete):
        return int(row[own]) + int(space.start)
    if isinstance(space, spaces.MultiBinary):
        return row[own].reshape(space.shape).astype(np.int8)
    if isinstance(space, spaces.MultiDiscrete):
        chosen = [int(row[f"{own}.{index}"]) for index in range(space.nvec.size)]
        return np.array(chosen, space.dtype).reshape(space.shape) + space.start
    if isinstance(space, spaces.Box):
        share = 0.5 * (1 + row[own].reshape(space.shape))
        return np.clip(space.low + share * (space.high - space.low), space.low, space.high).astype(space.dtype)
    if isinstance(space, spaces.Dict):
        return {key: native(part, row, _below(name, key)) for key, part in space.spaces.items()}
    return tuple(native(part, row, _below(name, index)) for index, part in enumerate(space.spaces))
