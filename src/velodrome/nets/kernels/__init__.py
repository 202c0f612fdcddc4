"""Compiled kernels for nets."""
