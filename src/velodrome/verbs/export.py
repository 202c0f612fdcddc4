"""`velodrome export`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from velodrome.edge.export import Exported
from velodrome.edge.export import export as written
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Folder, parse, subject


@dataclass(frozen=True)
class Export:
    """Write how a run plays as an ONNX file, for other programs, once it is seen to play as the net does. A recipe's
    name will do too: it is then the agent that ships with Velodrome."""

    out: Folder = None
    """The file, ending in .onnx; by default policy.onnx in the run's folder, or the recipe's name here."""
    json: bool = False
    """Answer with one JSON document."""


def export(arguments: Sequence[str]) -> Answer:
    """Export a run, or the agent of a recipe."""
    name, rest = subject("export", "RUN", arguments)
    flags = parse("export RUN", Export, rest)
    exported = written(name, flags.out)
    return Answer(exported.to_json(), _text(exported))


def _text(exported: Exported) -> str:
    ties = f", {exported.ties} ties apart" if exported.ties else ""
    return "\n".join(
        [
            f"{exported.path}: {exported.recipe} in {exported.bytes / 1e3:,.0f} kB",
            f"  sees {_named(exported.inputs)}",
            f"  gives {_named(exported.outputs)}",
            f"  in {exported.decisions:,} decisions of real games it chose as the net did{ties}, and its numbers were "
            f"at most {exported.furthest:.1g} away",
        ]
    )


def _named(tensors: dict[str, dict[str, object]]) -> str:
    return ", ".join(f"{name} {one['shape']} {one['dtype']}" for name, one in tensors.items())
