"""Nets, or runs, side by side."""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from torch import nn

from velodrome.meter.budget import Budget, phases
from velodrome.meter.card import Card, card
from velodrome.meter.machine import machine
from velodrome.meter.statistics import Difference, difference
from velodrome.meter.tensors import mapped, named_tensors, with_rows
from velodrome.mistake import Mistake, callers_mistake
from velodrome.nets import make_net
from velodrome.runs.run import Config, Run
from velodrome.show.story import flat
from velodrome.show.tables import plain_text
from velodrome.show.words import amount, listed, share, short, size

Net = tuple[nn.Module, tuple[Any, ...]]
"""A module and the inputs to call it with."""
_WARM_UP_PASSES, _FEWEST_PASSES = 5, 25

FEWEST = 5
"""Iterations that a run must have, the warm-up aside, before its noise can be told from a difference."""
WARM_UP = ("warm-up", "compile")


@dataclass(frozen=True)
class Comparison:
    """What came out: as a document for programs and as text for people."""

    document: dict[str, Any]
    text: str


# -- nets -----------------------------------------------------------------------------------------------------------


def compare_nets(names: Sequence[str], batches: Sequence[int] = (1, 32, 1024), device: str = "cpu") -> Comparison:
    """Measure the cards of nets, each the name of one of ours or `path/to/file.py:function`.

    The function returns a module and its example inputs. Cards are taken one after another; whether the second net is
    faster than the first is decided by passes in turn, so that drift meets both.
    """
    nets = [_on(device, *net(name)) for name in names]
    cards = [
        card(module, *inputs, name=name, batches=batches) for name, (module, inputs) in zip(names, nets, strict=True)
    ]
    document = {
        "models": [one.to_json() for one in cards],
        "batch": cards[0].batch,
        "machine": machine().to_json(),
    }
    text = [_side_by_side(cards)]
    if len(nets) == 2:
        found = in_turn(nets, cards[0].batch)
        document["in_turn"] = dataclasses.asdict(found)
        text.append(_sentence_of_nets(names, cards[0].batch, found))
    return Comparison(document, "\n\n".join([*text, *map(str, cards)]))


def in_turn(nets: Sequence[Net], batch: int, passes: int = 100, at_most_s: float = 3.0) -> Difference:
    """How the second net's forward passes compare with the first's, taken in turn on a batch of this size."""
    inputs = [with_rows(given, batch) for _, given in nets]
    seconds: list[list[float]] = [[], []]
    began = time.perf_counter()
    for number in range(passes + _WARM_UP_PASSES):
        if number >= _FEWEST_PASSES and time.perf_counter() - began > at_most_s:
            break
        for (module, _), given, took in zip(nets, inputs, seconds, strict=True):
            took.append(_pass_s(module, given))
    before, after = (took[_WARM_UP_PASSES:] for took in seconds)
    return difference(before, after, paired=True)


@torch.no_grad()
def _pass_s(module: nn.Module, inputs: tuple[Any, ...]) -> float:
    began = time.perf_counter()
    module(*inputs)
    if next(tensor for _, tensor in named_tensors(inputs)).is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _sentence_of_nets(names: Sequence[str], batch: int, found: Difference) -> str:
    low, high = found.interval
    return (
        f"{names[1]} beside {names[0]}, forward of {batch} in turn: {found.verdict}, {found.ratio:.3g} times the time "
        f"({low:.3g} to {high:.3g})."
    )


def net(name: str) -> Net:
    """The net of that name and its example inputs."""
    if ".py:" not in name:
        with callers_mistake():
            return make_net(name)
    path, function = name.rsplit(":", 1)
    made = _loaded(Path(path), function)()
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module)):
        raise Mistake(f"{name} returned {type(made).__name__}; it has to return (module, example inputs)")
    module, inputs = made
    return module, inputs if isinstance(inputs, tuple) else (inputs,)


