"""Trials and evidence made up, so that what is concluded from them is known beforehand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from velodrome.learn.trainer import Counts
from velodrome.meter.budget import Budget, Spent
from velodrome.meter.hot import Hot
from velodrome.meter.operations import Site, Where
from velodrome.proof.evidence import Evidence, NetFacts
from velodrome.proof.trial import Pair, Trial, judged

PHASES = {"collect.infer": 0.03, "collect.step": 0.01, "learn.forward": 0.02, "learn.backward": 0.03}


def pair(
    seed: int, after: dict[str, float], *, turns: int = 8, spread: float = 0.01, between: float = 0.0,
    decisions: tuple[int, int] = (100, 100), weights: tuple[str, str] = ("same", "same"),
    metrics: tuple[dict[str, float], dict[str, float]] = ({"loss": 1.0}, {"loss": 1.0}),
) -> Pair:  # fmt: skip
    """A pair whose first side takes PHASES, and whose second these as well, or instead."""
    random = np.random.default_rng(seed)
    luck = float(np.exp(random.normal(0, between)))
    made = Pair(first_metrics=list(metrics), weights=list(weights))
    for side, phases in enumerate((PHASES, PHASES | after)):
        for _ in range(turns):
            noise = np.exp(random.normal(0, spread)) * (luck if side else 1)
            spans = {name: Spent(int(seconds * noise * 1e9), 1) for name, seconds in phases.items()}
            spans |= {name: Spent(0, 0) for name in ("collect", "learn")}
            for parent in ("collect", "learn"):
                inner = sum(spent.ns for name, spent in spans.items() if name.startswith(f"{parent}."))
                spans[parent] = Spent(inner, 0)
            wall = sum(spent.ns for name, spent in spans.items() if "." in name)
            made.budgets[side].append(Budget(wall, spans))
            made.counts[side].append(Counts(decisions[side], decisions[side], decisions[side]))
        made.memory_mb[side] = 100.0 + side
    return made


def trial_of(after: dict[str, float], pairs: int = 4, seed: int = 0, **how: Any) -> Trial:
    """What is judged of such pairs."""
    return judged([pair(100 * seed + number, after, **how) for number in range(pairs)], spent_s=30.0)


def evidence(**facts: Any) -> Evidence:
    """Of a trainer that has nothing to mend."""
    clean = Evidence(
        iteration_s=0.1,
        phases={"collect.infer": 0.02, "collect.step": 0.01, "learn.forward": 0.02, "learn.backward": 0.03,
                "learn.optimize": 0.001, "unaccounted": 0.019},
        samples={"collect.infer": 4, "learn.forward": 4, "learn.backward": 4, "learn.optimize": 4},
        sites=[], hot=[], full=False, nets=[NetFacts("net", 1000, 0, [])], constant_inputs=0.0, threads=1, cores=1,
        busy_cores=1.0, faults=10, fault_us=0.5, dispatch_us=1.0, matmul_precision="highest", tracks=0,
        decisions=100, learner_samples=200,
    )  # fmt: skip
    return dataclasses.replace(clean, **facts)


def site(phase: str, name: str, count: int = 4, seconds: float = 0.01, **facts: Any) -> Site:
    """An operation."""
    shapes = facts.pop("shapes", ((64, 64), (64, 64)))
    return Site(phase, name, facts.pop("where", Where("net.py", 7, "forward")), shapes, count, seconds, **facts)


def hot(phase: str, share: float, function: str = "forward", interpreting: bool = True) -> Hot:
    """A line where Python was found."""
    return Hot(phase, Where("net.py", 7, function), interpreting, share)
