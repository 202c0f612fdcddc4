"""Adam (Kingma and Ba 2015) over one flat vector, in as few passes as there can be."""

from __future__ import annotations

import numpy as np

from velodrome.compiled import summing_kernel

PIECE = 4096
"""Numbers that are added up in single precision; the sums of such pieces are in double precision."""


@summing_kernel
def add_up(one, other, total):  # type: ignore[no-untyped-def]
    """Write the sum of two gradients, and return that of its squares; the total may be one of the two."""
    squares = 0.0
    for first in range(0, total.shape[0], PIECE):
        a, b, out = one[first : first + PIECE], other[first : first + PIECE], total[first : first + PIECE]
        subtotal = np.float32(0)
        for k in range(out.shape[0]):
            value = a[k] + b[k]
            out[k] = value
            subtotal += value * value
        squares += float(subtotal)
    return squares


@summing_kernel
def sum_of_squares(gradient):  # type: ignore[no-untyped-def]
    """Of one gradient."""
    total = 0.0
    for first in range(0, gradient.shape[0], PIECE):
        part, subtotal = gradient[first : first + PIECE], np.float32(0)
        for k in range(part.shape[0]):
            subtotal += part[k] * part[k]
        total += float(subtotal)
    return total


@summing_kernel
def move(weights, mean, square, gradient, scale, rate, keep_mean, keep_square, spread, small):  # type: ignore[no-untyped-def]
    """Move the weights by their gradients times `scale`.

    `rate` is corrected for the young mean, the root of the young mean square is divided by `spread`.
    """
    new_mean, new_square, wide = np.float32(1) - keep_mean, np.float32(1) - keep_square, np.float32(1) / spread
    for k in range(weights.shape[0]):
        value = gradient[k] * scale
        mean[k] = keep_mean * mean[k] + new_mean * value
        square[k] = keep_square * square[k] + new_square * value * value
        weights[k] -= rate * mean[k] / (np.sqrt(square[k]) * wide + small)
