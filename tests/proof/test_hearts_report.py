"""How the advice of the report on Hearts is judged, once it was tried."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from hearts_report import ADVICE, BASELINE, judged, rounds


def skills(points: dict[str, list[float]]) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "random": 14.0, "better": "lower", name: {"score": score}}
        for name, scores in points.items()
        for seed, score in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("points", "verdict"),
    [([9.9, 9.5, 9.7], "kept"), ([12, 12.1, 12.2], "rejected"), ([9, 14, 10], "faster, skill unproven")],
)
def test_an_advice_is_kept_if_it_learns_no_worse(points: list[float], verdict: str) -> None:
    trained = skills({BASELINE: [10.0, 9.9, 10.1], "6 epochs (2)": points})
    row = {"advice": "6 epochs (2)", "verdict": "faster, skill unproven"}
    found = judged(row, trained, 240)
    assert found["verdict"] == verdict
    assert [scores["b"]["score"] for scores in found["guard"]["scores"]] == points
    assert judged(row | {"verdict": "rejected"}, trained, 240)["verdict"] == "rejected"


def test_what_takes_several_cores_trains_alone() -> None:
    found = rounds([BASELINE, *ADVICE])
    assert sorted(name for names in found for name in names) == sorted([BASELINE, *ADVICE])
    assert ["all of option 1"] in found
    assert max(len(names) for names in found) == 2
