"""OpenSpiel's information state of Hearts: 5,088 features, dense or as the list of those that are set.

| first | what | size |
|---|---|---|
| 0 | direction of the pass | 4 |
| 4, 56 | cards dealt, cards passed on | 52 each |
| 108, 160 | cards received, cards in hand | 52 each |
| 212 | points of each seat plus 10, as a thermometer | 4 x 36 |
| 356 | the tricks: places for north, east, south, west, north, east, south, filled from the leader on | 13 x 7 x 52 |

Seats are absolute, and the observer's own seat is not among the features.
"""

from __future__ import annotations

import numpy as np

from velodrome.games.hearts.rules import (
    CARDS,
    EMPTY,
    HAND,
    NO_PASS,
    ONE,
    PASSED,
    SEATS,
    card_set,
    first_card,
    passing,
    points_of,
)
from velodrome.games.kernel import count_bits, kernel, rule

DEALT, GIVEN, RECEIVED, IN_HAND, POINTS, TRICKS = 4, 56, 108, 160, 212, 356
LOWEST_POINTS, HIGHEST_POINTS = -10, 26
LEVELS = HIGHEST_POINTS - LOWEST_POINTS
PLACES = 2 * SEATS - 1
FEATURES = TRICKS + HAND * PLACES * CARDS
MOST_SET = 1 + HAND + PASSED + PASSED + (HIGHEST_POINTS - SEATS * LOWEST_POINTS) + CARDS
"""Direction, dealt, passed and received cards, all points taken, and 52 cards, none both in the hand and played."""
NOTHING = FEATURES
"""Pads lists of set features."""
MOMENTS = 5
"""Length of the history: the last so many decisions of a seat."""


# Lists are written in blocks of fixed length where that can be, which compiles to wide stores. What a block has too
# much is overwritten by what follows it, at last by the padding.


@rule
def list_cards(cards, base, out, n):  # type: ignore[no-untyped-def]
    """Append the features of a set of cards to the list; returns its new length."""
    while cards:
        out[n] = base + first_card(cards)
        cards &= cards - ONE
        n += 1
    return n


@rule
def list_block(cards, size, base, out, n):  # type: ignore[no-untyped-def]
    """The same for a set of at most `size` cards."""
    length = n + np.int64(count_bits(cards))
    block = out[n : n + size]
    for place in range(size):
        block[place] = base + first_card(cards)
        cards &= cards - ONE
    return length


@rule
def list_points(points, base, out, n):  # type: ignore[no-untyped-def]
    """Append the thermometer of a seat's points."""
    block = out[n : n + LEVELS]
    for level in range(LEVELS):
        block[level] = base + level
    return n + points - LOWEST_POINTS


