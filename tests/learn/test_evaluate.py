"""Evaluation against a naive loop over single games, and its promises."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import velodrome.learn.evaluate
from toys import SEATS, Meadow, Recalling, RecallingPolicy
from velodrome.games import make
from velodrome.games.game import Game
from velodrome.learn.actions import Actions
from velodrome.learn.evaluate import evaluate
from velodrome.learn.players import RandomPolicy
from velodrome.learn.trainer import Memory, Views
from velodrome.recipes import find


def naively(hero: str, rival: str, episodes: int, seed: int) -> tuple[float, float]:
    """Score and standard error of one bot against another, one single game after another."""
    scores = np.zeros((episodes, SEATS))
    for number in range(episodes * SEATS):
        game = Meadow(1, seed, first=number, duplicate=True)
        seat = number % SEATS
        while not (game.ended[0] or game.cut[0]):
            ours, theirs = game.bot(hero), game.bot(rival)
            for name, part in ours.items():
                theirs[name][0, seat] = part[0, seat]
            game.step(theirs)
        scores[number // SEATS, seat] = game.outcome[0, seat]
    return scores.mean(), scores.mean(1).std(ddof=1) / math.sqrt(episodes)


@pytest.mark.parametrize(("hero", "rival"), [("random", "direct"), ("direct", "random"), ("random", "random")])
def test_equals_a_naive_loop_over_single_games(hero: str, rival: str) -> None:
    found = evaluate(hero, Meadow(1, 0), rival, episodes=40, seed=11)
    score, stderr = naively(hero, rival, 40, 11)
    assert found.score == pytest.approx(score)
    assert found.stderr == pytest.approx(stderr)
    assert (found.episodes, found.duplicate, found.better) == (40, SEATS, "higher")
    assert found.score == pytest.approx((found.by_role["0"] + 2 * found.by_role["1"]) / 3)


class Counting:
    """Remembers how many decisions it has made in a game, and checks that against the game's own time."""

    def __init__(self, game: Game):
        self.random, self.longest = RandomPolicy(game.spec), game.spec.longest

    def start(self, rows: int) -> Memory:
        return {"made": torch.zeros(rows), "seat": torch.full((rows, 1), -1)}

    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        torch.testing.assert_close(memory["made"], views["globals"][:, 0] * self.longest, rtol=0, atol=1e-4)
        assert ((memory["seat"][:, 0] == views["seat"]) | (memory["made"] == 0)).all()
        assert views["meadow"].flatten(1).any(1).all()
        assert "state" not in views, "a private view was shown"
        action, _ = self.random.act(views, {}, generator)
        return action, {"made": memory["made"] + 1, "seat": views["seat"][:, None]}


def test_memory_belongs_to_one_seat_of_one_game() -> None:
    game = Meadow(1, 0)
    alone = evaluate(Counting(game), game, episodes=50, seed=2)
    assert alone.duplicate == 1
    assert alone.decisions > 50
    mixed = evaluate(Counting(game), game, Counting(game), episodes=50, seed=2)
    assert mixed.decisions < mixed.game_steps


def recalling(greedy: bool) -> RecallingPolicy:
    torch.manual_seed(3)
    actions = Actions(Meadow(1, 0).spec.action)
    return RecallingPolicy(Recalling(actions.heads), actions, "cpu", greedy)


@pytest.mark.parametrize("greedy", [False, True])
def test_the_seed_alone_decides(greedy: bool) -> None:
    policy, game = recalling(greedy), Meadow(2, 5)
    options: dict[str, Any] = {"episodes": 60, "seed": 4}
    first = evaluate(policy, game, "random", **options)
    assert evaluate(policy, Meadow, "random", **options) == first
    assert evaluate(policy, game.again(7, seed=8), "random", threads=3, **options) == first
    assert evaluate(policy, game, "random", episodes=60, seed=5) != first


def test_games_side_by_side_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the players draw on nothing but their own game."""
    options: dict[str, Any] = {"episodes": 30, "seed": 4}
    game = Meadow(1, 0)
    whole = [evaluate(player, game, "random", **options) for player in (recalling(True), "random", "direct")]
    monkeypatch.setattr(velodrome.learn.evaluate, "_games_side_by_side", lambda game: 7)
    split = [evaluate(player, game, "random", **options) for player in (recalling(True), "random", "direct")]
    assert split == whole


def test_random_can_play_where_no_bot_is_called_so() -> None:
    class Shy(Meadow):
        def __init__(self, games: int, seed: int, **options: Any):
            super().__init__(games, seed, **options)
            self.spec = dataclasses.replace(self.spec, bots=("direct",))

    found = evaluate("direct", Shy, "random", episodes=100, seed=1)
    bots = evaluate("direct", Meadow, "random", episodes=100, seed=1)
    assert abs(found.score - bots.score) < 5 * math.hypot(found.stderr, bots.stderr)
    assert evaluate("random", Shy, "direct", episodes=20).score < 0.2


def test_a_trainer_plays_as_it_stands() -> None:
    found = find("tests/toys.py:meadow")
    trainer = found.build(found.settings(), 0, "cpu")
    for greedy in (False, True):
        options: dict[str, Any] = {"episodes": 20, "seed": 1}
        policy = trainer.policy(greedy)
        assert evaluate(trainer, trainer.game, "random", greedy=greedy, **options) == evaluate(
            policy, trainer.game, "random", **options
        )


def test_the_part_that_a_limit_cut_off_is_told() -> None:
    careful = evaluate("steady", "platoon", episodes=20)
    assert careful.cut == 1.0
    assert careful.score > -1000
    game = make("platoon", 20, 0)
    ended = np.zeros(20, np.bool_)
    for _ in range(game.spec.longest):
        game.step(game.bot("random"))
        ended |= game.ended
    assert ended.any()
    assert evaluate("random", "platoon", episodes=20).cut == (~ended).mean()


def test_refusals_name_the_mistake() -> None:
    with pytest.raises(ValueError, match="meadow has no bot 'wolf'; it has random, direct"):
        evaluate("random", Meadow, "wolf", episodes=2)
    with pytest.raises(ValueError, match="at least two"):
        evaluate("random", Meadow, "random", episodes=1)
    with pytest.raises(ValueError, match="no game is called 'harts'; did you mean hearts"):
        evaluate("random", "harts", "random")


def test_a_game_that_outlasts_its_declaration_is_named() -> None:
    class Endless(Meadow):
        def __init__(self, games: int, seed: int, **options: Any):
            super().__init__(games, seed, **options)
            self.spec = dataclasses.replace(self.spec, longest=2)

    Endless.play = lambda self, lo, hi, action: -1  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="not over after the 2 steps"):
        evaluate("random", Endless, episodes=2)


def test_hearts_by_name() -> None:
    found = evaluate("lowest", "hearts", "random", episodes=200, seed=1)
    assert (found.score_name, found.better, found.duplicate) == ("points", "lower", 4)
    assert 7 < found.score < 10, "it passes its lowest cards and is left with the high ones"
    assert evaluate("random", "hearts", "random", episodes=200, seed=1).score == pytest.approx(6.5, abs=1)
