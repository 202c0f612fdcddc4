"""A player that learnt on one observation of a game plays as well at a game with another."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from small import TOY, small
from velodrome.games.hearts import Hearts
from velodrome.learn.evaluate import evaluate
from velodrome.learn.trainer import Trainer
from velodrome.recipes import find


def untrained(recipe: str) -> Trainer:
    found = find(recipe)
    return found.build(small(found.settings()), 0, "cpu")


@pytest.mark.parametrize("hero", [True, False])
def test_the_observation_of_the_game_does_not_matter(hero: bool) -> None:
    player = untrained("hearts-mlp")
    own, other = player.game, Hearts(1, 0, **(player.game.spec.settings | {"observation": "compact"}))
    assert own.spec.views != other.spec.views
    players = (player, "rule") if hero else ("rule", player)
    seen = [asdict(evaluate(players[0], game, players[1], episodes=3)) for game in (own, other)]
    assert seen[0] == seen[1]


def test_a_player_of_another_game_is_refused() -> None:
    with pytest.raises(ValueError, match="a player of meadow with these settings cannot play hearts with those"):
        evaluate(untrained(TOY), Hearts(1, 0), "rule", episodes=2)
