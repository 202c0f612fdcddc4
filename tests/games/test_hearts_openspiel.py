"""Hearts decides, shows and pays as OpenSpiel does, whatever the options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyspiel
import pytest
from open_spiel.python.observation import make_observation

from velodrome.games.game import Array
from velodrome.games.hearts import Hearts
from velodrome.games.hearts.openspiel import FEATURES, MOMENTS, MOST_SET, NOTHING

OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "defaults": ({}, {}),
    "no passing": ({"pass_direction": "none"}, {"pass_cards": False}),
    "points on the first trick": ({"points_on_first_trick": True}, {"no_pts_on_first_trick": False}),
    "any club opens": ({"any_club_opens": True}, {"can_lead_any_club": True}),
    "jack of diamonds": ({"jack_of_diamonds_bonus": True}, {"jd_bonus": True}),
    "no tricks": ({"no_tricks_bonus": True}, {"avoid_all_tricks_bonus": True}),
    "hearts unbroken": ({"hearts_must_be_broken": False}, {"must_break_hearts": False}),
    "queen leaves hearts": ({"queen_breaks_hearts": False}, {"qs_breaks_hearts": False}),
    "hearts before queen": ({"hearts_before_queen": True}, {"can_lead_hearts_instead_of_qs": True}),
    "many": (
        {"jack_of_diamonds_bonus": True, "no_tricks_bonus": True, "hearts_before_queen": True, "any_club_opens": True},
        {
            "jd_bonus": True,
            "avoid_all_tricks_bonus": True,
            "can_lead_hearts_instead_of_qs": True,
            "can_lead_any_club": True,
        },
    ),
}
"""Our options, and the same in OpenSpiel's words."""
LEGALITY = (
    "points on the first trick",
    "any club opens",
    "hearts unbroken",
    "queen leaves hearts",
    "hearts before queen",
)
CARDS = np.arange(52)
ACE_AND_KING_OF_CLUBS, QUEEN_OF_SPADES = [48, 44], [43]


class Beside:
    """The same deals here, under every observation, and in OpenSpiel."""

    def __init__(self, options: str, deals: int, seed: int, own: list[Array] | None = None):
        ours, theirs = OPTIONS[options]
        observations = ("openspiel", "openspiel-indices", "openspiel-history")
        self.views = [Hearts(deals, seed, observation=name, **ours) for name in observations]  # type: ignore[arg-type]
        self.game = self.views[0]
        if own is not None:
            deal_out(self.views, own)
        rules = pyspiel.load_game("hearts", theirs)
        self.observer = make_observation(rules, pyspiel.IIGObservationType(perfect_recall=True))
        self.states = [state_of(rules, record) for record in self.game.records]
        self.seen: list[dict[int, list[Array]]] = [{seat: [] for seat in range(4)} for _ in range(deals)]

    def compare(self) -> None:
        dense, indices = self.game.views["cards"][:, 0], self.views[1].views["cards"][:, 0]
        np.testing.assert_array_equal(dense, spread(indices))
        for number in np.flatnonzero(~self.game.ended):
            state, seat = self.states[number], int(self.game.seat[number, 0])
            assert state.current_player() == seat
            assert state.legal_actions() == np.flatnonzero(self.game.views["legal"][number, 0]).tolist()
            self.observer.set_from(state, seat)
            np.testing.assert_array_equal(dense[number], self.observer.tensor)
            self.seen[number][seat].append(indices[number].copy())
            self.compare_history(number, self.seen[number][seat][-MOMENTS:])

    def compare_history(self, number: int, seen: list[Array]) -> None:
        view = self.views[2].views
        past, cards = view["past"][number, 0], view["cards"][number, 0]
        assert past.tolist() == [False] * (MOMENTS - len(seen)) + [True] * len(seen)
        assert (cards[~past] == NOTHING).all()
        np.testing.assert_array_equal(cards[past], seen)

    def step(self, cards: Array) -> None:
        live = np.flatnonzero(~self.game.ended)
        for game in self.views:
            game.step(cards)
        for number in live:
            self.states[number].apply_action(int(cards[number, 0]))

    def compare_ends(self) -> None:
        returns = [state.returns() for state in self.states]
        np.testing.assert_array_equal(26 - self.game.outcome, returns)


def spread(indices: Array) -> Array:
    dense = np.zeros((len(indices), FEATURES + 1), np.float32)
    np.put_along_axis(dense, indices.astype(np.int64), 1, axis=1)
    return dense[:, :FEATURES]


