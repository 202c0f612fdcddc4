"""Fills the tables of the documentation from the records in benchmarks/results.

    python benchmarks/tables.py            fill them
    python benchmarks/tables.py --check    only say whether they are filled, exit 1 if not

A page asks for a table with a comment, and the table comes to stand under it:

    <!-- table: hearts_speed figures -->
    <!-- end -->

The words are a record (benchmarks/results/hearts_speed.json) and a path inside it (`figures` alone, or `a.b`), which
leads to a list of rows, or to an object whose keys name the rows. A third word may list the columns: `name,ratio`.
A record that does not exist yet leaves a line that says so. The record `audit` is what `velodrome audit` keeps: its
`counts`, its `findings`, whose pictures are made anew as well, and the claims of each document by the word that their
ids begin with.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from velodrome.show.words import said

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PICTURES = ROOT / "docs" / "images" / "audit"
MARKED = re.compile(r"(<!-- table: (?P<words>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
UNITS = {"_per_s": "/s", "_us": ", us", "_ms": ", ms", "_s": ", s", "_ns": ", ns", "_mb": ", MB", "_gb": ", GB"}


def pages(root: Path = ROOT) -> list[Path]:
    """The pages that may hold tables."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def filled(text: str, results: Path = RESULTS) -> str:
    """The page with each of its tables made anew."""
    return MARKED.sub(lambda found: f"{found[1]}{_block(found['words'].split(maxsplit=2), results)}{found[3]}", text)


def _block(words: Sequence[str], results: Path) -> str:
    path = results / f"{words[0]}.json"
    if words[0] == "audit":
        record = _audit()
    elif path.is_file():
        record = json.loads(path.read_text(encoding="utf-8"))
    else:
        return f"\nNot measured yet: there is no record `benchmarks/results/{path.name}`.\n\n"
    rows = rows_of(_inside(record, words[1] if len(words) > 1 else "figures"))
    columns = words[2].split(",") if len(words) > 2 else list(dict.fromkeys(key for row in rows for key in row))
    return f"\n{markdown(rows, columns)}\n{source(record)}\n"


def _audit() -> dict[str, Any]:
    """The kept verdicts as a record."""
    from velodrome.audit import claims
    from velodrome.audit.claim import DOCUMENTS
    from velodrome.audit.findings import findings
    from velodrome.audit.tell import counts_of, sentence
    from velodrome.audit.verdicts import kept

    known, verdicts = claims(), kept()
    record: dict[str, Any] = {"counts": counts_of(known, verdicts), "command": "velodrome audit --run --keep"}
    record["findings"] = [
        {"finding": one.says, "picture": f"![{one.id}](images/audit/{one.id}.svg)" if one.bars else "", "claim": one.id}
        for one in findings(known, verdicts)
    ]
    for slug in DOCUMENTS:
        record[slug] = [
            {
                "claim": id, "where": each.where, "says": each.says, "claimed": said(each.claimed),
                "measured": said(verdicts[id].finding.measured), "verdict": sentence(verdicts[id].finding),
            }
            for id, each in known.items() if each.slug == slug and id in verdicts
        ]  # fmt: skip
    return record


def _inside(record: Any, path: str) -> Any:
    for key in path.split("."):
        record = record[key]
    return record


def rows_of(found: Any) -> list[dict[str, Any]]:
    """A list of rows as it is; an object as a row a key."""
    if isinstance(found, Mapping):
        return [
            {"": _words(name)} | (dict(row) if isinstance(row, Mapping) else {"value": row})
            for name, row in found.items()
        ]
    return [dict(row) for row in found]


def markdown(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A table; columns of numbers stand to the right."""
    right = {key for key in columns if all(_is_number(row.get(key, 0)) for row in rows)}
    head = "".join(f" {heading(key)} |" for key in columns)
    rule = "".join(" --: |" if key in right else " :-- |" for key in columns)
    body = ["|" + "".join(f" {cell(row.get(key))} |" for key in columns) for row in rows]
    return "\n".join([f"|{head}", f"|{rule}", *body]) + "\n"


def heading(key: str) -> str:
    """A key as a column's heading, its unit apart."""
    for ending, unit in UNITS.items():
        if key.endswith(ending):
            return _words(key.removesuffix(ending)) + unit
    return _words(key)


def cell(value: Any) -> str:
    """A value as a cell."""
    if value is None or isinstance(value, bool | int | float):
        return said(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " to ".join(cell(one) for one in value) if len(value) == 2 else ", ".join(cell(one) for one in value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def source(record: Mapping[str, Any]) -> str:
    """On what machine, when, and by which command."""
    machine = record.get("machine") or {}
    told = [str(machine[key]) for key in ("cpu", "gpu") if isinstance(machine.get(key), str)]
    told += [f"{machine['cores']} core{'s' * (machine['cores'] != 1)}"] if "cores" in machine else []
    told += [str(record["date"])[:10]] if "date" in record else []
    told += [f"`{record['command']}`"] if "command" in record else []
    return f"{', '.join(told)}\n" if told else ""


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _words(key: str) -> str:
    return key.replace("_", " ")


def pictures() -> dict[Path, str]:
    """What the pictures of the audit's findings are to hold."""
    from velodrome.audit import claims
    from velodrome.audit.findings import findings, picture
    from velodrome.audit.verdicts import kept

    return {PICTURES / f"{one.id}.svg": picture(one) + "\n" for one in findings(claims(), kept()) if one.bars}


def main(arguments: Sequence[str]) -> int:
    """Fill or check all pages and pictures."""
    wanted = pictures() | {page: filled(page.read_text(encoding="utf-8")) for page in pages()}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for page in stale:
            print(f"{page.relative_to(ROOT)} differs from what the records say; run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for page in stale:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(wanted[page], encoding="utf-8")
        print(f"filled {page.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
