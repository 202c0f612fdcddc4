"""The least that a minibatch of the attention net could cost on this machine, part by part."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from velodrome.learn.opponents import Opponents
from velodrome.learn.ppo import SelfPlay
from velodrome.meter.clock import Clock
from velodrome.meter.components import Watch
from velodrome.meter.machine import machine
from velodrome.nets.kernels.chain import chain
from velodrome.nets.kernels.encoder import encode
from velodrome.nets.kernels.pooling import pool
from velodrome.recipes.recipe import find


class Counter(TorchDispatchMode):
    """Counts the operations that torch dispatches."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return func(*args, **(kwargs or {}))


def least_ms(work: Callable[[], object], times: int = 200) -> float:
    """The shortest of many takes: what the work costs when nothing disturbs it."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best * 1e3


def products(net: nn.Module, views: dict[str, Tensor]) -> list[tuple[int, int, int]]:
    """Rows, inputs and outputs of each matrix product in a pass through the net.

    Those that torch dispatches are listed as they come. Of the compiled parts, which torch does not see, it is what
    they multiply: positions that are masked are not among the rows. The products of queries with keys, and
    of shares with values, are in neither.
    """
    shapes: list[tuple[int, int, int]] = []

    def encoded(x: Tensor, mask: Tensor, heads: int, weights: Sequence[Tensor]) -> Tensor:
        matrices = [weight.shape for weight in weights if weight.dim() == 2]
        shapes.extend((int(mask.sum()), inputs, outputs) for outputs, inputs in matrices)
        return encode(x, mask, heads, weights)

    def pooled(x: Tensor, mask: Tensor, heads: int, query: Tensor, *weights: Tensor) -> Tensor:
        rows, width = len(x), x.shape[-1]
        shapes.extend([(rows, width, width // heads)] * heads + [(rows, width, width)])
        return pool(x, mask, heads, query, *weights)

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.overloadpacket.__name__
            if name in ("mm", "addmm"):
                left, right = args[-2:]
                shapes.append((left.shape[0], left.shape[1], right.shape[1]))
            return func(*args, **(kwargs or {}))

    def chained(x: Tensor, weights: list[Tensor]) -> Tensor:
        shapes.extend((len(x), weight.shape[1], weight.shape[0]) for weight in weights if weight.dim() == 2)
        return chain(x, weights)

    replaced = mock.patch.multiple("velodrome.nets.parts", encode=encoded, pool=pooled, chain=chained)
    with torch.no_grad(), replaced, Watch(net), Products():
        net(views)
    return shapes


def matrix_ms(shapes: list[tuple[int, int, int]]) -> float:
    """The products of a pass forward and back: each costs three of its size."""
    total = 0.0
    for rows, inputs, outputs in shapes:
        x, w, g = torch.randn(rows, inputs), torch.randn(inputs, outputs), torch.randn(rows, outputs)
        forward, to_input, to_weight = (
            torch.empty(rows, outputs),
            torch.empty(rows, inputs),
            torch.empty(inputs, outputs),
        )
        total += least_ms(lambda: torch.mm(x, w, out=forward))  # noqa: B023
        total += least_ms(lambda: torch.mm(g, w.t(), out=to_input))  # noqa: B023
        total += least_ms(lambda: torch.mm(x.t(), g, out=to_weight))  # noqa: B023
    return total


def optimizer_ms(trainer: SelfPlay) -> float:
    """One update of all parameters and the norm of their gradients."""
    return least_ms(lambda: trainer.optimizers[0].step(trainer.team), 100)


def input_ms(trainer: SelfPlay, rows: Tensor) -> float:
    """The sparse input layer, forward and back."""
    views = trainer.lanes[0]._batch(rows)[0]
    net: Any = trainer.nets["net"]

    def pass_through() -> None:
        net.zero_grad()
        net.embed(views["cards"], views["seat"]).sum().backward()

    return least_ms(pass_through)


def floor_of_minibatch(minibatch: int) -> dict[str, Any]:
    """Milliseconds of one thread, each part at its best, and what a minibatch takes in our loop."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe, clock = find("hearts-attention"), Clock(enabled=False)
    settings = recipe.settings()
    ppo = dataclasses.replace(settings.ppo, average=0.0)
    alone = dataclasses.replace(settings, lanes=1, ppo=ppo, opponents=Opponents())
    trainer = recipe.build(alone, 0, "cpu")
    lane = trainer.lanes[0]
    lane.play(clock)
    rows = lane.segment.rows[:minibatch]

    def step() -> None:
        trainer.optimizers[0].offer_places(0, lane.parameters[0])
        lane.gradient(rows, clock)
        trainer._step(lane, clock)

    step_ms = least_ms(step, 100)
    with Counter() as counter:
        step()
    parts = {
        "matrix_ms": matrix_ms(products(lane.nets["net"], lane._batch(rows)[0])),
        "input_ms": input_ms(trainer, rows),
        "optimizer_ms": optimizer_ms(trainer),
        "dispatch_ms": counter.operations * machine().cpu[1].dispatch_us / 1e3,
    }
    torch.set_num_threads(before)
    floor_ms = sum(parts.values())
    return parts | {
        "operations": counter.operations,
        "floor_ms": floor_ms,
        "minibatch_ms": step_ms,
        "times_the_floor": step_ms / floor_ms,
    }
