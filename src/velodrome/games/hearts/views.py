"""What a seat sees: which cards are legal, a compact seat-relative observation, and the cards that others hold."""

from __future__ import annotations

import numpy as np

from velodrome.games.hearts.rules import (
    ALL,
    CARDS,
    EMPTY,
    HAND,
    HEARTS,
    JACK_OF_DIAMONDS,
    NO_PASS,
    PASSED,
    POINT_CARDS,
    QUEEN_OF_SPADES,
    SEATS,
    card_set,
    legal_cards,
    not_above,
    over,
    passing,
    played_by,
    played_cards,
    suit_set,
)
from velodrome.games.kernel import count_bits, kernel, rule

_TAKEN = (("hearts taken", 10), ("queen taken", 1), ("jack taken", 1))
_OPPONENT = (
    ("void", 4),
    ("winning", 1),
    ("yet to play", 1),
    ("led", 1),
    ("gave to me", 1),
    ("got from me", 1),
    ("may hold queen", 1),
    ("holds queen", 1),
    ("may shoot", 1),
)
COMPACT = {
    "hand": (("short suits", 12),),
    "legal": (
        ("phase", 4),
        ("direction", 4),
        ("hearts broken", 1),
        ("may shoot", 1),
        ("my queen", 1),
        ("queen gone", 1),
    ),
    "trick": (("suit led", 4), ("cards in trick", 4), ("hearts in trick", 3), ("queen in trick", 1)),
    "would win": (("tricks done", 12),),
    "would surely win": _TAKEN,
    "played by left": _TAKEN,
    "played by across": _TAKEN,
    "played by right": _TAKEN,
    "left may hold": _OPPONENT,
    "across may hold": _OPPONENT,
    "right may hold": _OPPONENT,
}
"""The compact observation is one 64-bit word for each of these: a set of 52 cards, then twelve flags."""
COMPACT_FEATURES = 64 * len(COMPACT)
OTHERS_BITS = 3 * CARDS


def compact_layout() -> dict[str, slice]:
    """Where each part of the compact observation lies; flags are named `word: flag`."""
    layout = {}
    for number, (word, flags) in enumerate(COMPACT.items()):
        at = 64 * number + CARDS
        layout[word] = slice(64 * number, at)
        for flag, width in flags:
            layout[f"{word}: {flag}"] = slice(at, at + width)
            at += width
    return layout


@rule
def flag(place, condition):  # type: ignore[no-untyped-def]
    """One flag of a word."""
    return np.uint64(condition) << np.uint64(CARDS + place)


@rule
def thermometer(count, most):  # type: ignore[no-untyped-def]
    """`count` ones, `most` at the most, from the first flag on."""
    return ((np.uint64(1) << np.uint64(min(count, most))) - np.uint64(1)) << np.uint64(CARDS)


@rule
def taken_flags(taken):  # type: ignore[no-untyped-def]
    """What a seat has taken: hearts as a thermometer, the queen of spades, the jack of diamonds."""
    hearts = thermometer(np.int64(count_bits(taken & HEARTS)), 10)
    return hearts | flag(10, taken & QUEEN_OF_SPADES != 0) | flag(11, taken & JACK_OF_DIAMONDS != 0)


@rule
def short_suits(hand):  # type: ignore[no-untyped-def]
    """For each suit: the hand has none of it, one, two."""
    flags = EMPTY
    for suit in range(4):
        length = np.int64(count_bits(hand & suit_set(suit)))
        flags |= flag(3 * suit + length, length < 3)
    return flags


@rule
def may_shoot(game, seat):  # type: ignore[no-untyped-def]
    """Whether nobody else has taken a point card yet."""
    left, across, right = (seat + 1) % SEATS, (seat + 2) % SEATS, (seat + 3) % SEATS
    return (game.taken[left] | game.taken[across] | game.taken[right]) & POINT_CARDS == 0


@rule
def legal_flags(game, seat, hand, gone):  # type: ignore[no-untyped-def]
    """Phase (which of the three cards to pass, or play), direction, and what is open in this deal."""
    phase = game.passes % PASSED if passing(game) else PASSED
    flags = flag(phase, True) | flag(4 + game.direction, True) | flag(8, game.hearts_broken)
    flags |= flag(9, may_shoot(game, seat)) | flag(10, hand & QUEEN_OF_SPADES != 0)
    return flags | flag(11, gone & QUEEN_OF_SPADES != 0)


@rule
def trick_flags(game):  # type: ignore[no-untyped-def]
    """Suit led, how many cards lie there, and what they count."""
    placed = game.plays % SEATS
    flags = flag(4 + placed, True)
    if placed:
        flags |= flag(game.best & 3, True)
    hearts = min(np.int64(count_bits(game.trick & HEARTS)), 3)
    flags |= thermometer(hearts, 3) << np.uint64(8)
    return flags | flag(11, game.trick & QUEEN_OF_SPADES != 0)


