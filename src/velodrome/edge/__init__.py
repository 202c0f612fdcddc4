"""Adapters to other projects' interfaces."""
