"""Policies as ONNX: every recipe's file plays as its net does and tells what it is; none is there unchecked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from small import small, small_flags
from velodrome.cli import main
from velodrome.edge import export as room
from velodrome.edge.export import Check, Decision, Exported, write
from velodrome.learn.policy import Majority, NetPolicy
from velodrome.mistake import Mistake
from velodrome.nets.team import Channel
from velodrome.proof.changes import patched
from velodrome.proof.processes import Setup
from velodrome.recipes import RECIPES, find, shipped
from velodrome.recipes.restore import build
from velodrome.recipes.shipped import About
from velodrome.runs.settings import settings_from_json, settings_to_json

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

AT_ONCE = {"hearts", "platoon-neurcomm", "skirmish-qmix", "tag-maddpg"}
"""Packed bits, a team that talks, agents that remember what they did, a net for each seat; the others take long."""
VARIANTS: dict[str, dict[str, Any]] = {"skirmish-qmix": {"recurrent": True}}
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("navigation-tom2c", {"minds.rounds": 2}),
    ("platoon-neurcomm", {"method": "dial", "vehicles": 3}),
    ("platoon-neurcomm", {"method": "commnet", "form": "plain", "vehicles": 2}),
    ("ppo", {"game": "hearts"}),
    ("skirmish-madt", {"tokens": "rtgs_state_action", "context": 3}),
]


def made(name: str, **changes: Any) -> tuple[Any, Any]:
    """A trainer whose nets are not as even as new ones, and its settings."""
    recipe = find(name)
    setup = Setup(name, settings_to_json(small(recipe.settings())), None, "cpu")
    settings = settings_from_json(recipe.settings, patched(setup, changes).settings)
    trainer = build(recipe, settings, 0, "cpu")
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for net in trainer.nets.values():
            for parameter in net.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=chance)
    return trainer, settings


def exported(path: Path, name: str, **changes: Any) -> Exported:
    trainer, settings = made(name, **changes)
    return write(trainer, path, {"recipe": name, "settings": settings_to_json(settings), "iteration": 0})


def cases() -> list[Any]:
    every = [(name, VARIANTS.get(name, {})) for name in RECIPES] + OTHERS
    return [
        pytest.param(
            name,
            changes,
            marks=[] if name in AT_ONCE and (name, changes) not in OTHERS else pytest.mark.long,
            id="-".join([name, *map(str, changes.values())]),
        )
        for name, changes in every
    ]


@pytest.mark.parametrize(("name", "changes"), cases())
def test_the_file_plays_as_the_net(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    found = exported(tmp_path / "policy.onnx", name, **changes)
    assert found.path.stat().st_size == found.bytes
    assert found.decisions >= 100
    assert found.furthest <= 1e-4
    assert found.ties <= 0.01 * found.decisions
    told = {one.key: one.value for one in onnx.load(found.path).metadata_props}
    assert (told["velodrome.recipe"], told["velodrome.game"]) == (name, found.game)
    assert len(told["velodrome.settings_digest"]) == 64
    session = onnxruntime.InferenceSession(found.path)
    for kind, there in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        described = json.loads(told[f"velodrome.{kind}"])
        assert {one.name: one.shape[1:] for one in there} == {one: described[one]["shape"] for one in described}
    began = {name: one for name, one in found.inputs.items() if name.startswith("memory.")}
    assert {f"next.{name.removeprefix('memory.')}" for name in began} <= found.outputs.keys()
    alone = {one.name: np.zeros([1, *one.shape[1:]], found.inputs[one.name]["dtype"]) for one in session.get_inputs()}
    assert all(len(part) == 1 for part in session.run(None, alone))


def test_export_a_run_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, flags = tmp_path / "run", [*small_flags("spread-ippo"), "--lanes", "1"]
    assert main(["train", "spread-ippo", *flags, "--iterations", "1", "--run", str(run)]) == 0
    capsys.readouterr()
    assert main(["export", str(run), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["path"] == str(run / "policy.onnx")
    assert document["inputs"] == {"seen": {"dtype": "float32", "shape": [18]}}
    assert document["outputs"]["push.logits"] == {"dtype": "float32", "shape": [5]}
    assert main(["export", str(run), "--out", str(tmp_path / "own.onnx")]) == 0
    assert (tmp_path / "own.onnx").read_bytes() == (run / "policy.onnx").read_bytes()
    assert "chose as the net did" in capsys.readouterr().out
    assert main(["export", str(run), "--out", str(run / "config.json")]) == 2
    assert "the file's name has to end in .onnx" in capsys.readouterr().err
    assert json.loads((run / "config.json").read_text())["recipe"] == "spread-ippo"


def test_export_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("velodrome.recipes.shipped.AGENTS", tmp_path)
    trainer, settings = made("spread-ippo")
    told = About("spread-ippo", settings_to_json(settings), 0, 7, 1.0, "2026-11-22", {}, {})
    shipped.write(tmp_path / "spread-ippo.safetensors", trainer, told)
    assert main(["export", "spread-ippo", "--out", str(tmp_path / "own.onnx"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "spread-ippo"
    metadata = {one.key: one.value for one in onnx.load(tmp_path / "own.onnx").metadata_props}
    assert metadata["velodrome.iteration"] == "7"


def test_a_file_that_plays_otherwise_gets_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decided = Decision.decided

    def forward(self: Decision, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = decided(self, dict(zip(self.inputs, inputs, strict=True)))
        return tuple(part + 0.001 if part.is_floating_point() else part for part in found.values())

    monkeypatch.setattr(Decision, "forward", forward)
    with pytest.raises(Mistake, match="away from the policy's; nothing was written"):
        exported(tmp_path / "policy.onnx", "spread-ippo")
    assert list(tmp_path.iterdir()) == []


def test_other_choices_count_as_ties_only_where_logits_are_equal() -> None:
    check, done, found = Check(), torch.tensor([0, 0]), torch.tensor([0, 1])
    check._choices("card", found, done, torch.tensor([[1.0, 0.0], [1.0, 1.0 - 1e-6]]))
    assert check.ties == 1
    with pytest.raises(Mistake, match="chooses another card"):
        check._choices("card", found, done, torch.tensor([[1.0, 0.0], [1.0, 0.9]]))
    with pytest.raises(Mistake, match="chooses another keys"):
        check._choices("keys", torch.tensor([[1, 0]]), torch.tensor([[0, 0]]), torch.tensor([[-0.5, -0.5]]))


def test_what_cannot_be_exported_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Mistake, match="get lost by chance"):
        exported(tmp_path / "policy.onnx", "coverage-tom2c", **{"minds.channel": settings_to_json(Channel(lost=0.3))})
    trainer, _ = made("spread-ippo")
    own = trainer.policy(greedy=True)
    assert isinstance(own, NetPolicy)
    monkeypatch.setattr(trainer, "policy", lambda greedy: Majority(own, own, 3))
    with pytest.raises(Mistake, match="Majority: policies of this kind have no ONNX file"):
        write(trainer, tmp_path / "policy.onnx", {})


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(room, "NEEDED", ("json", "no_such_package"))
    assert main(["export", "runs/none"]) == 2
    assert capsys.readouterr().err == "velodrome: export needs no_such_package: pip install 'velodrome[onnx]'\n"


def test_bad_names_are_mistakes(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> None:
    assert main(["export", "heartz"]) == 2
    assert "did you mean hearts?" in capsys.readouterr().err
    monkeypatch.setattr("velodrome.recipes.shipped.AGENTS", tmp_path)
    assert main(["export", "hearts"]) == 2
    assert "no agent of hearts ships with Velodrome; train one" in capsys.readouterr().err
