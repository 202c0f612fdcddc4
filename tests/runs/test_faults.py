"""What users, disks and kill -9 do to runs: one clear line each, exit code 2, and nothing damaged."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from small import TOY, small, small_flags
from velodrome.cli import main
from velodrome.recipes import RECIPES, find
from velodrome.runs.checkpoint import Checkpoints
from velodrome.runs.run import Run

SMALL = ["--games", "2"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of the toy recipe with the checkpoints 2 and 3."""
    folder = tmp_path / "run"
    for iterations in ("2", "3"):
        assert main(["train", TOY, *SMALL, "--iterations", iterations, "--run", str(folder), "--resume"]) == 0
    return folder


@pytest.fixture
def mistaken(capfd: pytest.CaptureFixture[str]) -> Any:
    """Runs a command that has to be refused, and returns the line that says why."""

    def run(*arguments: object) -> str:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert (code, out) == (2, "")
        *before, line = err.splitlines()
        assert all(re.match(r"velodrome: (compil|going on with|iteration \d)", told) for told in before)
        assert line.startswith("velodrome: ")
        return line.removeprefix("velodrome: ")

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def digest_of_training(folder: Path, iterations: int, capfd: pytest.CaptureFixture[str], *flags: str) -> str:
    capfd.readouterr()
    assert main(["train", *flags, "--iterations", str(iterations), "--run", str(folder), "--resume", "--json"]) == 0
    digest: str = json.loads(capfd.readouterr().out)["digest"]
    return digest


# -- mistakes -------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("tran hearts", "there is no verb 'tran'; did you mean train?"),
    ("train hearst", "no recipe is called 'hearst'; did you mean hearts?"),
    ("train nowhere.py:mine", "nowhere.py: no such file"),
    (f"train {TOY}s", "has no recipe 'meadows'"),
    ("train", "train takes RECIPE first: velodrome train RECIPE ...; see velodrome train --help"),
    ("train hearts more", "what is 'more' for?; see velodrome train hearts --help"),
    ("train hearts --ppo.minibach 3", "there is no flag --ppo.minibach; did you mean --ppo.minibatch?; see"),
    ("train hearts --gmes 3", "there is no flag --gmes; did you mean --games?; see"),
    ("train hearts --games many", "--games many: it takes a whole number; see"),
    ("train hearts --ppo.rate fast", "--ppo.rate fast: it takes a number; see"),
    ("train hearts --widths 2 x", "--widths 2: it takes whole numbers; see"),
    (
        "train hearts --ppo.precision half",
        "--ppo.precision 'half': it takes one of 'float32', 'medium', 'bfloat16'; see",
    ),
    ("train hearts --ppo.minibatch 9999999", "ppo: minibatch 9999999 is larger than batch 32768; see"),
    ("train hearts --games", "--games needs a value; see"),
    ("train hearts --games 0", "games=0: at least one game is needed"),
    ("train hearts --iterations -1", "--iterations -1: it takes 0 or more"),
    ("train hearts --seconds nan", "--seconds nan: it takes 0 or more"),
    ("train hearts --seed -1", "--seed -1: it takes 0 or more"),
    ("train hearts --seeds 0", "--seeds 0: it takes 1 or more"),
    ("train hearts --threads 0", "--threads 0: it takes 1 or more"),
    ("train hearts --episodes 1", "--episodes 1: it takes 2 or more"),
    ("train hearts --evaluate-every 0", "--evaluate-every 0.0: it takes more than 0"),
    ("train hearts --until score=6", "--until 'score=6' is not understood; write for example --until \"score<6\""),
    ("train hearts --device tpu", "--device tpu is not to be had here; use --device cpu"),
    ("train hearts --resume", "--resume needs --run DIR, the folder of the run to go on with"),
    (
        f"train {TOY} --until score>1 --against rule",
        "--against rule: neither a bot nor the folder of a run; meadow has",
    ),
    ("evaluate", "evaluate takes RUN first: velodrome evaluate RUN ...; see velodrome evaluate --help"),
    ("evaluate runs/none", "runs/none is not there: evaluate takes the folder of a run, or a recipe"),
    (f"evaluate {TOY} --episodes 1", "--episodes 1: it takes 2 or more"),
    (
        f"evaluate {TOY} --against directt",
        "--against directt: neither a bot nor the folder of a run; did you mean direct?",
    ),
    (f"profile {TOY} --iterations 0", "--iterations 0: it takes 1 or more"),
    ("profile hearst", "no recipe is called 'hearst'; did you mean hearts?"),
    ("report runs/none", "runs/none is no run: it has no config.json that can be read"),
    ("compare hearts/attn", "no net is called 'hearts/attn'; did you mean"),
]


