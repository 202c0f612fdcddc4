"""Hearts by itself: what must hold in every deal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from velodrome.games.game import Array
from velodrome.games.hearts import Hearts

ALL = (1 << 52) - 1
HEARTS, QUEEN_OF_SPADES = 0x4444444444444, 1 << 43


def play_out(game: Hearts, bot: str = "random") -> Array:
    """Play all games to their end; returns the rewards added up."""
    rewards = np.zeros_like(game.rewards)
    while not game.ended.all():
        game.step(game.bot(bot))
        rewards += game.rewards
    return rewards


def test_cards_are_conserved() -> None:
    game = Hearts(100, 0)
    while not game.ended.all():
        places = np.concatenate([game.records["hand"], game.records["taken"], game.records["trick"][:, None]], 1)
        in_transit = np.where(game.records["passes"] < 12, game.records["given"].T, np.uint64(0)).T
        places = np.concatenate([places, in_transit], 1)
        assert (np.bitwise_count(places).sum(1) == 52).all()
        assert (np.bitwise_or.reduce(places, 1) == ALL).all()
        game.step(game.bot("random"))


def test_points_are_26_unless_someone_shoots_the_moon() -> None:
    game = Hearts(5000, 0)
    play_out(game, "rule")
    total = game.outcome.sum(1)
    moon = total == 78
    assert ((total == 26) | moon).all()
    assert moon.any()
    for points, taken in zip(game.outcome[moon], game.records["taken"][moon], strict=True):
        shooter = int(points.argmin())
        assert sorted(points) == [0, 26, 26, 26]
        assert int(taken[shooter]) & (HEARTS | QUEEN_OF_SPADES) == HEARTS | QUEEN_OF_SPADES


@pytest.mark.parametrize("forced", ["asked", "played"])
@pytest.mark.parametrize("reward", ["deal", "trick"])
def test_rewards_add_up_to_minus_the_points(forced: Any, reward: Any) -> None:
    game = Hearts(2000, 1, forced=forced, reward=reward, jack_of_diamonds_bonus=True, no_tricks_bonus=True)
    np.testing.assert_array_equal(play_out(game, "rule"), -game.outcome)


def test_a_trick_is_charged_to_its_winner_when_it_is_taken() -> None:
    game = Hearts(500, 1, reward="trick")
    charged = 0
    while (game.records["plays"] < 51).any():
        before = game.records["taken"].copy()
        game.step(game.bot("random"))
        live = game.records["plays"] < 52
        gained = game.records["taken"] & ~before
        points = np.bitwise_count(gained & np.uint64(HEARTS)) + 13.0 * (gained & np.uint64(QUEEN_OF_SPADES) != 0)
        np.testing.assert_array_equal(game.rewards[live], -points[live])
        charged += int(points[live].sum())
    assert charged > 500 * 13


@pytest.mark.parametrize("pass_direction", ["drawn", "none"])
def test_playing_forced_cards_changes_nothing_else(pass_direction: Any) -> None:
    quick = Hearts(300, 4, forced="played", pass_direction=pass_direction)
    asked = []
    while not quick.ended.all():
        live = ~quick.ended
        legal = quick.views["legal"][live, 0].sum(1)
        assert legal.min() > 1, "a decision without a choice"
        asked.append({"at": moments(quick), "live": live} | {name: quick.views[name].copy() for name in quick.views})
        quick.step(quick.bot("random"))
    slow = Hearts(300, 4, pass_direction=pass_direction)
    skipped, met = 0, [0] * 300
    while not slow.ended.all():
        for game in np.flatnonzero(~slow.ended):
            expected = asked[met[game]] if met[game] < len(asked) else None
            if expected and expected["live"][game] and expected["at"][game] == moments(slow)[game]:
                for name, view in slow.views.items():
                    np.testing.assert_array_equal(view[game], expected[name][game])
                met[game] += 1
            else:
                assert slow.views["legal"][game].sum() == 1
                skipped += 1
        slow.step(next_cards(slow, quick.records))
    np.testing.assert_array_equal(slow.outcome, quick.outcome)
    np.testing.assert_array_equal(slow.records["play_order"], quick.records["play_order"])
    assert skipped > 300 * 10


def moments(game: Hearts) -> Array:
    records = game.records
    passes = np.where(records["direction"] == 0, 12, records["passes"])
    moments: Array = passes.astype(np.int64) * 100 + records["plays"]
    return moments


def next_cards(game: Hearts, played: Array) -> Array:
    """The cards that the same deals were played with."""
    cards = np.zeros((game.games, 1), np.int64)
    for number in np.flatnonzero(~game.ended):
        now = game.records[number]
        passing = now["direction"] != 0 and now["passes"] < 12
        order, done = ("pass_order", now["passes"]) if passing else ("play_order", now["plays"])
        cards[number] = played[number][order][done]
    return cards


def test_playing_at_random_inside_a_kernel_is_the_same_play() -> None:
    game, inside = Hearts(50, 6), Hearts(50, 6, threads=2)
    decisions, points = inside.play_random(deals=2)
    total = np.zeros_like(points)
    for _ in range(2):
        game.reset()
        play_out(game)
        decisions -= int(game.records["passes"].sum()) + 50 * 52
        total += game.outcome
    assert decisions == 0
    np.testing.assert_array_equal(points, total)
    game.reset()
    np.testing.assert_array_equal(inside.records, game.records)
    np.testing.assert_array_equal(inside.views["bits"], game.views["bits"])


def test_directions_cycle() -> None:
    game = Hearts(3, 0, pass_direction="cycle")
    directions = []
    for _ in range(8):
        directions.append(game.records["direction"].tolist())
        game.reset()
    assert directions == [[1] * 3, [3] * 3, [2] * 3, [0] * 3] * 2


@pytest.mark.parametrize(("name", "places"), [("left", 1), ("across", 2), ("right", 3)])
def test_cards_go_where_the_direction_says(name: Any, places: int) -> None:
    game = Hearts(20, 0, pass_direction=name)
    for _ in range(12):
        game.step(game.bot("rule"))
    np.testing.assert_array_equal(np.roll(game.records["given"], places, axis=1), game.records["received"])


def test_drawn_directions_are_equally_likely() -> None:
    directions = np.bincount(Hearts(4000, 0).records["direction"], minlength=4)
    assert (abs(directions - 1000) < 4 * np.sqrt(4000 * 3 / 16)).all()


def test_every_card_is_dealt_to_every_seat_equally_often() -> None:
    dealt = Hearts(4000, 0).records["dealt"]
    held = dealt[:, :, None] >> np.arange(52, dtype=np.uint64) & np.uint64(1)
    counts = held.sum(0).astype(np.int64)
    assert (abs(counts - 1000) < 4.5 * np.sqrt(4000 * 3 / 16)).all()


def test_duplicates_share_every_deal_whatever_their_luck() -> None:
    game = Hearts(12, 0, duplicate=True)
    for deal in range(4):
        dealt, luck = game.records["dealt"].reshape(3, 4, 4), game.records["luck"]
        assert (dealt == dealt[:, :1]).all()
        assert (game.records["direction"].reshape(3, 4) == game.records["direction"].reshape(3, 4)[:, :1]).all()
        assert len(np.unique(dealt[:, 0], axis=0)) == 3
        assert len(set(luck.tolist())) == 12
        for _ in range(10 * deal):
            game.step(game.bot("random"))
        game.reset()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observation": "compat"}, "observation='compat' is not one of none, compact, openspiel"),
        ({"forced": "no"}, "forced='no' is not one of asked, played"),
        ({"reward": "game"}, "reward='game' is not one of deal, trick"),
        ({"pass_direction": "up"}, "pass_direction='up' is not one of drawn, cycle"),
        ({"observation": "openspiel-indices", "dense": True}, "dense is for the compact observation"),
        ({"games": 0}, "at least one game"),
        ({"games": -3, "observation": "openspiel"}, "games=-3: at least one game"),
        ({"threads": 0}, "at least one"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hearts(**({"games": 1, "seed": 0} | options))
