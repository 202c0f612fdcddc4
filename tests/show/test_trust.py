"""How far what a net says of itself can be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from folders import bare_run

from small import small
from velodrome.games.arena.game import Arena
from velodrome.learn.players import seated
from velodrome.learn.trainer import Trainer
from velodrome.nets.arena import MODES
from velodrome.recipes import find
from velodrome.show.report import page_of, render_html, render_markdown
from velodrome.show.story import read
from velodrome.show.trust import GAMES, binned, trust_of


def trainer(name: str) -> Trainer:
    return find(name).build(small(find(name).settings()), 0, "cpu")


def test_bins_hold_what_was_said_and_what_was_so() -> None:
    found = binned("mode", np.array([0.05, 0.92, 0.98, 1.0]), np.array([True, True, False, True]))
    assert found.times == [1, 3]
    assert found.said == pytest.approx([0.05, 2.9 / 3])
    assert found.right == pytest.approx([1.0, 2 / 3])
    assert found.off == pytest.approx((0.95 + 3 * abs(2.9 / 3 - 2 / 3)) / 4)


def test_who_is_always_sure_is_right_as_often_as_the_teacher_agrees() -> None:
    trained = trainer("arena")
    net: Any = trained.nets["net"]
    with torch.no_grad():
        for head in (net.strategist.mode[-1], net.strategist.confidence):
            head.weight.zero_()
            head.bias.zero_()
        net.strategist.mode[-1].bias[MODES.index("explore")] = 1.0
        net.strategist.confidence.bias.fill_(50.0)
    game = trained.game.again(GAMES, seed=0)
    assert isinstance(game, Arena)
    player, live, so = seated(trained.policy(greedy=True), game, greedy=True), np.ones(GAMES, np.bool_), []
    every = net.settings.strategy_every // net.settings.frames
    for step in range(game.spec.longest):
        if step % every == 0:
            so.append(game.views["mode"][live, 0] == MODES.index("explore"))
        game.step(player.decide(live[:, None] & game.acting))
        live &= ~(game.ended | game.cut)
    (found,) = trust_of(trained, "cpu")
    share = float(np.concatenate(so).mean())
    assert 0 < share < 1
    assert (found.of, found.said, found.times) == ("mode", [1.0], [sum(map(len, so))])
    assert found.right == pytest.approx([share])
    assert found.off == pytest.approx(1 - share)


def test_nets_that_say_nothing_of_the_kind_are_not_asked() -> None:
    assert trust_of(trainer("territory-flatten"), "cpu") == []
    assert trust_of(trainer("hearts"), "cpu") == []


def test_the_report_shows_it(tmp_path: Path) -> None:
    folder = bare_run(tmp_path / "run")
    assert "can be trusted" not in render_html(page_of(read(folder)))
    told = {"of": "mode", "said": [0.25, 0.75], "right": [0.5, 0.75], "times": [100, 300], "off": 0.0625}
    (folder / "trust.json").write_text(json.dumps({"trust": [told]}))
    page = page_of(read(folder))
    (chart,) = page.trust
    assert [line.name for line in chart.lines] == ["as often right as it says", "this net"]
    assert "0.0625 off in the mean, over 400 times" in render_html(page)
    assert "Its mode" in render_markdown(page)
