"""What a verb gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

INTERRUPTED = 130
"""The exit code of what Ctrl-C has ended."""


@dataclass(frozen=True)
class Answer:
    """A JSON document for programs, a text for people, and the exit code."""

    document: dict[str, Any]
    text: str
    code: int = 0
