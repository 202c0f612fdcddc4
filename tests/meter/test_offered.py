from __future__ import annotations

import subprocess
import sys

import pytest

import velodrome


def test_importing_velodrome_imports_nothing_heavy() -> None:
    said = "import sys, velodrome; print([name for name in ('torch', 'numba', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_clock_needs_no_torch() -> None:
    said = "import sys, velodrome; velodrome.Clock().budget(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("name", sorted(velodrome._OFFERED))
def test_everything_offered_is_there_and_listed(name: str) -> None:
    assert getattr(velodrome, name).__name__ == name
    assert name in dir(velodrome)


def test_anything_else_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = velodrome.nothing
