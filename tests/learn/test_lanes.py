import copy
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from test_ppo import MIXED, SMALL, trainer, weights

from velodrome.learn.lanes import LaneGone, Lanes, possible, shared_zeros
from velodrome.meter.clock import Clock
from velodrome.meter.trace import Trace
from velodrome.recipes import find

QUIET = Clock(enabled=False)


class Work:
    """Lanes with some work for them."""

    def __init__(self, count: int):
        self.numbers = shared_zeros(count, 1000)
        self.lanes = Lanes(count, {name: getattr(self, name) for name in ("greet", "pass_on", "fail", "die", "spans")})

    def greet(self, clock: Clock, word: str) -> tuple[int, int, str]:
        return self.lanes.index, os.getpid(), word

    def pass_on(self, clock: Clock, rounds: int) -> list[float]:
        """Each lane adds 1 to what its neighbour has; wrong as soon as one of them comes too early."""
        own, count = self.lanes.index, self.lanes.count
        seen = []
        for turn in range(rounds):
            self.numbers[own] = turn * count + own
            self.lanes.meet()
            seen.append(float(self.numbers[(own + 1) % count].sum()))
            self.lanes.meet()
        return seen

    def fail(self, clock: Clock, which: int) -> None:
        if self.lanes.index == which:
            raise ValueError("no more cards")
        self.lanes.meet()

    def die(self, clock: Clock, which: int) -> None:
        if self.lanes.index == which:
            os.kill(os.getpid(), signal.SIGKILL)
        self.lanes.meet()

    def spans(self, clock: Clock) -> None:
        for _ in range(self.lanes.index + 1):
            with clock("learn.forward"):
                pass


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_lane_is_a_process_that_does_the_work(count: int) -> None:
    work = Work(count)
    found = work.lanes.run("greet", QUIET, "hello")
    assert [each[0] for each in found] == list(range(count))
    assert found[0][1] == os.getpid()
    assert len({each[1] for each in found}) == count
    assert {each[2] for each in found} == {"hello"}
    assert work.lanes.run("greet", QUIET, "again")[-1][1] == found[-1][1]


@pytest.mark.parametrize("count", [2, 3])
def test_after_a_meeting_each_sees_what_the_others_wrote(count: int) -> None:
    work, rounds = Work(count), 300
    found = work.lanes.run("pass_on", QUIET, rounds)
    for lane, seen in enumerate(found):
        assert seen == [1000.0 * (turn * count + (lane + 1) % count) for turn in range(rounds)]


def test_values_are_exchanged() -> None:
    lanes = Lanes(2, {"exchange": lambda clock: lanes.exchange(lanes.index, 0.5, -lanes.index).tolist()})
    assert lanes.run("exchange", QUIET) == [[[0, 0.5, 0], [1, 0.5, -1]]] * 2
    assert np.array_equal(Lanes(1, {}).exchange(3.0), [[3.0]])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_failure_in_one_lane_ends_them_all_and_says_what_it_was(which: int) -> None:
    work = Work(3)
    with pytest.raises(ValueError if which == 0 else RuntimeError, match="no more cards"):
        work.lanes.run("fail", QUIET, which)
    assert len(work.lanes.run("greet", QUIET, "hello")) == 3  # new lanes begin


@pytest.mark.parametrize("which", [1, 2])
def test_a_killed_lane_is_noticed(which: int) -> None:
    work = Work(3)
    with pytest.raises(LaneGone, match="resume the run"):
        work.lanes.run("die", QUIET, which)


def test_a_lane_killed_between_two_pieces_of_work_is_noticed() -> None:
    work = Work(2)
    other = work.lanes.run("greet", QUIET, "hello")[1][1]
    os.kill(other, signal.SIGKILL)
    with pytest.raises(LaneGone, match="resume the run"):
        work.lanes.run("greet", QUIET, "hello")


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_lanes_end_with_their_owner() -> None:
    work = Work(2)
    other = work.lanes.run("greet", QUIET, "hello")[1][1]
    del work  # with its owner, which they do not keep
    assert gone(other)


def test_no_lane_outlives_a_killed_process() -> None:
    """Neither one that waits for work nor one that waits for the others."""
    program = textwrap.dedent("""
        import os, signal, sys
        from velodrome.learn.lanes import Lanes
        from velodrome.meter.clock import Clock

        def work(clock, stay):
            os.write(1, b"here ")
            if lanes.index == 0 and stay:
                os.kill(os.getpid(), signal.SIGKILL)
            lanes.meet()

        lanes = Lanes(2, {"work": work})
        lanes.run("work", Clock(enabled=False), False)
        if sys.argv[1] == "idle":
            os.kill(os.getpid(), signal.SIGKILL)
        lanes.run("work", Clock(enabled=False), True)
    """)
    for moment in ("idle", "meeting"):
        # its output ends when the last process that could write to it has ended
        done = subprocess.run([sys.executable, "-c", program, moment], stdout=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL
        assert len(done.stdout.split()) == (2 if moment == "idle" else 4)


def test_the_other_lanes_time_is_a_track_beside_the_first_ones() -> None:
    trace = Trace()
    clock, work = Clock(trace=trace), Work(3)
    work.lanes.run("spans", clock)
    work.lanes.run("spans", clock)
    tracks = clock.budget().tracks
    assert {name: track.spans["learn.forward"].samples for name, track in tracks.items()} == {"lane 1": 4, "lane 2": 6}
    assert len(trace.log("lane 2").paths) == 6
    assert clock.budget().spans["learn.forward"].samples == 2


def test_several_lanes_go_on_from_their_state() -> None:
    whole, resumed = trainer(lanes=2), trainer(lanes=2)
    for _ in range(2):
        whole.iterate(QUIET)
    resumed.iterate(QUIET)  # it has lanes of its own already, in another place
    resumed.load(copy.deepcopy(whole.state()))
    for _ in range(2):
        whole.iterate(QUIET)
        resumed.iterate(QUIET)
    assert weights(whole) == weights(resumed)


def test_two_lanes_change_nothing_but_the_order_of_the_cards() -> None:
    """The gradients and the samples are those of as many games; only who shuffles differs."""
    one, two = trainer(lanes=1), trainer(lanes=2)
    first, second = one.iterate(QUIET), two.iterate(QUIET)
    assert first.counts.learner_samples == second.counts.learner_samples == SMALL.batch * SMALL.epochs
    assert first.metrics.keys() == second.metrics.keys()
    assert second.metrics["entropy"] == pytest.approx(first.metrics["entropy"], rel=0.1)


def test_frozen_opponents_are_the_same_in_every_lane() -> None:
    made = trainer(lanes=2, opponents=MIXED)
    for _ in range(3):
        made.iterate(QUIET)
    twin = trainer(lanes=2, opponents=MIXED)
    for _ in range(3):
        twin.iterate(QUIET)
    assert weights(made) == weights(twin)
    assert made.pool.digests == twin.pool.digests


def test_there_is_one_lane_where_there_cannot_be_more() -> None:
    assert possible("cpu")
    assert not possible("cuda")
    with pytest.raises(ValueError, match="at least one"):
        Lanes(0, {})


def test_batch_statistics_are_for_one_lane() -> None:
    recipe = find("territory-attention")
    settings = replace(recipe.settings(), lanes=2, size=32)
    with pytest.raises(ValueError, match="lanes=2: running batch statistics would differ"):
        recipe.build(settings, 0, "cpu")
    recipe.build(replace(settings, steady=True), 0, "cpu")
