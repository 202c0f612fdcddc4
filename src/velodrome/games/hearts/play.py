"""Hearts played in many games at once: the compiled loops that `Hearts` maps over its records."""

from __future__ import annotations

from velodrome.games.hearts.bots import random_card
from velodrome.games.hearts.rules import (
    CARDS,
    ONE,
    SEATS,
    act,
    card_set,
    deal_cards,
    final_points,
    first_card,
    legal_cards,
    over,
    points_of,
    shooter,
)
from velodrome.games.kernel import kernel, rule


@rule
def play_forced(game, rules):  # type: ignore[no-untyped-def]
    """Make every decision that leaves no choice, up to the next real one."""
    legal = legal_cards(game, rules)
    while legal and legal & (legal - ONE) == 0:
        act(game, first_card(legal), rules)
        legal = legal_cards(game, rules)


@rule
def charge(game, rules, by_trick, rewards, outcome):  # type: ignore[no-untyped-def]
    """Pay minus the points that have not been charged yet: all at the end, or as they are taken."""
    done = over(game)
    moon = shooter(game) if done else -1
    for seat in range(SEATS):
        points = game.paid[seat]
        if done:
            points = final_points(game, seat, moon, rules)
            outcome[seat] = points
        elif by_trick:
            points = points_of(game.taken[seat], rules)
        rewards[seat] = game.paid[seat] - points
        game.paid[seat] = points


@kernel
def deal(games, lo, hi, which, rules, forced, rewards, ended, cut):  # type: ignore[no-untyped-def]
    """Start the next deal of the marked games."""
    for i in range(lo, hi):
        if which[i]:
            deal_cards(games[i], rules)
            if forced:
                play_forced(games[i], rules)
            rewards[i, :] = 0
            ended[i] = False
            cut[i] = False


@kernel
def play(games, lo, hi, cards, rules, forced, by_trick, rewards, ended, outcome):  # type: ignore[no-untyped-def]
    """Act in every game that is not over. Returns the first that refused, or -1."""
    refused = -1
    for i in range(lo, hi):
        game = games[i]
        if over(game):
            rewards[i, :] = 0
            continue
        card = cards[i]
        if card < 0 or card >= CARDS or not legal_cards(game, rules) & card_set(card):
            rewards[i, :] = 0
            refused = i if refused < 0 else refused
            continue
        act(game, card, rules)
        if forced:
            play_forced(game, rules)
        charge(game, rules, by_trick, rewards[i], outcome[i])
        ended[i] = over(game)
    return refused


@kernel
def play_random(games, lo, hi, deals, rules, points):  # type: ignore[no-untyped-def]
    """Play so many deals in each game with random cards, and add up the points of each seat. Returns the decisions."""
    decisions = 0
    for i in range(lo, hi):
        game = games[i]
        for _ in range(deals):
            deal_cards(game, rules)
            while not over(game):
                act(game, random_card(game, rules), rules)
            decisions += game.passes + game.plays
            moon = shooter(game)
            for seat in range(SEATS):
                points[i, seat] += final_points(game, seat, moon, rules)
    return decisions
