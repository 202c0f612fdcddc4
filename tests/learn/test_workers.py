"""Workers in a ring: what they tell each other, who gets in, and what each of them has."""

from __future__ import annotations

import dataclasses
import math
import socket
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from together import SECRET, all_at_once
from velodrome.learn.adam import Adam
from velodrome.learn.coma import Coma
from velodrome.learn.lanes import Lanes, refuse_batch_statistics
from velodrome.learn.ppo import Ppo
from velodrome.learn.step import step
from velodrome.learn.workers import (
    WorkerGone,
    Workers,
    common_of,
    here,
    joined,
    own_of,
    seed_of,
    whole_of,
)
from velodrome.meter.clock import Clock
from velodrome.recipes import find
from velodrome.recipes.shares import share_of
from velodrome.runs.parcel import Parcel
from velodrome.runs.segments import Segments, Stored


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_all_are_shown_what_each_brings(count: int) -> None:
    def work(workers: Workers) -> Any:
        return workers.exchange(np.array([[workers.index, 0.5], [-workers.index, math.inf]]))

    expected = [row for index in range(count) for row in ([index, 0.5], [-index, math.inf])]
    for shown in all_at_once(count, work):
        np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("numbers", [1, 4, 1001])
def test_the_mean_is_the_same_in_all_bit_for_bit(count: int, numbers: int) -> None:
    brought = torch.randn(count, numbers, generator=torch.Generator().manual_seed(1))

    def work(workers: Workers) -> Any:
        mean = brought[workers.index].clone()
        clock = Clock()
        workers.average(mean, clock)
        return mean, {phase.name for phase in clock.budget().phases}

    found = all_at_once(count, work)
    torch.testing.assert_close(found[0][0], brought.mean(0))
    for mean, phases in found:
        assert torch.equal(mean, found[0][0])
        assert phases == ({"sync", "wait"} if count > 1 else set())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_step_goes_down_the_mean_gradient(count: int) -> None:
    targets = torch.tensor([2.0, 5.0, -1.0])[:count]

    def work(workers: Workers) -> Any:
        weight, idle = (nn.Parameter(torch.zeros(2)) for _ in range(2))
        optimizer = torch.optim.SGD([weight, idle], 0.5)
        norm = step((weight[0] - targets[workers.index]).square() / 2, optimizer, Clock())
        return weight.tolist(), idle.tolist(), float(norm)

    mean = float(targets.mean())
    assert all_at_once(count, work) == [([mean / 2, 0.0], [0.0, 0.0], pytest.approx(abs(mean)))] * count


def test_the_lanes_own_optimizer_does_so_too() -> None:
    def work(workers: Workers) -> Any:
        weight = nn.Parameter(torch.zeros(3))
        optimizer, lanes = Adam([weight], rate=0.1, small=1.0), Lanes(1, {})
        weight.grad = torch.tensor([1.0, 2.0, 3.0]) * (workers.index + 1)
        optimizer.bring(0, [weight])
        optimizer.average(lanes, Clock())
        norm = optimizer.step(lanes)
        return norm, weight.detach().clone(), lanes.exchange(float(workers.index))[:, 0].tolist()

    alone = Adam([weight := nn.Parameter(torch.zeros(3))], rate=0.1, small=1.0)
    weight.grad = torch.tensor([1.5, 3.0, 4.5])
    alone.bring(0, [weight])
    norm = alone.step(Lanes(1, {}))
    for found in all_at_once(2, work):
        assert found[0] == norm
        assert torch.equal(found[1], weight)
        assert found[2] == [0.0, 1.0]


def test_who_waits_for_one_that_has_left_is_told() -> None:
    left = threading.Event()

    def work(workers: Workers) -> str:
        if workers.index == 1:
            workers.leave()
            left.set()
            return "left"
        left.wait()
        with pytest.raises(WorkerGone):
            workers.average(torch.zeros(3), Clock())
        return "told"

    assert all_at_once(2, work) == ["told", "left"]


