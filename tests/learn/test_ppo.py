import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from toys import Meadow
from velodrome.games import make
from velodrome.games.game import Choice
from velodrome.learn.actions import Actions
from velodrome.learn.evaluate import evaluate
from velodrome.learn.opponents import Opponents, Pool, Table, digest
from velodrome.learn.policy import Majority, NetPolicy
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.meter.clock import Clock
from velodrome.nets.flat import FlatNet
from velodrome.nets.hearts import critic, player
from velodrome.recipes.ppo import eyes_for

SMALL = Ppo(batch=512, minibatch=128, epochs=2, rate=3e-3, reward_scale=0.1)


def trainer(lanes: int = 1, settings: Ppo = SMALL, games: int = 32, **options: Any) -> SelfPlay:
    torch.manual_seed(0)
    game = make("hearts", games=games, seed=0, observation="compact", reward="trick", forced="played")
    packed = {name: game.views[name].shape[-1] for name in ("bits", "others")}
    net = player({"bits": packed["bits"]}, (32,))
    return SelfPlay(game, net, settings, critic=critic(packed, (32,)), lanes=lanes, **options)


def weights(made: SelfPlay) -> str:
    return digest(nn.ModuleDict(made.nets))


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_same_seed_learns_the_same(lanes: int) -> None:
    first, second = trainer(lanes), trainer(lanes)
    for made in (first, second):
        for _ in range(2):
            made.iterate(Clock(enabled=False))
    assert weights(first) == weights(second)


def test_lanes_add_up_to_the_whole_gradient() -> None:
    """Each lane's share of a gradient, added up, is the gradient of the mean over all of their samples."""
    made = trainer(lanes=2)
    for lane in made.lanes:
        lane.play(Clock(enabled=False))
        lane.estimate()
    expected = []
    for number, lane in enumerate(made.lanes):
        rows = lane.segment.rows[:64]
        loss, _ = lane._loss(*lane._batch(rows))
        (parameters,) = lane.parameters
        expected.append(torch.autograd.grad(loss, parameters))
        lane.gradient(rows, Clock(enabled=False))
        made.optimizers[0].bring(number, parameters)
    total = torch.cat([(a + b).flatten() / 2 for a, b in zip(*expected, strict=True)])
    torch.testing.assert_close(made.optimizers[0].gradients.sum(0), total, atol=1e-6, rtol=1e-4)


