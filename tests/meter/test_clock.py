from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from velodrome.meter.budget import PHASES, UNACCOUNTED, Budget, phases
from velodrome.meter.clock import Clock, ClockError, calibrated_span_ns


class Time:
    """A time source that a test moves by hand."""

    def __init__(self) -> None:
        self.ns = 1_000_000_007

    def __call__(self) -> int:
        return self.ns

    def pass_ms(self, milliseconds: float) -> None:
        self.ns += round(milliseconds * 1e6)


def by_hand(**options: object) -> tuple[Clock, Time]:
    time = Time()
    return Clock(now=time, span_cost_ns=0.0, **options), time  # type: ignore[arg-type]


def one_iteration(clock: Clock, time: Time, slower: str = "", by: float = 1.0) -> None:
    for name in ("collect.infer", "collect.step", "learn.forward", "learn.backward", "learn.optimize"):
        with clock(name):
            time.pass_ms(10 * (by if name == slower else 1))
    time.pass_ms(0.5)


def seconds(budget: Budget) -> dict[str, float]:
    return {phase.name: phase.seconds for phase in budget.phases}


def assert_closed(budget: Budget) -> None:
    assert sum(phase.seconds for phase in budget.phases) + budget.unaccounted == pytest.approx(budget.wall_s, rel=1e-9)
    parents = sum(budget.unaccounted_in(parent.name) for parent in budget.parents)
    assert parents + budget.unaccounted_in() == pytest.approx(budget.unaccounted, abs=1e-9)


def test_one_phase_has_one_name_however_it_is_reached() -> None:
    clock, time = by_hand()
    with clock("learn.forward"):
        time.pass_ms(1)
    with clock("learn"):
        time.pass_ms(2)
        with clock("forward"):
            time.pass_ms(4)
        with clock("learn.forward"):
            time.pass_ms(8)
    budget = clock.budget()
    assert seconds(budget) == {"learn.forward": pytest.approx(0.013)}
    assert budget.phases[0].samples == 3
    assert [(row.name, row.seconds, row.samples) for row in budget.parents] == [("learn", pytest.approx(0.015), 1)]
    assert budget.unaccounted_in("learn") == pytest.approx(0.002)
    assert_closed(budget)


def test_a_name_inside_itself_or_a_sibling_stays_inside() -> None:
    clock, time = by_hand()
    with clock("learn"), clock("learn"):
        time.pass_ms(1)
    with clock("learn.forward"), clock("learn.sample"):
        time.pass_ms(2)
    with clock("evaluate"), clock("learn.forward"):
        time.pass_ms(4)
    budget = clock.budget()
    assert seconds(budget) == {
        "learn.forward.sample": pytest.approx(0.002),
        "learn.learn": pytest.approx(0.001),
        "evaluate.learn.forward": pytest.approx(0.004),
    }
    assert_closed(budget)


@pytest.mark.parametrize("name", ["", ".", "learn.", ".learn", "learn..forward"])
def test_a_name_needs_words(name: str) -> None:
    with pytest.raises(ValueError, match="is no span name"):
        by_hand()[0](name)


def test_the_budget_closes_and_lists_what_is_outside_every_span() -> None:
    clock, time = by_hand()
    for _ in range(3):
        one_iteration(clock, time)
    budget = clock.budget()
    assert_closed(budget)
    assert budget.wall_s == pytest.approx(0.1515)
    assert budget.unaccounted == pytest.approx(0.0015)
    assert budget.unaccounted_share == pytest.approx(0.0015 / 0.1515)


def test_a_real_budget_closes() -> None:
    clock = Clock()
    for _ in range(50):
        with clock("collect"):
            sum(range(300))
            with clock("step"):
                sum(range(1000))
    assert_closed(clock.budget())


def test_laps_add_up_to_the_whole() -> None:
    clock, time = by_hand()
    laps = []
    for _ in range(4):
        one_iteration(clock, time)
        laps.append(clock.lap())
    one_iteration(clock, time)
    assert [lap.wall_s for lap in laps] == [pytest.approx(0.0505)] * 4
    assert sum(laps, Budget()) + clock.lap() == clock.budget()


def test_a_lap_lists_only_what_was_timed_in_it() -> None:
    clock, time = by_hand()
    with clock("save"):
        time.pass_ms(3)
    assert [phase.name for phase in clock.lap().phases] == ["save"]
    with clock("sync"):
        time.pass_ms(3)
    lap = clock.lap()
    assert [(phase.name, phase.samples) for phase in lap.phases] == [("sync", 1)]
    assert all(phase.samples for phase in clock.budget().phases)


