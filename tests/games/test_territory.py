"""Territory: worked values of growth and attacks, what is never made from nothing, and what directions mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from velodrome.games import make
from velodrome.games.game import Array
from velodrome.games.territory import Territory
from velodrome.games.territory.fight import (
    annex,
    attack,
    budget_of,
    cost_of,
    cost_of_nobodys,
    cut_off,
    send,
    toward,
)
from velodrome.games.territory.game import RULE, tick
from velodrome.games.territory.start import HILLY, radius_for
from velodrome.games.territory.views import DIRECTIONS, WAIT, published_reward
from velodrome.games.territory.world import (
    AGENT,
    CITY_COST,
    END,
    HIGHLAND,
    MOUNTAIN,
    NOBODY,
    PLAINS,
    WATER,
    WON,
    Board,
    board_of,
    build,
    give,
    growth_of,
    limit_of,
    neighbours,
    room_for,
)

EQUAL: dict[str, Any] = {"size": 32, "bots": 3, "observation": "coarse"}


def orders(game: Territory, direction: int = WAIT, intensity: int = 2, build: bool = False) -> Array:
    """The same order in every game."""
    return np.full((game.games, 1), 10 * direction + 2 * intensity + build)


def parts(game: Territory) -> tuple[Any, Any, Any]:
    """What rules take of the first game."""
    return game.heads[0], board_of(game.boards, 0), room_for(game.boards)


def scene(text: str, **options: Any) -> Territory:
    """A game on a board in whose corner there is what the text shows: water, nobody's land, players by number."""
    game = make("territory", 1, 0, **({"size": 32, "bots": 3, "observation": "coarse"} | options))
    assert isinstance(game, Territory)
    head, board, _ = parts(game)
    for tile in range(board.owner.shape[0]):
        if board.terrain[tile] != WATER:
            give(head, board, tile, NOBODY)
    board.terrain[:] = WATER
    head["held"][NOBODY] = head["sum_x"][NOBODY] = head["sum_y"][NOBODY] = 0
    rows = text.split()
    for y, row in enumerate(rows, 1):
        for x, sign in enumerate(row, 1):
            if sign != "~":
                board.terrain[y * head["wide"] + x] = PLAINS
                head["held"][NOBODY] += 1
                head["sum_x"][NOBODY] += x
                head["sum_y"][NOBODY] += y
    head["land"] = head["held"][NOBODY]
    for y, row in enumerate(rows, 1):
        for x, sign in enumerate(row, 1):
            if sign not in "~.":
                give(head, board, y * head["wide"] + x, int(sign))
    game.look(0, 1)
    return game


def shown(game: Territory) -> list[str]:
    """The corner of the board as text."""
    rows = ["".join("~" if n < 0 else "." if n == 0 else str(n) for n in row) for row in game.board(0)]
    return [row.rstrip("~") for row in rows if row.strip("~")]


# -- worked values ----------------------------------------------------------------------------------------------------


def test_growth_and_limits() -> None:
    limit = limit_of(52.0, 0, False)
    assert limit == pytest.approx(121_411, abs=1)
    assert growth_of(25_000.0, limit, False) == pytest.approx(330.3, abs=0.05)
    assert limit_of(16_384.0, 0, False) == pytest.approx(775_588, abs=1)
    assert limit_of(52.0, 2, False) == pytest.approx(limit + 500_000)
    assert limit_of(52.0, 0, True) == pytest.approx(limit / 3)
    assert growth_of(10_000.0, limit, True) == pytest.approx(0.6 * growth_of(10_000.0, limit, False))


@pytest.mark.parametrize(("held", "most"), [(52, 402), (50_000, 2390)])
def test_growth_is_best_at_two_fifths(held: int, most: float) -> None:
    limit = limit_of(float(held), 0, False)
    shares = np.linspace(0.01, 0.99, 981)
    grown = [growth_of(share * limit, limit, False) for share in shares]
    assert shares[np.argmax(grown)] == pytest.approx(0.42, abs=0.003)
    assert max(grown) == pytest.approx(most, rel=0.005)


def test_what_a_players_tile_costs() -> None:
    use, loss, harm = cost_of(PLAINS, 10_000.0, 10_000.0, 1000.0, False)
    assert (use, loss, harm) == (pytest.approx(3.19, abs=0.005), pytest.approx(61.8, abs=0.05), 10)
    use, loss, _ = cost_of(PLAINS, 16_667.0, 10_000.0, 1000.0, False)
    assert (use, loss) == (pytest.approx(3.19, abs=0.005), pytest.approx(37.1, abs=0.05))
    budget = budget_of(10_000.0, 10_000.0, 100, False)
    assert budget == 150
    assert math.ceil(budget / 3.189) == 48
    assert cost_of(PLAINS, 10_000.0, 10_000.0, 1000.0, True)[1] == pytest.approx(0.8 * 61.8, abs=0.05)


