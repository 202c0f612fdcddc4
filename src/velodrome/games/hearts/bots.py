"""Scripted players. Each decides from what the seat to act may see."""

from __future__ import annotations

from velodrome.games.hearts.rules import (
    EMPTY,
    HEARTS,
    ONE,
    QUEEN_OF_SPADES,
    SEATS,
    SPADES,
    card_set,
    first_card,
    legal_cards,
    over,
    passing,
    played_cards,
    suit_set,
    without,
)
from velodrome.games.kernel import below, count_bits, draw, highest_bit, kernel, nth_bit, rule

RANDOM, LOWEST, RULE = range(3)
BOTS = ("random", "lowest", "rule")

HIGH_SPADES = SPADES & ~(QUEEN_OF_SPADES - ONE)
"""Queen, king and ace: the cards that are, or may take, the queen."""
SAFE_SPADES = 5
"""With so many spades the high ones are kept: they need not be played early."""
HEART_WEIGHT = 3
"""Passed as if it were so many ranks higher."""


@rule
def random_card(game, rules):  # type: ignore[no-untyped-def]
    """Any legal card."""
    legal = legal_cards(game, rules)
    game.luck, bits = draw(game.luck)
    return nth_bit(legal, below(bits, count_bits(legal)))


@rule
def lowest_card(game, rules):  # type: ignore[no-untyped-def]
    """The legal card of the lowest rank, also when passing."""
    return first_card(legal_cards(game, rules))


@rule
def card_to_pass(hand):  # type: ignore[no-untyped-def]
    """The queen of spades, then ace and king, while spades are few; then the highest card, hearts before others."""
    high = hand & HIGH_SPADES
    if high and count_bits(hand & SPADES) < SAFE_SPADES:
        return first_card(high) if high & QUEEN_OF_SPADES else highest_bit(high)
    hearts, others = hand & HEARTS, hand & ~HEARTS
    if not hearts:
        return highest_bit(others)
    if not others:
        return highest_bit(hearts)
    heart, other = highest_bit(hearts), highest_bit(others)
    return heart if (heart >> 2) + HEART_WEIGHT >= other >> 2 else other


@rule
def card_to_follow(game, suit_cards):  # type: ignore[no-untyped-def]
    """The highest card that does not win; where winning costs nothing or cannot be helped, a card to be rid of."""
    last = game.plays % SEATS == SEATS - 1
    free = game.trick & (HEARTS | QUEEN_OF_SPADES) == 0
    lower = suit_cards & (card_set(game.best) - ONE)
    not_queen = without(suit_cards, QUEEN_OF_SPADES)
    if last and free and suit_cards != QUEEN_OF_SPADES:
        return highest_bit(not_queen)
    if lower:
        return highest_bit(lower)
    return highest_bit(not_queen) if last else first_card(not_queen)


@rule
def card_to_discard(legal, high_spades):  # type: ignore[no-untyped-def]
    """The queen of spades, the spades that may take her, the highest heart, the highest card."""
    if legal & QUEEN_OF_SPADES:
        return highest_bit(QUEEN_OF_SPADES)
    if legal & high_spades:
        return highest_bit(legal & high_spades)
    if legal & HEARTS:
        return highest_bit(legal & HEARTS)
    return highest_bit(legal)


@rule
def rule_card(game, rules):  # type: ignore[no-untyped-def]
    """A cautious human's rules of thumb."""
    legal = legal_cards(game, rules)
    if passing(game):
        return card_to_pass(legal)
    seen = played_cards(game) | game.hand[game.turn]
    danger = EMPTY if seen & QUEEN_OF_SPADES else HIGH_SPADES
    if game.plays % SEATS == 0:
        return first_card(without(legal, danger | QUEEN_OF_SPADES))
    if legal & suit_set(game.best & 3):
        return card_to_follow(game, legal)
    return card_to_discard(legal, danger)


@kernel
def advise(bot, games, lo, hi, rules, cards):  # type: ignore[no-untyped-def]
    """Write the card that a bot would choose in every game that is not over."""
    for i in range(lo, hi):
        game = games[i]
        if over(game):
            cards[i] = 0
        elif bot == RANDOM:
            cards[i] = random_card(game, rules)
        elif bot == LOWEST:
            cards[i] = lowest_card(game, rules)
        else:
            cards[i] = rule_card(game, rules)