def test_rows_come_in_the_order_of_the_list() -> None:
    clock, time = by_hand()
    for name in ("mine", *reversed(PHASES)):
        with clock(name):
            time.pass_ms(1)
    assert [phase.name for phase in clock.budget().phases] == [*PHASES, "mine"]


def test_warming_up_is_apart_from_the_same_phase_in_earnest() -> None:
    clock, time = by_hand()
    with clock("warm-up"):
        one_iteration(clock, time)
    one_iteration(clock, time)
    timed = seconds(clock.budget())
    assert timed["warm-up.learn.forward"] == timed["learn.forward"] == pytest.approx(0.01)


def test_an_injected_delay_shows_in_its_phase_and_in_no_other() -> None:
    plain, slow = by_hand(), by_hand()
    for _ in range(20):
        one_iteration(*plain)
        one_iteration(*slow, slower="learn.backward", by=1.05)
    before, after = seconds(plain[0].budget()), seconds(slow[0].budget())
    assert after.pop("learn.backward") == pytest.approx(1.05 * before.pop("learn.backward"), rel=1e-6)
    assert before == after
    assert plain[0].budget().unaccounted == pytest.approx(slow[0].budget().unaccounted)


def test_an_exception_closes_its_spans() -> None:
    clock, time = by_hand()
    with suppress(KeyError), clock("learn"), clock("forward"):
        time.pass_ms(5)
        raise KeyError
    assert seconds(clock.budget()) == {"learn.forward": pytest.approx(0.005)}


def test_no_account_is_given_while_a_span_is_open() -> None:
    clock, _ = by_hand()
    with clock("learn.forward"):
        with pytest.raises(ClockError, match=r"'learn.forward' is still open"):
            clock.lap()
        with pytest.raises(ClockError, match="still open"):
            clock.budget()
    clock.lap()


def test_a_span_entered_elsewhere_is_refused() -> None:
    clock, _ = by_hand()
    span = clock("collect")
    with (
        clock("learn"),
        pytest.raises(ClockError, match="asked for outside every span but is entered or left inside 'le"),
    ):
        span.__enter__()
    with span, pytest.raises(ClockError, match="Spans must nest"):
        span.__enter__()


def test_a_span_left_before_its_inner_one_is_refused() -> None:
    clock, _ = by_hand()
    outer = clock("learn")
    outer.__enter__()
    clock("forward").__enter__()
    with pytest.raises(ClockError, match="Spans must nest"):
        outer.__exit__(None, None, None)


def test_a_disabled_clock_knows_the_wall_alone() -> None:
    clock, time = by_hand(enabled=False)
    one_iteration(clock, time)
    with clock("a"), clock("a"):
        budget = clock.budget()  # a plain run has no spans to leave open
    assert budget.phases == []
    assert budget.unaccounted == budget.wall_s == pytest.approx(0.0505)
    assert clock.track("other").budget().phases == []


def test_a_track_is_listed_and_never_added() -> None:
    clock, time = by_hand()
    lane = clock.track("lane 1")
    assert clock.track("lane 1") is lane
    with clock("wait"), lane("encode"):
        time.pass_ms(30)
    lap = clock.lap()
    assert seconds(lap) == {"wait": pytest.approx(0.03)}
    assert seconds(lap.tracks["lane 1"]) == {"encode": pytest.approx(0.03)}
    time.pass_ms(10)
    assert clock.lap().tracks["lane 1"].unaccounted == pytest.approx(0.01)


def test_a_track_in_the_middle_of_a_span_is_split_between_laps() -> None:
    clock, time = by_hand()
    with clock.track("lane")("encode"):
        time.pass_ms(4)
        first = clock.lap().tracks["lane"]
        time.pass_ms(5)
    second = clock.lap().tracks["lane"]
    assert (seconds(first), seconds(second)) == ({"encode": pytest.approx(0.004)}, {"encode": pytest.approx(0.005)})
    assert_closed(first)
    assert_closed(second)


def test_another_thread_may_be_at_work_while_the_account_is_taken() -> None:
    clock = Clock()
    stop = threading.Event()

    def work(lane: Clock) -> None:
        while not stop.is_set():
            with lane("step"), lane("inner"):
                sum(range(200))

    thread = threading.Thread(target=work, args=(clock.track("lane"),))
    thread.start()
    laps = [clock.lap() for _ in range(300)]
    stop.set()
    thread.join()
    for lap in laps:
        assert_closed(lap.tracks["lane"])
        assert all(phase.seconds >= 0 for phase in lap.tracks["lane"].phases)
        assert lap.tracks["lane"].unaccounted >= 0
    assert sum(laps, Budget()).tracks["lane"].phases[0].samples > 0