@pytest.mark.parametrize(("command", "said"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_a_mistake_is_one_line(mistaken: Any, tmp_path: Path, command: str, said: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in mistaken(*command.split())
    assert list(tmp_path.iterdir()) == []


def test_json_changes_nothing_about_mistakes(mistaken: Any) -> None:
    assert "did you mean hearts?" in mistaken("train", "hearst", "--json")


def test_a_run_is_not_begun_twice(mistaken: Any, run: Path) -> None:
    before = contents(run)
    said = mistaken("train", TOY, "--iterations", 9, "--run", run)
    assert said == f"{run} holds a run already; add --resume to go on with it, or choose another --run"
    assert contents(run) == before


def test_two_processes_do_not_share_a_run(mistaken: Any, run: Path) -> None:
    before = contents(run)
    with Run(run).owned():
        said = mistaken("train", TOY, "--iterations", 9, "--run", run, "--resume")
    assert said.startswith(f"{run} belongs to process {os.getpid()}, which still trains there; wait for it, or choose")
    assert contents(run) == before


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--games", "3"], "--games 3: RUN was begun with 2; leave the flag out, or begin a new run"),
        (["--seed", "3"], "--seed 3: RUN was begun with 0; leave the flag out, or begin a new run"),
        (["--threads", "7"], "--threads 7: RUN was begun with 1; leave the flag out, or begin a new run"),
    ],
)
def test_going_on_with_other_settings_is_refused(mistaken: Any, run: Path, flags: list[str], said: str) -> None:
    before = contents(run)
    assert mistaken("train", TOY, "--run", run, "--resume", *flags) == said.replace("RUN", str(run))
    assert mistaken("train", "hearts", "--run", run, "--resume") == f"{run} is a run of {TOY}, not of hearts"
    assert contents(run) == before


def test_a_run_of_another_version(mistaken: Any, run: Path) -> None:
    config = run / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"format": 12, "velodrome": "3.1"}))
    before = contents(run)
    for command in (["train", TOY, "--run", run, "--resume"], ["evaluate", run], ["profile", run], ["report", run]):
        assert "was written by Velodrome 3.1 in format 12; this is" in mistaken(*command)
    assert contents(run) == before


def test_a_checkpoint_that_does_not_fit_the_recipe(mistaken: Any, run: Path) -> None:
    config = run / "config.json"
    written = json.loads(config.read_text())
    written["settings"]["games"] = 5
    config.write_text(json.dumps(written))
    before = contents(run)
    said = mistaken("train", TOY, "--run", run, "--resume")
    assert "iteration-00000003 does not fit the recipe as it now is (" in said
    assert contents(run) == before


# -- disks ----------------------------------------------------------------------------------------------------------


