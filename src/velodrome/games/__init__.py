"""The games, by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from velodrome.games.game import Game
from velodrome.mistake import nearest

GAMES = {
    "hearts": "velodrome.games.hearts:Hearts",
}


def make(name: str, games: int = 1, seed: int = 0, threads: int = 1, **options: Any) -> Game:
    """Make the game `name`, `games` of it side by side."""
    if name not in GAMES:
        raise ValueError(f"no game is called {name!r}; {nearest(name, GAMES)}")
    module, kind = GAMES[name].split(":")
    made: Game = getattr(import_module(module), kind)(games=games, seed=seed, threads=threads, **options)
    return made
