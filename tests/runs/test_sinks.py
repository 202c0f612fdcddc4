"""TensorBoard and Weights & Biases: only when asked for, and with the right figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from small import TOY
from velodrome.cli import main
from velodrome.mistake import Mistake
from velodrome.show.sinks import refuse_missing_sinks


def train(folder: Path, iterations: int, *flags: str) -> None:
    command = ["train", TOY, "--games", "2", "--run", str(folder), "--resume", "--iterations", str(iterations)]
    assert main([*command, *flags]) == 0


def test_event_files_hold_the_metrics(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tmp_path, 2, "--tensorboard", "--evaluate-every", "1e-9", "--episodes", "2", "--against", "random")
    train(tmp_path, 3, "--tensorboard")
    read = events.EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    losses = {event.step: event.value for event in read.Scalars("training/loss")}
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert losses == pytest.approx({line["iteration"]: line["loss"] for line in written})
    assert [event.step for event in read.Scalars("evaluation/random")] == [1, 2]
    assert "share/learn.forward" in read.Tags()["scalars"]


def test_weights_and_biases_gets_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    def init(**options: Any) -> SimpleNamespace:
        sent.append(options)
        return SimpleNamespace(
            log=lambda figures, step: sent.append((step, figures)), finish=lambda: sent.append("end")
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, __spec__=SimpleNamespace()))
    train(tmp_path, 2, "--wandb")
    begun, first, second, ended = sent
    assert begun["config"]["recipe"] == TOY
    assert (first[0], second[0], ended) == (1, 2, "end")
    assert first[1]["training/loss"] > 0


def test_nothing_is_imported_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wandb", "tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it would now raise
    train(tmp_path, 1)
    assert not (tmp_path / "tensorboard").exists()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("velodrome.show.sinks.find_spec", lambda name: None)
    with pytest.raises(
        Mistake, match=r'--wandb needs a package that is not installed; pip install "velodrome\[wandb\]"'
    ):
        refuse_missing_sinks(tensorboard=False, wandb=True)
