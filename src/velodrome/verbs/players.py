"""Players by name: a bot of the game, a run, or a recipe's untrained agent."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from velodrome.games.game import Game
from velodrome.learn.players import Player, eyes_of, rival_of
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.restore import restore
from velodrome.runs.run import Run

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
