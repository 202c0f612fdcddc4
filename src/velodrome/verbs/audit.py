"""`velodrome audit`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from velodrome.audit import chosen, claims
from velodrome.audit.claim import Claim
from velodrome.audit.page import html_of
from velodrome.audit.tell import document_of, text_of
from velodrome.audit.verdicts import Verdict, found_now, keep, kept
from velodrome.mistake import Mistake
from velodrome.runs.files import writing_to
from velodrome.show.report import write_whole
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Folder, parse


@dataclass(frozen=True)
class Audit:
    """What five documents claim, and whether it holds: the kept verdicts, or what is measured now. CLAIM is an id such
    as territory-03, or the first word of ids, for all claims of a document; none stands for all."""

    run: bool = False
    """Test the claims now, and show both verdicts."""
    keep: bool = False
    """With --run: put the new verdicts in place of the kept ones."""
    page: Folder = None
    """Write all verdicts, opened by ten findings, into this file, as a page for a browser."""
    json: bool = False
    """Answer with one JSON document."""


def audit(arguments: Sequence[str]) -> Answer:
    """The verdicts on claims."""
    names, rest = _split(arguments)
    flags = parse("audit [CLAIM ...]", Audit, rest)
    if flags.keep and not flags.run:
        raise Mistake("--keep keeps what --run finds: add --run")
    wanted, before = chosen(names), kept()
    now = _tested(wanted) if flags.run else {}
    if flags.keep:
        keep(now, claims())
    if flags.page:
        with writing_to(flags.page, "name another file"):
            write_whole(flags.page, html_of(claims(), kept() | now))
        print(f"velodrome: wrote {flags.page}", file=sys.stderr)
    document = document_of(wanted, now or before, before if flags.run else {})
    return Answer(document, text_of(wanted, before, now, whole=bool(names)))


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The claims, wherever they stand, and the flags with what belongs to them."""
    names, rest = list[str](), list[str]()
    for before, each in pairwise(["", *arguments]):
        (rest if each.startswith("-") or before == "--page" else names).append(each)
    return names, rest


def _tested(wanted: Mapping[str, Claim]) -> dict[str, Verdict]:
    found = {}
    for number, (id, each) in enumerate(wanted.items(), 1):
        found[id] = found_now(each.examine())
        print(f"velodrome: {number} of {len(wanted)}, {id}: {found[id].finding.verdict}", file=sys.stderr, flush=True)
    return found
