"""Players by name: a bot of the game, a run, or a recipe's agent."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from velodrome.games.game import Game
from velodrome.learn.players import Player, eyes_of, rival_of
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import RECIPES, find
from velodrome.recipes.restore import Restored, restore
from velodrome.recipes.shipped import Shipped, shipped
from velodrome.runs.run import Run
from velodrome.verbs.flags import parse_with_settings

Own = TypeVar("Own")
NOBODY = "nobody"
"""The agent has all seats."""


@dataclass(frozen=True)
class Opponent:
    """Who sits in the other seats; nobody where the game has but one."""

    name: str
    player: Player | None


def opponent(name: str | None, game: Game, device: str, flag: str = "--against") -> Opponent:
    """The opponent of that name; without one, the last and strongest of the game's bots. Where there is no bot but the
    random one, as in other people's environments, the agent has all seats."""
    spec = game.spec
    name = (rival_of(spec) or NOBODY) if name is None else name
    if name == NOBODY:
        return Opponent(NOBODY, None)
    bots = dict.fromkeys([*spec.bots, "random"])
    if name in bots:
        return Opponent(name, name)
    if Run(Path(name)).exists:
        rival = restore(Path(name), device).trainer
        with callers_mistake():
            eyes_of(rival, game)
        return Opponent(name, rival)
    near = difflib.get_close_matches(name, bots, n=1)
    hint = f"did you mean {near[0]}?" if near else f"{spec.name} has the bots {', '.join(bots)}"
    raise Mistake(f"{flag} {name}: neither a bot nor the folder of a run; {hint}")


def last_saved(folder: Path, device: str | None) -> Restored:
    """A run as it was last saved; which newer checkpoints cannot be read is said."""
    restored = restore(folder, device)
    for line in restored.checkpoint.damaged:
        print(f"velodrome: {line}; this is {restored.checkpoint.folder.name}", file=sys.stderr)
    return restored


def agent_of(
    verb: str, name: str, own: type[Own], arguments: Sequence[str], ships: Callable[[Own], bool]
) -> tuple[Own, Any, Shipped | None]:
    """Of a recipe: the verb's flags, the settings that flags change, and the agent that ships, where one does and is
    wished for by the flags, as `ships` reads them. Its settings are then those that are changed."""
    if Path(name).is_dir() and name not in RECIPES:
        raise Mistake(f"{name} is no run: it has no config.json that can be read")
    if "/" in name and ".py:" not in name:
        raise Mistake(f"{name} is not there: {verb} takes the folder of a run, or a recipe")
    with callers_mistake():
        recipe = find(name)
    flags, settings = parse_with_settings(f"{verb} {name}", own, arguments, recipe.settings())
    agent = shipped(name) if ships(flags) else None
    if agent is not None:
        flags, settings = parse_with_settings(f"{verb} {name}", own, arguments, agent.settings)
    return flags, settings, agent


def refuse_untrained(name: str, untrained: bool) -> None:
    """Raise a `Mistake` if a run, of this name, is asked for as it was before any training."""
    if untrained:
        raise Mistake(f"--untrained: {name} is a run; name a recipe with it")
