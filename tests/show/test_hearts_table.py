"""The table at which a person plays: it keeps the rules, hides what is hidden, and reviews by what it advises."""

from __future__ import annotations

import json
import random
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from small import small
from velodrome.games.hearts import Hearts
from velodrome.games.hearts.rules import SEATS
from velodrome.games.hearts.text import card_name, cards_in
from velodrome.learn.trainer import Trainer
from velodrome.mistake import Mistake
from velodrome.recipes import find
from velodrome.show.hearts_table import CARD_NAMES, END, YOU, Deal, Sitter, Table

CARD = re.compile(r'"([2-9TJQKA][CDHS])"')
BOT = Sitter("the rule bot", "rule")


def untrained() -> Trainer:
    found = find("hearts")
    return found.build(small(found.settings()), 0, "cpu")


@pytest.fixture(scope="module")
def net() -> Sitter:
    return Sitter("the net", untrained())


def sitters(who: str, net: Sitter) -> tuple[Sitter, Sitter]:
    return {"bots": (BOT, BOT), "nets": (net, net), "net beside random bots": (Sitter("bots", "random"), net)}[who]


def hidden(table: Table) -> set[str]:
    """What you may not know: what others hold, and pass, unless it came from you."""
    record = table.game.records[0]
    apart = [int(record[name][seat]) for name in ("hand", "given") for seat in range(SEATS) if seat != YOU]
    cards = {card for cards in apart for card in cards_in(cards)}
    known = cards_in(int(record["given"][YOU] | record["hand"][YOU])) + list(record["play_order"][: record["plays"]])
    return {card_name(card) for card in cards - set(known)}


def check(table: Table) -> dict[str, Any]:
    """What is seen, after a look at whether it may be."""
    seen = table.seen()
    told = [seen] if seen["wanted"] == 0 else [seen, table.hint()]
    assert not hidden(table) & set(CARD.findall(json.dumps(told)))
    assert set(seen["legal"]) <= set(seen["hand"])
    assert len(seen["hand"]) + sum(YOU in seats(trick) for trick in seen["tricks"]) == 13
    return seen


def seats(trick: dict[str, Any]) -> list[int]:
    return [(trick["leader"] + at) % SEATS for at in range(len(trick["cards"]))]


def play_deal(table: Table, choose: Any) -> None:
    while table.wanted:
        table.play(table.number, [CARD_NAMES[card] for card in choose(check(table))])


def at_random(seed: int) -> Any:
    generator = random.Random(seed)
    return lambda seen: generator.sample(seen["legal"], seen["wanted"])


def as_hinted(table: Table) -> Any:
    return lambda seen: [each["choice"] for each in table.hint()["cards"]]


@pytest.mark.parametrize("who", ["bots", "nets", "net beside random bots"])
def test_a_whole_game_keeps_the_rules_and_hides_what_is_hidden(who: str, net: Sitter) -> None:
    table = Table(*sitters(who, net), seed=3)
    choose, directions = at_random(3), []
    while table.phase != "game over":
        directions.append(table.seen()["pass_to"])
        play_deal(table, choose)
        seen = table.seen()
        assert [len(trick["cards"]) for trick in seen["tricks"]] == [4] * 13
        assert len(set(CARD.findall(json.dumps(seen["tricks"])))) == 52
        assert sum(seen["deals"][-1]) == (78 if seen["deals"][-1].count(26) == 3 else 26)
        assert seen["scores"] == np.sum(seen["deals"], 0).tolist()
        if table.phase == "deal over":
            assert max(seen["scores"]) < END
            table.deal(table.number)
    assert max(table.scores) >= END
    assert directions == ([1, 3, 2, None] * 9)[: len(directions)]
    table.deal(table.number)
    assert (table.scores, [len(deals) for deals in table.games]) == ([0] * 4, [len(directions), 0])