@pytest.mark.parametrize(("kind", "loss"), [(PLAINS, 16), (HIGHLAND, 20), (MOUNTAIN, 24)])
def test_what_nobodys_tile_costs(kind: int, loss: float) -> None:
    use, lost = cost_of_nobodys(kind, 10_000.0, False)
    assert (use, lost) == (5, loss)
    assert cost_of_nobodys(kind, 10_000.0, True)[1] == loss / 2
    assert cost_of_nobodys(kind, 300.0, False)[0] == 100
    assert budget_of(10_000.0, 0.0, 100, True) / use == 40


# -- the start --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 128])
def test_everyone_starts_with_52_tiles_far_from_others(size: int) -> None:
    game = make("territory", 4, 0, size=size, bots=5, observation="coarse")
    assert isinstance(game, Territory)
    held, n = game.heads["held"], slice(AGENT, 7)
    middle = np.stack([game.heads["sum_x"], game.heads["sum_y"]], -1)[:, n] / np.maximum(held[:, n, None], 1)
    apart = np.abs(middle[:, :, None] - middle[:, None]).sum(-1) + 1e9 * np.eye(6)
    assert apart.min() > 25
    inside = (middle > 5).all(-1) & (middle < size - 5).all(-1)
    assert (held[:, n][inside] == 52).all()
    assert inside.sum() > 4


def test_where_there_is_little_land_players_start_with_less() -> None:
    assert radius_for(16_384, 6) == 4
    assert math.pi * radius_for(1024, 51) ** 2 * 51 == pytest.approx(512)
    game = make("territory", 1, 0, size=32, bots=50, observation="coarse")
    assert isinstance(game, Territory)
    assert (game.heads["held"][0, AGENT:] > 0).all()


@pytest.mark.parametrize("map", ["plains", "hills", "islands"])
def test_maps(map: str) -> None:
    game = make("territory", 6, 0, size=64, map=map, observation="coarse")
    assert isinstance(game, Territory)
    terrain = game.records["terrain"].reshape(6, 66, 66)
    assert (terrain[:, [0, -1]] == WATER).all()
    assert (terrain[:, :, [0, -1]] == WATER).all()
    land = terrain[:, 1:-1, 1:-1] != WATER
    assert (land.sum((1, 2)) == game.heads["land"]).all()
    if map == "plains":
        assert (terrain[:, 1:-1, 1:-1] == PLAINS).all()
        return
    assert len({each.tobytes() for each in terrain}) == 6
    if map == "hills":
        assert land.all()
        shares = [(terrain[:, 1:-1, 1:-1] == kind).mean() for kind in (PLAINS, HIGHLAND, MOUNTAIN)]
        assert min(shares) > 0.02
        assert HILLY
    else:
        assert 0.2 < land.mean() < 0.62
        for each in land:
            assert hangs_together(each)


@pytest.mark.parametrize(("at", "first"), [("middle", 8), ("corner", 0)])
def test_land_lies_on_its_field(at: str, first: int) -> None:
    game = make("territory", 1, 0, size=64, field=48, at=at, observation="coarse")
    assert isinstance(game, Territory)
    land = game.board(0) >= 0
    assert land[first : first + 48, first : first + 48].all()
    assert land.sum() == 48 * 48 == game.heads["land"][0]


def hangs_together(land: Array) -> bool:
    """Whether all of it can be walked over."""
    reached = np.zeros_like(land)
    reached.flat[np.argmax(land)] = True
    while True:
        wider = reached.copy()
        wider[1:] |= reached[:-1]
        wider[:-1] |= reached[1:]
        wider[:, 1:] |= reached[:, :-1]
        wider[:, :-1] |= reached[:, 1:]
        wider &= land
        if (wider == reached).all():
            return bool((reached == land).all())
        reached = wider


