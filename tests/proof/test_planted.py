"""The planted recipes build, play and learn, and each differs from the clean one in the planted setting alone."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from velodrome.learn.evaluate import evaluate
from velodrome.meter.budget import PHASES
from velodrome.meter.clock import Clock
from velodrome.proof.changes import Change
from velodrome.proof.guard import TOLERANCE
from velodrome.proof.knobs import kind_of, values
from velodrome.proof.tune import Verdict
from velodrome.recipes import find
from velodrome.runs.checkpoint import digest, weights_of
from velodrome.runs.settings import differences, settings_to_json

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))
from planted.recipes import CLEAN, PLANTED, clean_name, name_of, planted, replaced  # noqa: E402
from planted.trainer import Learner, Settings  # noqa: E402
from planted_causes import CAUSES, judged, setup_of  # noqa: E402

RECIPES = [clean_name(kind) for kind in CLEAN] + [name_of(cause) for cause in PLANTED]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def small(settings: Settings) -> Settings:
    """One game from start to end at few tables, learnt from in one minibatch or two."""
    games, minibatch = min(settings.games, 4), 64 if settings.minibatch < 256 else 128
    process = dataclasses.replace(settings.process, threads=1)
    some = {"samples": games * 128, "epochs": min(settings.epochs, 2), "shuffles": min(settings.shuffles, 3)}
    return dataclasses.replace(settings, games=games, minibatch=minibatch, process=process, **some)


def iterated(settings: Settings, seed: int = 0, times: int = 2) -> tuple[Learner, list[dict[str, float]]]:
    learner, clock = Learner(settings, seed), Clock(enabled=False)
    return learner, [learner.iterate(clock).metrics for _ in range(times)]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_and_says_the_same_again(name: str) -> None:
    recipe = find(f"{BENCHMARKS / 'planted' / 'recipes.py'}:{name}")
    first, told = iterated(small(recipe.settings()))
    again, repeated = iterated(small(recipe.settings()))
    assert told == repeated
    assert all(math.isfinite(value) for row in told for value in row.values())
    assert digest(weights_of(first.nets)) == digest(weights_of(again.nets))
    assert isinstance(recipe.build(recipe.settings(), 0, "cpu"), Learner)


@pytest.mark.parametrize("cause", PLANTED)
def test_one_default_is_planted_and_it_can_be_mended(cause: str) -> None:
    plant = PLANTED[cause]
    default = find(f"{BENCHMARKS / 'planted' / 'recipes.py'}:{name_of(cause)}").settings()
    clean = CLEAN[plant.kind]
    apart = differences(settings_to_json(clean), settings_to_json(default))
    assert [(name, value) for name, _, value in apart] == [(plant.setting, plant.value)]
    tried = {name: others for name, _, others in values(default)}
    assert plant.good in tried[plant.setting]


@pytest.mark.parametrize("cause", [cause for cause, plant in PLANTED.items() if kind_of([plant.setting]) == "exact"])
def test_an_exact_change_leaves_the_weights(cause: str) -> None:
    bad = small(planted(cause))
    good = replaced(bad, PLANTED[cause].setting, PLANTED[cause].good)
    (first, told), (second, other) = iterated(bad), iterated(good)
    assert digest(weights_of(first.nets)) == digest(weights_of(second.nets))
    assert other == [pytest.approx(row, rel=1e-5) for row in told]


@pytest.mark.parametrize("cause", [cause for cause, plant in PLANTED.items() if kind_of([plant.setting]) == "numeric"])
def test_a_numeric_change_only_rounds(cause: str) -> None:
    bad = dataclasses.replace(planted(cause), samples=2048)
    bad = bad if bad.net.precision == "bfloat16" or cause == "precision" else small(bad)
    bad = replaced(bad, "process.threads", min(planted(cause).process.threads, 2))
    _, told = iterated(bad, times=1)
    _, other = iterated(replaced(bad, PLANTED[cause].setting, PLANTED[cause].good), times=1)
    assert other[0] == pytest.approx(told[0], rel=TOLERANCE)


def test_a_dead_branch_changes_nothing_else() -> None:
    bad, good = small(planted("dead")), small(CLEAN[PLANTED["dead"].kind])
    (first, told), (second, other) = iterated(bad), iterated(good)
    assert other == [pytest.approx(row, rel=1e-4) for row in told]
    assert set(second.net.state_dict()) < set(first.net.state_dict())


@pytest.mark.parametrize("kind", CLEAN)
def test_spans_have_the_names_of_phases(kind: str) -> None:
    clock = Clock()
    Learner(small(CLEAN[kind]), 0).iterate(clock)
    named = {phase["name"] for phase in clock.budget().to_json()["phases"]}
    assert {"collect.infer", "collect.step", "learn.sample", "learn.forward", "learn.backward"} <= named <= set(PHASES)


def test_it_learns() -> None:
    learner, clock = Learner(CLEAN[""], 0), Clock(enabled=False)
    before = evaluate(learner, learner.game, episodes=20, greedy=True).score
    for _ in range(6):
        learner.iterate(clock)
    assert evaluate(learner, learner.game, episodes=20, greedy=True).score > before + 0.1


def test_it_goes_on_where_it_stopped() -> None:
    settings = small(CLEAN[""])
    straight, _ = iterated(settings, times=3)
    first, _ = iterated(settings)
    second = Learner(settings, 5)
    second.load(first.state())
    second.iterate(Clock(enabled=False))
    assert digest(weights_of(second.nets)) == digest(weights_of(straight.nets))


def test_workers_do_what_one_would() -> None:
    settings: Any = small(CLEAN["crew"])
    (first, _), (second, _) = iterated(settings), iterated(dataclasses.replace(settings, workers=1))
    assert digest(weights_of(first.nets)) == digest(weights_of(second.nets))


def test_what_counts_as_found() -> None:
    def verdict(name: str, value: Any, outcome: Any) -> Verdict:
        return Verdict(Change(name, {name: value}, {name: None}, "numeric"), outcome, "")

    named = ["sparse input", "idle cores"]
    kept = [verdict("net.input", "indices", "kept"), verdict("games", 32, "kept"), verdict("fused", True, "rejected")]
    row = judged("planted-input", "input", named, kept)
    assert row["found"]
    assert row["others"] == [{"patch": {"games": 32}}]
    assert not judged("planted-input", "input", ["idle cores"], kept)["found"]
    assert not judged("planted-input", "input", named, kept[1:])["found"]
    assert judged("planted-clean", None, named, kept[1:])["found"] is None
    assert set(CAUSES) == set(PLANTED)
    assert settings_to_json(CLEAN["map"]) == setup_of("planted-clean-map").settings
