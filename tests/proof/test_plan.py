"""The plan for many workers: from made-up measurements to what holds them up, and from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from small import small_flags
from velodrome.cli import MISTAKEN, main
from velodrome.learn.trainer import Counts
from velodrome.meter.budget import Budget
from velodrome.proof.plan import Network, plan, slowest
from velodrome.proof.processes import Setup
from velodrome.proof.scale import Point, Taken, setup_at
from velodrome.recipes import find
from velodrome.runs.settings import settings_to_json

AT_ONCE = Network(0.0, float("inf"))
TOLD = {"steps": 10.0, "numbers": 1e6, "exchanges": 5.0}


def point(workers: int, seconds: Sequence[float], iterations: int = 1) -> Point:
    budgets = [Budget(round(iterations * each * 1e9)) for each in seconds]
    taken = Taken(budgets, [Counts(1, 1, 1)] * len(budgets), iterations, [0.001], told=TOLD)
    return Point(workers, [taken] * 3)


def test_work_that_divides_makes_workers_as_many_times_as_fast() -> None:
    found = plan([point(n, [1 / n] * 5) for n in (1, 2, 4, 8)], AT_ONCE)
    assert [row.speedup for row in found.rows] == pytest.approx([1, 2, 4, 8])
    assert [row.efficiency for row in found.rows] == pytest.approx([1, 1, 1, 1])
    assert (found.enough.workers, found.why) == (8, None)


def test_work_that_does_not_divide_ends_it() -> None:
    found = plan([point(n, [0.5 + 0.5 / n] * 5) for n in (1, 2, 4, 8, 16, 32)], AT_ONCE)
    assert found.rows[-1].speedup == pytest.approx(1 / (0.5 + 0.5 / 32))
    assert (found.enough.workers, found.why) == (8, "remains")


def test_the_network_ends_it() -> None:
    network = Network(1e-3, 1e9)
    found = plan([point(n, [1 / n] * 5) for n in (1, 2, 4, 8, 16)], network)
    assert found.rows[0].sync_s == 0
    assert found.rows[1].sync_s == pytest.approx((5 + 3 * 10) * 1e-3 + 1e6 * 4 / 1e9)
    assert found.rows[3].sync_s == pytest.approx(7 * (5 + 3 * 10) * 1e-3 + 2 * 7 / 8 * 1e6 * 4 / 1e9)
    assert (found.enough.workers, found.why) == (4, "sync")


def test_waiting_ends_it() -> None:
    found = plan([point(n, np.array([0.2, 1.8, 0.2, 1.8, 1.0]) / n) for n in (1, 2, 4)], AT_ONCE)
    assert found.rows[0].wait_s == 0
    assert found.rows[1].wait_s == pytest.approx(slowest(2) * np.std([0.1, 0.9, 0.1, 0.9, 0.5], ddof=1))


def test_turns_of_several_iterations_vary_less() -> None:
    one, four = (plan([point(n, [0.9, 1.1, 1.0], k) for n in (1, 2)], AT_ONCE).rows[1].wait_s for k in (1, 4))
    assert four == pytest.approx(2 * one)


@pytest.mark.parametrize("workers", [1, 2, 8, 64])
def test_the_slowest_of_many(workers: int) -> None:
    drawn = np.random.default_rng(0).standard_normal((20_000, workers)).max(1).mean()
    assert slowest(workers) == pytest.approx(drawn, abs=0.03)


def test_a_worker_has_its_share() -> None:
    recipe = find("hearts")
    setup = setup_at(recipe, Setup("hearts", settings_to_json(recipe.settings())), "workers", 4)
    assert (setup.settings["games"], setup.settings["ppo"]["minibatch"]) == (256, 512)


def test_the_verb_plans(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, less in (("PROCESSES", 1), ("FEWEST_TURNS", 2), ("DECISIONS", 2)):
        monkeypatch.setattr(f"velodrome.proof.scale.{name}", less)
    sizes = ["--over", "workers", "--values", "1", "2", "4", "8", "16", "--budget", "1s", "--network-us", "100"]
    small = [*small_flags("spread-ippo"), "--games", "16", "--lanes", "1"]
    assert main(["scale", "spread-ippo", *sizes, *small, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = document["plan"]["rows"]
    assert [row["workers"] for row in rows] == [1, 2, 4, 8, 16]
    assert rows[0]["sync_s"] == 0 < rows[1]["sync_s"] < rows[4]["sync_s"]
    assert document["plan"]["enough"] in (1, 2, 4, 8, 16)
    assert main(["scale", "spread-ippo", *sizes, "--values", "2", "4", "8", "16", "32"]) == MISTAKEN
    assert "a plan for workers begins with 1" in capsys.readouterr().err
    assert main(["scale", "spread-ippo", *sizes, "--games", "24"]) == MISTAKEN
    assert "games 24 cannot be shared out among 16 workers" in capsys.readouterr().err
