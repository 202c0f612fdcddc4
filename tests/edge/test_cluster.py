"""Workers on Ray, in real processes, some of which are stopped, killed, or lost with their machine."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from small import flags_for, small
from velodrome.cli import main
from velodrome.edge.farm import farm
from velodrome.mistake import Mistake
from velodrome.recipes import find
from velodrome.recipes.restore import refuse_missing_device
from velodrome.runs.run import Run

pytest.importorskip("ray")

ITERATIONS = 40
PATIENCE_S = 60.0


def command(recipe: str, folder: Path, *flags: str) -> list[str]:
    default = find(recipe).settings()
    own = flags_for(default, small(default))
    return ["train", recipe, "--run", str(folder), "--json", "--save-every", "0", "--threads", "1", *own, *flags]


def trained(capsys: pytest.CaptureFixture[str], *given: str) -> dict[str, Any]:
    code = main(given)
    said = capsys.readouterr()
    assert code == 0, said.err
    document: dict[str, Any] = json.loads(said.out)
    return document | {"said": said.err}


class Machines:
    """A cluster of three machines of two processors each, all of them on this one."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        needs: Any = {"num_cpus": 2, "object_store_memory": 80 * 2**20}
        self.cluster = Cluster(initialize_head=True, head_node_args=needs | {"include_dashboard": False})
        self.others = [self.cluster.add_node(**needs) for _ in range(2)]

    @property
    def flags(self) -> list[str]:
        return ["--workers", "2", "--cluster", self.cluster.address]

    def lose(self, process: psutil.Process) -> None:
        """The machine on which a worker is."""
        (machine,) = [each for each in self.others if process in self.workers(each)]
        self.others.remove(machine)
        self.cluster.remove_node(machine, allow_graceful=False)

    def workers(self, machine: Any) -> list[psutil.Process]:
        raylet = psutil.Process(machine.all_processes["raylet"][0].process.pid)
        return [each for each in raylet.children(recursive=True) if "ray::Worker" in " ".join(each.cmdline())]

    def worker(self) -> psutil.Process | None:
        """The process of a worker that is there to be killed; its lanes have begun later."""
        found = [process for machine in self.others for process in self.workers(machine)]
        return min(found, key=lambda process: process.create_time(), default=None)


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    found = Machines()
    yield found
    found.cluster.shutdown()


def until(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if result := found():
                return result
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.005)
    raise AssertionError("it did not come")


def saved(run: Path) -> list[str]:
    return [path.name for path in Run(run).checkpoints.found()]


def test_one_worker_is_the_plain_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, one = (
        trained(capsys, *command("hearts", tmp_path / name, "--iterations", "2", *flags))
        for name, flags in (("plain", ()), ("one", ("--workers", "1")))
    )
    assert one["digest"] == plain["digest"]


def test_slow_killed_and_lost_workers_change_nothing(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is stopped for a while and killed, the next is lost with its machine; the run ends as one does to which
    nothing happens."""
    given = ["--iterations", str(ITERATIONS)]
    undisturbed = trained(capsys, *command("hearts", tmp_path / "left", *machines.flags, *given))
    run, failures = tmp_path / "disturbed", list[BaseException]()

    def disturb() -> None:
        try:
            until(lambda: saved(run))
            slow = until(machines.worker)
            slow.send_signal(signal.SIGSTOP)
            time.sleep(0.5)
            slow.send_signal(signal.SIGCONT)
            slow.kill()
            until(lambda: not slow.is_running())
            other, before = until(machines.worker), saved(run)
            until(lambda: saved(run) != before)
            machines.lose(other)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=disturb)
    thread.start()
    disturbed = trained(capsys, *command("hearts", run, *machines.flags, *given))
    thread.join()
    assert not failures
    assert disturbed["digest"] == undisturbed["digest"]
    assert disturbed["said"].count("a worker was lost") == 2
    lines = Run(run).lines("metrics.jsonl")
    assert [line["iteration"] for line in lines] == list(range(1, ITERATIONS + 1))
    phases = {phase["name"] for line in Run(run).lines("budget.jsonl")[1:] for phase in line["phases"]}
    assert {"sync", "wait", "collect.step", "learn.backward"} <= phases
    assert disturbed["workers"] == 2
    with pytest.raises(AssertionError, match=f"--workers 1: {run} was begun with 2"):
        trained(capsys, *command("hearts", run, "--resume", "--workers", "1"))


@pytest.mark.long
def test_a_killed_run_goes_on_with_all_its_workers(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has a replay memory of its own."""
    given = [*machines.flags, "--iterations", "12"]
    whole = trained(capsys, *command("spread-qmix", tmp_path / "whole", *given))
    run = tmp_path / "killed"
    first = subprocess.Popen(
        [sys.executable, "-m", "velodrome", *command("spread-qmix", run, *given)], stderr=subprocess.DEVNULL
    )
    until(lambda: len(saved(run)) > 1)
    first.kill()
    first.wait()
    again = trained(capsys, *command("spread-qmix", run, *given, "--resume"))
    assert again["digest"] == whole["digest"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--workers", "0"], "--workers 0: it takes 1 or more"),
        (["--workers", "3"], "games 8 cannot be shared out among 3 workers; give --games 9"),
        (
            ["--workers", "2", "--cluster", "ray://nowhere:1"],
            "--cluster ray://nowhere:1: give the address of a cluster",
        ),
        (["--cluster", "auto"], "--cluster auto: it takes --workers"),
    ],
)
def test_what_cannot_be_is_said(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command("hearts", tmp_path / "run", *flags)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_without_ray_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("velodrome.edge.cluster.find_spec", lambda name: None)
    assert main(command("hearts", tmp_path / "run", "--workers", "2")) == 2
    assert 'pip install "velodrome[ray]"' in capsys.readouterr().err


def places(machines: Machines) -> int:
    with farm(machines.cluster.address) as found:
        return found.places


def test_measurements_go_to_all_machines(machines: Machines, capsys: pytest.CaptureFixture[str]) -> None:
    until(lambda: places(machines) == 1 + len(machines.others))  # Ray takes its time to know that one is lost
    with farm(machines.cluster.address) as found:
        assert dict(found(math.factorial, [(n,) for n in range(6)])) == dict(enumerate([1, 1, 2, 6, 24, 120]))
        with pytest.raises(Mistake, match="--device cuda:99"):
            list(found(refuse_missing_device, [("cpu",), ("cuda:99",)]))
