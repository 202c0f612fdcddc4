"""Claims and verdicts, for programs and for people."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from velodrome.audit.claim import DOCUMENTS, VERDICTS, Claim, Finding
from velodrome.audit.verdicts import Verdict
from velodrome.show.tables import plain_text
from velodrome.show.words import duration, said

NEVER = "not tested yet"


def document_of(
    wanted: Mapping[str, Claim], verdicts: Mapping[str, Verdict], before: Mapping[str, Verdict]
) -> dict[str, Any]:
    """As one JSON document; `before` are the kept verdicts where the others are new."""
    found = []
    for id, each in wanted.items():
        verdict = verdicts.get(id)
        line: dict[str, Any] = {
            "id": id, "document": each.document, "where": each.where, "claim": each.says, "kind": each.kind,
            "claimed": each.claimed, "how": each.how,
            **(verdict.to_json() if verdict else dict.fromkeys(("measured", "verdict", "why", "date", "machine"))),
        }  # fmt: skip
        if before:
            line["before"] = before[id].to_json() if id in before else None
        found.append(line)
    return {"claims": found, "verdicts": dict(_counts(wanted, verdicts))}


def text_of(
    wanted: Mapping[str, Claim], before: Mapping[str, Verdict], now: Mapping[str, Verdict], *, whole: bool
) -> str:
    """A table a document, or with `whole` everything about each claim."""
    verdicts = now or before
    if whole and len(wanted) == 1:
        (only,) = wanted.values()
        return _everything(only, before.get(only.id), now.get(only.id))
    parts = [
        f"{name}\n{_table(of, before, now)}"
        for slug, name in DOCUMENTS.items()
        if (of := {id: each for id, each in wanted.items() if each.slug == slug})
    ]
    return "\n\n".join([*parts, _ending(wanted, verdicts)])


def counts_of(wanted: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> list[dict[str, Any]]:
    """How many of each document's claims have which verdict."""
    rows = []
    for slug, name in DOCUMENTS.items():
        of = {id: each for id, each in wanted.items() if each.slug == slug}
        rows.append({"document": name, "claims": len(of), **_counts(of, verdicts)})
    return [*rows, {"document": "all", "claims": len(wanted), **_counts(wanted, verdicts)}]


def sentence(finding: Finding) -> str:
    """Verdict and reason."""
    joint = " " if finding.verdict == "holds only if" else ": "
    return finding.verdict + (f"{joint}{finding.why}" if finding.why else "")


def _counts(wanted: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> dict[str, int]:
    found = Counter(verdicts[id].finding.verdict for id in wanted if id in verdicts)
    return {verdict: found[verdict] for verdict in VERDICTS}


def _table(of: Mapping[str, Claim], before: Mapping[str, Verdict], now: Mapping[str, Verdict]) -> str:
    table = Table(box=None, pad_edge=False)
    for heading, width in (("claim", 12), ("", 52), ("claimed", 14), ("measured", 18), ("verdict", 52), ("age", 14)):
        table.add_column(heading, max_width=width, justify="right" if heading in ("claimed", "measured") else "left")
    for id, each in of.items():
        for verdict in [now.get(id), before.get(id)] if now else [before.get(id)]:
            finding = verdict.finding if verdict else None
            table.add_row(
                id, each.says, said(each.claimed), said(finding.measured if finding else None),
                sentence(finding) if finding else NEVER, _age(verdict),
            )  # fmt: skip
    return plain_text(table)


def _everything(each: Claim, before: Verdict | None, now: Verdict | None) -> str:
    lines = [
        f"{each.id}, {each.document}, {each.where}",
        f"  says      {each.says}",
        f"  kind      {each.kind}",
        f"  claimed   {said(each.claimed)}",
        f"  test      {each.how}",
    ]
    lines += [f"  now       {_one(now)}", f"  before    {_one(before)}"] if now else [f"  kept      {_one(before)}"]
    return "\n".join(lines)


def _one(verdict: Verdict | None) -> str:
    if verdict is None:
        return NEVER
    finding = verdict.finding
    measured = f"{said(finding.measured)}; " if finding.measured is not None else ""
    return f"{measured}{sentence(finding)} ({_age(verdict)}, {_machine(verdict)})"


def _ending(wanted: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    parts = [f"{many} {verdict}" for verdict, many in _counts(wanted, verdicts).items()]
    there = [verdicts[id] for id in wanted if id in verdicts]
    machines = dict.fromkeys(_machine(verdict) for verdict in there)
    untested = [f"{len(wanted) - len(there)} {NEVER}"] if len(there) < len(wanted) else []
    told = f"{len(wanted)} claims: {', '.join(parts + untested)}"
    return "\n".join([told, *([f"tested on {' and on '.join(machines)}"] if machines else [])])


def _age(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    if verdict.age < datetime.timedelta(minutes=1):
        return "now"
    days = verdict.age.days
    return f"{days} day{'s' * (days != 1)} ago" if days else f"{duration(60 * (verdict.age.total_seconds() // 60))} ago"


def _machine(verdict: Verdict) -> str:
    machine = verdict.machine
    gpu = f", {machine['gpu']}" if machine.get("gpu") else ""
    return f"{machine['cpu']}, {machine['cores']} cores{gpu}, torch {machine['torch']}"
