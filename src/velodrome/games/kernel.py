"""What compiled rules are made of: bit sets in 64-bit words, and random numbers from a state in the record."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from velodrome.compiled import announced, kernel, rule

__all__ = ["announced", "below", "count_bits", "draw", "highest_bit", "kernel", "lowest_bit", "mix", "rule", "seed_states"]


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
