"""Random numbers from a state in the record, and the bit sets that card games are made of."""

from __future__ import annotations

import numpy as np

from velodrome.compiled import (
    announced,
    below,
    count_bits,
    draw,
    highest_bit,
    kernel,
    lowest_bit,
    mix,
    nth_bit,
    rule,
    uniform,
)

__all__ = [
    "announced",
    "below",
    "count_bits",
    "draw",
    "highest_bit",
    "kernel",
    "lowest_bit",
    "mix",
    "nth_bit",
    "rule",
    "seed_states",
    "uniform",
    "uniforms",
]


@kernel
def seed_states(seed, numbers, out):  # type: ignore[no-untyped-def]
    """Well-separated SplitMix64 states for the games of these numbers."""
    base = mix(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
    for i in range(numbers.shape[0]):
        out[i] = mix(base ^ mix(np.uint64(numbers[i]) * np.uint64(0xD1342543DE82EF95) + np.uint64(1)))


@kernel
def uniforms(states, out):  # type: ignore[no-untyped-def]
    """Fill each row of `out [games, n]` with numbers from 0 to below 1 out of its game's state, which advances."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            states[i], bits = draw(states[i])
            out[i, j] = uniform(bits)
