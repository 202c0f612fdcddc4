"""What whoever is calling can mend: one line that names the mistake and the mend, never a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Mistake(ValueError):
    """A mistake of the caller's, or a fault of the world around us (a full disk); its text is one line."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the known name nearest to `name`, or all of them where none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are {', '.join(names)}" if names else "there are none"


@contextmanager
def callers_mistake() -> Iterator[None]:
    """Take a `ValueError` raised inside for the caller's mistake: for code that only looks at what was asked for."""
    try:
        yield
    except Mistake:
        raise
    except ValueError as error:
        raise Mistake(" ".join(str(error).split())) from error
