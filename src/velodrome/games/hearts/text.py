"""A position of Hearts as text."""

from __future__ import annotations

from velodrome.games.game import Array
from velodrome.games.hearts.rules import CARDS, HAND, NO_PASS, PASSED, RANKS, SEATS, SUITS, Rules, points_of

SUITS_SHOWN = "CDSH"
PASS_NAMES = ("nobody passes", "passing to the left", "passing across", "passing to the right")


def card_name(card: int) -> str:
    """Rank and suit, as in QS."""
    return RANKS[card // 4] + SUITS[card % 4]


def cards_in(cards: int) -> list[int]:
    """The cards of a set, low to high."""
    return [card for card in range(CARDS) if cards >> card & 1]


def names(cards: int) -> str:
    """A set of cards, suit by suit, high to low."""
    held = cards_in(cards)
    suits = ("".join(RANKS[card // 4] for card in reversed(held) if SUITS[card % 4] == suit) for suit in SUITS_SHOWN)
    return "  ".join(f"{suit} {ranks}" for suit, ranks in zip(SUITS_SHOWN, suits, strict=True) if ranks) or "-"


def describe(game: Array, rules: Rules) -> str:
    """The whole position: hands, what was passed, the points taken, the tricks so far."""
    played = int(game["plays"])
    lines = [f"{PASS_NAMES[game['direction']]}, {phase(game)}"]
    for seat in range(SEATS):
        taken = int(points_of(game["taken"][seat], rules))
        passed = f"   gave {names(int(game['given'][seat]))}" if game["direction"] != NO_PASS and not played else ""
        lines.append(f"  seat {seat}  points {taken:2d}   {names(int(game['hand'][seat]))}{passed}")
    for trick in range((played + SEATS - 1) // SEATS):
        cards = game["play_order"][trick * SEATS : min(played, (trick + 1) * SEATS)]
        shown = " ".join(card_name(int(card)) for card in cards)
        lines.append(f"  trick {trick + 1:2d}: seat {game['leader'][trick]} led {shown}")
    return "\n".join(lines)


def phase(game: Array) -> str:
    """What is to be decided."""
    if game["plays"] == CARDS:
        return "all cards are played"
    if game["direction"] != NO_PASS and game["passes"] < SEATS * PASSED:
        return f"seat {game['turn']} chooses card {game['passes'] % PASSED + 1} of {PASSED} to pass"
    return f"trick {game['plays'] // SEATS + 1} of {HAND}, seat {game['turn']} to play"
