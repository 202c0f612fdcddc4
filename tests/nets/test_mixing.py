"""Mixers, and COMA's critic, against the same thing one row at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.counterfactual import Counterfactual
from velodrome.nets.mixing import Monotone, Sum

STATE, AGENTS, EMBEDDED, MIXED = 7, 3, 64, 32


def made() -> tuple[Monotone, Tensor, Tensor]:
    torch.manual_seed(0)
    return Monotone(STATE, AGENTS), torch.randn(40, AGENTS) * 5, torch.randn(40, STATE) * 3


def test_the_sum_is_a_sum() -> None:
    assert Sum()(torch.tensor([[1.0, 2.0, -5.0], [0.5, 0.25, 0.0]])).tolist() == [-2.0, 0.75]
    assert not list(Sum().parameters())


def test_a_mixed_row_is_what_its_formula_says() -> None:
    mixer, own, state = made()
    found = mixer(own, state)
    for row in range(len(own)):
        s, q = state[row], own[row]
        first = mixer.first[2](F.relu(mixer.first[0](s))).abs().view(AGENTS, MIXED)
        hidden = F.elu(q @ first + mixer.first_bias(s))
        second = mixer.second[2](F.relu(mixer.second[0](s))).abs()
        worth = hidden @ second + mixer.second_bias[2](F.relu(mixer.second_bias[0](s))).squeeze()
        torch.testing.assert_close(found[row], worth)


def test_what_is_better_for_one_is_no_worse_for_the_team() -> None:
    mixer, own, state = made()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.mul_(-3)
    own.requires_grad_()
    (gradient,) = torch.autograd.grad(mixer(own, state).sum(), own)
    assert (gradient >= 0).all()
    assert (gradient > 0).any(0).all(), "every agent counts somewhere"


def test_a_mixer_has_as_many_weights_as_its_sizes_say() -> None:
    def linear(n: int, m: int) -> int:
        return n * m + m

    expected = linear(STATE, EMBEDDED) + linear(EMBEDDED, AGENTS * MIXED) + linear(STATE, MIXED)
    expected += linear(STATE, EMBEDDED) + linear(EMBEDDED, MIXED) + linear(STATE, MIXED) + linear(MIXED, 1)
    mixer, _, _ = made()
    assert sum(parameter.numel() for parameter in mixer.parameters()) == expected


def one_hot(order: int, orders: int) -> Tensor:
    return torch.eye(orders)[order] if order >= 0 else torch.zeros(orders)


def test_the_critic_knows_all_but_the_own_order() -> None:
    torch.manual_seed(0)
    seen, orders, rows = 5, 4, 6
    critic = Counterfactual(STATE, seen, orders, AGENTS, (16, 8))
    state, own = torch.randn(rows, STATE), torch.randn(rows, AGENTS, seen)
    order, before = torch.randint(orders, (rows, AGENTS)), torch.randint(orders + 1, (rows, AGENTS))
    found = critic(state, own, order, before)
    assert found.shape == (rows, AGENTS, orders)
    inner = critic.rest[0]
    assert isinstance(inner, nn.Linear)
    for row in range(rows):
        for agent in range(AGENTS):
            others = [one_hot(-1 if n == agent else int(order[row, n]), orders) for n in range(AGENTS)]
            earlier = [one_hot(int(before[row, n]) - 1, orders) for n in range(AGENTS)]
            known = [state[row], *others, *earlier, own[row, agent], one_hot(agent, AGENTS)]
            expected = critic.rest(F.relu(critic.first(torch.cat(known)))[None])[0]
            torch.testing.assert_close(found[row, agent], expected, rtol=1e-4, atol=1e-5)
