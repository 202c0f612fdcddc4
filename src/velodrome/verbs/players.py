"""Players by name: a bot of the game, a run, or a recipe's untrained agent."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from velodrome.games.game import Game
from velodrome.learn.players import Player
from velodrome.mistake import Mistake
from velodrome.recipes.restore import restore
from velodrome.runs.run import Run


@dataclass(frozen=True)
class Opponent:
    """Who sits in the other seats; nobody where the game has but one."""

    name: str
    player: Player | None


def opponent(name: str | None, game: Game, device: str) -> Opponent:
    """The opponent of that name; without one, the last and strongest of the game's bots."""
    spec = game.spec
    if spec.seats == 1 and name is None:
        return Opponent("nobody", None)
    bots = dict.fromkeys([*spec.bots, "random"])
    if name is None:
        return Opponent(spec.bots[-1], spec.bots[-1])
    if name in bots:
        return Opponent(name, name)
    if Run(Path(name)).exists:
        return Opponent(name, _same_game(name, restore(Path(name), device).trainer, game))
    near = difflib.get_close_matches(name, bots, n=1)
    hint = f"did you mean {near[0]}?" if near else f"{spec.name} has the bots {', '.join(bots)}"
    raise Mistake(f"--against {name}: neither a bot nor the folder of a run; {hint}")


def _same_game(name: str, player: Player, game: Game) -> Player:
    theirs = player.game.spec  # type: ignore[union-attr]
    if theirs.name != game.spec.name:
        raise Mistake(f"--against {name}: that run plays {theirs.name}, not {game.spec.name}")
    return player
