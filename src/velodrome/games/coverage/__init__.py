"""Coverage: sensors that turn to keep targets in view."""

from velodrome.games.coverage.game import Coverage

__all__ = ["Coverage"]
