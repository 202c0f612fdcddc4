"""`velodrome trial`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from velodrome.meter.machine import hardware
from velodrome.mistake import Mistake, callers_mistake
from velodrome.proof.guard import Guard, compare_skill, same_learning
from velodrome.proof.knobs import THREADS, kind_of, touched_by
from velodrome.proof.processes import Setup
from velodrome.proof.trial import Trial as Found
from velodrome.proof.trial import trial as measure
from velodrome.recipes.recipe import Recipe, find
from velodrome.recipes.restore import refuse_missing_device
from velodrome.runs.settings import differences, settings_to_json
from velodrome.show.progress import progress
from velodrome.show.trial import one_line, told
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Count, Folder, Length, parse, parse_with_file, refuse_below, seconds_of, subject


@dataclass(frozen=True)
class Trial:
    """Measure two settings of a recipe side by side: a few pairs of fresh processes, in each of which both iterate in
    turn. Below 1, b is faster."""

    a: str = ""
    """Flags of the first side, those of `velodrome train RECIPE`; by default the recipe as it is."""
    b: str = ""
    """Flags of the second side, such as "--ppo.minibatch 64"."""
    budget: Length = "2m"
    """At most this long: 90s, 10m, 1h."""
    precision: float = 0.03
    """Stop once half the interval is this narrow."""
    guard_budget: Length = "0"
    """Time to compare skill where the sides learn in different ways; without it, that is unproven."""
    seed: int = 0
    """Of the first pair; the others follow."""
    device: str = "cpu"
    """cpu, cuda or mps."""
    json: bool = False
    """Answer with one JSON document."""


@dataclass(frozen=True)
class Side:
    """What a side takes beside the recipe's settings."""

    settings: Folder = None
    """A file with settings, such as tuned.json."""
    threads: Count = None
    """Threads that torch may use for one operation."""


def trial(arguments: Sequence[str]) -> Answer:
    """Measure, and guard."""
    name, rest = subject("trial", "RECIPE", arguments)
    flags = parse(f"trial {name or 'RECIPE'}", Trial, list(_joined(rest)))
    refuse_below(flags, precision=0.001, seed=0)
    budget_s = seconds_of("--budget", flags.budget, above_zero=True)
    guard_s = seconds_of("--guard-budget", flags.guard_budget)
    with callers_mistake():
        recipe = find(name)
    refuse_missing_device(flags.device)
    sides = [_side(recipe, label, asked, flags.device) for label, asked in (("a", flags.a), ("b", flags.b))]
    with progress(f"trial of {recipe.name}", budget_s) as say:
        found = measure(
            *sides, budget_s=budget_s, precision=flags.precision, seed=flags.seed,
            progress=lambda found: say(one_line(found)),
        )  # fmt: skip
    changed = _changed(*sides)
    guard = _guard(found, sides, changed, guard_s, flags.seed)
    touches = touched_by(changed)
    elsewhere = found.elsewhere(touches)
    document = {"recipe": recipe.name, "a": flags.a, "b": flags.b, "changed": changed, **found.to_json()}
    document |= {"mechanism": {"touches": list(touches), "elsewhere": elsewhere}, "guard": guard.to_json()}
    return Answer(document | {"machine": hardware()}, told(found, guard, elsewhere))


def _changed(first: Setup, second: Setup) -> list[str]:
    """The settings in which two sides differ."""
    names = [name for name, _, _ in differences(first.settings, second.settings)]
    return names + [THREADS] * (first.threads != second.threads)


def _joined(arguments: Sequence[str]) -> Iterator[str]:
    """`--a "--lanes 1"` as `--a=--lanes 1`: a value that begins with a dash is otherwise taken for a flag."""
    left = iter(arguments)
    for argument in left:
        value = next(left, None) if argument in ("--a", "--b") else None
        yield argument if value is None else f"{argument}={value}"


def _side(recipe: Recipe, label: str, asked: str, device: str) -> Setup:
    try:
        words = shlex.split(asked)
    except ValueError as error:
        raise Mistake(f"--{label} {asked!r} is not to be read as flags: {error}") from None
    try:
        own, settings = parse_with_file(f"train {recipe.name}", Side, words, recipe)
    except Mistake as mistake:
        raise Mistake(f"--{label}: {mistake}") from None
    refuse_below(own, threads=1)
    return Setup(recipe.name, settings_to_json(settings), own.threads, device)


def _guard(found: Found, sides: Sequence[Setup], changed: list[str], budget_s: float, seed: int) -> Guard:
    """What the trial shows, and if that is not enough, what training shows."""
    first, second = sides
    guard = same_learning(found.pairs, kind_of(changed))
    if guard.verdict != "unproven" or not budget_s:
        return guard
    with progress("comparing skill", budget_s) as say:
        return compare_skill(
            first, second, budget_s, seed=seed,
            progress=lambda row: say(f"seed {row['seed']}: a {row['a']['score']:.4g}, b {row['b']['score']:.4g}"),
        )  # fmt: skip
