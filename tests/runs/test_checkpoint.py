"""Checkpoints under every accident: what was saved is read as it was, or named as damaged; nothing is ever executed."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from velodrome.mistake import Mistake
from velodrome.runs import Segments
from velodrome.runs.checkpoint import FORMAT, Checkpoints, Damaged, digest

FILES = ["manifest.json", "state.json", "state.safetensors", "weights.safetensors"]


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"net.weight": torch.full((4, 3), value), "net.bias": torch.zeros(4, dtype=torch.bfloat16)}


def save(checkpoints: Checkpoints, iteration: int, **state: Any) -> Path:
    tree = {"at": iteration, "moments": torch.full((5,), float(iteration))} | state
    return checkpoints.save(iteration, tree, weights(iteration))


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def newest_iteration(checkpoints: Checkpoints) -> int | None:
    """The newest checkpoint's, once all of it is seen to belong together."""
    found = checkpoints.newest()
    if found is None:
        return None
    assert found.state["at"] == found.iteration
    assert found.state["moments"].eq(found.iteration).all()
    assert digest(found.weights) == digest(weights(found.iteration))
    return found.iteration


def test_the_newest_is_read_and_the_last_two_are_kept(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None
    for iteration in (3, 9, 27):
        save(checkpoints, iteration)
    assert newest_iteration(checkpoints) == 27
    assert [path.name for path in checkpoints.found()] == ["iteration-00000009", "iteration-00000027"]
    assert sorted(path.name for path in checkpoints.found()[0].iterdir()) == FILES


def test_the_digest_knows_names_types_shapes_and_bits() -> None:
    plain = weights(1)
    changed = [
        plain | {"net.weight": plain["net.weight"].reshape(3, 4)},
        plain | {"net.bias": plain["net.bias"].half()},
        plain | {"net.bias": -plain["net.bias"]},  # zeros of the other sign
        {"net.weights" if name == "net.weight" else name: tensor for name, tensor in plain.items()},
    ]
    assert digest(dict(reversed(plain.items()))) == digest(plain)
    assert len({digest(one) for one in [plain, *changed]}) == 5


# -- replay memory --------------------------------------------------------------------------------------------------


def chunk(number: int) -> dict[str, Any]:
    return {"seen": np.full((3, 2), number, np.float16), "done": torch.tensor([number], dtype=torch.int64)}


def segment_times(checkpoints: Checkpoints) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (checkpoints.folder / "segments").iterdir()}


def test_only_new_chunks_are_written(checkpoints: Checkpoints) -> None:
    replay = Segments([chunk(1), chunk(2)])
    save(checkpoints, 1, replay=replay)
    before = segment_times(checkpoints)
    replay.append(chunk(3))
    save(checkpoints, 2, replay=replay)
    after = segment_times(checkpoints)
    assert len(before) == 2
    assert len(after) == 3
    assert before.items() <= after.items()


def test_a_loaded_replay_goes_on_without_writing_old_chunks(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1, replay=Segments([chunk(1), chunk(2)]))
    before = segment_times(checkpoints)
    loaded = checkpoints.newest()
    assert loaded is not None
    replay = loaded.state["replay"]
    assert [int(one["done"]) for one in replay] == [1, 2]
    assert replay[1]["seen"].tolist() == chunk(2)["seen"].tolist()
    replay.append(chunk(3))
    save(checkpoints, 2, replay=replay)
    assert before.items() <= segment_times(checkpoints).items()
    again = checkpoints.newest()
    assert again is not None
    assert [int(one["done"]) for one in again.state["replay"]] == [1, 2, 3]


def test_chunks_go_when_no_checkpoint_names_them(checkpoints: Checkpoints) -> None:
    replay = Segments()
    for iteration in range(1, 6):
        replay.append(chunk(iteration))
        replay.drop(max(0, len(replay) - 2))
        save(checkpoints, iteration, replay=replay)
    assert len(segment_times(checkpoints)) == 3  # 3 and 4 of the older checkpoint, 4 and 5 of the newer
    shutil.rmtree(checkpoints.found()[1])
    assert newest_iteration(checkpoints) == 4


def test_a_damaged_chunk_damages_the_checkpoints_that_hold_it(checkpoints: Checkpoints) -> None:
    replay = Segments([chunk(1)])
    save(checkpoints, 1, replay=replay)
    known = set(segment_times(checkpoints))
    replay.append(chunk(2))
    save(checkpoints, 2, replay=replay)
    (new,) = set(segment_times(checkpoints)) - known
    path = checkpoints.folder / "segments" / new
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    assert newest_iteration(checkpoints) == 1
    path.unlink()
    assert newest_iteration(checkpoints) == 1


# -- damage ---------------------------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


class Trap:
    """Unpickling this makes the folder `sprung`."""

    def __init__(self, sprung: Path):
        self.sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.sprung),)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(path.parents[2] / "sprung")))


def torch_pickled(path: Path) -> None:
    data = io.BytesIO()
    torch.save({"weight": Trap(path.parents[2] / "sprung")}, data)
    path.write_bytes(data.getvalue())


DAMAGE = [truncate, flip_a_bit, empty, pickled, torch_pickled, Path.unlink]


