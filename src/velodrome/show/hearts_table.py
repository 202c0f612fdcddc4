"""A table of Hearts with a person at it: what that seat may see, what may be played, a hint, and the review of a deal.

Nothing in here knows of browsers. Whatever `seen`, `hint` and `review` give is for the person to see: the cards of the
other seats are in it once they are played, never before. Every change names the move that it answers, by number, so
that one which is sent twice, or from a page that is behind, changes nothing.

A deal is a game of `games/hearts`; here deals follow one another, cards are passed to the left, to the right, across
and not at all in turn, and whoever has fewest points when somebody reaches 100 has won.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from velodrome.games.game import Array
from velodrome.games.hearts import Hearts
from velodrome.games.hearts.rules import CARDS, NO_PASS, PASSED, POINT_CARDS, SEATS, points_of
from velodrome.games.hearts.text import SUITS_SHOWN, card_name, cards_in
from velodrome.learn.players import Player, seated
from velodrome.mistake import Mistake
from velodrome.show.words import listed, several

YOU = 0
NAMES = ("You", "West", "North", "East")
"""By seat, clockwise: who sits to your left is West."""
END = 100
"""A game is over when somebody has so many points."""
CARD_NAMES = {card_name(card): card for card in range(CARDS)}
TOLD = 4
"""So many of the likeliest cards are told of each decision."""


@dataclass(frozen=True)
class Sitter:
    """Somebody who plays, and what we call them."""

    name: str
    player: Player


@dataclass(frozen=True)
class Advice:
    """What a player would do in a position."""

    card: int
    chances: dict[int, float]
    """How likely each legal card is; empty for a player that does not weigh them."""

    def told(self) -> dict[str, Any]:
        """The card, how sure it is, and the likeliest cards."""
        weighed = sorted(self.chances.items(), key=lambda each: -each[1])[:TOLD]
        chance = self.chances.get(self.card)
        return {"choice": card_name(self.card), "chance": chance, "weighed": [[card_name(c), p] for c, p in weighed]}


@dataclass(frozen=True)
class Decision:
    """What you did where there was a choice, and what your adviser would have done."""

    passed: int | None
    """Which of the cards to pass it was; None for a card that was played."""
    trick: int
    lies: list[tuple[int, int]]
    """Who had played which card to the trick."""
    yours: int
    advice: Advice

    @property
    def same(self) -> bool:
        """Whether you did what your adviser would have done."""
        return self.yours == self.advice.card

    def told(self) -> dict[str, Any]:
        """For the page."""
        return {
            "passed": self.passed,
            "trick": self.trick,
            "lies": [[seat, card_name(card)] for seat, card in self.lies],
            "yours": card_name(self.yours),
            "your_chance": self.advice.chances.get(self.yours),
            "same": self.same,
        } | self.advice.told()


@dataclass(frozen=True)
class Deal:
    """A deal that is over."""

    points: list[int]
    decisions: list[Decision]
    advised: list[int]
    """The points if your adviser had sat in your seat and everybody else played as they do."""
    shooter: int | None

    @property
    def agreed(self) -> int:
        """How many decisions were those of your adviser."""
        return sum(decision.same for decision in self.decisions)

    def to_json(self) -> dict[str, Any]:
        """What a program may want to know of it."""
        found = {"points": self.points, "decisions": len(self.decisions), "agreed": self.agreed}
        return found | {"advised": self.advised}


class Table:
    """You and three opponents, from deal to deal."""

    def __init__(self, opponents: Sitter, adviser: Sitter, seed: int):
        self.opponents, self.adviser = opponents, adviser
        self.game = table_for([opponents, adviser], seed)
        self.ahead = self.game.again(1)
        """Where the adviser sees your position, and plays on from it without touching the table."""
        self.row = np.ones((1, 1), np.bool_)
        self.rivals = seated(opponents.player, self.game, number=1, greedy=True)
        self.guide = seated(adviser.player, self.ahead, number=0, greedy=True)
        self.number = 0
        """Of the next change; each change answers one number."""
        self.games: list[list[Deal]] = [[]]
        """The deals that are over, game by game; the last game is being played."""
        self._begin()

    # -- what you see -------------------------------------------------------------------------------------------

    @property
    def phase(self) -> str:
        """What is to be done: "pass" or "play", or nothing in this "deal over" or "game over"."""
        if self.game.ended[0]:
            return "game over" if max(self.scores) >= END else "deal over"
        return "pass" if self.wanted == PASSED else "play"

    @property
    def wanted(self) -> int:
        """How many cards the next move takes."""
        record = self.game.records[0]
        if self.game.ended[0]:
            return 0
        return PASSED if record["direction"] != NO_PASS and record["passes"] < SEATS * PASSED else 1

    @property
    def scores(self) -> list[int]:
        """Of the deals of this game that are over."""
        return [sum(deal.points[seat] for deal in self.games[-1]) for seat in range(SEATS)]

    def seen(self) -> dict[str, Any]:
        """All that the person in your seat may know."""
        record = self.game.records[0]
        direction = int(record["direction"])
        return {
            "number": self.number,
            "phase": self.phase,
            "dealt": int(record["deal_number"]),
            "names": NAMES,
            "opponents": self.opponents.name,
            "adviser": self.adviser.name,
            "pass_to": direction or None,
            "pass_from": (SEATS - direction) % SEATS or None,
            "gave": as_held(record["given"][YOU]),
            "got": as_held(record["received"][YOU]),
            "hand": as_held(record["hand"][YOU]),
            "wanted": self.wanted,
            "legal": [card_name(card) for card in self._legal()],
            "tricks": self._tricks(record),
            "deals": [deal.points for deal in self.games[-1]],
            "scores": self.scores,
            "review": self.review() if self.game.ended[0] else None,
        }

    def _legal(self) -> list[int]:
        """What you may pass or play now."""
        return [] if self.game.ended[0] else np.flatnonzero(self.game.views["legal"][0, 0]).tolist()

    def _tricks(self, record: Array) -> list[dict[str, Any]]:
        """The tricks so far: who led, the cards in the order played and, of whole tricks, who won and what it cost."""
        plays, found = int(record["plays"]), []
        for first in range(0, plays, SEATS):
            cards = [int(card) for card in record["play_order"][first : min(plays, first + SEATS)]]
            trick: dict[str, Any] = {"leader": int(record["leader"][first // SEATS])}
            trick["cards"] = [card_name(card) for card in cards]
            if len(cards) == SEATS:
                last = plays == first + SEATS
                trick["winner"] = int(record["winner"] if last else record["leader"][first // SEATS + 1])
                trick["points"] = int(points_of(np.uint64(sum(1 << card for card in cards)), self.game.rules))
            found.append(trick)
        return found

    def _lies(self, record: Array) -> list[tuple[int, int]]:
        """Who has played which card to the trick that is not over."""
        plays = int(record["plays"])
        first = plays - plays % SEATS
        leader = int(record["leader"][first // SEATS])
        return [((leader + at) % SEATS, int(card)) for at, card in enumerate(record["play_order"][first:plays])]

    # -- what you do --------------------------------------------------------------------------------------------

    def play(self, number: int, cards: Sequence[int]) -> None:
        """Pass three cards or play one; the others then act until it is your turn again."""
        self._refuse_another(number)
        self._refuse_illegal(cards)
        plan = self._plan()
        for card, advice in zip(beside(plan, cards), plan, strict=True):
            self._decide(card, advice)
        self._others_act()
        self.number += 1

    def deal(self, number: int) -> None:
        """Go on with the next deal, the first of a new game where one is over."""
        self._refuse_another(number)
        if not self.game.ended[0]:
            raise Mistake("this deal is not over yet")
        if self.phase == "game over":
            self.games.append([])
        self.game.reset()
        self.rivals.begin(self.game.everyone)
        self.guide.begin(self.game.everyone)
        self._begin()
        self.number += 1

    def _refuse_another(self, number: int) -> None:
        if number != self.number:
            raise Mistake("the game has moved on since, perhaps in another tab; this is how it stands")

    def _refuse_illegal(self, cards: Sequence[int]) -> None:
        if not self.wanted:
            raise Mistake("this deal is over; go on with the next")
        if len(set(cards)) != self.wanted or len(cards) != self.wanted:
            what = f"{self.wanted} different cards are passed" if self.wanted > 1 else "one card is played"
            raise Mistake(f"{what} at a time, not {len(cards)}")
        legal = self._legal()
        for card in cards:
            if card not in legal:
                held = card_name(card) in as_held(self.game.records[0]["hand"][YOU])
                raise Mistake(f"{card_name(card)} {'may not be played now' if held else 'is not in your hand'}")

    def _begin(self) -> None:
        """A new deal lies on the table."""
        self.start = self.game.snapshot()
        self.decisions: list[Decision] = []
        self._others_act()

    def _decide(self, card: int, advice: Advice) -> None:
        """Act, and note what the adviser would have done."""
        record = self.game.records[0]
        if len(self._legal()) > 1:
            passed = int(record["passes"]) + 1 if self.wanted == PASSED else None
            trick = int(record["plays"]) // SEATS + 1
            self.decisions.append(Decision(passed, trick, self._lies(record), card, advice))
        if advice.chances:
            self.ahead.restore(self.game.snapshot())
            self.guide.decide(self.row)  # whatever it remembers, it has seen this position
        self.game.step(np.array([[card]]))

    def _others_act(self) -> None:
        while not self.game.ended[0] and self.game.seat[0, 0] != YOU:
            self.game.step(self.rivals.decide(self.row))
        if self.game.ended[0]:
            self._close()

    def _close(self) -> None:
        """The deal is over."""
        record = self.game.records[0]
        moon = [seat for seat in range(SEATS) if record["taken"][seat] & POINT_CARDS == POINT_CARDS]
        points = [round(float(each)) for each in self.game.outcome[0]]
        self.games[-1].append(Deal(points, self.decisions, self._as_advised(), moon[0] if moon else None))

    # -- what the adviser would do ------------------------------------------------------------------------------

    def hint(self) -> dict[str, Any]:
        """What the adviser would do now: each of the cards that the move takes, and what it weighed."""
        if not self.wanted:
            raise Mistake("there is nothing to decide now")
        cards = [advice.told() for advice in self._plan()]
        return {"number": self.number, "adviser": self.adviser.name, "cards": cards}

    def review(self) -> dict[str, Any]:
        """The deal that is over: what it came to, and your decisions beside the adviser's."""
        deal = self.games[-1][-1]
        says = [self._result(deal), self._agreement(deal), self._in_your_seat(deal)]
        return {"says": says, "points": deal.points, "decisions": [decision.told() for decision in deal.decisions]}

    def _result(self, deal: Deal) -> str:
        if deal.shooter is not None:
            who = "You have" if deal.shooter == YOU else f"{NAMES[deal.shooter]} has"
            return f"{who} shot the moon: 26 points to each of the others."
        told = [f"{name} {'take' if seat == YOU else 'takes'} {deal.points[seat]}" for seat, name in enumerate(NAMES)]
        return f"{listed(told)}."

    def _agreement(self, deal: Deal) -> str:
        choices = several(len(deal.decisions), "decisions")
        return f"Of {choices} with a choice you made {deal.agreed} as {self.adviser.name} would have."

    def _in_your_seat(self, deal: Deal) -> str:
        points = several(deal.advised[YOU], "points")
        return f"In your seat, with the same cards against the same opponents, {self.adviser.name} takes {points}."

    def _plan(self) -> list[Advice]:
        """What the adviser would do with the next move, a card at a time."""
        records, found = self.game.snapshot(), []
        for _ in range(self.wanted):
            found.append(self._advice(records))
            self.ahead.step(np.array([[found[-1].card]]))
            records = self.ahead.snapshot()
        return found

    def _advice(self, records: Array) -> Advice:
        """What the adviser would do in your seat; `ahead` then stands there."""
        self.ahead.restore(records)
        weighed = self.guide.chances(self.row)
        if not weighed:
            return Advice(int(self.guide.decide(self.row)["card"][0, 0]), {})
        chances = weighed["card"][0]
        legal = np.flatnonzero(self.ahead.views["legal"][0, 0])
        return Advice(int(chances.argmax()), {int(card): float(chances[card]) for card in legal})

    def _as_advised(self) -> list[int]:
        """The points of the same deal with the adviser in your seat."""
        game = self.game.again(1)
        game.restore(self.start)
        you = seated(self.adviser.player, game, number=0, greedy=True)
        others = seated(self.opponents.player, game, number=1, greedy=True)
        while not game.ended[0]:
            game.step((you if game.seat[0, 0] == YOU else others).decide(self.row))
        return [round(float(each)) for each in game.outcome[0]]

    # -- how it went --------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """All that was played."""
        who = {"opponents": self.opponents.name, "adviser": self.adviser.name}
        games = [[deal.to_json() for deal in deals] for deals in self.games]
        return {"game": "hearts", "seed": self.game.seed} | who | {"games": games, "scores": self.scores}

    def summary(self) -> str:
        """The same in a line."""
        deals = sum(len(deals) for deals in self.games)
        if not deals:
            return "no deal was finished"
        told = listed([f"{name} {score}" for name, score in zip(NAMES, self.scores, strict=True)])
        return f"{several(deals, 'deals')} played; {told} points in the last game (fewer is better)"


