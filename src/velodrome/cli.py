"""The command line: finds the verb, prints its answer, and turns mistakes into one line and exit code 2."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import velodrome
from velodrome.mistake import Mistake, nearest
from velodrome.verbs.answer import INTERRUPTED
from velodrome.verbs.scripts import without_script

if TYPE_CHECKING:
    from velodrome.verbs.answer import Answer

VERBS = {
    "list": "recipes, games, nets and bots there are",
    "train": "train a recipe, or continue a run",
    "evaluate": "measure how well a run plays, with its standard error",
    "profile": "see where the time of a recipe goes, or of a script of your own",
    "compare": "set nets, or runs, side by side",
    "trial": "measure two settings of a recipe side by side",
    "tune": "find what makes a recipe slow, and keep what is proven to mend it",
    "scale": "see how times grow with agents, threads or games, and what communication takes",
    "audit": "see what the five documents claim, and whether it holds",
    "report": "write the report of a run as one page",
    "watch": "replay games on one page, with what the net sees and wants",
    "play": "sit down to Hearts against three agents, in the browser",
    "export": "write how a run plays as ONNX, for other programs",
}
"""Each is a module of `velodrome.verbs` with a function of the same name."""
MISTAKEN = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except Mistake as mistake:
        print(f"velodrome: {mistake}", file=sys.stderr)
        return MISTAKEN
    except KeyboardInterrupt:
        print("velodrome: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if given else MISTAKEN
    if given[0] == "--version":
        print(velodrome.__version__)
        return 0
    verb, rest = given[0], given[1:]
    if verb not in VERBS:
        raise Mistake(f"there is no verb {verb!r}; {nearest(verb, VERBS)}")
    own = without_script(rest) if verb == "profile" else rest
    # Help goes to stdout; while a verb is at work everything but its answer goes to stderr.
    asks_help = any(argument in ("-h", "--help") for argument in own)
    with contextlib.nullcontext() if asks_help else contextlib.redirect_stdout(sys.stderr):
        answer = _verb(verb)(rest)
    _print(answer, as_json="--json" in own)
    return answer.code


def _verb(name: str) -> Callable[[Sequence[str]], Answer]:
    found: Callable[[Sequence[str]], Answer] = getattr(import_module(f"velodrome.verbs.{name}"), name)
    return found


def _print(answer: Answer, as_json: bool) -> None:
    from velodrome.runs.files import as_line

    print(as_line(answer.document) if as_json else answer.text, flush=True)


def _help() -> str:
    verbs = "\n".join(f"  {name:<10}{says}" for name, says in VERBS.items())
    return (
        "usage: velodrome VERB ... [--json]\n\n"
        f"{velodrome.__doc__}\n\n{verbs}\n\n"
        "velodrome VERB --help tells the flags of a verb, velodrome train RECIPE --help those of a recipe too."
    )
