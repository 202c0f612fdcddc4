"""Processes that share one trainer's work: each lane has its own games, its own gradients, one core.

On a small machine this beats threads. Torch's own split every single operator, and most operators of a small net are
over before a second thread has woken; threads of ours would queue for Python's lock between them. The lanes beside the
first are forked from this process when work first begins, so they have what it has at no cost. They see each other
through the memory that was shared before, and meet by looking at it: a sleeping process wakes too late.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import mmap
import os
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from velodrome.games.game import Game
from velodrome.learn.trainer import Counts, Progress
from velodrome.learn.workers import here
from velodrome.meter.clock import Clock
from velodrome.mistake import Mistake

ROOM = 64
"""Numbers that a lane can show the others at a time."""
LOOKS, YIELDS, NAP_S = 4000, 2000, 5e-5
"""How a lane waits for another: by looking, then letting others run between two looks, then in short naps."""
_LINE = 8
"""Numbers in a cache line; each lane's counter has one of its own."""


def shared_zeros(*shape: int) -> Tensor:
    """Memory that the lanes will have in common, if it is made before the first work."""
    numbers = int(np.prod(shape))
    return torch.frombuffer(mmap.mmap(-1, max(4 * numbers, 1)), dtype=torch.float32, count=numbers).view(shape)


def possible(device: str) -> bool:
    """Whether there can be more than one lane: on a GPU, and without `fork`, there cannot."""
    return torch.device(device).type == "cpu" and hasattr(os, "fork")


def refuse_uneven(lanes: int, games: int, minibatch: int) -> None:
    """Raise a ValueError if lanes could not share these alike."""
    if games % lanes or minibatch % lanes:
        raise ValueError(f"games {games} and minibatch {minibatch} must divide by lanes={lanes}")


def refuse_batch_statistics(net: nn.Module, lanes: int) -> None:
    """Raise a ValueError if a net keeps running batch statistics that lanes or workers would each have of their own."""
    if not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in net.modules()):
        return
    if lanes > 1:
        raise ValueError(f"lanes={lanes}: running batch statistics would differ from lane to lane; use lanes=1")
    if here().count > 1:
        raise ValueError("running batch statistics would differ from worker to worker; use one worker")


def share_of(game: Game, lane: int, lanes: int) -> Game:
    """The games of a lane."""
    share = game.games // lanes
    return game if lanes == 1 else game.again(share, first=game.first + lane * share)


def lanes_seed(seed: int, lane: int) -> int:
    """That of what is random in a lane."""
    return seed * 1009 + lane


