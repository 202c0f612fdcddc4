"""`velodrome profile SCRIPT.py`: the script runs as Python runs it, and its time is accounted for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from velodrome.cli import main
from velodrome.verbs.scripts import script_at, without_script

ROOT = Path(__file__).parents[2]
TRAINERS = ROOT / "benchmarks" / "trainers"
PYTHON = [sys.executable]
VELODROME = [sys.executable, "-m", "velodrome"]

TINY = """
import torch
from torch import nn
net = nn.Linear(4, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(5):
    loss = net(torch.ones(8, 4)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.out)
        return made


Profile = Callable[..., Ran]


def run(*command: Any, cwd: Path | None = None) -> Ran:
    """In a process of its own."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd)
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def profile(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """The command in this process, which is quicker, in the test's folder."""

    def ran(*arguments: Any) -> Ran:
        capfd.readouterr()
        code = main(["profile", *map(str, arguments)])
        return Ran(code, *capfd.readouterr())

    monkeypatch.chdir(tmp_path)
    return ran


def write(folder: Path, text: str, name: str = "script.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def samples(document: dict[str, Any]) -> dict[str, int]:
    return {phase["name"]: phase["samples"] for phase in document["phases"]}


def assert_closed(document: dict[str, Any]) -> None:
    accounted = sum(phase["seconds"] for phase in document["phases"]) + document["unaccounted_s"]
    assert accounted == pytest.approx(document["wall_s"])
    assert 0 <= document["unaccounted"] <= 1


def test_a_plain_loop(profile: Profile) -> None:
    ran = profile("--json", TRAINERS / "loop.py", "--steps", 30)
    assert ran.code == 0, ran.err
    document = ran.document
    assert_closed(document)
    phases = samples(document)
    assert phases.pop("start") == phases.pop("end") == 1
    assert phases == dict.fromkeys(["learn.forward", "learn.loss", "learn.backward", "learn.optimize"], 30)
    assert document["arguments"] == ["--steps", "30"]
    assert document["exit_code"] == 0
    assert document["counts"] == {"environment_steps": 0, "optimizer_steps": 30}
    assert document["throughput"].keys() == {"optimizer_steps_per_s"}
    assert document["machine"]["torch_threads"] == 1
    [card] = document["cards"]
    assert card["parameters"] == 16 * 128 + 128 + 128 * 128 + 128 + 128 + 1
    assert sorted(latency["batch"] for latency in card["latencies"]) == [1, 256]


def test_ppo_in_one_file(profile: Profile) -> None:
    ran = profile("--json", "--cards", 0, TRAINERS / "single_file_ppo.py", "--updates", 2, "--steps", 16)
    assert ran.code == 0, ran.err
    document = ran.document
    assert_closed(document)
    updates = 2 * 4 * 4
    assert samples(document) == {
        "start": 1, "end": 1, "collect.infer": 32, "collect.step": 32, "collect.reset": 1,
        "learn.forward": updates + 2, "learn.loss": updates, "learn.backward": updates, "learn.optimize": updates,
    }  # fmt: skip
    assert {parent["name"]: parent["samples"] for parent in document["parents"]} == {"collect": 2, "learn": 2}
    assert document["counts"] == {"environment_steps": 2 * 16 * 4, "optimizer_steps": updates}
    assert document["cards"] == []


def test_text_and_the_scripts_own_output(profile: Profile, tmp_path: Path) -> None:
    script = write(tmp_path, "print('said by the script')\n" + TINY)
    ran = profile("--cards", 0, script)
    assert ran.code == 0
    assert ran.out.startswith("said by the script\n")
    assert "unaccounted" in ran.out
    assert "optimizer steps/s" in ran.out
    quiet = profile("--json", script)
    assert "said by the script" in quiet.err
    assert quiet.document["script"] == str(script)


def test_json_stays_one_document_whoever_writes(profile: Profile, tmp_path: Path) -> None:
    script = write(tmp_path, "import os, subprocess\nos.write(1, b'raw')\nsubprocess.run(['echo', 'child'])\n")
    ran = profile("--json", script)
    assert ran.document["exit_code"] == 0
    assert "raw" in ran.err
    assert "child" in ran.err


def test_it_runs_as_python_runs_it(profile: Profile, tmp_path: Path) -> None:
    write(tmp_path, "said = 'beside'\n", "beside.py")
    script = write(
        tmp_path,
        "import beside, os, sys\n"
        "main = sys.modules['__main__']\n"
        "print(sys.argv, __name__, __file__, __spec__, sys.path[0], os.getcwd(), beside.said)\n"
        "print(main.__dict__ is globals())\n",
    )
    for name in (script, "script.py"):
        asked = [name, "--json", "--cards", "-h", "x y", ""]
        alone, watched = run(*PYTHON, *asked, cwd=tmp_path), profile("--json", *asked)
        assert watched.code == 0
        assert watched.err == alone.out
        assert watched.document["arguments"] == asked[1:]
    assert not (tmp_path / "__pycache__" / "script.cpython-311.pyc").exists()


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("sys.exit()", 0), ("sys.exit(7)", 7), ("sys.exit('that was it')", 1), ("raise ValueError('bad')", 1),
        ("sys.exit(True)", 1), ("inner()", 1), ("raise KeyboardInterrupt", 130),
    ],
)  # fmt: skip
def test_its_end_is_passed_on(profile: Profile, tmp_path: Path, ending: str, code: int) -> None:
    script = write(tmp_path, f"import sys\ndef inner():\n    1 / 0\n{ending}\n")
    alone, watched = run(*PYTHON, script), profile("--json", script)
    assert watched.code == watched.document["exit_code"] == code
    assert_closed(watched.document)
    if ending != "raise KeyboardInterrupt":
        assert alone.code == code
        assert watched.err == alone.err


