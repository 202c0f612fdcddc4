"""What this machine can do at most: measured once, kept in the cache folder, and put into every record."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import os
import platform
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

from velodrome.compiled import cache_root
from velodrome.meter.clock import calibrated_span_ns

PRECISIONS = ("fp32", "fp32-medium", "bf16")
"""Single precision, single precision that may multiply in half of it (torch's "medium"), and bfloat16."""

EDITION = 1
"""Goes up when the measurements below change, so that kept ones are taken anew."""

QUIET, MOST_TAKES = 0.1, 4
"""Up to this share of the cores taken by others, a measurement stands; otherwise so many are made."""


@dataclass(frozen=True)
class Processor:
    """The measured ceilings of a CPU with some number of threads, or of a GPU."""

    name: str
    memory_gb: float
    matrix_gflops: Mapping[str, float]
    """Best rate of a large square matrix product by precision, in 1e9 FLOP/s; a multiply-add is two."""
    bandwidth_gb_per_s: float
    """Best rate of a large copy, read and written bytes together."""
    dispatch_us: float
    """A torch operation on one number: what each operation costs however little it does."""


@dataclass(frozen=True)
class Machine:
    """The hardware, the versions, and what they were measured to reach."""

    cores: int
    instructions: str
    versions: Mapping[str, str]
    cpu: Mapping[int, Processor]
    """By number of threads: 1 and all cores."""
    gpu: Processor | None
    handover_us: float
    """From giving an item to a waiting thread until that thread has it."""
    clock_read_ns: float
    span_ns: float
    """One span of `velodrome.Clock`, entered and left."""
    disturbed: float
    """Share of all cores that other programs took meanwhile; ceilings measured beside them are too low."""
    takes: int = 1
    """How many measurements these are the best of."""

    def processor(self, device: str = "cpu", threads: int = 1) -> Processor | None:
        """The ceilings that work on `device` with so many CPU threads runs under."""
        if not device.startswith("cpu"):
            return self.gpu
        return self.cpu[max(measured for measured in self.cpu if measured <= max(threads, 1))]

    def to_json(self) -> dict[str, Any]:
        """As a JSON document. It names the hardware and the versions, and neither host nor folders."""
        document = dataclasses.asdict(self)
        document["cpu"] = {str(threads): processor for threads, processor in document["cpu"].items()}
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Machine:
        """The machine that `to_json` wrote."""
        cpu = {int(threads): Processor(**processor) for threads, processor in document["cpu"].items()}
        gpu = Processor(**document["gpu"]) if document["gpu"] else None
        return cls(**{**document, "cpu": cpu, "gpu": gpu})

    def __str__(self) -> str:
        one = self.cpu[1]
        lines = [
            f"{one.name}, {self.cores} cores, {self.instructions}, {one.memory_gb:.0f} GB",
            ", ".join(f"{name} {number}" for name, number in self.versions.items()),
        ]
        lines += [_line(f"{threads} thread{'s' * (threads > 1)}", cpu) for threads, cpu in self.cpu.items()]
        lines += [_line(self.gpu.name, self.gpu)] if self.gpu else []
        lines.append(
            f"thread hand-over {self.handover_us:.3g} us, clock read {self.clock_read_ns:.3g} ns, "
            f"span {self.span_ns:.3g} ns"
        )
        if self.disturbed > QUIET:
            lines.append(f"measured while other programs took {self.disturbed:.0%} of the cores")
        return "\n".join(lines)


def hardware() -> dict[str, Any]:
    """What this machine is, without measuring what it reaches: for records that must not wait."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": _cpu_name(), "cores": cores(), "memory_gb": round(_memory_gb(), 1), "gpu": gpu, **_versions()}


@functools.cache
def machine() -> Machine:
    """This machine; the first call on it measures for some seconds, later ones read what was kept.

    What was measured beside other programs is measured again by the next processes, a few times at most, and the best
    of all is kept.
    """
    path = cache_root() / "machine" / f"{_key()}.json"
    kept = _kept(path)
    if kept is not None and (kept.disturbed <= QUIET or kept.takes >= MOST_TAKES):
        return kept
    measured = best_of(kept, measure()) if kept else measure()
    _keep(path, measured)
    return measured


def measure() -> Machine:
    """Measure this machine now; takes under 10 seconds."""
    others_s = _seconds_of_others()
    began = time.perf_counter()
    measured = _measure()
    others_s = _seconds_of_others() - others_s
    share = others_s / (time.perf_counter() - began) / cores()
    return dataclasses.replace(measured, disturbed=min(max(share, 0.0), 1.0))


def best_of(one: Machine, other: Machine) -> Machine:
    """The higher of each rate and the lower of each cost, as seen in two measurements of one machine."""
    both = [(cpu, other.cpu[threads]) for threads, cpu in one.cpu.items()]
    return dataclasses.replace(
        one,
        cpu=dict(zip(one.cpu, itertools.starmap(_best_processor, both), strict=True)),
        gpu=_best_processor(one.gpu, other.gpu) if one.gpu and other.gpu else one.gpu,
        handover_us=min(one.handover_us, other.handover_us),
        clock_read_ns=min(one.clock_read_ns, other.clock_read_ns),
        span_ns=min(one.span_ns, other.span_ns),
        disturbed=min(one.disturbed, other.disturbed),
        takes=one.takes + other.takes,
    )


def _best_processor(one: Processor, other: Processor) -> Processor:
    return dataclasses.replace(
        one,
        matrix_gflops={name: max(rate, other.matrix_gflops[name]) for name, rate in one.matrix_gflops.items()},
        bandwidth_gb_per_s=max(one.bandwidth_gb_per_s, other.bandwidth_gb_per_s),
        dispatch_us=min(one.dispatch_us, other.dispatch_us),
    )


def _measure() -> Machine:
    counts = sorted({1, cores()})
    return Machine(
        cores=cores(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        versions=_versions(),
        cpu={threads: _measure_cpu(threads) for threads in counts},
        gpu=_measure_gpu() if torch.cuda.is_available() else None,
        handover_us=_handover_us(),
        clock_read_ns=_each(time.perf_counter_ns, 20_000) * 1e9,
        span_ns=calibrated_span_ns(),
        disturbed=0.0,
    )


def _seconds_of_others() -> float:
    """CPU seconds that programs other than this process have taken since the machine started."""
    times = psutil.cpu_times()._asdict()
    idle = times.get("idle", 0.0) + times.get("iowait", 0.0)
    doubled = times.get("guest", 0.0) + times.get("guest_nice", 0.0)  # counted in user time already
    own = time.process_time()
    return float(sum(times.values()) - idle - doubled - own)


def _key() -> str:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    facts = [EDITION, _cpu_name(), cores(), round(_memory_gb()), _versions(), gpu]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _kept(path: Path) -> Machine | None:
    try:
        return Machine.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none yet, or not as this edition writes it
        return None


def _keep(path: Path, measured: Machine) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    with suppress(OSError):  # a cache that cannot be written is measured anew next time
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(measured.to_json(), indent=1))
        os.replace(beside, path)
    with suppress(OSError):
        beside.unlink()


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in ("torch", "numba", "numpy")}


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gb() -> float:
    return float(psutil.virtual_memory().total) / 1e9


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def dispatch_us() -> float:
    """What a torch operation costs on the CPU however little it does."""
    processor = machine().processor("cpu", 1)
    return processor.dispatch_us if processor is not None else 1.0


def _measure_cpu(threads: int) -> Processor:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _measure_processor(_cpu_name(), _memory_gb(), "cpu", matrix=1024, copied_bytes=2**27)
    finally:
        torch.set_num_threads(before)


def _measure_gpu() -> Processor:
    properties = torch.cuda.get_device_properties()
    memory_gb = properties.total_memory / 1e9
    return _measure_processor(properties.name, memory_gb, "cuda", matrix=8192, copied_bytes=2**30)


def _measure_processor(name: str, memory_gb: float, device: str, matrix: int, copied_bytes: int) -> Processor:
    source = torch.ones(copied_bytes // 4, device=device)
    target = torch.empty_like(source)
    number = torch.ones(1, device=device)
    settle = torch.cuda.synchronize if device == "cuda" else _settled
    return Processor(
        name=name,
        memory_gb=memory_gb,
        matrix_gflops={precision: _matrix_gflops(precision, device, matrix, settle) for precision in PRECISIONS},
        bandwidth_gb_per_s=2 * copied_bytes / 1e9 / _best_s(lambda: target.copy_(source), settle),
        dispatch_us=_each(lambda: number.add_(1), 5_000) * 1e6,
    )


def _matrix_gflops(precision: str, device: str, n: int, settle: Callable[[], None]) -> float:
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = torch.rand(n, n, device=device).to(kind), torch.rand(n, n, device=device).to(kind)
    product = torch.empty_like(left)
    with _float32_precision("medium" if precision == "fp32-medium" else "highest"):
        return 2 * n**3 / 1e9 / _best_s(lambda: torch.mm(left, right, out=product), settle)


@contextmanager
def _float32_precision(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _settled() -> None:
    """The CPU has done its work when the call returns."""


def _best_s(work: Callable[[], object], settle: Callable[[], None], spend_s: float = 0.3) -> float:
    """The shortest of the runs that fit into `spend_s`, at least one: a ceiling is what is reached undisturbed."""
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < spend_s:
        start = time.perf_counter()
        work()
        settle()
        best = min(best, time.perf_counter() - start)
    return best


def _each(work: Callable[[], object], times: int, rounds: int = 5) -> float:
    """Seconds that one call takes when called again and again: the quickest of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            work()
        best = min(best, (time.perf_counter() - began) / times)
    return best


def _handover_us() -> float:
    there: queue.SimpleQueue[bool] = queue.SimpleQueue()
    back: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def answer() -> None:
        while there.get():
            back.put(True)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()

    def both_ways() -> None:
        there.put(True)
        back.get()

    both_ways_s = _each(both_ways, 1_000)
    there.put(False)
    thread.join()
    return both_ways_s / 2 * 1e6


def _line(label: str, processor: Processor) -> str:
    rates = ", ".join(f"{precision} {rate:.3g}" for precision, rate in processor.matrix_gflops.items())
    return (
        f"{label}: {rates} GFLOP/s, memory {processor.bandwidth_gb_per_s:.3g} GB/s, "
        f"dispatch {processor.dispatch_us:.3g} us"
    )
