"""Run folders and checkpoints."""

from velodrome.runs.segments import Segments

__all__ = ["Segments"]
