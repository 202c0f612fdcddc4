"""Round bodies on a plane: the multi-agent particle environments."""

from velodrome.games.particles.navigation import Navigation
from velodrome.games.particles.spread import Spread
from velodrome.games.particles.tag import Tag

__all__ = ["Navigation", "Spread", "Tag"]
