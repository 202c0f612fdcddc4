"""ToM2C's trainers: what beliefs and edges are taught, and that teams learn."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from velodrome.games import make
from velodrome.learn.actions import Actions
from velodrome.learn.evaluate import evaluate
from velodrome.learn.team import UNTIMED, Played
from velodrome.learn.tom2c import ActorCritic, Reducer, Reduction, Tom2c, belief_loss, reduction_loss
from velodrome.meter.clock import Clock
from velodrome.nets.tom2c import Minds, Sensors, Walkers

NARROW = Minds(hidden=16)
CLOCK = Clock(enabled=False)
SURE = 40.0


def trainer(settings: Tom2c = Tom2c(rows=8), longest: int = 5, seed: int = 0) -> ActorCritic:  # noqa: B008
    torch.manual_seed(seed)
    game = make("coverage", 4, seed, sensors=3, targets=4, longest=longest)
    return ActorCritic(game, Sensors(3, 4, NARROW), settings, seed=seed, device="cpu")


# -- beliefs ----------------------------------------------------------------------------------------------------------


def right_beliefs(played: Played, known: Tensor) -> dict[str, Tensor]:
    """What all would believe if they knew what all do and see."""
    rows, games, agents, targets = played.looks.shape[0], *played.action["track"].shape[1:]
    goals = torch.zeros(rows, games, agents, agents, targets)
    goals[:-1] = (2.0 * played.action["track"].unsqueeze(2) - 1) * SURE
    return {"goals": goals, "sees": (2 * known.unsqueeze(2).expand_as(goals) - 1) * SURE, "known": known}


def test_beliefs_are_about_what_others_did_and_see() -> None:
    learner = trainer()
    for _ in range(2):
        learner.iterate(CLOCK)
    played, actions = learner.table.played, learner.table.actions
    known = learner.net.unroll(played, UNTIMED)["known"]
    looks = played.looks[:-1].nonzero()
    decides = (~played.looks[:-1]).nonzero()
    assert len(looks)

    def loss_without(row: Tensor, one: int, other: int, name: str) -> float:
        found = right_beliefs(played, known)
        found[name][row[0], row[1], one, other, 2] *= -1
        return float(belief_loss(played, actions, found, sees=0.5))

    assert float(belief_loss(played, actions, right_beliefs(played, known), sees=0.5)) == pytest.approx(0, abs=1e-6)
    pairs = len(decides) * 3 * 2
    assert loss_without(decides[5], 0, 2, "goals") == pytest.approx(SURE / pairs, rel=1e-4)
    assert loss_without(decides[5], 0, 2, "sees") == pytest.approx(0.5 * SURE / pairs, rel=1e-4)
    assert loss_without(decides[5], 2, 2, "goals") == pytest.approx(0, abs=1e-6)
    assert loss_without(looks[0], 0, 2, "goals") == pytest.approx(0, abs=1e-6)


def test_beliefs_of_a_choice_are_one_of_all() -> None:
    game = make("navigation", 2, 0, agents=2)
    learner = ActorCritic(game, Walkers(2, NARROW), Tom2c(rows=3), seed=0, device="cpu")
    learner.iterate(CLOCK)
    goals = torch.zeros(4, 2, 2, 2, 2)
    goals[..., 0] = 1.0
    first = (learner.table.played.action["goal"] == 0).float().mean()
    chance = torch.tensor([1.0, 0.0]).log_softmax(0)
    expected = -(first * chance[0] + (1 - first) * chance[1])
    found = belief_loss(learner.table.played, Actions(game.spec.action), {"goals": goals}, sees=0.5)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_beliefs_learn_every_so_often() -> None:
    learner = trainer(Tom2c(rows=4, belief_every=3))
    beliefs = learner.net.beliefs.goals.out.weight
    changes = []
    for _ in range(6):
        before = beliefs.detach().clone()
        learner.iterate(CLOCK)
        changes.append(not torch.equal(before, beliefs))
    assert changes == [True, False, False] * 2


# -- what a segment earned --------------------------------------------------------------------------------------------


def test_rewards_are_counted_from_their_running_mean() -> None:
    learner, earned = trainer(Tom2c(rows=8, discount=0.5)), []
    for _ in range(3):
        learner.table.play(CLOCK)
        played = learner.table.played
        earned.append(played.reward[..., 0][~played.looks[:-1]])
        found = learner._reward()
    rewards = torch.cat(earned)
    expected = (played.reward[..., 0] - rewards.mean()) / rewards.std(correction=0) * 0.5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_short_sighted_team_looks_ahead_farther_and_farther() -> None:
    learner = trainer(Tom2c(rows=2, short_sighted=2000))
    seen = []
    for learner.iteration in (0, 2000, 2005, 2000 + 5 * 694, 2000 + 5 * 695, 100_000):
        seen.append(learner.discount)
    assert seen == pytest.approx([0.1, 0.1, 0.1002, 0.40013, 0.40053, 0.9], rel=1e-5)
    assert trainer().discount == 0.9


# -- learning to tell less --------------------------------------------------------------------------------------------


def counting(only_told: bool) -> Sensors:
    """Sensors that track a target if, and only if, somebody tells them of it; or all that they think of, whoever
    tells."""
    torch.manual_seed(0)
    net = Sensors(3, 4, NARROW)
    with torch.no_grad():
        net.actor.weight.zero_()
        net.actor.bias.copy_(torch.tensor([0.0, -0.5]))
        if only_told:
            net.actor.weight[1, -1] = 1.0
        else:
            net.actor.weight[1, 0] = 100.0
    return net


def test_who_would_decide_otherwise_is_who_was_told() -> None:
    game = make("coverage", 6, 0, sensors=3, targets=4)
    reducer = Reducer(game, counting(only_told=True), 5, Reduction(), seed=0, device="cpu")
    reducer.table.play(CLOCK)
    played, net = reducer.table.played, reducer.net
    found = net.unroll(played, UNTIMED)
    tellers = torch.einsum("tbij,tbim->tbjm", found["edges"], found["known"])
    needs = net.relies(played, UNTIMED)
    assert torch.equal(needs, (tellers > 0).any(-1))
    assert 0 < needs.float().mean() < 1
    reducer = Reducer(game, counting(only_told=False), 5, Reduction(), seed=0, device="cpu")
    reducer.table.play(CLOCK)
    assert not reducer.net.relies(reducer.table.played, UNTIMED).any()
    assert reducer.net.unroll(reducer.table.played, UNTIMED)["track"].gt(0).any()


def test_edges_to_whom_they_serve_and_others_count_as_much() -> None:
    logits = torch.tensor([[[[5.0, 1, 2], [3, 5, 4], [6, 7, 5]]]])
    needs = torch.tensor([[[True, False, False]]])
    wanted = -(torch.tensor([3.0, 6.0]).sigmoid().log().mean())
    useless = -((-torch.tensor([1.0, 2, 4, 7])).sigmoid().log().mean())
    everywhere = torch.tensor([[True]])
    assert float(reduction_loss(logits, needs, everywhere)) == pytest.approx(float(wanted + useless), rel=1e-5)
    logits.requires_grad_()
    reduction_loss(logits, ~needs, everywhere).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not logits.grad.diagonal(dim1=-2, dim2=-1).any()
    assert (logits.grad[0, 0, 1:, 0] > 0).all()
    assert (logits.grad[0, 0, :2, 2] < 0).all()
    nobody = reduction_loss(logits.detach(), torch.zeros_like(needs), everywhere)
    assert float(nobody) == pytest.approx(float(-((-torch.tensor([1.0, 2, 3, 4, 6, 7])).sigmoid().log().mean())))


def test_a_team_that_heeds_no_message_learns_to_send_none() -> None:
    game = make("coverage", 6, 0, sensors=3, targets=4)
    for only_told, messages in ((False, 0.3), (True, None)):
        net = counting(only_told)
        reducer = Reducer(game.again(6), net, 5, Reduction(), seed=0, device="cpu")
        before = {name: part.clone() for name, part in net.state_dict().items()}
        first = reducer.iterate(CLOCK).metrics["messages"]
        for _ in range(15):
            last = reducer.iterate(CLOCK).metrics["messages"]
        assert first > 2
        assert last < messages if messages is not None else last > 2
        changed = {name.split(".")[0] for name, part in net.state_dict().items() if not torch.equal(part, before[name])}
        assert changed == {"graph"}


# -- learning ---------------------------------------------------------------------------------------------------------


def test_two_agents_learn_to_go_apart() -> None:
    torch.manual_seed(0)
    game = make("navigation", 32, 0, agents=2)
    settings = Tom2c(rows=10, rate=1e-2, belief_rate=3e-3)
    learner = ActorCritic(game, Walkers(2, dataclasses.replace(NARROW, graph="shared")), settings, seed=0, device="cpu")
    before = evaluate(learner, game, episodes=200)
    for _ in range(80):
        learner.iterate(CLOCK)
    after = evaluate(learner, game, episodes=200)
    assert after.score > before.score + 1.5
