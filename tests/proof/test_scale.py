"""Scaling: what the points say of communication and throughput, and what the verb measures and refuses."""

import json
from typing import Any

import pytest

import velodrome.proof.scale
from velodrome.cli import MISTAKEN, main
from velodrome.learn.trainer import Counts
from velodrome.meter.budget import Budget, Spent
from velodrome.proof.changes import patched
from velodrome.proof.processes import Setup
from velodrome.proof.scale import Point, Scaling, Taken, measure, setup_at
from velodrome.recipes import find
from velodrome.runs.settings import settings_to_json

MS = 1_000_000


def budget(**phases: int) -> Budget:
    """Milliseconds by phase, `collect_infer` for collect.infer, and as many for the whole as these add up to."""
    spans = {name.replace("_", ".", 1): Spent(ms * MS, 1) for name, ms in phases.items()}
    for parent in ("collect", "learn"):
        spans[parent] = Spent(sum(spent.ns for name, spent in spans.items() if name.startswith(f"{parent}.")))
    return Budget(sum(phases.values()) * MS, spans)


def point(value: int = 2, scale: int = 1, decision_ms: float = 1.0, talk: bool = True, **more: Any) -> Point:
    talking = {"collect_communicate": 10 * talk, "collect_comprehend": 20 * talk, "learn_communicate": 15 * talk}
    turn = budget(**{name: ms * scale for name, ms in ({"collect_infer": 30, "learn_backward": 125} | talking).items()})
    taken = Taken([turn] * 5, [Counts(100, 200, 400)] * 5, 2, [decision_ms / 1e3] * 10, **more)
    return Point(value, [taken] * 3)


def test_shares_by_scope_and_part() -> None:
    one = point()
    assert one.share("narrow") == pytest.approx(25 / 200)
    assert one.share("broad") == pytest.approx(45 / 200)
    assert one.share("narrow", "collect") == pytest.approx(10 / 60)
    assert one.share("broad", "collect") == pytest.approx(30 / 60)
    assert one.share("broad", "learn") == pytest.approx(15 / 140)
    assert point(talk=False).share("broad") == 0


def test_what_is_gone_without_communication() -> None:
    one = point(silent=point(talk=False).taken[0].budgets)
    gone, of_collecting = one.ablated(), one.ablated("collect")
    assert gone is not None
    assert of_collecting is not None
    assert gone.ratio == pytest.approx(45 / 200)
    assert of_collecting.ratio == pytest.approx(30 / 60)
    assert gone.interval[0] <= gone.ratio <= gone.interval[1]
    assert point().ablated() is None


def test_rates_count_all_iterations_of_a_turn() -> None:
    rates = point().rates()
    assert rates["iterations_per_s"] == pytest.approx(2 / 0.2)
    assert rates["decisions_per_s"] == pytest.approx(200 / 0.2)


def test_laws_of_an_iteration() -> None:
    found = Scaling("agents", [point(n, n * n) for n in (2, 3, 4, 6, 8)])
    assert found.laws()["iteration"].k == pytest.approx(2, abs=0.05)
    assert found.growths()["update"][0] == pytest.approx(4)


def test_the_best_size_within_a_latency() -> None:
    found = Scaling("games", [point(n, slow, decision_ms=n) for n, slow in ((1, 8), (2, 4), (4, 2), (8, 2), (16, 2))])
    assert [each.value for each in found.within(4)] == [1, 2, 4]
    assert max(found.within(4), key=lambda each: each.rates()["decisions_per_s"]).value == 4
    assert [each.value for each in found.within(20, update_ms=200)] == [4, 8, 16]
    assert found.within(0.5) == []
    bend = found.bend()
    assert bend is not None
    assert bend.value == 4


def test_sizes_are_settings() -> None:
    recipe = find("spread-maddpg")
    setup = Setup(recipe.name, {"agents": 3, "games": 25})
    assert setup_at(recipe, setup, "agents", 6).settings["agents"] == 6
    assert setup_at(recipe, setup, "games", 8).settings["games"] == 8
    assert setup_at(recipe, setup, "threads", 2).threads == 2
    assert setup_at(find("hearts"), Setup("hearts", {"lanes": 2}), "threads", 1).settings["lanes"] == 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured as little as can be."""
    for name, less in (("PROCESSES", 1), ("FEWEST_TURNS", 2), ("DECISIONS", 10)):
        monkeypatch.setattr(velodrome.proof.scale, name, less)


def scale(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["scale", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.usefixtures("quick")
def test_the_verb_measures(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--maddpg.warm-up", "1", "--maddpg.batch", "32", "--maddpg.memory", "1000", "--games", "4"]
    sizes = ["--values", "5", "1", "2", "3", "4", "--predict", "6", "--latency-ms", "1000", "--budget", "1s"]
    code, out, err = scale(capsys, "spread-maddpg", *small, *sizes, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert [each["value"] for each in document["points"]] == [1, 2, 3, 4, 5]
    for each in document["points"]:
        assert each["budget"]["unaccounted_share"] < 0.5
        assert 0 < each["decision_ms"]["p50"] <= each["decision_ms"]["p99"]
        narrow = each["communication"]["narrow"]
        assert narrow["collect"] == 0 < narrow["iteration"] < narrow["learn"] < 0.5, "what critics are told"
        assert each["processes"] == 1
        assert min(each[f"{unit}_per_s"] for unit in ("iterations", "game_steps", "decisions", "learner_samples")) > 0
    assert set(document["laws"]) == {"iteration", "update", "decision"}
    assert all("6" in law["predicted"] for law in document["laws"].values())
    assert document["bound"]["most_decisions_per_s"]["value"] in range(1, 6)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("platoon-neurcomm", {"games": 2, "a2c.rows": 3, "width": 8}),
        ("coverage-tom2c", {"games": 2, "tom2c.rows": 3, "minds.hidden": 8, "reduce_after": 100}),
    ],
)
def test_what_communication_takes_is_told_in_both_ways(
    name: str, small: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(velodrome.proof.scale, "PROCESSES", 2)  # the fewest that an interval is told of
    recipe = find(name)
    setup = patched(Setup(name, settings_to_json(recipe.settings())), small)
    sizes = {n: setup_at(recipe, setup, "agents", n) for n in (2, 4)}
    said: list[str] = []
    points = measure(sizes, 1.0, 0, said.append)
    assert len(said) == len(sizes) * 2
    for point in (each.to_json() for each in points):
        talk = point["communication"]
        for part in ("iteration", "collect", "learn"):
            assert 0 < talk["narrow"][part] <= talk["broad"][part] < 1
        assert talk["ablation"]["iteration"]["interval"][0] < talk["ablation"]["iteration"]["interval"][1]
        assert point["exchange"]["messages"] > 0
        assert len(point["exchange"]["graph"]) == point["value"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["spread-maddpg", "--values", "2", "3", "4", "6"], "a law of growth takes 5 sizes"),
        (["spread-maddpg", "--values", "2", "3", "4", "6", "8", "--predict", "17"], "nothing is known beyond twice"),
        (["spread-maddpg", "--update-ms", "3"], "give --latency-ms as well"),
        (["spread-maddpg", "--values", "0", "3", "4", "6", "8"], "sizes are at least 1"),
        (["hearts", "--values", "2", "3", "4", "6", "8"], "no setting that says how many agents"),
        (["spread-madpg"], "spread-maddpg"),
        (["spread-maddpg", "--budget", "soon"], "--budget"),
    ],
)
def test_what_it_refuses(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = scale(capsys, *arguments)
    assert code == MISTAKEN
    assert complaint in err
    assert not out
