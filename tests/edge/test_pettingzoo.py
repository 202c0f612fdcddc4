"""Our games as PettingZoo environments, by PettingZoo's own tests; and its environments as games."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import ParallelEnv
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test, state_test

from playing import assert_same, bots_in_turn, play_on
from toys import SEATS, Meadow
from velodrome.edge.pettingzoo import SeatsAec, SeatsParallel, from_pettingzoo
from velodrome.games import GAMES, make
from velodrome.games.game import Game, IllegalAction
from velodrome.learn.evaluate import evaluate
from velodrome.mistake import Mistake

KINDS = [*GAMES, "meadow"]
OPTIONS: dict[str, dict[str, Any]] = {name: {"state": True} for name in ("skirmish", "spread", "tag", "navigation")}
# Both say that spaces are other than arrays or numbers, which ours are on purpose: dicts by the names of the views.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Observation is not a NumPy array"),
    pytest.mark.filterwarnings("ignore:(Observation|Action) space for each agent probably should be"),
]


def game_of(name: str) -> Game:
    return Meadow(1, 0) if name == "meadow" else make(name, **OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", KINDS)
def test_pettingzoos_own_tests_pass(name: str) -> None:
    api_test(SeatsAec(game_of(name)), num_cycles=150)
    parallel_api_test(SeatsParallel(game_of(name)), num_cycles=150)
    seed_test(lambda: SeatsAec(game_of(name)), num_cycles=100)
    parallel_seed_test(lambda: SeatsParallel(game_of(name)), num_cycles=100)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore:(State space|Environment's m..imum state space value is).*:UserWarning")
def test_the_central_state_passes(name: str) -> None:
    if not any(view.private for view in game_of(name).spec.views.values()):
        assert SeatsAec(game_of(name)).state().size == 0
        return
    state_test(SeatsAec(game_of(name)), SeatsParallel(game_of(name)))


def test_rewards_reach_every_seat_of_a_turn_based_game() -> None:
    env = SeatsAec("hearts", reward="trick")
    env.reset(seed=3)
    earned = dict.fromkeys(env.possible_agents, 0.0)
    outcome = {}
    for agent in env.agent_iter():
        observation, reward, ended, cut, info = env.last()
        earned[agent] += reward
        assert not cut
        if ended:
            outcome[agent] = info["outcome"]
        env.step(None if ended else env.action_space(agent).sample(info["action_mask"]))
        assert observation.keys() == {"legal", "bits"}
    assert earned == {agent: -points for agent, points in outcome.items()}


def test_who_is_dead_is_not_asked() -> None:
    env = SeatsAec(Meadow(1, 0))
    died = False
    for seed in range(5):
        env.reset(seed=seed)
        while not any(env.terminations.values()) and not any(env.truncations.values()):
            alive = env.game.records["alive"][0].astype(bool)
            assert alive[env.possible_agents.index(env.agent_selection)]
            died |= not alive.all()
            env.step({"aim": np.float32([1, 0]), "keys": np.int8([0, 0])})
    assert died


def test_illegal_actions_are_refused_on_demand() -> None:
    env = SeatsParallel("hearts", illegal="refuse")
    _, infos = env.reset(seed=0)
    acting = next(agent for agent, info in infos.items() if info["acting"])
    illegal = int(infos[acting]["action_mask"].argmin())
    with pytest.raises(IllegalAction):
        env.step(dict.fromkeys(env.agents, illegal))


def test_without_pettingzoo_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['pettingzoo'] = None; import velodrome.edge.pettingzoo"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = found.stderr.strip().splitlines()[-1]
    assert last == 'ImportError: the adapters need PettingZoo: pip install "velodrome[edge]"'


# -- the other way round --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SeatsAec, SeatsParallel])
def test_hearts_there_and_back(kind: Any) -> None:
    """Hearts as a PettingZoo environment as a game is Hearts."""
    game = from_pettingzoo(lambda: kind("hearts", illegal="refuse"), longest=64, games=3)
    assert (game.spec.seats, game.spec.deciders) == (4, 1 if kind is SeatsAec else 4)
    inner: list[Game] = [slot.env.game for slot in game.slots]  # type: ignore[attr-defined]
    actions = bots_in_turn(game)
    for _ in range(64):
        for i, own in enumerate(inner):
            if kind is SeatsAec and not game.ended[i]:
                assert game.seat[i, 0] == own.seat[0, 0]
                np.testing.assert_array_equal(game.views["bits"][i], own.views["bits"][0])
                np.testing.assert_array_equal(game.views["action_mask"][i], own.views["legal"][0])
        standing = game.ended.copy()
        game.step(next(actions))
        for i, own in enumerate(inner):
            np.testing.assert_array_equal(game.rewards[i], 0 * own.rewards[0] if standing[i] else own.rewards[0])
    assert game.ended.all()


def test_meadow_there_and_back() -> None:
    game = from_pettingzoo(lambda: SeatsParallel(Meadow(1, 0)), longest=99, games=4)
    assert (game.spec.seats, game.spec.deciders) == (SEATS, SEATS)
    history = play_on(game, 40)
    assert any(step["cut"].any() for step in history)
    assert any(step["ended"].any() for step in history)
    assert_same(play_on(game.again(4, threads=2), 40), history)
    assert_same(play_on(game.again(1, first=2), 40), history, slice(2, 3))


class Roshambo(ParallelEnv):  # type: ignore[misc]
    """Rock, paper, scissors, once; the last move of the other is seen."""

    metadata = {"name": "roshambo"}

    def __init__(self, unlike: bool = False) -> None:
        self.possible_agents = ["ann", "bob"]
        self.spaces = {"ann": spaces.Discrete(3), "bob": spaces.Discrete(4 if unlike else 3)}

    def observation_space(self, agent: str) -> Any:
        return spaces.Discrete(4)

    def action_space(self, agent: str) -> Any:
        return self.spaces[agent]

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents = list(self.possible_agents)
        return dict.fromkeys(self.agents, 3), {agent: {} for agent in self.agents}

    def step(self, actions: Any) -> Any:
        won = [0, 1, -1][(actions["ann"] - actions["bob"]) % 3]
        over = dict.fromkeys(self.agents, True)
        seen = {"ann": actions["bob"], "bob": actions["ann"]}
        self.agents = []
        return seen, {"ann": won, "bob": -won}, over, dict.fromkeys(over, False), {"ann": {}, "bob": {}}


def test_a_parallel_environment_is_a_simultaneous_game() -> None:
    game = from_pettingzoo(Roshambo, longest=1, games=9)
    ann, bob = (grid.ravel() for grid in np.meshgrid(range(3), range(3)))
    game.step(np.stack([ann, bob], 1))
    np.testing.assert_array_equal(game.rewards[:, 0], np.array([0, 1, -1])[(ann - bob) % 3])
    np.testing.assert_array_equal(game.outcome[:, 1], -game.outcome[:, 0])
    np.testing.assert_array_equal(game.views["observation"], np.stack([bob, ann], 1))
    assert game.ended.all()
    assert abs(evaluate("random", game, "random", episodes=50).score) < 0.6


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="bob has other spaces than ann"):
        from_pettingzoo(Roshambo, longest=1, unlike=True)
    with pytest.raises(ValueError, match=r"pettingzoo\.board\.chess cannot be imported"):
        from_pettingzoo("pettingzoo.board.chess", longest=1)
    with pytest.raises(ValueError, match="json has neither"):
        from_pettingzoo("json", longest=1)
    with pytest.raises(Mistake, match="cannot be saved in mid-play"):
        from_pettingzoo(Roshambo, longest=1).snapshot()