class Dice:
    """Torch's own random state in a lane; that of the first belongs to the process."""

    def __init__(self, seed: int, lane: int):
        self.first = lane == 0
        self.saved = None if self.first else torch.Generator().manual_seed(lanes_seed(seed, lane)).get_state()
        """Where this lane is to go on."""

    def take_up(self) -> None:
        """Before any work of the lane."""
        if self.saved is not None:
            torch.set_rng_state(self.saved)
            self.saved = None

    def state(self) -> dict[str, Any]:
        """As a plain array: it may come from another process."""
        return {} if self.first else {"torch": torch.get_rng_state().numpy()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on there."""
        self.saved = None if self.first else torch.as_tensor(state["torch"])


class LaneGone(Mistake):
    """A lane's process has ended, and its trainer with it: what was not saved is lost."""

    def __init__(self) -> None:
        super().__init__(
            "a process of this training has ended, perhaps killed for want of memory: resume the run from its last "
            "checkpoint"
        )


class Lanes:
    """`run` does a named piece of work in every lane at once; the first lane is this process."""

    def __init__(self, count: int, work: Mapping[str, Callable[..., Any]]):
        """Work is called as `work(clock, *arguments)`, and reads in `index` which lane it is in.

        Methods are held weakly: lanes that are their owner's end with it, and do not keep it.
        """
        if count < 1:
            raise ValueError(f"lanes={count}: at least one is needed")
        self.count, self.index, self.workers = count, 0, here()
        self._work, self._parent = {name: _weakly(each) for name, each in work.items()}, os.getpid()
        self._others: list[tuple[int, Connection]] = []
        lanes = count * (1 + self.workers.count)
        self._memory = mmap.mmap(-1, 8 * (_LINE * (count + 1) + lanes * ROOM))
        self._counters = memoryview(self._memory).cast("q")
        """How often each lane has arrived; behind the last one's, whether the work is given up."""
        board: NDArray[np.float64] = np.frombuffer(self._memory, np.float64, lanes * ROOM, 8 * _LINE * (count + 1))
        self._board, self._everyone = np.split(board.reshape(lanes, ROOM), [count])
        """What the lanes show each other; what those of all workers do."""
        self._fence = threading.Lock()
        self._end = weakref.finalize(self, _end, self._others)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """With several lanes, torch may use one thread in each of them while this lasts."""
        before = torch.get_num_threads()
        if self.count > 1:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def run(self, name: str, clock: Clock, *arguments: Any) -> list[Any]:
        """What this work returned in each lane. What the other lanes did with their time is listed beside this one's;
        waking them and waiting for them is `wait`."""
        if self.count == 1:
            return [self._work[name]()(clock, *arguments)]
        try:
            with clock("wait"):
                if not self._others:
                    self._fork()
                with _talking():
                    for _, pipe in self._others:
                        pipe.send((name, clock.settings(), arguments))
            own = self._work[name]()(clock, *arguments)
            with clock("wait"), _talking():
                answers = [pipe.recv() for _, pipe in self._others]
            failures = [answer for answer in answers if isinstance(answer, str)]
            if failures:
                raise RuntimeError(failures[0])
        except _GivenUp:
            failure = self._failure()
            self.close()
            raise failure from None
        except BaseException:
            self.close()
            raise
        for lane, (_, spent) in enumerate(answers, 1):
            clock.take_over(f"lane {lane}", spent)
        return [own] + [found for found, _ in answers]

    def iterate(self, clock: Clock) -> Progress:
        """The work of this name in all lanes, each of which returns its counts and the metrics of all."""
        with self.alone():
            found = self.run("iterate", clock)
        counts = Counts()
        for own, _ in found:
            counts += own
        return Progress(counts, found[0][1])

    def meet(self) -> None:
        """Wait until every lane has come here; what they wrote before is then there for all to see."""
        if self.count == 1:
            return
        counters, own = self._counters, _LINE * self.index
        with self._fence:  # on some processors, what was written earlier could otherwise be seen later
            turn = counters[own] + 1
            counters[own] = turn
        for lane in range(self.count):
            if lane != self.index:
                self._wait_for(_LINE * lane, turn)
        with self._fence:
            pass

    def gather(self, clock: Clock) -> None:
        """Wait until the lanes of all workers have come here; nothing where there is one worker."""
        if self.workers.count > 1:
            with clock("wait"):
                self.exchange()

    def exchange(self, *values: float) -> NDArray[np.float64]:
        """The values that every lane of every worker calls this with, `[lanes, n]`, worker by worker."""
        shown = self.show(*values)
        if self.workers.count == 1:
            return self.workers.exchange(shown)
        if self.index == 0:
            self._everyone[:, : len(values)] = self.workers.exchange(shown)
        self.meet()
        shown = self._everyone[:, : len(values)].copy()
        self.meet()
        return shown

    def spread(self, *parts: Tensor) -> list[tuple[int, float, float]]:
        """How many of these numbers all lanes of all workers have, their mean, and their variance; of each part."""
        doubles = [part.double() for part in parts]
        sums = [number for part in doubles for number in (len(part), float(part.sum()), float(part @ part))]
        return [
            (int(n), total / max(n, 1), (squares - total**2 / max(n, 1)) / max(n - 1, 1))
            for n, total, squares in self.exchange(*sums).sum(0).reshape(-1, 3).tolist()
        ]

    def show(self, *values: float) -> NDArray[np.float64]:
        """The values that every lane of this worker calls this with, `[lanes, n]`."""
        self._board[self.index, : len(values)] = values
        self.meet()
        shown = self._board[:, : len(values)].copy()
        self.meet()
        return shown

    def close(self) -> None:
        """End the other lanes; the next work begins with new ones, which know what this process knows."""
        self._counters[_LINE * self.count] = 1
        _end(self._others)
        self._counters[_LINE * self.count] = 0

    def _wait_for(self, counter: int, turn: int) -> None:
        counters, given_up, looks = self._counters, _LINE * self.count, 0
        while counters[counter] < turn:
            looks += 1
            if looks < LOOKS:
                continue
            if counters[given_up] or self._alone_in_the_world(looks):
                raise _GivenUp
            if looks < LOOKS + YIELDS:
                os.sched_yield()
            else:
                time.sleep(NAP_S)

    def _alone_in_the_world(self, looks: int) -> bool:
        """Whether a process that is waited for is gone; asked now and then."""
        if looks % 1000:
            return False
        if self.index:
            return os.getppid() != self._parent
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return any(os.waitid(os.P_PID, child, ended) is not None for child, _ in self._others)

    def _failure(self) -> Exception:
        """What a lane said of its failure before it ended, if one did."""
        self._counters[_LINE * self.count] = 1
        for _, pipe in self._others:
            with contextlib.suppress(EOFError, OSError):
                answer = pipe.recv() if pipe.poll(1.0) else None
                if isinstance(answer, str):
                    return RuntimeError(answer)
        return LaneGone()

    def _fork(self) -> None:
        self._counters[: _LINE * self.count] = memoryview(bytes(8 * _LINE * self.count)).cast("q")
        gc.collect()
        gc.freeze()  # a collection in one process would copy the memory that it has in common with the others
        try:
            for lane in range(1, self.count):
                here, there = Pipe()
                child = os.fork()
                if child == 0:
                    self._serve(lane, there, [here, *(pipe for _, pipe in self._others)])
                there.close()
                self._others.append((child, here))
        finally:
            gc.unfreeze()

    def _serve(self, lane: int, pipe: Connection, of_parent: Sequence[Connection]) -> None:
        """The life of another lane; it never returns."""
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for each in of_parent:
                each.close()
            self._end.detach()
            self.index = lane
            torch.set_num_threads(1)
            while True:
                name, settings, arguments = pipe.recv()
                clock = Clock(**settings)
                try:
                    found = self._work[name]()(clock, *arguments)
                    pipe.send((found, clock.hand_over()))
                except Exception:
                    self._counters[_LINE * self.count] = 1
                    pipe.send(f"lane {lane} failed:\n{traceback.format_exc()}")
        except (EOFError, OSError, _GivenUp):
            code = 0  # the first lane is gone, or has given up
        finally:
            os._exit(code)


class _GivenUp(BaseException):
    """Another lane will not come."""


def _weakly(work: Callable[..., Any]) -> Callable[[], Any]:
    """What gives the work when it is called, as long as its owner is there."""
    return weakref.WeakMethod(work) if inspect.ismethod(work) else lambda: work


@contextlib.contextmanager
def _talking() -> Iterator[None]:
    """While lanes talk: one that does not answer is gone."""
    try:
        yield
    except (EOFError, OSError):
        raise _GivenUp from None


def _end(others: list[tuple[int, Connection]]) -> None:
    for child, pipe in others:
        pipe.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
    others.clear()
