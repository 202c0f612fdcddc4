"""Velodrome trains game-playing agents fast, accounts for every millisecond, and keeps only what is proven."""

__version__ = "0.1.0"
