"""What causes are found in: measured facts about a trainer at work."""

from __future__ import annotations

import copy
import mmap
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from velodrome.learn.trainer import Counts, Trainer
from velodrome.meter.budget import Budget
from velodrome.meter.clock import Clock
from velodrome.meter.hot import Hot, HotLines
from velodrome.meter.machine import cores, dispatch_us
from velodrome.meter.operations import Operations, Site, Where
from velodrome.meter.tensors import Inputs, mapped, named_tensors
from velodrome.meter.weights import silent_weights

PLAIN, PLAIN_S = 5, 2.0
"""Iterations that are only timed, and for how long."""
WAITING = ("wait", "sync")
"""Phases in which nothing is done."""
_PAGES = 8192
"""Touched to learn what a page fault costs."""


@dataclass(frozen=True)
class NetFacts:
    """What was found out about one net."""

    name: str
    parameters: int
    dead: int
    """Weights that no output depends on, whatever the input."""
    dead_in: list[str]


@dataclass(frozen=True)
class Evidence:
    """All of it, as plain values, so that it can come from another process."""

    iteration_s: float
    """Of a plain iteration, in the mean."""
    phases: dict[str, float]
    """Seconds of each phase of a plain iteration, in the mean."""
    samples: dict[str, int]
    """How often each span was entered in an iteration."""
    sites: list[Site]
    """Of one iteration; the longest first."""
    hot: list[Hot]
    full: bool
    """Whether there were more operations than could be recorded."""
    nets: list[NetFacts]
    constant_inputs: float
    """The share of numbers in the nets' inputs that were the same in every row of every call."""
    threads: int
    cores: int
    busy_cores: float
    """CPU seconds a wall second, children included where they are known."""
    faults: int
    """Pages an iteration that the system had to bring in."""
    fault_us: float
    dispatch_us: float
    matmul_precision: str
    tracks: int
    """Workers beside the coordinating thread."""
    busy_tracks: list[float] = field(default_factory=list)
    """Seconds of an iteration that each worker was at work."""
    decisions: int = 0
    """Of an iteration."""
    learner_samples: int = 0
    """Of an iteration, each as often as it was learnt from."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Evidence:
        """What `to_json` wrote."""
        fields = dict(document)
        fields["sites"] = [_site(site) for site in document["sites"]]
        fields["hot"] = [Hot(**{**hot, "where": Where(**hot["where"])}) for hot in document["hot"]]
        fields["nets"] = [NetFacts(**net) for net in document["nets"]]
        return cls(**fields)

    def share(self, seconds: float) -> float:
        """Of an iteration."""
        return seconds / self.iteration_s if self.iteration_s else 0.0

    def seconds(self, prefix: str) -> float:
        """Of all phases under this name."""
        return sum(spent for name, spent in self.phases.items() if name == prefix or name.startswith(prefix + "."))

    def entered(self, phase: str) -> int:
        """How often, once at least."""
        return max(self.samples.get(phase, 1), 1)


def gather(trainer: Trainer, clock: Clock) -> Evidence:
    """Run a few iterations and look at them: timed, then with every operation recorded, then with looks at Python."""
    trainer.iterate(clock)
    plain = _plain(trainer, clock)
    seen = Operations(lambda: clock.open_path, lambda: clock.open_mark)
    with _watching(trainer.nets) as calls, seen:
        trainer.iterate(clock)
    hot = _hot_lines(lambda: trainer.iterate(clock), clock, at_least_s=1.0)
    clock.lap()
    return Evidence(
        **plain,
        sites=seen.sites[:400],
        hot=hot,
        full=seen.full,
        nets=[_facts(name, net, calls.get(name, [])) for name, net in trainer.nets.items()],
        constant_inputs=_constant([inputs for given in calls.values() for inputs in given]),
        threads=seen.threads,
        cores=cores(),
        fault_us=fault_us(),
        dispatch_us=dispatch_us(),
        matmul_precision=torch.get_float32_matmul_precision(),
    )


def _plain(trainer: Trainer, clock: Clock) -> dict[str, Any]:
    """What timing alone shows."""
    clock.lap()
    budget, counts, count, before = Budget(), Counts(), 0, usage()
    while count < PLAIN and (count == 0 or budget.wall_s < PLAIN_S):
        counts += trainer.iterate(clock).counts
        budget += clock.lap()
        count += 1
    cpu_s, faults, seconds = (now - then for now, then in zip(usage(), before, strict=True))
    phases = {phase.name: phase.seconds / count for phase in budget.phases}
    return {
        "iteration_s": budget.wall_s / count,
        "phases": phases | {"unaccounted": budget.unaccounted / count},
        "samples": {name: spent.samples // count for name, spent in budget.spans.items()},
        "faults": round(faults / count),
        "busy_cores": cpu_s / seconds,
        "tracks": len(budget.tracks),
        "busy_tracks": [_busy_s(track) / count for track in budget.tracks.values()],
        "decisions": counts.decisions // count,
        "learner_samples": counts.learner_samples // count,
    }


def _busy_s(track: Budget) -> float:
    """Of a worker: all that it timed but waiting."""
    return sum(phase.seconds for phase in track.phases if phase.name not in WAITING)


def usage() -> tuple[float, int, float]:
    """CPU seconds and page faults of this process, and the time, to take differences of."""
    times = os.times()
    return times.user + times.system, resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()


def _hot_lines(work: Callable[[], object], clock: Clock, at_least_s: float) -> list[Hot]:
    began = time.perf_counter()
    with HotLines(lambda: clock.open_path) as found:
        work()
        while time.perf_counter() - began < at_least_s:
            work()
    return found.lines[:100]


@contextmanager
def _watching(nets: Mapping[str, nn.Module], most: int = 8) -> Iterator[dict[str, list[Inputs]]]:
    """The inputs of the first calls of each net, copied."""
    calls: dict[str, list[Inputs]] = {}

    def keep(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, inputs: Any) -> None:
            kept = calls.setdefault(name, [])
            if len(kept) < most:
                kept.append(mapped(inputs, lambda tensor: tensor.detach().clone()))

        return hook

    hooks = [net.register_forward_pre_hook(keep(name)) for name, net in nets.items()]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _facts(name: str, net: nn.Module, calls: Sequence[Inputs]) -> NetFacts:
    parameters = sum(parameter.numel() for parameter in net.parameters())
    dead: dict[str, int] = {}
    if calls and parameters < 5_000_000:
        dead = silent_weights(copy.deepcopy(net).cpu(), mapped(calls[0], Tensor.cpu), torch.Generator()).dead
    return NetFacts(name, parameters, sum(dead.values()), sorted(dead, key=lambda part: -dead[part])[:5])


def _constant(calls: Sequence[Inputs]) -> float:
    """The share of columns in the floating inputs that never differ, in any row of any call."""
    rows: dict[str, list[Tensor]] = {}
    for inputs in calls:
        for name, tensor in named_tensors(inputs):
            if tensor.is_floating_point() and tensor.dim() >= 2:
                rows.setdefault(f"{name}{tuple(tensor.shape[1:])}", []).append(tensor.flatten(1).cpu())
    columns = constant = 0
    for parts in rows.values():
        together = torch.cat(parts)
        if len(together) >= 16:
            columns += together.shape[1]
            constant += int((together == together[0]).all(0).sum())
    return constant / columns if columns else 0.0


def fault_us() -> float:
    """What it costs to have the system bring in a page."""
    memory = mmap.mmap(-1, _PAGES * mmap.PAGESIZE)
    began = time.perf_counter()
    for page in range(0, _PAGES * mmap.PAGESIZE, mmap.PAGESIZE):
        memory[page] = 1
    touched = time.perf_counter() - began
    began = time.perf_counter()
    for page in range(0, _PAGES * mmap.PAGESIZE, mmap.PAGESIZE):
        memory[page] = 2
    again = time.perf_counter() - began
    memory.close()
    return max(touched - again, 0.0) / _PAGES * 1e6


def _site(document: Mapping[str, Any]) -> Site:
    fields = dict(document)
    fields["where"] = Where(**document["where"])
    fields["shapes"] = tuple(tuple(shape) for shape in document["shapes"])
    return Site(**fields)
