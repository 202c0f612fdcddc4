"""The adapter to StarCraft II, tried on a stand-in with SMAC's interface that plays Skirmish behind it."""

from __future__ import annotations

import gc
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from velodrome.games import make
from velodrome.games.game import IllegalAction
from velodrome.games.skirmish import Skirmish
from velodrome.learn.evaluate import evaluate
from velodrome.mistake import Mistake


class StandIn:
    """SMAC's environment as far as the adapter knows it."""

    limit_of = staticmethod(lambda limit: limit)
    closed: ClassVar[list[bool]] = []

    def __init__(self, map_name: str, seed: int):
        self.game = Skirmish(1, seed, map=map_name, state=True)
        self.first = True

    def get_env_info(self) -> dict[str, int]:
        spec = self.game.spec
        return {"n_agents": spec.seats, "n_actions": spec.action[0].n, "episode_limit": self.limit_of(spec.longest)}

    def reset(self) -> None:
        if not self.first:
            self.game.reset()
        self.first = False

    def step(self, actions: list[int]) -> tuple[float, bool, dict[str, bool]]:
        self.game.step(np.array([actions]))
        info = {"battle_won": bool(self.game.outcome[0, 0])} if self.game.ended[0] or self.game.cut[0] else {}
        if self.game.cut[0]:
            info["episode_limit"] = True
        return float(self.game.rewards[0, 0]), bool(info), info

    def get_avail_actions(self) -> list[list[int]]:
        return self.game.views["legal"][0].astype(int).tolist()  # type: ignore[no-any-return]

    def _units(self, first: int, n: int) -> dict[int, Any]:
        record = self.game.records[0]
        names = {"health": "health", "shield": "shield", "weapon_cooldown": "cooldown", "energy": "energy"}
        return {
            number: SimpleNamespace(
                pos=SimpleNamespace(x=float(record["x"][first + number]), y=float(record["y"][first + number])),
                **{theirs: max(float(record[ours][first + number]), 0.0) for theirs, ours in names.items()},
            )
            for number in range(n)
        }

    @property
    def agents(self) -> dict[int, Any]:
        return self._units(0, int(self.game.world.allies))

    @property
    def enemies(self) -> dict[int, Any]:
        return self._units(int(self.game.world.allies), int(self.game.world.enemies))

    def close(self) -> None:
        self.closed.append(True)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("smac", "smac.env"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["smac.env"], "StarCraft2Env", StandIn, raising=False)


@pytest.mark.parametrize("name", ["3m", "MMM", "2s3z"])
@pytest.mark.parametrize("observation", ["stock", "madt"])
@pytest.mark.usefixtures("installed")
def test_it_shows_what_skirmish_shows(name: str, observation: str) -> None:
    real = make(f"starcraft:{name}", 1, seed=4, observation=observation, state=True)
    ours = make("skirmish", 1, seed=4, map=name, observation=observation, state=True)
    for _ in range(2 * real.spec.longest):
        for view in ours.views:
            np.testing.assert_array_equal(real.views[view], ours.views[view], view)
        np.testing.assert_array_equal(real.acting, ours.acting)
        action = ours.bot("focus")
        for game in (real, ours):
            game.step(action)
        for told in ("rewards", "ended", "cut", "outcome"):
            np.testing.assert_array_equal(getattr(real, told), getattr(ours, told), told)
        if ours.ended[0] or ours.cut[0]:
            for game in (real, ours):
                game.reset()


@pytest.mark.usefixtures("installed")
def test_it_can_be_evaluated_and_refuses_what_is_not_allowed() -> None:
    game = make("starcraft:3m", 2, state=True)
    assert 0 <= evaluate("nearest", game, episodes=4).score <= 1
    with pytest.raises(IllegalAction):
        game.step(np.zeros((2, 3), np.int64))
    with pytest.raises(Mistake, match="cannot be saved"):
        game.snapshot()


@pytest.mark.usefixtures("installed")
def test_bots_do_what_the_real_game_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ground may differ from ours: here nobody can walk."""
    as_it_is = StandIn.get_avail_actions
    monkeypatch.setattr(
        StandIn, "get_avail_actions", lambda self: [[*row[:2], 0, 0, 0, 0, *row[6:]] for row in as_it_is(self)]
    )
    game = make("starcraft:3m", 2)
    for name in game.spec.bots:
        game.reset()
        for _ in range(30):
            game.step(game.bot(name))


@pytest.mark.usefixtures("installed")
def test_its_processes_end_with_it() -> None:
    StandIn.closed.clear()
    game = make("starcraft:3m", 2)
    game.again(1)  # ends at once
    assert len(StandIn.closed) == 1
    del game
    gc.collect()
    assert len(StandIn.closed) == 3


@pytest.mark.usefixtures("installed")
def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "limit_of", staticmethod(lambda limit: limit + 1))
    with pytest.raises(Mistake, match="versions differ"):
        make("starcraft:3m")


def test_a_missing_install_says_what_to_do() -> None:
    with pytest.raises(Mistake, match="pip install git"):
        make("starcraft:3m")
