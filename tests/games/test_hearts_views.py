"""What a seat sees of Hearts: all that it may know, nothing else, packed as declared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from velodrome.games.game import Array
from velodrome.games.hearts import Hearts, compact_layout

HEARTS = set(range(2, 52, 4))
QUEEN, JACK = 43, 37
SUITS = [set(range(suit, 52, 4)) for suit in range(4)]
AWAY = {"left": 1, "across": 2, "right": 3}


def cards_of(word: Any) -> set[int]:
    return {card for card in range(52) if int(word) >> card & 1}


class Table:
    """One game's record, told slowly in sets of cards from the course of play alone."""

    def __init__(self, record: Any):
        self.record, self.seat, self.direction = record, int(record["turn"]), int(record["direction"])
        self.passing = self.direction != 0 and record["passes"] < 12
        self.tricks: list[list[tuple[int, int]]] = []
        for play in range(record["plays"]):
            if play % 4 == 0:
                self.tricks.append([])
            seat = (int(record["leader"][play // 4]) + play) % 4
            self.tricks[-1].append((seat, int(record["play_order"][play])))
        self.trick = self.tricks.pop() if self.tricks and len(self.tricks[-1]) < 4 else []
        self.hand = cards_of(record["hand"][self.seat])
        self.plays = [play for trick in [*self.tricks, self.trick] for play in trick]
        self.played = {card for _, card in self.plays}

    def winner(self, trick: list[tuple[int, int]]) -> int:
        led = trick[0][1] % 4
        return max((play for play in trick if play[1] % 4 == led), key=lambda play: play[1])[0]

    def taken(self, seat: int) -> set[int]:
        return {card for trick in self.tricks if self.winner(trick) == seat for _, card in trick}

    def void(self, seat: int) -> set[int]:
        whole = [*self.tricks, self.trick]
        return {trick[0][1] % 4 for trick in whole for s, card in trick if s == seat and card % 4 != trick[0][1] % 4}

    def passed_on(self) -> set[int]:
        return cards_of(self.record["given"][self.seat]) - self.played

    def may_hold(self, away: int) -> set[int]:
        held_back = set().union(*(SUITS[suit] for suit in self.void((self.seat + away) % 4)))
        unseen = set(range(52)) - self.hand - self.played - self.passed_on() - held_back
        return unseen | (self.passed_on() if self.direction == away else set())

    def would_win(self, legal: set[int]) -> set[int]:
        if self.passing or not self.trick:
            return set() if self.passing else legal
        led = self.trick[0][1] % 4
        best = max(card for _, card in self.trick if card % 4 == led)
        return {card for card in legal if card % 4 == led and card > best}

    def would_surely_win(self, legal: set[int]) -> set[int]:
        after = set().union(*(self.may_hold(away) for away in range(1, 4 - len(self.trick))))
        return {card for card in self.would_win(legal) if not any(c % 4 == card % 4 and c > card for c in after)}


def taken_as_told(taken: set[int]) -> list[bool]:
    hearts = len(taken & HEARTS)
    return [hearts > n for n in range(10)] + [QUEEN in taken, JACK in taken]


def compact_as_told(table: Table, legal: set[int]) -> dict[str, Any]:
    """The compact observation by name: sets of cards and lists of flags."""
    phase = int(table.record["passes"]) % 3 if table.passing else 3
    trick = {card for _, card in table.trick}
    shooters = [
        seat for seat in range(4) if not any(table.taken(s) & (HEARTS | {QUEEN}) for s in range(4) if s != seat)
    ]
    told: dict[str, Any] = {
        "hand": table.hand,
        "hand: short suits": [len(table.hand & suit) == short for suit in SUITS for short in range(3)],
        "legal": legal,
        "legal: phase": [phase == n for n in range(4)],
        "legal: direction": [table.direction == n for n in range(4)],
        "legal: hearts broken": [bool(table.played & (HEARTS | {QUEEN}))],
        "legal: may shoot": [table.seat in shooters],
        "legal: my queen": [QUEEN in table.hand],
        "legal: queen gone": [QUEEN in table.played],
        "trick": trick,
        "trick: suit led": [bool(table.trick) and table.trick[0][1] % 4 == suit for suit in range(4)],
        "trick: cards in trick": [len(trick) == n for n in range(4)],
        "trick: hearts in trick": [len(trick & HEARTS) > n for n in range(3)],
        "trick: queen in trick": [QUEEN in trick],
        "would win": table.would_win(legal),
        "would win: tricks done": [len(table.tricks) > n for n in range(12)],
        "would surely win": table.would_surely_win(legal),
    }
    told |= named_flags("would surely win", taken_as_told(table.taken(table.seat)))
    for name, away in AWAY.items():
        other = (table.seat + away) % 4
        told[f"played by {name}"] = {card for seat, card in table.plays if seat == other}
        told |= named_flags(f"played by {name}", taken_as_told(table.taken(other)))
        told[f"{name} may hold"] = table.may_hold(away)
        told |= {
            f"{name} may hold: void": [suit in table.void(other) for suit in range(4)],
            f"{name} may hold: winning": [bool(table.trick) and table.winner(table.trick) == other],
            f"{name} may hold: yet to play": [not table.passing and other not in {seat for seat, _ in table.trick}],
            f"{name} may hold: led": [bool(table.trick) and table.trick[0][0] == other],
            f"{name} may hold: gave to me": [table.direction != 0 and (other + table.direction) % 4 == table.seat],
            f"{name} may hold: got from me": [table.direction == away],
            f"{name} may hold: may hold queen": [QUEEN in table.may_hold(away)],
            f"{name} may hold: holds queen": [QUEEN in table.passed_on() and table.direction == away],
            f"{name} may hold: may shoot": [other in shooters],
        }
    return told


def named_flags(word: str, flags: list[bool]) -> dict[str, list[bool]]:
    return {
        f"{word}: hearts taken": flags[:10],
        f"{word}: queen taken": flags[10:11],
        f"{word}: jack taken": flags[11:],
    }


def test_the_compact_observation_is_what_the_course_of_play_tells() -> None:
    game, layout = Hearts(40, 0, dense=True), compact_layout()
    while not game.ended.all():
        for number in np.flatnonzero(~game.ended):
            legal = set(np.flatnonzero(game.views["legal"][number, 0]).tolist())
            told = compact_as_told(Table(game.records[number]), legal)
            assert set(told) == set(layout)
            features = game.views["features"][number, 0]
            for name, place in layout.items():
                if isinstance(told[name], set):
                    assert set(np.flatnonzero(features[place]).tolist()) == told[name], name
                else:
                    assert features[place].astype(bool).tolist() == told[name], name
        game.step(game.bot("random"))


def test_the_layout_covers_every_feature_once() -> None:
    covered = np.zeros(Hearts(1, 0, dense=True).views["features"].shape[-1], np.int64)
    for place in compact_layout().values():
        covered[place] += 1
    assert (covered == 1).all()


def test_dense_features_are_the_packed_ones() -> None:
    game = Hearts(50, 0, dense=True, threads=2)
    for _ in range(70):
        bits = np.unpackbits(game.views["bits"], axis=-1, bitorder="little")
        np.testing.assert_array_equal(game.views["features"], bits)
        game.step(game.bot("random"))
        game.reset(game.ended)


def test_the_private_view_holds_the_three_other_hands() -> None:
    game = Hearts(50, 0)
    assert game.spec.views["others"].private
    assert not any(game.spec.views[name].private for name in ("bits", "legal"))
    while not game.ended.all():
        hands = game.records["hand"][np.arange(50)[:, None], (game.seat + np.arange(1, 4)) % 4]
        expected = hands[:, :, None] >> np.arange(52, dtype=np.uint64) & np.uint64(1)
        bits = np.unpackbits(game.views["others"][:, 0], axis=-1, bitorder="little", count=156)
        np.testing.assert_array_equal(bits.reshape(50, 3, 52), expected)
        game.step(game.bot("random"))


def swap(words: Array, one: int, other: int) -> Array:
    """The same sets with two cards exchanged."""
    differ = (words >> np.uint64(one) ^ words >> np.uint64(other)) & np.uint64(1)
    return words ^ differ << np.uint64(one) ^ differ << np.uint64(other)


def swap_unseen(record: Any, seat: int, generator: np.random.Generator) -> None:
    """Exchange all cards that the seat has never seen among whoever holds them."""
    known = cards_of(record["dealt"][seat]) | cards_of(record["received"][seat]) | cards_of(record["trick"])
    known |= set().union(*(cards_of(taken) for taken in record["taken"]))
    unseen = np.array([card for card in range(52) if card not in known])
    for one, other in zip(unseen, generator.permutation(unseen), strict=True):
        for name in ("hand", "dealt", "given", "received"):
            record[name] = swap(record[name], one, other)
        order = record["pass_order"].copy()
        record["pass_order"] = np.where(order == one, other, np.where(order == other, one, order))


@pytest.mark.parametrize("observation", ["compact", "openspiel", "openspiel-indices", "openspiel-history"])
def test_nothing_hidden_shows(observation: Any) -> None:
    """Other cards in the other hands: the seat sees the same, and its bots do the same."""
    game, other = (Hearts(20, 0, observation=observation) for _ in range(2))
    generator, hidden_differs = np.random.default_rng(0), 0
    while not game.ended.all():
        records = game.snapshot()
        for number in np.flatnonzero(~game.ended):
            swap_unseen(records[number], int(game.seat[number, 0]), generator)
        other.restore(records)
        hidden_differs += int((records["hand"] != game.records["hand"]).any(1).sum())
        for name, view in game.views.items():
            if not game.spec.views[name].private:
                np.testing.assert_array_equal(other.views[name], view, name)
        for bot in game.spec.bots:
            other.restore(records)
            np.testing.assert_array_equal(other.bot(bot)["card"], game.bot(bot)["card"], bot)
        game.step(game.bot("lowest" if generator.random() < 0.5 else "random"))
    assert hidden_differs > 20 * 40
