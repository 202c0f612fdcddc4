"""Recipes by name: a settings dataclass and a function from settings and seed to a trainer."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from velodrome.learn.trainer import Scheme, Trainer
from velodrome.mistake import nearest

RECIPES = {
    "arena": "velodrome.recipes.arena",
    "arena-lstm": "velodrome.recipes.arena",
    "coverage-tom2c": "velodrome.recipes.tom2c",
    "hearts": "velodrome.recipes.hearts",
    "hearts-attention": "velodrome.recipes.hearts_attention",
    "hearts-mlp": "velodrome.recipes.hearts_mlp",
    "navigation-tom2c": "velodrome.recipes.tom2c",
    "platoon-neurcomm": "velodrome.recipes.platoon_neurcomm",
    "ppo": "velodrome.recipes.ppo",
    "skirmish-coma": "velodrome.recipes.skirmish_coma",
    "skirmish-eva": "velodrome.recipes.skirmish_decision",
    "skirmish-madt": "velodrome.recipes.skirmish_decision",
    "skirmish-mappo": "velodrome.recipes.skirmish_mappo",
    "skirmish-qmix": "velodrome.recipes.value",
    "skirmish-vdn": "velodrome.recipes.value",
    "spread-ippo": "velodrome.recipes.spread_ippo",
    "spread-maddpg": "velodrome.recipes.particles_maddpg",
    "spread-qmix": "velodrome.recipes.value",
    "tag-maddpg": "velodrome.recipes.particles_maddpg",
    "territory": "velodrome.recipes.territory",
    "territory-attention": "velodrome.recipes.territory",
    "territory-flatten": "velodrome.recipes.territory",
}
"""Where each recipe lives: one line a recipe."""

_known: dict[str, Recipe] = {}


@dataclass(frozen=True)
class Recipe:
    """A named system: how to build its trainer, and where it comes from."""

    name: str
    source: str
    """The document or paper whose system this is."""
    says: str
    """One line for `velodrome list`."""
    settings: type[Any]
    build: Build
    """`(settings, seed, device) -> trainer`."""
    team: Team | None = None
    """Where several agents learn."""


Build = Callable[[Any, int, str], Trainer]


@dataclass(frozen=True)
class Team:
    """What a recipe in which several agents learn tells of itself."""

    scheme: Scheme | Callable[[Any], Scheme] = Scheme()
    """What kind of learning it is, perhaps by the settings."""
    agents: str | None = None
    """The setting that says how many there are, if one does."""
    silent: Mapping[str, Any] = field(default_factory=dict)
    """Settings, by dotted name, with which it is the same without what agents tell each other."""

    def scheme_of(self, settings: Any) -> Scheme:
        """With these settings."""
        return self.scheme if isinstance(self.scheme, Scheme) else self.scheme(settings)


def recipe(name: str, source: str, says: str, team: Team | None = None) -> Callable[[Build], Build]:
    """Register the decorated `build(settings, seed, device)`; its settings type is read off its annotation."""

    def register(build: Build) -> Build:
        settings: Any = get_type_hints(build)["settings"]
        if not (isinstance(settings, type) and dataclasses.is_dataclass(settings)):
            raise TypeError(f"recipe {name}: settings must be annotated with a dataclass")
        _known[name] = Recipe(name, source, says, settings, build, team)
        return build

    return register


def find(name: str) -> Recipe:
    """The recipe of that name, or `path/to/file.py:name` for one in a file of your own."""
    if ".py:" in name:
        path, own = name.rsplit(":", 1)
        _load(Path(path))
        if own not in _known:
            raise ValueError(f"{path} has no recipe {own!r}")
        return dataclasses.replace(_known[own], name=name)
    if name not in RECIPES:
        raise ValueError(f"no recipe is called {name!r}; {nearest(name, RECIPES)}")
    import_module(RECIPES[name])
    return _known[name]


def _load(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    module_name = f"velodrome_user_{path.stem}"
    if module_name in sys.modules and sys.modules[module_name].__file__ == str(path.resolve()):
        return
    spec = importlib.util.spec_from_file_location(module_name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
