"""`velodrome profile`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from velodrome.learn.trainer import Counts, Trainer
from velodrome.meter.budget import Budget
from velodrome.meter.clock import Clock
from velodrome.meter.machine import hardware
from velodrome.meter.memory import peak_memory_mb
from velodrome.meter.trace import Trace
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import RECIPES, find
from velodrome.recipes.restore import build, restore
from velodrome.runs.files import plain, write_durably, writing_to
from velodrome.runs.run import Run
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Count, Folder, Name, parse, parse_with_settings, refuse_below, subject
from velodrome.verbs.profile_script import profile_script
from velodrome.verbs.scripts import script_at


@dataclass(frozen=True)
class Profile:
    """See where the time of a recipe goes, or of a run, given by its folder and left as it is. Speeds come from
    iterations without spans, shares from ones with them. A script of your own runs as it is: velodrome profile
    [--cards N] [--no-causes] [--trace PATH] [--threads N] [--json] SCRIPT.py [ITS ARGUMENTS]."""

    iterations: int = 10
    """With spans, and as many without, in turn."""
    warm_up: int = 1
    """Iterations before that, whose time is told apart."""
    trace: Folder = None
    """Write a trace for Perfetto (.json.gz)."""
    seed: int = 0
    """For a recipe; a run has its own."""
    device: Name = None
    """cpu, cuda or mps; by default what the run was trained on."""
    threads: Count = None
    """Threads that torch may use for one operation."""
    json: bool = False
    """Answer with one JSON document."""


@dataclass
class Measured:
    """What the iterations of a profile came to."""

    warm_up_s: float = 0.0
    plain_s: list[float] = field(default_factory=list)
    """Of every iteration without spans."""
    counts: Counts = field(default_factory=Counts)
    """Of all iterations without spans."""
    budget: Budget = field(default_factory=Budget)
    """Of all iterations with spans."""


Subject = tuple[Profile, Trainer, str, str]
"""Flags, trainer, recipe and device."""


def profile(arguments: Sequence[str]) -> Answer:
    """Profile a recipe, a run, or somebody's script."""
    if (at := script_at(arguments)) is not None:
        return profile_script(Path(arguments[at]), arguments[:at], arguments[at + 1 :])
    name, rest = subject("profile", "RECIPE", arguments)
    run = Run(Path(name)) if name and Run(Path(name)).exists else None
    if run is None and name and name not in RECIPES and Path(name).is_dir():
        raise Mistake(f"{name} is a directory and no run; give a run, a recipe, or a script in it")
    flags, trainer, recipe, device = _made_recipe(name, rest) if run is None else _restored_run(run, rest)
    if flags.threads:
        torch.set_num_threads(flags.threads)
    trace = Trace() if flags.trace else None
    measured = measure(trainer, flags.iterations, flags.warm_up, device, trace)
    document = _document(recipe, flags, measured)
    if run is not None:
        with writing_to(run.folder, "make room there, or copy the run elsewhere"):
            write_durably(run.folder / "profile.json", json.dumps(plain(document), indent=1).encode())
    if trace is not None and flags.trace is not None:
        with writing_to(flags.trace, "choose another --trace"):
            trace.write(flags.trace)
        document["trace"] = str(flags.trace)
    return Answer(document, _text(document, measured))


def _restored_run(run: Run, arguments: Sequence[str]) -> Subject:
    flags = parse("profile RUN", Profile, arguments)
    _refuse_bad_flags(flags)
    restored = restore(run.folder, flags.device)
    return flags, restored.trainer, restored.config.recipe, flags.device or restored.config.device


def _made_recipe(name: str, arguments: Sequence[str]) -> Subject:
    if not name:
        parse("profile RECIPE", Profile, arguments)
    with callers_mistake():
        recipe = find(name)
    flags, settings = parse_with_settings(f"profile {name}", Profile, arguments, recipe.settings())
    _refuse_bad_flags(flags)
    device = flags.device or "cpu"
    return flags, build(recipe, settings, flags.seed, device), name, device


def measure(trainer: Trainer, iterations: int, warm_up: int, device: str, trace: Trace | None = None) -> Measured:
    """Warm up, then iterate without and with spans in turn, so that whatever drifts does so for both."""
    measured = Measured()
    without, spans = Clock(device, enabled=False), Clock(device, trace=trace)
    began = time.perf_counter()
    for _ in range(warm_up):
        trainer.iterate(without)
    _settle(device)
    measured.warm_up_s = time.perf_counter() - began
    for _ in range(iterations):
        began = time.perf_counter()
        measured.counts += trainer.iterate(without).counts
        _settle(device)
        measured.plain_s.append(time.perf_counter() - began)
        spans.lap()  # what went before has no spans
        trainer.iterate(spans)
        measured.budget += spans.lap()
    return measured


def _settle(device: str) -> None:
    if device != "cpu":
        torch.accelerator.synchronize()


def _refuse_bad_flags(flags: Profile) -> None:
    refuse_below(flags, iterations=1, warm_up=0, threads=1, seed=0)


def _document(recipe: str, flags: Profile, measured: Measured) -> dict[str, Any]:
    budget, plain_s = measured.budget, sum(measured.plain_s)
    p50, p95 = np.quantile(measured.plain_s, [0.5, 0.95]).tolist()
    rates = {f"{unit}_per_s": count / plain_s for unit, count in asdict(measured.counts).items()}
    return {
        "recipe": recipe,
        "iterations": flags.iterations,
        **budget.to_profile(),
        "throughput": rates | {"iterations_per_s": len(measured.plain_s) / plain_s},
        "plain": {"wall_s": plain_s, "iteration_s": {"p50": p50, "p95": p95}},
        "warm_up": {"iterations": flags.warm_up, "wall_s": measured.warm_up_s},
        "memory_mb": peak_memory_mb(),
        "machine": hardware() | {"torch_threads": torch.get_num_threads()},
    }


def _text(document: dict[str, Any], measured: Measured) -> str:
    p50, p95 = document["plain"]["iteration_s"].values()
    rates = {name.removesuffix("_per_s").replace("_", " "): rate for name, rate in document["throughput"].items()}
    warm_up = document["warm_up"]
    return "\n".join(
        [
            f"{document['recipe']}: {document['iterations']} iterations with spans",
            "",
            str(measured.budget),
            "",
            f"without spans, in turn with them: {p50:.4g} s an iteration (p95 {p95:.4g} s)",
            *(f"  {rate:>14,.4g} {name}/s" for name, rate in rates.items()),
            f"warm-up: {warm_up['wall_s']:.3g} s for {warm_up['iterations']} iterations; "
            f"peak memory {document['memory_mb']:,.0f} MB",
        ]
    )
