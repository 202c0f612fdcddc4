"""The page of `velodrome play` in a real browser: a deal from hint to review, and what may happen beside it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from test_page import CONTRASTS

from velodrome.show.hearts_table import CARD_NAMES, Sitter, Table
from velodrome.show.table_server import TableServer

BOT = Sitter("the rule bot", "rule")
SCREENS = {"desk": (1280, 800), "phone": (390, 844)}
READY = "now && !moving && !waiting"
YOUR_TURN = f"{READY} && document.querySelector('.card.legal')"


class Served:
    """A table, its server at work, and a person elsewhere at the same table."""

    def __init__(self, table: Table):
        self.table, self.server = table, TableServer(table)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def play(self) -> None:
        """Play on in another tab, to the end of the deal."""
        with self.server.turn:
            while self.table.wanted:
                legal = self.table.seen()["legal"]
                self.table.play(self.table.number, [CARD_NAMES[card] for card in legal[: self.table.wanted]])

    def end(self) -> None:
        """As Ctrl-C does."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served(Table(BOT, BOT, seed=5))
    yield one
    if one.thread.is_alive():
        one.end()


def shown_cards(tab: Browser) -> list[str]:
    found: list[str] = tab.run("[...document.querySelectorAll('#hand .card')].map(each => each.dataset.card)")
    return found


def pass_hinted(tab: Browser) -> None:
    tab.press("h")
    tab.wait("document.querySelectorAll('.hinted').length === 3")
    tab.run("document.querySelectorAll('.hinted').forEach(each => each.click())")
    tab.press("p")
    tab.wait(f"{YOUR_TURN} && now.number === 1")


def test_a_deal_is_played_by_keyboard_and_reviewed(tab: Browser, served: Served) -> None:
    tab.open(served.server.url, still=True)
    tab.wait(YOUR_TURN)
    assert len(shown_cards(tab)) == 13
    pass_hinted(tab)
    while served.table.wanted:
        number, held = served.table.number, shown_cards(tab)
        assert held == served.table.seen()["hand"]
        tab.press("h")
        tab.wait("hinted.length")
        while not tab.run("document.activeElement.classList.contains('hinted')"):
            tab.press("ArrowRight")
        tab.press("Enter")
        tab.wait(f"{READY} && now.number === {number + 1}")
        assert len(shown_cards(tab)) == len(held) - 1
    assert tab.run("document.getElementById('review').hidden") is False
    review = served.table.review()
    assert tab.run("document.querySelectorAll('#review .same').length") == len(review["decisions"]) > 5
    assert review["says"][0] in tab.run("document.getElementById('review-body').innerText")
    assert tab.run("document.querySelectorAll('#last li').length") == 4
    tab.press("n")
    tab.wait(f"{YOUR_TURN} && now.dealt === 2")
    assert tab.run("document.getElementById('review').hidden") is True
    assert tab.complaints == []
    assert all(url.startswith(served.server.url) or url == "data:," for url in tab.requests)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_it_can_be_read_in_any_light_on_any_screen(tab: Browser, served: Served, screen: str, dark: bool) -> None:
    for _ in range(2):
        tab.open(served.server.url, *SCREENS[screen], dark=dark, still=True)
        tab.wait(READY)
        assert tab.run("document.documentElement.scrollWidth") <= SCREENS[screen][0], "it scrolls sideways"
        contrasts = tab.run(CONTRASTS)
        assert contrasts[0][0] >= 4.5, f"WCAG 2.2 asks for 4.5: {contrasts[:3]}"
        served.play()
    assert tab.complaints == []


def test_a_listener_hears_what_there_is(tab: Browser, served: Served) -> None:
    tab.open(served.server.url, still=True)
    tab.wait(YOUR_TURN)
    labels = tab.run("[...document.querySelectorAll('#hand .card')].map(each => each.ariaLabel)")
    assert all(" of " in label for label in labels)
    assert len(set(labels)) == 13
    assert tab.run("[...document.querySelectorAll('svg')].every(each => each.ariaHidden === 'true')")
    pass_hinted(tab)
    heard = tab.run("document.getElementById('heard').textContent")
    assert all(f"{name}: " in heard for name in ("West", "North", "East") if name in str(played_by(served.table)))
    assert "of clubs" in heard


