"""The claims of five documents about game agents and their speed, each with what tests it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from velodrome.audit.claim import DOCUMENTS, Claim, registered
from velodrome.mistake import Mistake, nearest


def claims() -> dict[str, Claim]:
    """All of them by id, document by document."""
    for document in DOCUMENTS:
        import_module(f"velodrome.audit.{document}")
    known = registered()
    return {each.id: each for document in DOCUMENTS for each in known if each.slug == document}


def chosen(names: Sequence[str]) -> dict[str, Claim]:
    """Those of the given ids or documents; all where none is given."""
    known = claims()
    for name in names:
        if name not in known and name not in DOCUMENTS:
            raise Mistake(f"there is no claim {name!r}; {nearest(name, [*known, *DOCUMENTS])}")
    return {name: each for name, each in known.items() if not names or name in names or each.slug in names}