# -- nothing comes from nothing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"opponents": "handicapped"}, {"map": "islands"}, {"map": "hills", "bots": 12}]
)
def test_land_and_troops_are_never_made_from_nothing(options: dict[str, Any]) -> None:
    game = make("territory", 4, 3, **(EQUAL | options), ticks=1, longest=1500)
    assert isinstance(game, Territory)
    players = slice(AGENT, game.bots + 2)
    for step in range(900):
        before, held = total_troops(game), game.heads["held"].copy()
        cities, mild, troops = game.heads["cities"], game.heads["mild"], game.heads["troops"].copy()
        limits = np.vectorize(limit_of)(np.maximum(held, 1).astype(float), cities, mild != 0)
        grown = np.vectorize(growth_of)(troops, limits, mild != 0)
        allowed = np.maximum(np.where(held > 0, np.minimum(grown, limits - troops), 0)[:, players], 0).sum(1)
        running = ~(game.ended | game.cut)
        game.step(game.bot("greedy" if step % 40 < 20 else "rule"))
        assert (total_troops(game) <= before + allowed * running + 1e-6).all()
        if step % 25 == 0:
            check_books(game)
    assert (game.heads["held"][:, players] == 0).any(), "nobody has lost, so much is untested"


def total_troops(game: Territory) -> Array:
    """At home and on their way."""
    total: Array = game.heads["troops"].sum(1) + game.records["sent"].sum((1, 2))
    assert (game.heads["troops"] >= 0).all()
    assert (game.records["sent"] >= 0).all()
    return total


