"""Evolutionary search among latent vectors, compiled: a block of rows at a time, with its weights in the cache.

What bounds it is evaluating candidates. So a candidate that lives on, or a child that is its second parent again, is
never evaluated twice: each row has a pool of the candidates that differ, and a population is a list of places in it.
Those to be evaluated, of all rows of a block, stand side by side as columns: products are BLAS's, and everything
between them works along the columns with vector instructions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from velodrome.compiled import draw, rule, single_threaded_products, summing_kernel
from velodrome.nets.kernels.places import Array

MOST_GENES = 62
"""A set of genes is one 64-bit word."""
BLOCK = 16
"""Rows that are searched for together."""
FARTHEST = 4.0
"""Beyond it, erf is 1 or -1 in single precision."""
TERMS = 15
EPSILON = 1e-5
RECONSTRUCTION = 0.1
"""Weight of the squared error in the fitness."""


def _fitted(terms: int) -> Array:
    """Coefficients of erf(x) / x as a polynomial in 2 (x / FARTHEST)^2 - 1, lowest first."""
    nodes = np.cos(np.pi * (np.arange(4 * terms) + 0.5) / (4 * terms))
    x = FARTHEST * np.sqrt((nodes + 1) / 2)
    values = np.array([math.erf(each) / each for each in x.tolist()])
    series = np.polynomial.chebyshev.chebfit(nodes, values, terms)
    fitted: Array = np.polynomial.chebyshev.cheb2poly(series)
    return fitted


COEFFICIENTS = _fitted(TERMS)


def fit_in(dtype: Any) -> Array:
    """The numbers that `gelu` takes."""
    return np.array([*COEFFICIENTS, 2 / FARTHEST**2, FARTHEST, math.sqrt(0.5), 0.5], dtype)


@summing_kernel
def cross_masks(seed, chance, genes, out):  # type: ignore[no-untyped-def]
    """Fill `out` with sets of genes, each gene in one with that chance (in steps of 1 / 65536)."""
    state, limit = np.uint64(seed), np.uint64(round(chance * 65536))
    for i in range(len(out)):
        found = np.int64(0)
        for first in range(0, genes, 4):
            state, bits = draw(state)
            for gene in range(first, min(first + 4, genes)):
                found |= np.int64(bits & np.uint64(0xFFFF) < limit) << gene
                bits >>= np.uint64(16)
        out[i] = found


@summing_kernel
def gelu(x, exact, fit):  # type: ignore[no-untyped-def]
    """GELU, in place; `exact` where the fit would not do."""
    half, one = fit[-1], fit[-1] + fit[-1]
    if exact:
        for j in range(x.shape[0]):
            for p in range(x.shape[1]):
                x[j, p] = half * x[j, p] * (one + math.erf(x[j, p] * math.sqrt(0.5)))
        return
    scale, bound, stretch = fit[-2], fit[-3], fit[-4]
    for j in range(x.shape[0]):
        for p in range(x.shape[1]):
            value = x[j, p]
            t = min(max(value * scale, -bound), bound)
            u = t * t * stretch - one
            series = fit[TERMS]
            for k in range(TERMS):
                series = series * u + fit[TERMS - 1 - k]
            x[j, p] = half * value * (one + series * t)


@summing_kernel
def normalise(x, before, gain, shift, mean, factor, consts):  # type: ignore[no-untyped-def]
    """LayerNorm of each column of x + `before`, in place."""
    share, epsilon, one = consts[0], consts[1], consts[2]
    mean[:] = 0
    factor[:] = 0
    for j in range(x.shape[0]):
        for p in range(x.shape[1]):
            x[j, p] += before[j]
            mean[p] += x[j, p]
    for p in range(x.shape[1]):
        mean[p] *= share
    for j in range(x.shape[0]):
        for p in range(x.shape[1]):
            away = x[j, p] - mean[p]
            factor[p] += away * away
    for p in range(x.shape[1]):
        factor[p] = one / np.sqrt(factor[p] * share + epsilon)
    for j in range(x.shape[0]):
        for p in range(x.shape[1]):
            x[j, p] = (x[j, p] - mean[p]) * factor[p] * gain[j] + shift[j]


@rule
def sheet(room, rows, columns):  # type: ignore[no-untyped-def]
    """The beginning of some room as a table."""
    return room[: rows * columns].reshape((rows, columns))


@summing_kernel
def judge(lo, mean, spread, x, from_x, weights, pool, who, place, columns, exact, fit, consts, room, fitness):  # type: ignore[no-untyped-def]
    """Write the fitness of the listed candidates: each is in one `place` of the pool of one row, lo + `who`."""
    wide, wide_shift, gain, shift, out, out_shift, fit_z, verdict, verdict_shift = weights
    genes, width = mean.shape[1], x.shape[1]
    z, hidden = sheet(room[0], genes, columns), sheet(room[1], width, columns)
    decoded, opinion = sheet(room[2], width, columns), sheet(room[3], len(fit_z), columns)
    middle, square = room[4][:columns], room[5][:columns]
    for p in range(columns):
        row, candidate = lo + who[p], pool[who[p], place[p]]
        for k in range(genes):
            z[k, p] = mean[row, k] + spread[row, k] * candidate[k]
    np.dot(wide, z, hidden)
    normalise(hidden, wide_shift, gain, shift, middle, square, consts)
    gelu(hidden, exact, fit)
    np.dot(out, hidden, decoded)
    np.dot(fit_z, z, opinion)
    for j in range(opinion.shape[0]):
        for p in range(columns):
            opinion[j, p] += from_x[lo + who[p], j]
    gelu(opinion, exact, fit)
    middle[:] = verdict_shift[0]
    for j in range(opinion.shape[0]):
        for p in range(columns):
            middle[p] += opinion[j, p] * verdict[0, j]
    square[:] = 0
    for j in range(width):
        for p in range(columns):
            away = decoded[j, p] + out_shift[j] - x[lo + who[p], j]
            square[p] += away * away
    for p in range(columns):
        fitness[who[p], place[p]] = consts[2] / (consts[2] + np.exp(-middle[p])) - consts[3] * square[p]


@rule
def fittest(fitness, population, n, order):  # type: ignore[no-untyped-def]
    """Put the places of the n fittest, best first, into `order`; of equals the earlier one comes first."""
    size = len(population)
    for i in range(size):
        value = fitness[population[i]]
        at = min(i, n)
        while at > 0 and fitness[order[at - 1]] < value:
            if at < n:
                order[at] = order[at - 1]
            at -= 1
        if at < n:
            order[at] = population[i]


@rule
def winner(fitness, population, rivals):  # type: ignore[no-untyped-def]
    """Who of the rivals is fittest, the first of equals."""
    best = population[rivals[0]]
    for i in range(1, len(rivals)):
        other = population[rivals[i]]
        if fitness[other] > fitness[best]:
            best = other
    return best


@summing_kernel
def search_block(  # type: ignore[no-untyped-def]
    lo, hi, mean, spread, x, from_x, weights, chance, kept, shift, stop_gain, exact, fit, consts, room, found
):
    """Search for the rows lo..hi."""
    first, rivals, crossed, mutated, shifts = chance
    pool, fitness, used, population, following, going_on, who, place, work = room
    size, genes, n, columns = first.shape[1], first.shape[2], hi - lo, 0
    for i in range(size):
        for r in range(n):
            pool[r, i] = first[lo + r, i]
            population[r, i] = i
            who[columns], place[columns] = r, i
            columns += 1
    used[:], going_on[:], shifted = size, True, 0
    judge(lo, mean, spread, x, from_x, weights, pool, who, place, columns, exact, fit, consts, work, fitness)
    for generation in range(rivals.shape[0]):
        columns = 0
        for r in range(n):
            if not going_on[r]:
                continue
            mutations = shifted
            fittest(fitness[r], population[r], kept, following[r])
            for child in range(size - kept):
                one = winner(fitness[r], population[r], rivals[generation, child, 0])
                two = winner(fitness[r], population[r], rivals[generation, child, 1])
                genes_of_one, moved = crossed[generation, child, lo + r], mutated[generation, child]
                new = two
                if moved or (genes_of_one != 0 and one != two):
                    new = used[r]
                    used[r] += 1
                    for k in range(genes):
                        pool[r, new, k] = pool[r, one, k] if (genes_of_one >> k) & 1 else pool[r, two, k]
                    if moved:
                        for k in range(genes):
                            pool[r, new, k] += shift[0] * shifts[mutations, lo + r, k]
                    who[columns], place[columns] = r, new
                    columns += 1
                mutations += moved
                following[r, kept + child] = new
        for child in range(size - kept):
            shifted += mutated[generation, child]
        if columns > 0:
            judge(lo, mean, spread, x, from_x, weights, pool, who, place, columns, exact, fit, consts, work, fitness)
        for r in range(n):
            if going_on[r]:
                before = most = fitness[r, following[r, 0]]
                for i in range(size):
                    population[r, i] = following[r, i]
                    most = max(most, fitness[r, following[r, i]])
                going_on[r] = stop_gain == 0 or most - before >= stop_gain
    for r in range(n):
        best = population[r, 0]
        for i in range(1, size):
            if fitness[r, population[r, i]] > fitness[r, best]:
                best = population[r, i]
        found[lo + r] = pool[r, best]


@summing_kernel
def search(mean, spread, x, from_x, weights, chance, kept, shift, stop_gain, exact, fit, consts, room, found):  # type: ignore[no-untyped-def]
    """Search for all rows, block by block."""
    block = len(room[2])
    for lo in range(0, mean.shape[0], block):
        hi = min(lo + block, mean.shape[0])
        search_block(
            lo, hi, mean, spread, x, from_x, weights, chance, kept, shift, stop_gain, exact, fit, consts, room, found
        )


def evolve(
    given: tuple[Array, Array, Array],
    weights: Sequence[Array],
    chance: Sequence[Array],
    kept: int,
    shift: float,
    stop_gain: float,
    found: Array,
) -> None:
    """Write the winning noise into `found [rows, genes]`. Given are mean, spread and inputs; `weights` and `chance` are
    those of `evolution.Judge` and `evolution.Draws`."""
    mean, spread, x = given
    single_threaded_products()
    wide, wide_shift, gain, lift, out, out_shift, fitness, fitness_shift, verdict, verdict_shift = weights
    first, rivals, *others = chance
    dtype, genes, width = mean.dtype, mean.shape[1], x.shape[1]
    from_x = x @ fitness[:, genes:].T + fitness_shift
    ready = (
        wide,
        wide_shift,
        gain,
        lift,
        out,
        out_shift,
        np.ascontiguousarray(fitness[:, :genes]),
        verdict,
        verdict_shift,
    )
    block, size = min(BLOCK, len(mean)), first.shape[1]
    room = _room(block, size, rivals.shape[0] * rivals.shape[1], genes, width, len(fitness), dtype)
    fit = fit_in(dtype)
    consts = np.array([1 / width, EPSILON, 1, RECONSTRUCTION / width], dtype)
    exact = bool(dtype == np.float64)
    search(
        mean, spread, x, from_x, ready, (first, rivals, *others), kept, np.array([shift], dtype), stop_gain, exact, fit,
        consts, room, found,
    )  # fmt: skip


def _room(block: int, size: int, children: int, genes: int, width: int, hidden: int, dtype: Any) -> tuple[Any, ...]:
    """What a block works in."""
    pool, columns = size + children, block * size
    return (
        np.empty((block, pool, genes), dtype),
        np.empty((block, pool), dtype),
        np.empty(block, np.int64),
        np.empty((block, size), np.int64),
        np.empty((block, size), np.int64),
        np.empty(block, np.bool_),
        np.empty(columns, np.int64),
        np.empty(columns, np.int64),
        tuple(np.empty(n * columns, dtype) for n in (genes, width, width, hidden, 1, 1)),
    )