@rule
def list_plays(game, plays, out, n):  # type: ignore[no-untyped-def]
    """Append the first so many plays of the deal."""
    for trick in range(plays // SEATS):
        block = out[n : n + SEATS]
        base = TRICKS + (trick * PLACES + game.leader[trick]) * CARDS
        for place in range(SEATS):
            block[place] = base + place * CARDS + game.play_order[trick * SEATS + place]
        n += SEATS
    trick = plays // SEATS
    for place in range(plays % SEATS):
        out[n] = TRICKS + (trick * PLACES + game.leader[trick] + place) * CARDS + game.play_order[trick * SEATS + place]
        n += 1
    return n


@rule
def list_moment(game, given, received, hand, taken, plays, seat, rules, out):  # type: ignore[no-untyped-def]
    """List what is set when the seat has these cards, each seat has taken those, and so many cards are played."""
    out[0] = game.direction
    n = list_block(game.dealt[seat], HAND, DEALT, out, 1)
    n = list_block(given, PASSED, GIVEN, out, n)
    n = list_block(received, PASSED, RECEIVED, out, n)
    n = list_cards(hand, IN_HAND, out, n)
    for other in range(SEATS):
        n = list_points(points_of(taken[other], rules), POINTS + LEVELS * other, out, n)
    n = list_plays(game, plays, out, n)
    padding = out[n:]
    for place in range(padding.shape[0]):
        padding[place] = NOTHING


@rule
def list_now(game, rules, out):  # type: ignore[no-untyped-def]
    """What the seat to act sees."""
    seat = np.int64(game.turn)
    taken = (game.taken[0], game.taken[1], game.taken[2], game.taken[3])
    received = EMPTY if passing(game) else game.received[seat]
    list_moment(game, game.given[seat], received, game.hand[seat], taken, game.plays, seat, rules, out)


@rule
def play_of(game, seat, trick):  # type: ignore[no-untyped-def]
    """Which play of the deal was the seat's own in a trick."""
    return trick * SEATS + (seat - game.leader[trick]) % SEATS


@rule
def taken_in(game, seat, tricks):  # type: ignore[no-untyped-def]
    """The cards that a seat took in the first so many tricks; the next one was led, by who took the last."""
    taken = EMPTY
    for trick in range(tricks):
        if game.leader[trick + 1] == seat:
            for play in range(trick * SEATS, (trick + 1) * SEATS):
                taken |= card_set(game.play_order[play])
    return taken


@rule
def list_pass(game, seat, number, rules, out):  # type: ignore[no-untyped-def]
    """What the seat saw when it chose this one of its three cards to pass."""
    given = EMPTY
    for place in range(seat * PASSED, seat * PASSED + number):
        given |= card_set(game.pass_order[place])
    taken = (EMPTY, EMPTY, EMPTY, EMPTY)
    list_moment(game, given, EMPTY, game.dealt[seat] & ~given, taken, 0, seat, rules, out)


@rule
def list_trick(game, seat, trick, rules, out):  # type: ignore[no-untyped-def]
    """What the seat saw when it played to a trick of the past."""
    given, received = game.given[seat], game.received[seat]
    hand = (game.dealt[seat] & ~given) | received
    for earlier in range(trick):
        hand &= ~card_set(game.play_order[play_of(game, seat, earlier)])
    taken = (taken_in(game, 0, trick), taken_in(game, 1, trick), taken_in(game, 2, trick), taken_in(game, 3, trick))
    list_moment(game, given, received, hand, taken, play_of(game, seat, trick), seat, rules, out)


@rule
def list_history(game, rules, out, past):  # type: ignore[no-untyped-def]
    """What the seat to act saw at its last decisions and sees now, the newest last."""
    seat = np.int64(game.turn)
    passes = 0 if game.direction == NO_PASS else PASSED
    now = game.passes % PASSED if passing(game) else passes + game.plays // SEATS
    for place in range(MOMENTS):
        decision = now - (MOMENTS - 1 - place)
        past[place] = decision >= 0
        if decision < 0:
            out[place, :] = NOTHING
        elif decision == now:
            list_now(game, rules, out[place])
        elif decision < passes:
            list_pass(game, seat, decision, rules, out[place])
        else:
            list_trick(game, seat, decision - passes, rules, out[place])


@kernel
def look_indices(games, lo, hi, which, rules, out):  # type: ignore[no-untyped-def]
    """Write the lists of set features."""
    for i in range(lo, hi):
        if which[i]:
            list_now(games[i], rules, out[i, 0])


@rule
def write_at(features, out, value):  # type: ignore[no-untyped-def]
    """Write the value to every listed feature."""
    for feature in features:
        if feature == NOTHING:
            break
        out[feature] = value


@kernel
def look_dense(games, lo, hi, which, rules, shown, out):  # type: ignore[no-untyped-def]
    """Write all features: clear those that `shown` lists, list anew and set those."""
    for i in range(lo, hi):
        if which[i]:
            write_at(shown[i], out[i, 0], 0)
            list_now(games[i], rules, shown[i])
            write_at(shown[i], out[i, 0], 1)


@kernel
def look_history(games, lo, hi, which, rules, out, past):  # type: ignore[no-untyped-def]
    """Write the lists of set features at the last decisions of the seat."""
    for i in range(lo, hi):
        if which[i]:
            list_history(games[i], rules, out[i, 0], past[i, 0])