def test_parts_of_a_minibatch_add_up_to_the_whole() -> None:
    whole, parted = trainer(), trainer(settings=replace(SMALL, accumulate=4))
    whole.iterate(Clock(enabled=False))
    parted.iterate(Clock(enabled=False))
    for name in whole.nets:
        for a, b in zip(whole.nets[name].parameters(), parted.nets[name].parameters(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_samples_and_decisions_are_counted() -> None:
    made = trainer()
    progress = made.iterate(Clock(enabled=False))
    assert progress.counts.learner_samples == SMALL.batch * SMALL.epochs
    steps = made.lanes[0].segment.rewards.shape[1]
    assert progress.counts.game_steps == progress.counts.decisions == 32 * steps
    assert len(made.lanes[0].segment.rows) >= SMALL.batch


def test_a_batch_is_as_large_where_others_play_most_of_the_seats() -> None:
    made = trainer(opponents=Opponents(bots=("lowest",), bots_share=1.0))
    counts = made.iterate(Clock(enabled=False)).counts
    assert counts.learner_samples == pytest.approx(SMALL.batch * SMALL.epochs, rel=0.1)
    assert counts.game_steps > 3 * SMALL.batch


def test_the_ratio_is_one_before_the_first_update() -> None:
    made = trainer()
    lane = made.lanes[0]
    lane.play(Clock(enabled=False))
    lane.estimate()
    _, told = lane._loss(*lane._batch(lane.segment.rows))
    assert abs(float(told[3])) < 1e-6  # the policy has not moved
    assert float(told[4]) == 0  # and nothing was clipped


def test_played_in_another_mode_it_is_not_unless_it_learns_as_it_played() -> None:
    for as_played in (False, True):
        torch.manual_seed(0)
        made = trainer(settings=replace(SMALL, as_played=as_played))
        made.nets["net"].add_module("drop", nn.Dropout(0.5))
        made.nets["net"].register_forward_hook(lambda net, _, out: {k: 30 * net.drop(v) for k, v in out.items()})
        lane = made.lanes[0]
        lane.play(Clock(enabled=False))
        lane.estimate()
        _, told = lane._loss(*lane._batch(lane.segment.rows))
        assert (abs(float(told[3])) < 1e-6) == as_played


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_average_begins_where_an_earlier_stage_has_ended(lanes: int) -> None:
    made = trainer(lanes, replace(SMALL, average=0.999, rate=1e-4))
    with torch.no_grad():
        for parameter in made.nets["net"].parameters():
            parameter.add_(1.0)
    learnt = digest(made.nets["net"])
    assert digest(made.policy().net) == learnt  # type: ignore[attr-defined]
    made.iterate(Clock(enabled=False))
    assert made.average is not None
    away = [
        float((one - other).detach().abs().max())
        for one, other in zip(made.average.net.parameters(), made.nets["net"].parameters(), strict=True)
    ]
    assert 0 < max(away) < 0.01
    assert digest(made.policy().net) == digest(made.average.net)  # type: ignore[attr-defined]


def test_the_rate_falls() -> None:
    made = trainer(settings=replace(SMALL, rate_halves=1))
    rates = [made.iterate(Clock(enabled=False)).metrics["rate"] for _ in range(3)]
    np.testing.assert_allclose(rates, [3e-3, 1.5e-3, 1e-3])


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_weight_of_entropy_falls(lanes: int) -> None:
    falling = trainer(lanes, replace(SMALL, entropy=0.06, entropy_halves=1))
    half = trainer(lanes, replace(SMALL, entropy=0.03))
    for made in (falling, half):
        made.iterate(Clock(enabled=False))
    assert weights(falling) != weights(half)
    half.load(falling.state())
    for made in (falling, half):
        made.iterate(Clock(enabled=False))
    assert weights(falling) == weights(half)


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_critic_can_learn_at_its_own_rate(lanes: int) -> None:
    made = trainer(lanes, settings=replace(SMALL, critic_rate=1e-12))
    before = {name: [part.detach().clone() for part in net.parameters()] for name, net in made.nets.items()}
    made.iterate(Clock(enabled=False))
    moved = {
        name: max(
            float((now.detach() - was).abs().max())
            for now, was in zip(made.nets[name].parameters(), parts, strict=True)
        )
        for name, parts in before.items()
    }
    assert moved["net"] > 1e-3
    assert moved["critic"] < 1e-8


# -- the expert ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 2])
def test_an_anchor_keeps_the_player_near_what_it_was(lanes: int) -> None:
    away = {}
    for anchor in (1e-9, 30.0):
        made = trainer(lanes, settings=replace(SMALL, anchor=anchor))
        began = digest(made.nets["net"])
        made.state()  # lanes that are there before the expert come to know it, too
        for _ in range(4):
            told = made.iterate(Clock(enabled=False)).metrics
        away[anchor] = told["from_expert"]
        assert made.expert is not None
        assert digest(made.expert) == began != digest(made.nets["net"])
    assert away[30.0] < 0.5 * away[1e-9]


def test_without_an_anchor_or_a_vote_there_is_no_expert() -> None:
    made = trainer()
    assert "from_expert" not in made.iterate(Clock(enabled=False)).metrics
    assert made.expert is None


def test_a_majority_of_all_seats_decides_for_the_whole_game() -> None:
    class Sure(nn.Module):
        wants = ("sure",)

        def __init__(self, prefers: int, column: int):
            super().__init__()
            self.prefers, self.column = prefers, column

        def forward(self, views: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            logits = torch.zeros(len(views["sure"]), 2)
            logits[:, self.prefers] = views["sure"][:, self.column]
            return {"card": logits}

    actions = Actions((Choice("card", 2),))
    first, second = (NetPolicy(Sure(which, which), actions, greedy=True) for which in range(2))
    surer, less, even = [1.0, 2.0], [2.0, 1.0], [1.0, 1.0]
    games = {0: [surer, surer, less], 1: [surer, surer, even, less], 2: [surer, surer, surer, even], 3: [surer]}
    views = {
        "sure": torch.tensor([row for rows in games.values() for row in rows]),
        "game": torch.tensor([game for game, rows in games.items() for _ in rows]),
    }
    action, _ = Majority(first, second, seats=4).act(views, {}, torch.Generator())
    assert [set(action["card"][views["game"] == game].tolist()) for game in games] == [{0}, {0}, {1}, {0}]


def test_with_a_vote_the_player_acts_beside_its_expert() -> None:
    made = trainer(settings=replace(SMALL, vote=True))
    assert isinstance(made.policy(), NetPolicy)
    made.iterate(Clock(enabled=False))
    assert isinstance(made.policy(), Majority)
    assert evaluate(made, made.game, "random", episodes=4, greedy=True).decisions > 0


def test_it_learns_to_play_hearts() -> None:
    made = trainer(settings=replace(SMALL, batch=4096, minibatch=512, epochs=3), games=128)
    before = evaluate(made, made.game, "random", episodes=200, seed=1, greedy=True)
    for _ in range(12):
        made.iterate(Clock(enabled=False))
    after = evaluate(made, made.game, "random", episodes=200, seed=1, greedy=True)
    assert after.score + 3 * after.stderr < before.score - 3 * before.stderr
    assert after.score < 5.5  # a random player gets 6.5


# -- opponents ----------------------------------------------------------------------------------------------------

MIXED = Opponents(bots=("rule", "lowest"), bots_share=0.4, pool_share=0.4, pool_every=1, pool_size=2)


def test_opponents_change_only_between_games_and_every_kind_comes_to_play() -> None:
    made = trainer(opponents=MIXED)
    table, game = made.lanes[0].segment.table, made.lanes[0].segment.game
    met: set[int] = set()
    reset = game.reset

    def watched(which: np.ndarray | None = None) -> None:
        before = table.other.copy(), table.hero.copy()
        reset(which)
        assert (table.other[~which] == before[0][~which]).all()  # type: ignore[index]
        met.update(table.other.tolist())

    game.reset = watched  # type: ignore[method-assign]
    seat_players = table.seat_players

    def seated(began: np.ndarray) -> None:
        before = table.other.copy(), table.hero.copy()
        seat_players(began)
        assert (table.other[~began] == before[0][~began]).all()
        assert (table.hero[~began] == before[1][~began]).all()
        met.update(table.other.tolist())

    table.seat_players = seated  # type: ignore[method-assign]
    for _ in range(5):
        made.iterate(Clock(enabled=False))
    assert met == {0, 1, 2, 3, 4}  # the net itself, two bots, two snapshots


def test_only_own_decisions_are_learnt_from() -> None:
    made = trainer(opponents=MIXED)
    made.iterate(Clock(enabled=False))
    segment = made.lanes[0].segment
    assert segment.own.reshape(-1)[segment.rows.numpy()].all()
    assert 0.2 < segment.own.mean() < 0.9


def test_bots_play_as_they_would() -> None:
    made = trainer(opponents=Opponents(bots=("lowest",), bots_share=1.0))
    lane = made.lanes[0]
    lane.play(Clock(enabled=False))
    lane.estimate()
    theirs = ~lane.segment.own
    legal = lane.segment.views["legal"].numpy()
    lowest = legal.argmax(-1)
    assert (lane.segment.action["card"].numpy()[theirs] == lowest[theirs]).all()
    assert not (lane.segment.action["card"].numpy()[~theirs] == lowest[~theirs]).all()


def test_snapshots_are_frozen_and_a_changed_one_is_noticed() -> None:
    net = nn.Linear(2, 2)
    pool = Pool(Opponents(pool_share=0.5, pool_every=1, pool_size=2))
    for iteration in range(1, 4):
        pool.watch(net, iteration)
        nn.init.constant_(net.weight, float(iteration))
    assert len(pool.nets) == 2
    assert [float(frozen.weight[0, 0]) for frozen in pool.nets] == [1.0, 2.0]  # type: ignore[union-attr, index]
    with torch.no_grad():
        pool.nets[0].weight.add_(1)  # type: ignore[operator, union-attr]
    with pytest.raises(RuntimeError, match="frozen opponent"):
        pool.watch(net, 5)


def test_a_pool_comes_back_from_its_state() -> None:
    made = trainer(opponents=MIXED)
    for _ in range(3):
        made.iterate(Clock(enabled=False))
    state = copy.deepcopy(made.state())
    other = trainer(opponents=MIXED)
    other.load(state)
    assert other.pool.digests == made.pool.digests
    made.iterate(Clock(enabled=False))
    other.iterate(Clock(enabled=False))
    assert weights(made) == weights(other)


def test_shares_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 1"):
        Opponents(bots=("rule",), bots_share=0.6, pool_share=0.6)
    with pytest.raises(ValueError, match="no bots"):
        Opponents(bots_share=0.1)
    with pytest.raises(ValueError, match="minibatch"):
        Ppo(batch=10, minibatch=20)


def test_what_was_trained_on_another_device_plays_as_it_did() -> None:
    made, other = trainer(lanes=2), trainer()
    made.iterate(Clock(enabled=False))
    untouched = other.state()["lanes"]
    other.load(made.state() | {"device": "cuda", "lanes": [{}]})
    assert weights(other) == weights(made)
    assert other.iteration == 1
    assert str(other.state()["lanes"]) == str(untouched)


def test_a_table_alone_seats_nobody() -> None:
    game = make("hearts", games=4)
    table = Table(game, Opponents(), Pool(Opponents()), 0)
    assert not table.mixed
    assert table.own().all()
    assert table.held().all()
    assert Actions(game.spec.action).heads == {"card": 52}


def test_after_a_limit_that_ends_nothing_is_worth_anything() -> None:
    advantages, segments = {}, {}
    for limit_ends in (False, True):
        torch.manual_seed(0)
        game = Meadow(8, 0, longest=3)
        net = FlatNet(eyes_for(game.spec, False), (8,), Actions(game.spec.action).heads | {"value": 1})
        lane = SelfPlay(game, net, Ppo(batch=64, minibatch=32, limit_ends=limit_ends)).lanes[0]
        lane.play(Clock(enabled=False))
        segments[limit_ends] = segment = lane.segment
        assert segment.cut.any()
        segment.estimate(1.0, 1.0, 1.0)
        last = segment.cut & ~segment.ended
        advantages[limit_ends] = segment.advantage.view(segment.value.shape)[last]
    left = torch.from_numpy(segments[False].cut_value[last])
    torch.testing.assert_close(advantages[False], advantages[True] + left)
    assert left.abs().max() > 1e-3
