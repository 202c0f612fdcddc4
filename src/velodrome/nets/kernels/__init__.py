"""Compiled kernels for nets, and where they serve."""

from __future__ import annotations

import torch
from torch import Tensor


def kernels_take(tensor: Tensor) -> bool:
    """Whether kernels do: on the CPU, in single precision, and not while torch compiles what is around them."""
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and not torch.compiler.is_compiling()
