"""What one thread does, written down call by call as briefly as can be, and added up many calls at a time.

Adding up at once would cost the watched program several times as much, as each call would fetch the arithmetic anew
into caches that the program needs for itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from velodrome.edge.account import ACTING, FORWARD, OPTIMIZE, Account, Event

MANY = 4096
"""Events after which they are added up."""

now = time.perf_counter_ns


class Diary:
    """Only its own thread writes to it."""

    __slots__ = ("account", "at", "busy", "events", "inside", "known", "moved", "nested", "trusts", "updating")

    def __init__(self, account: Account, known: dict[int, int]):
        self.account, self.known = account, known
        self.busy = False
        """Whether a watched call is at work, so that those inside it are its own business."""
        self.at = ""
        """In which phase a watched call is, as far as one knows while it is at work."""
        self.events: list[Event] = []
        self.inside = -1
        """How many events there were when a method began that may turn out to be one pass; -1 outside such."""
        self.updating, self.nested = False, 0
        """Whether an optimizer is at work, and how many inside it."""
        self.trusts: Callable[..., object] | None = None
        """The method that is at work and taken for a pass."""
        self.moved: Callable[[bool], None] | None = None
        """Called after each step of an environment, and after each update, which it is told."""

    def catch_up(self) -> Account:
        """Add up what has been written. Inside a method that waits, unless something but passes has come."""
        if self.inside < 0:
            events, self.events = self.events, []
            self.account.take(events)
        return self.account

    def stepped(self) -> None:
        """After a step of an environment."""
        self.updating = False  # an update that an exception left never ends
        if len(self.events) > MANY:
            self.catch_up()
        if self.moved is not None:
            self.moved(False)

    def update_begins(self) -> None:
        """An optimizer starts, perhaps inside another's step."""
        if self.updating and _is_nested():
            self.nested += 1
            return
        self.updating, self.nested = True, 0
        self.events.append(("update", now(), 0, None, None, 0))

    def update_ends(self) -> None:
        """The optimizer is done."""
        if self.nested or not self.updating:
            self.nested = max(self.nested - 1, 0)
            return
        self.events.append(("updated", 0, now(), None, None, 0))
        self.updating = False
        if len(self.events) > MANY:
            self.catch_up()
        if self.moved is not None:
            self.moved(True)

    @property
    def has_begun(self) -> bool:
        """Whether anything has been seen yet."""
        return bool(self.events) or self.account.has_begun

    @property
    def in_phase(self) -> bool:
        """Whether a call that will have a row is at work."""
        return self.busy or self.inside >= 0 or self.updating

    @property
    def phase(self) -> str:
        """Where the thread is now; between a net's pass and what follows, still in the pass."""
        if self.busy or self.inside >= 0:
            return self.at
        if self.updating:
            return OPTIMIZE
        if self.events:
            kind, *_, grad, _, _ = self.events[-1]
            return FORWARD if kind in ("learn", "updated") or (kind == "pass" and grad) else ACTING
        return FORWARD if self.account.family == "learn" else self.account.family


def _is_nested() -> bool:
    """Whether the optimizer's step that calls a hook is inside another: an exception may have ended that one."""
    frame = sys._getframe(3)  # of torch's function around every step; the hook and its method are between
    code, at = frame.f_code, frame.f_back
    while at is not None and at.f_code is not code:
        at = at.f_back
    return at is not None
