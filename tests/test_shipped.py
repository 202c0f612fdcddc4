"""Agents that ship with the package: found by name, played at once, refused in one line where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

import velodrome
from small import small_flags
from velodrome.cli import main
from velodrome.learn.evaluate import evaluate
from velodrome.mistake import Mistake
from velodrome.recipes import RECIPES, find
from velodrome.recipes import shipped as rooms
from velodrome.recipes.restore import build
from velodrome.recipes.shipped import About, load, shipped, weights_of_play, write
from velodrome.runs.settings import settings_to_json

NAME = "spread-ippo"


def about(settings: Any, name: str = NAME) -> About:
    """As a training would tell it."""
    return About(name, settings_to_json(settings), 3, 10, 1.5, "2026-11-22", {"cores": 2}, {"score": 1.0})


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for agents with nothing in it."""
    monkeypatch.setattr(rooms, "AGENTS", tmp_path / "agents")
    return tmp_path / "agents"


@pytest.fixture
def made(agents: Path) -> Path:
    """An agent that somebody has trained."""
    settings = find(NAME).settings(games=4, lanes=1, widths=(8, 8))
    trainer = build(find(NAME), settings, 3, "cpu")
    with torch.no_grad():
        for weight in weights_of_play(trainer).values():
            weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(5))
    write(agents / f"{NAME}.safetensors", trainer, about(settings))
    return agents / f"{NAME}.safetensors"


def test_without_files_all_is_as_before(agents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [name for name in RECIPES if shipped(name)] == []
    assert shipped("some/file.py:own") is None
    with pytest.raises(Mistake, match=f"no agent of {NAME} ships with Velodrome; train one: velodrome train {NAME}"):
        load(NAME)
    assert main(["evaluate", NAME, *small_flags(NAME), "--episodes", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agent"] == "untrained"


def test_a_shipped_agent_is_found_and_plays(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent = shipped(NAME)
    assert agent is not None
    assert (agent.about.seed, agent.about.iterations, agent.settings.widths) == (3, 10, (8, 8))
    trainer: Any = velodrome.load(NAME)
    score = evaluate(trainer, trainer.game, episodes=4, greedy=True).score
    assert main(["evaluate", NAME, "--episodes", "4", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["agent"], document["score"]) == ("shipped", score)
    assert main(["evaluate", NAME, "--episodes", "4"]) == 0
    assert f"{NAME}, the agent that ships with Velodrome: " in capsys.readouterr().out
    assert main(["evaluate", NAME, "--episodes", "4", "--untrained", *small_flags(NAME), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agent"] == "untrained"


def test_it_plays_other_settings_that_fit_its_nets(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", NAME, "--episodes", "4", "--convention", "openai", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agent"] == "shipped"
    assert main(["evaluate", NAME, "--episodes", "4", "--widths", "16", "16"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("has other nets than these settings ask for; leave them out, or add --untrained")


def changed(path: Path, **changes: Any) -> None:
    with safe_open(path, "pt") as file:
        document = json.loads(file.metadata()["velodrome"]) | changes
    weights = safetensors.torch.load_file(path)
    safetensors.torch.save_file(weights, path, {"velodrome": json.dumps(document)})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"settings": {"widths": [8, 8], "legs": 4}}, "settings has no 'legs'"),
        ({"settings": {"widths": [8, 9]}}, "size mismatch"),
        ({"settings": {"widths": [8, 8, 8]}}, "is missing"),
        ({"seed": "three"}, "seed is 'three'; it takes a whole number"),
    ],
)
def test_one_that_no_longer_fits_is_refused_in_one_line(made: Path, changes: dict[str, Any], why: str) -> None:
    changed(made, **changes)
    with pytest.raises(Mistake, match="no longer fits its recipe") as refused:
        load(NAME)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_damaged_file_is_refused_in_one_line(made: Path) -> None:
    made.write_bytes(made.read_bytes()[:100])
    with pytest.raises(Mistake, match=f"python benchmarks/agents.py {NAME}"):
        shipped(NAME)


def test_half_precision_takes_half_of_the_room(made: Path, tmp_path: Path) -> None:
    agent = shipped(NAME)
    assert agent is not None
    write(tmp_path / f"{NAME}.safetensors", agent.trainer(), agent.about, half=True)
    whole, half = (safetensors.torch.load_file(path) for path in (made, tmp_path / f"{NAME}.safetensors"))
    sizes = [sum(one.nbytes for one in weights.values()) for weights in (whole, half)]
    assert sizes[0] == 2 * sizes[1]
    for name, weight in weights_of_play(agent.trainer()).items():
        torch.testing.assert_close(half[name].float(), weight, rtol=1e-3, atol=1e-6)


def test_files_in_the_package_fit_their_recipes() -> None:
    for path in rooms.AGENTS.glob("*.safetensors"):
        agent = shipped(path.stem)
        assert agent is not None
        agent.trainer()
