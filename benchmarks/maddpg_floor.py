"""MADDPG's update beside the least that it could cost here, its products of matrices: results/maddpg_floor.json.

Both take turns in this process on one thread. The products are those that an update cannot do without, each as large as
it has to be and with operands that lie as they are wanted, one call for all agents; what is counted out are softmaxes,
ReLUs, draws from memory, the optimizer and everything else.

    python benchmarks/maddpg_floor.py [--rounds 15] [--device cpu|cuda]
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from common import Disturbance, keep, on_device, take_turns
from velodrome.learn.maddpg import MultiAgentDdpg
from velodrome.meter.clock import Clock
from velodrome.meter.statistics import median_ratio
from velodrome.recipes.recipe import find

AGENTS, WANTED = (3, 6, 12, 24), {24: 1.5}
ORDERS = 5

Shape = tuple[int, int, int, int]
"""So many products at once of [rows, inner] and [inner, columns]."""


def products(agents: int, batch: int, seen: int, width: int) -> list[Shape]:
    """What an update multiplies. All critics read the same, so their first layers are one matrix."""
    all_known, all_width = agents * (seen + ORDERS), agents * width
    act = [(agents, batch, seen, width), (agents, batch, width, width), (agents, batch, width, ORDERS)]
    read = (1, batch, all_known, all_width)
    judge = [(agents, batch, width, width), (agents, batch, width, 1)]
    to_weights = {shape: (shape[0], shape[2], shape[1], shape[3]) for shape in (*act, read, *judge)}
    to_inputs = {shape: (shape[0], shape[1], shape[3], shape[2]) for shape in (*act, read, *judge)}
    own = (agents, batch, ORDERS, width)
    return [
        *act, read, *judge,  # what comes next is worth
        read, *judge,  # what was done is worth
        *(to_weights[each] for each in (read, *judge)), *(to_inputs[each] for each in judge),
        *act, read, own, *judge,  # what each would do now, and what that is worth
        *(to_inputs[each] for each in judge), (agents, batch, width, ORDERS),
        *(to_weights[each] for each in act), *(to_inputs[each] for each in act[1:]),
    ]  # fmt: skip


def multiplying(shapes: list[Shape], device: str) -> Callable[[], int]:
    """Does all of these products."""
    sides = {shape: _operands(shape, device) for shape in shapes}

    def work() -> int:
        for shape in shapes:
            one, other, out = sides[shape]
            torch.bmm(one, other, out=out)
        if device != "cpu":
            torch.cuda.synchronize()
        return 1

    return work


def _operands(shape: Shape, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    at_once, rows, inner, columns = shape
    sizes = ((at_once, rows, inner), (at_once, inner, columns), (at_once, rows, columns))
    one, other, out = (torch.randn(size, device=device) for size in sizes)
    return one, other, out


def measured(agents: int, rounds: int, device: str) -> dict[str, Any]:
    """An update and its products, for so many agents."""
    recipe = find("spread-maddpg")
    settings: Any = recipe.settings()
    few = dataclasses.replace(settings.maddpg, warm_up=2000, memory=20_000)
    trainer: Any = recipe.build(dataclasses.replace(settings, agents=agents, maddpg=few), 0, device)
    assert isinstance(trainer, MultiAgentDdpg)
    clock = Clock(enabled=False)
    while not trainer.iterate(clock).counts.learner_samples:
        pass

    def update() -> int:
        trainer._learn(clock)  # its last word is a number, so the device is done
        return 1

    shapes = products(agents, few.batch, trainer.game.spec.views["seen"].shape[0], settings.widths[0])
    rates = take_turns({"update": update, "floor": multiplying(shapes, device)}, rounds, clock=time.perf_counter)
    took = {name: [1 / rate for rate in own] for name, own in rates.items()}
    over = median_ratio(took["floor"], took["update"], paired=True)
    work = sum(2 * a * b * c * d for a, b, c, d in shapes)
    return {
        "agents": agents, "update_ms": 1e3 * median(took["update"]), "products_ms": 1e3 * median(took["floor"]),
        "update over products": over.ratio, "interval": list(over.interval), "wanted at most": WANTED.get(agents),
        "gflops": work / median(took["floor"]) / 1e9,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    others = Disturbance()
    figures = [measured(agents, options.rounds, options.device) for agents in AGENTS]
    keep(on_device("maddpg_floor", options.device), figures, others_took=others.share())


if __name__ == "__main__":
    main()
