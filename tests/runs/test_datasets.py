"""Sets of recorded episodes: what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from velodrome.games import make
from velodrome.learn.evaluate import evaluate
from velodrome.mistake import Mistake
from velodrome.runs.datasets import Dataset, Recorder

EPISODES = 23


def recorded(folder: Path, name: str = "skirmish", bot: str = "focus", **options: object) -> Dataset:
    recorder = Recorder()
    game = make(name, 1, seed=5, **options)
    evaluate(bot, game, episodes=EPISODES, seed=5, record=recorder)
    recorder.write(folder, {"who": bot, "seed": 5})
    return Dataset(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "set"


def test_it_holds_what_was_played(folder: Path) -> None:
    data = recorded(folder, map="3m", observation="madt", state=True)
    game = make("skirmish", EPISODES, seed=5, map="3m", observation="madt", state=True)
    assert len(data) == EPISODES
    at = data.starts[:-1].copy()
    live = np.ones(EPISODES, bool)
    while live.any():
        action = game.bot("focus")
        for view in game.views:
            np.testing.assert_array_equal(data.arrays[f"view.{view}"][at[live]], game.views[view][live], view)
        np.testing.assert_array_equal(data.arrays["action.order"][at[live]], action["order"][live])
        np.testing.assert_array_equal(data.arrays["acting"][at[live]], game.acting[live])
        game.step(action)
        np.testing.assert_array_equal(data.arrays["reward"][at[live]], game.rewards[live])
        at[live] += 1
        over = live & (game.ended | game.cut)
        np.testing.assert_array_equal(at[over], data.starts[1:][over])
        np.testing.assert_array_equal(data.arrays["outcome"][over], game.outcome[over])
        np.testing.assert_array_equal(data.arrays["cut"][over], game.cut[over])
        live &= ~over


def test_the_card_tells_what_it_is(folder: Path) -> None:
    data = recorded(folder)
    card, rewards = data.card, data.arrays["reward"]
    assert (card["game"], card["who"], card["seed"], card["episodes"]) == ("skirmish", "focus", 5, EPISODES)
    assert card["settings"]["map"] == "3m"
    assert card["win rate"] == pytest.approx(data.arrays["outcome"].mean())
    assert card["mean return"] == pytest.approx(rewards[:, 0].sum() / EPISODES, rel=1e-5)
    assert sum(card["returns"]["counts"]) == EPISODES


def test_turn_based_games_too(folder: Path) -> None:
    data = recorded(folder, "hearts", "rule")
    assert data.arrays["reward"].shape[1] == 4
    assert (np.add.reduceat(data.arrays["reward"].sum(1), data.starts[:-1]) == -26).mean() > 0.8


def test_arrays_are_mapped(folder: Path) -> None:
    assert isinstance(recorded(folder).arrays["reward"], np.memmap)


def test_nothing_is_written_over(folder: Path) -> None:
    recorded(folder)
    with pytest.raises(Mistake, match="holds a set already"):
        recorded(folder)


def test_a_truncated_set_is_refused(folder: Path) -> None:
    recorded(folder)
    path = folder / "view.seen.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Mistake, match=r"view\.seen\.npy is missing or cut short"):
        Dataset(folder)
    path.unlink()
    with pytest.raises(Mistake, match=r"view\.seen\.npy is missing or cut short"):
        Dataset(folder)


def test_a_changed_set_is_refused(folder: Path) -> None:
    recorded(folder)
    path = folder / "reward.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(Mistake, match="its hash is another"):
        Dataset(folder)


def test_an_array_of_another_shape_is_refused(folder: Path) -> None:
    recorded(folder)
    np.save(folder / "reward.npy", np.zeros((3, 3), np.float32))
    with pytest.raises(Mistake, match=r"reward\.npy is not as card\.json says"):
        Dataset(folder)


def test_another_version_is_refused(folder: Path) -> None:
    recorded(folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"version": 0}))
    with pytest.raises(Mistake, match="is of version 0, this is 1"):
        Dataset(folder)


def test_no_set_is_refused(folder: Path) -> None:
    with pytest.raises(Mistake, match="is no set of episodes"):
        Dataset(folder)
    folder.mkdir()
    (folder / "card.json").write_text("{")
    with pytest.raises(Mistake, match="is no set of episodes"):
        Dataset(folder)


def test_a_set_of_another_map_is_refused(folder: Path) -> None:
    data = recorded(folder)
    data.refuse_unless_of(make("skirmish"))
    with pytest.raises(Mistake, match="was recorded of map='3m', not '8m'"):
        data.refuse_unless_of(make("skirmish", map="8m"))
    with pytest.raises(Mistake, match="was recorded of skirmish, not hearts"):
        data.refuse_unless_of(make("hearts"))
