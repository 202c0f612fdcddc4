"""Learning from recorded episodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from velodrome.games import make
from velodrome.games.game import Game
from velodrome.learn.evaluate import evaluate
from velodrome.learn.imitate import Imitate, Imitation, returns_to_go
from velodrome.meter.clock import Clock
from velodrome.mistake import Mistake
from velodrome.nets.decision import DecisionNet
from velodrome.runs.checkpoint import digest, weights_of
from velodrome.runs.datasets import Dataset, Recorder

FAST = Imitation(minibatch=64, minibatches=20, rate=3e-3, critic_rate=3e-3)


def battle(name: str = "3m") -> Game:
    return make("skirmish", 1, seed=3, map=name, observation="madt", state=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, recorder = tmp_path_factory.mktemp("sets") / "3m", Recorder()
    evaluate("focus", battle(), episodes=60, seed=3, record=recorder)
    recorder.write(folder, {"who": "focus"})
    return folder


def imitator(folder: Path, mixer: str = "mhsa", game: Game | None = None) -> Imitate:
    torch.manual_seed(0)
    game = battle() if game is None else game
    seen, whole = (game.spec.views[name].shape[0] for name in ("seen", "state"))
    actor = DecisionNet("seen", seen, "order", game.spec.action[0].n, mixer=mixer)  # type: ignore[arg-type]
    critic = DecisionNet("state", whole, "value", 1, mixer=mixer)  # type: ignore[arg-type]
    return Imitate(game, Dataset(folder), actor, FAST, critic=critic)


@pytest.mark.parametrize("mixer", ["mhsa", "evae"])
def test_it_comes_to_do_what_was_done(folder: Path, mixer: str) -> None:
    trainer, clock = imitator(folder, mixer), Clock()
    told = [trainer.iterate(clock).metrics for _ in range(15)]
    assert told[-1]["policy_loss"] < 0.7 * told[0]["policy_loss"]
    assert told[-1]["value_loss"] < 0.5 * told[0]["value_loss"]
    assert told[-1]["agreement"] > 0.6
    own, trivial = (evaluate(who, battle(), episodes=60, greedy=True).mean_return for who in (trainer, "random"))
    assert own > 2 * trivial


def test_it_goes_on_to_the_bit(folder: Path) -> None:
    once, clock = imitator(folder, "evae"), Clock()
    for _ in range(3):
        once.iterate(clock)
    random = torch.get_rng_state()
    again = imitator(folder, "evae")
    again.load(once.state())
    ends = []
    for trainer in (once, again):
        torch.set_rng_state(random)
        for _ in range(30):  # into the next epoch
            trainer.iterate(clock)
        ends.append(digest(weights_of(trainer.nets)))
    assert ends[0] == ends[1]
    assert once.iteration == 33


def test_every_living_decision_is_a_sample(folder: Path) -> None:
    data, trainer = Dataset(folder), imitator(folder)
    assert len(trainer.samples) == data.arrays["acting"].sum()
    views, action, returns = trainer._batch(trainer.samples[:50])
    assert views["legal"].gather(1, action[:, None]).all()
    assert views["seen"].shape == (50, 64)
    first = np.flatnonzero(data.arrays["acting"][0])
    assert returns[: len(first)].tolist() == trainer.returns[0][first].tolist()


def test_what_is_remembered_of_a_set_is_what_was_seen_before(folder: Path) -> None:
    torch.manual_seed(0)
    game = battle()
    actor = DecisionNet("seen", 64, "order", 9, tokens="rtgs_state_action", orders=9, context=4)
    trainer = Imitate(game, Dataset(folder), actor, FAST)
    data, memory = trainer.data, actor.start(3)
    second = int(data.starts[1])
    for step in [*range(second, second + 6), *range(6)]:
        if step in data.starts:
            memory = actor.start(3)
        rows = step * 3 + np.arange(3)
        views, _, _ = trainer._batch(rows)
        end = int(data.starts[data.starts > step][0])
        to_come = data.arrays["reward"][step:end].sum(0)
        torch.testing.assert_close(20 - views["earned"], torch.from_numpy(to_come).float())
        for name, part in memory.items():
            assert torch.equal(views[name], part), (name, step)
        memory = actor.remember(views)


def test_returns_end_with_their_episode() -> None:
    rewards = np.array([[1.0], [2.0], [4.0], [8.0]])
    found = returns_to_go(rewards, np.array([0, 2, 4]), 0.5)
    assert found[:, 0].tolist() == [2.0, 2.0, 8.0, 8.0]


def test_a_set_of_another_map_is_refused(folder: Path) -> None:
    with pytest.raises(Mistake, match="map='3m', not '8m'"):
        imitator(folder, game=battle("8m"))