def check_books(game: Territory) -> None:
    """What is kept of the tiles is what one finds by counting them."""
    wide = game.size + 2
    for i in range(game.games):
        head, owner, terrain = game.heads[i], game.records["owner"][i], game.records["terrain"][i]
        land, at = terrain != WATER, np.arange(wide * wide)
        assert (owner[~land] == NOBODY).all()
        lists = followed(game, i)
        for player in range(game.bots + 2):
            own = land & (owner == player)
            assert head["held"][player] == own.sum()
            assert player == NOBODY or head["sum_x"][player] == (at % wide)[own].sum()
            assert player == NOBODY or head["sum_y"][player] == (at // wide)[own].sum()
            assert head["cities"][player] == game.records["city"][i][own].sum()
            near = np.stack([owner[at[own] + step] for step in (-1, 1, -wide, wide)])
            borders = ((near != player) & (near != NOBODY)).any(0)
            assert set(at[own][borders].tolist()) == lists[player]


def followed(game: Territory, i: int) -> list[set[int]]:
    """The tiles of each player's list, followed to its end and back."""
    head, after, before = game.heads[i], game.records["after"][i], game.records["before"][i]
    lists = []
    for player in range(game.bots + 2):
        found, tile, last = [], int(head["first"][player]), END
        while tile >= 0:
            assert before[tile] == last
            found.append(tile)
            tile, last = int(after[tile]), tile
        assert len(found) == len(set(found))
        lists.append(set(found))
    assert sum(map(len, lists)) == (game.records["foes"][i] > 0).sum()
    return lists


# -- symmetry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [lambda board: np.rot90(board, axes=(-2, -1)), np.flipud, np.fliplr, np.transpose])
def test_a_turned_or_mirrored_board_is_played_alike(turn: Any) -> None:
    one, other = (make("territory", 1, 5, size=32, bots=6, map="hills", observation="coarse") for _ in range(2))
    assert isinstance(one, Territory)
    assert isinstance(other, Territory)
    lay_out(other, one, turn)
    check_books(other)
    for _ in range(80):
        for game in (one, other):
            game.step(orders(game))
        np.testing.assert_array_equal(other.board(0), turn(one.board(0)))
        np.testing.assert_array_equal(other.heads["troops"], one.heads["troops"])
    assert (one.heads["held"][0, AGENT:8] == 0).any(), "nobody has lost, so much is untested"


def lay_out(game: Territory, like: Territory, turn: Any) -> None:
    """Put the tiles of another game that has just begun on the board in another way."""
    game.records[:] = like.records
    head, board, _ = parts(game)
    laid = {
        name: turn(like.records[name][0].reshape(game.size + 2, -1)).reshape(-1)
        for name in ("terrain", "owner", "city", "noise")
    }
    board.terrain[:] = laid["terrain"]
    for name in ("owner", "foes", "city"):
        game.records[name] = 0
    for name in ("held", "sum_x", "sum_y", "cities"):
        head[name][:] = 0
    head["held"][NOBODY], head["first"][:] = head["land"], END
    for tile in np.flatnonzero(laid["owner"]):
        give(head, board, int(tile), int(laid["owner"][tile]))
    board.city[:], board.noise[:], head["luck"] = laid["city"], laid["noise"], like.heads["luck"][0]


# -- attacks ----------------------------------------------------------------------------------------------------------


def test_directions() -> None:
    assert [tuple(round(each) for each in toward(direction)) for direction in (0, 2, 4, 6)] == [
        (0, -1), (1, 0), (0, 1), (-1, 0),
    ]  # fmt: skip
    for direction in range(DIRECTIONS):
        assert math.hypot(*toward(direction)) == pytest.approx(1)


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_an_attack_takes_land_in_its_direction(direction: int) -> None:
    land = ["." * 21 for _ in range(21)]
    for y in range(8, 13):
        land[y] = "." * 8 + "1" * 5 + "." * 8
    game = scene("\n".join(land))
    before = game.board(0) == AGENT
    game.heads["troops"][0, AGENT] = 2000
    game.look(0, 1)
    game.step(orders(game, direction, 1))
    won = np.argwhere((game.board(0) == AGENT) & ~before) - 10
    assert len(won) > 8
    x, y = toward(direction)
    along = won[:, 1] * x + won[:, 0] * y
    assert (along > 0).mean() > 0.9
    assert along.mean() > 2


def test_troops_that_meet_fall_one_for_one() -> None:
    game = scene("1112223333")
    head, board, _ = parts(game)
    head["troops"][1:4] = 1000
    send(head, board, 2, 1, 300.0)
    send(head, board, 1, 2, 500.0)
    assert head["troops"][1:3].tolist() == [500, 700]
    assert (board.sent[2, 1], board.sent[1, 2]) == (0, 200)
    send(head, board, 1, 2, 100.0)
    assert board.sent[1, 2] == 300
    send(head, board, 1, 2, 1e9)
    assert (head["troops"][1], board.sent[1, 2]) == (0, 700)


def test_troops_with_nothing_to_attack_come_home() -> None:
    game = scene("11~22")
    head, board, room = parts(game)
    head["troops"][1] = 1000
    send(head, board, 1, 2, 400.0)
    attack(head, board, room, 1, 2)
    assert head["troops"][1] == 1000
    assert not board.sent.any()


def test_who_is_too_small_is_taken_whole_with_the_gold_and_the_city() -> None:
    game = scene("1111111\n1122211\n1122211\n1111133")
    head, board, room = parts(game)
    head["least"], head["gold"][2], head["troops"][1], head["troops"][2] = 6, 700, 10_000, 10
    head["troops"][3], board.sent[3, 2], board.sent[2, 1] = 100, 50, 30
    board.city[2 * head["wide"] + 4], head["cities"][2] = 1, 1
    send(head, board, 1, 2, 9000.0)
    attack(head, board, room, 1, 2)
    assert shown(game) == ["1111111", "1111111", "1111111", "1111133"]
    assert (head["gold"][1], head["cities"][1], head["cities"][2]) == (700, 1, 0)
    assert (head["troops"][2], head["troops"][3]) == (0, 150), "those who attacked it are at home again"
    assert not board.sent[:, 2].any()
    assert not board.sent[2].any()
    check_books(game)


def test_what_nobody_reaches_is_nobodys() -> None:
    game = scene("112~22")
    head, board, room = parts(game)
    annex(head, board, room, 2, 1)
    assert shown(game) == ["111~.."]
    check_books(game)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("11111\n12221\n12221\n11111", ["11111", "11111", "11111", "11111"]),  # enclosed by one
        ("11111\n12221\n12223\n13333", ["11111", "12221", "12223", "13333"]),  # enclosed by two: it holds out
        ("11111\n12221\n1222.\n11111", ["11111", "12221", "1222.", "11111"]),  # land that is free lies next to it
        ("11111\n12221\n1222~\n11111", ["11111", "12221", "1222", "11111"]),  # or the sea
        ("1111112\n1211332\n1111332\n2222222", ["1111112", "1111332", "1111332", "2222222"]),  # a part alone
        ("2222222\n2111112\n2122212\n2111112\n2222222\n.......", ["2222222"] * 5 + ["......."]),  # from outside
    ],
)
def test_who_is_enclosed_is_taken(before: str, after: list[str]) -> None:
    game = scene(before)
    head, board, room = parts(game)
    cut_off(head, board, room)
    assert shown(game) == after
    check_books(game)


def test_what_is_enclosed_goes_to_who_attacks_it_most() -> None:
    game = scene("1111333\n1122233\n1122233\n1111333\n222222222222")
    head, board, room = parts(game)
    board.sent[3, 2] = 10
    cut_off(head, board, room)
    assert shown(game)[1] == "1133333"


