"""`velodrome play` as a person starts and ends it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from small import TOY, small, small_flags
from velodrome.cli import main
from velodrome.mistake import Mistake
from velodrome.recipes import find
from velodrome.recipes import shipped as rooms
from velodrome.recipes.restore import build
from velodrome.recipes.shipped import About, write
from velodrome.runs.settings import settings_to_json
from velodrome.verbs.play import Play, introduction, listening, table_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of Hearts that has learnt nothing."""
    folder = tmp_path_factory.mktemp("runs") / "hearts"
    flags = [*small_flags("hearts-mlp"), "--iterations", "0", "--run", str(folder), "--json"]
    assert main(["train", "hearts-mlp", *flags]) == 0
    return folder


def test_a_game_is_started_played_and_ended_by_ctrl_c() -> None:
    command = [sys.executable, "-m", "velodrome", "play", "hearts", "--against", "rule", "--no-browser", "--seed", "1"]
    with subprocess.Popen([*command, "--json"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said, found = "", None
        for line in process.stderr:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+/\S+/", line):
                break
        assert found is not None
        assert "you play against three rule bots; hints and reviews are by " in said
        table = asked(found[0] + "table")
        assert asked(found[0] + "move", {"number": 0, "cards": table["legal"][:3]})["number"] == 1
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in err
    document = json.loads(out)
    assert (document["seed"], document["games"], document["scores"]) == (1, [[]], [0, 0, 0, 0])


def asked(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_who_sits_there_is_said(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "AGENTS", tmp_path)
    name = str(run)
    told = {
        (None, None): "three rule bots; hints and reviews are by the rule bot",
        (None, "lowest"): "three lowest bots; hints and reviews are by the rule bot",
        (None, name): f"the agent of {name}, three times; hints and reviews are by the agent of {name}",
        (name, None): f"the agent of {name}, three times; hints and reviews are by the agent of {name}",
        (name, "rule"): f"three rule bots; hints and reviews are by the agent of {name}",
    }
    for (own, against), says in told.items():
        assert introduction(table_of(own, Play(against=against, seed=0))) == f"you play against {says}"


def test_the_agent_that_ships_sits_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "AGENTS", tmp_path)
    settings = small(find("hearts").settings())
    about = About("hearts", settings_to_json(settings), 0, 1, 1.0, "2026-11-22", {}, {})
    write(tmp_path / "hearts.safetensors", build(find("hearts"), settings, 0, "cpu"), about)
    told = introduction(table_of(None, Play(seed=0)))
    assert told == "you play against the agent of hearts, three times; hints and reviews are by the agent of hearts"


def test_without_a_seed_the_cards_are_others_each_time() -> None:
    tables = [table_of(None, Play()) for _ in range(3)]
    assert len({table.game.seed for table in tables}) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "play takes hearts first: velodrome play hearts ...; see velodrome play --help"),
        (["heart"], "'heart' is not played here; did you mean hearts?"),
        (["skirmish"], "'skirmish' is not played here; there are hearts"),
        (["hearts", "nowhere"], "play hearts nowhere: neither a bot nor the folder of a run"),
        (["hearts", "--against", "rul"], "--against rul: neither a bot nor the folder of a run; did you mean rule?"),
        (["hearts", "--against", "nobody"], "Hearts has four seats: nobody cannot sit in them"),
        (["hearts", "--port", "80"], "--port 80: it takes 1024 to 65535, or 0 for any that is free"),
        (["hearts", "--port", "-1"], "--port -1: it takes 1024"),
        (["hearts", "--seed", "-1"], "--seed -1: it takes 0 or more"),
        (["hearts", "--prot", "1"], "there is no flag --prot; did you mean --port?"),
        (["hearts", "rule", "lowest"], "what is 'lowest' for?"),
    ],
)
def test_mistakes(capfd: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert main(["play", *arguments]) == 2
    out, err = capfd.readouterr()
    assert err.strip().splitlines()[-1].startswith(f"velodrome: {says}")
    assert out == ""


def test_a_run_of_another_game_is_refused(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    assert main(["train", TOY, "--games", "4", "--iterations", "0", "--run", folder, "--json"]) == 0
    capfd.readouterr()
    assert main(["play", "hearts", folder]) == 2
    assert "a player of meadow with these settings cannot play hearts with those" in capfd.readouterr().err


def test_a_port_that_is_taken_is_a_mistake() -> None:
    table = table_of(None, Play(seed=0))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Mistake, match=f"--port {port}: Address already in use; choose another"):
            listening(table, port)
    with listening(table, port) as server:
        assert server.url.startswith(f"http://127.0.0.1:{port}/")
