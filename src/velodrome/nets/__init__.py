"""Torch modules, and the compiled kernels that they need."""
