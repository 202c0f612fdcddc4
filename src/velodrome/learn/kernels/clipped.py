"""PPO's clipped objective (Schulman et al. 2017, equation 9) and what is reported of it, forward and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from velodrome.compiled import kernel
from velodrome.nets.kernels import kernels_take

METRICS = ("policy_loss", "value_loss", "entropy", "kl", "clipped")


@kernel
def objective(  # type: ignore[no-untyped-def]
    log_prob, entropy, value, before, advantage, returns, clip, value_weight, entropy_weight, told, gradients, loss
):
    """Write the means of METRICS, the loss, and its gradients by log-probability, entropy and value.

    The KL estimate is Schulman's of low variance, never negative.
    """
    rows = log_prob.shape[0]
    share, least, most = np.float32(1 / rows), np.float32(1 - clip), np.float32(1 + clip)
    gain = errors = spread = kl = outside = 0.0
    for row in range(rows):
        change = log_prob[row] - before[row]
        ratio = np.exp(change)
        held = min(max(ratio, least), most)
        free, bound = ratio * advantage[row], held * advantage[row]
        error = value[row] - returns[row]
        gain += min(free, bound)
        errors += error * error
        spread += entropy[row]
        kl += ratio - 1 - change
        outside += ratio != held
        gradients[0, row] = np.float32(0) if free > bound else -free * share
        gradients[1, row] = -entropy_weight * share
        gradients[2, row] = 2 * value_weight * error * share
    told[0], told[1], told[2], told[3], told[4] = -gain / rows, errors / rows, spread / rows, kl / rows, outside / rows
    loss[()] = told[0] + value_weight * told[1] - entropy_weight * told[2]


class _Objective(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, clip: float, weights: tuple[float, float], told: Tensor, *given: Tensor) -> Tensor:
        arrays = [each.detach().contiguous().numpy() for each in given]
        context.gradients, loss = torch.empty(3, len(given[0])), torch.empty(())
        objective(*arrays, clip, *map(np.float32, weights), told.numpy(), context.gradients.numpy(), loss.numpy())
        return loss

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(context.gradients * gradient), None, None, None


def clipped_objective(
    log_prob: Tensor, entropy: Tensor, value: Tensor, before: Tensor, advantage: Tensor, returns: Tensor,
    *, clip: float, value_weight: float, entropy_weight: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The loss, and the METRICS of these `[rows]`."""
    if kernels_take(log_prob):
        told = torch.empty(len(METRICS))
        weights = (value_weight, entropy_weight)
        loss = _Objective.apply(clip, weights, told, log_prob, entropy, value, before, advantage, returns)  # type: ignore[no-untyped-call]
        return loss, told
    change = log_prob - before
    ratio = change.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    policy_loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
    value_loss = (value - returns).square().mean()
    loss = policy_loss + value_weight * value_loss - entropy_weight * entropy.mean()
    with torch.no_grad():
        kl = (ratio - 1 - change).mean()
        outside = (ratio != clipped).float().mean()
    return loss, torch.stack([policy_loss, value_loss, entropy.mean(), kl, outside]).detach()
