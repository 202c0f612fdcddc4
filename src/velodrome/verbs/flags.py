"""Flags from dataclasses: the verb's own and, where it works on a recipe, the recipe's settings."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import tyro

from velodrome.mistake import Mistake

Own = TypeVar("Own")
_RULE = re.compile(r"^[\s\W_]*$")


def parse(verb: str, own: type[Own], arguments: Sequence[str]) -> Own:
    """The verb's own flags."""
    marked = Annotated[own, tyro.conf.FlagCreatePairsOff]
    return _parsed(verb, marked, arguments)


def parse_with_settings(verb: str, own: type[Own], arguments: Sequence[str], settings: Any) -> tuple[Own, Any]:
    """The verb's own flags, and `settings` with the changes that flags ask for."""
    both = dataclasses.make_dataclass(
        "Both",
        [
            ("own", Annotated[own, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff]),
            ("settings", Annotated[type(settings), tyro.conf.arg(name="")], dataclasses.field(default=settings)),
        ],
    )
    parsed = _parsed(verb, both, arguments)
    return parsed.own, parsed.settings


def subject(verb: str, arguments: Sequence[str], what: str) -> str | None:
    """What the verb is to work on: its first argument. None where only help is asked for."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0]
    if "-h" in arguments or "--help" in arguments:
        return None
    raise Mistake(f"velodrome {verb} takes {what} first: velodrome {verb} {what} ...; see velodrome list")


def _parsed(verb: str, kind: Any, arguments: Sequence[str]) -> Any:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=list(arguments), prog=f"velodrome {verb}")
    except SystemExit as end:
        if not end.code:
            raise
        raise Mistake(f"{_one_line(said.getvalue())}; see velodrome {verb} --help") from None


def _one_line(box: str) -> str:
    """What matters of tyro's box: the first paragraph under the title, and the flag that may have been meant."""
    paragraphs: list[list[str]] = [[]]
    for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines():
        text = line.strip(" │|\t")
        if not _RULE.match(line):
            paragraphs[-1].append(text)
        elif paragraphs[-1]:
            paragraphs.append([])
    mistake = " ".join(paragraphs[min(1, len(paragraphs) - 1)]).rstrip(".")
    for paragraph in paragraphs[2:]:
        if "Perhaps you meant" in paragraph[0] if paragraph else False:
            meant = next((word for line in paragraph[1:] for word in line.split() if word.startswith("--")), None)
            mistake += f"; did you mean {meant}?" if meant else ""
    return mistake
