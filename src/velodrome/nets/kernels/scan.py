"""The selective scan of Mamba (Gu and Dao 2023, section 3.2), forward and back, compiled.

Written with torch, every step reads and writes all states several times over, and autograd keeps all of that. Here a
block of channels goes through all steps with its states in the nearest cache, and the way back makes them anew: nothing
is kept but what came in. What costs most is the exponential, so it is one that vector instructions can do.

Loops over lanes read and write slices of one record, at distances known when they are compiled: of separate arrays it
would have to be found out each time that they do not overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import overload
from torch import Tensor
from torch.autograd.function import once_differentiable

from velodrome.compiled import IN_ANY_ORDER, summing_kernel, summing_rule
from velodrome.nets.kernels.operation import array_from
from velodrome.nets.kernels.places import Array

LANES = 128
"""Channels that go through the steps together."""
STEP, PUSH, GIVEN, TO_STEP, TO_PUSH, DECAY = (LANES * i for i in range(6))
"""Where the way back notes what of each step, a number a lane."""
RATE, TO_RATE, FLOW = (LANES * i for i in range(3))
"""Where that is which goes along with all steps."""
WORTH_A_THREAD = 2**20
"""States brought forward, over all steps, from which it pays to hand half of them to a second thread."""
LOG_2 = math.log(2)
LOWEST = np.float32(-125)
"""The exponent below which a power of two counts as this one."""


def _fitted(degree: int) -> tuple[np.float32, ...]:
    """Coefficients of 2 to the power x, for x between -1/2 and 1/2, lowest first."""
    nodes = np.cos(np.pi * (np.arange(64) + 0.5) / 64) / 2
    series = np.polynomial.chebyshev.Chebyshev.fit(nodes, 2.0**nodes, degree, domain=[-0.5, 0.5])
    return tuple(np.float32(number) for number in series.convert(kind=np.polynomial.Polynomial).coef)


C0, C1, C2, C3, C4, C5, C6 = _fitted(6)


def power_of_two(exponent: Any) -> Any:
    """2 to a power that is not positive."""
    return 2.0**exponent


@overload(power_of_two, jit_options={"fastmath": IN_ANY_ORDER, "error_model": "numpy", "forceinline": True})
def _power_of_two(exponent):  # type: ignore[no-untyped-def]
    """What compiled code takes in its place: the nearest whole power, put into the exponent's bits, times a polynomial.

    It has no branch, so that loops over it use vector instructions. Double precision is for checks alone.
    """

    def single(exponent):  # type: ignore[no-untyped-def]
        within = max(exponent, LOWEST)
        whole = np.int32(within - np.float32(0.5))
        x = within - np.float32(whole)
        power = C0 + x * (C1 + x * (C2 + x * (C3 + x * (C4 + x * (C5 + x * C6)))))
        return np.int32(np.float32(power).view(np.int32) + (whole << 23)).view(np.float32)

    def double(exponent):  # type: ignore[no-untyped-def]
        return 2.0**exponent

    return single if exponent == types.float32 else double


@summing_kernel
def scan_forward(x, step, rate, enter, read, skip, state, first, last, room, out, after):  # type: ignore[no-untyped-def]
    """Bring the states of some channels forward over all steps; write what is read of them, and the last ones."""
    line, cells = room
    states, zero = rate.shape[0], x.dtype.type(0)
    line[:], cells[:] = zero, zero
    for begin in range(first, last, LANES):
        end = min(begin + LANES, last)
        for row in range(x.shape[0]):
            for n in range(states):
                cells[n, : end - begin] = rate[n, begin:end]
                cells[n, LANES : LANES + end - begin] = state[row, n, begin:end]
            for t in range(x.shape[1]):
                now, size, by, found = (
                    x[row, t, begin:end],
                    step[row, t, begin:end],
                    skip[begin:end],
                    out[row, t, begin:end],
                )
                for k in range(len(now)):
                    line[k] = size[k]
                    line[LANES + k] = size[k] * now[k]
                    line[2 * LANES + k] = by[k] * now[k]
                for n in range(states):
                    cell, come, leave = cells[n], enter[row, t, n], read[row, t, n]
                    for k in range(LANES):
                        value = power_of_two(line[k] * cell[k]) * cell[LANES + k] + line[LANES + k] * come
                        cell[LANES + k] = value
                        line[2 * LANES + k] += value * leave
                for k in range(len(now)):
                    found[k] = line[2 * LANES + k]
            for n in range(states):
                after[row, n, begin:end] = cells[n, LANES : LANES + end - begin]


@summing_kernel
def step_forward(x, step, rate, enter, read, skip, state, first, last, out, after):  # type: ignore[no-untyped-def]
    """As `scan_forward`, for one step: states that are seen once are best taken as they lie."""
    skipped = skip[first:last]
    for row in range(x.shape[0]):
        now, size, found = x[row, 0, first:last], step[row, 0, first:last], out[row, 0, first:last]
        for k in range(len(now)):
            found[k] = skipped[k] * now[k]
        for n in range(rate.shape[0]):
            come, leave, speed = enter[row, 0, n], read[row, 0, n], rate[n, first:last]
            before, behind = state[row, n, first:last], after[row, n, first:last]
            for k in range(len(now)):
                value = power_of_two(size[k] * speed[k]) * before[k] + size[k] * now[k] * come
                behind[k] = value
                found[k] += value * leave


@summing_rule
def bring_forward(tape, past, line, enter):  # type: ignore[no-untyped-def]
    """Note the decay and the state of each step."""
    for k in range(LANES):
        past[0, k] = line[FLOW + k]
    for t in range(tape.shape[0]):
        now, after, come = tape[t], past[t + 1], enter[t]
        for k in range(LANES):
            decay = power_of_two(line[RATE + k] * now[STEP + k])
            value = decay * line[FLOW + k] + now[PUSH + k] * come
            line[FLOW + k] = value
            now[DECAY + k] = decay
            after[k] = value


@summing_rule
def bring_back(tape, past, line, enter, read, to_enter, to_read):  # type: ignore[no-untyped-def]
    """The gradients of one state of each lane: those of what is noted and of what goes along are added to."""
    zero, end = tape.dtype.type(0), tape.shape[0] - 1
    for i in range(tape.shape[0]):
        t = end - i
        now, before, after = tape[t], past[t], past[t + 1]
        come, leave, to_come, to_leave = enter[t], read[t], zero, zero
        for k in range(LANES):
            given = now[GIVEN + k]
            flow = line[FLOW + k] + given * leave
            to_leave += given * after[k]
            to_come += flow * now[PUSH + k]
            now[TO_PUSH + k] += flow * come
            flow *= now[DECAY + k]
            line[FLOW + k] = flow
            slope = flow * before[k]
            now[TO_STEP + k] += slope * line[RATE + k]
            line[TO_RATE + k] += slope * now[STEP + k]
        to_enter[t] += to_come
        to_read[t] += to_leave


@summing_kernel
def scan_backward(x, step, rate, enter, read, skip, state, given, given_state, first, last, room, to):  # type: ignore[no-untyped-def]
    """The gradients of all that came in, for some channels; `enter` and `read`, `[rows, states, steps]` here, as their
    gradients are, get this part's share. The rate's is that of a power of e, as if it were one."""
    to_x, to_step, to_rate, to_enter, to_read, to_skip, to_state = to
    tape, past, line = room
    zero, scale = x.dtype.type(0), x.dtype.type(LOG_2)
    for begin in range(first, last, LANES):
        end = min(begin + LANES, last)
        many = end - begin
        if many < LANES:  # lanes without a channel add nothing to what is summed over all
            tape[:], line[:] = zero, zero
        for row in range(x.shape[0]):
            for t in range(x.shape[1]):
                now, what, size, pull = tape[t], x[row, t, begin:end], step[row, t, begin:end], given[row, t, begin:end]
                for k in range(many):
                    now[STEP + k] = size[k]
                    now[PUSH + k] = size[k] * what[k]
                    now[GIVEN + k] = pull[k]
                    now[TO_STEP + k] = zero
                    now[TO_PUSH + k] = zero
            for n in range(rate.shape[0]):
                line[RATE : RATE + many] = rate[n, begin:end]
                line[TO_RATE : TO_RATE + many] = zero
                line[FLOW : FLOW + many] = state[row, n, begin:end]
                bring_forward(tape, past, line, enter[row, n])
                line[FLOW : FLOW + many] = given_state[row, n, begin:end]
                bring_back(tape, past, line, enter[row, n], read[row, n], to_enter[row, n], to_read[row, n])
                to_rate[n, begin:end] += line[TO_RATE : TO_RATE + many]
                to_state[row, n, begin:end] = line[FLOW : FLOW + many]
            for t in range(x.shape[1]):
                now, what, by = tape[t], x[row, t, begin:end], skip[begin:end]
                to_what, to_size, to_by = to_x[row, t, begin:end], to_step[row, t, begin:end], to_skip[begin:end]
                for k in range(many):
                    push = now[TO_PUSH + k]
                    to_what[k] = push * now[STEP + k] + now[GIVEN + k] * by[k]
                    to_size[k] = push * what[k] + now[TO_STEP + k] * scale
                    to_by[k] += now[GIVEN + k] * what[k]


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, *given: Tensor) -> tuple[Tensor, Tensor]:
        x, step, rate, enter, read, skip, state = map(array_from, given)
        context.save_for_backward(*given)
        out, after, power = np.empty_like(x), np.empty_like(state), rate / x.dtype.type(LOG_2)

        def part(first: int, last: int) -> None:
            if x.shape[1] == 1:
                step_forward(x, step, power, enter, read, skip, state, first, last, out, after)
                return
            room = _room(x, (3 * LANES,), (len(rate), 2 * LANES))
            scan_forward(x, step, power, enter, read, skip, state, first, last, room, out, after)

        _by_halves(part, x.shape[-1], x.size * len(rate))
        return torch.from_numpy(out), torch.from_numpy(after)

    @staticmethod
    @once_differentiable
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, step, rate, enter, read, skip, state = map(array_from, context.saved_tensors)
        given, given_state = map(array_from, gradients)
        enter, read = (np.ascontiguousarray(each.transpose(0, 2, 1)) for each in (enter, read))
        to_x, to_step, to_state = map(np.empty_like, (x, step, state))
        to_rate, to_skip, power = np.zeros_like(rate), np.zeros_like(skip), rate / x.dtype.type(LOG_2)
        shares = []

        def part(first: int, last: int) -> None:
            to_enter, to_read = np.zeros_like(enter), np.zeros_like(read)
            shares.append((to_enter, to_read))
            to = to_x, to_step, to_rate, to_enter, to_read, to_skip, to_state
            room = _room(x, (x.shape[1], 6 * LANES), (x.shape[1] + 1, LANES), (3 * LANES,))
            scan_backward(x, step, power, enter, read, skip, state, given, given_state, first, last, room, to)

        _by_halves(part, x.shape[-1], x.size * len(rate))
        to_enter, to_read = (sum(share).transpose(0, 2, 1) for share in zip(*shares, strict=True))
        found = to_x, to_step, to_rate, to_enter, to_read, to_skip, to_state
        return tuple(map(torch.from_numpy, found))


def _room(x: Array, *shapes: tuple[int, ...]) -> tuple[Array, ...]:
    """Arrays that begin where a line of the cache does, as torch's do and NumPy's need not: vectors that lie across two
    lines take several times as long."""
    kind = torch.from_numpy(x).dtype
    return tuple(torch.empty(shape, dtype=kind).numpy() for shape in shapes)


def _by_halves(part: Callable[[int, int], None], channels: int, size: int) -> None:
    """Do the work for all channels, half of them in another thread if there is enough of it and torch has two."""
    middle = channels // 2 // LANES * LANES
    if not middle or size < WORTH_A_THREAD or torch.get_num_threads() == 1:
        part(0, channels)
        return
    with ThreadPoolExecutor(1) as other:
        half = other.submit(part, middle, channels)
        part(0, middle)
        half.result()


def scan_plainly(
    x: Tensor, step: Tensor, rate: Tensor, enter: Tensor, read: Tensor, skip: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """As `selective_scan`, step after step as it is written."""
    found = []
    for t in range(x.shape[1]):
        push = (step[:, t] * x[:, t]).unsqueeze(1) * enter[:, t].unsqueeze(2)
        state = (step[:, t].unsqueeze(1) * rate).exp() * state + push
        found.append((state * read[:, t].unsqueeze(2)).sum(1))
    return torch.stack(found, 1) + skip * x, state


def selective_scan(
    x: Tensor, step: Tensor, rate: Tensor, enter: Tensor, read: Tensor, skip: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """What is read of the states, and the last of them.

    With `x` and `step [rows, steps, channels]`, `enter` and `read [rows, steps, states]`, `rate [states, channels]`,
    `skip [channels]` and `state [rows, states, channels]`, each step is

        state = exp(step * rate) * state + step * x * enter
        found = sum over states (state * read) + skip * x

    No step may be negative, and no rate positive. Compiled on the CPU, in single precision and, for checks, in double.
    """
    given = x, step, rate, enter, read, skip, state
    kinds = {(each.device.type, each.dtype) for each in given}
    if torch.compiler.is_compiling() or kinds not in ({("cpu", torch.float32)}, {("cpu", torch.float64)}):
        return scan_plainly(*given)
    return _Scan.apply(*given)  # type: ignore[no-any-return, no-untyped-call]
