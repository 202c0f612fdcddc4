"""A GRU over sequences of several lengths, in as few operations a step as there can be."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from velodrome.nets.kernels import kernels_take


def unroll(gru: nn.GRU, x: Tensor, sizes: Tensor) -> Tensor:
    """What `gru`, of one layer, remembers after every row of `x [rows, inputs]`, from nothing on: step after step the
    first `sizes [steps]` of the sequences, fewer and fewer."""
    if not kernels_take(x) or not torch.is_grad_enabled():
        return gru(PackedSequence(x, sizes))[0].data  # type: ignore[no-any-return]
    of_inputs, of_hidden, bias, bias_of_hidden = gru.all_weights[0]
    return _Unrolled.apply(F.linear(x, of_inputs, bias), of_hidden, bias_of_hidden, sizes.tolist())  # type: ignore


class _Unrolled(torch.autograd.Function):
    """The steps one by one, all else at once. Torch's own takes several times as long on the CPU: its gradients of the
    weights are summed up step by step."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor, bias: Tensor, sizes: list[int]) -> Tensor:
        rows, width = len(given), weight.shape[1]
        hidden, told = given.new_empty(rows, width), given.new_empty(rows, 3 * width)
        gates, new = given.new_empty(rows, 2 * width), given.new_empty(rows, width)
        before = given.new_zeros(sizes[0], width)
        for now in _steps(sizes):
            before = before[: now.stop - now.start]
            torch.addmm(bias, before, weight.T, out=told[now])
            torch.add(given[now, : 2 * width], told[now, : 2 * width], out=gates[now]).sigmoid_()
            reset, keep = gates[now].chunk(2, 1)
            torch.addcmul(given[now, 2 * width :], reset, told[now, 2 * width :], out=new[now]).tanh_()
            before = torch.lerp(new[now], before, keep, out=hidden[now])
        ctx.sizes = sizes
        ctx.save_for_backward(weight, hidden, gates, new, told[:, 2 * width :])
        return hidden

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        weight, hidden, gates, new, told = ctx.saved_tensors
        reset, keep = gates.chunk(2, 1)
        before = _before(hidden, ctx.sizes)
        of_new = (1 - keep) * (1 - new * new)
        factors = torch.stack([of_new * told * reset * (1 - reset), (before - new) * keep * (1 - keep), of_new * reset])
        factors = factors.transpose(0, 1).contiguous()
        gradient, of_told = gradients[0].clone(), torch.empty_like(factors)
        after: Tensor | None = None
        for now in reversed(_steps(ctx.sizes)):
            own = gradient[now]
            if after is not None:
                own[: len(after)] += after
            product = torch.mul(own.unsqueeze(1), factors[now], out=of_told[now]).flatten(1)
            after = torch.addmm(own * keep[now], product, weight)
        of_given = torch.cat([of_told[:, :2].flatten(1), gradient * of_new], 1)
        flat = of_told.flatten(1)
        return of_given, flat.T @ before, flat.sum(0), None


def _steps(sizes: list[int]) -> list[slice]:
    steps, first = [], 0
    for size in sizes:
        steps.append(slice(first, first + size))
        first += size
    return steps


def _before(hidden: Tensor, sizes: list[int]) -> Tensor:
    """What was remembered before every row."""
    before, steps = torch.zeros_like(hidden), _steps(sizes)
    for earlier, now in pairwise(steps):
        before[now] = hidden[earlier][: now.stop - now.start]
    return before
