"""The report in a real browser: it stands alone, nothing errs, and it can be read in any light on any screen."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from folders import bare_run, told_run, trained_run
from PIL import Image

from velodrome.show.report import write_report

SCREENS = {"desk": (1280, 800), "phone": (390, 844)}

CONTRASTS = """
(() => {
  const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    pixel.clearRect(0, 0, 1, 1); pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1);
    return pixel.getImageData(0, 0, 1, 1).data;
  };
  const light = colour => {
    const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = [...rgba(colour)].map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgba(colour)[3] === 255) return colour;
    }
    return 'white';
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest('.unseen, details:not([open]) > :not(summary)')) continue;
    const pair = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
    found.push([(pair[0] + .05) / (pair[1] + .05), element.textContent.trim().slice(0, 40)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(told_run(tmp_path_factory.mktemp("runs") / "hearts"))["html"]


def complete(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("L"), dtype=float)


def test_the_browser_notices_what_a_page_must_not_do(tab: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src='http://localhost:9/x.png'><script>nothing.at(all)</script>")
    tab.open(page)
    assert "http://localhost:9/x.png" in tab.requests
    assert any("ReferenceError" in complaint for complaint in tab.complaints)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_page_stands_alone_and_nothing_errs(tab: Browser, page: Path, tmp_path: Path, screen: str, dark: bool) -> None:
    tab.open(page, *SCREENS[screen], dark=dark)
    picture = complete(tab.screenshot(tmp_path / "page.png", whole=True))
    assert tab.complaints == []
    assert tab.requests == [page.as_uri()]
    assert (picture.mean() < 80) if dark else (picture.mean() > 200)
    assert picture.std() > 5, "an empty page"
    assert tab.run("document.documentElement.scrollWidth") <= SCREENS[screen][0], "it scrolls sideways"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(tab: Browser, page: Path, dark: bool) -> None:
    tab.open(page, dark=dark)
    tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    contrasts = tab.run(CONTRASTS)
    assert len(contrasts) > 200
    assert contrasts[0][0] >= 4.5, f"WCAG 2.2 asks for 4.5: {contrasts[:3]}"


def test_theme_is_chosen_without_a_script(tab: Browser, page: Path) -> None:
    tab.open(page)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = tab.run(ground)
    tab.run("document.getElementById('dark').click()")
    dark = tab.run(ground)
    tab.run("document.getElementById('light').click()")
    assert tab.run(ground) == light != dark
    assert tab.run("document.scripts.length") == 0


def test_first_screen_holds_verdict_budget_and_curve(tab: Browser, page: Path) -> None:
    tab.open(page)
    for part in (".verdict", ".bar", ".plot"):
        bottom = tab.run(f"document.querySelector('{part}').getBoundingClientRect().bottom")
        assert 0 < bottom <= 800, part


def test_charts_and_tables_speak_to_a_screen_reader(tab: Browser, page: Path) -> None:
    tab.open(page)
    assert tab.run("[...document.querySelectorAll('[role=img]')].every(one => one.ariaLabel.length > 20)")
    assert tab.run(
        "document.querySelectorAll('figure').length == document.querySelectorAll('figure details table').length"
    )
    assert tab.run("[...document.querySelectorAll('section')].every(one => one.innerText.trim().length > 0)")


def test_a_short_story_is_a_page_too(tab: Browser, tmp_path: Path) -> None:
    for folder in (bare_run(tmp_path / "bare"), trained_run(tmp_path / "trained", iterations=1)):
        tab.open(write_report(folder)["html"])
    assert tab.complaints == []


def test_names_with_markup_are_harmless(tab: Browser, tmp_path: Path) -> None:
    attack = "</title></style><script>document.title='broken'</script><img src=http://localhost:9/x onerror=alert(1)>"
    folder = told_run(tmp_path / "run", recipe=attack, settings={attack: attack}, machine={"cpu": attack})
    page = write_report(folder)["html"]
    tab.open(page)
    assert tab.run("document.title").startswith("</title>")
    assert tab.run("document.querySelectorAll('script, img').length") == 0
    assert (tab.requests, tab.complaints) == ([page.as_uri()], [])
