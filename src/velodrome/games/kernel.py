"""Compiled functions: `rule` for what is inlined into others, `kernel` for what Python calls.

Both are cached on disk under a name that hashes the sources of all games, since Numba itself would not notice
that a function in another file has changed.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def cache_root() -> Path:
    """Where Velodrome keeps what it may make again: compiled rules, the machine's measured ceilings."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "velodrome"
    root = Path(os.environ.get("VELODROME_CACHE") or default)
    try:
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root
    except OSError:
        pass
    return Path(tempfile.gettempdir()) / f"velodrome-{os.getuid()}"


def _compiled_folder() -> str:
    source = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        source.update(path.read_bytes())
    return str(cache_root() / "rules" / source.hexdigest()[:16])


_FOLDER = _compiled_folder()


def _compile(function: F, **options: Any) -> F:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = _FOLDER
    try:
        compiled: F = numba.njit(cache=True, error_model="numpy", **options)(function)
        return compiled
    finally:
        numba.config.CACHE_DIR = before


def rule(function: F) -> F:
    """A rule of play on one record, called from kernels and other rules."""
    return _compile(function)


def kernel(function: F) -> F:
    """A loop over records that Python calls; it runs without the GIL."""
    return _compile(function, nogil=True)


@contextmanager
def announced(what: str, after: float = 1.0) -> Iterator[None]:
    """Say on stderr that `what` is being compiled, if that takes longer than `after` seconds."""
    began = time.monotonic()
    said = threading.Event()

    def say() -> None:
        said.set()
        print(f"velodrome: compiling {what} (once, then cached) ...", file=sys.stderr, flush=True)

    timer = threading.Timer(after, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if said.is_set():
            print(f"velodrome: compiled {what} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _bit_instruction(name: str) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def instruction(typing: Any, word: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            if name == "ctpop":
                return builder.ctpop(arguments[0])
            return getattr(builder, name)(arguments[0], ir.Constant(ir.IntType(1), 0))

        return types.uint64(types.uint64), build

    return instruction


count_bits = _bit_instruction("ctpop")
"""Set bits of a 64-bit word."""
lowest_bit = _bit_instruction("cttz")
"""Index of the lowest set bit; 64 for an empty word."""
_leading_zeros = _bit_instruction("ctlz")


@rule
def highest_bit(word):  # type: ignore[no-untyped-def]
    """Index of the highest set bit; the word must not be empty."""
    return np.int64(63) - np.int64(_leading_zeros(word))


@rule
def mix(state):  # type: ignore[no-untyped-def]
    """The output function of SplitMix64 (Steele, Lea, Flood 2014): a well-mixed word from any word."""
    z = np.uint64(state)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@rule
def draw(state):  # type: ignore[no-untyped-def]
    """Advance a SplitMix64 state: `(next state, 64 random bits)`."""
    following = np.uint64(state) + np.uint64(0x9E3779B97F4A7C15)
    return following, mix(following)


@rule
def below(bits, n):  # type: ignore[no-untyped-def]
    """A number in 0..n-1 from 64 random bits; the bias is under n / 2**32."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@kernel
def seed_states(seed, numbers, out):  # type: ignore[no-untyped-def]
    """Well-separated SplitMix64 states for the games of these numbers."""
    base = mix(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
    for i in range(numbers.shape[0]):
        out[i] = mix(base ^ mix(np.uint64(numbers[i]) * np.uint64(0xD1342543DE82EF95) + np.uint64(1)))
