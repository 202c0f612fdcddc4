"""Games replayed on a page: every recipe's plays in a real browser, and shows what the game's record holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import Browser

from small import TOY, small
from velodrome.cli import main
from velodrome.games import GAMES, make
from velodrome.games.hearts.text import card_name, cards_in
from velodrome.games.scene import EVERYONE, Bars, Box, Card, Disc, Scene, Tiles
from velodrome.learn.trainer import Trainer
from velodrome.recipes import RECIPES, find
from velodrome.show.film import LENGTHS, SHARES, STEPS, Film, bounds_of, changes, runs
from velodrome.show.minds import Heard, between, filmed
from velodrome.show.watch import write_page

LONGEST = 12
"""Decisions of those games that can be made shorter."""
MOST_BYTES = 1_000_000
SCREEN = (1000, 900)


def trainer_of(name: str, **changed: Any) -> Trainer:
    """A new one, small, whose games are short."""
    recipe = find(name)
    trainer = recipe.build(dataclasses.replace(small(recipe.settings()), **changed), 0, "cpu")
    settings: Any = trainer.game.spec.settings
    if "longest" in settings:
        settings["longest"] = LONGEST * settings.get("frames", 1)
    return trainer


def films_of(trainer: Trainer, against: str | None = None, **changed: Any) -> list[Film]:
    how: dict[str, Any] = {"games": 1, "seed": 3, "greedy": False, "device": "cpu", "say": lambda _: None}
    return filmed(trainer, against, **(how | changed))


class Player:
    """A page at play."""

    def __init__(self, tab: Browser, page: Path, dark: bool = False, still: bool = True):
        self.tab = tab
        tab.open(page, *SCREEN, dark=dark, still=still)
        tab.wait("document.body.dataset.ready == 'yes'")

    def press(self, key: str) -> int:
        """A key on the page; says at which position it then is."""
        self.tab.run(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: {key!r}, bubbles: true}}))")
        return self.at

    @property
    def at(self) -> int:
        return int(self.tab.run("Number(document.getElementById('at').value)"))

    @property
    def last(self) -> int:
        return int(self.tab.run("Number(document.getElementById('at').max)"))

    @property
    def playing(self) -> bool:
        return bool(self.tab.run("document.getElementById('play').ariaLabel == 'Pause'"))

    def text(self, part: str) -> str:
        return str(self.tab.run(f"document.getElementById({part!r}).textContent"))

    def picture(self) -> str:
        return str(self.tab.run("document.getElementById('board').toDataURL()"))


# -- every recipe -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*RECIPES, TOY], ids=lambda name: name.rsplit(":")[-1])
def test_every_recipe_plays_on_its_page(name: str, tab: Browser, tmp_path: Path) -> None:
    films = films_of(trainer_of(name))
    page = tmp_path / "watch.html"
    size = write_page(page, name, ["A new net."], 3, films)
    assert size == page.stat().st_size < MOST_BYTES
    player = Player(tab, page, dark=len(name) % 2 == 0)
    player.press(" ")
    assert player.playing
    player.press(" ")
    assert not player.playing
    assert player.press("End") == player.last == len(films[0].scenes) - 1
    assert films[0].end in player.text("says")
    after = player.picture()
    assert player.press("Home") == 0
    assert player.picture() != after, "nothing on the board has changed"
    assert player.press("ArrowRight") == 1
    assert player.press("ArrowLeft") == 0
    middle = player.last // 2
    tab.run(f"(it => {{it.value = {middle}; it.dispatchEvent(new Event('input'))}})(document.getElementById('at'))")
    assert f"{middle} of {player.last}" == player.text("count")
    assert films[0].scenes[middle].says == player.text("says")
    agree(tab, films[0], middle)
    for _ in range(9):
        player.press("+")
    player.press("End")
    player.press("ArrowLeft")
    player.press(" ")
    tab.wait("document.getElementById('play').ariaLabel == 'Play'")
    assert player.at == player.last
    assert tab.complaints == []
    assert tab.requests == [page.as_uri()]


def agree(tab: Browser, film: Film, frame: int) -> None:
    """What the page has unpacked is the scene, up to the rounding of lengths and shares."""
    left, top, right, bottom = bounds_of(film.scenes)
    quantum = max(right - left, bottom - top) / STEPS
    told = {it["name"]: it for it in tab.run(f"replay.shapes({frame})") if it}
    shapes = film.scenes[frame].shapes
    assert told.keys() == shapes.keys()
    for name, shape in shapes.items():
        assert told[name]["kind"] == type(shape).__name__.lower()
        for field in dataclasses.fields(shape):
            wanted, found = getattr(shape, field.name), told[name][field.name]
            if isinstance(wanted, bytes | tuple):
                assert list(wanted) == found
            elif isinstance(wanted, str):
                assert wanted == found
            else:
                within = quantum if field.name in LENGTHS else 0.01 if field.name in SHARES else 1.0
                assert abs(float(wanted) - found) <= 0.501 * within, (name, field.name)


# -- what is drawn is what is there -----------------------------------------------------------------------------------


def played(name: str, steps: int = 6, **options: Any) -> Any:
    """A game in the middle of play."""
    game = make(name, games=1, seed=5, **options)
    for _ in range(steps):
        game.step(game.bot(game.spec.bots[-1]))
    return game


@pytest.mark.parametrize("name", GAMES)
def test_scenes_lie_within_their_bounds_and_say_something(name: str) -> None:
    scene = played(name).scene(0)
    left, top, right, bottom = scene.bounds
    assert left < right
    assert top < bottom
    inside = [left <= it.x <= right and top <= it.y <= bottom for it in scene.shapes.values()]
    assert np.mean(inside) > 0.8
    assert scene.says
    assert len(scene.seats) == make(name).spec.seats


def test_units_stand_where_the_battle_has_them() -> None:
    game = played("skirmish", 12, map="2s3z")
    record, shapes = game.records[0], game.scene(0).shapes
    units = game.world.allies + game.world.enemies
    for u in range(units):
        if record["health"][u] <= 0:
            assert f"unit {u}" not in shapes
            continue
        unit, health = shapes[f"unit {u}"], shapes[f"health {u}"]
        assert (unit.x, -unit.y) == (record["x"][u], record["y"][u])
        assert health.share == record["health"][u] / game.world.health[u]
    assert any(name.startswith("attack") for name in shapes)


def test_every_card_lies_where_the_deal_has_it() -> None:
    for steps in (5, 20, 64):
        game = played("hearts", steps, pass_direction="left")
        record = game.records[0]
        cards = {name: card for name, card in game.scene(0).shapes.items() if isinstance(card, Card)}
        assert len(cards) == 52
        for seat in range(4):
            held = cards_in(int(record["hand"][seat] | (record["given"][seat] if steps < 12 else 0)))
            assert {name for name, card in cards.items() if card.of == seat} == {card_name(each) for each in held}
        taken = sum(not card.face for card in cards.values())
        assert taken == max(int(record["plays"]) - 1, 0) // 4 * 4
        places = [(card.x, card.y) for card in cards.values() if card.face]
        assert len(set(places)) == len(places)


def test_tiles_are_those_of_the_board() -> None:
    game = played("territory", 30, size=32)
    board = game.scene(0).shapes["board"]
    assert isinstance(board, Tiles)
    shown = np.frombuffer(board.values, np.uint8).reshape(32, 32).astype(int)
    held = game.board(0)
    np.testing.assert_array_equal(np.where(held < 0, 0, np.where(held == 0, np.clip(shown, 1, 3), held + 3)), shown)


def test_objects_agents_and_vehicles_stand_where_they_are() -> None:
    arena, spread, platoon = played("arena", 40), played("spread"), played("platoon", 60)
    ship, record = arena.scene(0).shapes["ship"], arena.records[0]
    assert (ship.x, ship.y) == (record["ship_x"], record["ship_y"])
    for agent in range(3):
        disc, record = spread.scene(0).shapes[f"agent {agent}"], spread.records[0]
        assert (disc.x, -disc.y) == (record["x"][agent], record["y"][agent])
    boxes, gaps = platoon.scene(0).shapes, platoon.records[0]["gap"]
    assert boxes["vehicle 2"].x - boxes["vehicle 3"].x == pytest.approx(gaps[3])


def test_targets_in_view_are_counted() -> None:
    game = played("coverage", 10)
    scene = game.scene(0)
    seen = [it.colour == "good" for name, it in scene.shapes.items() if name.startswith("target")]
    assert f"{sum(seen)} of {len(seen)} targets in view" in scene.says


# -- what nets say ----------------------------------------------------------------------------------------------------


def bars_in(film: Film, title: str) -> Iterator[Bars]:
    return (bars for scene in film.scenes for bars in scene.bars if title in bars.title)


def test_chances_are_those_of_the_policy() -> None:
    film = films_of(trainer_of("hearts"))[0]
    plays = list(bars_in(film, "seat"))
    assert len(plays) == len(film.scenes) - 1
    for bars in plays:
        assert len(bars.chosen) == 1
        assert bars.chosen[0] in bars.shares
        assert sum(bars.shares.values()) == pytest.approx(1, abs=0.3)
    last = film.scenes[-2]
    assert [shape.chance for shape in last.shapes.values() if isinstance(shape, Card) and shape.chosen] == [1.0]


def test_attention_messages_worths_and_held_modes_are_told() -> None:
    attention = films_of(trainer_of("hearts-attention"))[0]
    assert all(sum(bars.shares.values()) == pytest.approx(1, abs=0.1) for bars in bars_in(attention, "Looks at"))
    assert sum(1 for _ in bars_in(attention, "Looks at")) == len(attention.scenes) - 1
    drawn = {
        "platoon-neurcomm": {"tells"},
        "coverage-tom2c": {"tells", "believes", "looks"},
        "navigation-tom2c": {"looks"},
    }
    for name, layers in drawn.items():
        first = films_of(trainer_of(name))[0].scenes[0]
        assert layers <= {shape.layer for shape in first.shapes.values()}
    worths = list(bars_in(films_of(trainer_of("skirmish-qmix"))[0], "by worth"))
    assert max(max(bars.shares.values()) for bars in worths) == 1
    arena = films_of(trainer_of("arena"))[0]
    assert sum(1 for _ in bars_in(arena, "Strategist")) == len(arena.scenes) - 1
    assert any("looks" in scene.shapes for scene in films_of(trainer_of("territory"))[0].scenes)


def test_one_seat_against_a_bot() -> None:
    films = films_of(trainer_of("hearts"), "rule", games=3)
    for number, film in enumerate(films):
        assert {bars.of for bars in bars_in(film, "seat")} == {number}


def test_listening_changes_nothing() -> None:
    def chosen(name: str, heard: bool) -> list[float]:
        trainer = trainer_of(name)
        game = trainer.game.again(4, seed=1)
        policy: Any = Heard(trainer, False) if heard else trainer.policy(False)
        if heard:
            policy.forget(game.games * game.spec.deciders)
        views = {key: torch.from_numpy(view).flatten(0, 1) for key, view in game.views.items()}
        views["seat"] = torch.from_numpy(game.seat).flatten()
        views["game"] = torch.arange(4).repeat_interleave(game.spec.deciders)
        action, _ = policy.act(views, policy.start(len(views["seat"])), torch.Generator().manual_seed(0))
        return [float(part.double().sum()) for part in action.values()]

    for name in ("hearts-attention", "coverage-tom2c", "skirmish-coma", "spread-maddpg"):
        assert chosen(name, True) == chosen(name, False)


def test_worths_lie_between_the_least_and_the_most_that_is_legal() -> None:
    found = between(
        torch.tensor([[5.0, 1.0, 3.0, 9.0], [2.0, 2.0, 2.0, 2.0]]), torch.tensor([[1, 1, 1, 0], [0, 1, 0, 0]])
    )
    assert found.tolist() == [[1.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]


# -- films ------------------------------------------------------------------------------------------------------------


def test_a_film_tells_only_what_changes() -> None:
    film = Film()
    for at in range(4):
        shapes: dict[str, Any] = {"still": Box(1, 2, 3, 4, "own")}
        if at != 2:
            shapes["moves"] = Disc(at, 5, 1, "own" if at else "second")
        film.add(Scene((0, 0, 4096, 10), shapes, f"position {at}"), at)
    still, moves = film.to_json()["shapes"]
    assert still["moves"] == {}
    assert (still["fixed"]["x"], still["fixed"]["of"]) == (1, EVERYONE)
    assert moves["moves"] == {"x": [0, 1, 2], "colour": [["second", 1], ["own", 2]]}
    assert moves["there"] == [0, 2, 3, 1]


def test_runs_and_changes() -> None:
    assert runs([0, 1, 2, 5, 7, 8]) == [0, 3, 5, 1, 7, 2]
    before, after = np.array([1, 2, 3, 4], np.uint8), np.array([1, 9, 3, 8], np.uint8)
    assert changes(before, after) == [1, 9, 2, 8]
    assert changes(before, before) == []


# -- the page by hand -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("watch") / "watch.html"
    write_page(path, "hearts <b>", ["A new net."], 3, films_of(trainer_of("hearts"), games=2))
    return path


def test_it_plays_by_itself_unless_stillness_is_wished(tab: Browser, page: Path) -> None:
    assert not Player(tab, page).playing
    player = Player(tab, page, still=False)
    assert player.playing
    tab.wait("document.getElementById('at').value > 0")


def test_whoever_is_chosen_sees_own_cards_and_own_wishes(tab: Browser, page: Path) -> None:
    player = Player(tab, page)
    everyone = player.picture()
    tab.run("(it => {it.value = 2; it.dispatchEvent(new Event('change'))})(document.getElementById('who'))")
    assert player.picture() != everyone
    assert "seat 0" not in player.text("mind")


def test_games_and_speeds_can_be_chosen(tab: Browser, page: Path) -> None:
    player = Player(tab, page)
    first = player.picture()
    tab.run("(it => {it.value = 1; it.dispatchEvent(new Event('change'))})(document.getElementById('game'))")
    assert player.picture() != first
    for key, value in (("+", "2"), ("+", "4"), ("-", "2")):
        player.press(key)
        assert tab.run("document.getElementById('speed').value") == value


def test_themes_repaint_the_board(tab: Browser, page: Path) -> None:
    player = Player(tab, page)
    light = player.picture()
    tab.run("document.getElementById('dark').click()")
    assert player.picture() != light
    assert tab.complaints == []


def test_it_fits_a_phone_and_speaks_to_a_screen_reader(tab: Browser, page: Path) -> None:
    tab.open(page, 390, 844)
    assert tab.run("document.documentElement.scrollWidth") <= 390
    assert tab.run("[...document.querySelectorAll('button')].every(one => one.ariaLabel)")
    assert tab.run("[...document.querySelectorAll('select, input')].every(one => one.labels.length || one.ariaLabel)")
    assert "seat" in tab.run("document.getElementById('board').ariaLabel")


# -- the verb ---------------------------------------------------------------------------------------------------------


def test_the_verb_writes_a_page_and_says_its_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new" / "toy.html"
    assert main(["watch", TOY, "--episodes", "2", "--out", str(page), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == page.stat().st_size
    assert (len(said["games"]), said["trained"], said["against"]) == (2, False, "nobody")
    assert "which has learnt nothing yet" in page.read_text()


def test_a_run_plays_as_it_was_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["train", TOY, "--games", "4", "--iterations", "2", "--run", str(run)]) == 0
    assert main(["watch", str(run), "--episodes", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{run / 'watch.html'}, ")
    assert "after 2 iterations" in (run / "watch.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["heart"], "did you mean hearts?"),
        ([], "watch takes RECIPE|RUN first"),
        (["hearts", "--episodes", "0"], "--episodes 0: it takes 1 or more"),
        (["hearts", "--against", "rul"], "did you mean rule?"),
        (["hearts", "--out", "."], "--out . is a folder"),
        (["coverage-tom2c", "--against", "nearest"], "plays all seats"),
        (["tests"], "tests is no run"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", *arguments]) == 2
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint.startswith("velodrome: ")
    assert says in complaint
