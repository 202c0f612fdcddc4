from __future__ import annotations

import json
from pathlib import Path

import pytest
from folders import bare_run, trained_run

from velodrome.meter.machine import Machine, Processor
from velodrome.mistake import Mistake
from velodrome.show import compare
from velodrome.show.compare import compare_nets, compare_runs, net

OWN = Path(__file__).parents[2] / "docs" / "examples" / "own_net.py"


@pytest.fixture
def nameless_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ceilings that need not be measured first."""
    processor = Processor("a processor", 8.0, {"fp32": 100.0, "fp32-medium": 100.0, "bf16": 100.0}, 10.0, 1.0)
    made = Machine(2, "none", {}, {1: processor, 2: processor}, None, 1.0, 50.0, 200.0, 0.0)
    monkeypatch.setattr(compare, "machine", lambda: made)
    monkeypatch.setattr("velodrome.meter.card.machine", lambda: made)


@pytest.mark.usefixtures("nameless_machine")
def test_nets_side_by_side_give_the_promised_document() -> None:
    found = compare_nets([f"{OWN}:narrow", f"{OWN}:wide"], batches=(1, 8))
    document = json.loads(json.dumps(found.document))
    assert document["batch"] == 8
    assert document["machine"]["cores"] == 2
    narrow, wide = document["models"]
    for model in (narrow, wide):
        assert {"name", "parameters", "components", "bytes", "flops", "dead_parameters"} <= model.keys()
        assert {"p50", "p95"} <= model["forward_us"].keys() & model["train_us"].keys()
        assert all({"name", "parameters", "flops", "forward_us"} <= part.keys() for part in model["components"])
    assert narrow["parameters"] == 64 * 32 + 32 + 32 * 8 + 8
    assert wide["flops"] == 2 * (64 * 256 + 256 * 8)
    assert document["in_turn"]["verdict"] in ("faster", "slower", "no difference", "inconclusive")
    assert "18,696" in found.text


@pytest.mark.usefixtures("nameless_machine")
def test_one_net_is_a_card() -> None:
    found = compare_nets([f"{OWN}:narrow"], batches=(2,))
    assert "in_turn" not in found.document
    assert "2,344 parameters" in found.text


def test_our_nets_go_by_name() -> None:
    module, inputs = net("hearts/compact")
    assert module(*inputs)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hearts/atention", "did you mean hearts/attention"),
        ("nowhere.py:net", "nowhere.py: no such file"),
        (f"{OWN}:missing", "has no function 'missing'"),
        (f"{Path(__file__)}:not_a_net", "returned int; it has to return"),
    ],
)
def test_wrong_names_are_told(name: str, says: str) -> None:
    with pytest.raises(Mistake, match=says):
        net(name)


def not_a_net() -> int:
    return 3


def test_runs_differ_where_they_do_and_nowhere_else(tmp_path: Path) -> None:
    first = trained_run(tmp_path / "first", iterations=60)
    second = trained_run(
        tmp_path / "second", iterations=60, seed=1, slower={"collect.step": 1.3, "learn.optimize": 0.5}
    )
    found = compare_runs(first, second)
    verdicts = {row["name"]: row["verdict"] for row in found.document["phases"]}
    assert verdicts.pop("collect.step") == "slower"
    assert verdicts.pop("learn.optimize") == "faster"
    verdicts.pop("unaccounted")  # a share of the whole in these invented runs
    assert set(verdicts.values()) <= {"no difference", "inconclusive"}
    assert found.document["iteration"]["verdict"] == "faster"
    assert found.document["differs"] == []
    assert "Same recipe, settings, seed and machine." in found.text
    assert "learn.optimize (faster, -" in found.text
    assert "\x1b" not in found.text


def test_whatever_else_differs_is_said(tmp_path: Path) -> None:
    first = trained_run(tmp_path / "first", iterations=20)
    second = trained_run(tmp_path / "second", iterations=20, settings={"games": 64}, machine={"cpu": "Another"})
    found = compare_runs(first, second)
    assert {"name": "games", "values": [1024, 64]} in found.document["differs"]
    assert {"name": "machine.cpu", "values": ["A processor of 2 cores", "Another"]} in found.document["differs"]
    assert "The runs differ in games (1024, 64)" in found.text


def test_a_run_beside_itself_is_no_different(tmp_path: Path) -> None:
    run = trained_run(tmp_path / "run", iterations=60)
    found = compare_runs(run, run).document
    assert {row["verdict"] for row in found["phases"]} <= {"no difference", "inconclusive"}
    assert found["iteration"]["ratio"] == 1


def test_warming_up_is_no_part_of_the_comparison(tmp_path: Path) -> None:
    first, second = (trained_run(tmp_path / name, iterations=40, seed=seed) for seed, name in enumerate(("a", "b")))
    lines = (second / "budget.jsonl").read_text().splitlines()
    slow = json.loads(lines[0])
    for row in [*slow["phases"], *slow["parents"]]:
        row["name"], row["seconds"] = f"warm-up.{row['name']}", row["seconds"] * 50
    slow["wall_s"] *= 50
    (second / "budget.jsonl").write_text("\n".join([json.dumps(slow), *lines[1:]]) + "\n")
    found = compare_runs(first, second).document
    assert found["runs"][1]["iterations"] == 39
    assert found["iteration"]["verdict"] == "no difference"


def test_a_phase_that_one_run_does_not_have_is_new_or_gone(tmp_path: Path) -> None:
    first, second = trained_run(tmp_path / "a", iterations=20), trained_run(tmp_path / "b", iterations=20, seed=1)
    text = (second / "budget.jsonl").read_text()
    (second / "budget.jsonl").write_text(text.replace('"name": "sync"', '"name": "communicate"'))
    verdicts = {row["name"]: row["verdict"] for row in compare_runs(first, second).document["phases"]}
    assert (verdicts["sync"], verdicts["communicate"]) == ("gone", "new")


def test_runs_too_short_to_compare_say_so(tmp_path: Path) -> None:
    long, short = trained_run(tmp_path / "long"), trained_run(tmp_path / "short", iterations=3)
    with pytest.raises(Mistake, match="short has 3 iterations after its warm-up; a comparison needs 5"):
        compare_runs(long, short)
    with pytest.raises(Mistake, match="is no run"):
        compare_runs(long, tmp_path / "nothing")
    with pytest.raises(Mistake, match="bare has 0 iterations"):
        compare_runs(bare_run(tmp_path / "bare"), long)
