"""Other libraries' trainers under observation: the real library in an environment of its own, made if it is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PEERS, TRAINERS = ROOT / "benchmarks" / "peers", ROOT / "benchmarks" / "trainers"

pytestmark = pytest.mark.long


def python_of(peer: str) -> Path:
    python = PEERS / peer / ".venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, str(PEERS / "make.py"), peer], check=True)
    return python


def run(peer: str, folder: Path, *arguments: Any) -> str:
    ran = subprocess.run(
        [str(python_of(peer)), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


def profile(peer: str, folder: Path, *arguments: Any) -> dict[str, Any]:
    asked = ["-m", "velodrome", "profile", "--json", *arguments]
    made: dict[str, Any] = json.loads(run(peer, folder, *asked))
    accounted = sum(phase["seconds"] for phase in made["phases"]) + made["unaccounted_s"]
    assert accounted == pytest.approx(made["wall_s"])
    assert made["exit_code"] == 0
    return made


def observe(peer: str, folder: Path, code: str) -> dict[str, Any]:
    """The document of what `code` leaves in `watched`, whose text comes before it."""
    path = folder / "observing.py"
    path.write_text(f"{code}\nimport json\nprint(watched)\nprint(json.dumps(watched.to_json(), default=float))\n")
    out = run(peer, folder, path)
    assert "unaccounted" in out
    assert " parameters, " in out
    made: dict[str, Any] = json.loads(out.splitlines()[-1])
    return made


def samples(document: dict[str, Any]) -> dict[str, int]:
    return {phase["name"]: phase["samples"] for phase in document["phases"]}


def test_stable_baselines3_in_two_lines(tmp_path: Path) -> None:
    made = observe(
        "sb3",
        tmp_path,
        "import torch, velodrome as vd\n"
        "from stable_baselines3 import PPO\n"
        "torch.set_num_threads(1)\n"
        "model = PPO('MlpPolicy', 'CartPole-v1', n_steps=256, n_epochs=3, device='cpu', seed=0)\n"
        "watched = vd.observe(model, causes=False)\n"
        "model.learn(512)",
    )
    updates = 2 * 3 * 256 // 64
    counted = samples(made)
    assert counted["collect.infer"] == counted["collect.step"] == counted["collect.encode"] == 512
    assert counted["learn.backward"] == counted["learn.optimize"] == counted["learn.sample"] == updates
    assert counted["learn.forward"] == updates + 2
    assert made["counts"] == {"environment_steps": 512, "optimizer_steps": updates}
    assert [card["name"] for card in made["cards"]] == ["ActorCriticPolicy"]
    assert made["unaccounted"] < 0.25


def test_stable_baselines3_off_policy(tmp_path: Path) -> None:
    made = observe(
        "sb3",
        tmp_path,
        "import velodrome as vd\n"
        "from stable_baselines3 import DQN\n"
        "model = DQN('MlpPolicy', 'CartPole-v1', learning_starts=100, train_freq=4, device='cpu', seed=0)\n"
        "watched = vd.observe(model, causes=False)\n"
        "model.learn(400)",
    )
    counted = samples(made)
    assert counted["collect.step"] == 400
    assert counted["learn.backward"] == counted["learn.optimize"] == counted["learn.sample"] == 75
    assert counted["learn.forward"] == 150


def test_stable_baselines3_with_environments_in_other_processes(tmp_path: Path) -> None:
    made = observe(
        "sb3",
        tmp_path,
        "import velodrome as vd\n"
        "from stable_baselines3 import A2C\n"
        "from stable_baselines3.common.env_util import make_vec_env\n"
        "from stable_baselines3.common.vec_env import SubprocVecEnv\n"
        "how = {'vec_env_cls': SubprocVecEnv, 'vec_env_kwargs': {'start_method': 'fork'}}\n"
        "model = A2C('MlpPolicy', make_vec_env('CartPole-v1', 2, **how), device='cpu')\n"
        "watched = vd.observe(model, causes=False)\n"
        "model.learn(40)\n"
        "model.env.close()",
    )
    assert samples(made)["collect.step"] == 20
    assert made["counts"]["environment_steps"] == 40
    assert "play in other processes" in made["notes"][0]


def test_stable_baselines3_as_a_script(tmp_path: Path) -> None:
    made = profile("sb3", tmp_path, TRAINERS / "sb3.py", "--steps", 9000)
    assert made["counts"] == {"environment_steps": 9 * 1024, "optimizer_steps": 9 * 160}
    assert samples(made)["causes"] == 2
    assert "optimizer not fused" in [cause["name"] for cause in made["causes"]]
    places = [where["file"] for cause in made["causes"] for where in cause["where"]]
    assert any(place.startswith("stable_baselines3/") for place in places)


RLLIB = (
    "import logging, ray, torch, velodrome as vd\n"
    "from ray.rllib.algorithms.ppo import PPOConfig\n"
    "ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)\n"
    "config = PPOConfig().environment('CartPole-v1').env_runners(num_env_runners=RUNNERS)\n"
    "config = config.training(train_batch_size_per_learner=256, minibatch_size=64, num_epochs=2)\n"
    "algorithm = config.build_algo()\n"
    "watched = vd.observe(algorithm, causes=False)\n"
    "algorithm.train()\n"
    "watched.close()\n"
    "algorithm.stop(); ray.shutdown()"
)


def test_rllib_in_two_lines(tmp_path: Path) -> None:
    made = observe("rllib", tmp_path, RLLIB.replace("RUNNERS", "0"))
    counted = samples(made)
    assert counted["collect.step"] == made["counts"]["environment_steps"] >= 256
    assert counted["collect.infer"] == counted["collect.step"]
    assert counted["learn.backward"] == counted["learn.optimize"] >= 8
    assert sum(card["parameters"] for card in made["cards"]) > 100_000
    assert made["notes"] == []


def test_what_rllib_does_elsewhere_is_said(tmp_path: Path) -> None:
    made = observe("rllib", tmp_path, RLLIB.replace("RUNNERS", "1"))
    assert "collect.step" not in samples(made)
    assert samples(made)["learn.backward"] >= 8
    assert "1 env runner works in a process of its own" in made["notes"][0]


def test_torchrl(tmp_path: Path) -> None:
    made = profile("torchrl", tmp_path, "--no-causes", TRAINERS / "torchrl_ppo.py", "--batches", 2, "--batch", 256)
    counted = samples(made)
    updates = 2 * 4 * 256 // 64
    assert counted["collect.step"] == made["counts"]["environment_steps"] == 512
    assert 512 <= counted["collect.infer"] <= 513
    assert counted["learn.backward"] == counted["learn.optimize"] == updates
    assert counted["learn.forward"] == updates + 2 * 4
    assert {parent["name"]: parent["samples"] for parent in made["parents"]} == {"collect": 2, "learn": 2}
    assert made["cards"]
    assert made["unaccounted"] < 0.2


def test_torchrl_in_two_lines(tmp_path: Path) -> None:
    script = (TRAINERS / "torchrl_ppo.py").read_text()
    head, loop = script.split("    for data in collector:\n")
    body = loop.split("    collector.shutdown()")[0]
    code = f"{head}    watched = vd.observe(collector, loss_module, optimizer, causes=False)\n"
    code += f"    for data in collector:\n{body}    collector.shutdown()\n    return watched\n"
    code = code.replace("import argparse", "import argparse\nimport sys\nimport velodrome as vd")
    code = code.replace(") -> None:\n    parser", "):\n    parser")
    made = observe(
        "torchrl", tmp_path, f"{code}\nsys.argv[1:] = ['--batches', '2', '--batch', '256']\nwatched = main()\n"
    )
    assert samples(made)["learn.backward"] == 2 * 4 * 256 // 64
    assert made["counts"]["environment_steps"] == 512