# -- cities, victory, and what may be done ----------------------------------------------------------------------------


def test_cities() -> None:
    game = scene("\n".join(["1" * 12] * 12))
    head, board, _ = parts(game)
    head["gold"][1] = CITY_COST - 1
    assert not build(head, board, 1)
    head["gold"][1] = 10 * CITY_COST
    assert build(head, board, 1)
    assert head["gold"][1] == 9 * CITY_COST
    place = int(np.flatnonzero(board.city)[0])
    assert abs(place % head["wide"] - 6.5) < 1
    assert abs(place // head["wide"] - 6.5) < 1
    assert build(head, board, 1)
    assert head["gold"][1] == 7 * CITY_COST, "the second costs twice as much"
    first, second = (np.array(divmod(int(tile), int(head["wide"]))) for tile in np.flatnonzero(board.city))
    assert np.abs(first - second).sum() >= head["spacing"]


def test_who_has_more_than_four_fifths_has_won() -> None:
    for row, won in (("1" * 16 + "2" * 4, False), ("1" * 17 + "2" * 3, True)):
        game = scene("\n".join([row] * 5))
        game.heads["troops"][0, 1:3] = 0
        game.step(orders(game))
        assert game.ended[0] == won
        assert not won or game.outcome[0, 0] == 1
        assert not won or game.rewards[0, 0] > 0.9
    lost = scene("\n".join(["1222222222"] * 5))
    lost.heads["troops"][0, 1:3] = 0
    lost.step(orders(lost))
    assert lost.ended[0]
    assert lost.outcome[0, 0] == 0


def test_what_may_be_done() -> None:
    game = scene("~~~.\n111.\n1112\n111~")
    head = game.heads[0]
    legal = game.views["legal"][0, 0].reshape(9, 5, 2)

    def may(troops: float, gold: float, now: int) -> Array:
        head["troops"][1], head["gold"][1], head["now"] = troops, gold, now
        game.look(0, 1)
        return legal.any(1)

    east, northeast = 2, 1
    assert np.argwhere(may(1000, 0, 0)).tolist() == [[northeast, 0], [WAIT, 0]]
    assert np.argwhere(may(1000, 0, 50)).tolist() == [[northeast, 0], [east, 0], [WAIT, 0]]
    assert np.argwhere(may(99, 0, 50)).tolist() == [[WAIT, 0]]
    assert may(1000, CITY_COST, 50)[[northeast, east, WAIT]].all()
    assert not may(1000, CITY_COST, 50)[0].any(), "there is nothing in the north"


def test_neighbours() -> None:
    game = scene("1122~3\n11..~3")
    head, board, _ = parts(game)
    assert neighbours(head, board, 1) == 0b101
    assert neighbours(head, board, 2) == 0b011
    assert neighbours(head, board, 3) == 0


# -- what is seen -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_published_map_is_filled_by_every_board(size: int) -> None:
    game = make("territory", 2, 0, size=size, bots=2, map="islands")
    assert isinstance(game, Territory)
    for _ in range(4):
        game.step(game.bot("greedy"))
    times = 128 // size
    for i in range(2):
        owner = np.kron(game.board(i), np.ones((times, times), np.int64))
        own, others, nobodys, own_troops, others_troops = np.moveaxis(game.views["map"][i, 0], -1, 0)
        np.testing.assert_array_equal(own, owner == AGENT)
        np.testing.assert_array_equal(others, owner > AGENT)
        np.testing.assert_array_equal(nobodys, owner == NOBODY)
        assert (own_troops[owner == AGENT] > 0).all()
        assert (others_troops[owner > AGENT] > 0).all()
        assert not own_troops[owner != AGENT].any()
        assert not others_troops[owner <= AGENT].any()
        limit = limit_of(float(game.heads["held"][i, 1]), 0, False)
        assert own_troops.max() == pytest.approx(game.heads["troops"][i, 1] / limit, rel=1e-5)


def test_the_coarse_map_tells_all_of_every_cell() -> None:
    game = make("territory", 3, 0, size=64, map="islands", observation="coarse")
    assert isinstance(game, Territory)
    for _ in range(6):
        game.step(game.bot("greedy"))
    coarse = game.views["coarse"][:, 0]
    np.testing.assert_allclose(coarse[..., :4].sum(-1), 1, atol=1e-6)
    for i in range(3):
        owner = game.board(i).reshape(16, 4, 16, 4)
        np.testing.assert_allclose(coarse[i, ..., 0], (owner == AGENT).mean((1, 3)), atol=1e-6)
        np.testing.assert_allclose(coarse[i, ..., 3], (owner < 0).mean((1, 3)), atol=1e-6)


def test_what_lies_in_each_direction() -> None:
    game = scene("~~..~~\n11222.\n111222\n~~33~~")
    head, board, _ = parts(game)
    head["now"], head["troops"][1:4] = 60, [1000, 4000, 500]
    board.sent[2, 1] = 250
    game.look(0, 1)
    east = game.views["sights"][0, 0, 2]
    assert east[:2].tolist() == [1, 0]
    np.testing.assert_allclose(east[4], math.log(4), rtol=1e-5)
    np.testing.assert_allclose(east[7], 0.25, rtol=1e-5)
    assert not game.views["sights"][0, 0, 6].any(), "nothing in the west"


# -- rewards ----------------------------------------------------------------------------------------------------------


def test_who_wins_earns_more_than_anyone_who_does_not() -> None:
    game = make("territory", 64, 1, size=32, bots=2, observation="coarse", longest=300)
    earned, over = np.zeros(64), np.zeros(64, bool)
    while not over.all():
        bots = [game.bot(name)["order"] for name in ("greedy", "rule", "wait", "random")]
        game.step(np.stack([bots[i % 4][i] for i in range(64)]))
        earned += game.rewards[:, 0]
        over |= game.ended | game.cut
    won = game.outcome[:, 0] == 1
    assert won.any()
    assert not won.all()
    assert earned[won].min() > 1 > earned[~won].max()


def test_the_published_reward_by_hand() -> None:
    game = scene("\n".join(["1" * 6 + "2" * 4] * 10))
    head, _, _ = parts(game)
    head["troops"][1], head["last"] = 1200, 10 * 2
    # gained 6, density 20: 5, a direction that is kept 1.5, second to first: 100, top half 1, half the land 5
    expected = 200 * 0.03 + 5 + 1.5 + 7 / 10_000 + 100 + 1 + 5 - 0.05
    assert published_reward(head, 0.03, 2, 0.0, 10 * 2 + 4, 7) == pytest.approx(expected)
    head["troops"][1] = 600  # a density of 10 on more than a fifth of the land; 3,000 troops lost, and a turn
    expected = -200 * 0.1 - 5000 * 0.01 - 1000 / 3 - 6 - 2 + 50 + 0.05 + 1 + 5 + 5 - 0.05
    assert published_reward(head, -0.1, 1, 3000.0, 10 * 6, 500) == pytest.approx(expected)
    head["over"] = WON
    assert published_reward(head, 0.0, 1, 0.0, 10 * WAIT, 7) > 9000


def test_the_bot_of_a_seat_is_the_bot_of_the_game() -> None:
    """Where the agent plays by rule with equal constants, it wins about as often as any of the bots."""
    game = make("territory", 300, 2, size=32, bots=2, observation="coarse")
    assert game.spec.bots.index("rule") == RULE
    over = np.zeros(300, bool)
    while not over.all():
        game.step(game.bot("rule"))
        over |= game.ended | game.cut
    assert 0.1 < game.outcome.mean() < 0.5


def test_a_tick_is_a_tick() -> None:
    """A decision of ten ticks is ten of one tick in which one waits."""
    one, ten = (make("territory", 2, 4, ticks=ticks, **EQUAL) for ticks in (1, 10))
    assert isinstance(one, Territory)
    assert isinstance(ten, Territory)
    ten.step(orders(ten, WAIT))
    for _ in range(10):
        one.step(orders(one, WAIT))
    np.testing.assert_array_equal(one.records["owner"], ten.records["owner"])
    for i in range(2):
        tick(one.heads[i], board_of(one.boards, i), room_for(one.boards))
        tick(ten.heads[i], board_of(ten.boards, i), room_for(ten.boards))
    np.testing.assert_array_equal(one.heads["troops"], ten.heads["troops"])
    assert isinstance(one.boards, Board)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 48}, "size=48 is not one of 32, 64, 128"),
        ({"bots": 51}, "bots=51; it takes from 1 to 50"),
        ({"map": "moon"}, "map='moon' is not one of plains, hills, islands"),
        ({"field": 15}, "field=15; it takes from 16 to the board's 64, or 0"),
        ({"ticks": 0}, "ticks=0, longest=1000: both are at least 1"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make("territory", 1, 0, **options)