@rule
def opponent_flags(game, seat, away, may_hold, known):  # type: ignore[no-untyped-def]
    """What the seat knows of the opponent who sits `away` seats clockwise."""
    other = (seat + away) % SEATS
    placed = game.plays % SEATS
    flags = EMPTY
    if not passing(game):
        flags |= np.uint64(game.void[other]) << np.uint64(CARDS)
        flags |= flag(4, placed > 0 and game.winner == other)
        flags |= flag(5, away <= SEATS - 1 - placed)
        flags |= flag(6, placed > 0 and away == SEATS - placed)
    if game.direction != NO_PASS:
        flags |= flag(7, (game.direction + away) % SEATS == 0) | flag(8, game.direction == away)
    flags |= flag(9, may_hold & QUEEN_OF_SPADES != 0) | flag(10, known & QUEEN_OF_SPADES != 0)
    return flags | flag(11, may_shoot(game, other))


@rule
def cards_of_suits(suits):  # type: ignore[no-untyped-def]
    """All cards of the suits in a four-bit set."""
    return suit_set(0) * np.uint64(suits)


@rule
def write_compact(game, rules, words):  # type: ignore[no-untyped-def]
    """The compact observation of the seat to act, in the order of `COMPACT`."""
    seat = np.int64(game.turn)
    placed = game.plays % SEATS
    hand = game.hand[seat]
    legal = legal_cards(game, rules)
    gone = played_cards(game)
    passed_on = game.given[seat] & ~gone
    unseen = ALL & ~(hand | gone | passed_on)
    threats = EMPTY
    for away in range(1, SEATS):
        opponent = (seat + away) % SEATS
        known = passed_on if game.direction == away else EMPTY
        may_hold = (unseen & ~cards_of_suits(game.void[opponent])) | known
        if away <= SEATS - 1 - placed:
            threats |= may_hold
        words[4 + away] = played_by(game, opponent) | taken_flags(game.taken[opponent])
        words[7 + away] = may_hold | opponent_flags(game, seat, away, may_hold, known)
    would_win = EMPTY if passing(game) else legal
    if placed:
        would_win &= suit_set(game.best & 3) & ~not_above(card_set(game.best))
    words[0] = hand | short_suits(hand)
    words[1] = legal | legal_flags(game, seat, hand, gone)
    words[2] = game.trick | trick_flags(game)
    words[3] = would_win | thermometer(game.plays // SEATS, 12)
    words[4] = (would_win & ~not_above(threats)) | taken_flags(game.taken[seat])


@rule
def write_others(game, words):  # type: ignore[no-untyped-def]
    """The three other hands, to the left first, as 156 bits in 32-bit words."""
    seat = np.int64(game.turn)
    left, across, right = game.hand[(seat + 1) % SEATS], game.hand[(seat + 2) % SEATS], game.hand[(seat + 3) % SEATS]
    first = left | (across << np.uint64(52))
    second = (across >> np.uint64(12)) | (right << np.uint64(40))
    low = np.uint64(0xFFFFFFFF)
    words[0], words[1] = first & low, first >> np.uint64(32)
    words[2], words[3] = second & low, second >> np.uint64(32)
    words[4] = right >> np.uint64(24)


@rule
def write_legal(cards, words):  # type: ignore[no-untyped-def]
    """A set of cards as 52 booleans, four at a time: the product moves each bit of a rank to a byte of its own."""
    for rank in range(HAND):
        four = (cards >> np.uint64(4 * rank)) & np.uint64(0b1111)
        words[rank] = (four * np.uint64(0x00204081)) & np.uint64(0x01010101)


@kernel
def look(games, lo, hi, which, rules, seat, acting, legal):  # type: ignore[no-untyped-def]
    """Write whose turn it is and what is legal."""
    for i in range(lo, hi):
        if which[i]:
            seat[i, 0] = games[i].turn
            acting[i, 0] = not over(games[i])
            write_legal(legal_cards(games[i], rules), legal[i, 0])


@kernel
def look_compact(games, lo, hi, which, rules, words, others):  # type: ignore[no-untyped-def]
    """Write the compact observation and the hidden hands."""
    for i in range(lo, hi):
        if which[i]:
            write_compact(games[i], rules, words[i, 0])
            write_others(games[i], others[i, 0])


@kernel
def spread_bits(bits, lo, hi, which, features):  # type: ignore[no-untyped-def]
    """Packed bits as numbers."""
    for i in range(lo, hi):
        if which[i]:
            for place in range(features.shape[2]):
                features[i, 0, place] = (bits[i, 0, place >> 3] >> (place & 7)) & 1
