"""Running moments in training: of what is seen and of what is earned, the same in all lanes, kept and deployed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from small import small
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.learn.returns import Returns
from velodrome.meter.clock import Clock
from velodrome.nets.moments import FARTHEST
from velodrome.recipes import find


def trainer(seed: int = 0, ppo: dict[str, Any] | None = None, **changes: Any) -> SelfPlay:
    found = find("ppo")
    settings = dataclasses.replace(small(found.settings()), **changes)
    settings = dataclasses.replace(settings, ppo=dataclasses.replace(settings.ppo, **(ppo or {})))
    made = found.build(settings, seed, "cpu")
    assert isinstance(made, SelfPlay)
    return made


def test_returns_are_those_so_far() -> None:
    returns, random = Returns(2, 3, 0.5), np.random.default_rng(0)
    rewards, over = random.normal(size=(2, 9, 3)).astype(np.float32), random.random((2, 9)) < 0.3
    seen = []
    for game in range(2):
        so_far = np.zeros(3)
        for step in range(9):
            so_far = 0.5 * so_far + rewards[game, step]
            seen.append(so_far)
            so_far = np.zeros(3) if over[game, step] else so_far
    for part in (slice(0, 4), slice(4, 9)):
        returns.moments.take(returns.sums(rewards[:, part], over[:, part]))
    spread = np.std(seen)
    assert abs(float(returns.moments.spread) / spread - 1) < 1e-5
    np.testing.assert_allclose(returns.in_units(rewards), rewards / spread, rtol=1e-5)
    assert returns.in_units(rewards * 1e6).max() == FARTHEST


def test_all_lanes_have_the_same_moments() -> None:
    class Telling(SelfPlay):
        def _state_of_lane(self, clock: Clock) -> dict[str, Any]:
            told = [{name: part.numpy().copy() for name, part in m.state_dict().items()} for _, m in self.watching]
            return super()._state_of_lane(clock) | {"seen": told}

    pattern = trainer()
    made = Telling(pattern.game, pattern.nets["net"], pattern.settings, critic=pattern.nets["critic"], lanes=2)
    for _ in range(3):
        made.iterate(Clock(enabled=False))
    one, other = made.state()["lanes"]
    assert one["seen"][0]["count"] > 150
    np.testing.assert_equal(one["seen"], other["seen"])
    own, others = one["returns"].pop("so_far"), other["returns"].pop("so_far")
    assert not np.array_equal(own, others)
    np.testing.assert_equal(one["returns"], other["returns"])


def test_the_ratio_is_one_before_the_first_update_of_every_iteration_but_the_first() -> None:
    """What is seen is not normalised anew between playing and learning."""
    made = trainer()
    made.iterate(Clock(enabled=False))
    lane = made.lanes[0]
    lane.play(Clock(enabled=False))
    lane.estimate()
    _, told = lane._loss(*lane._batch(lane.segment.rows))
    assert abs(float(told[3])) < 1e-6


def test_the_average_sees_as_the_net_does() -> None:
    made = trainer(ppo={"average": 0.9})
    for _ in range(2):
        made.iterate(Clock(enabled=False))
    deployed = dict(made.policy().net.named_buffers())
    for name, buffer in made.nets["net"].named_buffers():
        assert torch.equal(deployed[name], buffer)
    other = trainer(1, ppo={"average": 0.9})
    other.load(made.state())
    assert torch.equal(other.policy().net.eyes.moments.mean, deployed["eyes.moments.mean"])  # type: ignore[union-attr]


def test_without_rewards_normalised_a_state_says_nothing_of_returns() -> None:
    made = trainer(ppo={"normalise_rewards": False})
    made.iterate(Clock(enabled=False))
    (lane,) = made.state()["lanes"]
    assert lane["returns"] is None
    assert not Ppo().normalise_rewards
