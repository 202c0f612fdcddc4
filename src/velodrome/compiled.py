"""Compiled functions: `rule` for what is inlined into others, `kernel` for what Python calls; and random numbers.

Both are cached on disk under a name that hashes every source that may hold such functions, since Numba itself
would not notice that a function in another file has changed.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np
import threadpoolctl
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


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


DRAWS = "scene.py"
"""The modules of that name say how games are drawn, and hold nothing that is compiled."""


def _compiled_folder() -> str:
    package = Path(__file__).parent
    source = hashlib.sha256(Path(__file__).read_bytes())
    for room in ("games", "nets/kernels", "learn/kernels"):
        for path in sorted((package / room).rglob("*.py")):
            if path.name != DRAWS:
                source.update(path.read_bytes())
    return str(cache_root() / "rules" / source.hexdigest()[:16])


_FOLDER = _compiled_folder()


IN_ANY_ORDER = {"reassoc", "contract"}
"""What summing kernels permit."""


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    config: Any = numba.config
    before = config.CACHE_DIR
    # A module may be known by several names (a recipe's file that is also imported), and what is cached names one.
    config.CACHE_DIR = os.path.join(_FOLDER, function.__module__)
    try:
        return numba.njit(cache=True, error_model="numpy", **options)(function)
    finally:
        config.CACHE_DIR = before


def rule(function: Callable[..., Any]) -> Any:
    """A rule of play on one record, called from kernels and other rules."""
    return _compile(function)


def kernel(function: Callable[..., Any]) -> Any:
    """A loop over records that Python calls; it runs without the GIL."""
    return _compile(function, nogil=True)


def summing_kernel(function: Callable[..., Any]) -> Any:
    """A kernel whose sums of floats may be taken in any order, which lets them use vector instructions."""
    return _compile(function, nogil=True, fastmath=IN_ANY_ORDER)


def summing_rule(function: Callable[..., Any]) -> Any:
    """What summing kernels call: it becomes a part of each of them.

    As a function of its own it would be compiled once by itself and once more beside its caller, with sums in another
    order; which of the two is called would depend on what the process has loaded before.
    """
    return _compile(function, nogil=True, fastmath=IN_ANY_ORDER, forceinline=True)


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


@rule
def uniform(bits):  # type: ignore[no-untyped-def]
    """A number from 0 to below 1 from 64 random bits."""
    return np.float64(bits >> np.uint64(11)) * 2.0**-53


@functools.cache
def single_threaded_products() -> None:
    """Have a matrix product inside a kernel run in the thread that asks for it.

    Left alone, the BLAS of NumPy and SciPy would share each with threads of its own. Torch's products are not
    concerned.
    """
    importlib.import_module("scipy.linalg.cython_blas")  # what kernels call; only what is loaded can be limited
    threadpoolctl.ThreadpoolController().select(internal_api="openblas").limit(limits=1)


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
    @intrinsic
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


def _has_bit_deposit() -> bool:
    """Whether compiled code may use the `pdep` instruction: on this processor, and not told to leave it alone."""
    config: Any = numba.config
    return config.CPU_NAME is None and config.CPU_FEATURES is None and get_host_cpu_features().get("bmi2", False)


def _bit_deposit() -> Any:
    @intrinsic
    def instruction(typing: Any, bits: Any, places: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            word = ir.IntType(64)
            insert: Any = cgutils.get_or_insert_function
            function = insert(builder.module, ir.FunctionType(word, [word, word]), "llvm.x86.bmi.pdep.64")
            return builder.call(function, arguments)

        return types.uint64(types.uint64, types.uint64), build

    return instruction


_deposit_bits = _bit_deposit()


if _has_bit_deposit():

    @rule
    def nth_bit(word, n):  # type: ignore[no-untyped-def]
        """Index of the set bit with `n` set ones below it."""
        return np.int64(lowest_bit(_deposit_bits(np.uint64(1) << np.uint64(n), word)))

else:

    @rule
    def nth_bit(word, n):  # type: ignore[no-untyped-def]
        """Index of the set bit with `n` set ones below it."""
        left, place = np.uint64(n), np.uint64(0)
        for width in (32, 16, 8, 4, 2, 1):
            half = np.uint64(width)
            below = np.uint64(count_bits(word & ((np.uint64(1) << half) - np.uint64(1))))
            step = half if left >= below else np.uint64(0)
            left -= below if left >= below else np.uint64(0)
            word >>= step
            place += step
        return np.int64(place)
