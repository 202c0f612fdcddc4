"""The account of one thread: what calls that are watched from outside add up to."""

from __future__ import annotations

from typing import Any, Literal

from velodrome.meter.budget import Budget, Spent
from velodrome.meter.trace import Log

START, END, EVALUATE, CAUSES = "start", "end", "evaluate", "causes"
STEP, RESET, INFER, ENCODE = "collect.step", "collect.reset", "collect.infer", "collect.encode"
SAMPLE, FORWARD, LOSS = "learn.sample", "learn.forward", "learn.loss"
BACKWARD, OPTIMIZE = "learn.backward", "learn.optimize"

ACTING, LEARNING = "collect", "learn"

Kind = Literal["pass", "step", "reset", "store", "encode", "learn", "update", "updated"]
Event = tuple[Kind, int, int, Any, Any, int]
"""A call that was watched: its kind, when it began and ended, what is told of it, and how many unwatched ones it held.

Of a pass that is whether gradients were on and whether the net was training; of a step the games and the samples, of a
part of learning its phase and its samples. An update begins with one event and ends with another.
"""

Waiting = tuple[Kind, int, int, bool, bool]
"""A call whose phase depends on what comes after it."""


class Row:
    """A phase, or the parent of some: then its time is what lies between them and its samples are its stretches."""

    __slots__ = ("ns", "parent", "samples")

    def __init__(self, parent: Row | None = None):
        self.parent = parent
        self.ns = self.samples = 0


class Account:
    """What the events of one thread add up to.

    A pass through a net is acting when an environment's step comes next, and learning when a backward pass or an
    update does; so is the encoding around it. Until then it waits. What lies between two calls of one family,
    `collect` or `learn`, is that family's unaccounted time; between a pass with gradients and its backward pass it is
    the loss.
    """

    def __init__(self, name: str, now: int, log: Log | None = None, starts: bool = False):
        """With `starts`, the time before the first call is a phase."""
        self.name, self.began, self._log, self._started = name, now, log, not starts
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

    def begin(self, now: int) -> None:
        """Count from here on."""
        self.began = self._last = now
        self.calls = self.passed = self.spent_ns = 0

    def take(self, events: list[Event]) -> None:
        """Add up some more, in the order in which they ended."""
        self.calls += len(events)
        for kind, began, ended, one, other, inside in events:
            self.passed += inside
            if kind == "pass":
                self._waiting.append((kind, began, ended, one, other))
            elif kind == "step":
                self._step(began, ended, one, other)
            elif kind == "learn":
                self._learn(one, began, ended, other)
            elif kind == "update":
                self._update_begins(began)
            elif kind == "updated":
                self._update_ends(ended)
            else:
                self._waiting.append((kind, began, ended, False, False))

    def _step(self, began: int, ended: int, games: int, samples: int) -> None:
        self._updating = 0  # an update that an exception left never ends
        self.game_steps += games
        if self._waiting:
            self._settle(ACTING)
        self._wants_loss = False
        self._place(STEP, began, ended, samples)

    def _learn(self, name: str, began: int, ended: int, samples: int) -> None:
        """Without a sample it belongs to the next that has one."""
        self._settle(LEARNING)
        if self._wants_loss and name in (BACKWARD, OPTIMIZE):
            self._place(LOSS, self._last, began, int(name == BACKWARD))
        self._wants_loss = self._wants_loss and not samples
        self._place(name, began, ended, samples)

    def _update_begins(self, now: int) -> None:
        """An optimizer may call for passes, forward and backward, of its own."""
        self._settle(LEARNING)
        self._wants_loss, self._updating = False, 0
        self._enter(self._parents[LEARNING], now)
        self._last = now
        self._updating, self._within_ns = now, 0

    def _update_ends(self, now: int) -> None:
        """An optimizer's own time is what the passes inside it leave."""
        self._settle(LEARNING)
        row = self._rows.get(OPTIMIZE) or self._first(OPTIMIZE, now)
        row.ns += now - self._updating - self._within_ns
        row.samples += 1
        if self._log is not None:
            self._log.add(OPTIMIZE, self._updating, now)
        self._now_in, self._last = self._parents[LEARNING], now
        self._wants_loss, self._updating = False, 0

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
    def family(self) -> str:
        """What the thread was at when the last event ended."""
        return next((name for name, parent in self._parents.items() if parent is self._now_in), "")

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
