"""Our games as Gymnasium environments, by Gymnasium's own checker and by our promises; and the other way round."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from torch import Tensor, nn

from playing import assert_same, bots_in_turn, play_on
from toys import Meadow
from velodrome.edge.gymnasium import SeatEnv, SeatVectorEnv, from_gymnasium
from velodrome.edge.table import Table
from velodrome.games import GAMES, make
from velodrome.games.game import Array, Bits, Box, Choice, Game, IllegalAction, Part
from velodrome.learn.evaluate import evaluate
from velodrome.learn.players import RandomPolicy
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.meter.clock import Clock
from velodrome.mistake import Mistake

KINDS = [*GAMES, "meadow"]
# Who pushes about freely may get anywhere, at any speed; Gymnasium suspects that bounds were forgotten.
pytestmark = pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is -?infinity")


SHORT: dict[str, dict[str, Any]] = {"arena": {"longest": 60}}
"""Options that shorten the games that would take long."""


def game_of(name: str, games: int = 1, seed: int = 0, **options: Any) -> Game:
    options = SHORT.get(name, {}) | options
    return Meadow(games, seed, **options) if name == "meadow" else make(name, games, seed, **options)


# -- one seat -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_gymnasiums_checker_passes(name: str) -> None:
    for seat in range(game_of(name).spec.seats):
        check_env(SeatEnv(game_of(name), seat=seat), skip_render_check=True)


@pytest.mark.parametrize("name", GAMES)
def test_games_are_registered(name: str) -> None:
    env = gymnasium.make(f"velodrome/{name}-v0", seat=0, render_mode="ansi")
    check_env(env.unwrapped)
    env.reset(seed=1)
    assert env.render()
    vector = gymnasium.make_vec(f"velodrome/{name}-v0", num_envs=3)
    assert vector.reset(seed=1)[0].keys() == env.reset(seed=1)[0].keys()


def test_rewards_add_up_to_the_outcome() -> None:
    for seed in range(5):
        env = SeatEnv("hearts", seat=seed % 4, against="rule", reward="trick")
        observation, info = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            np.testing.assert_array_equal(info["action_mask"], observation["legal"])
            np.testing.assert_array_equal(env.action_masks(), observation["legal"])
            observation, reward, over, cut, info = env.step(env.action_space.sample(info["action_mask"]))
            total += reward
            assert not cut
        assert total == -info["outcome"][seed % 4]


def test_private_views_stay_private() -> None:
    env = SeatEnv("hearts")
    assert set(env.reset(seed=0)[0]) == {"legal", "bits"} == set(env.observation_space.spaces)


def test_illegal_actions_are_replaced_or_refused() -> None:
    env = SeatEnv("hearts", illegal="refuse")
    _, info = env.reset(seed=2)
    with pytest.raises(IllegalAction):
        env.step(int(info["action_mask"].argmin()))
    table = Table(make("hearts", 1, 2), 0, "random", "replace")
    table.step({"card": np.array([51])})
    meadow = SeatEnv(Meadow(1, 0), seat=0)
    meadow.reset(seed=0)
    meadow.step({"aim": np.array([5, -5], np.float32), "keys": np.array([1, 1], np.int8)})
    assert meadow.table is not None
    assert meadow.table.game.records["breath"][0, 0] == 1, "the dash is legal and kept, the fox does not hide"


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="seat=4: hearts has the seats 0 to 3"):
        SeatEnv("hearts", seat=4).reset()
    with pytest.raises(ValueError, match="illegal='forgive' is neither"):
        SeatEnv("hearts", illegal="forgive").reset()  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="call reset"):
        SeatEnv("hearts").step(0)
    with pytest.raises(RuntimeError, match="call reset"):
        SeatVectorEnv("hearts", 2).step(np.zeros(2, np.int64))


def test_without_gymnasium_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['gymnasium'] = None; import velodrome.edge.gymnasium"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    last = found.stderr.strip().splitlines()[-1]
    assert last == 'ImportError: the adapters need Gymnasium: pip install "velodrome[edge]"'


# -- many games -----------------------------------------------------------------------------------------------------


def lowest(seen: dict[str, Array], parts: Sequence[Part], rows: int) -> dict[str, Array]:
    """An action that follows from the observation alone."""
    return {part.name: _lowest(seen, part, rows) for part in parts}


def _lowest(seen: dict[str, Array], part: Part, rows: int) -> Array:
    if isinstance(part, Choice):
        return np.zeros(rows, np.int64) if part.mask is None else seen[part.mask].argmax(1)
    if isinstance(part, Bits):
        return np.ones((rows, part.n), np.int64) if part.mask is None else seen[part.mask].astype(np.int64)
    one = np.full(part.n, 1 / part.n)
    if isinstance(part, Box):
        one = np.linspace(0.5, -0.25, part.n).clip(part.low, part.high)
    return np.tile(one.astype(np.float32), (rows, 1))


@pytest.mark.parametrize("name", KINDS)
def test_every_game_plays_as_it_would_alone(name: str) -> None:
    """Although those where it is our turn are held while others go on."""
    seat = min(1, game_of(name).spec.seats - 1)
    many = Table(game_of(name, 5, 3), seat, "random", "refuse")
    alone = [Table(game_of(name, 1, 3, first=number), seat, "random", "refuse") for number in range(5)]
    for _ in range(40):
        many.step(lowest(many.seen, many.game.spec.action, 5))
        for number, table in enumerate(alone):
            table.step(lowest(table.seen, table.game.spec.action, 1))
            for mine, own in ((many.rewards, table.rewards), (many.ended, table.ended), (many.cut, table.cut)):
                assert mine[number] == own[0]
            for view in many.seen:
                np.testing.assert_array_equal(many.seen[view][number], table.seen[view][0], view)
        over = many.over.copy()
        many.begin(over)
        for number in np.flatnonzero(over):
            np.testing.assert_array_equal(many.game.records["over"][number] if name == "meadow" else 0, 0)
            alone[number].begin(np.ones(1, np.bool_))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_autoreset_is_as_declared(name: str, mode: AutoresetMode) -> None:
    game = game_of(name)
    envs = SeatVectorEnv(game, 6, seat=min(1, game.spec.seats - 1), autoreset_mode=mode)
    assert envs.metadata["autoreset_mode"] == mode
    observation, _ = envs.reset(seed=4)
    over, ends = np.zeros(6, np.bool_), 0
    envs.action_space.seed(0)
    for _ in range(max(60, 3 * envs.pattern.spec.longest)):
        before = {view: rows.copy() for view, rows in observation.items()}
        observation, rewards, ended, cut, infos = envs.step(envs.action_space.sample())
        assert envs.observation_space.contains(observation)
        if mode == AutoresetMode.NEXT_STEP:
            assert not (ended | cut)[over].any()
            assert not rewards[over].any()
            assert all(observation[mask][over].any(1).all() for mask in ("legal", "usable") if mask in observation)
        over = ended | cut
        ends += int(over.sum())
        if over.any():
            np.testing.assert_array_equal(infos["_outcome"], over)
            if mode == AutoresetMode.SAME_STEP:
                np.testing.assert_array_equal(infos["_final_obs"], over)
                for index in np.flatnonzero(over):
                    final = infos["final_obs"][index]
                    assert envs.single_observation_space.contains(final)
                    assert any(not np.array_equal(final[view], observation[view][index]) for view in observation)
            if mode == AutoresetMode.DISABLED:
                with pytest.raises(RuntimeError, match="is over: reset it"):
                    envs.step(envs.action_space.sample())
                kept = {view: rows.copy() for view, rows in observation.items()}
                observation, _ = envs.reset(options={"reset_mask": over})
                for view in observation:
                    np.testing.assert_array_equal(observation[view][~over], kept[view][~over])
        assert before.keys() == observation.keys()
    assert ends > 6


def test_a_policy_may_play_the_others() -> None:
    envs = SeatVectorEnv("hearts", 8, against=RandomPolicy(make("hearts").spec))
    envs.reset(seed=1)
    first = [envs.step(np.zeros(8, np.int64))[1] for _ in range(30)]
    envs.reset(seed=1)
    again = [envs.step(np.zeros(8, np.int64))[1] for _ in range(30)]
    np.testing.assert_array_equal(first, again)
    assert np.any(first)


# -- the other way round --------------------------------------------------------------------------------------------


def test_cartpole_is_cartpole() -> None:
    game = from_gymnasium("CartPole-v1", games=3, seed=5)
    envs = [gymnasium.make("CartPole-v1") for _ in range(3)]
    for env, slot in zip(envs, game.slots, strict=True):
        env.reset(seed=slot.env.unwrapped.np_random_seed)  # type: ignore[attr-defined]
    actions = bots_in_turn(game)
    while not game.ended.all():
        action = next(actions)
        standing = game.ended.copy()
        game.step(action)
        for i in np.flatnonzero(~standing):
            observation, reward, ended, _, _ = envs[i].step(int(action["action"][i, 0]))
            np.testing.assert_array_equal(game.views["observation"][i, 0], observation)
            assert (game.rewards[i, 0], game.ended[i]) == (reward, ended)
        assert not game.rewards[standing].any()


class Odd(gymnasium.Env[Any, Any]):
    """Spaces of every kind, and a check that actions lie in them."""

    def __init__(self, allow: int = 3) -> None:
        self.observation_space = spaces.Dict(
            {
                "number": spaces.Discrete(5, start=2),
                "pair": spaces.Tuple([spaces.MultiBinary(3), spaces.Box(-2, 7, (2, 2), np.float64)]),
            }
        )
        self.action_space = spaces.Dict(
            {
                "push": spaces.Box(np.float32([-1, 0]), np.float32([3, 10]), dtype=np.float32),
                "pick": spaces.Tuple([spaces.Discrete(4, start=-1), spaces.MultiDiscrete([2, 3])]),
                "flags": spaces.MultiBinary(2),
            }
        )
        self.allow = allow

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        return self.observation_space.sample(), 0.5, False, False, {}


def test_spaces_of_every_kind() -> None:
    game = from_gymnasium(Odd, games=4, longest=7, allow=2)
    assert [part.name for part in game.spec.action] == ["flags", "pick.0", "pick.1.0", "pick.1.1", "push"]
    assert {name: view.shape for name, view in game.spec.views.items()} == {
        "number": (),
        "pair.0": (3,),
        "pair.1": (2, 2),
    }
    history = play_on(game, 20)
    assert [step["cut"].all() for step in history[1::2]] == [n % 7 == 6 for n in range(20)]
    assert history[13]["outcome"].tolist() == [[3.5]] * 4
    assert game.views["number"].min() >= 2
    assert evaluate(RandomPolicy(game.spec), game, episodes=3).score == 3.5
    with pytest.raises(IllegalAction):
        game.step(game.bot("random") | {"push": np.full((4, 1, 2), 1.5)})


def test_it_keeps_what_a_game_promises() -> None:
    whole = play_on(from_gymnasium("CartPole-v1", games=5, seed=3), 40)
    assert_same(play_on(from_gymnasium("CartPole-v1", games=5, seed=3, threads=2), 40), whole)
    shard = from_gymnasium("CartPole-v1", games=5, seed=3).again(2, first=3)
    assert_same(play_on(shard, 40), whole, slice(3, 5))


def test_the_last_observation_stands_until_reset() -> None:
    game = from_gymnasium("CartPole-v1", games=2, longest=4)
    actions = bots_in_turn(game)
    for _ in range(4):
        game.step(next(actions))
    assert game.cut.all()
    assert not game.ended.any()
    last = game.views["observation"].copy()
    game.reset(np.array([True, False]))
    assert not np.array_equal(game.views["observation"][0], last[0])
    np.testing.assert_array_equal(game.views["observation"][1], last[1])


def test_what_cannot_be_had_is_said() -> None:
    game = from_gymnasium("CartPole-v1")
    with pytest.raises(Mistake, match="cannot be saved in mid-play"):
        game.snapshot()
    with pytest.raises(Mistake, match="cannot be saved in mid-play"):
        game.restore(game.records)
    with pytest.raises(ValueError, match="declares no time limit"):
        from_gymnasium(Odd)


class Small(nn.Module):
    wants = ("observation",)

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        out = self.body(views["observation"])
        return {"action": out[:, :2], "value": out[:, 2]}


def test_our_trainers_learn_on_it() -> None:
    torch.manual_seed(0)
    game = from_gymnasium("CartPole-v1", games=8)
    trainer = SelfPlay(game, Small(), Ppo(batch=1024, minibatch=128, epochs=6, rate=3e-3, discount=0.98))
    clock = Clock()
    before = evaluate(trainer, game, episodes=20, seed=1)
    for _ in range(8):
        trainer.iterate(clock)
    after = evaluate(trainer, game, episodes=20, seed=1)
    assert after.score > 3 * before.score, (before, after)
