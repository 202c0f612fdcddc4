"""PPO on other people's environments: every kind of action is learnt, masks are obeyed, limits are no ends."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv

from velodrome.cli import main
from velodrome.edge.gymnasium import from_gymnasium
from velodrome.edge.pettingzoo import from_pettingzoo
from velodrome.games import make
from velodrome.learn.evaluate import evaluate
from velodrome.learn.ppo import SelfPlay
from velodrome.meter.clock import Clock
from velodrome.recipes.ppo import Settings, ppo

N = 3
ACTIONS = {
    "choice": spaces.Discrete(N, start=5),
    "choices": spaces.MultiDiscrete([N, 2]),
    "bits": spaces.MultiBinary(2),
    "box": spaces.Box(np.float32([-1, 10]), np.float32([3, 20]), dtype=np.float32),
    "all": spaces.Dict({"pick": spaces.Discrete(N), "push": spaces.Box(-2, 2, (1,), np.float32)}),
}


class Echo(gymnasium.Env[Any, Any]):
    """Shows a number, wants it back in the form of its action, and asks for it six times. It is over after that."""

    def __init__(self, action: str = "choice", masks: str = "none"):
        self.action_space, self.kind, self.masks = ACTIONS[action], action, masks
        self.observation_space: Any = spaces.Box(990, 1010, (2,), np.float32)
        if masks == "seen":
            mask = spaces.MultiBinary(N)
            self.observation_space = spaces.Dict({"number": self.observation_space, "action_mask": mask})

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self.show()

    def show(self) -> Any:
        self.number = int(self.np_random.integers(N))
        self.mask = np.ones(N, np.int8)
        self.mask[(self.number + 1) % N] = 0
        seen = np.float32([1000 + self.number, 1000])
        if self.masks == "seen":
            return {"number": seen, "action_mask": self.mask}, {}
        told = (self.mask, self.mask[:2]) if self.kind == "choices" else self.mask
        if self.masks == "flat":
            told = np.concatenate(told)
        return seen, {} if self.masks == "none" else {"action_mask": told}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        assert self.masks == "none" or self.allowed(action), (action, self.mask)
        self.steps += 1
        reward = self.worth(action)
        return *(seen := self.show())[:1], reward, self.steps == 6, False, seen[1]

    def allowed(self, action: Any) -> bool:
        if self.kind == "choices":
            return bool(self.mask[action[0]]) and (bool(self.mask[action[1]]) or not self.mask[:2].any())
        return bool(self.mask[action - 5])

    def worth(self, action: Any) -> float:
        number = self.number
        if self.kind == "choice":
            return float(action - 5 == number)
        if self.kind == "choices":
            return float(np.mean([action[0] == number, action[1] == number % 2]))
        if self.kind == "bits":
            return float(np.mean(action == [number > 0, number == 1]))
        if self.kind == "box":
            return 1 - float(np.abs((action - [1, 15]) / [2, 5] - (number - 1) / 2).mean())
        return 0.5 * float(action["pick"] == number) + 0.5 - 0.25 * abs(float(action["push"][0]) - number + 1)


def trainer(game: str = "gymnasium:CartPole-v1", seed: int = 0, **of_ppo: Any) -> SelfPlay:
    settings = Settings(game=game, games=16, widths=(32,))
    few = {"batch": 512, "minibatch": 64, "epochs": 6, "rate": 5e-3, "kl_stop": 0.0} | of_ppo
    return ppo(dataclasses.replace(settings, ppo=dataclasses.replace(settings.ppo, **few)), seed, "cpu")


def trained(made: SelfPlay, iterations: int) -> SelfPlay:
    clock = Clock(enabled=False)
    for _ in range(iterations):
        progress = made.iterate(clock)
        assert all(math.isfinite(value) for value in progress.metrics.values())
    return made


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an environment of this file known to Gymnasium while a test runs."""
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    monkeypatch.setattr(gymnasium, "registry", gymnasium.envs.registration.registry)

    def register(env: Any, limit: int | None = 50, **options: Any) -> str:
        gymnasium.register("Tested-v0", entry_point=env, max_episode_steps=limit, kwargs=options)
        return "gymnasium:Tested-v0"

    return register


