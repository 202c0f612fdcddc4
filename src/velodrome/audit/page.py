"""All claims and verdicts as one page that needs nothing else, opened by ten findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from velodrome import __version__
from velodrome.audit.claim import DOCUMENTS, VERDICTS, Claim
from velodrome.audit.findings import findings, picture
from velodrome.audit.tell import NEVER, counts_of, sentence
from velodrome.audit.verdicts import Verdict
from velodrome.show.report import environment
from velodrome.show.words import listed, said


@dataclass(frozen=True)
class Finding:
    """A sentence and its picture, an SVG."""

    id: str
    says: str
    picture: str


@dataclass(frozen=True)
class Part:
    """The claims of a document, and a row for each."""

    name: str
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Page:
    """What the template shows."""

    says: str
    findings: list[Finding]
    counts: list[list[str]]
    parts: list[Part]
    title: str = "What they say, and what we found"
    head: list[str] = field(default_factory=lambda: ["document", "claims", *VERDICTS])
    folder: str = "velodrome/audit/verdicts.json"
    version: str = __version__


def html_of(claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    """The page."""
    counts = counts_of(claims, verdicts)
    by_verdict = listed([f"{counts[-1][verdict]} {_verb(verdict)}" for verdict in VERDICTS])
    page = Page(
        f"Of {len(claims)} claims of {len(DOCUMENTS)} documents on game agents and their speed, {by_verdict}.",
        [Finding(one.id, one.says, picture(one)) for one in findings(claims, verdicts)],
        [[said(cell) for cell in row.values()] for row in counts],
        [
            Part(name, [(id, _row(each, verdicts.get(id))) for id, each in claims.items() if each.slug == slug])
            for slug, name in DOCUMENTS.items()
        ],
    )
    return environment().get_template("audit.html").render(page=page).lstrip()


def _verb(verdict: str) -> str:
    """As it is said of several."""
    return {
        "holds": "hold", "does not hold": "do not", "holds only if": "hold under a condition",
        "cannot be tested here": "cannot be tested here",
    }[verdict]  # fmt: skip


def _row(claim: Claim, verdict: Verdict | None) -> list[str]:
    if verdict is None:
        return [claim.says, said(claim.claimed), "", NEVER, ""]
    finding = verdict.finding
    when = f"{verdict.date[:10]}, {verdict.machine['cpu']}"
    return [claim.says, said(claim.claimed), said(finding.measured), sentence(finding), when]