@pytest.mark.parametrize("who", ["bots", "nets", "net beside random bots"])
def test_whoever_follows_the_hints_agrees_with_the_review(who: str, net: Sitter) -> None:
    table = Table(*sitters(who, net), seed=11)
    for _ in range(2):
        play_deal(table, as_hinted(table))
        deal, review = table.games[-1][-1], table.review()
        assert deal.agreed == len(deal.decisions) == len(review["decisions"]) > 5
        assert all(each["yours"] == each["choice"] for each in review["decisions"])
        assert deal.advised == deal.points, "the same play by the same players"
        table.deal(table.number)


def test_the_order_of_the_cards_passed_means_nothing(net: Sitter) -> None:
    table = Table(net, net, seed=2)
    hinted = [CARD_NAMES[each["choice"]] for each in table.hint()["cards"]]
    table.play(0, hinted[::-1])
    assert [decision.yours for decision in table.decisions[:3]] == hinted
    assert all(decision.same for decision in table.decisions[:3])


def test_chances_are_of_legal_cards_and_add_up(net: Sitter) -> None:
    table = Table(net, net, seed=2)
    advice = table._advice(table.game.snapshot())
    assert {card_name(card) for card in advice.chances} == set(table.seen()["legal"])
    assert sum(advice.chances.values()) == pytest.approx(1)
    assert advice.chances[advice.card] == max(advice.chances.values())


def test_another_choice_is_told_with_its_chance(net: Sitter) -> None:
    table = Table(net, net, seed=2)
    liked = [each["choice"] for each in table.hint()["cards"]]
    disliked = [card for card in table.seen()["legal"] if card not in liked][:2]
    table.play(0, [CARD_NAMES[card] for card in [*disliked, liked[1]]])
    play_deal(table, at_random(0))
    passed = table.review()["decisions"][:3]
    assert [each["choice"] for each in passed] == liked
    assert [each["yours"] for each in passed] == [disliked[0], liked[1], disliked[1]]
    assert [(each["passed"], each["same"]) for each in passed] == [(1, False), (2, True), (3, False)]
    assert 0 < passed[0]["your_chance"] < passed[0]["chance"]
    assert passed[0]["weighed"][0] == [liked[0], passed[0]["chance"]]


@pytest.mark.parametrize("who", ["bots", "net beside random bots"])
def test_a_hint_changes_nothing(who: str, net: Sitter) -> None:
    courses = []
    for asks in (0, 3):
        table, choose = Table(*sitters(who, net), seed=5), at_random(5)
        while table.wanted:
            for _ in range(asks):
                table.hint()
            table.play(table.number, [CARD_NAMES[card] for card in choose(table.seen())])
        courses.append(table.seen())
    assert courses[0] == courses[1]


def test_what_cannot_be_done_now_is_refused_and_changes_nothing() -> None:
    table = Table(BOT, BOT, seed=1)
    hand = [CARD_NAMES[card] for card in table.seen()["hand"]]
    other = next(card for card in range(52) if card not in hand)
    attempts = [
        (lambda: table.play(1, hand[:3]), "the game has moved on"),
        (lambda: table.play(-1, hand[:3]), "the game has moved on"),
        (lambda: table.play(0, hand[:2]), "3 different cards are passed at a time, not 2"),
        (lambda: table.play(0, [hand[0], hand[0], hand[1]]), "3 different cards"),
        (lambda: table.play(0, [*hand[:2], other]), f"{card_name(other)} is not in your hand"),
        (lambda: table.play(0, []), "3 different cards"),
        (lambda: table.deal(0), "this deal is not over yet"),
    ]
    before, records = table.seen(), table.game.snapshot()
    for attempt, says in attempts:
        with pytest.raises(Mistake, match=says):
            attempt()
        assert table.seen() == before
        assert (table.game.snapshot() == records).all()


