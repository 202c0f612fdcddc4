"""`velodrome tune`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from velodrome.edge.farm import farm
from velodrome.meter.machine import hardware
from velodrome.mistake import Mistake, callers_mistake
from velodrome.proof.processes import Setup
from velodrome.proof.tune import Tuning, Verdict
from velodrome.proof.tune import tune as search
from velodrome.recipes.recipe import Recipe, find
from velodrome.recipes.restore import refuse_missing_device
from velodrome.recipes.tuned import Tuned, write_settings
from velodrome.runs.files import as_line, new_folder, plain, writing_to
from velodrome.runs.settings import settings_from_json, settings_to_json
from velodrome.show.progress import progress
from velodrome.show.tuning import as_document, sentences, write_pages
from velodrome.verbs.answer import INTERRUPTED, Answer
from velodrome.verbs.flags import Count, Folder, Length, Name, parse, parse_with_file, refuse_below, seconds_of, subject


@dataclass(frozen=True)
class Tune:
    """Find what makes a recipe slow, try what may mend it, and keep what is proven to be faster and no worse. Flags of
    the recipe change the settings to begin with."""

    budget: Length = "10m"
    """For measuring and trials: 90s, 10m, 1h."""
    guard_budget: Length = "0"
    """For comparing skill where a change alters what is learnt; without it such changes are not kept."""
    into: Folder = None
    """Folder for tuned.json, verdicts.jsonl and the report; by default a new one under tuned/."""
    settings: Folder = None
    """A file with settings to begin with."""
    seed: int = 0
    """Of the first pair of every trial; the others follow."""
    device: str = "cpu"
    """cpu, cuda or mps."""
    threads: Count = None
    """Threads that torch may use for one operation, to begin with."""
    cluster: Name = None
    """Address of a Ray cluster, or "auto": changes are tried on its machines, one at a time on each."""
    json: bool = False
    """Answer with one JSON document."""


def tune(arguments: Sequence[str]) -> Answer:
    """Tune a recipe."""
    name, rest = subject("tune", "RECIPE", arguments)
    if not name:
        parse("tune RECIPE", Tune, rest)
    with callers_mistake():
        recipe = find(name)
    flags, settings = parse_with_file(f"tune {name}", Tune, rest, recipe)
    refuse_below(flags, seed=0, threads=1)
    refuse_missing_device(flags.device)
    budget_s = seconds_of("--budget", flags.budget, above_zero=True)
    guard_s = seconds_of("--guard-budget", flags.guard_budget)
    folder = flags.into or new_folder(Path("tuned"), recipe.name)
    if (folder / "tuned.json").exists():
        raise Mistake(f"{folder} holds a tuning already; choose another --into")
    setup = Setup(recipe.name, settings_to_json(settings), flags.threads, flags.device)
    with writing_to(folder, "choose another --into"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "verdicts.jsonl").write_text("")
    with farm(flags.cluster) as places, progress(f"tuning {recipe.name}", budget_s + guard_s) as say:
        found = search(
            setup, budget_s=budget_s, guard_budget_s=guard_s, seed=flags.seed, say=say,
            kept=lambda verdict: _keep(folder, verdict), farm=places,
        )  # fmt: skip
    return _answer(recipe, folder, found, flags.seed)


def _keep(folder: Path, verdict: Verdict) -> None:
    with writing_to(folder), (folder / "verdicts.jsonl").open("a") as lines:
        lines.write(as_line(plain(verdict.to_json())) + "\n")


def _answer(recipe: Recipe, folder: Path, found: Tuning, seed: int) -> Answer:
    document = as_document(found)
    tuned = found.tuned
    settings = settings_from_json(recipe.settings, tuned.settings)
    told = {"says": document["says"], "machine": hardware()}
    write_settings(folder / "tuned.json", Tuned(recipe.name, settings, tuned.threads, told))
    with writing_to(folder):
        causes = {"causes": document["causes"], "evidence": found.evidence.to_json(), "machine": hardware()}
        (folder / "causes.json").write_text(json.dumps(plain(causes), indent=1) + "\n")
        pages = write_pages(folder, found, seed)
    text = ["interrupted; this is what was found by then"] * found.interrupted
    text += [*sentences(found), f"read {pages['html']}"]
    if found.best is not None:
        text.append(f"next: velodrome train {recipe.name} --settings {folder / 'tuned.json'}")
    code = INTERRUPTED if found.interrupted else 0
    return Answer(document | {"folder": str(folder), "machine": hardware()}, "\n".join(text), code)
