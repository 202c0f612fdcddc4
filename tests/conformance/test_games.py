"""What every game promises. A game is tested here as soon as it stands in `velodrome.games.GAMES`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playing import assert_same, bots_in_turn, nothing, play_on, random_actions, shown
from toys import Meadow
from velodrome.games import GAMES, make
from velodrome.games.game import Array, Bits, Box, Choice, Game, IllegalAction, Part, Simplex
from velodrome.games.transcript import transcript

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "arena": [{"longest": 90}, {"longest": 120, "frames": 6, "objects": 8, "picture": True}],
    "coverage": [{}, {"sensors": 12, "targets": 3, "walkers": 0.8, "longest": 20, "axes": "world"}],
    "hearts": [
        {},
        {"dense": True, "forced": "played", "reward": "trick", "pass_direction": "cycle"},
        {"observation": "openspiel", "jack_of_diamonds_bonus": True, "no_tricks_bonus": True},
        {"observation": "openspiel-indices", "any_club_opens": True, "points_on_first_trick": True},
        {"observation": "openspiel-history", "forced": "played", "hearts_must_be_broken": False},
    ],
    "navigation": [{}, {"agents": 7, "state": True}],
    "platoon": [{}, {"scenario": "slow-down", "vehicles": 3, "warn": False}, {"hold": 20}],
    "skirmish": [
        {},
        {"map": "MMM", "observation": "madt", "state": True},
        {"map": "bane_vs_bane", "state": True},
        {"map": "corridor", "jitter": False},
    ],
    "spread": [
        {},
        {"agents": 6, "control": "choice", "convention": "pettingzoo", "state": True},
        {"agents": 1, "convention": "vmas"},
    ],
    "tag": [{}, {"predators": 2, "prey": 2, "obstacles": 0, "control": "choice", "state": True}],
    "territory": [
        {"size": 32, "bots": 3, "observation": "coarse", "longest": 60},
        {"size": 32, "bots": 2, "map": "islands", "opponents": "handicapped", "reward": "published", "longest": 12},
    ],
}
"""Options beside the defaults that change what a game shows or how it steps."""

MANY = 4
"""Of more deciders than so many, one is looked at closely in each step, another in the next."""

GOLDEN = Path(__file__).parents[1] / "golden"


class Kind:
    """A game with certain options, of which a test makes as many as it likes."""

    def __init__(self, name: str, options: dict[str, Any]):
        self.name, self.options = name, options

    def __str__(self) -> str:
        return "-".join([self.name, *(str(value) for value in self.options.values())])

    def __call__(self, games: int = 1, seed: int = 0, **options: Any) -> Game:
        if self.name == "meadow":
            return Meadow(games, seed, **(self.options | options))
        return make(self.name, games, seed, **(self.options | options))


KINDS = [Kind(name, options) for name in GAMES for options in OPTIONS.get(name, [{}])]
KINDS += [Kind("meadow", {}), Kind("meadow", {"longest": 3})]


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


def steps_of(kind: Kind) -> int:
    """Enough for every game to end and the next to begin."""
    return min(kind().spec.longest + 3, 150)


# -- the same seeds, the same play ----------------------------------------------------------------------------------


def test_a_seed_repeats(kind: Kind) -> None:
    assert_same(play_on(kind(5, seed=7), steps_of(kind)), play_on(kind(5, seed=7), steps_of(kind)))


def test_seeds_and_slots_differ(kind: Kind) -> None:
    one, other = (play_on(kind(4, seed=seed), 3)[0]["records"] for seed in (1, 2))
    everything = np.concatenate([one, other])
    assert len({record.tobytes() for record in everything}) == 8


def test_the_next_game_is_another(kind: Kind) -> None:
    game = kind(3)
    first = shown(game)
    game.reset()
    seen = [name for name, view in game.views.items() if not np.array_equal(view, first[name])]
    assert seen, "a second game began exactly like the first"


def test_a_game_alone_plays_as_in_a_batch(kind: Kind) -> None:
    whole = play_on(kind(4, seed=3), steps_of(kind))
    for number in range(4):
        alone = play_on(kind(1, seed=3, first=number), steps_of(kind))
        assert_same(alone, whole, slice(number, number + 1))


def test_a_shard_plays_as_the_whole(kind: Kind) -> None:
    whole = play_on(kind(7, seed=3), steps_of(kind))
    assert_same(play_on(kind(3, seed=3, first=4), steps_of(kind)), whole, slice(4, 7))


def test_threads_change_nothing(kind: Kind) -> None:
    assert_same(play_on(kind(7, threads=3), steps_of(kind)), play_on(kind(7), steps_of(kind)))


def test_another_like_it_has_the_same_options(kind: Kind) -> None:
    game = kind(4, seed=5)
    assert game.again(4).spec == game.spec
    assert_same(play_on(game.again(4), 10), play_on(kind(4, seed=5), 10))
    assert_same(play_on(game.again(2, seed=6, first=1), 10), play_on(kind(2, seed=6, first=1), 10))


def test_duplicates_share_their_starts(kind: Kind) -> None:
    d = kind().spec.duplicate
    if d == 1:
        pytest.skip("its starts are not duplicated")
    game = kind(3 * d, duplicate=True)
    starts = [shown(game)]
    play_to_the_end(game)
    game.reset()
    starts.append(shown(game))
    for start in starts:
        for name in game.views:
            groups = start[name].reshape(3, d, -1)
            np.testing.assert_array_equal(groups, np.repeat(groups[:, :1], d, axis=1))
    different = {start[name].reshape(3, -1)[n].tobytes() for start in starts for n in range(3) for name in game.views}
    assert len(different) >= 6


def test_a_snapshot_brings_the_same_future(kind: Kind) -> None:
    game = kind(5)
    play_on(game, 4)
    before, records = shown(game), game.snapshot()
    future = play_on(game, 12)
    game.restore(records)
    after = shown(game)
    for name in ["records", "seat", "acting", *game.views]:
        np.testing.assert_array_equal(after[name], before[name], name)
    assert_same(play_on(game, 12)[1:], future[1:])


def test_a_snapshot_fits_other_games(kind: Kind) -> None:
    game, other = kind(4), kind(4, seed=9)
    play_on(game, 5)
    play_on(other, 8)
    other.restore(game.snapshot())
    assert_same(play_on(other, 9)[1:], play_on(game, 9)[1:])


# -- what may be done -----------------------------------------------------------------------------------------------


def test_legal_actions_are_accepted_and_others_refused(kind: Kind) -> None:
    game = kind()
    actions = random_actions(game)
    for step in range(steps_of(kind)):
        records = game.snapshot()
        base = next(actions)
        for part in game.spec.action:
            rows = np.flatnonzero(game.acting[0])
            for row in rows[[step % len(rows)]] if len(rows) > MANY else rows:
                for value, legal in values_of(part, game, row):
                    check_value(game, records, base, part.name, row, value, legal)
        game.step(base)
        game.reset(game.ended | game.cut)


def check_value(
    game: Game, records: Array, base: dict[str, Array], name: str, row: int, value: Any, legal: bool
) -> None:
    action = {part: array.copy() for part, array in base.items()}
    action[name][0, row] = value
    if legal:
        game.step(action)
    else:
        with pytest.raises(IllegalAction, match="game 0 does not allow"):
            game.step(action)
        np.testing.assert_array_equal(game.records, records, "an illegal action has moved the game")
    game.restore(records)


def values_of(part: Part, game: Game, row: int) -> Iterator[tuple[Any, bool]]:
    """Values to try for one part of a row's action, and whether they are legal."""
    if isinstance(part, Choice):
        legal = np.ones(part.n, np.bool_) if part.mask is None else game.views[part.mask][0, row]
        yield from enumerate(legal.tolist())
        yield from ((-1, False), (part.n, False))
    elif isinstance(part, Bits):
        legal = np.ones(part.n, np.bool_) if part.mask is None else game.views[part.mask][0, row]
        yield from zip(np.eye(part.n, dtype=np.int64), legal.tolist(), strict=True)
        yield np.zeros(part.n, np.int64), True
        yield legal.astype(np.int64), True
        yield np.full(part.n, 2), False
        yield np.full(part.n, -1), False
    elif isinstance(part, Box):
        yield from ((part.low, True), (part.high, True), (0.5 * (part.low + part.high), True))
        yield from ((np.nextafter(np.float32(part.high), np.inf), False), (part.low - 1, False), (np.nan, False))
    elif isinstance(part, Simplex):
        yield np.full(part.n, 1 / part.n), True
        yield from ((np.full(part.n, np.nan), False), (np.full(part.n, 2 / part.n), False))
        yield np.concatenate([[-0.5, 1.5], np.zeros(part.n - 2)]), False


