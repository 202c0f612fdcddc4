"""The documentation: its tables are those of the records, its links lead somewhere, its commands run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
EXTRA = {"04-hearts.md": " --iterations 0", "05-proof.md": " --budget 1s", "06-your-environments.md": " --iterations 1"}
"""What makes a page's command cheap enough to be run here."""
NEEDS = {"15-many-machines.md": "ray"}
"""The packages beside our own that a page's command takes."""


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = load(ROOT / "benchmarks" / "tables.py")


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_tables_are_those_of_the_records(page: Path) -> None:
    up_to_date = page.read_text() == tables.filled(page.read_text())
    assert up_to_date, "run `make docs`"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_at_the_end_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS.get(page.name, "velodrome"))
    last = page.read_text().rstrip().splitlines()[-1]
    assert last.startswith("    "), "a page ends in a command"
    for folder in ("docs", "benchmarks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns(".venv"))
    shutil.copy(ROOT / "README.md", tmp_path)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        last.strip() + EXTRA.get(page.name, ""),
        shell=True,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("target", ["demo", "test", "install", "test-long", "bench", "docs"])
def test_make_knows_its_targets(target: str) -> None:
    planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr


def test_every_version_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    names = {re.split("==", pin)[0].lower().replace("_", "-") for pin in pins}
    wanted = re.findall(r'^    "([A-Za-z0-9_-]+)>=', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert {name.lower().replace("_", "-") for name in wanted} <= names
    assert "torch==2.13.0" in pins


def write(folder: Path, **record: Any) -> Path:
    (folder / "some.json").write_text(json.dumps(record))
    return folder


def test_a_table_is_made_from_rows(tmp_path: Path) -> None:
    rows = [{"name": "a", "time_us": 1234.5, "closed": True}, {"name": "b|c", "time_us": None, "ratio": [1.1, 1.2]}]
    machine = {"cpu": "A processor", "cores": 2}
    write(tmp_path, figures=rows, machine=machine, date="2026-11-20T08:00:00", command="python some.py")
    text = "before\n<!-- table: some figures -->\nold\n<!-- end -->\nafter\n"
    assert tables.filled(text, tmp_path) == (
        "before\n<!-- table: some figures -->\n\n"
        "| name | time, us | closed | ratio |\n"
        "| :-- | --: | :-- | :-- |\n"
        "| a | 1,234 | yes |  |\n"
        "| b\\|c |  |  | 1.1 to 1.2 |\n\n"
        "A processor, 2 cores, 2026-11-20, `python some.py`\n\n"
        "<!-- end -->\nafter\n"
    )


def test_a_table_may_choose_its_columns_and_name_its_rows(tmp_path: Path) -> None:
    write(tmp_path, seeds={"seed_0": {"score": 5.5, "other": 1}, "seed_1": {"score": 5.25, "other": 2}})
    filled = tables.filled("<!-- table: some seeds ,score -->\n<!-- end -->", tmp_path)
    assert "|  | score |\n| :-- | --: |\n| seed 0 | 5.5 |\n| seed 1 | 5.25 |\n" in filled
    assert tables.filled(filled, tmp_path) == filled


def test_a_record_that_is_not_there_is_said(tmp_path: Path) -> None:
    filled = tables.filled("<!-- table: none figures -->\n<!-- end -->", tmp_path)
    assert "Not measured yet: there is no record `benchmarks/results/none.json`." in filled
