"""The command line as a person and as a program meet it."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from small import TOY, flags_for, small, small_flags
from velodrome.cli import VERBS, main
from velodrome.recipes import RECIPES, find
from velodrome.runs.settings import settings_from_json, settings_to_json
from velodrome.verbs.flags import parse_with_settings
from velodrome.verbs.train import Train

SMALL = ["--games", "4"]


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document that stdout has to be."""
        assert self.out.count("\n") == 1
        read = json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert isinstance(read, dict)
        return read


@pytest.fixture
def velodrome(capfd: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: object) -> Said:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the toy recipe. Nothing that is tested with it may change it."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", TOY, *SMALL, "--iterations", "3", "--run", str(folder), "--json"]) == 0
    return folder


# -- verbs ----------------------------------------------------------------------------------------------------------


def test_train_answers_with_what_it_came_to(velodrome: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    document = velodrome("train", TOY, *SMALL, "--iterations", 2, "--run", folder, "--json").document
    assert document["run"] == str(folder)
    assert document["iterations"] == 2
    assert document["decisions"] > 0
    assert document["seconds"] > 0
    assert Path(document["checkpoint"]).is_dir()
    assert re.fullmatch("[0-9a-f]{64}", document["digest"])
    again = velodrome("train", TOY, *SMALL, "--iterations", 2, "--run", folder, "--resume", "--json").document
    assert again == document


def test_the_total_counts_when_going_on(velodrome: Any, tmp_path: Path) -> None:
    train = ("train", TOY, *SMALL, "--json", "--run")
    whole = velodrome(*train, tmp_path / "whole", "--iterations", 4).document
    velodrome(*train, tmp_path / "parts", "--iterations", 1)
    parts = velodrome(*train, tmp_path / "parts", "--iterations", 4, "--resume").document
    assert parts["digest"] == whole["digest"]
    assert parts["decisions"] == whole["decisions"]


def test_settings_are_flags_and_are_kept(velodrome: Any, tmp_path: Path) -> None:
    velodrome("train", TOY, *SMALL, "--rate", 0.5, "--iterations", 1, "--run", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"] | {"games": 4, "rate": 0.5} == config["settings"]


def test_until_a_score(velodrome: Any, tmp_path: Path) -> None:
    flags = ("--until", "score>-1", "--evaluate-every", 1e-9, "--episodes", 4, "--against", "random")
    document = velodrome("train", TOY, *SMALL, *flags, "--run", tmp_path / "run", "--json").document
    assert (document["iterations"], document["stopped_by"]) == (1, "score")


def test_several_seeds(velodrome: Any, tmp_path: Path) -> None:
    flags = ("--seeds", 2, "--seed", 5, "--iterations", 1, "--episodes", 6)
    document = velodrome("train", TOY, *SMALL, *flags, "--run", tmp_path, "--json").document
    scores = [run["evaluation"]["score"] for run in document["runs"]]
    assert document["seeds"] == [5, 6]
    assert document["score"] == pytest.approx(sum(scores) / 2)
    half = 12.706 * abs(scores[0] - scores[1]) / 2  # Student's t with one degree of freedom
    assert document["interval"] == pytest.approx([document["score"] - half, document["score"] + half], abs=1e-3)
    alone = velodrome("train", TOY, *SMALL, "--seed", 6, "--iterations", 1, "--run", tmp_path / "alone", "--json")
    assert alone.document["digest"] == document["runs"][1]["digest"]


def test_evaluate_a_run(velodrome: Any, trained: Path) -> None:
    flags = ("--against", "random", "--episodes", 8)
    document = velodrome("evaluate", trained, *flags, "--json").document
    assert (document["episodes"], document["duplicate"], document["better"]) == (8, 3, "higher")
    assert document["score_name"] == "hares caught or own survival"
    assert 0 <= document["score"] <= 1
    assert document["stderr"] > 0
    assert set(document["baselines"]) == {"random", "direct"}
    roles = document["baselines"]["random"]["by_role"]
    assert document["baselines"]["random"]["score"] == pytest.approx((roles["0"] + 2 * roles["1"]) / 3)
    kept = json.loads((trained / "evaluations.jsonl").read_text().splitlines()[-1])
    assert kept.items() <= document.items()
    assert kept["iteration"] == 3
    assert velodrome("evaluate", trained, *flags, "--seed", 1, "--json").document["score"] != document["score"]


def test_evaluate_a_run_against_a_run(velodrome: Any, trained: Path) -> None:
    document = velodrome("evaluate", trained, "--against", trained, "--episodes", 4, "--json").document
    assert document["against"] == str(trained)
    assert 0 <= document["score"] <= 1
    assert "baselines" not in document


def test_evaluate_records_episodes_of_anyone(velodrome: Any, trained: Path, tmp_path: Path) -> None:
    kept = (trained / "evaluations.jsonl").read_text() if (trained / "evaluations.jsonl").exists() else ""
    flags = (trained, "--play", "random", "--against", "nobody", "--episodes", 4)
    document = velodrome("evaluate", *flags, "--record", tmp_path / "set", "--json").document
    assert document["played by"] == "random"
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert (card["who"], card["episodes"], card["hash"]) == ("random", 4, document["recorded"]["hash"])
    again = velodrome("evaluate", *flags, "--record", tmp_path / "set")
    assert (again.code, "holds a set already" in again.err) == (2, True)
    unknown = velodrome("evaluate", trained, "--play", "nobody-knows")
    assert (unknown.code, "--play nobody-knows: neither a bot nor" in unknown.err) == (2, True)
    now = (trained / "evaluations.jsonl").read_text() if (trained / "evaluations.jsonl").exists() else ""
    assert now == kept, "what a bot does is none of the run's"


def test_evaluate_a_recipe(velodrome: Any) -> None:
    document = velodrome("evaluate", TOY, *SMALL, "--episodes", 4, "--json").document
    assert document["recipe"] == TOY
    assert document["against"] == "direct"


@pytest.mark.parametrize("of_a_run", [False, True])
def test_profile(velodrome: Any, trained: Path, tmp_path: Path, of_a_run: bool) -> None:
    trace = tmp_path / "trace.json.gz"
    what = (trained,) if of_a_run else (TOY, *SMALL)
    document = velodrome("profile", *what, "--iterations", 2, "--trace", trace, "--json").document
    assert (document["recipe"], document["iterations"]) == (TOY, 2)
    assert sum(phase["seconds"] for phase in document["phases"]) + document["unaccounted_s"] == pytest.approx(
        document["wall_s"], rel=1e-3
    )
    assert sum(phase["share"] for phase in document["phases"]) + document["unaccounted"] == pytest.approx(1, rel=1e-3)
    assert all(phase["samples"] > 0 for phase in document["phases"])
    assert 0 <= document["overhead"] < 1
    rates = document["throughput"]
    assert rates["iterations_per_s"] == pytest.approx(2 / document["plain"]["wall_s"])
    assert min(rates[f"{unit}_per_s"] for unit in ("game_steps", "decisions", "learner_samples")) > 0
    assert document["memory_mb"] > 50
    names = {event["name"] for event in json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]}
    assert "learn.forward" in names
    assert (trained / "profile.json").exists() or not of_a_run


def test_list(velodrome: Any) -> None:
    document = velodrome("list", "--json").document
    assert {recipe["name"] for recipe in document["recipes"]} == set(RECIPES)
    hearts = next(game for game in document["games"] if game["name"] == "hearts")
    assert hearts["bots"] == ["random", "lowest", "rule"]
    assert "hearts/attention" in document["nets"]
    schemes = {recipe["name"]: recipe["scheme"] for recipe in document["recipes"]}
    assert schemes["hearts"] is None
    assert schemes["navigation-tom2c"] == {"training": "centralised", "communication": "learnt"}
    lines = velodrome("list").out.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("  ") and " training, " in line[:30]]
    of_neurcomm = next(number for number, line in enumerate(lines) if line.startswith("    platoon-neurcomm"))
    head = max(number for number in heads if number < of_neurcomm)
    assert lines[head] == "  decentralised training, communication along a graph"


