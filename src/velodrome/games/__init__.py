"""The games, by name."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any

from velodrome.games.game import Game

GAMES = {
    "hearts": "velodrome.games.hearts:Hearts",
}


def make(name: str, games: int = 1, seed: int = 0, threads: int = 1, **options: Any) -> Game:
    """Make the game `name`, `games` of it side by side."""
    if name not in GAMES:
        near = difflib.get_close_matches(name, GAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(GAMES)}"
        raise ValueError(f"no game is called {name!r}; {hint}")
    module, kind = GAMES[name].split(":")
    made: Game = getattr(import_module(module), kind)(games=games, seed=seed, threads=threads, **options)
    return made
