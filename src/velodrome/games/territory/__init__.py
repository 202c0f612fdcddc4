"""Territory: land is taken tile by tile, by troops that grow with it."""

from velodrome.games.territory.game import Territory

__all__ = ["Territory"]