def played_by(table: Table) -> list[str]:
    seen = table.seen()
    return [seen["names"][(trick["leader"] + at) % 4] for trick in seen["tricks"] for at in range(len(trick["cards"]))]


def test_movement_ends_where_the_game_stands(tab: Browser, served: Served) -> None:
    tab.open(served.server.url)
    tab.wait(YOUR_TURN)
    tab.run("document.querySelectorAll('.card').forEach((each, place) => place < 3 && each.click())")
    tab.run("document.getElementById('pass').click()")
    tab.wait("moving && shown > 0")
    lying = tab.run("[...document.querySelectorAll('#trick [data-card]')].map(each => each.dataset.card)")
    assert set(lying) <= set(served.table.seen()["tricks"][0]["cards"])
    for _ in range(2):
        tab.press("Escape")
        tab.wait(YOUR_TURN)
        assert tab.run("shown") == len(played_by(served.table))
        tab.run("document.querySelector('.card.legal').click()")
        tab.wait("moving")
    tab.wait("document.getElementById('trick').className.startsWith('to-')")
    tab.wait(YOUR_TURN)
    assert tab.run("getComputedStyle(document.querySelector('#trick .west')).opacity") == "1"
    assert tab.complaints == []


def test_a_page_opened_again_shows_where_the_game_stands(tab: Browser, served: Served) -> None:
    tab.open(served.server.url, still=True)
    tab.wait(YOUR_TURN)
    pass_hinted(tab)
    before = tab.run("document.getElementById('room').innerText")
    tab.open(served.server.url, still=True)
    tab.wait(YOUR_TURN)
    assert tab.run("document.getElementById('room').innerText") == before


def test_a_second_tab_is_told_and_goes_on(tab: Browser, served: Served) -> None:
    tab.open(served.server.url, still=True)
    tab.wait(YOUR_TURN)
    tab.run("document.querySelectorAll('.card').forEach((each, place) => place < 3 && each.click())")
    tab.run("for (let timer = 0; timer < 99; timer += 1) clearInterval(timer)")  # or it might look by itself
    served.play()  # in the other tab
    tab.run("document.getElementById('pass').click()")
    tab.wait(f"{READY} && now.number > 0")
    assert "another tab" in tab.run("document.getElementById('warning').innerText")
    assert tab.run("document.getElementById('review').hidden") is False
    with served.server.turn:
        served.table.deal(served.table.number)
    tab.run("dispatchEvent(new Event('focus'))")  # as when a lid opens
    tab.wait(f"{READY} && now.dealt === 2")
    assert tab.run("document.getElementById('warning').hidden") is True
    refused = [json.loads(each) for each in tab.complaints]
    assert [each["entry"]["text"][-14:] for each in refused] == ["409 (Conflict)"]


def test_a_card_that_may_not_be_played_is_explained_and_not_sent(tab: Browser, served: Served) -> None:
    tab.open(served.server.url, still=True)
    tab.wait(YOUR_TURN)
    pass_hinted(tab)
    number = served.table.number
    tab.run("document.querySelector('.card:not(.legal)').click()")
    assert len(tab.run("document.getElementById('says').textContent")) > 10
    assert tab.run("document.querySelector('.card:not(.legal)').ariaDisabled") == "true"
    assert served.table.number == number
    assert not [url for url in tab.requests if url.endswith("move")][1:]


def test_a_server_that_has_ended_is_told(tab: Browser, served: Served, tmp_path: Path) -> None:
    tab.open(served.server.url, still=True)
    tab.wait(YOUR_TURN)
    served.end()
    tab.run("document.getElementById('hint').click()")
    tab.wait("!document.getElementById('warning').hidden")
    assert "velodrome play hearts" in tab.run("document.getElementById('warning').innerText")
    tab.screenshot(tmp_path / "ended.png")
    assert len(shown_cards(tab)) == 13
