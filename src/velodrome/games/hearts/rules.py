"""The rules of Hearts, on one game's record.

A card is a number, rank * 4 + suit, with ranks 0 (two) to 12 (ace) and suits clubs, diamonds, hearts, spades. A set
of cards is a 64-bit word with one bit a card. So of two cards of a suit the larger number is the higher card, and
following suit, breaking hearts and counting points are operations on whole sets.

Seats are 0 to 3 in clockwise order: the seat to the left of s is s + 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from velodrome.games.kernel import below, count_bits, draw, lowest_bit, nth_bit, rule

SEATS = 4
CARDS = 52
HAND = 13
PASSED = 3
RANKS = "23456789TJQKA"
SUITS = "CDHS"

ALL = np.uint64((1 << CARDS) - 1)
CLUBS = np.uint64(0x1111111111111)
DIAMONDS = np.uint64(0x2222222222222)
HEARTS = np.uint64(0x4444444444444)
SPADES = np.uint64(0x8888888888888)
TWO_OF_CLUBS = np.uint64(1)
QUEEN_OF_SPADES = np.uint64(1 << 43)
JACK_OF_DIAMONDS = np.uint64(1 << 37)
POINT_CARDS = HEARTS | QUEEN_OF_SPADES
EMPTY = np.uint64(0)
ONE = np.uint64(1)

NO_PASS, LEFT, ACROSS, RIGHT = range(4)
DRAWN, CYCLE = 4, 5
"""Directions are the number of seats that cards travel; the last two are ways to choose one for each deal."""

PASS_CYCLE = np.array([LEFT, RIGHT, ACROSS, NO_PASS], np.int64)


class Rules(NamedTuple):
    """Rule options, read by the compiled rules; `Hearts` says what each means."""

    pass_direction: int
    points_on_first_trick: bool
    any_club_opens: bool
    jack_of_diamonds_bonus: bool
    no_tricks_bonus: bool
    hearts_must_be_broken: bool
    queen_breaks_hearts: bool
    hearts_before_queen: bool


RECORD = np.dtype(
    [
        # sets of cards by seat
        ("hand", np.uint64, SEATS),
        ("dealt", np.uint64, SEATS),
        ("given", np.uint64, SEATS),
        ("received", np.uint64, SEATS),
        ("taken", np.uint64, SEATS),
        # the trick on the table
        ("trick", np.uint64),
        ("best", np.uint8),  # the card that is winning it
        ("winner", np.uint8),  # and who played that
        # random states
        ("deals", np.uint64),  # drawn on by deals alone, so that duplicates stay duplicates
        ("luck", np.uint64),  # drawn on by bots
        # the course of the deal
        ("deal_number", np.uint32),
        ("direction", np.uint8),
        ("turn", np.uint8),
        ("passes", np.uint8),  # cards passed so far, 12 in all
        ("plays", np.uint8),  # cards played so far, 52 in all
        ("hearts_broken", np.bool_),
        ("void", np.uint8, SEATS),  # suits that a seat has shown it has none of, bit = suit
        ("paid", np.int8, SEATS),  # points that rewards have already charged
        ("pass_order", np.uint8, SEATS * PASSED),  # three cards a seat
        ("play_order", np.uint8, CARDS),
        ("leader", np.uint8, HAND),  # who led each trick
    ],
    align=True,
)


@rule
def card_set(card):  # type: ignore[no-untyped-def]
    """The set that holds this card alone."""
    return ONE << np.uint64(card)


@rule
def suit_set(suit):  # type: ignore[no-untyped-def]
    """All cards of a suit."""
    return CLUBS << np.uint64(suit)


@rule
def without(cards, unwanted):  # type: ignore[no-untyped-def]
    """The set without the unwanted cards, unless that leaves nothing."""
    rest = cards & ~unwanted
    return rest if rest else cards


@rule
def not_above(cards):  # type: ignore[no-untyped-def]
    """Every card that some card of the set equals or beats in its suit."""
    cards = cards | (cards >> np.uint64(4))
    cards = cards | (cards >> np.uint64(8))
    cards = cards | (cards >> np.uint64(16))
    return cards | (cards >> np.uint64(32))


@rule
def passing(game):  # type: ignore[no-untyped-def]
    """Whether cards are still being passed."""
    return game.direction != NO_PASS and game.passes < SEATS * PASSED


@rule
def over(game):  # type: ignore[no-untyped-def]
    """Whether all cards are played."""
    return game.plays == CARDS


@rule
def played_by(game, seat):  # type: ignore[no-untyped-def]
    """The cards that a seat has played."""
    return ((game.dealt[seat] & ~game.given[seat]) | game.received[seat]) & ~game.hand[seat]


@rule
def played_cards(game):  # type: ignore[no-untyped-def]
    """All cards that have been played."""
    return game.taken[0] | game.taken[1] | game.taken[2] | game.taken[3] | game.trick


@rule
def deal_cards(game, rules):  # type: ignore[no-untyped-def]
    """Shuffle and start the next deal."""
    state = game.deals
    deck = ALL
    for seat in range(SEATS - 1):
        hand = EMPTY
        for dealt in range(seat * HAND, (seat + 1) * HAND):
            state, bits = draw(state)
            card = card_set(nth_bit(deck, below(bits, CARDS - dealt)))
            hand |= card
            deck ^= card
        game.dealt[seat] = hand
    game.dealt[SEATS - 1] = deck
    game.deals, bits = draw(state)
    game.direction = choose_direction(rules.pass_direction, game.deal_number, bits)
    game.deal_number += 1
    start(game)


@rule
def choose_direction(how, deal_number, bits):  # type: ignore[no-untyped-def]
    """Where the cards of this deal are passed."""
    if how == DRAWN:
        return below(bits, 4)
    if how == CYCLE:
        return PASS_CYCLE[deal_number % 4]
    return how


@rule
def start(game):  # type: ignore[no-untyped-def]
    """Lay everything out for the hands in `dealt`."""
    for seat in range(SEATS):
        game.hand[seat] = game.dealt[seat]
        game.given[seat] = EMPTY
        game.received[seat] = EMPTY
        game.taken[seat] = EMPTY
        game.void[seat] = 0
        game.paid[seat] = 0
    game.trick = EMPTY
    game.best = 0
    game.winner = 0
    game.passes = 0
    game.plays = 0
    game.hearts_broken = False
    game.turn = 0
    if game.direction == NO_PASS:
        game.turn = opener(game)


@rule
def opener(game):  # type: ignore[no-untyped-def]
    """Who holds the two of clubs."""
    for seat in range(SEATS):
        if game.hand[seat] & TWO_OF_CLUBS:
            return seat
    return 0


@rule
def legal_cards(game, rules):  # type: ignore[no-untyped-def]
    """The set of cards that the seat to act may pass or play; empty when the deal is over."""
    hand = game.hand[game.turn]
    if passing(game):
        return hand
    if game.plays % SEATS == 0:
        return legal_leads(game, hand, rules)
    follow = hand & suit_set(game.best & 3)
    if follow:
        return follow
    if game.plays < SEATS and not rules.points_on_first_trick:
        return without(hand, POINT_CARDS)
    return hand


@rule
def legal_leads(game, hand, rules):  # type: ignore[no-untyped-def]
    """What the leader may lead."""
    if game.plays == 0:
        return hand & CLUBS if rules.any_club_opens else hand & TWO_OF_CLUBS
    if game.hearts_broken or not rules.hearts_must_be_broken:
        return hand
    others = hand & ~HEARTS
    if not others or (rules.hearts_before_queen and others == QUEEN_OF_SPADES):
        return hand
    return others


@rule
def act(game, card, rules):  # type: ignore[no-untyped-def]
    """Pass or play a legal card for the seat to act."""
    if passing(game):
        pass_card(game, card)
    else:
        play_card(game, card, rules)


@rule
def pass_card(game, card):  # type: ignore[no-untyped-def]
    """Put one card face down; the seats choose in order, and all cards move when the last one has chosen."""
    seat = game.turn
    game.hand[seat] &= ~card_set(card)
    game.given[seat] |= card_set(card)
    game.pass_order[game.passes] = card
    game.passes += 1
    game.turn = game.passes // PASSED
    if game.passes == SEATS * PASSED:
        for giver in range(SEATS):
            taker = (giver + game.direction) % SEATS
            game.received[taker] = game.given[giver]
            game.hand[taker] |= game.given[giver]
        game.turn = opener(game)


@rule
def play_card(game, card, rules):  # type: ignore[no-untyped-def]
    """Play a card to the trick; the fourth card ends it, and its winner leads the next."""
    seat = game.turn
    suit = card & 3
    played = card_set(card)
    if game.plays % SEATS == 0:
        game.leader[game.plays // SEATS] = seat
        game.best = card
        game.winner = seat
    elif suit != game.best & 3:
        game.void[seat] |= 1 << (game.best & 3)
    elif card > game.best:
        game.best = card
        game.winner = seat
    if played & HEARTS or (rules.queen_breaks_hearts and played == QUEEN_OF_SPADES):
        game.hearts_broken = True
    game.hand[seat] &= ~played
    game.trick |= played
    game.play_order[game.plays] = card
    game.plays += 1
    game.turn = (seat + 1) % SEATS
    if game.plays % SEATS == 0:
        game.taken[game.winner] |= game.trick
        game.trick = EMPTY
        game.turn = game.winner


@rule
def points_of(cards, rules):  # type: ignore[no-untyped-def]
    """What a set of taken cards counts."""
    points = np.int64(count_bits(cards & HEARTS))
    if cards & QUEEN_OF_SPADES:
        points += 13
    if rules.jack_of_diamonds_bonus and cards & JACK_OF_DIAMONDS:
        points -= 10
    return points


@rule
def shooter(game):  # type: ignore[no-untyped-def]
    """Who has taken all hearts and the queen of spades; -1 for nobody."""
    for seat in range(SEATS):
        if game.taken[seat] & POINT_CARDS == POINT_CARDS:
            return seat
    return -1


@rule
def final_points(game, seat, moon, rules):  # type: ignore[no-untyped-def]
    """A seat's points for the whole deal, `moon` being the shooter: the 26 then go to each of the others instead."""
    points = points_of(game.taken[seat], rules)
    if moon >= 0:
        return points - 26 if seat == moon else points + 26
    if rules.no_tricks_bonus and not game.taken[seat]:
        return points - 5
    return points


@rule
def first_card(cards):  # type: ignore[no-untyped-def]
    """The lowest number in a set."""
    return np.int64(lowest_bit(cards))