def test_who_waits_looks_around() -> None:
    def look() -> None:
        raise WorkerGone("seen")

    ours, theirs = socket.socketpair()
    workers = Workers(0, 2, look)
    workers._before = workers._after = ours
    with pytest.raises(WorkerGone, match="seen"):
        workers.exchange(np.zeros((1, 1)))
    theirs.close()
    workers.leave()
    with pytest.raises(WorkerGone, match="open"):
        workers.exchange(np.zeros((1, 1)))


@pytest.mark.parametrize("said", [b"", b"let me in", bytes(24), SECRET + (1).to_bytes(8, "big")])
def test_nobody_else_gets_in(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stranger = socket.create_connection(listener.getsockname())
        stranger.sendall(said)
        stranger.shutdown(socket.SHUT_WR)
        looks: list[int] = []

        def look() -> None:
            looks.append(1)
            if len(looks) == 2:
                raise WorkerGone("nobody came")

        with pytest.raises(WorkerGone, match="nobody came"):
            Workers(0, 3, look)._admitted(listener, SECRET + (2).to_bytes(8, "big"))
        stranger.close()


def test_settings_are_shared_out() -> None:
    hearts = find("hearts").settings()
    settings = dataclasses.replace(hearts, games=6, ppo=Ppo(batch=100, minibatch=50, epochs=3))
    shared = share_of(settings, 3)
    assert (shared.games, shared.ppo.batch, shared.ppo.minibatch, shared.ppo.epochs) == (2, 34, 17, 3)
    assert dataclasses.replace(shared, games=6, ppo=settings.ppo) == settings
    assert share_of(hearts, 1) == hearts
    assert share_of(Coma(explore_steps=10), 4).explore_steps == 3
    with pytest.raises(ValueError, match="games 6 cannot be shared out among 4 workers; give --games 8"):
        share_of(settings, 4)


def test_every_worker_has_a_seed_of_its_own() -> None:
    assert seed_of(7, 0) == 7
    seeds = {seed_of(seed, worker) for seed in range(50) for worker in range(1, 50)}
    assert len(seeds) == 50 * 49
    assert not seeds & set(range(50))


def test_a_state_is_what_is_common_and_what_is_ones_own() -> None:
    own = {"lanes": [1], "generator": 2}
    common = {"nets": {"net": 3}, "iteration": 4}
    assert common_of(common | own) == common
    assert own_of(common | own) == own
    stages = {"iteration": 1, "stages": [common | own, {"pool": 5}]}
    assert whole_of(common_of(stages), own_of(stages)) == stages
    assert own_of(stages) == {"stages": [own, {}]}


def test_parcels_hold_what_was_packed() -> None:
    chunks = Segments([{"seen": torch.arange(6).view(2, 3)[:, 1:]}, {"seen": np.zeros(2, np.int8)}])
    chunks.mark_stored(0, Stored("elsewhere", None))
    opened = Parcel.of({"replay": [chunks], "n": (1, None, math.inf), "weight": torch.ones(2)}).open()
    assert (opened["n"], opened["weight"].tolist()) == ((1, None, math.inf), [1.0, 1.0])
    (replay,) = opened["replay"]
    assert replay[0]["seen"].tolist() == [[1, 2], [4, 5]]
    assert (replay[1]["seen"].dtype, len(replay)) == (np.int8, 2)
    assert [replay.stored(index) for index in range(2)] == [None, None]
    assert chunks.stored(0) == Stored("elsewhere", None)


def test_running_batch_statistics_are_for_one_worker() -> None:
    net = nn.Sequential(nn.BatchNorm1d(2))
    refuse_batch_statistics(net, lanes=1)
    with joined(Workers(0, 2)), pytest.raises(ValueError, match="worker to worker"):
        refuse_batch_statistics(net, lanes=1)
    assert here().count == 1