def test_an_end_in_training_keeps_what_came_before(profile: Profile, tmp_path: Path) -> None:
    ran = profile("--json", write(tmp_path, TINY + "raise ValueError('bad')\n"))
    assert ran.code == 1
    assert samples(ran.document)["learn.backward"] == 5
    assert ran.document["cards"] == []


def test_an_error_inside_a_watched_call_shows_only_their_frames(profile: Profile, tmp_path: Path) -> None:
    script = write(tmp_path, TINY + "net(torch.ones(8, 5))\n")
    ran = profile("--json", script)
    assert ran.code == 1
    assert "shapes cannot be multiplied" in ran.err
    assert "velodrome" not in ran.err.replace(str(ROOT), "")


def test_ctrl_c_prints_the_budget_so_far(tmp_path: Path) -> None:
    script = write(tmp_path, TINY.replace("range(5)", "range(10**9)") + "\n")
    script.write_text(script.read_text().replace("    loss.backward()", "    print('on', flush=True); loss.backward()"))
    process = subprocess.Popen(
        [*VELODROME, "profile", str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in out
    assert "backward" in out
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.py", "no such file"), ("folder", "folder is a directory"), ("folder.py", "is a directory"),
        ("broken.py", "broken.py:2 is no Python"), ("picture.png", "is no Python"), ("zeros.py", "is no Python"),
    ],
)  # fmt: skip
def test_what_is_no_script_is_one_line(profile: Profile, tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.py").mkdir()
    write(tmp_path, "print('ran')\ndef broken(:\n", "broken.py")
    (tmp_path / "picture.png").write_bytes(bytes(range(256)))
    (tmp_path / "zeros.py").write_bytes(b"print('ran')\0")
    ran = profile(name)
    assert ran.code == 2
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1
    assert ran.out == ""


def test_flags_of_ours_are_checked_before_anything_runs(profile: Profile, tmp_path: Path) -> None:
    script = write(tmp_path, "print('ran')\n")
    for flags, says in ([["--card", 1], "did you mean --cards?"], [["--cards", -1], "it takes 0 or more"]):
        ran = profile(*flags, script)
        assert (ran.code, ran.out) == (2, "")
        assert says in ran.err


def test_where_the_script_begins() -> None:
    assert script_at(["a.py", "--json"]) == 0
    assert script_at(["--trace", "x.json.gz", "--json", "a.py", "b.py"]) == 3
    assert script_at(["hearts", "--json"]) is None
    assert script_at(["path/own.py:recipe"]) is None
    assert script_at(["--help"]) is None
    assert without_script(["--json", "a.py", "--help"]) == ["--json"]
    assert without_script(["hearts", "--json"]) == ["hearts", "--json"]


def test_a_trace(profile: Profile, tmp_path: Path) -> None:
    script = write(tmp_path, TINY)
    ran = profile("--json", "--cards", 0, "--trace", "t.json.gz", script)
    assert ran.document["trace"] == "t.json.gz"
    assert (tmp_path / "t.json.gz").stat().st_size > 100


SPAWNING = """
import gymnasium, numpy as np
class Two(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}
    def step(self, action):
        return np.ones(1, np.float32), 1.0, True, False, {}
if __name__ == "__main__":
    for context in ("fork", "spawn", "forkserver"):
        envs = gymnasium.vector.AsyncVectorEnv([Two, Two], context=context)
        envs.reset()
        for _ in range(3):
            envs.step(np.zeros(2, np.int64))
        envs.close()
"""


def test_processes_that_the_script_starts(tmp_path: Path) -> None:
    ran = run(*VELODROME, "profile", "--json", write(tmp_path, SPAWNING))
    assert ran.code == 0, ran.err
    assert samples(ran.document)["collect.step"] == 9
    assert ran.document["counts"]["environment_steps"] == 18
    assert_closed(ran.document)
