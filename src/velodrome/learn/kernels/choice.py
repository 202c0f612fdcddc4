"""Choices drawn, and their log-probability and entropy, forward and back: only what is legal costs anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from velodrome.compiled import kernel


@kernel
def draw_choices(logits, legal, draws, chance, choice, log_prob):  # type: ignore[no-untyped-def]
    """Write a choice for each row, where its draw from 0 to below 1 falls among the chances of what is legal laid end
    to end, and the choice's log-probability. Where nothing is legal the choice is uniform."""
    n = logits.shape[1]
    for row in range(logits.shape[0]):
        highest, total, last = np.float32(-np.inf), np.float32(0), -1
        for k in range(n):
            if legal[row, k]:
                highest = max(highest, logits[row, k])
        for k in range(n):
            if legal[row, k]:
                chance[k] = np.exp(logits[row, k] - highest)
                total += chance[k]
                last = k if chance[k] > 0 else last
        if last < 0:
            choice[row] = np.int64(draws[row] * np.float32(n))
            log_prob[row] = -np.log(np.float32(n))
            continue
        point, taken = draws[row] * total, last  # which it is at last, should the sum be rounded down
        for k in range(n):
            if legal[row, k]:
                if point < chance[k]:
                    taken = k
                    break
                point -= chance[k]
        choice[row] = taken
        log_prob[row] = logits[row, taken] - highest - np.log(total)


@kernel
def score(logits, legal, choice, chance, level, log_prob, entropy):  # type: ignore[no-untyped-def]
    """Write the softmax over what is legal, the choice's log-probability and the entropy.

    `level [rows, 2]` is what turns a legal logit into a log-probability: first the highest of them is subtracted, so
    that large ones lose nothing, then the rest. Where nothing is legal the choice is uniform, and `chance` all zero:
    nothing flows back.
    """
    n = logits.shape[1]
    for row in range(logits.shape[0]):
        highest, total, mean = np.float32(-np.inf), np.float32(0), np.float32(0)
        for k in range(n):
            if legal[row, k]:
                highest = max(highest, logits[row, k])
        for k in range(n):
            chance[row, k] = np.exp(logits[row, k] - highest) if legal[row, k] else np.float32(0)
            total += chance[row, k]
        if total == 0:
            entropy[row] = np.log(np.float32(n))
            log_prob[row] = -entropy[row]
            continue
        for k in range(n):
            chance[row, k] /= total
            if legal[row, k]:
                mean += chance[row, k] * (logits[row, k] - highest)
        scale, taken = np.log(total), choice[row]
        level[row, 0], level[row, 1] = highest, scale
        entropy[row] = scale - mean
        log_prob[row] = logits[row, taken] - highest - scale if legal[row, taken] else np.float32(-1e9)


@kernel
def score_back(logits, legal, choice, chance, level, entropy, to_log_prob, to_entropy, to_logits):  # type: ignore[no-untyped-def]
    """The gradient of the logits."""
    for row in range(logits.shape[0]):
        given, spread = to_log_prob[row], to_entropy[row]
        for k in range(logits.shape[1]):
            to_logits[row, k] = 0
            if legal[row, k]:
                surprise = logits[row, k] - level[row, 0] - level[row, 1] + entropy[row]
                to_logits[row, k] = -chance[row, k] * (given + spread * surprise)
        if legal[row, choice[row]]:
            to_logits[row, choice[row]] += given


def draw_choice(logits: Tensor, legal: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """A choice for each row of `logits [..., n]` on the CPU and its log-probability, by `draws [...]`."""
    n = logits.shape[-1]
    choice, log_prob = torch.empty(draws.shape, dtype=torch.int64), torch.empty(draws.shape)
    rows = [each.detach().contiguous().numpy().reshape(-1, n) for each in (logits, legal)]
    drawn = [each.contiguous().numpy().reshape(-1) for each in (draws, choice, log_prob)]
    draw_choices(*rows, drawn[0], np.empty(n, np.float32), *drawn[1:])
    return choice, log_prob


class _Score(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, logits: Tensor, legal: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
        given = [each.detach().contiguous().numpy() for each in (logits, legal, choice)]
        chance, level = np.empty(given[0].shape, np.float32), np.empty((len(logits), 2), np.float32)
        log_prob, entropy = torch.empty(len(logits)), torch.empty(len(logits))
        score(*given, chance, level, log_prob.numpy(), entropy.numpy())
        context.kept = *given, chance, level, entropy.numpy()
        return log_prob, entropy

    @staticmethod
    def backward(context: Any, to_log_prob: Tensor, to_entropy: Tensor) -> tuple[Tensor, None, None]:
        to_logits = torch.empty(context.kept[0].shape)
        gradients = to_log_prob.contiguous().numpy(), to_entropy.contiguous().numpy(), to_logits.numpy()
        score_back(*context.kept, *gradients)
        return to_logits, None, None


def score_choice(logits: Tensor, legal: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy, both `[rows]`, of `choice [rows]` under `logits [rows, n]` on the CPU."""
    return _Score.apply(logits, legal, choice)  # type: ignore[no-any-return, no-untyped-call]
