"""The pages of a tuning: what was found slow, what was tried, and what is proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from velodrome import __version__
from velodrome.meter.machine import hardware
from velodrome.proof.guard import Guard
from velodrome.proof.tune import Tuning, Verdict
from velodrome.show.report import Table, environment, markdown_environment, pairs, write_whole
from velodrome.show.words import duration, listed, several, share, short

_HEAD = ["change", "for", "predicted", "measured", "95 % interval", "guard", "because"]
_TITLES = (
    ("kept", "Kept: faster, and no worse"),
    ("faster, skill unproven", "Faster, skill unproven"),
    ("rejected", "Rejected"),
    ("inconclusive", "Inconclusive"),
    ("not tried", "Not tried"),
)


@dataclass
class Page:
    """Everything that the templates show."""

    title: str
    folder: str
    seed: str
    verdict: list[str]
    parts: list[Table] = field(default_factory=list)
    version: str = __version__

    @property
    def tables(self) -> list[Table]:
        """For Markdown."""
        return self.parts


def write_pages(folder: Path, tuning: Tuning, seed: int) -> dict[str, Path]:
    """Write report.html and report.md into the folder; returns their paths under `html` and `markdown`."""
    page = page_of(tuning, folder.name, seed)
    paths = {"html": folder / "report.html", "markdown": folder / "report.md"}
    write_whole(paths["html"], environment().get_template("tuning.html").render(page=page).lstrip())
    write_whole(paths["markdown"], markdown_environment().get_template("report.md").render(page=page).rstrip() + "\n")
    return paths


def page_of(tuning: Tuning, folder: str, seed: int) -> Page:
    """What the pages of this tuning say."""
    page = Page(tuning.setup.recipe, folder, str(seed), sentences(tuning))
    if tuning.together is not None:
        title = f"Changes together: {tuning.together.verdict}"
        page.parts.append(_table(title, [tuning.together], "Gains do not multiply, so they are measured again as one."))
    for outcome, title in _TITLES:
        found = [verdict for verdict in tuning.verdicts if verdict.verdict == outcome]
        if found:
            page.parts.append(_table(title, found))
    page.parts += [*_causes(tuning), *_scores(tuning), _phases(tuning), *_hot(tuning)]
    page.parts.append(Table("Machine", ["what", "which"], pairs(hardware()), numbers_from=9))
    return page


def sentences(tuning: Tuning) -> list[str]:
    """What was gained, why it was slow, and what was not proven."""
    return [_gained(tuning), _slow(tuning), _left(tuning)]


def _gained(tuning: Tuning) -> str:
    best = tuning.best
    if best is None or best.trial is None:
        return "Nothing that was tried is proven to be faster at no less skill: keep the settings as they are."
    low, high = best.trial.interval
    return (
        f"With {best.change.says} an iteration takes {best.ratio:.3g} of the time ({low:.3g} to {high:.3g}), "
        f"{1 / best.ratio:.3g} times as fast; {_guarded(best.guard)}."
    )


def _guarded(guard: Guard | None) -> str:
    return "its skill was not compared" if guard is None else f"{guard.says} ({guard.kind})"


def _slow(tuning: Tuning) -> str:
    if not tuning.causes:
        return "No cause of slowness was found."
    named = [f"{cause.name} ({share(min(cause.share, 1.0))} of an iteration at most)" for cause in tuning.causes[:3]]
    return f"Found: {listed(named)}."


def _left(tuning: Tuning) -> str:
    counts = [(sum(found.verdict == outcome for found in tuning.verdicts), outcome) for outcome, _ in _TITLES]
    told = [f"{count} {outcome}" for count, outcome in counts if count]
    return f"{several(len(tuning.verdicts), 'changes')} in {duration(tuning.spent_s)}: {listed(told) or 'none'}."


def _table(title: str, verdicts: Sequence[Verdict], note: str = "") -> Table:
    note = f"Times are shares of the time before. {note}".strip()
    rows = [_row(found) for found in verdicts]
    if all(found.trial is None for found in verdicts):
        return Table(title, [*_HEAD[:3], _HEAD[-1]], [[*row[:3], row[-1]] for row in rows], note, numbers_from=9)
    return Table(title, _HEAD, rows, note, numbers_from=9)


def _row(found: Verdict) -> list[str]:
    change, guard = found.change, found.guard
    kind = f"{guard.kind}, {guard.verdict}" if guard else change.kind
    measured = ["", ""]
    if found.trial is not None:
        low, high = found.trial.interval
        measured = [f"{found.ratio:.3f}", f"{low:.3f} to {high:.3f}"]
    return [change.says, change.cause, f"{1 - change.predicted:.2f}", *measured, kind, found.why]


def _causes(tuning: Tuning) -> list[Table]:
    settings = {found.change.cause for found in tuning.verdicts}
    rows = [
        [
            cause.name, share(min(cause.share, 1.0)), cause.says, "; ".join(map(str, cause.where[:3])) or "",
            "tried" if cause.name in settings else cause.advice,
        ]
        for cause in tuning.causes
    ]  # fmt: skip
    note = "What mending each would save at most, and for those that no setting bears on, what to do by hand."
    return (
        [Table("Causes", ["cause", "at most", "evidence", "where", "mend"], rows, note, numbers_from=9)] if rows else []
    )


def _scores(tuning: Tuning) -> list[Table]:
    """The skill of both sides wherever it was compared."""
    found = [*tuning.verdicts, *([tuning.together] if tuning.together else [])]
    rows = [
        _score_row(verdict.change.says, score, verdict.guard.trivial)
        for verdict in found
        if verdict.guard is not None
        for score in verdict.guard.scores
    ]
    head = ["change", "seed", "seconds each", "score before", "score after", "iterations before", "after", "trivial"]
    return [Table("Skill after as much training", head, rows, numbers_from=1)] if rows else []


def _score_row(change: str, score: dict[str, Any], trivial: dict[str, float]) -> list[str]:
    a, b = score["a"], score["b"]
    bots = ", ".join(f"{name} {value:.4g}" for name, value in trivial.items())
    seconds, scores = f"{a['seconds']:.0f}", [f"{side['score']:.4g}" for side in (a, b)]
    return [change, str(score["seed"]), seconds, *scores, f"{a['iterations']:,}", f"{b['iterations']:,}", bots]


def _phases(tuning: Tuning) -> Table:
    phases = sorted(tuning.evidence.phases.items(), key=lambda item: -item[1])
    whole = sum(seconds for _, seconds in phases)
    rows = [[name, short(seconds), share(seconds / whole)] for name, seconds in phases]
    return Table("Where an iteration's time went before", ["phase", "seconds", "share"], rows)


def _hot(tuning: Tuning) -> list[Table]:
    rows = [[str(hot.where), hot.where.function, hot.phase, share(hot.share)] for hot in tuning.evidence.hot[:8]]
    note = "Found by looking now and then; what a line calls counts for it."
    head = ["line", "function", "phase", "share"]
    return [Table("The lines where Python was found most", head, rows, note, numbers_from=3)] if rows else []


def as_document(tuning: Tuning) -> dict[str, Any]:
    """For programs."""
    return {
        "recipe": tuning.setup.recipe,
        "says": sentences(tuning),
        "causes": [cause.to_json() for cause in tuning.causes],
        "verdicts": [found.to_json() for found in tuning.verdicts],
        "together": tuning.together.to_json() if tuning.together else None,
        "tuned": dict(tuning.best.change.patch) if tuning.best else {},
        "ratio": tuning.best.ratio if tuning.best else None,
        "spent_s": tuning.spent_s,
    }
