"""Adam (Kingma and Ba 2015) over one flat vector, in as few passes as there can be."""

from __future__ import annotations

import numpy as np

from velodrome.compiled import summing_kernel


@summing_kernel
def add_up(one, other, total):  # type: ignore[no-untyped-def]
    """Write the sum of two gradients; the total may be one of them."""
    for k in range(total.shape[0]):
        total[k] = one[k] + other[k]


@summing_kernel
def sum_of_squares(gradient):  # type: ignore[no-untyped-def]
    """In single precision by pieces, in double precision over all of them."""
    total = 0.0
    for first in range(0, gradient.shape[0], 4096):
        part, subtotal = gradient[first : first + 4096], np.float32(0)
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
