"""Other projects' environments as a game of ours: one environment a slot, stepped in Python.

Trainers, evaluation and recipes take such a game as any other. One thing cannot be had: snapshots, since nobody can
look inside a foreign environment. So a run on one that is resumed begins its games anew, from the next seeds, and
bit-exact continuation is not promised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import numpy as np

from velodrome.edge.spaces import spaces
from velodrome.games.game import Array, Bits, Box, Choice, Game, Part, Score, Spec, View
from velodrome.games.kernel import draw, seed_states, uniforms
from velodrome.mistake import Mistake

MASK = "action_mask"
"""The view that says which choices are legal, for environments that tell; where there are several choices, each has
one, with its number behind."""


class Slot(Protocol):
    """One foreign environment, after each call as it stands."""

    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    limit: int | None
    """The most steps that the environment itself lets a game last, if it tells."""
    agents: list[str]
    """One name a seat."""
    deciders: int
    seat: list[int]
    """Whose observation is in each row."""
    acting: list[bool]
    """Who decides; of a game that was cut, who would have."""
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

    record = np.dtype([("start", "u8"), ("luck", "u8"), ("steps", "i8"), ("over", "i1")])
    side_by_side: ClassVar[int] = 64
    resumes: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        opened: Callable[[], Slot],
        longest: int | None,
        settings: Mapping[str, Any],
        games: int,
        seed: int,
        threads: int,
        first: int,
        duplicate: bool,
    ):
        self.slots = [opened() for _ in range(games)]
        slot = self.slots[0]
        slot.begin(0)
        limit = longest or slot.limit
        if limit is None:
            raise Mistake(f"{name} declares no time limit: say after how many steps a game is cut, like --longest 1000")
        self.paths = [(path, keys) for path, keys, _ in leaves(slot.observation_space)]
        self.mask_names, _ = masks_of(slot.action_space, slot.masks[0])
        super().__init__(spec_of(name, slot, limit, settings), games, seed, threads, first, duplicate)

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
        own = {name: part[lo:hi] for name, part in action.items()}
        going = self.records["over"][lo:hi] == 0
        wrong = (self.acting[lo:hi] & going[:, None] & ~self._legal(slice(lo, hi), own)).any(1)
        if wrong.any():
            return lo + int(wrong.argmax())
        rows = {name: part.reshape(-1, *part.shape[2:]) for name, part in own.items()}
        wanted, deciders = natives(self.slots[lo].action_space, rows), self.spec.deciders
        played = np.flatnonzero(going)
        for i in played.tolist():
            self.slots[lo + i].play(wanted[i * deciders : (i + 1) * deciders])
            self._show(lo + i)
        self.rewards[lo:hi] = 0
        if played.size:  # a slice of the arrays is quicker than a list of places
            self._note(slice(lo, hi) if len(played) == hi - lo else lo + played, (lo + played).tolist())
        return -1

    def _note(self, which: slice | Array, played: list[int]) -> None:
        """Write what the step brought to the games that were played."""
        slots, steps = [self.slots[i] for i in played], self.records["steps"]
        rewards = np.array([slot.rewards for slot in slots], np.float32)
        self.rewards[which] = rewards
        self.outcome[which] += rewards
        steps[which] += 1
        ended = np.array([slot.ended for slot in slots], np.bool_)
        cut = ~ended & (np.array([slot.cut for slot in slots], np.bool_) | (steps[which] >= self.spec.longest))
        self.ended[which], self.cut[which], self.records["over"][which] = ended, cut, ended | cut

    def _legal(self, which: slice, action: dict[str, Array]) -> Array:
        """Which rows `[games, K]` are allowed; a row whose mask allows nothing may do anything."""
        legal = np.ones(self.acting[which].shape, np.bool_)
        for part in self.spec.action:
            value = action[part.name]
            if isinstance(part, Choice):
                legal &= (value >= 0) & (value < part.n)
                if part.mask is not None:
                    mask = self.views[part.mask][which]
                    at = value.clip(0, part.n - 1)[..., None]
                    legal &= np.take_along_axis(mask, at, -1)[..., 0] | ~mask.any(-1)
            elif isinstance(part, Bits):
                legal &= ((value == 0) | (value == 1)).all(-1)
            else:
                legal &= (np.abs(value) <= 1).all(-1)
        return legal

    def _show(self, i: int) -> None:
        slot = self.slots[i]
        if self.spec.seats > 1:
            self.seat[i], self.acting[i] = slot.seat, slot.acting
        for k, observation in enumerate(slot.observations):
            if observation is None:
                continue
            for name, keys in self.paths:
                leaf = observation
                for key in keys:
                    leaf = leaf[key]
                self.views[name][i, k] = leaf
            if self.mask_names:
                _, masks = masks_of(slot.action_space, slot.masks[k])
                for name, mask in zip(self.mask_names, masks or [True] * len(self.mask_names), strict=True):
                    self.views[name][i, k] = mask

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Anything legal, with equal chance."""
        for part in self.spec.action:
            own = action[part.name][lo:hi]
            chance = np.empty((hi - lo, own[0].size))
            uniforms(self.records["luck"][lo:hi], chance)
            own[:] = self._anything(part, chance.reshape(own.shape), slice(lo, hi))

    def _anything(self, part: Part, chance: Array, which: slice) -> Array:
        if isinstance(part, Bits):
            return chance < 0.5
        if isinstance(part, Choice):
            legal = np.ones((*chance.shape, part.n), np.bool_) if part.mask is None else self.views[part.mask][which]
            legal = legal | ~legal.any(-1, keepdims=True)
            wanted = (chance * legal.sum(-1)).astype(np.int64)
            chosen: Array = (legal.cumsum(-1) > wanted[..., None]).argmax(-1)
            return chosen
        return 2 * chance - 1


