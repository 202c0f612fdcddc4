"""Games replayed on one page: what was played, and what the players' nets had in mind."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from velodrome import __version__
from velodrome.show.film import Film
from velodrome.show.report import environment, script_of, write_whole


@dataclass(frozen=True)
class Page:
    """Everything that the template shows."""

    title: str
    folder: str
    """Whence it comes."""
    seed: str
    verdict: Sequence[str]
    films: str
    """The games, packed."""
    script: Markup
    script_hash: str
    version: str = __version__


def write_page(path: Path, title: str, verdict: Sequence[str], seed: int, films: Sequence[Film]) -> int:
    """Write the page; returns its size in bytes."""
    page = Page(title, title, str(seed), verdict, packed(films), *script_of("watch.js"))
    write_whole(path, environment().get_template("watch.html").render(page=page).lstrip())
    return path.stat().st_size


def packed(films: Sequence[Film]) -> str:
    """The films as JSON, deflated, in base64: browsers undo all three by themselves."""
    plain = json.dumps([film.to_json() for film in films], separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(plain.encode(), 9)).decode()