def beside(plan: Sequence[Advice], cards: Sequence[int]) -> list[int]:
    """Your cards in the order of the adviser's. Which is passed first means nothing: equal cards stand beside each
    other, and what you passed instead beside what it would have passed."""
    others = [card for card in cards if card not in [advice.card for advice in plan]]
    return [advice.card if advice.card in cards else others.pop(0) for advice in plan]


def as_held(cards: Any) -> list[str]:
    """A set of cards by name, suit by suit, low to high."""
    found = [card_name(card) for card in cards_in(int(cards))]
    return sorted(found, key=lambda name: SUITS_SHOWN.index(name[-1]))


def table_for(sitters: Sequence[Sitter], seed: int) -> Hearts:
    """One game by the rules that those who sit there have learnt."""
    learnt = [sitter.player.game for sitter in sitters if hasattr(sitter.player, "game")]
    fixed: dict[str, Any] = {"observation": "none", "dense": False, "forced": "asked", "pass_direction": "cycle"}
    tables = [Hearts(1, seed, **(dict(game.spec.settings) | fixed)) for game in learnt] or [Hearts(1, seed, **fixed)]
    if any(table.rules != tables[0].rules for table in tables):
        raise Mistake(f"{' and '.join(sitter.name for sitter in sitters)} have learnt Hearts by different rules")
    return tables[0]
