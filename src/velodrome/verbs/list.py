"""`velodrome list`."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from velodrome.games import ENVIRONMENTS, GAMES, make
from velodrome.learn.trainer import Scheme
from velodrome.recipes.recipe import RECIPES, find
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import parse


@dataclass(frozen=True)
class List:
    """Recipes, games, nets and bots there are."""

    json: bool = False
    """Answer with one JSON document."""


def list(arguments: Sequence[str]) -> Answer:
    """Everything that has a name."""
    parse("list", List, arguments)
    recipes = [_recipe(name) for name in RECIPES]
    games = [_game(name) for name in GAMES]
    nets = _nets()
    environments = [f"{kind}:ENVIRONMENT" for kind in ENVIRONMENTS]
    document = {"recipes": recipes, "games": games, "environments": environments, "nets": nets}
    lines = ["recipes"]
    for scheme, group in groupby(sorted(recipes, key=_kind), _kind):
        lines += [f"  {scheme}"] if scheme else []
        lines += [f"{'    ' if scheme else '  '}{one['name']:<24}{one['says']} ({one['source']})" for one in group]
    lines += ["games"]
    lines += [
        f"  {one['name']:<24}{one['seats']} seats; {one['score_name']}, {one['better']} is better; "
        f"bots: {', '.join(one['bots'])}"
        for one in games
    ]
    lines += ["other people's games", *(f"  {name}" for name in environments)]
    lines += ["nets", *(f"  {name}" for name in nets)]
    return Answer(document, "\n".join(lines))


def _recipe(name: str) -> dict[str, Any]:
    recipe = find(name)
    scheme = recipe.team.scheme_of(recipe.settings()) if recipe.team else None
    found = {"name": recipe.name, "says": recipe.says, "source": recipe.source}
    return found | {"scheme": asdict(scheme) if scheme else None}


def _kind(recipe: dict[str, Any]) -> str:
    return str(Scheme(**recipe["scheme"])) if recipe["scheme"] else ""


def _game(name: str) -> dict[str, Any]:
    spec = make(name).spec
    score = {"score_name": spec.score.name, "better": spec.score.better}
    return {"name": name, "seats": spec.seats, **score, "bots": builtins.list(spec.bots)}


def _nets() -> builtins.list[str]:
    from velodrome.nets import NETS

    return builtins.list(NETS)
