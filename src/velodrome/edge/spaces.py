"""Views and action parts as Gymnasium spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from velodrome.games.game import Array, Bits, Box, Choice, Game, Part, Spec, View

try:
    from gymnasium import spaces as spaces
except ImportError as error:
    raise ImportError('the adapters need Gymnasium: pip install "velodrome[edge]"') from error

Illegal = Literal["replace", "refuse"]
"""What becomes of an action that the rules do not allow: the nearest legal one is played, or `IllegalAction` raised."""


def observation_space(spec: Spec) -> spaces.Dict:
    """What a player sees, by the names of the views."""
    return spaces.Dict({name: view_space(view) for name, view in spec.views.items() if not view.private})


def view_space(view: View) -> spaces.Space[Any]:
    """One view."""
    dtype = np.dtype(view.dtype)
    if dtype == np.bool_:
        return spaces.MultiBinary(view.shape)
    bounds: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    low = view.low if dtype.kind == "f" else max(view.low, bounds.min)
    high = view.high if dtype.kind == "f" else min(view.high, bounds.max)
    return spaces.Box(low, high, view.shape, dtype.type)


def action_space(spec: Spec) -> spaces.Space[Any]:
    """What a player may do: the space of the part, or a Dict of them where the action has several."""
    parts = {part.name: part_space(part) for part in spec.action}
    return parts[spec.action[0].name] if len(parts) == 1 else spaces.Dict(parts)


def part_space(part: Part) -> spaces.Space[Any]:
    """One part of an action."""
    if isinstance(part, Choice):
        return spaces.Discrete(part.n)
    if isinstance(part, Bits):
        return spaces.MultiBinary(part.n)
    if isinstance(part, Box):
        return spaces.Box(part.low, part.high, (part.n,), np.float32)
    return spaces.Box(0.0, 1.0, (part.n,), np.float32)


def by_part(spec: Spec, action: Any) -> dict[str, Array]:
    """An action of that space as `{part: array}`."""
    given = action if isinstance(action, Mapping) else {spec.action[0].name: action}
    return {part.name: np.asarray(given[part.name], part.dtype) for part in spec.action}


def observed(spec: Spec, views: Mapping[str, Array]) -> dict[str, Array]:
    """Rows of the public views, copied, of the types that the spaces have."""
    return {
        name: np.array(views[name], np.int8 if np.dtype(view.dtype) == np.bool_ else view.dtype)
        for name, view in spec.views.items()
        if not view.private
    }


def blank(spec: Spec, rows: int) -> dict[str, Array]:
    """A view of nothing, within bounds, for who has not seen anything yet."""
    return {
        name: np.full((rows, *view.shape), np.clip(0, view.low, view.high), view.dtype)
        for name, view in spec.views.items()
        if not view.private
    }


def action_mask(spec: Spec, views: Mapping[str, Array]) -> Array | None:
    """The mask of a game whose action is one masked choice, in the form in which `Discrete.sample` takes it."""
    part = spec.action[0]
    if len(spec.action) > 1 or not isinstance(part, Choice) or part.mask is None:
        return None
    return np.array(views[part.mask], np.int8)


def legalised(spec: Spec, action: Mapping[str, Array], views: Mapping[str, Array]) -> dict[str, Array]:
    """Rows of actions with whatever is illegal replaced by what is nearest to it."""
    return {part.name: _nearest(part, action[part.name], views) for part in spec.action}


def _nearest(part: Part, value: Array, views: Mapping[str, Array]) -> Array:
    if isinstance(part, Choice):
        legal = np.ones((len(value), part.n), np.bool_) if part.mask is None else views[part.mask]
        upwards = (value[:, None] + np.arange(part.n)) % part.n
        steps = np.take_along_axis(legal, upwards, 1).argmax(1)
        chosen: Array = (value + steps) % part.n
        return chosen
    if isinstance(part, Bits):
        bits: Array = value != 0
        return bits if part.mask is None else bits & views[part.mask]
    if isinstance(part, Box):
        return np.clip(value, part.low, part.high)
    shares: Array = np.maximum(value, np.finfo(np.float32).tiny)
    shares /= shares.sum(-1, keepdims=True)
    return shares


def rows_of(game: Game, which: Array) -> dict[str, Array]:
    """The views of the rows `[games, K]` that are marked."""
    return {name: view[which] for name, view in game.views.items()}
