from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import trace_processor as processor

from velodrome.meter.clock import Clock
from velodrome.meter.trace import Trace

needs_trace_processor = pytest.mark.skipif(
    bool(processor.missing()) and not os.environ.get("CI"),
    reason=f"NOT VALIDATED by Perfetto: no {processor.missing()}",
)
COMPLAINTS = "select name, value from stats where value > 0 and severity in ('error', 'data_loss')"


def recorded(rounds: int = 20, limit_bytes: int = 20_000_000) -> tuple[Clock, Trace]:
    trace = Trace(limit_bytes)
    clock = Clock(trace=trace)
    lane = clock.track("lane 1")

    def work() -> None:
        for _ in range(rounds):
            with lane("collect"), lane("encode"):
                sum(range(50))

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(rounds):
        with clock("learn"):
            with clock("forward"):
                sum(range(100))
            with clock("backward"), clock("mine"):
                pass
    thread.join()
    return clock, trace


def written(trace: Trace, folder: Path) -> dict[str, Any]:
    trace.write(folder / "trace.json.gz")
    document: dict[str, Any] = json.loads(gzip.decompress((folder / "trace.json.gz").read_bytes()))
    return document


def nanoseconds(microseconds: float) -> int:
    assert isinstance(microseconds, float)
    return round(microseconds * 1000)


def assert_strictly_nested(events: list[dict[str, Any]]) -> None:
    """Every slice of a track lies wholly inside or wholly outside every other one."""
    open_until: dict[int, list[int]] = {}
    latest: dict[int, int] = {}
    for event in events:
        began, length = nanoseconds(event["ts"]), nanoseconds(event["dur"])
        assert began >= latest.get(event["tid"], 0)
        assert length >= 0
        latest[event["tid"]] = began
        ends = open_until.setdefault(event["tid"], [])
        while ends and ends[-1] <= began:
            ends.pop()
        assert not ends or began + length <= ends[-1]
        ends.append(began + length)


def test_slices_nest_on_every_track_and_have_the_right_types(tmp_path: Path) -> None:
    _, trace = recorded()
    document = written(trace, tmp_path)
    slices = [event for event in document["traceEvents"] if event["ph"] == "X"]
    names = [event for event in document["traceEvents"] if event["ph"] == "M"]
    assert len(slices) == 20 * 6
    assert_strictly_nested(slices)
    assert {type(event["tid"]) for event in slices} == {int}
    assert {event["args"]["name"]: event["tid"] for event in names}.keys() == {"main", "lane 1"}
    assert {event["name"] for event in slices} >= {"learn", "learn.forward", "learn.backward.mine", "collect.encode"}
    assert document["otherData"] == {"limit_bytes": 20_000_000, "limit_reached": False, "spans_missed": 0}


def test_the_validator_sees_an_overlap() -> None:
    overlapping = [{"tid": 1, "ts": 0.0, "dur": 2.0}, {"tid": 1, "ts": 1.0, "dur": 2.0}]
    with pytest.raises(AssertionError):
        assert_strictly_nested(overlapping)


def test_the_trace_and_the_budget_agree(tmp_path: Path) -> None:
    clock, trace = recorded()
    slices = [event for event in written(trace, tmp_path)["traceEvents"] if event["ph"] == "X"]
    budget = clock.budget()
    for account in (budget, budget.tracks["lane 1"]):
        for row in account.phases:
            assert (
                sum(nanoseconds(event["dur"]) for event in slices if event["name"] == row.name)
                == account.spans[row.name].ns
            )


def test_the_file_stays_under_its_limit_and_says_that_it_was_reached(tmp_path: Path) -> None:
    _, trace = recorded(rounds=200, limit_bytes=30_000)
    document = written(trace, tmp_path)
    assert len(gzip.decompress((tmp_path / "trace.json.gz").read_bytes())) < 30_000
    assert document["otherData"]["limit_reached"]
    kept = sum(event["ph"] == "X" for event in document["traceEvents"])
    assert kept > 150
    assert kept + document["otherData"]["spans_missed"] == 200 * 6
    assert_strictly_nested([event for event in document["traceEvents"] if event["ph"] == "X"])


def test_a_long_recording_keeps_to_its_limit_too(tmp_path: Path) -> None:
    trace = Trace(50_000)
    day_ns = 86_400 * 10**9
    for i in range(2000):
        trace.log("main").add("collect.communicate", i + day_ns * (i > 0), i + 2 * day_ns)
    trace.write(tmp_path / "trace.json.gz")
    assert len(gzip.decompress((tmp_path / "trace.json.gz").read_bytes())) <= 50_000


def test_an_empty_trace_is_a_valid_file(tmp_path: Path) -> None:
    assert written(Trace(), tmp_path)["traceEvents"] == []


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, trace = recorded()
    written(trace, tmp_path)
    before = (tmp_path / "trace.json.gz").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        trace.write(tmp_path / "trace.json.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json.gz"]
    assert (tmp_path / "trace.json.gz").read_bytes() == before


@needs_trace_processor
def test_perfetto_reads_every_slice_without_complaint(tmp_path: Path) -> None:
    assert not processor.missing()
    clock, trace = recorded()
    trace.write(tmp_path / "trace.json.gz")
    slices, depths, complaints = processor.query(
        tmp_path / "trace.json.gz",
        "select thread.name as track, slice.name as name, count(*) as samples, sum(dur) as ns from slice "
        "join thread_track on slice.track_id = thread_track.id join thread using (utid) group by 1, 2",
        "select name, max(depth) as depth from slice group by 1",
        COMPLAINTS,
    )
    assert complaints == []
    budget = clock.budget()
    expected = {("main", path): (spent.samples, spent.ns) for path, spent in budget.spans.items()}
    expected |= {("lane 1", path): (s.samples, s.ns) for path, s in budget.tracks["lane 1"].spans.items()}
    assert {(row["track"], row["name"]): (row["samples"], row["ns"]) for row in slices} == expected
    assert {row["name"]: row["depth"] for row in depths} == {
        "learn": 0,
        "learn.forward": 1,
        "learn.backward": 1,
        "learn.backward.mine": 2,
        "collect": 0,
        "collect.encode": 1,
    }


@needs_trace_processor
def test_perfetto_does_not_take_overlapping_slices_as_they_are(tmp_path: Path) -> None:
    trace = Trace()
    trace.log("main").add("one", 0, 20_000)
    trace.log("main").add("two", 10_000, 30_000)
    trace.write(tmp_path / "trace.json.gz")
    slices, complaints = processor.query(tmp_path / "trace.json.gz", "select name from slice", COMPLAINTS)
    assert slices == [{"name": "one"}]
    assert [complaint["name"] for complaint in complaints] == ["slice_drop_overlapping_complete_event"]
