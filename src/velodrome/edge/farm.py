"""Measurements on the machines of a Ray cluster: one at a time on each, which has it for itself."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from velodrome.edge.cluster import cluster
from velodrome.mistake import Mistake
from velodrome.proof.farm import Farm, Here, Work


class Machines:
    """All machines of the cluster that this process is connected to."""

    def __init__(self) -> None:
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        self._idle = deque((node["NodeID"], int(node["Resources"]["CPU"])) for node in nodes)
        if not self._idle:
            raise Mistake("no machine of the cluster has a processor; start one with `ray start --address ...`")

    @property
    def places(self) -> int:
        """How many machines there are."""
        return len(self._idle)

    def __call__(self, work: Work, jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """As machines come free. What one was at when it was lost is done again by another."""
        import ray

        left, running = deque(enumerate(jobs)), dict[Any, tuple[int, tuple[str, int]]]()
        try:
            while left or running:
                while left and self._idle:
                    number, job = left.popleft()
                    machine = self._idle.popleft()
                    running[_begun(machine, work, job)] = number, machine
                if not running:
                    raise Mistake(f"no machine of the cluster is left, and {len(left)} measurements are not made")
                (done,), _ = ray.wait(list(running), num_returns=1)
                number, machine = running.pop(done)
                try:
                    found = ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from None
                except ray.exceptions.RayError:
                    left.appendleft((number, jobs[number]))
                    continue
                self._idle.append(machine)
                yield number, found
        finally:
            for task, (_, machine) in running.items():
                ray.cancel(task, force=True)
                self._idle.append(machine)


def _begun(machine: tuple[str, int], work: Work, job: tuple[Any, ...]) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node, processors = machine
    where = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(_done).options(num_cpus=processors, max_retries=0, scheduling_strategy=where)
    return task.remote(work, job, Path.cwd())


def _done(work: Work, job: tuple[Any, ...], directory: Path) -> Any:
    """On a machine: the work, in the directory where a recipe's file may lie."""
    with contextlib.suppress(OSError):
        os.chdir(directory)
    return work(*job)


@contextmanager
def farm(address: str | None) -> Iterator[Farm]:
    """The machines of the cluster at this address; without one, here."""
    if address is None:
        yield Here()
        return
    with cluster(address, 1):
        yield Machines()
