from __future__ import annotations

import dataclasses
import json
import platform
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from velodrome.meter import machine as room
from velodrome.meter.machine import Machine, Processor, best_of, machine


@pytest.fixture(scope="module")
def measured() -> Machine:
    return room.measure()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("VELODROME_CACHE", str(tmp_path))
    machine.cache_clear()
    yield tmp_path
    machine.cache_clear()


def made_up(**changes: object) -> Machine:
    cpu = Processor("a cpu", 8.0, {"fp32": 50.0}, 10.0, 1.0)
    many = dataclasses.replace(cpu, matrix_gflops={"fp32": 90.0})
    whole = Machine(4, "AVX2", {"python": "3.11"}, {1: cpu, 4: many}, None, 5.0, 50.0, 500.0, 0.5)
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


def test_every_ceiling_is_measured(measured: Machine) -> None:
    assert set(measured.cpu) == {1, measured.cores}
    for cpu in measured.cpu.values():
        assert set(cpu.matrix_gflops) == set(room.PRECISIONS)
        assert all(0.05 < rate < 1e6 for rate in cpu.matrix_gflops.values())
        assert 0.1 < cpu.bandwidth_gb_per_s < 1e5
        assert 0.05 < cpu.dispatch_us < 1e4
        assert cpu.memory_gb > 0.1
    assert 0.1 < measured.handover_us < 1e5
    assert 1 < measured.clock_read_ns < measured.span_ns
    assert 0 <= measured.disturbed <= 1
    assert measured.versions["torch"] == torch.__version__


def test_measuring_leaves_torch_as_it_was(measured: Machine) -> None:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    room._measure_cpu(1)
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (threads, precision)
    assert not [thread for thread in threading.enumerate() if thread.daemon and "answer" in thread.name]


def test_a_machine_survives_json_and_names_no_host(measured: Machine) -> None:
    text = json.dumps(measured.to_json())
    assert Machine.from_json(json.loads(text)) == measured
    assert platform.node() not in text
    assert "/" not in text
    assert measured.cpu[1].name in str(measured)


def test_it_is_measured_once_and_then_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "measure", lambda: made_up(disturbed=0.0))
    first = machine()
    machine.cache_clear()
    monkeypatch.setattr(room, "measure", lambda: pytest.fail("measured again"))
    assert machine() == first == made_up(disturbed=0.0)
    assert [path.suffix for path in (cache / "machine").iterdir()] == [".json"]


def test_a_disturbed_measurement_is_taken_again_a_few_times(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def measure() -> Machine:
        taken.append(1)
        return made_up(handover_us=10.0 - len(taken))

    monkeypatch.setattr(room, "measure", measure)
    for _ in range(8):
        machine.cache_clear()
        kept = machine()
    assert len(taken) == kept.takes == room.MOST_TAKES
    assert kept.handover_us == 10.0 - room.MOST_TAKES


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cpu": {}, "gpu": null}'])
def test_a_spoilt_cache_file_is_measured_anew(text: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "machine").mkdir()
    (cache / "machine" / f"{room._key()}.json").write_text(text)
    monkeypatch.setattr(room, "measure", made_up)
    assert machine() == made_up()


def test_a_cache_that_cannot_be_written_is_no_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "machine").write_text("in the way")
    monkeypatch.setattr(room, "measure", made_up)
    assert machine() == made_up()


def test_the_best_of_two_takes_the_better_of_each() -> None:
    slow = Processor("a cpu", 8.0, {"fp32": 20.0}, 30.0, 0.5)
    both = best_of(made_up(), made_up(cpu={1: slow, 4: slow}, handover_us=1.0, clock_read_ns=99.0, disturbed=0.2))
    assert both.cpu[1] == Processor("a cpu", 8.0, {"fp32": 50.0}, 30.0, 0.5)
    assert (both.handover_us, both.clock_read_ns, both.disturbed, both.takes) == (1.0, 50.0, 0.2, 2)


@pytest.mark.parametrize(("threads", "rate"), [(0, 50.0), (1, 50.0), (3, 50.0), (4, 90.0), (64, 90.0)])
def test_the_ceiling_is_that_of_the_threads_in_use(threads: int, rate: float) -> None:
    processor = made_up().processor("cpu", threads)
    assert processor is not None
    assert processor.matrix_gflops["fp32"] == rate


def test_a_machine_without_gpu_has_no_ceiling_for_one() -> None:
    assert made_up().processor("cuda") is None
