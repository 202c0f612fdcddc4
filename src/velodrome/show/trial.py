"""A trial in words."""

from __future__ import annotations

from rich.table import Table

from velodrome.proof.guard import Guard
from velodrome.proof.trial import MARGIN, Trial
from velodrome.show.tables import plain_text
from velodrome.show.words import duration, listed, share, short

_FEWEST_SHOWN, _SHOWN_SHARE = 5, 0.005
SUSPECT = 0.5


def one_line(found: Trial) -> str:
    """How a trial stands."""
    low, high = found.interval
    return (
        f"{len(found.pairs)} pairs, {found.iterations} iterations a side: {found.ratio:.3f} ({low:.3f} to {high:.3f})"
    )


def told(found: Trial, guard: Guard, elsewhere: float = 0.0) -> str:
    """The verdict first, then what it rests on; `elsewhere` is what lies in phases that the change cannot touch."""
    lines = [_sentence(found), _mechanism(found, elsewhere), *_noise(found), _guard(guard)]
    return "\n".join([*lines, "", _table(found)])


def _sentence(found: Trial) -> str:
    low, high = found.interval
    unit = "an iteration" if found.unit == "iteration" else f"one of its {found.unit.replace('_', ' ')}"
    first, second = found.memory_mb()
    return (
        f"b beside a: {found.verdict}. It needs {found.ratio:.3f} times the time for {unit} ({low:.3f} to {high:.3f}, "
        f"rank test p {found.p:.2g}; {len(found.pairs)} pairs of processes, {found.iterations} iterations a side), "
        f"and {second:,.0f} MB where a needs {first:,.0f}."
    )


def _mechanism(found: Trial, elsewhere: float) -> str:
    if not found.moved:
        return "No phase moved beyond noise."
    parts = [f"{phase.name} {phase.change:+.1%}" for phase in found.moved[:4]]
    told = f"Moved, as a share of an iteration of a: {listed(parts)}."
    if elsewhere > SUSPECT:
        told += (
            f" {share(elsewhere)} of the difference lies in phases that these settings do not touch: do not trust it."
        )
    return told


def _noise(found: Trial) -> list[str]:
    if found.precise or found.verdict in ("faster", "slower"):
        return []
    return [
        f"This machine is too noisy for {share(found.precision)} in {duration(found.spent_s)}: it came to "
        f"{share(found.half)}. About --budget {found.needed_s:.0f}s would be needed."
    ]


def _guard(guard: Guard) -> str:
    return f"Guard ({guard.kind}): {guard.verdict}; {guard.says}."


def _table(found: Trial) -> str:
    table = Table("phase", "a", "b", "change", "95 % interval", "", box=None, pad_edge=False)
    for column in table.columns[1:5]:
        column.justify = "right"
    for number, phase in enumerate(found.phases):
        if number >= _FEWEST_SHOWN and max(phase.seconds) < _SHOWN_SHARE * sum(
            each.seconds[0] for each in found.phases
        ):
            continue
        low, high = phase.interval
        within = "" if phase.verdict in ("no difference", "inconclusive") else phase.verdict
        table.add_row(
            phase.name, *map(short, phase.seconds), f"{phase.change:+.1%}", f"{low:+.1%} to {high:+.1%}", within
        )
    return (
        f'{plain_text(table)}\n("no difference" is an interval inside {share(MARGIN)}; changes are shares of a\'s time)'
    )
