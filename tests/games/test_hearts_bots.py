"""Scripted Hearts players are as strong as they were measured to be on OpenSpiel's engine."""

from __future__ import annotations

import numpy as np
import pytest

from velodrome.games.game import Array
from velodrome.games.hearts import Hearts

DEALS = 10_000

MEASURED = [
    ("random", "random", 6.71, 0.09, 6.62, 0.310, 0.246),
    ("lowest", "random", 8.37, 0.10, 6.08, 0.211, 0.169),
    ("random", "lowest", 5.61, 0.08, 7.03, 0.334, 0.260),
    ("rule", "random", 1.95, 0.09, 8.40, 0.751, 0.608),
    ("rule", "lowest", 2.38, 0.11, 8.72, 0.757, 0.597),
    ("random", "rule", 14.12, 0.21, 5.07, 0.111, 0.098),
    ("rule", "rule", 6.67, 0.19, 6.92, 0.315, 0.251),
]
"""Seat 0, the other three, points of seat 0 with their standard error, points of the others, how often seat 0 had the
fewest or as few as anybody, and the same with ties shared. Taken on OpenSpiel 2.0.2, over other deals."""


def outcomes(own: str, others: str) -> Array:
    game = Hearts(DEALS, 0, observation="none")
    while not game.ended.all():
        cards = np.where(game.seat == 0, game.bot(own)["card"], game.bot(others)["card"])
        game.step(cards)
    return game.outcome


@pytest.mark.parametrize(("own", "others", "points", "error", "other_points", "first", "split"), MEASURED)
def test_the_table_is_reproduced(
    own: str, others: str, points: float, error: float, other_points: float, first: float, split: float
) -> None:
    """Each figure within three standard errors of the difference: theirs, and ours over the deals played here. Of
    theirs only the first is on record; it says how many deals they had, and so gives the others."""
    outcome = outcomes(own, others)
    fewest = outcome == outcome.min(1, keepdims=True)
    figures = {
        "points": (outcome[:, 0], points),
        "others' points": (outcome[:, 1:].mean(1), other_points),
        "first": (fewest[:, 0], first),
        "split": (fewest[:, 0] / fewest.sum(1), split),
    }
    their_deals = (outcome[:, 0].std() / error) ** 2
    for name, (ours, theirs) in figures.items():
        difference_error = ours.std() * np.sqrt(1 / DEALS + 1 / their_deals)
        assert abs(ours.mean() - theirs) < 3 * difference_error, (name, ours.mean(), theirs, difference_error)


def cards(names: str) -> int:
    """A set of cards from their names: `cards("2C QS")`."""
    return sum(1 << ("23456789TJQKA".index(rank) * 4 + "CDHS".index(suit)) for rank, suit in names.split())


def card(name: str) -> int:
    return cards(name).bit_length() - 1


def at_table(hands: list[str], direction: int = 0) -> Hearts:
    """A deal that begins with these hands."""
    game = Hearts(1, 0)
    records = game.snapshot()
    records["direction"] = direction
    for seat, hand in enumerate(hands):
        records["dealt"][0, seat] = records["hand"][0, seat] = cards(hand)
    records["turn"] = 0 if direction else next(seat for seat, hand in enumerate(hands) if "2C" in hand)
    game.restore(records)
    return game


def test_the_queen_is_passed_from_short_spades_and_kept_in_long_ones() -> None:
    rest = ["2C 3C 4C", "5C 6C 7C", "8C 9C TC"]
    short = at_table(["QS KS 4S 3S 2H AD 2D 3D 4D 5D 6D 7D 8D", *rest], direction=1)
    passed = []
    for _ in range(3):
        passed.append(int(short.bot("rule")["card"][0, 0]))
        short.step(short.bot("rule"))
    assert passed == [card("QS"), card("KS"), card("AD")]
    long = at_table(["QS KS 4S 3S 2S AD JH 3D 4D 5D 6D 7D 8D", *rest], direction=1)
    assert long.bot("rule")["card"][0, 0] == card("JH")


def test_following_takes_the_highest_card_that_loses() -> None:
    game = at_table(["2C TC", "9C 3C", "KC 4C", "AC 5C"])
    for expected in ("2C", "3C", "4C", "AC"):
        if expected == "AC":
            assert game.bot("rule")["card"][0, 0] == card("AC")
        game.step(np.array([[card(expected)]]))
    leads = at_table(["2C", "TC", "9C 3C KC", "5C"])
    leads.step(np.array([[card("2C")]]))
    leads.step(np.array([[card("TC")]]))
    assert leads.bot("rule")["card"][0, 0] == card("9C")


def test_lowest_is_by_rank() -> None:
    game = at_table(["2S 3C 2D 4H", "2C", "AC", "5C"], direction=2)
    assert game.bot("lowest")["card"][0, 0] == card("2D")
