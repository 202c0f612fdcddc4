"""Run folders: what grows, what is cut back, and who may write."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from velodrome.mistake import Mistake
from velodrome.runs.checkpoint import FORMAT
from velodrome.runs.run import Config, Run

CONFIG = Config("hearts", {"games": 3}, 7, "cpu", 1, "2026-01-01T00:00:00+00:00")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    with run.owned():
        run.write_config(CONFIG)
    return run


def test_the_config_comes_back(run: Run) -> None:
    assert run.read_config() == CONFIG


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no settings"),
        (json.dumps(dataclasses.asdict(CONFIG) | {"seed": "7"}), "seed is '7'; it takes a whole number"),
        (json.dumps(dataclasses.asdict(CONFIG) | {"sed": 7}), "has no 'sed'; did you mean seed?"),
        (
            json.dumps(dataclasses.asdict(CONFIG) | {"format": 99}),
            f"format 99; this is .* reads format {FORMAT}: use that version",
        ),
    ],
)
def test_a_damaged_config_is_named(run: Run, text: str, said: str) -> None:
    (run.folder / "config.json").write_text(text)
    with pytest.raises(Mistake, match=said):
        run.read_config()


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=f"{tmp_path} is no run: it has no config.json"):
        Run(tmp_path).read_config()


def test_lines_are_strict_json(run: Run) -> None:
    run.append("metrics.jsonl", {"iteration": 1, "loss": math.nan, "rate": np.float32(0.5), "best": -math.inf})
    run.flush()
    text = (run.folder / "metrics.jsonl").read_text()
    assert json.loads(text) == {"iteration": 1, "loss": None, "rate": 0.5, "best": None}
    run.close()


def test_work_that_was_lost_is_cut_back(run: Run) -> None:
    for iteration in range(1, 6):
        run.append("metrics.jsonl", {"iteration": iteration})
    run.flush()
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write('{"iteration": 6, "lo')
    run.cut_back(3)
    run.append("metrics.jsonl", {"iteration": 4, "again": True})
    run.close()
    assert [line["iteration"] for line in run.lines("metrics.jsonl")] == [1, 2, 3, 4]
    assert run.lines("metrics.jsonl")[-1] == {"iteration": 4, "again": True}


OWNER = """
import os, sys, time
from pathlib import Path
from velodrome.runs.run import Run
with Run(Path(sys.argv[1])).owned():
    if os.fork() == 0:  # a worker that outlives its parent
        print("owned", flush=True)
        time.sleep(60)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_killed(run: Run) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, run.folder], stdout=subprocess.PIPE, start_new_session=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"owned\n"
        try:
            with pytest.raises(Mistake, match=f"belongs to process {first.pid}, which still trains there"), run.owned():
                pass
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
            with run.owned():
                pass
        finally:
            os.killpg(first.pid, signal.SIGKILL)


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "inside"):
        with pytest.raises(Mistake, match=f"{folder} cannot be written .*; choose another --run"), Run(folder).owned():
            pass


def test_closing_where_the_disk_is_full_hides_no_other_mistake(run: Run) -> None:
    (run.folder / "metrics.jsonl").symlink_to("/dev/full")
    run.append("metrics.jsonl", {"iteration": 1})
    with pytest.raises(OSError, match="No space left"):
        run.flush()
    run.close()
