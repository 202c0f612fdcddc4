"""Runs every test in full and keeps what came out: benchmarks/results/test_long.json.

    python benchmarks/test_long.py

Exits like pytest does. The record is written whether the tests pass or not, and says which.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from common import keep

ROOT = Path(__file__).resolve().parent.parent
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


def slowest(cases: list[ElementTree.Element], most: int = 10) -> list[dict[str, Any]]:
    """The tests that took longest."""
    ranked = sorted(cases, key=lambda case: -float(case.get("time", 0)))[:most]
    return [
        {"test": f"{case.get('classname')}.{case.get('name')}", "time_s": round(float(case.get("time", 0)), 1)}
        for case in ranked
    ]


def main() -> int:
    """Run pytest, keep its outcome."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        code = subprocess.call([sys.executable, "-m", "pytest", f"--junit-xml={report}"], cwd=ROOT)
        if not report.is_file():
            return code
        cases = list(ElementTree.parse(report).iter("testcase"))
    wall_s = round(time.monotonic() - began, 1)
    keep("test_long", figures(cases), passed=code == 0, wall_s=wall_s, slowest=slowest(cases))
    return code


if __name__ == "__main__":
    sys.exit(main())
