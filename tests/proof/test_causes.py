"""Each cause is named where its evidence is, and not where it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from made import evidence, hot, site

from velodrome.learn.trainer import Counts, Progress
from velodrome.meter.clock import Clock
from velodrome.proof.causes import find
from velodrome.proof.evidence import Evidence, NetFacts, gather

NETS = [NetFacts("net", 1000, 300, ["unused.weight"])]
PRODUCT = site("learn.forward", "addmm", seconds=0.01, zeros=0.1)
SHOWN: dict[str, dict[str, Any]] = {
    "dispatch-bound minibatches": {"sites": [site("learn.forward", "add", 40_000, 0.02)]},
    "many passes over the same samples": {"learner_samples": 1000},
    "too few games at once": {"sites": [site("collect.infer", "add", 8_000, 0.01)]},
    "too many games at once": {"sites": [site("collect.infer", "mm", 4, 0.01, shapes=((2**16, 256), (256, 8)))]},
    "sparse input": {"sites": [site("learn.forward", "addmm", zeros=0.97)]},
    "constant input": {"constant_inputs": 0.6, "sites": [PRODUCT]},
    "dead weights": {"nets": NETS},
    "Python loops": {
        "sites": [site("learn.forward", "addmm", 64, 0.001, same_weights=16)],
        "hot": [hot("learn.forward", 0.3)],
    },
    "attention spelt out": {"sites": [site("learn.forward", "bmm", of_softmax=2, shapes=((8, 16, 16), (8, 16, 4)))]},
    "tables copied per call": {"sites": [site("learn.forward", "repeat", same_rows=4, same_rows_s=0.01)]},
    "gradients recorded where none are used": {"sites": [site("collect.infer", "addmm", recorded=4)]},
    "results recomputed": {"sites": [site("learn.forward", "mul", 8, repeated=6, repeated_s=0.01)]},
    "host reads in inner loops": {"sites": [site("learn.forward", "_local_scalar_dense", 4000, 0.01)]},
    "optimizer not fused": {
        "phases": {"learn.optimize": 0.03},
        "sites": [site("learn.optimize", "_foreach_add_", 200, 0.03)],
    },
    "thread counts that fight": {"threads": 8, "cores": 2},
    "many threads where processes would do": {"threads": 2, "cores": 2},
    "idle cores": {"threads": 1, "cores": 2},
    "memory handed back at every step": {"faults": 20_000},
    "stragglers": {"phases": {"wait": 0.03}},
    "slow memory layout for convolutions": {"sites": [site("learn.forward", "convolution", seconds=0.03)]},
    "full float32 precision": {"sites": [site("learn.forward", "mm", 4, 0.03)]},
    "operations called one by one": {"sites": [site("learn.forward", "add", 20_000, 0.02)]},
    "a net larger than its task may need": {"phases": {"learn.forward": 0.05, "learn.backward": 0.04}},
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_cause_is_named_where_it_shows(name: str) -> None:
    found = {cause.name: cause for cause in find(evidence(**SHOWN[name]))}
    assert name in found, list(found)
    cause = found[name]
    assert cause.says
    assert cause.advice
    assert cause.knobs
    assert 0 < cause.share <= 1.5
    json.dumps(cause.to_json())


def test_a_clean_trainer_has_at_most_a_large_net() -> None:
    assert {cause.name for cause in find(evidence())} <= {"a net larger than its task may need"}


def test_layers_with_weights_of_their_own_are_no_loop() -> None:
    layers = site("learn.forward", "addmm", 64, 0.001, most=16, same_weights=1, side_by_side=1)
    several = evidence(sites=[layers], hot=[hot("learn.forward", 0.1, interpreting=False)])
    assert "Python loops" not in {cause.name for cause in find(several)}


def test_workers_that_are_all_as_busy_have_no_straggler() -> None:
    waiting = {"phases": {"wait": 0.08}, "tracks": 2, "cores": 2}
    even, uneven = (evidence(**waiting, busy_tracks=busy) for busy in ([0.08, 0.08], [0.08, 0.02]))
    assert "stragglers" in {cause.name for cause in find(uneven)}
    assert {cause.name for cause in find(even)} & {"stragglers", "thread counts that fight"} == set()


def test_a_gradient_of_zeros_shows_what_dead_weights_cost() -> None:
    zeros = [site("learn.backward", "mm", seconds=0.04, zeros=1.0)]
    (dead,) = [cause for cause in find(evidence(nets=NETS, sites=zeros)) if cause.name == "dead weights"]
    assert dead.share == pytest.approx(0.6)


def test_waiting_is_no_python_loop() -> None:
    waiting = evidence(hot=[hot("wait", 0.5, "wait_for")])
    assert "Python loops" not in {cause.name for cause in find(waiting)}


def test_numbers_are_turned_only_the_way_that_mends() -> None:
    (few,) = [cause for cause in find(evidence(**SHOWN["too few games at once"])) if "games" in cause.knobs]
    assert few.mends(64, 128)
    assert not few.mends(64, 32)
    assert few.saved_by(64, 256) == pytest.approx(0.75 * few.share)
    assert few.mends("loop", "batched")


class Idle:
    """A trainer that does next to nothing."""

    nets: dict[str, Any] = {}

    def iterate(self, clock: Clock) -> Progress:
        with clock("learn.forward"):
            sum(range(1000))
        return Progress(Counts())


def test_evidence_survives_the_way_between_processes() -> None:
    seen = gather(Idle(), Clock())  # type: ignore[arg-type]
    assert seen.iteration_s > 0
    assert seen.samples["learn.forward"] == 1
    again = Evidence.from_json(json.loads(json.dumps(seen.to_json())))
    assert [cause.name for cause in find(again)] == [cause.name for cause in find(seen)]
    made = evidence(sites=[PRODUCT], hot=[hot("learn.forward", 0.3)])
    back = Evidence.from_json(json.loads(json.dumps(made.to_json())))
    assert back.hot == made.hot
    assert back.sites == made.sites
