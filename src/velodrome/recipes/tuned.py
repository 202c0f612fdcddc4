"""Settings in a file, to be trained with: what tuning writes and `--settings` takes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from velodrome.mistake import Mistake
from velodrome.recipes.recipe import Recipe
from velodrome.runs.files import writing_to
from velodrome.runs.settings import settings_from_json, settings_to_json


@dataclass(frozen=True)
class Tuned:
    """Settings of a recipe, and what else its process is given."""

    recipe: str
    settings: Any
    threads: int | None = None
    """Torch's, for one operation."""
    told: dict[str, Any] = field(default_factory=dict)
    """What proves them; for people."""


def write_settings(path: Path, tuned: Tuned) -> None:
    """Write them where `--settings` finds them."""
    document = {
        "recipe": tuned.recipe,
        "settings": settings_to_json(tuned.settings),
        "threads": tuned.threads,
        "told": tuned.told,
    }
    with writing_to(path):
        path.write_text(json.dumps(document, indent=1) + "\n")


def read_settings(path: Path, recipe: Recipe) -> Tuned:
    """The settings that a file holds for this recipe; a run's config.json is such a file too."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise Mistake(f"--settings {path}: no such file that can be read") from error
    except ValueError as error:
        raise Mistake(f"--settings {path} is not JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("settings"), dict):
        raise Mistake(f"--settings {path} holds no settings")
    if document.get("recipe") != recipe.name:
        raise Mistake(f"--settings {path} is of the recipe {document.get('recipe')}, not of {recipe.name}")
    threads = document.get("threads")
    if not (threads is None or (type(threads) is int and threads >= 1)):
        raise Mistake(f"--settings {path}: threads is {threads!r}; it takes a whole number of 1 or more")
    settings = settings_from_json(recipe.settings, document["settings"], f"{path}: settings")
    return Tuned(recipe.name, settings, threads)
