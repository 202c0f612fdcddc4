"""Skirmish: small battles, one agent a unit."""

from velodrome.games.skirmish.game import Skirmish
from velodrome.games.skirmish.maps import MAPS

__all__ = ["MAPS", "Skirmish"]
