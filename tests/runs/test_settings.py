"""Settings survive JSON and flags, and what does not fit is named."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from velodrome.mistake import Mistake
from velodrome.runs.settings import differences, settings_from_json, settings_to_json


@dataclass(frozen=True)
class Inner:
    rate: float = 1e-3
    clip: float | None = None
    kind: Literal["fast", "slow"] = "fast"


@dataclass(frozen=True)
class Outer:
    games: int = 4
    dense: bool = False
    name: str = "x"
    widths: tuple[int, ...] = (2, 3)
    pair: tuple[int, float] = (1, 0.5)
    names: list[str] = field(default_factory=list)
    inner: Inner = Inner()


SETTINGS = [
    Outer(),
    Outer(games=-1, dense=True, name="é\n", widths=(), pair=(2, -1.0), names=["a"], inner=Inner(1, 0.5, "slow")),
    Outer(inner=Inner(rate=math.inf, clip=-math.inf)),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=["defaults", "all changed", "infinite"])
def test_json_and_back(settings: Outer) -> None:
    text = json.dumps(settings_to_json(settings), allow_nan=False)
    back = settings_from_json(Outer, json.loads(text))
    assert back == settings
    assert type(back.inner.rate) is float


def test_nan_comes_back() -> None:
    document = json.loads(json.dumps(settings_to_json(Inner(rate=math.nan)), allow_nan=False))
    assert math.isnan(settings_from_json(Inner, document).rate)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gmes": 3}, "settings has no 'gmes'; did you mean games?"),
        ({"games": "3"}, "settings.games is '3'; it takes a whole number"),
        ({"games": 3.0}, "settings.games is 3.0; it takes a whole number"),
        ({"games": True}, "settings.games is True; it takes a whole number"),
        ({"dense": 1}, "settings.dense is 1; it takes true or false"),
        ({"widths": 3}, "settings.widths is 3; it takes a list"),
        ({"widths": [3, "x"]}, "settings.widths[1] is 'x'; it takes a whole number"),
        ({"pair": [3]}, "settings.pair has 1 values; it takes 2"),
        ({"inner": {"rate": "much"}}, "settings.inner.rate is 'much'; it takes a number"),
        ({"inner": {"clip": "much"}}, "settings.inner.clip is 'much'; it takes a number"),
        ({"inner": {"kind": "fats"}}, "settings.inner.kind is 'fats'; it takes one of 'fast', 'slow'"),
        ({"inner": {"rat": 1}}, "settings.inner has no 'rat'; did you mean rate?"),
        ({"inner": []}, "settings.inner is []; it takes an object"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Mistake) as caught:
        settings_from_json(Outer, settings_to_json(Outer()) | changes)
    assert str(caught.value) == said


def test_a_missing_setting_has_its_default() -> None:
    assert settings_from_json(Outer, {"games": 9}) == Outer(games=9)


def test_differences_are_dotted() -> None:
    one, other = settings_to_json(Outer()), settings_to_json(Outer(widths=(2,), inner=Inner(rate=2)))
    assert differences(one, one) == []
    assert differences(one, other) == [("widths", [2, 3], [2]), ("inner.rate", 1e-3, 2)]
