"""Compiled kernels for the algorithms."""
