"""What a net costs: parameters, FLOPs, bytes, latency, share of the machine's ceiling, and weights that do nothing."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from velodrome.meter.card_table import table
from velodrome.meter.components import Stopwatch, component_names
from velodrome.meter.flops import Count, count_flops
from velodrome.meter.machine import Machine, Processor, machine
from velodrome.meter.tensors import Inputs, named_tensors, rows, with_rows
from velodrome.meter.weights import silent_weights, unset_inputs

WORTH_A_FLAG = 0.1
"""Share of the forward time from which a component without any FLOPs is pointed out."""


@dataclass(frozen=True)
class Component:
    """One part of a net. The parts' parameters and FLOPs add up to the net's."""

    name: str
    parameters: int
    bytes: int
    flops: int | None
    """Per sample; None where it takes time and nothing could be counted."""
    forward_us: float
    """Median at the card's batch size, parts of other components not included. A net that can pass through all of them
    in one operation takes less than their sum."""
    dead_parameters: int


@dataclass(frozen=True)
class Percentiles:
    """Of repeated timings, in microseconds."""

    p50: float
    p95: float


@dataclass(frozen=True)
class Latency:
    """One batch size: how long a pass takes, and what it could not be faster than."""

    batch: int
    forward_us: Percentiles
    train_us: Percentiles | None
    """Forward and backward; None for a net without trained parameters."""
    floor_us: dict[str, float]
    """Of the forward pass by cause: `compute` at the measured matrix rate, `memory` to read weights and inputs and
    write outputs once, `dispatch` for the operations that torch runs."""
    bound: str
    """The cause with the highest floor."""
    ceiling_share: float
    """FLOP/s of the forward pass as a fraction of the measured matrix rate."""


@dataclass(frozen=True)
class Card:
    """FLOPs and activation bytes are per sample; a multiply-add is two FLOPs."""

    name: str
    parameters: int
    frozen_parameters: int
    bytes: int
    flops: int
    activation_bytes: int
    """What autograd keeps for the backward pass."""
    batch: int
    """The batch size of the components' times, and of `forward_us` and `train_us`."""
    components: list[Component]
    latencies: list[Latency]
    dead_parameters: int
    """Weights that the wiring leaves without any gradient."""
    dead: dict[str, int]
    """Elements by parameter."""
    dormant_parameters: int
    """Further ones whose gradient is zero with the present weights only, such as behind a ReLU that is always off."""
    unset_inputs: dict[str, list[int]]
    """Positions never set in the real inputs, if any were given."""
    notes: list[str]
    threads: int
    device: str
    precision: str

    def at(self, batch: int | None = None) -> Latency:
        """The timings at one of the card's batch sizes."""
        wanted = self.batch if batch is None else batch
        for latency in self.latencies:
            if latency.batch == wanted:
                return latency
        measured = ", ".join(str(latency.batch) for latency in self.latencies)
        raise ValueError(f"batch {wanted} was not measured; the card has {measured}")

    def to_json(self) -> dict[str, Any]:
        """As a JSON document; shares are fractions."""
        chosen = dataclasses.asdict(self.at())
        return dataclasses.asdict(self) | {"forward_us": chosen["forward_us"], "train_us": chosen["train_us"]}

    def __str__(self) -> str:
        return "\n".join(table(self))


def card(
    module: nn.Module,
    *inputs: Any,
    name: str | None = None,
    batches: Sequence[int] = (1, 32, 1024),
    samples: Iterable[Inputs] = (),
    depth: int = 1,
    on: Machine | None = None,
) -> Card:
    """Measure a module on example inputs, called as `module(*inputs)`.

    Inputs are tensors, or dicts, lists and tuples of them, with a row per sample first; integers should span their
    range, since random inputs keep to it. `samples` are real inputs, looked through for what is never set. `depth` is
    how many names deep components go. The module itself is left alone: a copy is measured.
    """
    if not batches or min(batches) < 1:
        raise ValueError(f"batches={tuple(batches)}: give at least one batch size, none below 1")
    example = with_rows(inputs, rows(inputs))
    measured = copy.deepcopy(module)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _Measurement(measured, example, depth, on or machine()).card(
            name or type(module).__name__, sorted(set(batches)), samples
        )