def test_a_move_counts_once() -> None:
    table = Table(BOT, BOT, seed=1)
    play_deal(table, at_random(1))
    number = table.number
    with pytest.raises(Mistake, match="this deal is over; go on with the next"):
        table.play(number, [0])
    with pytest.raises(Mistake, match="there is nothing to decide now"):
        table.hint()
    table.deal(number)
    with pytest.raises(Mistake, match="the game has moved on"):
        table.deal(number)
    hand = [CARD_NAMES[card] for card in table.seen()["hand"]]
    table.play(number + 1, hand[:3])
    card = CARD_NAMES[table.seen()["legal"][0]]
    with pytest.raises(Mistake, match="one card is played at a time, not 2"):
        table.play(table.number, [card, card])
    blocked = [card for card in table.seen()["hand"] if card not in table.seen()["legal"]]
    with pytest.raises(Mistake, match="may not be played now"):
        table.play(table.number, [CARD_NAMES[blocked[0]]])


def test_the_same_seed_deals_the_same_cards() -> None:
    hands = [Table(BOT, BOT, seed).seen()["hand"] for seed in (4, 4, 5)]
    assert hands[0] == hands[1] != hands[2]


class Counting:
    """A policy that remembers how many decisions it has seen, and plays the lowest legal card."""

    def __init__(self) -> None:
        self.weighed_after: list[float] = []

    def start(self, rows: int) -> dict[str, torch.Tensor]:
        return {"seen": torch.zeros(rows)}

    def chances(self, views: Any) -> dict[str, torch.Tensor]:
        self.weighed_after.append(float(views["seen"]))
        return {"card": views["legal"].float() / views["legal"].sum()}

    def act(self, views: Any, memory: Any, generator: torch.Generator) -> Any:
        return {"card": views["legal"].int().argmax(-1)}, {"seen": memory["seen"] + 1}


def test_an_adviser_remembers_your_decisions_of_this_deal() -> None:
    counting = Counting()
    table = Table(BOT, Sitter("who counts", counting), seed=0)
    for _ in range(2):
        while table.wanted:
            table.play(table.number, [CARD_NAMES[card] for card in table.seen()["legal"][: table.wanted]])
        assert counting.weighed_after == [0, 0, 0, *range(3, 16)]
        counting.weighed_after.clear()
        table.deal(table.number)


def test_the_moon_is_told() -> None:
    table = Table(BOT, BOT, seed=0)
    table.games[-1].append(Deal([0, 26, 26, 26], [], [0] * 4, YOU))
    assert table.review()["says"][0] == "You have shot the moon: 26 points to each of the others."
    table.games[-1].append(Deal([26, 26, 0, 26], [], [0] * 4, 2))
    assert table.review()["says"][0] == "North has shot the moon: 26 points to each of the others."


def test_what_was_played_is_told_at_the_end() -> None:
    table = Table(BOT, BOT, seed=9)
    assert table.summary() == "no deal was finished"
    play_deal(table, at_random(9))
    points = table.games[0][0].points
    assert table.summary().startswith(f"1 deal played; You {points[0]}, West {points[1]}")
    document = json.loads(json.dumps(table.to_json()))
    assert document["games"][0][0]["points"] == points == document["scores"]


def test_those_who_learnt_other_rules_do_not_sit_together() -> None:
    usual, other = (SimpleNamespace(game=Hearts(1, 0, no_tricks_bonus=bonus)) for bonus in (False, True))
    with pytest.raises(Mistake, match="one and two have learnt Hearts by different rules"):
        Table(Sitter("one", usual), Sitter("two", other), seed=0)


def test_the_table_has_the_rules_that_were_learnt() -> None:
    trainer = untrained()
    trainer.game = Hearts(1, 0, **(trainer.game.spec.settings | {"queen_breaks_hearts": False}))
    table = Table(BOT, Sitter("the net", trainer), seed=0)
    assert not table.game.rules.queen_breaks_hearts
    play_deal(table, at_random(0))
    assert table.phase == "deal over"
