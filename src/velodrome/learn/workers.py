"""Workers: trainers in processes of their own, perhaps on other machines, that learn one net together.

Each plays games of its own. Where one takes a step all do, down the mean of their gradients, so their weights stay the
same bit for bit. Trainers need not know of it: the optimizer step and the lanes ask `here` which worker this process
is.

Workers stand in a ring and talk over TCP, each to the next. Sums are formed part by part on their way around, in one
order, and what is ready goes around once more: nobody sends or adds up more than anyone else.
"""

from __future__ import annotations

import hmac
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from velodrome.meter.clock import Clock

LOOK_S = 0.2
"""How often who waits looks whether those waited for are still there."""
NUMBER_BYTES = 4
"""Of a gradient's numbers."""
GREETING = 8
"""Bytes by which a worker says which one it is, after the secret."""
COMMON = {"average", "before", "data", "device", "expert", "iteration", "moments", "net", "nets"}
COMMON |= {"optimizer", "optimizers", "pool", "slow", "targets", "updates"}
"""Names under which trainers' states hold what is the same in all workers. All else is each one's own."""


class WorkerGone(Exception):
    """Another worker has left, or cannot be reached."""


class Workers:
    """All who learn together, as one of them sees it; made by itself it is the only one."""

    def __init__(self, index: int = 0, count: int = 1, watch: Callable[[], None] = lambda: None):
        """`watch` is called now and then while others are waited for, and may raise what became of them."""
        self.index, self.count, self.watch = index, count, watch
        self.told = {"steps": 0, "numbers": 0, "exchanges": 0}
        """How many means of how many numbers were asked for so far, and exchanges: a worker alone counts them, too."""
        self._before: socket.socket | None = None
        self._after: socket.socket | None = None

    def join(self, listener: socket.socket, addresses: Sequence[tuple[str, int]], secret: bytes) -> None:
        """Stand in the ring: `addresses` are those at which the workers listen, in their order. Nobody who does not
        know the secret gets in."""
        if self.count == 1:
            return
        after = (self.index + 1) % self.count
        try:
            self._after = socket.create_connection(addresses[after])
            self._after.sendall(secret + self.index.to_bytes(GREETING, "big"))
        except OSError as error:
            raise WorkerGone(f"worker {after} cannot be reached: {error}") from error
        before = (self.index - 1) % self.count
        self._before = self._admitted(listener, secret + before.to_bytes(GREETING, "big"))
        for each in (self._before, self._after):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.setblocking(False)

    def _admitted(self, listener: socket.socket, expected: bytes) -> socket.socket:
        listener.settimeout(LOOK_S)
        while True:
            try:
                found, _ = listener.accept()
            except TimeoutError:
                self.watch()
                continue
            found.settimeout(1.0)
            try:
                if hmac.compare_digest(_read(found, len(expected)), expected):
                    return found
            except OSError:
                pass
            found.close()

    def leave(self) -> None:
        """Hang up; the others find this worker gone."""
        for each in (self._before, self._after):
            if each is not None:
                each.close()
        self._before = self._after = None

    def gather(self, clock: Clock) -> None:
        """Wait until every worker has come here."""
        if self.count > 1:
            with clock("wait"):
                self.exchange(np.zeros((1, 0)))

    def exchange(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rows of all workers, one below the other in their order; everyone brings as many."""
        self.told["exchanges"] += 1
        if self.count == 1:
            return rows
        shown = np.zeros((self.count, rows.size + 1))
        shown[self.index, 1:] = rows.reshape(-1)
        for turn in range(self.count - 1):
            mine, others = (self.index - turn) % self.count, (self.index - turn - 1) % self.count
            self._pass_on(shown[mine], shown[others])
        return shown[:, 1:].reshape(self.count * len(rows), *rows.shape[1:])

    def together(self, sums: Tensor) -> Tensor:
        """What such vectors of all workers add up to."""
        if self.count == 1:
            self.told["exchanges"] += 1
            return sums
        shown = self.exchange(sums.detach().cpu().double().numpy()[None])
        return torch.from_numpy(shown.sum(0)).to(sums)

    def average(self, vector: Tensor, clock: Clock) -> None:
        """Turn a vector into the mean of all workers', in place."""
        self.count_step(vector.numel())
        if self.count == 1:
            return
        self.gather(clock)
        with clock("sync"):
            mean = vector.detach().cpu().contiguous()
            self.add_up(mean.numpy())
            mean /= self.count
            if mean.data_ptr() != vector.data_ptr():
                vector.copy_(mean)

    def count_step(self, numbers: int) -> None:
        """Note that the mean of so many numbers was asked for."""
        self.told["steps"] += 1
        self.told["numbers"] += numbers

    def add_up(self, numbers: NDArray[Any]) -> None:
        """Turn an array of numbers into the sum of all workers', in place."""
        parts, came = np.array_split(numbers, self.count), np.empty_like(numbers[: -(-len(numbers) // self.count)])
        for turn in range(self.count - 1):
            adding = parts[(self.index - turn - 1) % self.count]
            self._pass_on(parts[(self.index - turn) % self.count], came[: len(adding)])
            np.add(came[: len(adding)], adding, out=adding)
        for turn in range(self.count - 1):
            ready, coming = (self.index + 1 - turn) % self.count, (self.index - turn) % self.count
            self._pass_on(parts[ready], parts[coming])

    def _pass_on(self, out: NDArray[Any], into: NDArray[Any]) -> None:
        """Send to the next worker while receiving from the one before."""
        before, after = self._before, self._after
        if before is None or after is None:
            raise WorkerGone("the ring is open")
        going, coming, sent, got = out.view(np.uint8).data, into.view(np.uint8).data, 0, 0
        try:
            while sent < len(going) or got < len(coming):
                writes = [after] if sent < len(going) else []
                reads = [before] if got < len(coming) else []
                can_read, can_write, _ = select.select(reads, writes, [], LOOK_S)
                if can_write:
                    sent += after.send(going[sent:])
                if can_read:
                    new = before.recv_into(coming[got:])
                    if not new:
                        raise WorkerGone("a worker has hung up")
                    got += new
                if not can_read and not can_write:
                    self.watch()
        except OSError as error:
            raise WorkerGone(f"a worker cannot be reached: {error}") from error


def _read(found: socket.socket, length: int) -> bytes:
    said = b""
    while len(said) < length and (more := found.recv(length - len(said))):
        said += more
    return said


_alone = Workers()
_here: ContextVar[Workers] = ContextVar("workers")


def here() -> Workers:
    """The worker that this process is; the only one, unless it has joined others."""
    return _here.get(_alone)


@contextmanager
def joined(workers: Workers) -> Iterator[None]:
    """This process, or this thread of it, is one of these workers meanwhile."""
    before = _here.set(workers)
    try:
        yield
    finally:
        _here.reset(before)


def average_gradients(parameters: Sequence[nn.Parameter], clock: Clock) -> None:
    """Let every parameter's gradient be the mean over all workers; where there is none it counts as zero."""
    workers = here()
    if workers.count == 1:
        workers.count_step(sum(parameter.numel() for parameter in parameters))
        return
    with clock("sync"):
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        whole = torch.cat([gradient.reshape(-1) for gradient in gradients])
    workers.average(whole, clock)
    with clock("sync"):
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, torch.split(whole, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))


def common_of(state: dict[str, Any]) -> dict[str, Any]:
    """What of a trainer's state is the same in all workers."""
    found = {name: part for name, part in state.items() if name in COMMON}
    return found | ({"stages": [common_of(each) for each in state["stages"]]} if "stages" in state else {})


def own_of(state: dict[str, Any]) -> dict[str, Any]:
    """What of a trainer's state is this worker's own: its games, its memory, its random states."""
    found = {name: part for name, part in state.items() if name not in COMMON | {"stages"}}
    return found | ({"stages": [own_of(each) for each in state["stages"]]} if "stages" in state else {})


def whole_of(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The state that these two are of."""
    if "stages" not in common:
        return common | own
    stages = [whole_of(*each) for each in zip(common["stages"], own["stages"], strict=True)]
    return common | own | {"stages": stages}


def seed_of(seed: int, worker: int) -> int:
    """A worker's own seed; the first has the run's."""
    return seed if worker == 0 else int(np.random.SeedSequence(seed, spawn_key=(worker,)).generate_state(1)[0])
