"""The account of one thread: what calls that are watched from outside add up to."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Literal

from velodrome.meter.budget import Budget, Spent
from velodrome.meter.trace import Log

START, END, EVALUATE, CAUSES = "start", "end", "evaluate", "causes"
STEP, RESET, INFER, ENCODE = "collect.step", "collect.reset", "collect.infer", "collect.encode"
SAMPLE, FORWARD, LOSS = "learn.sample", "learn.forward", "learn.loss"
BACKWARD, OPTIMIZE = "learn.backward", "learn.optimize"

ACTING, LEARNING = "collect", "learn"
Kind = Literal["pass", "encode", "store", "reset"]

Waiting = tuple[Kind, int, int, bool, bool]
"""A call whose phase depends on what comes after it: its kind, when it began and ended, and of a pass whether gradients
were on and whether the net was training."""


class Row:
    """A phase, or the parent of some: then its time is what lies between them and its samples are its stretches."""

    __slots__ = ("ns", "parent", "samples")

    def __init__(self, parent: Row | None = None):
        self.parent = parent
        self.ns = self.samples = 0


class Account:
    """What one thread did. Only that thread writes to it.

    A pass through a net is acting when an environment's step comes next, and learning when a backward pass or an
    update does; so is the encoding around it. Until then it waits. What lies between two calls of one family,
    `collect` or `learn`, is that family's unaccounted time; between a pass with gradients and its backward pass it is
    the loss.
    """

    __slots__ = (
        "_frame", "_last", "_log", "_now_in", "_parents", "_rows", "_started", "_updating", "_waiting", "_wants_loss",
        "_within_ns", "at", "began", "busy", "calls", "game_steps", "graph_decisions", "inside", "moved", "name",
        "passed", "spent_ns",
    )  # fmt: skip

    def __init__(self, name: str, now: int, log: Log | None = None, starts: bool = False):
        """With `starts`, the time before the first call is a phase."""
        self.name, self.began, self._log, self._started = name, now, log, not starts
        self.busy = False
        """Whether a watched call is at work, so that those inside it are its own business."""
        self.at = ""
        """In which phase a watched call is, as far as one knows while it is at work."""
        self.moved: Callable[[bool], None] | None = None
        """Called after each step of an environment, and after each update, which it is told."""
        self.inside: list[Waiting] | None = None
        """The passes made so far by a method that may turn out to be one pass."""
        self.calls = self.passed = self.spent_ns = 0
        """Watched calls, unwatched ones inside them, and what else the watching took."""
        self.game_steps = self.graph_decisions = 0
        self._rows: dict[str, Row] = {}
        self._parents = {ACTING: Row(), LEARNING: Row()}
        self._now_in: Row | None = None
        self._last = now
        self._waiting: list[Waiting] = []
        self._wants_loss = False
        self._updating = self._within_ns = 0
        self._frame: FrameType | None = None

    def begin(self, now: int) -> None:
        """Count from here on."""
        self.began = self._last = now
        self.calls = self.passed = self.spent_ns = 0

    def passes(self, began: int, ended: int, grad: bool, training: bool) -> None:
        """A pass through a net has ended."""
        self.calls += 1
        (self._waiting if self.inside is None else self.inside).append(("pass", began, ended, grad, training))

    def waits(self, kind: Kind, began: int, ended: int) -> None:
        """An environment was reset, experience stored, or observations or batches brought into another form."""
        self.calls += 1
        if self.inside is not None:
            self._open_up()
        self._waiting.append((kind, began, ended, False, False))

    def steps(self, began: int, ended: int, games: int, samples: int = 1) -> None:
        """An environment, or some side by side, made a step, or without a sample began one."""
        self.calls += 1
        if self.inside is not None:
            self._open_up()
        self._updating = 0  # an update that an exception left never ends
        self.game_steps += games
        if self._waiting:
            self._settle(ACTING)
        self._wants_loss = False
        self._place(STEP, began, ended, samples)
        if self.moved is not None:
            self.moved(False)

    def learns(self, name: str, began: int, ended: int, samples: int = 1) -> None:
        """Some other part of learning has ended; without a sample it belongs to the next that has one."""
        self.calls += 1
        self._open_up()
        self._settle(LEARNING)
        if self._wants_loss and name in (BACKWARD, OPTIMIZE):
            self._place(LOSS, self._last, began, int(name == BACKWARD))
        self._wants_loss = self._wants_loss and not samples
        self._place(name, began, ended, samples)

    def update_begins(self, now: int, frame: FrameType) -> None:
        """An optimizer starts in a frame; it may call for passes, forward and backward, and for another's step."""
        if self._updating and _is_around(self._frame, frame):
            return
        self._open_up()
        self._settle(LEARNING)
        self._wants_loss, self._updating = False, 0
        self._enter(self._parents[LEARNING], now)
        self._last = now
        self._updating, self._within_ns, self._frame = now, 0, frame

    def update_ends(self, now: int, frame: FrameType) -> None:
        """The optimizer is done. Its own time is what the passes inside it leave."""
        if not self._updating or frame is not self._frame:
            return
        self.calls += 1
        self._settle(LEARNING)
        row = self._rows.get(OPTIMIZE) or self._first(OPTIMIZE, now)
        row.ns += now - self._updating - self._within_ns
        row.samples += 1
        if self._log is not None:
            self._log.add(OPTIMIZE, self._updating, now)
        self._now_in, self._last = self._parents[LEARNING], now
        self._wants_loss, self._updating, self._frame = False, 0, None
        if self.moved is not None:
            self.moved(True)

    def sets_apart(self, name: str, began: int, ended: int) -> None:
        """A stretch that belongs to no phase of the training; nothing that happened in it was counted."""
        self._settle(LEARNING)
        around = self._now_in
        self._place(name, began, ended)
        self._now_in = around

    @property
    def has_begun(self) -> bool:
        """Whether anything has been seen yet."""
        return self._started

    @property
    def in_phase(self) -> bool:
        """Whether a call that will have a row is at work."""
        return self.busy or self.inside is not None or bool(self._updating)

    @property
    def phase(self) -> str:
        """Where the thread is now; between a net's pass and what follows, still in the pass."""
        if self.busy or self.inside is not None:
            return self.at
        if self._updating:
            return OPTIMIZE
        if self._now_in is self._parents[LEARNING] or (self._waiting and self._waiting[-1][3]):
            return FORWARD
        return ACTING if self._now_in is not None else ""

    def samples(self, name: str) -> int:
        """How often a phase has come so far."""
        return self._rows[name].samples if name in self._rows else 0

    def ends(self, now: int) -> None:
        """What follows the last call is a phase, as what came before the first."""
        self._settle(LEARNING)
        if self._started:
            self._place(END, self._last, now)

    def budget(self, now: int | None, call_ns: float, passed_ns: float) -> Budget:
        """The account until `now`, or until the last call that was seen."""
        self._settle(LEARNING)
        spans = {name: Spent(row.ns, row.samples) for name, row in list(self._rows.items())}
        for name, parent in self._parents.items():
            if parent.samples:
                inside_ns = sum(row.ns for row in self._rows.values() if row.parent is parent)
                spans[name] = Spent(parent.ns + inside_ns, parent.samples)
        overhead_ns = round(self.calls * call_ns + self.passed * passed_ns) + self.spent_ns
        return Budget((self._last if now is None else now) - self.began, spans, overhead_ns)

    def _open_up(self) -> None:
        """What is at work is more than a pass: the passes made in it count one by one."""
        if self.inside is not None:
            self._waiting += self.inside
            self.inside = None

    def _settle(self, family: str) -> None:
        """Place what waits, now that one knows what it was for."""
        waiting, self._waiting = self._waiting, []
        for kind, began, ended, grad, training in waiting:
            if kind == "reset":
                self._place(RESET, began, ended)
            elif kind == "store":
                self._place(SAMPLE if self._now_in is self._parents[LEARNING] else ENCODE, began, ended)
            elif kind == "encode":
                self._place(ENCODE if family == ACTING else SAMPLE, began, ended)
            elif family == ACTING:
                self.graph_decisions += grad
                self._place(INFER, began, ended)
            elif grad or training or self.game_steps:
                self._place_forward(began, ended, grad)
            else:
                self._place(EVALUATE, began, ended)

    def _place_forward(self, began: int, ended: int, grad: bool) -> None:
        if self._wants_loss:
            self._place(LOSS, self._last, began, 0)
        self._place(FORWARD, began, ended)
        self._wants_loss = grad

    def _place(self, name: str, began: int, ended: int, samples: int = 1) -> None:
        row = self._rows.get(name) or self._first(name, began)
        if row.parent is not self._now_in:
            self._enter(row.parent, began)
        elif row.parent is not None and not self._updating:
            row.parent.ns += began - self._last
        row.ns += ended - began
        row.samples += samples
        self._last = ended
        self._within_ns += ended - began
        if self._log is not None:
            self._log.add(name, began, ended)

    def _enter(self, parent: Row | None, began: int) -> None:
        if not self._started:
            self._start(began)
        if parent is self._now_in:
            if parent is not None and not self._updating:
                parent.ns += began - self._last
        else:
            self._now_in = parent
            if parent is not None:
                parent.samples += 1

    def _first(self, name: str, began: int) -> Row:
        if not self._started:
            self._start(began)
        row = self._rows[name] = Row(self._parents.get(name.partition(".")[0]))
        return row

    def _start(self, began: int) -> None:
        self._started = True
        start = self._rows[START] = Row()
        start.ns, start.samples = began - self.began, 1


def _is_around(outer: FrameType | None, frame: FrameType) -> bool:
    """Whether a frame is still at work around another: an exception may have ended it."""
    at: FrameType | None = frame
    while at is not None and at is not outer:
        at = at.f_back
    return at is not None