@pytest.mark.parametrize("harm", DAMAGE, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("file", FILES)
def test_damage_is_named_and_the_older_one_is_used(
    checkpoints: Checkpoints, file: str, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    save(checkpoints, 1)
    newest = save(checkpoints, 2)
    harm(newest / file)
    found = checkpoints.newest()
    assert found is not None
    assert found.iteration == 1
    assert len(found.damaged) == 1
    assert found.damaged[0].startswith(f"{newest} is damaged: ")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("trap", [pickled, torch_pickled])
def test_a_pickle_with_a_matching_checksum_is_refused_too(
    checkpoints: Checkpoints, trap: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = save(checkpoints, 1)
    for name in FILES[1:]:
        trap(folder / name)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES[1:]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Damaged):
        checkpoints.read(folder)
    assert not (tmp_path / "sprung").exists()


def test_all_damaged_is_a_mistake_that_names_the_newest(checkpoints: Checkpoints) -> None:
    for iteration in (1, 2):
        truncate(save(checkpoints, iteration) / "state.json")
    with pytest.raises(
        Mistake, match=r"iteration-00000002 is damaged: state.json does not match its checksum; no older"
    ):
        checkpoints.newest()


def test_one_that_is_removed_while_it_is_read_is_not_damage(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(checkpoints, 1)
    really_read = Checkpoints.read

    def read_late(self: Checkpoints, folder: Path) -> Any:
        if folder.name.endswith("1"):
            save(checkpoints, 2)
            save(checkpoints, 3)
        return really_read(self, folder)

    monkeypatch.setattr(Checkpoints, "read", read_late)
    found = checkpoints.newest()
    assert found is not None
    assert (found.iteration, found.damaged) == (3, [])


def test_damaged_ones_are_set_aside_and_saved_anew(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    truncate(save(checkpoints, 2) / "state.json")
    found = checkpoints.newest()
    assert found is not None
    checkpoints.set_aside_damaged(found)
    save(checkpoints, 2)
    assert newest_iteration(checkpoints) == 2
    assert (checkpoints.folder / "damaged-iteration-00000002").is_dir()
    assert [path.name for path in checkpoints.found()] == ["iteration-00000001", "iteration-00000002"]


def test_another_format_is_a_mistake_and_not_damage(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    manifest = save(checkpoints, 2) / "manifest.json"
    written = json.loads(manifest.read_text()) | {"format": 99, "velodrome": "7.5"}
    manifest.write_text(json.dumps(written))
    with pytest.raises(
        Mistake, match=rf"was written by Velodrome 7\.5 in format 99; this is .* reads format {FORMAT}: use that"
    ):
        checkpoints.newest()


# -- interruptions --------------------------------------------------------------------------------------------------

ACTIONS = [(os, "fsync"), (os, "replace"), (os, "rename"), (shutil, "rmtree"), (Path, "mkdir"), (Path, "unlink")]


class PowerCut(BaseException):
    """Not an error that anything would handle."""


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, BaseException, bool], None]]:
    """Makes the n-th of the actions on the disk fail; a file that was about to be flushed may lose its end."""

    def arm(nth: int, error: BaseException, lose: bool) -> None:
        left = [nth]
        for owner, name in ACTIONS:
            real = ORIGINALS[name]

            def acting(*given: Any, real: Any = real, name: str = name, **options: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    if lose and name == "fsync" and not os.path.isdir(f"/proc/self/fd/{given[0]}"):
                        os.ftruncate(given[0], os.fstat(given[0]).st_size // 2)
                    raise error
                return real(*given, **options)

            monkeypatch.setattr(owner, name, acting)

    yield arm
    monkeypatch.undo()


ORIGINALS = {name: getattr(owner, name) for owner, name in ACTIONS}


def interrupted_saves(checkpoints: Checkpoints, arm: Callable[..., None], error: BaseException, lose: bool) -> int:
    """Save again and again, interrupted one action later each time, and read after each; returns how many times."""
    replay = Segments([chunk(0)])
    save(checkpoints, 1, replay=replay)
    save(checkpoints, 2, replay=replay)
    for nth in range(1, 200):
        good = newest_iteration(checkpoints)
        assert good is not None
        replay.append(chunk(nth))
        arm(nth, error, lose)
        try:
            save(checkpoints, good + 1, replay=replay)
        except type(error):
            arm(0, error, False)
            assert newest_iteration(checkpoints) in (good, good + 1)
            replay = Segments([*replay])  # the next process has its own list
        else:
            arm(0, error, False)
            assert newest_iteration(checkpoints) == good + 1
            return nth
    raise AssertionError("a save does not take so many actions")


@pytest.mark.parametrize("lose", [False, True], ids=["killed", "power lost"])
def test_whenever_it_is_cut_off_a_whole_checkpoint_is_left(
    checkpoints: Checkpoints, interrupt: Callable[..., None], lose: bool
) -> None:
    assert interrupted_saves(checkpoints, interrupt, PowerCut(), lose) > 10
    strays = [path.name for path in checkpoints.folder.iterdir() if path.name.startswith(".")]
    assert strays == []
    assert len(checkpoints.found()) == 2


def test_a_disk_that_fills_up_leaves_what_was_there(checkpoints: Checkpoints, interrupt: Callable[..., None]) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert interrupted_saves(checkpoints, interrupt, full, lose=True) > 10
