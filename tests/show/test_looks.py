"""Where nets look: pictures of positions, dark where there is little weight."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from folders import bare_run
from matplotlib import image

from small import small
from velodrome.learn.trainer import Trainer
from velodrome.recipes import find
from velodrome.show.looks import DECISIONS, SIDE, lit, looks_of
from velodrome.show.report import page_of, render_html
from velodrome.show.story import read


def trainer(name: str) -> Trainer:
    recipe = find(name)
    settings = small(recipe.settings())
    return recipe.build(replace(settings, size=32, bots=3) if name.startswith("territory") else settings, 0, "cpu")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("territory", ["the directions", "the numbers"]), ("territory-attention", ["gate 1", "gate 2", "gate 3"])],
)
def test_a_net_that_tells_where_it_looks_is_drawn(name: str, kinds: list[str]) -> None:
    looks = looks_of(trainer(name), "cpu")
    assert list(looks) == ["net"]
    assert [look.position for look in looks["net"]] == [f"after {n} decisions" for n in DECISIONS][: len(looks["net"])]
    assert looks["net"]
    for look in looks["net"]:
        assert list(look.pictures) == ["the position", *kinds]
        board, *others = (drawn(picture) for picture in look.pictures.values())
        assert board.shape[:2] == (SIDE, SIDE)
        for other in others:
            assert (other <= board).all()
            assert (other == board).all(-1).any(), "the brightest place is as bright as the board"


def drawn(picture: str) -> np.ndarray:
    """The colours of a picture."""
    pixels: np.ndarray = np.round(255 * image.imread(io.BytesIO(base64.b64decode(picture)), format="png"))
    return pixels[..., :3]


@pytest.mark.parametrize("name", ["hearts", "territory-flatten"])
def test_others_are_not(name: str) -> None:
    assert looks_of(trainer(name), "cpu") == {}


def test_weights_cover_the_picture_evenly() -> None:
    board = np.full((4, 6, 3), 200, np.uint8)
    found = lit(board, np.array([[1.0, 0.0, 0.5], [0.0, 0.0, 0.0]], np.float32))
    assert found[:2, :2].tolist() == [[[200] * 3] * 2] * 2
    assert found[0, 2:4].max() == found[2:].max() == 50
    assert found[1, 5, 0] == round(200 * 0.625)


def test_the_report_shows_them(tmp_path: Path) -> None:
    folder = bare_run(tmp_path / "run")
    assert "What the nets look at" not in render_html(page_of(read(folder)))
    looks = {"net": [{"position": "after 3 decisions", "pictures": {"the position": "AAAA", "a gate": "BBBB"}}]}
    (folder / "looks.json").write_text(json.dumps({"nets": looks}))
    html = render_html(page_of(read(folder)))
    assert "net, after 3 decisions" in html
    assert 'src="data:image/png;base64,BBBB" alt="a gate, net, after 3 decisions"' in html
