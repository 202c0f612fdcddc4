"""Scripted players. Each decides from what the seat to act may see."""

from __future__ import annotations

from velodrome.games.hearts.rules import ONE, first_card, legal_cards, over
from velodrome.games.kernel import below, count_bits, draw, kernel, rule

RANDOM, LOWEST, RULE = range(3)
BOTS = ("random", "lowest", "rule")


@rule
def nth_card(cards, n):  # type: ignore[no-untyped-def]
    """The card with n others below it in the set."""
    for _ in range(n):
        cards &= cards - ONE
    return first_card(cards)


@rule
def random_card(game, rules):  # type: ignore[no-untyped-def]
    """Any legal card."""
    legal = legal_cards(game, rules)
    game.luck, bits = draw(game.luck)
    return nth_card(legal, below(bits, count_bits(legal)))


@rule
def lowest_card(game, rules):  # type: ignore[no-untyped-def]
    """The legal card of the lowest rank, also when passing."""
    return first_card(legal_cards(game, rules))


@kernel
def advise(bot, games, lo, hi, rules, cards):  # type: ignore[no-untyped-def]
    """Write the card that a bot would choose in every game that is not over."""
    for i in range(lo, hi):
        game = games[i]
        if over(game):
            cards[i] = 0
        elif bot == RANDOM:
            cards[i] = random_card(game, rules)
        else:
            cards[i] = lowest_card(game, rules)
