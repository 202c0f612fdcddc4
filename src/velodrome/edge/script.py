"""Runs somebody's script as Python itself would, in this process."""

from __future__ import annotations

import contextlib
import os
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

from velodrome.mistake import Mistake

FAILED, INTERRUPTED = 1, 130

OURS = str(Path(__file__).resolve().parent)


@dataclass(frozen=True)
class Ending:
    """How a script ended."""

    code: int
    says: str = ""
    """Empty where it came to its end, or ended itself."""


class Script:
    """A Python file that has been read and can be run. Raises a `Mistake` if there is none."""

    def __init__(self, path: Path, arguments: Sequence[str] = ()):
        self.path, self.arguments = path, list(arguments)
        self._loader = _Loader("__main__", os.path.abspath(path))
        if path.is_dir():
            raise Mistake(f"{path} is a directory; give the script itself, such as {path / 'train.py'}")
        if not path.is_file():
            raise Mistake(f"{path}: no such file")
        try:
            with tokenize.open(path) as file:
                file.read()
            self._loader.get_code("__main__")
        except SyntaxError as error:
            where = f"{path}:{error.lineno}" if error.lineno else str(path)
            raise Mistake(f"{where} is no Python: {error.msg}") from error
        except (UnicodeDecodeError, ValueError) as error:
            raise Mistake(f"{path} is no Python: {error}") from error
        except OSError as error:
            raise Mistake(f"{path} cannot be read ({(error.strerror or str(error)).lower()})") from error

    def run(self) -> Ending:
        """Run it as `__main__`, and say on stderr what Python would say about its end."""
        with _seat(self.path, self.arguments, self._loader) as module:
            try:
                self._loader.exec_module(module)
            except SystemExit as end:
                return _exited(end.code)
            except KeyboardInterrupt:
                return Ending(INTERRUPTED, "interrupted")
            except BaseException as error:
                sys.stdout.flush()
                error.__traceback__ = _theirs(error.__traceback__)
                sys.excepthook(type(error), error, error.__traceback__)
                return Ending(FAILED, f"ended with {type(error).__name__}")
        return Ending(0)


class _Loader(SourceFileLoader):
    """Leaves no compiled file behind, as Python leaves none of a script."""

    def get_code(self, fullname: str) -> CodeType:
        """The script's code."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


@contextlib.contextmanager
def _seat(path: Path, arguments: list[str], loader: _Loader) -> Iterator[Any]:
    """A fresh `__main__`, with the arguments and the search path that the script would have."""
    spec = spec_from_loader("__main__", loader)
    assert spec is not None
    module = module_from_spec(spec)
    module.__spec__ = None  # as of a script: processes that it starts find it by its file
    before = sys.argv, sys.path[:], sys.modules["__main__"]
    sys.argv = [str(path), *arguments]
    if not sys.flags.safe_path:
        sys.path[0:1] = [str(path.resolve().parent)]
    sys.modules["__main__"] = module
    try:
        yield module
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = before


def _exited(code: Any) -> Ending:
    if code is None or isinstance(code, int):
        return Ending(code or 0)
    print(code, file=sys.stderr)
    return Ending(FAILED)


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without our frames and the importing ones before the script's first."""
    kept: list[TracebackType] = []
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((OURS, "<frozen importlib")) or (kept and not file.startswith(OURS)):
            kept.append(trace)
        trace = trace.tb_next
    for one, inner in zip(kept, [*kept[1:], None], strict=True):
        one.tb_next = inner
    return kept[0] if kept else None