@pytest.mark.parametrize("action", ACTIONS)
def test_every_kind_of_action_is_learnt(registered: Any, action: str) -> None:
    """From numbers that are far from zero and hardly differ."""
    made = trainer(registered(Echo, action=action), entropy=0.0)
    before = evaluate("random", made.game, episodes=50).score
    after = evaluate(trained(made, 14), made.game, episodes=50, greedy=True).score
    assert after > 5.3 > before + 1, (before, after)


@pytest.mark.parametrize(
    ("action", "masks"), [("choice", "told"), ("choice", "seen"), ("choices", "told"), ("choices", "flat")]
)
def test_masks_are_obeyed(registered: Any, action: str, masks: str) -> None:
    """The environment itself asserts it."""
    made = trained(trainer(registered(Echo, action=action, masks=masks)), 2)
    assert all(part.mask is not None for part in made.game.spec.action)  # type: ignore[union-attr]
    for player in (made, "random"):
        assert evaluate(player, made.game, episodes=20).score > 2


class Endless(gymnasium.Env[Any, Any]):
    """Nothing ever happens, and it pays."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, ends_after: int = 1000):
        self.ends_after = ends_after

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.zeros(1, np.float32), 1.0, self.steps == self.ends_after, False, {}


@pytest.mark.parametrize(("ends_after", "last"), [(1000, 1 + 0.9 * 7), (5, 1)])
def test_a_time_limit_is_no_end(registered: Any, ends_after: int, last: float) -> None:
    made = trainer(
        registered(Endless, limit=5, ends_after=ends_after), discount=0.9, trace=0.0, normalise_rewards=False
    )
    layer = made.nets["critic"].layers[-1]  # type: ignore[index]
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(7.0)
    lane = made.lanes[0]
    lane.play(Clock(enabled=False))
    lane.estimate()
    returns = lane.segment.returns.view(16, -1)
    torch.testing.assert_close(returns[:, :4], torch.full((16, 4), 1 + 0.9 * 7))
    torch.testing.assert_close(returns[:, 4], torch.full((16,), float(last)))


def test_pendulum_trains() -> None:
    made = trained(trainer("gymnasium:Pendulum-v1"), 2)
    assert -2000 < evaluate(made, made.game, episodes=2).score < 0


class Places(ParallelEnv):  # type: ignore[misc]
    """Everyone is to say which seat is theirs, and sees nothing. The last agent leaves after the first step."""

    metadata = {"name": "places"}

    def __init__(self, agents: int = 3, lasts: int = 4):
        self.possible_agents, self.max_cycles = [f"agent_{i}" for i in range(agents)], lasts

    def observation_space(self, agent: str) -> Any:
        return spaces.Box(0, 1, (1,), np.float32)

    def action_space(self, agent: str) -> Any:
        return spaces.Discrete(3)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents, self.steps = list(self.possible_agents), 0
        return self.everyone(np.zeros(1, np.float32)), self.everyone({})

    def everyone(self, thing: Any) -> dict[str, Any]:
        return dict.fromkeys(self.agents, thing)

    def step(self, actions: Any) -> Any:
        assert list(actions) == self.agents
        self.steps += 1
        rewards = {agent: float(agent == f"agent_{action}") for agent, action in actions.items()}
        leaves = {agent: agent == self.possible_agents[-1] for agent in self.agents}
        cut = self.everyone(self.steps == self.max_cycles)
        told = self.everyone(np.zeros(1, np.float32)), rewards, leaves, cut, self.everyone({})
        self.agents = [] if self.steps == self.max_cycles else [agent for agent in self.agents if not leaves[agent]]
        return told


def test_agents_share_a_net_that_knows_its_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "places", type(sys)("places"))
    sys.modules["places"].parallel_env = Places  # type: ignore[attr-defined]
    made = trainer("pettingzoo:places")
    assert (made.game.spec.seats, made.game.spec.longest) == (3, 4)
    found = evaluate(trained(made, 8), made.game, episodes=10, greedy=True)
    assert found.score == pytest.approx((4 + 4 + 1) / 3)


def test_who_has_left_is_worth_nothing_when_the_others_are_cut() -> None:
    game = from_pettingzoo(Places, games=2)
    for _ in range(4):
        game.step(game.bot("random"))
    assert (game.cut.all(), game.ended.any()) == (True, False)
    assert game.acting.tolist() == [[True, True, False]] * 2


def test_who_leaves_with_the_last_step_is_not_cut() -> None:
    game = from_pettingzoo(Places, lasts=1)
    game.step(game.bot("random"))
    assert (game.cut[0], game.acting[0].tolist()) == (True, [True, True, False])


# -- runs -----------------------------------------------------------------------------------------------------------

FEW = ["--games", "4", "--ppo.batch", "64", "--ppo.minibatch", "32", "--ppo.epochs", "1"]


def test_a_run_goes_on_with_games_begun_anew(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train = ["train", "ppo", *FEW, "--run", str(tmp_path / "run"), "--resume", "--json", "--iterations"]
    assert main([*train, "2"]) == 0
    assert "begin anew" not in capfd.readouterr().err
    assert main([*train, "4"]) == 0
    said = capfd.readouterr()
    assert "velodrome: CartPole-v1 cannot be put back in mid-play: its games begin anew\n" in said.err
    assert json.loads(said.out)["iterations"] == 4


def test_resumed_games_are_not_the_first_ones_again() -> None:
    game = from_gymnasium("CartPole-v1", games=3)
    first = game.views["observation"].copy()
    other = game.again(3)
    other.resume(game.records)
    assert not np.isin(other.views["observation"], first).any()


def test_a_game_for_one_is_evaluated_beside_the_random_player(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "ppo", *FEW, "--episodes", "20", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert (document["against"], document["score_name"]) == ("nobody", "return")
    assert 10 < document["baselines"]["random"]["score"] < 40


def test_agents_together_are_evaluated_in_all_seats(capfd: pytest.CaptureFixture[str]) -> None:
    spread = ["--game", "pettingzoo:mpe2.simple_spread_v3"]
    assert main(["evaluate", "ppo", *spread, *FEW, "--episodes", "2", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert (document["against"], document["decisions"]) == ("nobody", 2 * 25 * 3)


# -- mistakes -------------------------------------------------------------------------------------------------------


class Unbounded(Echo):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)


class Wordy(Echo):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Text(8)


MISTAKES = [
    ("CartPole-v1", "no game is called 'CartPole-v1'; there are arena, coverage, gymnasium:ENVIRONMENT, hearts, "),
    ("gym:CartPole-v1", "no game is called 'gym:CartPole-v1'; did you mean gymnasium:CartPole-v1?"),
    ("gymnasium:CartPoll-v1", "Gymnasium knows no environment 'CartPoll-v1'; did you mean CartPole-v1 or"),
    ("gymnasium:Zzzz", "Gymnasium knows no environment 'Zzzz'; gymnasium.pprint_registry() lists those there are"),
    ("gymnasium:Blackjack-v1", "Blackjack-v1 declares no time limit: say after how many steps a game is cut"),
    ("pettingzoo:mpe2.simple_sprad_v3", "did you mean mpe2.simple_spread_v3 or"),
    ("pettingzoo:nowhere.at_all", "cannot be imported: No module named 'nowhere'; try pip install nowhere"),
    ("pettingzoo:mpe2.simple_tag_v3", "agent_0 has other spaces than adversary_0; pad them to be alike first"),
]  # fmt: skip


@pytest.mark.parametrize(("game", "said"), MISTAKES)
def test_a_mistake_is_one_line(game: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ppo", "--game", game, "--run", str(tmp_path / "run")]) == 2
    err = [line for line in capfd.readouterr().err.splitlines() if line.startswith("velodrome: ")]
    assert len(err) == 1
    assert said in err[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("env", "said"), [(Unbounded, "actions in Box"), (Wordy, "observations in Text")])
def test_spaces_that_are_not_supported_are_named(registered: Any, env: Any, said: str) -> None:
    with pytest.raises(ValueError, match=rf"{said}.* are not supported; wrap the environment"):
        make(registered(env))


@pytest.mark.parametrize("kind", ["gymnasium", "pettingzoo"])
def test_a_missing_package_is_named_with_the_mend(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("velodrome.edge")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, kind, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'need (Gymnasium|PettingZoo): pip install "velodrome\[edge\]"'):
        make(f"{kind}:anything")
