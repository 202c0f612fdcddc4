"""VDN and QMIX at work: what they learn towards, how they explore, and that they learn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from counting import ORDERS, SEATS, Counting

from velodrome.learn.agents import best, falling, mostly_best, of
from velodrome.learn.value import Value, ValueTeam
from velodrome.meter.clock import Clock
from velodrome.nets.agent import AgentNet
from velodrome.nets.mixing import Monotone, Sum

GAMES = 8
SMALL = Value(batch=8, updates=2, memory=16, discount=0.9, copy_every=3, explore_steps=40)


def team(settings: Value = SMALL, mixed: bool = True, memory: bool = False, game: Counting | None = None) -> ValueTeam:
    torch.manual_seed(0)
    net, mixer = AgentNet(2, "order", ORDERS, SEATS, 8, memory=memory), Monotone(2, SEATS) if mixed else Sum()
    return ValueTeam(game or Counting(GAMES), net, mixer, settings, seed=0, device="cpu")


def disturb(trainer: ValueTeam) -> None:
    """Let the slow nets differ from the others, as they do in the middle of training."""
    torch.manual_seed(9)
    for net in (trainer.slow_agents, trainer.slow_mixer):
        for parameter in net.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape)


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("memory", [True, False])
def test_the_loss_is_that_of_double_q_learning(mixed: bool, memory: bool) -> None:
    trainer = team(mixed=mixed, memory=memory)
    trainer.iterate(Clock())
    disturb(trainer)
    loss, value = trainer._loss(trainer.rows_of(torch.tensor([1, 2, 3, 4])))
    parts, errors, values = trainer.replay.rows, [], []
    for game in (1, 2, 3, 4):
        length, ended = int(parts["length"][game]), bool(parts["ended"][game])
        own, slow = (numbers_of(trainer, net, game, length) for net in (trainer.agents, trainer.slow_agents))
        state = [parts["state"][game].float()] if mixed else []
        for t in range(length):
            done = torch.stack([own[t][agent, parts["order"][game, t, agent].long()] for agent in range(SEATS)])
            wanted = parts["reward"][game, t]
            if t + 1 < length or not ended:
                legal = parts["legal"][game, t + 1]
                choice = [
                    max(legal[agent].nonzero().flatten().tolist(), key=lambda k: own[t + 1][agent, k])
                    for agent in range(SEATS)
                ]
                then = torch.stack([slow[t + 1][agent, order] for agent, order in enumerate(choice)])
                wanted = wanted + 0.9 * trainer.slow_mixer(then[None], *(each[t + 1][None] for each in state))[0]
            values.append(trainer.mixer(done[None], *(each[t][None] for each in state))[0])
            errors.append((values[-1] - wanted) ** 2)
    torch.testing.assert_close(loss, torch.stack(errors).mean(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(value, torch.stack(values).mean(), rtol=1e-4, atol=1e-5)


def numbers_of(trainer: ValueTeam, net: AgentNet, game: int, length: int) -> list[torch.Tensor]:
    """What a net says at every look of a remembered game, look by look."""
    parts, memory, found = trainer.replay.rows, net.start(SEATS), []
    for t in range(length + 1):
        outputs = net({"seen": parts["seen"][game, t], "seat": torch.arange(SEATS), **memory})
        memory = {"before": parts["order"][game, t].long() + 1} | {k: outputs[k] for k in ("hidden",) if k in outputs}
        found.append(outputs["order"])
    return found


def test_slow_nets_are_copied_now_and_then_or_follow() -> None:
    trainer = team()  # two updates an iteration, a copy after every third
    for copied in (False, False, True):
        trainer.iterate(Clock())
        assert same(trainer) == copied
    trainer = team(replace(SMALL, follow=0.25, updates=1))
    before = [parameter.clone() for parameter in trainer.slow_agents.parameters()]
    trainer.iterate(Clock())
    for old, slow, own in zip(before, trainer.slow_agents.parameters(), trainer.agents.parameters(), strict=True):
        torch.testing.assert_close(slow, 0.75 * old + 0.25 * own)


def same(trainer: ValueTeam) -> bool:
    pairs = zip(trainer.slow_agents.parameters(), trainer.agents.parameters(), strict=True)
    return all(torch.equal(slow, own) for slow, own in pairs)


def test_exploration_falls_with_game_steps() -> None:
    assert [falling(1.0, 0.05, 50, at) for at in (0, 25, 50, 999)] == pytest.approx([1.0, 0.525, 0.05, 0.05])
    trainer = team()
    told = [trainer.iterate(Clock()).metrics["exploration"] for _ in range(3)]
    assert told == pytest.approx([1.0, 1 - 0.95 * 20 / 40, 0.05])  # 20 steps an iteration


def test_any_legal_order_is_tried_and_no_other() -> None:
    numbers = torch.tensor([[0.0, 9.0, 3.0, 1.0]]).repeat(4000, 1)
    legal = torch.tensor([[True, False, True, True]]).repeat(4000, 1)
    generator = torch.Generator().manual_seed(0)
    assert best(numbers, legal).eq(2).all()
    assert mostly_best(0.0)(numbers, legal, generator).eq(2).all()
    shares = mostly_best(0.3)(numbers, legal, generator).bincount(minlength=4) / 4000
    assert shares.tolist() == pytest.approx([0.1, 0.0, 0.8, 0.1], abs=0.02)


def test_rewards_in_units_of_their_spread() -> None:
    trainer = team(replace(SMALL, normalise_rewards=True, reward_scale=2.0))
    trainer.iterate(Clock())
    paid = torch.tensor([float(t + 1) for game in range(GAMES) for t in range(game % 4 + 1)])
    expected = 2 * (paid - paid.mean()) / paid.std(correction=0)
    torch.testing.assert_close(trainer._paid(paid), expected)


def test_the_memory_forgets_the_oldest_games() -> None:
    trainer = team(mixed=False)
    for _ in range(3):
        trainer.iterate(Clock())
    assert len(trainer.replay) == 16
    assert trainer.replay.rows["seen"].dtype == torch.float16
    assert "state" not in trainer.replay.rows, "nobody looks at it"


@pytest.mark.parametrize("mixed", [True, False])
def test_a_known_course_is_learnt(mixed: bool) -> None:
    """Nothing that is done matters: three steps bring 1, 2 and 3."""
    trainer = team(replace(SMALL, updates=20, rate=1e-2, trace=0.5, discount=1.0), mixed, game=Counting(1, first=2))
    for _ in range(15):
        trainer.iterate(Clock())
    rows = trainer.rows_of(torch.tensor([0]))
    with torch.no_grad():
        seen = trainer.agents.inputs({**rows.parts, "seat": trainer.seats.expand_as(rows.parts["order"])})
        own = of(trainer.agents.unroll(seen, rows.sizes), rows.parts["order"])
        told = trainer.mixer(own, *([rows.parts["state"].float()] if mixed else []))
    assert told[rows.decides].tolist() == pytest.approx([6, 5, 3], abs=0.5)