def test_another_process_reports_its_own_budget() -> None:
    clock, time = by_hand()
    worker, worker_time = by_hand()
    one_iteration(worker, worker_time)
    budget = worker.lap()
    clock.report("worker 0", Budget.from_json(budget.to_json()))
    time.pass_ms(1)
    assert clock.lap().tracks == {"worker 0": budget}
    time.pass_ms(1)
    assert clock.lap().tracks["worker 0"].phases == []
    assert clock.budget().tracks == {"worker 0": budget}


def test_a_budget_survives_json() -> None:
    clock, time = by_hand()
    with clock("learn"):
        time.pass_ms(0.123457)
        with clock("forward"):
            time.pass_ms(1234.567891)
    with clock.track("lane")("encode"):
        time.pass_ms(7)
    budget = clock.budget()
    document = budget.to_json()
    assert Budget.from_json(document) == budget
    total = sum(row["seconds"] for row in document["phases"]) + document["unaccounted"]
    assert total == pytest.approx(document["wall_s"], rel=1e-9)
    assert sum(row["share"] for row in document["phases"]) + document["unaccounted_share"] == pytest.approx(1)


def test_phases_gives_one_sample_an_iteration() -> None:
    clock, time = by_hand()
    laps = []
    for slower in (1.0, 2.0, 3.0):
        one_iteration(clock, time, slower="collect.step", by=slower)
        laps.append(clock.lap())
    with clock("save"):
        time.pass_ms(1)
    laps.append(clock.lap())
    samples = phases(laps)
    assert samples["collect.step"] == pytest.approx([0.01, 0.02, 0.03, 0])
    assert samples["save"] == pytest.approx([0, 0, 0, 0.001])
    assert samples[UNACCOUNTED] == pytest.approx([0.0005, 0.0005, 0.0005, 0])


def test_overhead_is_the_number_of_spans_times_the_cost_of_one() -> None:
    time = Time()
    clock = Clock(now=time, span_cost_ns=1000.0)
    for _ in range(100):
        one_iteration(clock, time)
    budget = clock.budget()
    assert budget.overhead == pytest.approx(500 * 1e-6)
    assert budget.overhead_share == pytest.approx(budget.overhead / budget.wall_s)
    assert budget.to_json()["overhead"] == budget.overhead


def test_the_cost_of_a_span_is_measured() -> None:
    assert 20 < calibrated_span_ns() < 100_000


def test_the_table_shows_every_row() -> None:
    clock, time = by_hand()
    with clock("learn"):
        time.pass_ms(250)
        with clock("forward"):
            time.pass_ms(750)
    clock.track("lane 1")
    lines = str(clock.budget()).splitlines()
    assert lines[1].split() == ["learn", "1.0000", "100.0%", "1", "1", "s"]
    assert lines[2].split() == ["forward", "0.7500", "75.0%", "1", "750", "ms"]
    assert lines[3].split() == ["unaccounted", "0.2500", "25.0%"]
    assert lines[5].split() == ["wall", "1.0000", "100.0%"]
    assert "beside it, lane 1:" in lines
    assert str(Budget())


class Device:
    """A device that reaches each mark 3 ms after the CPU has asked for it, each a millisecond more."""

    def __init__(self, time: Time) -> None:
        self.time, self.marks, self.waits = time, 0, 0

    def mark(self) -> int:
        self.marks += 1
        return self.time.ns + self.marks * 1_000_000

    def synchronize(self) -> None:
        self.waits += 1
        self.time.pass_ms(6)

    def elapsed_ns(self, began: int, ended: int) -> int:
        return ended - began


def test_device_time_is_read_at_the_lap_and_never_before(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    device = Device(time)
    monkeypatch.setattr("velodrome.meter.clock._Events", lambda kind: device)
    clock = Clock("cuda", now=time, span_cost_ns=0.0)
    for _ in range(5):
        with clock("learn.forward"):
            time.pass_ms(2)
    assert device.waits == 0
    lap = clock.lap()
    assert device.waits == 1
    forward = next(phase for phase in lap.phases if phase.name == "learn.forward")
    assert forward.seconds == pytest.approx(0.010)
    assert forward.device_s == pytest.approx(0.015)
    assert seconds(lap)["wait"] == pytest.approx(0.006)
    assert Budget.from_json(lap.to_json()) == lap
    assert "0.0150 s on the device" in str(lap)
    assert_closed(lap)
