"""Runs every test in full and keeps what came out: benchmarks/results/test_long.json.

    python benchmarks/test_long.py

Exits like pytest does. The record is written whether the tests pass or not, and says which.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from velodrome.meter.machine import hardware

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "test_long.json"
OUTCOMES = ("passed", "failed", "error", "skipped")


def outcome(case: ElementTree.Element) -> str:
    """What became of one test."""
    for tag, said in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        if case.find(tag) is not None:
            return said
    return "passed"


def room(case: ElementTree.Element) -> str:
    """The folder of tests that it belongs to."""
    parts = case.get("classname", "").split(".")
    return parts[1] if len(parts) > 2 else "top"


def figures(cases: Iterable[ElementTree.Element]) -> list[dict[str, Any]]:
    """A row a folder of tests, and one for all."""
    counts: dict[str, Counter[str]] = {}
    seconds: Counter[str] = Counter()
    for case in cases:
        for name in (room(case), "all"):
            counts.setdefault(name, Counter())[outcome(case)] += 1
            seconds[name] += float(case.get("time", 0))
    names = sorted(counts, key=lambda name: (name == "all", name))
    tallies = {name: {said: counts[name][said] for said in OUTCOMES} for name in names}
    return [{"tests": name, **tallies[name], "time_s": round(seconds[name], 1)} for name in names]


def record(cases: list[ElementTree.Element], wall_s: float, code: int) -> dict[str, Any]:
    """The record of one run."""
    slowest = sorted(cases, key=lambda case: -float(case.get("time", 0)))[:10]
    return {
        "command": "make test-long",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": hardware(),
        "passed": code == 0,
        "wall_s": round(wall_s, 1),
        "figures": figures(cases),
        "slowest": [
            {"test": f"{case.get('classname')}.{case.get('name')}", "time_s": round(float(case.get("time", 0)), 1)}
            for case in slowest
        ],
    }


def main() -> int:
    """Run pytest, keep its outcome."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        code = subprocess.call([sys.executable, "-m", "pytest", f"--junit-xml={report}"], cwd=ROOT)
        if not report.is_file():
            return code
        cases = list(ElementTree.parse(report).iter("testcase"))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(record(cases, time.monotonic() - began, code), indent=1) + "\n", encoding="utf-8")
    print(f"kept in {RESULT.relative_to(ROOT)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
