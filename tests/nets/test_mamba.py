"""Mamba, as a sequence and step by step."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.mamba import FASTEST, LEAST, Mamba, Stack

WIDTH = 32


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_parameters() -> None:
    block = Mamba(256, 64)
    counts = {name: count(part) for name, part in block.named_children()}
    assert counts == {
        "input": 262_144,
        "mix": 2_048 + 512,
        "select": 73_728,
        "pace": 8_192 + 512,
        "scan": 32_768 + 512,
        "output": 131_072,
    }
    assert count(block) == 511_488
    assert count(Mamba(256, 16)) == 437_760
    assert count(Mamba(256, 128)) == 511_488 + 64 * (512 + 2 * 512)
    for blocks in (1, 2, 3):
        assert count(Stack(256, blocks)) == blocks * 511_488 + (blocks - 1) * 512


def by_the_formula(block: Mamba, u: Tensor) -> Tensor:
    """Channel by channel, spelt out."""
    rank, states, _ = block.parts
    x, z = (u @ block.input.weight.T).chunk(2, -1)
    taps, padded = block.taps, F.pad(x, (0, 0, block.taps - 1, 0))
    weight = block.mix.weight.squeeze(1)
    mixed = sum(padded[:, tap : tap + x.shape[1]] * weight[:, tap] for tap in range(taps)) + block.mix.bias
    x = mixed * torch.sigmoid(mixed)
    r, enter, read = torch.split(x @ block.select.weight.T, [rank, states, states], -1)
    step = torch.log1p((r @ block.pace.weight.T + block.pace.bias).exp())
    rate = -block.scan.rate_logs.exp().T
    state, found = torch.zeros(len(u), block.channels, states, dtype=u.dtype), []
    for t in range(u.shape[1]):
        state = torch.exp(step[:, t, :, None] * rate) * state + (step[:, t] * x[:, t])[..., None] * enter[:, t, None]
        found.append(torch.einsum("ben,bn->be", state, read[:, t]) + block.scan.skip * x[:, t])
    return (torch.stack(found, 1) * z * torch.sigmoid(z)) @ block.output.weight.T


def test_it_is_that_of_the_formula() -> None:
    block, x = Mamba(WIDTH, 8).double(), torch.randn(3, 11, WIDTH, dtype=torch.float64)
    found, wanted = block(x)[0], by_the_formula(block, x)
    torch.testing.assert_close(found, wanted)
    pull = torch.randn_like(found)
    parameters = list(block.parameters())
    one, other = (torch.autograd.grad(out, parameters, pull) for out in (found, wanted))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_step_by_step_it_does_as_in_a_sequence(blocks: int) -> None:
    stack, x = Stack(WIDTH, blocks, 64), torch.randn(4, 40, WIDTH)
    whole, last = stack(x, stack.start(4))
    memory, found = stack.start(4), []
    for t in range(40):
        out, memory = stack(x[:, t : t + 1], memory)
        found.append(out)
    torch.testing.assert_close(torch.cat(found, 1), whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(memory, last, rtol=0, atol=1e-5)


def test_one_step_is_a_sequence_of_one() -> None:
    block, x = Mamba(WIDTH, 8), torch.randn(4, 9, WIDTH)
    _, memory = block(x[:, :8])
    out, _ = block.step(x[:, 8], memory)
    torch.testing.assert_close(out, block(x)[0][:, 8], rtol=0, atol=1e-6)


def test_what_comes_later_changes_nothing_and_what_came_earlier_counts() -> None:
    block, x = Mamba(WIDTH, 16), torch.randn(2, 30, WIDTH)
    before, changed = block(x)[0], x.clone()
    changed[:, 12] += 1
    after = block(changed)[0]
    assert torch.equal(after[:, :12], before[:, :12])
    assert (after[:, 12:] - before[:, 12:]).abs().amax((0, 2)).min() > 1e-7, "well behind the convolution's reach, too"


def test_rates_learn_from_what_is_remembered_alone() -> None:
    """The published bot gives it one frame at a time and remembers nothing."""
    block, x = Mamba(WIDTH, 8), torch.randn(4, 2, WIDTH)
    block(x[:, :1])[0].sum().backward()
    assert block.scan.rate_logs.grad is not None
    assert not block.scan.rate_logs.grad.any()
    memory = block.start(4)
    for t in range(2):
        out, memory = block.step(x[:, t], memory)
    out.sum().backward()
    assert block.scan.rate_logs.grad.any()


def test_it_begins_with_steps_of_all_sizes() -> None:
    block = Mamba(256)
    steps = F.softplus(block.pace.bias.detach())
    assert steps.min() >= LEAST * (1 - 1e-3)
    assert steps.max() <= FASTEST * (1 + 1e-3)
    assert steps.log().std().item() == pytest.approx(math.log(100) / math.sqrt(12), rel=0.1), (
        "evenly over their logarithms"
    )
    torch.testing.assert_close(block.scan.rate_logs.exp()[:, 0], torch.arange(1.0, 65.0))


def test_it_learns_to_remember() -> None:
    """To tell at the end what came first."""
    torch.manual_seed(1)
    block, read = Mamba(16, 8), nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*block.parameters(), *read.parameters()], 1e-2)
    for _ in range(150):
        x = torch.zeros(64, 12, 16)
        x[:, 0, 0] = torch.randint(2, (64,)).float() * 2 - 1
        x[..., 1] = 1
        loss = (read(block(x)[0][:, -1]).squeeze(-1) - x[:, 0, 0]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
