"""Flags from dataclasses: the verb's own and, where it works on a recipe, the recipe's settings."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import tyro

from velodrome.mistake import Mistake, nearest
from velodrome.recipes.recipe import Recipe
from velodrome.recipes.tuned import read_settings

Own = TypeVar("Own")
Count = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
Seconds = Annotated[float | None, tyro.conf.arg(metavar="SECONDS", help_behavior_hint="")]
Name = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
Length = Annotated[str, tyro.conf.arg(metavar="TIME")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
_BOTH = "OwnAndSettings"
_IN_WORDS = {
    "INT": "a whole number",
    "N": "a whole number",
    "FLOAT": "a number",
    "SECONDS": "a number",
    "[INT": "whole numbers",
    "[FLOAT": "numbers",
}


def parse(verb: str, own: type[Own], arguments: Sequence[str]) -> Own:
    """The verb's own flags."""
    parsed: Own = _parsed(verb, _one_way(own), arguments)
    return parsed


def parse_with_settings(verb: str, own: type[Own], arguments: Sequence[str], settings: Any) -> tuple[Own, Any]:
    """The verb's own flags, and `settings` with the changes that flags ask for."""
    default = dataclasses.field(default=settings)
    both = dataclasses.make_dataclass(
        _BOTH,
        [
            ("own", _unprefixed(_one_way(own))),
            ("settings", _unprefixed(type(settings)), default),
        ],
    )
    parsed = _parsed(verb, both, arguments)
    return parsed.own, parsed.settings


def parse_with_file(verb: str, own: type[Own], arguments: Sequence[str], recipe: Recipe) -> tuple[Own, Any]:
    """The verb's own flags, one of which is `--settings FILE`, and the recipe's settings: those of the file where there
    is one, with the changes that flags ask for."""
    found, settings = parse_with_settings(verb, own, arguments, recipe.settings())
    file: Path | None = found.settings  # type: ignore[attr-defined]
    if file is None:
        return found, settings
    kept = read_settings(file, recipe)
    found, settings = parse_with_settings(verb, own, arguments, kept.settings)
    if found.threads is None and kept.threads is not None:  # type: ignore[attr-defined]
        found = dataclasses.replace(found, threads=kept.threads)  # type: ignore[type-var]
    return found, settings


def seconds_of(flag: str, length: str, above_zero: bool = False) -> float:
    """A length of time as people write it: 90, 90s, 10m, 1h."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|m|min|h|)", length.strip())
    if not found:
        raise Mistake(f"{flag} {length!r} is no length of time; write 90s, 10m or 1h")
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}[found[2]]
    if above_zero and not seconds:
        raise Mistake(f"{flag} {length}: it takes more than 0")
    return seconds


def _one_way(kind: Any) -> Any:
    """A verb's own flags can only be set; a setting may be on already, and is then set again or unset."""
    once: Any = tyro.conf.FlagCreatePairsOff
    return once[kind]


def _unprefixed(kind: Any) -> Any:
    annotated: Any = Annotated
    return annotated[kind, tyro.conf.arg(name="")]


def subject(verb: str, what: str, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """What the verb is to work on, its first argument, and the other arguments. Empty where only help is asked for."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], list(arguments[1:])
    if "-h" in arguments or "--help" in arguments:
        return "", list(arguments)
    raise Mistake(f"{verb} takes {what} first: velodrome {verb} {what} ...; see velodrome {verb} --help")


def refuse_below(flags: Any, **least: float) -> None:
    """Raise a `Mistake` if one of the named flags was given a value under its least."""
    for name, bound in least.items():
        value = getattr(flags, name)
        if value is not None and not value >= bound:
            raise Mistake(f"--{name.replace('_', '-')} {value}: it takes {bound:g} or more")


def _parsed(verb: str, kind: Any, arguments: Sequence[str]) -> Any:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=list(arguments), prog=f"velodrome {verb}")
    except SystemExit as end:
        if not end.code:
            raise
        raise Mistake(f"{_one_line(said.getvalue(), _flag_names(kind))}; see velodrome {verb} --help") from None


def _one_line(box: str, known: list[str]) -> str:
    """What a box of tyro's says, and the mend."""
    text = " ".join(line.strip(" │|") for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines())
    if unknown := re.search(r"Unrecognized options: (\S+?)(?:,| |$)", text):
        flag = unknown[1]
        return f"there is no flag {flag}; {nearest(flag, known)}" if flag.startswith("-") else f"what is {flag!r} for?"
    if bad := re.search(r"Error parsing (--\S+): .*?'([^']*)'", text):
        taken = re.search(rf"helptext: {bad[1]} (?:\{{None\}}\|)?(\[?[A-Z]+)", text)
        return f"{bad[1]} {bad[2]}: it takes {_IN_WORDS.get(taken[1], taken[1]) if taken else 'another value'}"
    if choice := re.search(r"invalid choice ('[^']*') for argument '(--\S+)'. Expected one of \((.*?),?\)", text):
        return f"{choice[2]} {choice[1]}: it takes one of {choice[3]}"
    if missing := re.search(r"Missing value for argument '(--[^']+)'", text):
        return f"{missing[1]} needs a value"
    sections = [section.strip(" ╭╮╰╯") for section in re.split(r"[─-]{3,}", text)]  # title, what is wrong, help
    return re.sub(r"^Error parsing (settings\.)?", "", sections[1] if len(sections) > 1 else text)


def _flag_names(kind: Any, prefix: str = "") -> list[str]:
    """Every flag of a dataclass, those of nested settings under their dotted names."""
    kind = kind.__origin__ if hasattr(kind, "__metadata__") else kind
    names: list[str] = []
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        nested = hints[field.name]
        if dataclasses.is_dataclass(nested):
            own = "" if kind.__name__ == _BOTH else f"{field.name.replace('_', '-')}."
            names += _flag_names(nested, prefix + own)
        else:
            names.append(f"--{prefix}{field.name.replace('_', '-')}")
    return names