def test_a_file_in_the_runs_place(mistaken: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "inside"):
        said = mistaken("train", TOY, *SMALL, "--iterations", 1, "--run", folder)
        assert said.startswith(f"{folder} cannot be written (")
    assert (tmp_path / "taken").read_text() == "mine"


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_loses_nothing(mistaken: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A real one, small enough to fill while training saves."""
    disk = tmp_path / "disk"
    with mounted(disk, "size=1m"):
        folder = disk / "run"
        digest_of_training(folder, 2, capfd, TOY, *SMALL)
        (disk / "others").write_bytes(bytes(1 << 20)[: free(disk) - (32 << 10)])
        said = mistaken("train", TOY, "--iterations", 4, "--run", folder, "--resume")
        assert said == f"{folder}: the disk is full; free some space and continue with --resume"
        newest = Checkpoints(folder / "checkpoints").newest()
        assert newest is not None
        assert (newest.iteration, newest.damaged) == (2, [])
        (disk / "others").unlink()
        resumed = digest_of_training(folder, 4, capfd, TOY)
    assert resumed == digest_of_training(tmp_path / "whole", 4, capfd, TOY, *SMALL)


def free(disk: Path) -> int:
    return shutil.disk_usage(disk).free


def test_a_read_only_disk(mistaken: Any, run: Path) -> None:
    before = contents(run)
    subprocess.run(["mount", "--bind", run, run], check=False, capture_output=True)
    done = subprocess.run(["mount", "-o", "remount,ro,bind", run], capture_output=True, text=True)
    if done.returncode:
        subprocess.run(["umount", run], check=False, capture_output=True)
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        said = mistaken("train", TOY, "--iterations", 9, "--run", run, "--resume")
        assert said == f"{run} cannot be written (read-only file system); choose another --run"
        assert "cannot be written (read-only file system)" in mistaken("evaluate", run, "--episodes", 2)
        assert contents(run) == before
    finally:
        subprocess.run(["umount", run], check=True)


# -- damage ---------------------------------------------------------------------------------------------------------


class Trap:
    """Unpickling this makes the folder `sprung`."""

    def __init__(self, sprung: Path):
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.sprung),)


@pytest.mark.parametrize("file", ["weights.safetensors", "state.safetensors", "state.json", "manifest.json"])
def test_a_pickle_in_a_checkpoints_place_is_not_run(
    run: Path, tmp_path: Path, file: str, capfd: pytest.CaptureFixture[str]
) -> None:
    newest = run / "checkpoints" / "iteration-00000003"
    (newest / file).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    before = contents(newest)
    capfd.readouterr()
    assert main(["train", TOY, "--run", str(run), "--resume", "--iterations", "4"]) == 0
    said = capfd.readouterr().err
    assert f"velodrome: {newest} is damaged: " in said
    assert "; going on from iteration-00000002\n" in said
    assert not (tmp_path / "sprung").exists()
    assert contents(run / "checkpoints" / "damaged-iteration-00000003") == before
    assert [line["iteration"] for line in Run(run).lines("metrics.jsonl")] == [1, 2, 3, 4]


def test_a_run_with_nothing_whole_left(mistaken: Any, run: Path) -> None:
    for path in (run / "checkpoints").glob("*/weights.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    before = contents(run)
    for command in (["train", TOY, "--run", run, "--resume"], ["evaluate", run], ["profile", run]):
        said = mistaken(*command)
        assert (
            "iteration-00000003 is damaged: weights.safetensors does not match its checksum; no older checkpoint"
            in said
        )
    assert contents(run) == before


# -- kill -9 --------------------------------------------------------------------------------------------------------

SAVING_ALWAYS = """
import sys
from velodrome.learn.session import Saving
from velodrome.verbs import job
job.Saving = lambda every_s: Saving(0.0, share=1.0)
from velodrome.cli import main
print("ready", flush=True)
sys.exit(main(sys.argv[1:]))
"""
"""Spends about half of its time in saves."""

KILLED_AFTER_SAVING = """
import os, signal, sys
from velodrome.learn.session import Saving
from velodrome.runs.checkpoint import Checkpoints
from velodrome.verbs import job
job.Saving = lambda every_s: Saving(0.0, share=1e9)
save = Checkpoints.save
def save_and_die(self, iteration, *given):
    save(self, iteration, *given)
    if iteration == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoints.save = save_and_die
from velodrome.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(script: str, folder: Path, *flags: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", script, "train", *flags, "--run", str(folder), "--resume"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


@pytest.mark.parametrize("name", [*RECIPES, TOY], ids=lambda name: name.rsplit(":")[-1])
def test_six_iterations_are_three_killed_and_three_more(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = [name, *small_flags(name), "--threads", "1"]
    with start(KILLED_AFTER_SAVING, tmp_path / "killed", *flags, "--iterations", "6") as process:
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL, said.decode()
    recipe = find(name)
    if recipe.build(small(recipe.settings()), 0, "cpu").game.resumes:
        whole = tmp_path / "whole"
    else:  # its games begin anew, twice alike
        whole = shutil.copytree(tmp_path / "killed", tmp_path / "copy")
    resumed = digest_of_training(tmp_path / "killed", 6, capfd, *flags)
    assert resumed == digest_of_training(whole, 6, capfd, *flags)
    assert [line["iteration"] for line in Run(tmp_path / "killed").lines("metrics.jsonl")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.long)])
def test_killed_at_random_moments_it_always_goes_on(
    tmp_path: Path, kills: int, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, flags = tmp_path / "run", [TOY, *SMALL, "--threads", "1"]
    moments, checkpoints = random.Random(kills), Checkpoints(folder / "checkpoints")
    saved = 0
    cut_short = 0
    for _ in range(kills):
        with start(SAVING_ALWAYS, folder, *flags) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            wait_for_a_save(checkpoints, saved)
            time.sleep(moments.uniform(0.0, 0.3))
            process.kill()
            _, said = process.communicate()
        assert b"Traceback" not in said
        cut_short += any(path.name.startswith(".") for path in checkpoints.folder.iterdir())
        newest = checkpoints.newest()
        assert newest is not None
        assert newest.damaged == []
        assert newest.iteration > saved
        saved = newest.iteration
    assert cut_short > 0 or kills < 30  # some kills have to hit a save
    resumed = digest_of_training(folder, saved + 1, capfd, *flags)
    assert resumed == digest_of_training(tmp_path / "whole", saved + 1, capfd, *flags)
    assert [line["iteration"] for line in Run(folder).lines("metrics.jsonl")] == list(range(1, saved + 2))


def wait_for_a_save(checkpoints: Checkpoints, saved: int) -> None:
    deadline = time.monotonic() + 120
    while not any(int(path.name.rpartition("-")[2]) > saved for path in checkpoints.found()):
        assert time.monotonic() < deadline, "it does not save"
        time.sleep(0.005)
