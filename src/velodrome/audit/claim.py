"""A claim of a document, what tests it, and what came of that."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from velodrome.audit.records import NoRecord
from velodrome.show.charts import number

DOCUMENTS = {
    "hearts": "Hearts self-play report",
    "territory": "Territory architecture comparison",
    "arena": "Real-time bot review",
    "many": "Many-agent communication paper",
    "decision": "Skirmish decision transformers",
}
"""By the word that their claims' ids begin with."""

Kind = Literal["count", "time", "ratio", "memory", "skill", "statement"]
Verdict = Literal["holds", "does not hold", "holds only if", "cannot be tested here"]
KINDS: tuple[Kind, ...] = get_args(Kind)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Value = bool | int | float | str | None


@dataclass(frozen=True)
class Finding:
    """What a test came to. `why` goes on where the verdict ends: a condition, a reason, or by how much it is off."""

    measured: Value
    verdict: Verdict
    why: str


Test = Callable[[], Finding | Value]
"""Gives what it counted or measured, to be compared with what is claimed, or a finding of its own."""


@dataclass(frozen=True)
class Claim:
    """One thing that a document says."""

    id: str
    where: str
    """In the document."""
    says: str
    """In our words."""
    kind: Kind
    claimed: Value
    test: Test
    within: float
    """The share by which a measured number may differ from the claimed one."""
    timed: bool
    """Whether the test measures how long something takes here."""

    @property
    def slug(self) -> str:
        """The word for its document."""
        return self.id.rsplit("-", 1)[0]

    @property
    def document(self) -> str:
        """The name of its document."""
        return DOCUMENTS[self.slug]

    @property
    def how(self) -> str:
        """How it is tested."""
        return " ".join((inspect.getdoc(self.test) or "").split())

    def examine(self) -> Finding:
        """Test it now; the same chance every time."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            try:
                found = self.test()
            except NoRecord as missing:
                return untestable(str(missing))
        return found if isinstance(found, Finding) else agrees(found, self.claimed, self.within)


_registered: dict[str, Claim] = {}


def claim(
    id: str, *, where: str, says: str, kind: Kind, claimed: Value = True, within: float = 0.0, timed: bool = False
) -> Callable[[Test], Test]:
    """Register the decorated test of a claim; its docstring says how it tests."""

    def register(test: Test) -> Test:
        if id in _registered:
            raise ValueError(f"there are two claims {id}")
        _registered[id] = Claim(id, where, says, kind, claimed, test, within, timed)
        return test

    return register


def registered() -> list[Claim]:
    """Those of the documents that have been imported, in their order."""
    return list(_registered.values())


# -- verdicts ---------------------------------------------------------------------------------------------------------


def agrees(measured: Value, claimed: Value, within: float = 0.0) -> Finding:
    """Holds if they are the same, or two numbers that are near enough."""
    if isinstance(measured, str) or isinstance(claimed, str) or isinstance(measured, bool):
        return judged(measured == claimed, measured, "as claimed", "it is otherwise")
    assert measured is not None
    assert claimed is not None
    ok = abs(measured - claimed) <= within * abs(claimed)
    off = f"{number(measured / claimed)} times what is claimed" if claimed else "claimed is none"
    return judged(ok, measured, f"within {number(100 * within)} %" if within else "exactly", off)


def reaches(measured: float, claimed: float, slack: float = 0.1) -> Finding:
    """Holds if it is as much as claimed, but for a small part, or more."""
    off = f"{number(measured / claimed)} times what is claimed"
    return judged(measured >= (1 - slack) * claimed, measured, off, off)


def judged(ok: bool, measured: Value, why: str, why_not: str) -> Finding:
    """Holds or does not."""
    return Finding(measured, "holds" if ok else "does not hold", why if ok else why_not)


def only_if(measured: Value, condition: str) -> Finding:
    """Holds under a condition."""
    return Finding(measured, "holds only if", condition)


def untestable(why: str, measured: Value = None) -> Finding:
    """Nothing here can tell; what was measured instead stands beside it."""
    return Finding(measured, "cannot be tested here", why)


def unknowable(why: str) -> Test:
    """The test of what nothing here can tell."""

    def test() -> Finding:
        """Not at all."""
        return untestable(why)

    return test


def worked_out(value: Value) -> Test:
    """The test of what follows from other figures of the document."""

    def test() -> Value:
        """Worked out from the document's other figures."""
        return value

    return test
