"""Arena: a ship among enemies, boxes and portals, in real time."""

from velodrome.games.arena.game import Arena

__all__ = ["Arena"]