def spec_of(name: str, slot: Slot, longest: int, settings: Mapping[str, Any]) -> Spec:
    """The declaration of a game that such environments play."""
    views = {path: view_of(space) for path, _, space in leaves(slot.observation_space)}
    action = list(parts(slot.action_space))
    names, _ = masks_of(slot.action_space, slot.masks[0])
    for index, mask in enumerate(names):
        part = action[index]
        assert isinstance(part, Choice)
        views[mask] = View((part.n,), np.bool_, 0, 1, "which choices are legal")
        action[index] = replace(part, mask=mask)
    score, seats = Score("return", "higher"), len(slot.agents)
    return Spec(name, seats, slot.deciders, views, tuple(action), score, longest, settings=settings)


def masks_of(space: spaces.Space[Any], mask: Any) -> tuple[list[str], list[Any]]:
    """The views' names and the masks of the choices that an action space is made of; none where `mask` is None."""
    if mask is None:
        return [], []
    if isinstance(space, spaces.Discrete):
        return [MASK], [np.asarray(mask, np.bool_)]
    if not isinstance(space, spaces.MultiDiscrete):
        raise Mistake(f"masks for actions in {space} are not supported; leave {MASK} out")
    each = mask if isinstance(mask, tuple | list) else np.split(np.asarray(mask), space.nvec.ravel().cumsum()[:-1])
    return [f"{MASK}.{index}" for index in range(space.nvec.size)], [np.asarray(one, np.bool_) for one in each]


def leaves(
    space: spaces.Space[Any], path: str = "", keys: tuple[Any, ...] = ()
) -> Iterator[tuple[str, tuple[Any, ...], spaces.Space[Any]]]:
    """`(name, keys, space)` of every array in an observation, dicts and tuples taken apart; the keys lead to it."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        for key, part in _inside(space):
            if key != MASK:
                yield from leaves(part, _below(path, key), (*keys, key))
    else:
        yield path or "observation", keys, space


def _inside(space: Any) -> Iterator[tuple[Any, spaces.Space[Any]]]:
    yield from space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)


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
    raise Mistake(f"observations in {space} are not supported; wrap the environment so that they are arrays")


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
        for key, part in _inside(space):
            yield from parts(part, _below(name, key))
    else:
        raise Mistake(f"actions in {space} are not supported; wrap the environment so that they are bounded numbers")


def natives(space: Any, rows: Mapping[str, Array], name: str = "") -> list[Any]:
    """Rows of actions as the environment wants them."""
    own = name or "action"
    if isinstance(space, spaces.Discrete):
        return (rows[own] + int(space.start)).tolist()  # type: ignore[no-any-return]
    if isinstance(space, spaces.MultiBinary):
        return list(rows[own].reshape(-1, *space.shape).astype(np.int8))
    if isinstance(space, spaces.MultiDiscrete):
        chosen = np.stack([rows[f"{own}.{index}"] for index in range(space.nvec.size)], -1)
        return list(chosen.reshape(-1, *space.shape).astype(space.dtype) + space.start)
    if isinstance(space, spaces.Box):
        share = 0.5 * (1 + rows[own].reshape(-1, *space.shape))
        return list(np.clip(space.low + share * (space.high - space.low), space.low, space.high).astype(space.dtype))
    inside = [natives(part, rows, _below(name, key)) for key, part in _inside(space)]
    if isinstance(space, spaces.Tuple):
        return list(zip(*inside, strict=True))
    return [dict(zip(space.spaces, each, strict=True)) for each in zip(*inside, strict=True)]
