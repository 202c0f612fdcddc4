"""The one optimizer step that every algorithm takes: backward, averaging, clipping, update."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from velodrome.learn.workers import average_gradients
from velodrome.meter.clock import Clock

Clip = Callable[[list[nn.Parameter]], Tensor]
"""Clips the gradients of these parameters in place, and gives their norm before."""


def step(
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    clock: Clock,
    clip: float | Clip | None = None,
) -> Tensor:
    """Take one step down `loss` and return the gradient norm before clipping."""
    with clock("learn.backward"):
        optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
    parameters = trainable(optimizer)
    average_gradients(parameters, clock)
    with clock("learn.optimize"):
        if callable(clip):
            norm = clip(parameters)
        else:
            norm = torch.nn.utils.clip_grad_norm_(parameters, clip if clip is not None else float("inf"))
        optimizer.step()
    return norm


def trainable(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """The parameters that the optimizer moves."""
    groups: Iterable[dict[str, list[nn.Parameter]]] = optimizer.param_groups
    return [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]


def fallen(value: float, iteration: int, halves: int) -> float:
    """What is left of a value that is half after so many iterations, then a third; 0 keeps it."""
    return value / (1 + iteration / halves) if halves else value
