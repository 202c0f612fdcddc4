"""Where in a command line somebody's own script begins: what stands before it is ours, what stands after it is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def script_at(arguments: Sequence[str]) -> int | None:
    """The place of the script among a verb's arguments, which may begin with flags; None where there is none."""
    if arguments and not arguments[0].startswith("-"):
        return 0 if arguments[0].endswith(".py") or Path(arguments[0]).is_file() else None
    return next((at for at, argument in enumerate(arguments) if argument.endswith(".py")), None)


def without_script(arguments: Sequence[str]) -> list[str]:
    """The arguments that are ours."""
    return list(arguments[: script_at(arguments)])
