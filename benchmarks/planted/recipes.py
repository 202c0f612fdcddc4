"""Recipes with one planted inefficiency each, and the clean ones: what a tuner has to find, and what it has to leave.

    velodrome trial benchmarks/planted/recipes.py:planted-input --b "--net.input indices"

A planted recipe differs from the clean one of its kind in one default. Turning that setting to the good value is what
mends it.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from velodrome.recipes import recipe

sys.path.append(str(Path(__file__).parents[1]))
from planted.nets import Net
from planted.trainer import Learner, Settings

CLEAN = {
    "": Settings(),
    "map": Settings(
        games=8,
        samples=1024,
        minibatch=256,
        epochs=4,
        rate=1e-3,
        cards=64,
        net=Net(eyes="map", depth=1, precision="bfloat16"),
    ),
    "tokens": Settings(games=16, samples=2048, minibatch=512, cards=12, net=Net(eyes="tokens", width=32, depth=0)),
    "wide": Settings(games=16, samples=2048, epochs=1, rate=1e-3, net=Net(width=512, depth=2, precision="bfloat16")),
    "deep": Settings(minibatch=512, epochs=1, net=Net(width=32, depth=16)),
    "few": Settings(games=8, samples=2048, epochs=1, rate=5e-3, net=Net(width=16, depth=12, plans=16)),
    "crew": Settings(epochs=1, shuffles=150_000, workers=2),
    "large": Settings(
        games=64, samples=8192, minibatch=8192, rate=4e-3, net=Net(depth=0, plans=8, precision="bfloat16")
    ),
}
"""By kind: all that is not planted in the recipes of that kind."""


@dataclass(frozen=True)
class Planted:
    """An inefficiency: the value that a setting has in the recipe, and where that may be mended to."""

    setting: str
    value: Any
    good: Any
    kind: str = ""
    """Which clean recipe it was planted in."""


PLANTED = {
    "minibatch": Planted("minibatch", 128, 2048),
    "games": Planted("games", 2, 8),
    "input": Planted("net.input", "dense", "indices"),
    "dead": Planted("net.dead", True, False),
    "agents": Planted("every_agent", "loop", "batched", "few"),
    "candidates": Planted("net.candidates", "loop", "batched", "few"),
    "attention": Planted("net.attention", "spelt", "fused", "tokens"),
    "positions": Planted("net.positions", "copied", "looked-up", "tokens"),
    "acting": Planted("acting", "recorded", "plain", "few"),
    "targets": Planted("slow_targets", "every epoch", "once", "map"),
    "reads": Planted("reads", "each", "late"),
    "fused": Planted("fused", False, True, "deep"),
    "threads": Planted("process.threads", 8, 1, "few"),
    "keep_memory": Planted("process.keep_memory", False, True, "large"),
    "layout": Planted("net.layout", "contiguous", "channels-last", "map"),
    "precision": Planted("net.precision", "float32", "bfloat16", "wide"),
    "steps": Planted("steps", "loop", "at-once"),
    "share_out": Planted("share_out", "blocks", "even", "crew"),
    "width": Planted("net.width", 256, 64),
}
"""By cause."""


def planted(cause: str) -> Settings:
    """The clean settings with that cause planted."""
    plant = PLANTED[cause]
    settings: Settings = replaced(CLEAN[plant.kind], plant.setting, plant.value)
    return settings


def replaced(settings: Any, name: str, value: Any) -> Any:
    """The settings with another value under a dotted name."""
    head, _, rest = name.partition(".")
    return dataclasses.replace(settings, **{head: replaced(getattr(settings, head), rest, value) if rest else value})


def name_of(cause: str) -> str:
    """Of the recipe that it is planted in."""
    return f"planted-{cause.replace('_', '-')}"


def clean_name(kind: str) -> str:
    """Of the clean recipe of that kind."""
    return f"planted-clean-{kind}" if kind else "planted-clean"


def register(name: str, default: Settings, says: str) -> None:
    """A recipe with these defaults."""
    hints = get_type_hints(Settings)
    fields = [(field.name, hints[field.name], getattr(default, field.name)) for field in dataclasses.fields(default)]
    kind = dataclasses.make_dataclass(name.replace("-", "_"), fields, bases=(Settings,), frozen=True)

    def build(settings: Settings, seed: int, device: str) -> Any:
        return Learner(settings, seed)

    build.__annotations__["settings"] = kind
    recipe(name, source="this folder", says=says)(build)


for kind, settings in CLEAN.items():
    register(clean_name(kind), settings, "nothing is planted here")
for cause, plant in PLANTED.items():
    register(name_of(cause), planted(cause), f"planted: {plant.setting} {plant.value}")
