"""Tables as plain text."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table


def plain_text(table: Table, width: int = 200) -> str:
    """The table without control characters, as wide as it needs to be."""
    written = io.StringIO()
    Console(file=written, width=width, color_system=None, force_terminal=False).print(table)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())
