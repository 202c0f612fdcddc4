"""Files that are either there as a whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from velodrome.mistake import Mistake


def write_durably(path: Path, data: bytes) -> None:
    """Write beside `path`, flush to the disk, rename over it, and flush the folder that now names it."""
    beside = path.with_name(f".writing-{path.name}")
    try:
        write_flushed(beside, data)
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_flushed(path: Path, data: bytes) -> None:
    """Write `path` in place and do not return before it is on the disk."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make names in `folder` survive a power cut: a rename is an entry of the folder, not of the file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing_to(what: Path | str, mend: str = "choose another --run") -> Iterator[None]:
    """Turn the ways in which a disk refuses a write inside into one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Mistake(f"{what}: the disk is full; free some space and continue with --resume") from error
        reason = error.strerror or str(error)
        raise Mistake(f"{what} cannot be written ({reason.lower()}); {mend}") from error


def new_folder(parent: Path, name: str) -> Path:
    """A folder that is not there yet: the name, or the name with a number; of `path/to/file.py:name`, the last part."""
    name = name.rsplit(":", 1)[-1]
    number = 1
    while (folder := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def plain(value: Any) -> Any:
    """`value` as strict JSON can hold it: an infinity or a NaN becomes null, a path a string."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def as_line(value: Any) -> str:
    """`value` as one line of strict JSON, without the newline."""
    return json.dumps(plain(value), allow_nan=False)
