"""Hearts, as a game of Velodrome."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from velodrome.games.game import Action, Array, Choice, Game, Score, Spec, View
from velodrome.games.hearts import bots, openspiel, play, text, views
from velodrome.games.hearts.rules import ACROSS, CARDS, CYCLE, DRAWN, LEFT, NO_PASS, RECORD, RIGHT, SEATS, Rules
from velodrome.games.hearts.scene import scene_of
from velodrome.games.kernel import seed_states
from velodrome.games.scene import NOTHING_SAID, Mind, Scene

DIRECTIONS = {"drawn": DRAWN, "cycle": CYCLE, "none": NO_PASS, "left": LEFT, "across": ACROSS, "right": RIGHT}

LEGAL = View((CARDS,), np.bool_, 0, 1, "which cards may be passed or played")
VIEWS: dict[str, dict[str, View]] = {
    "none": {},
    "compact": {
        "bits": View((views.COMPACT_FEATURES // 8,), np.uint8, 0, 255, "the compact observation, packed"),
        "others": View((-(-views.OTHERS_BITS // 8),), np.uint8, 0, 255, "the other hands, packed", private=True),
    },
    "openspiel": {"cards": View((openspiel.FEATURES,), np.float32, 0, 1, "OpenSpiel's information state")},
    "openspiel-indices": {
        "cards": View((openspiel.MOST_SET,), np.int16, 0, openspiel.NOTHING, "the features that are set"),
    },
    "openspiel-history": {
        "cards": View((openspiel.MOMENTS, openspiel.MOST_SET), np.int16, 0, openspiel.NOTHING, "the same, in the past"),
        "past": View((openspiel.MOMENTS,), np.bool_, 0, 1, "which of these moments exist"),
    },
}
"""What each observation shows."""


class Hearts(Game):
    """Hearts for four, one deal a game; each of the 12 cards passed is a decision, as is each of the 52 played.

    Rule options, with OpenSpiel's names for them:

    - `pass_direction`: "drawn" for each deal from none, left, across and right (`pass_cards=True`); always "left",
      "across", "right" or "none" (`pass_cards=False`); or "cycle" through left, right, across and none.
    - `points_on_first_trick`: hearts and the queen of spades may be thrown on the first trick (not
      `no_pts_on_first_trick`).
    - `any_club_opens`: the holder of the two of clubs may open with any club (`can_lead_any_club`).
    - `jack_of_diamonds_bonus`: taking it counts minus 10 (`jd_bonus`).
    - `no_tricks_bonus`: a seat without a trick counts minus 5, unless someone shot the moon (`avoid_all_tricks_bonus`).
    - `hearts_must_be_broken`: hearts may be led only after a heart was played, or with nothing else to lead
      (`must_break_hearts`).
    - `queen_breaks_hearts`: the queen of spades breaks hearts too (`qs_breaks_hearts`).
    - `hearts_before_queen`: with nothing but hearts and the queen of spades, hearts may be led
      (`can_lead_hearts_instead_of_qs`).

    `observation` is one of

    - "compact": seat-relative features, packed into the view `bits` (`compact_layout` says where what lies); with
      `dense` also as numbers in `features`. The private view `others` holds the three other hands, the left one
      first, packed as well.
    - "openspiel": OpenSpiel's information state in the view `cards`.
    - "openspiel-indices": its set features as a list in `cards`, padded with 5088.
    - "openspiel-history": such lists for the last five decisions of the seat, the newest last, and which of them
      exist in `past`. Decisions that `forced="played"` made for the seat are among them.
    - "none": nothing but the legal cards, for scripted players.

    `forced="played"` makes decisions that leave one legal card without asking, which changes nothing but the number of
    steps. `reward` is minus the points: all at the end of the "deal", or after each "trick" as far as they are known.
    """

    record = RECORD

    def __init__(
        self,
        games: int,
        seed: int,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
        observation: Literal["compact", "openspiel", "openspiel-indices", "openspiel-history", "none"] = "compact",
        dense: bool = False,
        forced: Literal["asked", "played"] = "asked",
        reward: Literal["deal", "trick"] = "deal",
        pass_direction: Literal["drawn", "cycle", "none", "left", "across", "right"] = "drawn",
        points_on_first_trick: bool = False,
        any_club_opens: bool = False,
        jack_of_diamonds_bonus: bool = False,
        no_tricks_bonus: bool = False,
        hearts_must_be_broken: bool = True,
        queen_breaks_hearts: bool = True,
        hearts_before_queen: bool = False,
    ):
        check("observation", observation, VIEWS)
        check("forced", forced, ("asked", "played"))
        check("reward", reward, ("deal", "trick"))
        check("pass_direction", pass_direction, DIRECTIONS)
        self.rules = Rules(
            DIRECTIONS[pass_direction],
            points_on_first_trick,
            any_club_opens,
            jack_of_diamonds_bonus,
            no_tricks_bonus,
            hearts_must_be_broken,
            queen_breaks_hearts,
            hearts_before_queen,
        )
        self._play_forced = forced == "played"
        self._charge_by_trick = reward == "trick"
        if dense and observation != "compact":
            raise ValueError('hearts: dense is for the compact observation; "openspiel" is dense, the others are lists')
        self._shown: Array | None = None
        if observation == "openspiel":
            self._shown = np.full((max(games, 0), openspiel.MOST_SET), openspiel.NOTHING, np.int16)
        settings = dict(self.rules._asdict(), pass_direction=pass_direction, forced=forced, reward=reward)
        settings |= {"observation": observation, "dense": dense}
        super().__init__(spec_of(observation, dense, settings), games, seed, threads, first, duplicate)

    def seed_records(self, seed: int, start: Array, luck: Array) -> None:
        """Deals draw on one random state, bots on the other."""
        seed_states(seed, start, self.records["deals"])
        seed_states(seed ^ self.luck_apart, luck, self.records["luck"])

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Shuffle and deal where marked."""
        play.deal(self.records, lo, hi, which, self.rules, self._play_forced, self.rewards, self.ended, self.cut)
        self._look(lo, hi, which)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Pass or play a card in every game."""
        refused = play.play(
            self.records,
            lo,
            hi,
            action["card"][:, 0],
            self.rules,
            self._play_forced,
            self._charge_by_trick,
            self.rewards,
            self.ended,
            self.outcome,
        )
        self.look(lo, hi)
        return int(refused)

    def play_random(self, deals: int) -> tuple[int, Array]:
        """Play the next deals of every game with random cards, without looking. Returns the number of decisions and
        the points `[games, 4]`; the deals after these are then dealt."""
        points = np.zeros((self.games, SEATS))
        decisions = self._over_slices(
            "play random", lambda lo, hi: int(play.play_random(self.records, lo, hi, deals, self.rules, points))
        )
        self.reset()
        return sum(decisions), points

    def look(self, lo: int, hi: int) -> None:
        """Write whose turn it is and what that seat sees."""
        self._look(lo, hi, self.everyone)

    def _look(self, lo: int, hi: int, which: Array) -> None:
        seen, records, rules = self.views, self.records, self.rules
        views.look(records, lo, hi, which, rules, self.seat, self.acting, seen["legal"].view(np.uint32))
        if "bits" in seen:
            words, others = seen["bits"].view(np.uint64), seen["others"].view(np.uint32)
            views.look_compact(records, lo, hi, which, rules, words, others)
        if "features" in seen:
            views.spread_bits(seen["bits"], lo, hi, which, seen["features"])
        if self._shown is not None:
            openspiel.look_dense(records, lo, hi, which, rules, self._shown, seen["cards"])
        elif "past" in seen:
            openspiel.look_history(records, lo, hi, which, rules, seen["cards"], seen["past"])
        elif "cards" in seen:
            openspiel.look_indices(records, lo, hi, which, rules, seen["cards"])

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Ask a bot."""
        bots.advise(bots.BOTS.index(name), self.records, lo, hi, self.rules, action["card"][:, 0])

    def describe(self, game: int) -> str:
        """Hands, points and tricks."""
        return text.describe(self.records[game], self.rules)

    def describe_action(self, action: Action, game: int, row: int) -> str:
        """The card."""
        return text.card_name(int(action["card"][game, row]))

    def to_watch(self, games: int, seed: int) -> Hearts:
        """Others in which every card is a step of its own."""
        settings: dict[str, Any] = dict(self.spec.settings) | {"forced": "asked"}
        return Hearts(games, seed, **settings)

    def scene(self, game: int, mind: Mind = NOTHING_SAID) -> Scene:
        """The table, the cards, and how likely which of them is."""
        return scene_of(self.records[game], self.rules, mind)


def check(option: str, value: str, known: Any) -> None:
    """Refuse a value that an option does not have."""
    if value not in known:
        raise ValueError(f"hearts: {option}={value!r} is not one of {', '.join(known)}")


def spec_of(observation: str, dense: bool, settings: dict[str, Any]) -> Spec:
    """The declaration of a game with this observation."""
    seen = {"legal": LEGAL, **VIEWS[observation]}
    if dense:
        seen["features"] = View((views.COMPACT_FEATURES,), np.float32, 0, 1, "the compact observation")
    return Spec(
        name="hearts",
        seats=SEATS,
        deciders=1,
        views=seen,
        action=(Choice("card", CARDS, mask="legal"),),
        score=Score("points", "lower"),
        longest=64,
        bots=bots.BOTS,
        duplicate=SEATS,
        settings=settings,
    )
