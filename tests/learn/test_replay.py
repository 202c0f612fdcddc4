"""Replay memory: what is forgotten when, what is drawn, and that it goes on where it was."""

from pathlib import Path

import pytest
import torch

from velodrome.learn.replay import MOST_CHUNKS, Replay
from velodrome.runs.checkpoint import Checkpoints


def filled(replay: Replay, lo: int, hi: int, part: int) -> Replay:
    for first in range(lo, hi, part):
        replay.append({"number": torch.arange(first, first + part), "pair": torch.full((part, 2), float(first))})
    return replay


def held(replay: Replay) -> set[int]:
    drawn = replay.draw(5000, torch.Generator().manual_seed(0))
    assert (drawn["pair"][:, 0] <= drawn["number"]).all()
    return set(drawn["number"].tolist())


@pytest.mark.parametrize("rows", [5, 40, 45, 60, 200, 205])
def test_the_last_rows_are_drawn_and_no_others(rows: int) -> None:
    replay = filled(Replay(40, 5), 0, rows, 5)
    assert held(replay) == set(range(rows - len(replay), rows))
    assert min(rows, 40 - replay.chunk) <= len(replay) <= 40


def test_all_rows_are_as_likely() -> None:
    replay = filled(Replay(20, 5), 0, 35, 5)
    counts = torch.bincount(replay.draw(20_000, torch.Generator().manual_seed(1))["number"], minlength=35)
    expected = 20_000 / len(replay)
    assert (counts[35 - len(replay) :] - expected).abs().max() < 5 * expected**0.5


@pytest.mark.parametrize("parts", [64, 127, 128, 1000])
def test_a_memory_has_few_chunks(parts: int) -> None:
    replay = filled(Replay(10 * parts, 10), 0, 10 * parts, 10)
    assert len(replay.full) <= MOST_CHUNKS
    assert 0.97 * 10 * parts <= len(replay) <= replay.size <= 10 * parts


@pytest.mark.parametrize("rows", [5, 30, 35, 640, 655, 1300])
def test_it_goes_on_where_it_was(rows: int, tmp_path: Path) -> None:
    replay = filled(Replay(640, 5), 0, rows, 5)
    Checkpoints(tmp_path).save(1, {"replay": replay.state()}, {})
    checkpoint = Checkpoints(tmp_path).newest()
    assert checkpoint is not None
    other = Replay(640, 5)
    other.load(checkpoint.state["replay"])
    for each in (replay, other):
        filled(each, rows, rows + 20, 5)
    assert other.at == replay.at
    one, two = (each.draw(100, torch.Generator().manual_seed(2)) for each in (replay, other))
    for name in one:
        assert torch.equal(one[name], two[name])


def episodes(replay: Replay, lo: int, hi: int) -> Replay:
    """Two at a time, whose numbers all say when they came."""
    for number in range(lo, hi):
        seen = torch.full((2, 2 + number % 3, 4), float(number), dtype=torch.float16)
        replay.append({"seen": seen, "length": torch.tensor([2 + number % 3, number])})
    return replay


def test_of_episodes_a_chunk_is_as_long_as_its_longest() -> None:
    replay = episodes(Replay(7, 2, longest=5), 0, 8)
    assert [part["seen"].shape[1] for part in replay.full] == [4, 2, 3]
    assert [int(part["length"][1]) for part in replay.full] == [5, 6, 7]
    for chunk in replay.full:
        assert chunk["seen"].eq(chunk["length"][1]).all(), "and not written over"
    assert replay.rows["seen"].shape == (6, 5, 4)
    assert replay.rows["seen"].dtype == torch.float16


def test_chunks_may_be_of_many_parts_of_unlike_length() -> None:
    replay = episodes(Replay(4 * MOST_CHUNKS, 2, longest=5), 0, 3)
    assert [part["seen"].shape[1] for part in replay.full] == [3]
    assert replay.state()["begun"]["seen"].shape[1] == 4
    drawn = replay.draw(300, torch.Generator().manual_seed(0))
    assert set(drawn["seen"][:, 1, 3].tolist()) == {0.0, 1.0, 2.0}


def test_a_checkpoint_writes_only_new_chunks(tmp_path: Path) -> None:
    replay, checkpoints = episodes(Replay(7, 2, longest=5), 0, 3), Checkpoints(tmp_path)
    checkpoints.save(1, {"replay": replay.state()}, {})
    checkpoint = checkpoints.newest()
    assert checkpoint is not None
    other = Replay(7, 2, longest=5)
    other.load(checkpoint.state["replay"])
    for again in (replay, other):
        assert all(again.full.stored(index) is not None for index in range(3)), "known to lie on disk"
        episodes(again, 50, 51)
        assert [again.full.stored(index) is None for index in range(3)] == [False, False, True]
        assert [part["seen"].shape[1] for part in again.full] == [3, 4, 4]


def test_a_memory_that_is_too_small_says_so() -> None:
    with pytest.raises(ValueError, match="too small for 100 at a time"):
        Replay(150, 100)
