"""What a soak makes of its samples: slopes with intervals, and what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

HOURS, SAMPLES = 2.0, 120


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    import soak

    return soak


def samples(**figures: Any) -> list[dict[str, Any]]:
    """A soak that went well but for these figures; functions of the hours, to which chance is added."""
    chance = np.random.default_rng(0)
    usual: dict[str, Any] = {
        "memory_mb": lambda t: 900.0, "decisions_per_s": lambda t: 5e4, "unaccounted": lambda t: 0.01,
        "checkpoints_mb": lambda t: 8.0, "device_mb": None, "apart": lambda t: 1e-12, "log_mb": lambda t: 12 * t,
    }  # fmt: skip
    rows = []
    for minute in range(1, SAMPLES + 1):
        hours = minute / 60
        row = {"session": 0 if minute < 70 else 1, "hours": hours, "iteration": 100 * minute, "processes": 3}
        for name, figure in (usual | figures).items():
            exact = name in ("log_mb", "apart")
            row[name] = figure and figure(hours) * (1.0 if exact else 1 + 0.002 * chance.standard_normal())
        rows.append(row)
    return rows


def test_a_steady_soak_passes(soak: ModuleType) -> None:
    slopes, wrong = soak.judged(samples(), HOURS)
    assert wrong == []
    memory = next(one for one in slopes if one["figure"] == "memory_mb")
    assert memory["interval"][0] < 0 < memory["interval"][1]
    assert memory["median"] == pytest.approx(900, rel=0.01)
    assert memory["samples"] < SAMPLES  # warming up counts for nothing


def test_growth_before_it_is_warm_counts_for_nothing(soak: ModuleType) -> None:
    assert soak.judged(samples(memory_mb=lambda t: 900 * min(1.0, 0.5 + 5 * t)), HOURS)[1] == []


def test_a_process_that_went_on_may_hold_another_amount(soak: ModuleType) -> None:
    assert soak.judged(samples(memory_mb=lambda t: 900 + 200 * (t > 70 / 60)), HOURS)[1] == []


def test_a_sample_of_a_process_that_ends_counts_for_nothing(soak: ModuleType) -> None:
    rows = samples()
    kept = soak.steady(rows, HOURS)
    rows[-1] |= {"processes": 1, "memory_mb": 300.0}
    assert soak.steady(rows, HOURS) == kept[:-1]


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"memory_mb": lambda t: 900 + 20 * t}, "memory_mb grows by 2."),
        ({"device_mb": lambda t: 900 + 20 * t}, "device_mb grows by 2."),
        ({"checkpoints_mb": lambda t: 8 + t}, "checkpoints_mb grows by"),
        ({"decisions_per_s": lambda t: 5e4 - 2e3 * t}, "speed falls by 4."),
        ({"unaccounted": lambda t: 0.08 if t > 1.9 else 0.01}, "leave 8.0% unaccounted"),
        ({"apart": lambda t: 1e-3}, "miss the wall clock by 0.001"),
        ({"log_mb": lambda t: 200 * t}, "logs grow by 200 MB in an hour"),
        ({"log_mb": lambda t: 10 * t * t}, "an iteration's lines grow"),
    ],
)
def test_what_is_wrong_is_said(soak: ModuleType, figures: dict[str, Any], said: str) -> None:
    _, wrong = soak.judged(samples(**figures), HOURS)
    assert len(wrong) == 1
    assert said in wrong[0]


def test_a_few_samples_are_no_verdict(soak: ModuleType) -> None:
    assert "let it last longer" in soak.judged(samples()[:15], HOURS)[1][0]


def test_a_tail_takes_whole_lines_once(soak: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"old": 1}\n')
    tail = soak.Tail(path)
    with path.open("a") as file:
        file.write('{"new": 2}\n{"ha')
    assert tail.lines() == [{"new": 2}]
    with path.open("a") as file:
        file.write('lf": 3}\n')
    assert tail.lines() == [{"half": 3}]
    path.write_text("")  # cut back
    assert tail.lines() == []