def state_of(rules: Any, record: Any) -> Any:
    """An OpenSpiel state with the pass direction and the deal of one of our games."""
    state = rules.new_initial_state()
    state.apply_action(int(record["direction"]))
    hands = [[card for card in range(52) if int(record["dealt"][seat]) >> card & 1] for seat in range(4)]
    for draw in range(52):
        state.apply_action(hands[draw % 4][draw // 4])
    return state


def deal_out(games: list[Hearts], owners: list[Array]) -> None:
    """Give the games these deals (`owner[card]`), nobody passing."""
    for game in games:
        records = game.snapshot()
        records["direction"] = 0
        for record, owner in zip(records, owners, strict=True):
            for seat in range(4):
                record["hand"][seat] = record["dealt"][seat] = sum(1 << int(card) for card in CARDS[owner == seat])
            record["turn"] = owner[0]
        game.restore(records)


def owners_of(held: Array, generator: np.random.Generator) -> Array:
    """A deal in which some seat holds these cards (and others, up to thirteen)."""
    rest = generator.permutation(np.setdiff1d(CARDS, held))
    order = np.concatenate([held, rest])
    return ((CARDS // 13 + generator.integers(4)) % 4)[np.argsort(order)]


def strong_hands(deals: int, seed: int) -> Iterator[Array]:
    """Deals in which somebody is likely to shoot the moon."""
    generator = np.random.default_rng(seed)
    for _ in range(deals):
        yield owners_of(generator.permutation(CARDS[36:])[:13], generator)


def hearts_hands(deals: int, seed: int) -> Iterator[Array]:
    """Deals in which somebody soon has nothing but hearts, or hearts and the queen of spades, and leads; or can throw
    nothing else on the first trick."""
    generator = np.random.default_rng(seed)
    hearts = CARDS[CARDS % 4 == 2]
    for deal in range(deals):
        some = generator.permutation(hearts)
        start = [ACE_AND_KING_OF_CLUBS + QUEEN_OF_SPADES, ACE_AND_KING_OF_CLUBS, QUEEN_OF_SPADES][deal % 3]
        yield owners_of(np.concatenate([start, some])[:13].astype(np.int64), generator)


def play_beside(beside: Beside, bot: str) -> None:
    while not beside.game.ended.all():
        beside.compare()
        beside.step(beside.game.bot(bot)["card"])
    beside.compare_ends()


def compare_deals(options: str, deals: int, seed: int) -> None:
    """Random play for nine in ten deals, the rule bot for the rest, a few hundred side by side."""
    batch = min(deals, 400)
    for number in range(deals // batch):
        play_beside(Beside(options, batch * 9 // 10, seed + number), "random")
        play_beside(Beside(options, batch // 10, seed + number), "rule")


@pytest.mark.parametrize("options", OPTIONS)
def test_a_sample_is_equal(options: str) -> None:
    compare_deals(options, 200 if options == "defaults" else 30, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("options", OPTIONS)
def test_thousands_are_equal(options: str) -> None:
    compare_deals(options, 10_000 if options == "defaults" else 2_000, seed=100)


@pytest.mark.parametrize("options", ["defaults", "jack of diamonds", "no tricks", "many"])
def test_moons_are_equal(options: str) -> None:
    deals = list(strong_hands(40, seed=2))
    beside = Beside(options, len(deals), 2, deals)
    play_beside(beside, "random")
    assert ((beside.game.outcome >= 16).sum(1) == 3).sum() > 3


@pytest.mark.parametrize("options", OPTIONS)
def test_hands_of_hearts_are_equal(options: str) -> None:
    deals = list(hearts_hands(45, seed=3))
    play_beside(Beside(options, len(deals), 3, deals), "random")


@pytest.mark.parametrize("options", LEGALITY)
def test_each_option_matters_in_these_deals(options: str) -> None:
    crafted = list(hearts_hands(45, seed=3))
    game, plain = Hearts(300, 3, **OPTIONS[options][0]), Hearts(300, 3)
    random = [np.argsort(order) // 13 for order in np.random.default_rng(3).permuted(np.tile(CARDS, (255, 1)), axis=1)]
    deal_out([game, plain], crafted + random)
    while not game.ended.all():
        game.step(game.bot("random"))
        plain.step(plain.bot("random"))
    assert not np.array_equal(game.records["play_order"], plain.records["play_order"])


def test_the_longest_list_is_reached() -> None:
    game, longest = Hearts(200, 0, observation="openspiel-indices"), 0
    while not game.ended.all():
        longest = max(longest, int((game.views["cards"] != NOTHING).sum(2).max()))
        game.step(game.bot("random"))
    assert longest == MOST_SET
