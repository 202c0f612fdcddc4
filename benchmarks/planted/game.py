"""Suits: each player is dealt cards, half of them of one suit, and gets a point for naming it.

Between two rounds the cards are shuffled, at some tables for much longer than at others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from velodrome.games.game import Array, Choice, Game, Score, Spec, View
from velodrome.games.kernel import below, draw, kernel, mix, rule, seed_states

PLAYERS, SUITS, KINDS, ROUNDS = 8, 4, 128, 16
"""A card is one of 128 kinds, and its suit is what is left of the kind after division by 4."""
RUN = 8
"""Tables with numbers 0 to 7 shuffle long, 8 to 31 do not, 32 to 39 do, and so on."""


@rule
def shuffle(game, long):  # type: ignore[no-untyped-def]
    """What the deck will be in the next round; nothing if that has been done already."""
    if not game.shuffled:
        game.following = game.deck
        for _ in range(long if game.slow else 1):
            game.following = mix(game.following + np.uint64(1))
        game.shuffled = 1


@rule
def lay(game, cards):  # type: ignore[no-untyped-def]
    """Everybody's cards, and the suit of most of them, from the deck alone."""
    state = game.deck
    for player in range(PLAYERS):
        state, bits = draw(state)
        game.suit[player] = below(bits, SUITS)
        for i in range(cards.shape[1]):
            state, bits = draw(state)
            kind = below(bits, KINDS)
            cards[player, i] = kind - kind % SUITS + game.suit[player] if bits & np.uint64(1) else kind


@kernel
def shuffle_tables(games, which, long):  # type: ignore[no-untyped-def]
    for i in which:
        shuffle(games[i], long)


@kernel
def deal(games, which, long, cards):  # type: ignore[no-untyped-def]
    for i in range(len(games)):
        if which[i]:
            games[i].deck = mix(games[i].deck + np.uint64(1))
            games[i].right[:], games[i].round, games[i].shuffled = 0, 0, 0
            lay(games[i], cards[i])


@kernel
def play(games, named, long, cards, rewards):  # type: ignore[no-untyped-def]
    for i in range(len(games)):
        game = games[i]
        rewards[i] = 0
        if game.round == ROUNDS:
            continue
        for player in range(PLAYERS):
            if named[i, player] < 0 or named[i, player] >= SUITS:
                return i
            rewards[i, player] = named[i, player] == game.suit[player]
            game.right[player] += named[i, player] == game.suit[player]
        game.round += 1
        if game.round < ROUNDS:
            shuffle(game, long)
            game.deck, game.shuffled = game.following, 0
            lay(game, cards[i])
    return -1


@kernel
def look(games, cards):  # type: ignore[no-untyped-def]
    for i in range(len(games)):
        lay(games[i], cards[i])


class Suits(Game):
    """The game. `shuffles` is how often the cards are shuffled at the tables that shuffle long."""

    record = np.dtype(
        [
            ("deck", "u8"),
            ("following", "u8"),
            ("suit", "i1", PLAYERS),
            ("right", "i2", PLAYERS),
            ("round", "i2"),
            ("shuffled", "i1"),
            ("slow", "i1"),
        ]
    )

    def __init__(self, games: int, seed: int, cards: int = 16, shuffles: int = 1, **options: Any):
        self.shuffles = shuffles
        views = {"cards": View((cards,), np.int64, 0, KINDS - 1, "the kind of each card in hand")}
        settings = {"cards": cards, "shuffles": shuffles}
        score = Score("suits named right", "higher")
        choice = Choice("suit", SUITS)
        spec = Spec("suits", PLAYERS, PLAYERS, views, (choice,), score, ROUNDS, bots=(), settings=settings)
        super().__init__(spec, games, seed, **options)

    def seed_records(self, seed: int, start: Array, luck: Array) -> None:
        """The deck, and which tables shuffle long."""
        seed_states(seed, start, self.records["deck"])
        self.records["slow"] = luck // RUN % 4 == 0
        self.seat[:] = np.arange(PLAYERS)

    def shuffle(self, which: Array) -> None:
        """Shuffle at these tables for the next round; where nobody does, `step` will."""
        shuffle_tables(self.records, which, self.shuffles)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """The first round of a game."""
        deal(self.records[lo:hi], which[lo:hi], self.shuffles, self.views["cards"][lo:hi])
        self.rewards[lo:hi][which[lo:hi]] = 0
        self.ended[lo:hi] &= ~which[lo:hi]

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """One round."""
        refused = play(
            self.records[lo:hi], action["suit"][lo:hi], self.shuffles, self.views["cards"][lo:hi], self.rewards[lo:hi]
        )
        self.ended[lo:hi] = self.records["round"][lo:hi] == ROUNDS
        self.outcome[lo:hi] = self.records["right"][lo:hi] / ROUNDS
        return refused + lo if refused >= 0 else -1

    def look(self, lo: int, hi: int) -> None:
        """Lay the cards again."""
        look(self.records[lo:hi], self.views["cards"][lo:hi])
        self.ended[lo:hi] = self.records["round"][lo:hi] == ROUNDS
