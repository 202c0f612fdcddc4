"""The selective scan beside the same recurrence in PyTorch: results/scan_speed.json.

    python benchmarks/scan_speed.py [--rounds 9] [--json]

A side does the recurrence forward and back, at each shape, with one thread and with two. `loop` keeps the states as a
tensor and takes one step of fused elementwise operations for each position; `compiled` is that through torch.compile,
and `mambapy` the package of that name, where they work. All sides take turns in this process. First it is shown that
they do the same.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from common import Disturbance, Work, keep, ratio, take_turns
from velodrome.learn.memory import keep_freed_memory
from velodrome.nets.kernels.scan import selective_scan

CHANNELS = 512
SHAPES = ((32, 50, 64), (8, 64, 64), (8, 64, 16), (32, 16, 16), (1, 256, 16))
"""Rows, steps, states."""
WANTED = {"loop": 3.0, "mambapy": 1.0}
"""How many times faster than which side: than the loop at the first shape, than the package at all."""
AGREE = 1e-3
"""Of the largest number, for outputs and gradients."""
MOST_COMPILED = 64
"""Steps of a loop that is compiled: each is spelt out, and with many that takes longer than all the rest."""
LEAST_S = 0.05
"""A turn lasts at least so long."""

Scan = Callable[..., Tensor]


def ours(x: Tensor, step: Tensor, rate: Tensor, enter: Tensor, read: Tensor, skip: Tensor) -> Tensor:
    """From no states on; rates and states are laid out `[states, channels]`."""
    return selective_scan(x, step, rate.T, enter, read, skip, x.new_zeros(len(x), *rate.T.shape))[0]


def loop(x: Tensor, step: Tensor, rate: Tensor, enter: Tensor, read: Tensor, skip: Tensor) -> Tensor:
    """Position by position."""
    state, found, push = x.new_zeros(len(x), *rate.shape), [], step * x
    for t in range(x.shape[1]):
        decay = (step[:, t].unsqueeze(-1) * rate).exp()
        state = torch.addcmul(push[:, t].unsqueeze(-1) * enter[:, t].unsqueeze(1), decay, state)
        found.append((state @ read[:, t].unsqueeze(-1)).squeeze(-1))
    return torch.stack(found, 1) + skip * x


def mambapys() -> Scan | None:
    """That of the package, if it is installed."""
    try:
        from mambapy.mamba import MambaBlock, MambaConfig
    except ImportError:
        return None
    block = MambaBlock(MambaConfig(d_model=CHANNELS // 2, n_layers=1))
    return lambda x, step, rate, enter, read, skip: block.selective_scan(x, step, rate, enter, read, skip)


def inputs(rows: int, steps: int, states: int) -> list[Tensor]:
    """As a new block has them."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    logs = math.log(0.001) + math.log(100) * torch.rand(rows, steps, CHANNELS, generator=generator)
    rate = -torch.arange(1.0, states + 1).repeat(CHANNELS, 1)
    parts = [
        normal(rows, steps, CHANNELS), logs.exp(), rate, normal(rows, steps, states), normal(rows, steps, states),
        torch.ones(CHANNELS),
    ]  # fmt: skip
    return [part.requires_grad_() for part in parts]


def passed(scan: Scan, given: list[Tensor]) -> list[Tensor]:
    """The output and all gradients."""
    out = scan(*given)
    return [out.detach(), *torch.autograd.grad(out, given, torch.ones_like(out))]


def working(sides: Mapping[str, Scan], given: list[Tensor]) -> dict[str, Scan]:
    """Those sides that work here, and do the same as the loop."""
    right, found = passed(loop, given), {}
    for name, scan in sides.items():
        try:
            done = passed(scan, given)
        except Exception as error:  # whatever a compiler or a package may raise
            print(f"{name} does not work here: {type(error).__name__}", file=sys.stderr)
            continue
        for one, other in zip(done, right, strict=True):
            assert (one - other).abs().max() < AGREE * other.abs().max(), name
        found[name] = scan
    return found


def work(scan: Scan, given: list[Tensor]) -> Work:
    """So many passes that a turn lasts long enough."""
    passed(scan, given)
    began = time.perf_counter()
    passed(scan, given)
    passes = math.ceil(LEAST_S / (time.perf_counter() - began))

    def once() -> int:
        for _ in range(passes):
            passed(scan, given)
        return passes

    return once


def measured(shape: tuple[int, int, int], threads: int, rounds: int) -> list[dict[str, Any]]:
    """All sides at one shape."""
    torch.set_num_threads(threads)
    torch.compiler.reset()
    given = inputs(*shape)
    sides: dict[str, Scan] = {"ours": ours, "loop": loop}
    if shape[1] <= MOST_COMPILED:
        sides["compiled"] = torch.compile(loop)
    theirs = mambapys()
    if theirs is not None:
        sides["mambapy"] = theirs
    doing = {name: work(scan, given) for name, scan in working(sides, given).items()}
    rates = take_turns(doing, rounds, clock=time.perf_counter)
    rows = []
    for name, found in rates.items():
        row = {"side": name, "rows": shape[0], "steps": shape[1], "states": shape[2], "threads": threads}
        row |= {"ms": 1e3 / sorted(found)[len(found) // 2]}
        if name != "ours":
            row |= {"we are faster": ratio(rates["ours"], found)}
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print the figures and keep nothing")
    options = parser.parse_args()
    keep_freed_memory()  # else all sides would wait for pages
    others, figures = Disturbance(), []
    for shape in SHAPES:
        for threads in (1, 2):
            figures += measured(shape, threads, options.rounds)
    if options.json:
        print(json.dumps(figures))
        return
    keep("scan_speed", figures, channels=CHANNELS, wanted=WANTED, others_took=others.share(), torch=torch.__version__)


if __name__ == "__main__":
    main()
