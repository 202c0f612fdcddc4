"""`velodrome scale`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from velodrome.edge.farm import farm
from velodrome.meter.law import FEWEST, REACH, Law
from velodrome.meter.machine import hardware
from velodrome.mistake import Mistake, callers_mistake
from velodrome.proof.plan import Network, plan
from velodrome.proof.processes import Setup
from velodrome.proof.scale import Over, Point, Scaling, measure, setup_at
from velodrome.recipes.recipe import find
from velodrome.recipes.restore import refuse_missing_device
from velodrome.runs.settings import settings_to_json
from velodrome.show.progress import progress
from velodrome.show.scale import told
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Count, Length, Name, parse, parse_with_settings, refuse_below, seconds_of, subject


@dataclass(frozen=True)
class Scale:
    """Measure a recipe at several sizes, in several processes each, and say how its times grow and what communication
    takes."""

    over: Over = "agents"
    """What grows."""
    values: tuple[int, ...] = (2, 3, 4, 6, 8)
    """At least five sizes; of workers, from 1."""
    predict: tuple[int, ...] = ()
    """Sizes to foretell the times of, up to twice what was measured."""
    latency_ms: float | None = None
    """Name the sizes with most iterations and most decisions a second of those that decide within so long in 99 of 100
    cases."""
    update_ms: float | None = None
    """With --latency-ms: and that update within so long."""
    network_us: float = 50.0
    """Over workers: what it takes until the next one has a message."""
    network_gbit: float = 10.0
    """Over workers: how much goes from one to the next in a second."""
    budget: Length = "5m"
    """About this long in all: 90s, 10m, 1h."""
    seed: int = 0
    """Of every process."""
    device: str = "cpu"
    """cpu, cuda or mps."""
    threads: Count = None
    """Threads that torch may use for one operation."""
    cluster: Name = None
    """Address of a Ray cluster, or "auto": every process is measured on a machine of it, one at a time on each. They
    are taken to be alike."""
    json: bool = False
    """Answer with one JSON document."""


def scale(arguments: Sequence[str]) -> Answer:
    """Measure, and fit."""
    name, rest = subject("scale", "RECIPE", arguments)
    if not name:
        parse("scale RECIPE", Scale, rest)
    with callers_mistake():
        recipe = find(name)
    flags, settings = parse_with_settings(f"scale {recipe.name}", Scale, rest, recipe.settings())
    refuse_below(flags, seed=0, threads=1)
    values = sorted(set(flags.values))
    _refuse_bad_flags(flags, values)
    budget_s = seconds_of("--budget", flags.budget, above_zero=True)
    refuse_missing_device(flags.device)
    setup = Setup(recipe.name, settings_to_json(settings), flags.threads, flags.device)
    with callers_mistake():
        setups = {value: setup_at(recipe, setup, flags.over, value) for value in values}
    with farm(flags.cluster) as places, progress(f"scaling {recipe.name} over {flags.over}", budget_s) as say:
        points = measure(setups, budget_s, flags.seed, say, places)
    found = Scaling(flags.over, points)
    document = {
        "recipe": recipe.name,
        "over": flags.over,
        "settings": setup.settings,
        "device": flags.device,
        "threads": flags.threads,
        "seed": flags.seed,
        "budget_s": budget_s,
        "points": [point.to_json() for point in points],
        "laws": _laws(found, flags.predict),
        "bound": None if flags.latency_ms is None else _bound(found, flags.latency_ms, flags.update_ms),
        "plan": None if flags.over != "workers" else plan(points, _network(flags)).to_json(),
        "machine": hardware(),
    }
    return Answer(document, told(document))


def _network(flags: Scale) -> Network:
    return Network(flags.network_us / 1e6, flags.network_gbit * 1e9 / 8)


def _refuse_bad_flags(flags: Scale, values: Sequence[int]) -> None:
    if len(values) < FEWEST:
        raise Mistake(f"--values {' '.join(map(str, values))}: a law of growth takes {FEWEST} sizes or more")
    if flags.update_ms is not None and flags.latency_ms is None:
        raise Mistake(f"--update-ms {flags.update_ms:g} bounds updates beside decisions; give --latency-ms as well")
    if flags.over == "workers" and values[0] != 1:
        raise Mistake(f"--values {values[0]}: a plan for workers begins with 1")
    if not (flags.network_us >= 0 and flags.network_gbit > 0):
        raise Mistake(f"--network-us {flags.network_us:g} --network-gbit {flags.network_gbit:g}: give what it takes")
    if values[0] < 1:
        raise Mistake(f"--values {values[0]}: sizes are at least 1")
    beyond = [n for n in flags.predict if not values[0] / REACH <= n <= values[-1] * REACH]
    if beyond:
        raise Mistake(
            f"--predict {beyond[0]}: measured from {values[0]} to {values[-1]}, nothing is known beyond twice that; "
            f"add a size to --values"
        )


def _laws(found: Scaling, predict: Sequence[int]) -> dict[str, Any]:
    grown = found.growths()
    return {
        name: {
            **{field: value for field, value in asdict(law).items() if field != "drawn"},
            "per_doubling": grown[name][0],
            "per_doubling_interval": grown[name][1],
            "predicted": _predicted(law, predict),
        }
        for name, law in found.laws().items()
    }


def _predicted(law: Law, predict: Sequence[int]) -> dict[str, Any]:
    times = {str(n): law.at(n) for n in predict}
    return {n: {"s": time, "interval": interval} for n, (time, interval) in times.items()}


def _bound(found: Scaling, latency_ms: float, update_ms: float | None) -> dict[str, Any]:
    bend, allowed = found.bend(), found.within(latency_ms, math.inf if update_ms is None else update_ms)
    document: dict[str, Any] = {"latency_ms": latency_ms, "update_ms": update_ms, "knee": bend and bend.value}
    for most in ("iterations_per_s", "decisions_per_s"):
        best = max(allowed, key=lambda point: point.rates()[most], default=None)
        document[f"most_{most}"] = best and _row(best)
    return document


def _row(point: Point) -> dict[str, Any]:
    rates = {name: point.rates()[name] for name in ("iterations_per_s", "decisions_per_s")}
    decides = {f"p{q}_ms": point.decision_ms(q) for q in (50, 99)}
    return {"value": point.value, **rates, **decides, "update_ms": 1e3 * point.typical("learn")}
