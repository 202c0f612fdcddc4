"""What is concluded from pairs, and a real trial from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import PHASES, pair, trial_of

from small import TOY
from velodrome.meter.statistics import nested_ratio
from velodrome.mistake import Mistake
from velodrome.proof.guard import compare_skill, same_learning
from velodrome.proof.guard import judged as judged_skill
from velodrome.proof.processes import Process, Setup, at_work
from velodrome.proof.trial import MARGIN
from velodrome.show.trial import told

SLOWER = {"learn.backward": PHASES["learn.backward"] + 0.05 * sum(PHASES.values())}


@pytest.mark.parametrize(
    ("pairs", "turns", "spread", "between"),
    [(3, 4, 0.02, 0.01), (5, 10, 0.02, 0.0), (10, 4, 0.02, 0.01), (4, 5, 0.0, 0.02)],
)
def test_the_interval_over_pairs_holds_the_truth_as_often_as_it_says(
    pairs: int, turns: int, spread: float, between: float
) -> None:
    random, missed = np.random.default_rng(0), 0
    for seed in range(400):
        made = [
            (np.exp(random.normal(0, spread, turns)), 0.9 * np.exp(luck + random.normal(0, spread, turns)))
            for luck in random.normal(0, between, pairs)
        ]
        low, high = nested_ratio(made, seed=seed).interval
        missed += not low <= 0.9 <= high
    assert missed <= 0.07 * 400


def test_one_pair_has_no_interval() -> None:
    with pytest.raises(ValueError, match="two of them or more"):
        nested_ratio([(np.ones(4), np.ones(4))])


def test_a_delay_is_found_in_its_phase_and_nowhere_else() -> None:
    found = trial_of(SLOWER)
    assert found.verdict == "slower"
    assert found.ratio == pytest.approx(1.05, abs=0.01)
    assert [phase.name for phase in found.moved] == ["learn.backward"]
    assert found.moved[0].change == pytest.approx(0.05, abs=0.01)
    assert found.p < 0.05


def test_the_same_is_no_difference_and_noise_is_inconclusive() -> None:
    assert trial_of({}).verdict == "no difference"
    noisy = trial_of({}, spread=0.3)
    assert noisy.verdict == "inconclusive"
    assert not noisy.precise
    assert noisy.needed_s > 30
    assert trial_of({}).needed_s == 30


def test_equal_sides_are_rarely_told_apart() -> None:
    wrong = [trial_of({}, pairs=3, seed=seed, turns=4, spread=0.03, between=0.01).verdict for seed in range(100)]
    assert sum(verdict in ("faster", "slower") for verdict in wrong) <= 5


def test_a_difference_within_the_margin_is_none() -> None:
    found = trial_of({"learn.backward": PHASES["learn.backward"] + 0.01 * sum(PHASES.values())}, spread=0.001)
    assert found.interval[0] > 1
    assert found.interval[1] < 1 + MARGIN
    assert found.verdict == "no difference"


def test_work_is_counted_where_iterations_hold_different_amounts_of_it() -> None:
    found = trial_of({name: 2 * seconds for name, seconds in PHASES.items()}, decisions=(100, 200))
    assert found.unit == "decisions"
    assert found.ratio == pytest.approx(1, abs=0.02)
    assert trial_of({}).unit == "iteration"


def test_a_difference_in_phases_that_a_change_cannot_touch_is_told() -> None:
    found = trial_of(SLOWER)
    assert found.elsewhere(("learn",)) == pytest.approx(0, abs=0.2)
    assert found.elsewhere(("collect",)) == pytest.approx(1, abs=0.2)
    assert found.elsewhere(("",)) == pytest.approx(0)
    assert "do not trust it" in told(found, same_learning(found.pairs, "exact"), 0.9)
    assert "do not trust it" not in told(found, same_learning(found.pairs, "exact"), 0.1)


def test_the_document_is_whole() -> None:
    found = trial_of(SLOWER)
    document = json.loads(json.dumps(found.to_json()))
    assert {"verdict", "ratio", "interval", "pairs", "iterations", "phases", "moved", "budgets", "memory_mb"} <= set(
        document
    )
    assert document["pairs"] == 4
    assert document["iterations"] == 32
    assert document["memory_mb"] == {"a": 100, "b": 101}
    for side in "ab":
        budget = document["budgets"][side]
        assert budget["wall_s"] == pytest.approx(sum(phase["seconds"] for phase in budget["phases"]))
    changes = sum(phase["change"] for phase in document["phases"])
    assert changes == pytest.approx(found.ratio - 1, abs=0.01)


def test_equal_weights_prove_a_change_exact_whatever_was_said_of_it() -> None:
    guard = same_learning([pair(0, {}), pair(1, {})], "algorithmic")
    assert (guard.kind, guard.verdict) == ("exact", "passed")


def test_rounding_is_told_from_other_learning() -> None:
    def guarded(loss: float, declared: Any) -> tuple[str, str]:
        metrics = ({"loss": 1.0, "kl": 1e-9}, {"loss": loss, "kl": 1e-9})
        guard = same_learning([pair(0, {}, weights=("a", "b"), metrics=metrics)], declared)
        return guard.kind, guard.verdict

    assert guarded(1.001, "numeric") == ("numeric", "passed")
    assert guarded(1.001, "exact") == ("numeric", "passed")
    assert guarded(1.001, "algorithmic") == ("algorithmic", "unproven")
    assert guarded(1.2, "numeric") == ("algorithmic", "unproven")


def scores(before: list[float], after: list[float]) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "a": {"score": first}, "b": {"score": second}}
        for seed, (first, second) in enumerate(zip(before, after, strict=True))
    ]


def test_no_worse_means_less_lost_than_a_tenth_of_what_was_learnt() -> None:
    trivial = {"random": 10.0}
    assert judged_skill(scores([5, 5.1, 4.9], [4, 4.1, 3.9]), trivial, "lower", 60).verdict == "passed"
    assert judged_skill(scores([5, 5.1, 4.9], [5.1, 5.2, 5]), trivial, "lower", 60).verdict == "passed"
    assert judged_skill(scores([5, 5.1, 4.9], [7, 7.1, 6.9]), trivial, "lower", 60).verdict == "failed"
    assert judged_skill(scores([5, 5.1, 4.9], [7, 3, 5]), trivial, "lower", 60).verdict == "unproven"
    assert judged_skill(scores([5, 5.1, 4.9], [4, 4.1, 3.9]), {"random": 0.0}, "higher", 60).verdict == "failed"


def test_a_side_that_cannot_be_built_says_why_in_one_line() -> None:
    process = Process("b", Setup(TOY, {"games": 0}), 0)
    try:
        with pytest.raises(Mistake, match="side b"):
            process.told()
    finally:
        process.end()


def test_a_side_that_is_killed_says_so_and_the_next_one_is_well() -> None:
    with at_work([("a", Setup(TOY, {}))], 0) as (process,):
        os.kill(process._pid, signal.SIGKILL)
        with pytest.raises(Mistake, match="side a ended with exit code -9"):
            process.do("iterate")
    with at_work([("a", Setup(TOY, {})), ("b", Setup(TOY, {}))], 0) as running:
        first, second = (process.do("iterate")["metrics"] for process in running)
    assert first == second


def test_sides_see_the_folder_and_the_environment_of_whoever_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("raise RuntimeError(__import__('os').environ['MINE'])")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINE", "as it is set now")
    with pytest.raises(Mistake, match="as it is set now"), at_work([("a", Setup("mine.py:made", {}))], 0):
        pass


def test_too_little_time_for_skill_is_said_before_it_is_spent() -> None:
    with pytest.raises(Mistake, match="--guard-budget 3"):
        compare_skill(Setup(TOY, {}), Setup(TOY, {}), 3.0)


def test_a_trial_from_the_command_line(tmp_path: Path) -> None:
    small = "--lanes 1 --ppo.batch 64 --ppo.minibatch 32 --games"
    sides = ["--a", f"{small} 8", "--b", f"{small} 16"]
    command = [sys.executable, "-m", "velodrome", "trial", "hearts", *sides, "--budget", "1s", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    document = json.loads(done.stdout)
    assert {"verdict", "ratio", "interval", "pairs", "iterations", "phases", "guard", "p", "mechanism"} <= set(document)
    assert document["verdict"] in ("faster", "slower", "no difference", "inconclusive")
    assert document["pairs"] >= 3
    assert document["guard"]["kind"] == "algorithmic"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--b", "--gamez 3"], "--b: there is no flag --gamez; did you mean --games?"),
        (["--a", '"'], "--a '\"' is not to be read as flags"),
        (["--budget", "fast"], "--budget 'fast' is no length of time; write 90s, 10m or 1h"),
        (["--budget", "0"], "--budget 0: it takes more than 0"),
        (["--precision", "0"], "--precision 0.0: it takes 0.001 or more"),
    ],
)
def test_mistakes_are_one_line(flags: list[str], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    from velodrome.cli import main

    assert main(["trial", "hearts", *flags]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"velodrome: {says}")
    assert err.count("\n") == 1