def test_a_row_that_does_not_act_may_hold_anything(kind: Kind) -> None:
    game = kind(8)
    for action in islice(bots_in_turn(game), steps_of(kind)):
        for part in action.values():
            part[~game.acting] = 99
        game.step(action)
        game.reset(game.ended | game.cut)


def test_masks_alone_are_enough_to_play_by(kind: Kind) -> None:
    game = kind(16)
    play_on(game, steps_of(kind), random_actions(game))


def test_an_action_of_another_shape_is_refused(kind: Kind) -> None:
    game = kind(3)
    action = game.bot(game.spec.bots[0])
    part = game.spec.action[0].name
    with pytest.raises(ValueError, match=f"{part} has shape"):
        game.step(action | {part: action[part][:2]})
    with pytest.raises(ValueError, match="takes the action parts"):
        game.step(action | {"dance": action[part]})


def test_a_bot_of_no_name_is_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match="has no bot 'nobody'"):
        kind().bot("nobody")


# -- how games end --------------------------------------------------------------------------------------------------


def play_to_the_end(game: Game, actions: Iterator[dict[str, Array]] | None = None) -> int:
    """Play until every game is over, without starting any anew; returns how many steps that took."""
    actions = bots_in_turn(game) if actions is None else actions
    for step in range(1, game.spec.longest + 1):
        game.step(next(actions))
        if (game.ended | game.cut).all():
            return step
    raise AssertionError(f"not over after {game.spec.longest} steps")


