"""Platoon: vehicles in a line."""

from velodrome.games.platoon.game import Platoon

__all__ = ["Platoon"]
