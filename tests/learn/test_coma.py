"""COMA at work: its policy, what it holds an order to be good for, and that its critic learns from whole games."""

from __future__ import annotations

import pytest
import torch
from counting import ORDERS, SEATS, Counting

from velodrome.learn.coma import Coma, ComaTeam, better_than_expected, chances, drawn
from velodrome.learn.episodes import rows_of
from velodrome.meter.clock import Clock
from velodrome.nets.agent import AgentNet
from velodrome.nets.counterfactual import Counterfactual


def team(settings: Coma, games: int = 8) -> ComaTeam:
    torch.manual_seed(0)
    net = AgentNet(2, "order", ORDERS, SEATS, 8, memory=False)
    critic = Counterfactual(2, 2, ORDERS, SEATS, (16, 16))
    return ComaTeam(Counting(games), net, critic, settings, seed=0, device="cpu")


def test_the_policy_has_a_floor_under_what_is_legal() -> None:
    numbers, legal = torch.tensor([[0.0, 1e9, torch.log(torch.tensor(3.0))]]), torch.tensor([[True, False, True]])
    assert chances(numbers, legal, 0.0).tolist() == [pytest.approx([0.25, 0.0, 0.75])]
    assert chances(numbers, legal, 0.4).tolist() == [pytest.approx([0.35, 0.0, 0.65])]
    nothing = chances(numbers, torch.zeros_like(legal), 0.4)
    assert nothing.isfinite().all()


def test_orders_are_drawn_by_their_chances() -> None:
    chance = torch.tensor([[0.2, 0.0, 0.7, 0.1]]).repeat(8000, 1)
    shares = drawn(chance, torch.Generator().manual_seed(0)).bincount(minlength=4) / 8000
    assert shares.tolist() == pytest.approx([0.2, 0.0, 0.7, 0.1], abs=0.02)


def test_an_order_is_as_good_as_it_is_better_than_the_others() -> None:
    judged = torch.tensor([[[1.0, 5.0, 100.0], [2.0, 0.0, 4.0]]])
    chance = torch.tensor([[[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]]])
    found = better_than_expected(judged, chance, torch.tensor([[0, 2]]))
    assert found.tolist() == [[pytest.approx(1 - 4.0), pytest.approx(4 - 2.0)]]


@pytest.mark.parametrize(("entropy", "spread"), [(0.0, None), (0.3, None), (0.0, 4.0)])
def test_the_gradient_is_that_of_log_chances_by_advantages_and_of_the_entropy(
    entropy: float, spread: float | None
) -> None:
    normalise = spread is not None
    settings = Coma(
        entropy=entropy, entropy_least=entropy, normalise_advantages=normalise, critic_updates=0, rate=0.0, clip=1e9
    )
    trainer = team(settings)
    trainer.episodes.play(trainer.policy(), trainer.generator, Clock())
    rows = rows_of(trainer.episodes.parts, torch.arange(8))
    trainer._learn_to_play(rows, 0.3, spread or 7.0, Clock())
    found = [parameter.grad.clone() for parameter in trainer.agents.parameters() if parameter.grad is not None]
    parts, gain, count = trainer.episodes.parts, torch.zeros(()), 0
    for game in range(8):
        for t in range(int(parts["length"][game])):
            order = parts["order"][game, t]
            before = parts["order"][game, t - 1] + 1 if t else torch.zeros(SEATS, dtype=torch.int64)
            views = {"seen": parts["seen"][game, t], "seat": torch.arange(SEATS), "before": before}
            chance = chances(trainer.agents(views)["order"], parts["legal"][game, t], 0.3)
            with torch.no_grad():
                judged = trainer.critic(
                    *(each[None] for each in (parts["state"][game, t], views["seen"], order, before))
                )[0]
            for agent in range(SEATS):
                own = int(order[agent])
                average = sum(share * judged[agent, k] for k, share in enumerate(chance[agent].detach().tolist()))
                advantage = judged[agent, own] - average
                gain = gain + advantage / (spread or 1.0) * chance[agent, own].log()
                legal = chance[agent][chance[agent] > 0]
                gain = gain - entropy * (legal * legal.log()).sum()
                count += 1
    expected = torch.autograd.grad(-gain / count, list(trainer.agents.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_the_critic_learns_what_games_bring() -> None:
    trainer = team(Coma(critic_rate=1e-2, critic_updates=40, trace=1.0, discount=1.0, copy_every=40))
    for _ in range(8):
        told = trainer.iterate(Clock()).metrics
    assert told["explained_variance"] > 0.9


def test_the_slow_critic_is_copied_now_and_then() -> None:
    trainer = team(Coma(critic_updates=2, copy_every=3))
    for copied in (False, False, True):
        trainer.iterate(Clock())
        pairs = zip(trainer.slow.parameters(), trainer.critic.parameters(), strict=True)
        assert all(torch.equal(slow, own) for slow, own in pairs) == copied