def test_report(velodrome: Any, trained: Path) -> None:
    document = velodrome("report", trained, "--json").document
    assert Path(document["html"]).is_file()
    assert Path(document["markdown"]).is_file()


# -- manners --------------------------------------------------------------------------------------------------------


def test_help_names_every_verb_and_flag(velodrome: Any) -> None:
    whole = velodrome("--help")
    assert whole.code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in whole.out
        one = velodrome(verb, "--help")
        assert one.code == 0
        assert "--json" in one.out
    of_recipe = velodrome("train", "hearts", "--help").out
    assert "--ppo.minibatch" in of_recipe
    assert "Learner samples of an iteration." in of_recipe


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from velodrome.cli import main; main(['--help']); print([n for n in sys.modules if n in HEAVY])"
    )
    heavy = "HEAVY = {'torch', 'numba', 'numpy', 'tyro', 'rich', 'scipy'}; "
    said = subprocess.run([sys.executable, "-c", heavy + script], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"


def test_no_arguments_is_a_mistake_that_helps(velodrome: Any) -> None:
    said = velodrome()
    assert said.code == 2
    assert "usage: velodrome VERB" in said.out


def test_a_pipe_gets_plain_lines(velodrome: Any, tmp_path: Path) -> None:
    said = velodrome("train", TOY, *SMALL, "--iterations", 3, "--run", tmp_path / "run")
    assert said.err.startswith("velodrome: iteration 1 of 3")
    assert all(letter.isprintable() or letter == "\n" for letter in said.out + said.err)
    assert str(tmp_path / "run") in said.out


def test_a_terminal_gets_the_live_budget(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "velodrome", "train", TOY, *SMALL, "--iterations", "4", "--run", tmp_path / "run"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.PIPE, env=os.environ | {"COLUMNS": "100"}
    ) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                drawn += os.read(ours, 4096)
            except OSError:  # the other side has closed
                break
        assert process.wait() == 0
    os.close(ours)
    for word in (b"iteration 4 of 4", b"learn.forward", b"unaccounted", b"decisions/s", b"median", b"\x1b["):
        assert word in drawn


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "velodrome", "train", TOY, *SMALL, "--run", tmp_path / "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("velodrome: iteration 1"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert f"velodrome train {TOY} --run {tmp_path / 'run'} --resume" in out
    assert "Traceback" not in err
    assert main(["train", TOY, "--run", str(tmp_path / "run"), "--resume", "--iterations", "0"]) == 0


# -- settings of every recipe ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*RECIPES, TOY])
def test_settings_go_through_json_and_flags(name: str) -> None:
    recipe = find(name)
    default = recipe.settings()
    changed = settings_from_json(recipe.settings, nudged(settings_to_json(small(default))))
    assert changed != default
    document = json.loads(json.dumps(settings_to_json(changed), allow_nan=False))
    assert settings_from_json(recipe.settings, document) == changed
    _, parsed = parse_with_settings("train", Train, flags_for(default, changed), default)
    assert parsed == changed


@pytest.mark.parametrize("on", [True, False])
def test_a_switch_can_be_set_to_what_it_is(on: bool) -> None:
    """So that the command that began a run goes on with it."""
    default = dataclasses.replace(find("ppo").settings(), normalise_observations=on)
    for flag, wanted in (("--normalise-observations", True), ("--no-normalise-observations", False)):
        _, parsed = parse_with_settings("train", Train, [flag], default)
        assert parsed.normalise_observations == wanted


def nudged(document: Any) -> Any:
    """These settings with every float a little nearer to zero: a change that no recipe refuses."""
    if isinstance(document, dict):
        return {name: nudged(value) for name, value in document.items()}
    return document * (1 - 2**-12) if isinstance(document, float) and math.isfinite(document) else document


@pytest.mark.parametrize("name", [*RECIPES, TOY])
def test_no_setting_hides_a_flag_of_the_verbs(name: str) -> None:
    from velodrome.verbs.evaluate import Evaluate
    from velodrome.verbs.profile import Profile

    own = {flag for verb in (Train, Evaluate, Profile) for flag in verb.__dataclass_fields__}
    assert own.isdisjoint(find(name).settings.__dataclass_fields__)


def test_every_recipe_trains_from_the_command_line(velodrome: Any, tmp_path: Path) -> None:
    for name in RECIPES:
        said = velodrome("train", name, *small_flags(name), "--iterations", 1, "--run", tmp_path / name, "--json")
        assert said.code == 0, said.err
        assert said.document["iterations"] == 1
