"""Evolutionary search among latent vectors, compiled: a block of rows at a time, with its weights in the cache.

What bounds it is evaluating candidates. So a candidate that lives on, or a child that is its second parent again, is
never evaluated twice: each row has a pool of the candidates that differ, and a population is a list of places in it.
Those to be evaluated, of all rows of a block, stand in one list: products are BLAS's, and everything between them runs
along contiguous numbers with vector instructions. Choosing among candidates compares all with all, without a branch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from velodrome.compiled import (
    below,
    draw,
    kernel,
    rule,
    single_threaded_products,
    summing_kernel,
    summing_rule,
    uniform,
)
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


@functools.cache
def fit_in(dtype: Any) -> Array:
    """The numbers that `gelu` takes."""
    return np.array([*COEFFICIENTS, 2 / FARTHEST**2, FARTHEST, math.sqrt(0.5), 0.5], dtype)


@rule
def cross(state, chance, genes, out):  # type: ignore[no-untyped-def]
    """Fill `out` with sets of genes, each gene in one with that chance (in steps of 1 / 65536).

    64 genes are decided at once: for each digit of the chance, lowest first, half of those that were in stay in, or
    half of those that were not come in.
    """
    limit, mine, i = round(chance * 65536), np.uint64((1 << genes) - 1), 0
    while i < len(out):
        bits = np.uint64(0)
        for digit in range(16):
            comes_in = (limit >> digit) & 1
            if comes_in or bits:
                state, more = draw(state)
                bits = bits | more if comes_in else bits & more
        if limit == 65536:
            bits = ~np.uint64(0)
        for _ in range(min(64 // genes, len(out) - i)):
            out[i] = np.int64(bits & mine)
            bits >>= np.uint64(genes)
            i += 1
    return state


@rule
def pair_off(state, places, out):  # type: ignore[no-untyped-def]
    """Fill each row of `out` with different places."""
    for i in range(out.shape[0]):
        n = 0
        while n < out.shape[1]:
            state, bits = draw(state)
            place, new = below(bits, places), True
            for k in range(n):
                new &= out[i, k] != place
            if new:
                out[i, n] = place
                n += 1
    return state


@kernel
def chances(seed, crossover, mutation, places, genes, rivals, crossed, mutated):  # type: ignore[no-untyped-def]
    """Draw who competes with whom, which genes are crossed and which children are shifted; says how many are."""
    state, shifted = pair_off(np.uint64(seed), places, rivals), 0
    state = cross(state, crossover, genes, crossed)
    for i in range(len(mutated)):
        state, bits = draw(state)
        mutated[i] = uniform(bits) < mutation
        shifted += mutated[i]
    return shifted


@summing_rule
def gelu(x, exact, fit):  # type: ignore[no-untyped-def]
    """GELU of a list, in place; `exact` where the fit would not do."""
    half, one = fit[-1], fit[-1] + fit[-1]
    if exact:
        for i in range(len(x)):
            x[i] = half * x[i] * (one + math.erf(x[i] * math.sqrt(0.5)))
        return
    scale, bound, stretch = fit[-2], fit[-3], fit[-4]
    for i in range(len(x)):
        value = x[i]
        t = min(max(value * scale, -bound), bound)
        u = t * t * stretch - one
        series = fit[TERMS]
        for k in range(TERMS):
            series = series * u + fit[TERMS - 1 - k]
        x[i] = half * value * (one + series * t)


@summing_rule
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


@summing_rule
def judge(lo, mean, spread, x, from_x, weights, pool, who, place, many, exact, fit, consts, room, fitness):  # type: ignore[no-untyped-def]
    """Write the fitness of the listed candidates: each is in one `place` of the pool of one row, lo + `who`."""
    wide, wide_shift, gain, shift, out, out_shift, fit_z, verdict, verdict_shift = weights
    genes, width, n = mean.shape[1], x.shape[1], len(fit_z)
    z, hidden = sheet(room[0], many, genes), sheet(room[1], width, many)
    decoded, opinion = sheet(room[2], many, width), sheet(room[3], many, n)
    middle, square = room[4][:many], room[5][:many]
    for p in range(many):
        r, i, row = who[p], place[p], lo + who[p]
        for k in range(genes):
            z[p, k] = mean[row, k] + spread[row, k] * pool[r, i, k]
    np.dot(wide, z.T, hidden)
    normalise(hidden, wide_shift, gain, shift, middle, square, consts)
    gelu(room[1][: width * many], exact, fit)
    np.dot(hidden.T, out.T, decoded)
    np.dot(z, fit_z.T, opinion)
    for p in range(many):
        row = lo + who[p]
        for j in range(n):
            opinion[p, j] += from_x[row, j]
    gelu(room[3][: many * n], exact, fit)
    for p in range(many):
        row, good, error = lo + who[p], verdict_shift[0], consts[4]
        for j in range(n):
            good += opinion[p, j] * verdict[0, j]
        for j in range(width):
            away = decoded[p, j] + out_shift[j] - x[row, j]
            error += away * away
        fitness[who[p], place[p]] = consts[2] / (consts[2] + np.exp(-good)) - consts[3] * error


@summing_rule
def rank(fitness, population, n, values, ranks, order):  # type: ignore[no-untyped-def]
    """Put each candidate's rank into `ranks [size, rows]` and the places in the pool, best first, into `order`; of
    equals the earlier one comes first. It compares all with all, n rows at once, so that nothing hangs on a branch."""
    size = population.shape[1]
    for i in range(size):
        for r in range(n):
            values[i, r], ranks[i, r] = fitness[r, population[r, i]], 0
    for i in range(size):
        for j in range(i):
            for r in range(n):
                better = np.int32(values[i, r] > values[j, r])
                ranks[j, r] += better
                ranks[i, r] += np.int32(1) - better
    for r in range(n):
        for i in range(size):
            order[r, ranks[i, r]] = population[r, i]


@rule
def winner(r, ranks, order, rivals):  # type: ignore[no-untyped-def]
    """Who of the rivals is fittest in this row."""
    best = ranks[rivals[0], r]
    for i in range(1, len(rivals)):
        best = min(best, ranks[rivals[i], r])
    return order[r, best]


@summing_rule
def search_block(  # type: ignore[no-untyped-def]
    lo, hi, mean, spread, x, from_x, weights, chance, kept, shift, stop_gain, exact, fit, consts, room, found
):
    """Search for the rows lo..hi."""
    first, rivals, crossed, mutated, shifts = chance
    pool, fitness, used, population, following, going_on, who, place, values, ranks, order, work = room
    size, genes, n, many = first.shape[1], first.shape[2], hi - lo, 0
    for r in range(n):
        for i in range(size):
            population[r, i] = i
            who[many], place[many] = r, i
            many += 1
            for k in range(genes):
                pool[r, i, k] = first[lo + r, i, k]
    used[:], going_on[:], shifted = size, True, 0
    judge(lo, mean, spread, x, from_x, weights, pool, who, place, many, exact, fit, consts, work, fitness)
    for generation in range(rivals.shape[0]):
        many = 0
        rank(fitness, population, n, values, ranks, order)
        for r in range(n):
            if not going_on[r]:
                continue
            mutations = shifted
            for i in range(kept):
                following[r, i] = order[r, i]
            for child in range(size - kept):
                genes_of_one, moved = crossed[generation, child, lo + r], mutated[generation, child]
                new = two = winner(r, ranks, order, rivals[generation, child, 1])
                if moved or genes_of_one != 0:
                    one = winner(r, ranks, order, rivals[generation, child, 0])
                    if moved or one != two:
                        new = used[r]
                        used[r] += 1
                        for k in range(genes):
                            pool[r, new, k] = pool[r, one, k] if (genes_of_one >> k) & 1 else pool[r, two, k]
                        who[many], place[many] = r, new
                        many += 1
                    if moved:
                        for k in range(genes):
                            pool[r, new, k] += shift[0] * shifts[mutations, lo + r, k]
                mutations += moved
                following[r, kept + child] = new
        for child in range(size - kept):
            shifted += mutated[generation, child]
        if many > 0:
            judge(lo, mean, spread, x, from_x, weights, pool, who, place, many, exact, fit, consts, work, fitness)
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
    consts = np.array([1 / width, EPSILON, 1, RECONSTRUCTION / width, 0], dtype)
    exact = bool(dtype == np.float64)
    search(
        mean, spread, x, from_x, ready, (first, rivals, *others), kept, np.array([shift], dtype), stop_gain, exact, fit,
        consts, room, found,
    )  # fmt: skip


def _room(block: int, size: int, children: int, genes: int, width: int, hidden: int, dtype: Any) -> tuple[Any, ...]:
    """What a block works in."""
    pool, many = size + children, block * size
    return (
        np.empty((block, pool, genes), dtype),
        np.empty((block, pool), dtype),
        np.empty(block, np.int64),
        np.empty((block, size), np.int64),
        np.empty((block, size), np.int64),
        np.empty(block, np.bool_),
        np.empty(many, np.int64),
        np.empty(many, np.int64),
        np.empty((size, block), dtype),
        np.empty((size, block), np.int32),
        np.empty((block, size), np.int64),
        tuple(np.empty(n * many, dtype) for n in (genes, width, width, hidden, 1, 1)),
    )