def _loaded(path: Path, function: str) -> Any:
    if not path.is_file():
        raise Mistake(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(f"velodrome_compared_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Mistake(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        raise Mistake(f"{path} has no function {function!r} that makes a net")
    return getattr(module, function)


def _on(device: str, module: nn.Module, inputs: tuple[Any, ...]) -> Net:
    return module.to(device).eval(), mapped(inputs, lambda tensor: tensor.to(device))


def _side_by_side(cards: Sequence[Card]) -> str:
    table = Table("", *(one.name for one in cards), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("parameters", *(f"{one.parameters:,}" for one in cards))
    table.add_row("weights", *(size(one.bytes) for one in cards))
    table.add_row("FLOPs a sample", *(amount(one.flops) for one in cards))
    table.add_row("dead parameters", *(f"{one.dead_parameters:,}" for one in cards))
    for latency in cards[0].latencies:
        found = [one.at(latency.batch) for one in cards]
        table.add_row(f"forward, batch {latency.batch}", *(short(one.forward_us.p50 / 1e6) for one in found))
        trained = [short(one.train_us.p50 / 1e6) if one.train_us else "-" for one in found]
        table.add_row(f"forward and backward, batch {latency.batch}", *trained)
        table.add_row("  of the ceiling, forward", *(share(one.ceiling_share) for one in found))
    return plain_text(table)


# -- runs -----------------------------------------------------------------------------------------------------------


def compare_runs(first: Path | str, second: Path | str) -> Comparison:
    """Say phase by phase what became slower or faster from one run to the other, and whether beyond their noise."""
    folders = [Path(first), Path(second)]
    samples = [phases(_steady_budgets(folder)) for folder in folders]
    walls = [sum(each.values(), np.zeros(1)) for each in samples]
    names = [*dict.fromkeys([*samples[0], *samples[1]])]
    rows = [_row("iteration", *walls)] + [_row(name, *(_seconds(each, name) for each in samples)) for name in names]
    document = {
        "runs": [_about(folder, each) for folder, each in zip(folders, walls, strict=True)],
        "iteration": rows[0],
        "phases": rows[1:],
        "differs": _differs(*(Run(folder).read_config() for folder in folders)),
    }
    return Comparison(document, _told(folders, document))


def _steady_budgets(folder: Path) -> list[Budget]:
    """One an iteration, those aside in which something warmed up or was compiled."""
    run = Run(folder)
    if not run.exists:
        raise Mistake(f"{folder} is no run: it has no config.json")
    budgets = [Budget.from_json(line) for line in run.lines("budget.jsonl")]
    steady = [one for one in budgets if not any(path.split(".")[0] in WARM_UP for path in one.spans)]
    if len(steady) < FEWEST:
        raise Mistake(
            f"{folder} has {len(steady)} iterations after its warm-up; a comparison needs {FEWEST}: train it further"
        )
    return steady


def _seconds(samples: dict[str, NDArray[np.float64]], name: str) -> NDArray[np.float64]:
    """A phase's seconds in each iteration; zero where the run has no such phase."""
    return samples.get(name, np.zeros(len(next(iter(samples.values())))))


def _row(name: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": name,
        "seconds": [float(np.median(before)), float(np.median(after))],
        "change_s": float(np.median(after) - np.median(before)),
    }
    if before.min() <= 0 or after.min() <= 0:
        return row | {"ratio": None, "interval": None, "verdict": _without_ratio(before, after)}
    found: Difference = difference(before, after)
    return row | {"ratio": found.ratio, "interval": list(found.interval), "verdict": found.verdict}


def _without_ratio(before: NDArray[np.float64], after: NDArray[np.float64]) -> str:
    """The verdict on a phase that some iterations do without: there is no ratio to nothing."""
    if not before.any() or not after.any():
        return "gone" if before.any() else "new"
    return "now and then"


def _about(folder: Path, walls: NDArray[np.float64]) -> dict[str, Any]:
    config = Run(folder).read_config()
    return {
        "run": str(folder),
        "recipe": config.recipe,
        "seed": config.seed,
        "device": config.device,
        "machine": config.machine,
        "iterations": len(walls),
        "iteration_s": {"p50": float(np.percentile(walls, 50)), "p95": float(np.percentile(walls, 95))},
    }


def _differs(one: Config, other: Config) -> list[dict[str, Any]]:
    """Everything else in which the runs differ: settings, seed, machine, versions."""
    first, second = (flat(dataclasses.asdict(config)) for config in (one, other))
    names = [name for name in dict.fromkeys([*first, *second]) if name != "started"]
    return [
        {"name": name.removeprefix("settings."), "values": [first.get(name), second.get(name)]}
        for name in names
        if first.get(name) != second.get(name)
    ]


def _told(folders: Sequence[Path], document: dict[str, Any]) -> str:
    table = Table("phase", *(str(folder) for folder in folders), "ratio", "95 % interval", "", box=None, pad_edge=False)
    for column in table.columns[1:5]:
        column.justify = "right"
    for row in [*document["phases"], document["iteration"]]:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3f}"
        interval = "" if row["interval"] is None else f"{row['interval'][0]:.3f} to {row['interval'][1]:.3f}"
        table.add_row(row["name"], *(short(seconds) for seconds in row["seconds"]), ratio, interval, row["verdict"])
    return f"{plain_text(table)}\n\n{_sentence(document)}\n{_differences(document['differs'])}"


def _differences(differs: list[dict[str, Any]]) -> str:
    if not differs:
        return "Same recipe, settings, seed and machine."
    return (
        "The runs differ in "
        + listed([f"{one['name']} ({one['values'][0]}, {one['values'][1]})" for one in differs])
        + "."
    )


def _sentence(document: dict[str, Any]) -> str:
    whole = document["iteration"]
    moved = [row for row in document["phases"] if row["verdict"] in ("slower", "faster", "new", "gone")]
    moved.sort(key=lambda row: -abs(row["change_s"]))
    parts = [
        f"{row['name']} ({row['verdict']}, {'+' if row['change_s'] > 0 else '-'}{short(abs(row['change_s']))})"
        for row in moved
    ]
    found = f"An iteration of the second run: {whole['verdict']}, {whole['ratio']:.2f} times the first's time."
    return found + (f" Beyond noise: {listed(parts)}." if parts else " No phase moved beyond noise.")
