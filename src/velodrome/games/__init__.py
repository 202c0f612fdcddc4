"""The games, by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from velodrome.games.game import Game
from velodrome.mistake import Mistake, nearest

GAMES = {
    "arena": "velodrome.games.arena:Arena",
    "coverage": "velodrome.games.coverage:Coverage",
    "hearts": "velodrome.games.hearts:Hearts",
    "navigation": "velodrome.games.particles:Navigation",
    "platoon": "velodrome.games.platoon:Platoon",
    "skirmish": "velodrome.games.skirmish:Skirmish",
    "spread": "velodrome.games.particles:Spread",
    "tag": "velodrome.games.particles:Tag",
    "territory": "velodrome.games.territory:Territory",
}

ENVIRONMENTS = {
    "gymnasium": "velodrome.edge.gymnasium:GymnasiumGame",
    "pettingzoo": "velodrome.edge.pettingzoo:PettingzooGame",
    "starcraft": "velodrome.edge.starcraft:StarcraftGame",
}
"""Other people's environments as games, by what stands before the colon, as in `gymnasium:CartPole-v1`."""


def make(name: str, games: int = 1, seed: int = 0, threads: int = 1, **options: Any) -> Game:
    """Make the game `name`, `games` of it side by side."""
    kind, _, env = name.partition(":")
    if env and kind in ENVIRONMENTS:
        made: Game = _adapter(name, ENVIRONMENTS[kind])(games=games, seed=seed, threads=threads, env=env, **options)
        return made
    if name not in GAMES:
        known = [*GAMES, *(f"{other}:{env or 'ENVIRONMENT'}" for other in ENVIRONMENTS)]
        raise ValueError(f"no game is called {name!r}; {nearest(name, known)}")
    made = _named(GAMES[name])(games=games, seed=seed, threads=threads, **options)
    return made


def _named(where: str) -> Any:
    module, kind = where.split(":")
    return getattr(import_module(module), kind)


def _adapter(name: str, where: str) -> Any:
    try:
        return _named(where)
    except ImportError as error:
        raise Mistake(f"{name}: {error}") from error
