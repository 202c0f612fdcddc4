"""Hearts."""

from velodrome.games.hearts.game import Hearts
from velodrome.games.hearts.views import compact_layout

__all__ = ["Hearts", "compact_layout"]