def test_games_end_in_time_and_then_stand_still(kind: Kind) -> None:
    game = kind(32)
    play_to_the_end(game)
    assert not (game.ended & game.cut).any()
    assert np.isfinite(game.outcome).all()
    stood = shown(game) | {"outcome": game.outcome.copy()}
    game.step(nothing(game))
    assert not game.rewards.any()
    for name in ("records", "ended", "cut", *game.views):
        np.testing.assert_array_equal(shown(game)[name], stood[name], name)
    np.testing.assert_array_equal(game.outcome, stood["outcome"])


def test_games_that_ended_wait_for_the_others(kind: Kind) -> None:
    game = kind(32)
    final: dict[int, Array] = {}
    actions = bots_in_turn(game)
    for _ in range(game.spec.longest):
        over = game.ended | game.cut
        action = next(actions)
        for part in action.values():
            part[over] = 0
        luck = game.records.copy()
        game.step(action)
        np.testing.assert_array_equal(game.records[over], luck[over])
        assert not game.rewards[over].any()
        for number in np.flatnonzero(game.ended | game.cut):
            final.setdefault(int(number), game.outcome[number].copy())
            np.testing.assert_array_equal(game.outcome[number], final[int(number)])
    assert len(final) == 32


def test_reset_touches_only_what_is_marked(kind: Kind) -> None:
    game = kind(6)
    play_on(game, 3)
    before = shown(game)
    which = np.array([True, False, True, False, False, True])
    game.reset(which)
    after = shown(game)
    for name in before:
        np.testing.assert_array_equal(after[name][~which], before[name][~which], name)
    assert not game.ended[which].any()
    assert not game.cut[which].any()
    assert not game.rewards[which].any()
    assert all((after["records"][n] != before["records"][n]) for n in np.flatnonzero(which))


# -- what is shown --------------------------------------------------------------------------------------------------


def test_arrays_are_as_declared_and_never_reallocated(kind: Kind) -> None:
    game = kind(6)
    spec = game.spec
    arrays = {name: getattr(game, name) for name in ("seat", "acting", "rewards", "ended", "cut", "outcome")}
    arrays |= dict(game.views)
    places = {name: (id(array), array.ctypes.data) for name, array in arrays.items()}
    history = play_on(game, steps_of(kind))
    game.restore(history[2]["records"])
    for name in arrays:
        now = game.views[name] if name in game.views else getattr(game, name)
        assert (id(now), now.ctypes.data) == places[name], name
    assert set(game.views) == set(spec.views)
    for name, view in spec.views.items():
        array = game.views[name]
        assert array.dtype == view.dtype, name
        assert array.shape == (6, spec.deciders, *view.shape), name
        assert array.flags.c_contiguous
        seen = np.stack([step[name] for step in history])
        if seen.dtype.kind == "f":
            assert np.isfinite(seen).all(), name
        assert seen.min() >= view.low, name
        assert seen.max() <= view.high, name


def test_what_a_step_brings_is_finite_and_about_seats_that_exist(kind: Kind) -> None:
    game = kind(6)
    for step in play_on(game, steps_of(kind))[1:]:
        assert np.isfinite(step["rewards"]).all()
        assert ((step["seat"] >= 0) & (step["seat"] < game.spec.seats)).all()
        live = ~(step["ended"] | step["cut"])
        assert step["acting"][live].any(1).all(), "a game goes on and nobody acts"
    for row in game.seat:
        assert len(set(row.tolist())) == game.spec.deciders


def test_the_spec_is_whole(kind: Kind) -> None:
    spec = kind().spec
    assert spec.deciders in (1, spec.seats)
    assert spec.score.better in ("lower", "higher")
    assert spec.roles == () or len(spec.roles) == spec.seats
    assert spec.bots
    for part in spec.action:
        mask = getattr(part, "mask", None)
        if mask is not None:
            assert spec.views[mask].shape == (part.n,)
            assert np.dtype(spec.views[mask].dtype) == np.bool_
            assert not spec.views[mask].private


@pytest.mark.parametrize("name", [*GAMES, "meadow"])
def test_the_golden_transcript_is_up_to_date(name: str) -> None:
    """After a change that is meant: `python -m velodrome.games.transcript GAME > tests/golden/GAME.txt`."""
    game = Kind(name, {})()
    assert transcript(game, game.spec.bots[-1]) == (GOLDEN / f"{name}.txt").read_text()


# -- at length ------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_million_random_games(kind: Kind) -> None:
    """All end in time, with finite outcomes, and no bot is ever refused."""
    batch, played = 4096, 0
    game = kind(batch, seed=123)
    age = np.zeros(batch, np.int64)
    actions = bots_in_turn(game)
    while played < 1_000_000:
        game.step(next(actions))
        age += 1
        over = game.ended | game.cut
        assert np.isfinite(game.rewards).all()
        assert np.isfinite(game.outcome[over]).all()
        assert age.max() <= game.spec.longest
        played += int(over.sum())
        age[over] = 0
        game.reset(over)
