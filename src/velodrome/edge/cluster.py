"""Workers on Ray: one training in several processes, on this machine or on the machines of a cluster.

This process is the first worker. Ray places the others, starts them and says when one is lost; what workers tell each
other while they learn goes through the ring of `learn.workers`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from velodrome.games.game import Game
from velodrome.learn.session import random_state, set_random_state
from velodrome.learn.trainer import Counts, Exchange, Policy, Progress, Trainer, exchange_of
from velodrome.learn.workers import WorkerGone, Workers, common_of, joined, own_of, whole_of
from velodrome.meter.clock import Clock
from velodrome.mistake import Mistake
from velodrome.recipes.restore import build_from
from velodrome.runs.checkpoint import digest, weights_of
from velodrome.runs.parcel import Parcel
from velodrome.runs.run import Config

LOCAL = "127.0.0.1"
STORE_BYTES = 200 * 2**20
"""Memory in which Ray keeps what travels between processes of this machine."""
ROOM_S, SAYS_S = 600.0, 20.0
"""How long to wait until a cluster has room for all workers, and how often to say so."""

Say = Callable[[str], None]


def refuse_without_ray() -> None:
    """Raise a `Mistake` if Ray is not installed."""
    if find_spec("ray") is None:
        raise Mistake('what runs on Ray needs a package that is not installed; pip install "velodrome[ray]"')


@contextmanager
def cluster(address: str | None, processors: int) -> Iterator[None]:
    """Ray on this machine, for so many processors' work, or the cluster at an address, while this lasts."""
    refuse_without_ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is None:
            local: dict[str, Any] = {
                "num_cpus": processors,
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
            }
            ray.init(address="local", **local, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise Mistake(
            f"--cluster {address}: no cluster of Ray's answers there ({said}); start one with `ray start --head`, and "
            "this on a machine of it"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


class Worker:
    """One of the others, in a process of Ray's."""

    def __init__(self, config: Config, index: int, host: str | None, directory: Path):
        with contextlib.suppress(ValueError):  # Ctrl-C is for the first
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(OSError):  # where a recipe's file or its data may lie
            os.chdir(directory)
        self.config, self.host = config, host
        self.workers = Workers(index, config.workers)
        self.trainer: Trainer

    def listen(self) -> tuple[str, int]:
        """Where the worker before is to call."""
        import ray

        host = self.host or ray.util.get_node_ip_address()
        self.listener = socket.create_server((host, 0))
        return host, self.listener.getsockname()[1]

    def begin(self, addresses: Sequence[tuple[str, int]], secret: bytes) -> None:
        """Join the others, and build the trainer."""
        self.workers.join(self.listener, addresses, secret)
        with joined(self.workers):
            self.trainer = build_from(self.config, worker=self.workers.index)

    def iterate(self, settings: dict[str, Any]) -> tuple[Progress, Any]:
        """One iteration, and what it took."""
        clock = Clock(**settings)
        with joined(self.workers):
            return self.trainer.iterate(clock), clock.hand_over()

    def state(self) -> Parcel:
        """What is this worker's own."""
        weights = digest(weights_of(self.trainer.nets))
        return Parcel.of({"trainer": own_of(self.trainer.state()), "random": random_state(), "digest": weights})

    def load(self, common: Parcel, own: Parcel | None = None) -> None:
        """Take on what is common to all; go on from a state of one's own, or from where the games now stand."""
        state = (own or self.state()).open()
        self.trainer.load(whole_of(common.open(), state["trainer"]))
        set_random_state(state["random"])

    def where(self) -> str:
        """The process, and its machine."""
        return f"process {os.getpid()} on {socket.gethostname()}"


class Others:
    """The workers beside this one, as Ray knows them."""

    def __init__(self, actors: Sequence[Any]):
        self._actors, self._asked = list(actors), list[Any]()

    def __len__(self) -> int:
        return len(self._actors)

    def ask(self, do: str, *arguments: Any) -> None:
        """Have all of them do this."""
        self.ask_each(do, [arguments] * len(self))

    def ask_each(self, do: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        """Have each do this with arguments of its own."""
        pairs = zip(self._actors, arguments, strict=True)
        self._asked = [getattr(actor, do).remote(*own) for actor, own in pairs]

    def answers(self) -> list[Any]:
        """What they answer, in their order; what has failed in one of them is raised."""
        import ray

        asked, self._asked = self._asked, []
        try:
            return list(ray.get(asked)) if asked else []
        except ray.exceptions.RayError as error:
            raise _reason(error) from None

    def missing(self, patience_s: float) -> int:
        """How many have not answered after so long."""
        import ray

        _, left = ray.wait(self._asked, num_returns=len(self._asked), timeout=patience_s)
        return len(left)

    def watch(self, patience_s: float = 0.0) -> None:
        """Raise what has become of one that has failed already, or does so within this time."""
        import ray

        if not self._asked:
            return
        ready, _ = ray.wait(self._asked, num_returns=len(self._asked), timeout=patience_s)
        failures = []
        for each in ready:
            try:
                ray.get(each)
            except ray.exceptions.RayError as error:
                failures.append(_reason(error))
        if failures:  # one that only misses another is not the cause
            raise min(failures, key=lambda failure: isinstance(failure, WorkerGone))

    def end(self) -> None:
        """They have nothing to lose."""
        import ray

        while self._actors:
            ray.kill(self._actors.pop())
        self._asked.clear()


def _reason(error: Exception) -> Exception:
    """What a worker failed of, as it would be here."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Mistake | WorkerGone):
        return cause
    if cause is not None:
        return RuntimeError(f"a worker failed:\n{error}")
    return WorkerGone(" ".join(str(error).split())[:200])


class Fleet:
    """The trainers of all workers, as one: that of this process is the first, and the one that plays."""

    def __init__(self, trainer: Trainer, others: Others):
        self.trainer, self.others = trainer, others
        self._tell(trainer.state(), [()] * len(others))

    @property
    def game(self) -> Game:
        """The first worker's share of the games."""
        return self.trainer.game

    @property
    def nets(self) -> dict[str, nn.Module]:
        """The same in all workers."""
        return self.trainer.nets

    def policy(self, greedy: bool = False) -> Policy:
        """The agent."""
        return self.trainer.policy(greedy)

    def exchange(self) -> Exchange | None:
        """What agents told each other in the first worker's games."""
        return exchange_of(self.trainer)

    def iterate(self, clock: Clock) -> Progress:
        """One iteration of all workers; what the others did with their time is listed beside."""
        with clock("wait"):
            self.others.ask("iterate", clock.settings())
        try:
            own = self.trainer.iterate(clock)
        except WorkerGone:
            self.others.watch(patience_s=5.0)
            raise
        with clock("wait"):
            answers = self.others.answers()
        for index, (_, spent) in enumerate(answers, 1):
            clock.take_over(f"worker {index}", spent)
        return together([own, *(progress for progress, _ in answers)])

    def state(self) -> dict[str, Any]:
        """The first worker's state, and what is each other's own."""
        self.others.ask("state")
        own, weights = [parcel.open() for parcel in self.others.answers()], digest(weights_of(self.nets))
        for index, state in enumerate(own, 1):
            if state.pop("digest") != weights:
                raise RuntimeError(f"the weights of worker {index} have come apart from those of the first")
        return self.trainer.state() | {"workers": own}

    def load(self, state: dict[str, Any]) -> None:
        """Continue, every worker from its own state."""
        saved = state.get("workers", [])
        if len(saved) != len(self.others):
            raise ValueError(f"saved with {len(saved) + 1} workers")
        self.trainer.load(state)
        self._tell(state, [(Parcel.of(own),) for own in saved])

    def _tell(self, state: dict[str, Any], own: Sequence[tuple[Any, ...]]) -> None:
        """Give the others what is common to all, and perhaps what is their own."""
        common = Parcel.of(common_of(state))
        self.others.ask_each("load", [(common, *each) for each in own])
        self.others.answers()


def together(progress: Sequence[Progress]) -> Progress:
    """What the workers' iterations brought: counts add up, metrics are the mean over those who have them."""
    counts, found = Counts(), dict[str, list[float]]()
    for each in progress:
        counts += each.counts
        for name, value in each.metrics.items():
            found.setdefault(name, []).append(value)
    return Progress(counts, {name: sum(values) / len(values) for name, values in found.items()})


def processors_of(config: Config) -> int:
    """What a worker needs: one for each of its lanes, or of its threads."""
    lanes = config.settings.get("lanes", 1)
    return max(config.threads, lanes if isinstance(lanes, int) else 1)


@contextmanager
def fleet(config: Config, address: str | None, say: Say) -> Iterator[Fleet]:
    """All workers of a run at work, under `cluster`."""
    import ray

    host = LOCAL if address is None else ray.util.get_node_ip_address()
    with contextlib.ExitStack() as ends:
        others = _placed(config, LOCAL if address is None else None, ends, say)
        workers = Workers(0, config.workers, others.watch)
        ends.callback(workers.leave)
        listener = ends.enter_context(socket.create_server((host, 0)))
        others.ask("listen")
        addresses, secret = [(host, listener.getsockname()[1]), *others.answers()], secrets.token_bytes(16)
        others.ask("begin", addresses, secret)
        workers.join(listener, addresses, secret)
        ends.enter_context(joined(workers))
        trainer = build_from(config)
        others.answers()
        yield Fleet(trainer, others)


def _placed(config: Config, host: str | None, ends: contextlib.ExitStack, say: Say) -> Others:
    """The other workers' processes, where Ray finds room for them: as far apart as can be."""
    import ray

    needs = {"num_cpus": processors_of(config), "num_gpus": int(torch.device(config.device).type == "cuda")}
    if host is None:
        _seat(needs, ends)
    kind = ray.remote(Worker).options(**needs, scheduling_strategy="SPREAD")
    others = Others([kind.remote(config, index, host, Path.cwd()) for index in range(1, config.workers)])
    ends.callback(others.end)
    others.ask("where")
    until = time.monotonic() + ROOM_S
    while missing := others.missing(SAYS_S):
        if time.monotonic() > until:
            raise Mistake(
                f"the cluster has no room for {missing} of {len(others)} workers of {needs['num_cpus']} processors; "
                "give it more machines, or take fewer --workers"
            )
        say(f"waiting for room for {missing} of {len(others)} workers on the cluster")
    say(f"workers beside this process: {', '.join(others.answers())}")
    return others


class _Seat:
    """Takes the room on its machine that this process needs as the first worker."""

    def taken(self) -> None:
        """It is."""


def _seat(needs: dict[str, int], ends: contextlib.ExitStack) -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    has: dict[str, float] = next((node["Resources"] for node in ray.nodes() if node["NodeID"] == here), {})
    if has.get("CPU", 0) >= needs["num_cpus"] and has.get("GPU", 0) >= needs["num_gpus"]:
        seat = ray.remote(_Seat).options(**needs, scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False))
        taken = Others([seat.remote()])
        ends.callback(taken.end)
        taken.ask("taken")
        taken.missing(SAYS_S)