class _Measurement:
    def __init__(self, module: nn.Module, inputs: Inputs, depth: int, on: Machine):
        self.module, self.inputs, self.depth, self.rows = module, inputs, depth, rows(inputs)
        self.generator = torch.Generator().manual_seed(0)
        first = next(tensor for _, tensor in named_tensors(inputs))
        self.device = first.device
        self.threads = torch.get_num_threads()
        self.precision = _precision(module)
        self.processor = on.processor(str(self.device), self.threads)
        self.settle: Callable[[], None] = torch.cuda.synchronize if self.device.type == "cuda" else _settled

    def card(self, name: str, batches: Sequence[int], samples: Iterable[Inputs]) -> Card:
        batch = batches[len(batches) // 2]
        self.module.eval()
        counts, operations = count_flops(self.module, self.inputs, self.depth)
        flops = sum(count.flops for count in counts.values()) // self.rows
        times = self._component_us(batch)
        latencies = [self._latency(size, flops, operations) for size in batches]
        activation_bytes = self._in_training(self._activation_bytes) // self.rows
        parameters = list(self.module.parameters())
        silent = self._in_training(lambda: silent_weights(self.module, self.inputs, self.generator))
        return Card(
            name=name,
            parameters=sum(parameter.numel() for parameter in parameters),
            frozen_parameters=sum(parameter.numel() for parameter in parameters if not parameter.requires_grad),
            bytes=sum(parameter.nbytes for parameter in parameters),
            flops=flops,
            activation_bytes=activation_bytes,
            batch=batch,
            components=self._components(counts, times, silent.dead),
            latencies=latencies,
            dead_parameters=sum(silent.dead.values()),
            dead=silent.dead,
            dormant_parameters=sum(silent.dormant.values()),
            unset_inputs=unset_inputs(samples),
            notes=[*_disagreements(counts), *_uncounted(counts, times), *_shared(self.module)],
            threads=self.threads,
            device=str(self.device),
            precision=self.precision,
        )

    def _in_training(self, measure: Callable[[], Any]) -> Any:
        self.module.train()
        try:
            return measure()
        finally:
            self.module.eval()

    def _components(self, counts: dict[str, Count], times: dict[str, float], dead: dict[str, int]) -> list[Component]:
        names = component_names(self.module, self.depth)
        owner = {path: names[path.rpartition(".")[0]] for path, _ in self.module.named_parameters()}
        made = []
        for component, count in counts.items():
            own = [weights for path, weights in self.module.named_parameters() if owner[path] == component]
            uncounted = _is_uncounted(count, times, component)
            made.append(
                Component(
                    name=component,
                    parameters=sum(parameter.numel() for parameter in own),
                    bytes=sum(parameter.nbytes for parameter in own),
                    flops=None if uncounted else count.flops // self.rows,
                    forward_us=times[component],
                    dead_parameters=sum(number for path, number in dead.items() if owner[path] == component),
                )
            )
        return made

    def _component_us(self, batch: int) -> dict[str, float]:
        inputs = with_rows(self.inputs, batch)
        with Stopwatch(self.module, self.depth, self.settle) as stopwatch:
            stopwatch.run(inputs)
            passes = list(_repeated(lambda: stopwatch.run(inputs)))
        return {name: float(np.median([once[name] for once in passes])) / 1e3 for name in passes[0]}

    def _latency(self, batch: int, flops: int, operations: int) -> Latency:
        inputs = with_rows(self.inputs, batch)
        with torch.no_grad():
            forward = self._percentiles(lambda: self.module(*inputs))
            outputs = self.module(*inputs)
        moved = sum(weights.nbytes for weights in self.module.parameters()) + _bytes(inputs) + _bytes(outputs)
        floor = _floor_us(self.processor, self.precision, flops * batch, moved, operations)
        return Latency(
            batch=batch,
            forward_us=forward,
            train_us=self._in_training(lambda: self._train_us(inputs)),
            floor_us=floor,
            bound=max(floor, key=lambda cause: floor[cause]) if floor else "unknown",
            ceiling_share=floor["compute"] / forward.p50 if floor else 0.0,
        )

    def _train_us(self, inputs: Inputs) -> Percentiles | None:
        outputs = [tensor for _, tensor in named_tensors(self.module(*inputs)) if tensor.requires_grad]
        pulls = [torch.ones_like(output) for output in outputs]
        if not outputs:
            return None

        def once() -> None:
            self.module.zero_grad(set_to_none=False)
            made = [tensor for _, tensor in named_tensors(self.module(*inputs)) if tensor.requires_grad]
            torch.autograd.backward(made, pulls)

        return self._percentiles(once)

    def _percentiles(self, work: Callable[[], object]) -> Percentiles:
        def timed_us() -> float:
            began = time.perf_counter_ns()
            work()
            self.settle()
            return (time.perf_counter_ns() - began) / 1e3

        list(_repeated(timed_us, spend_s=0.05, at_least=1, at_most=20))
        times = list(_repeated(timed_us))
        return Percentiles(float(np.percentile(times, 50)), float(np.percentile(times, 95)))

    def _activation_bytes(self) -> int:
        weights = {parameter.untyped_storage().data_ptr() for parameter in self.module.parameters()}
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            outputs = self.module(*self.inputs)  # held until the count is done, so that no storage is used twice
        total = sum(kept.values())
        del outputs
        return total


def _repeated(work: Callable[[], Any], spend_s: float = 0.25, at_least: int = 5, at_most: int = 300) -> Iterator[Any]:
    began = time.perf_counter()
    for number in range(at_most):
        if number >= at_least and time.perf_counter() - began > spend_s:
            return
        yield work()


def _settled() -> None:
    """The CPU has done its work when the call returns."""


def _precision(module: nn.Module) -> str:
    kinds = {parameter.dtype for parameter in module.parameters()}
    if torch.bfloat16 in kinds:
        return "bf16"
    return "fp32" if torch.get_float32_matmul_precision() == "highest" else "fp32-medium"


def _bytes(tensors: Any) -> int:
    return sum(tensor.nbytes for _, tensor in named_tensors(tensors))


def _floor_us(
    processor: Processor | None, precision: str, flops: int, moved_bytes: int, operations: int
) -> dict[str, float]:
    if processor is None:
        return {}
    return {
        "compute": flops / (processor.matrix_gflops[precision] * 1e3),
        "memory": moved_bytes / (processor.bandwidth_gb_per_s * 1e3),
        "dispatch": operations * processor.dispatch_us,
    }


def _is_uncounted(count: Count, times: dict[str, float], component: str) -> bool:
    """Whether a component takes time that no FLOPs explain, and is not made of layers known to have none."""
    unexplained = count.flops == count.lent == 0 and not count.plain
    return unexplained and times[component] > WORTH_A_FLAG * sum(times.values())


def _uncounted(counts: dict[str, Count], times: dict[str, float]) -> Iterator[str]:
    total = sum(times.values())
    for name, count in counts.items():
        if _is_uncounted(count, times, name):
            yield f"{name} takes {times[name] / total:.0%} of the forward time, and no FLOPs were counted in it"


def _disagreements(counts: dict[str, Count]) -> Iterator[str]:
    for name, count in counts.items():
        if not count.agrees:
            yield f"{name}: torch's operations count {count.counted:,} FLOPs, the layers' shapes {count.formula:,}"


def _shared(module: nn.Module) -> Iterator[str]:
    paths: dict[int, list[str]] = {}
    for path, parameter in module.named_parameters(remove_duplicate=False):
        paths.setdefault(id(parameter), []).append(path)
    for same in paths.values():
        if len(same) > 1:
            yield f"{' and '.join(same)} are one parameter, counted once"
