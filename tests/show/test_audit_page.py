"""The audit's page in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Browser

from velodrome.audit import claims
from velodrome.audit.page import html_of
from velodrome.audit.verdicts import kept


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "audit.html"
    path.write_text(html_of(claims(), kept()))
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("wide", [1280, 390])
def test_it_stands_alone_and_nothing_errs(tab: Browser, page: Path, tmp_path: Path, wide: int, dark: bool) -> None:
    tab.open(page, wide, 800, dark=dark)
    tab.screenshot(tmp_path / "page.png")
    assert tab.complaints == []
    assert tab.requests == [page.as_uri()]
    assert tab.run("document.documentElement.scrollWidth") <= wide, "it scrolls sideways"


def test_findings_lead_to_their_claims(tab: Browser, page: Path) -> None:
    tab.open(page)
    assert tab.run("document.querySelectorAll('.findings svg').length") == 10
    assert tab.run("document.querySelectorAll('tr[id]').length") == len(claims())
    assert tab.run("[...document.querySelectorAll('.findings a')].every(one => document.querySelector(one.hash))")


def test_bars_stay_within_their_pictures(tab: Browser, page: Path) -> None:
    tab.open(page)
    assert tab.run(
        "[...document.querySelectorAll('.findings svg')].every(one => [...one.querySelectorAll('text')].every("
        "text => { const box = text.getBBox(); return box.x >= 0 && box.x + box.width <= one.viewBox.baseVal.width }))"
    )
