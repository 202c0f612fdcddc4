"""What the evolutionary token mixer costs beside attention, and how that grows: results/mixers.json.

Sides take turns in this process on one thread; a side that takes microseconds works many times a turn. Attention is
measured as MADT has it: three projections, the scores spelt out, in training mode. The evolutionary mixer is measured
without a search (in evaluation mode), with the search as a loop over candidates (reference) and with the fastest form
there is. All build the graph that a gradient needs.

    python -m benchmarks.mixers [--rows N [--context T]] [--rounds 15] [--json] [--device cpu|cuda]

With --rows it measures that size alone and keeps nothing. Without, it sweeps rows, context, width, population and
generations, fits exponents, takes the batches of the document's six maps, and keeps the record and the picture.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import Disturbance, keep, on_device
from velodrome.meter.statistics import median_ratio
from velodrome.nets.decision import Attention, Evolving
from velodrome.nets.evolution import Search, draw, search_plainly

LEAST_S = 0.01
"""A turn lasts at least so long."""
WANTED = {(64, 1): 8.0, (1920, 60): 20.0}
"""How many times attention's forward pass the search may take, by rows and context."""
MAPS = {"MMM": 10, "3s5z_vs_3s6z": 8, "so_many_baneling": 7, "8m_vs_9m": 8, "3s_vs_4z": 3, "bane_vs_bane": 24}
"""The agents of the document's six maps; 64 battles at once give a batch."""
SAID = {"mhsa": 0.217, "evae": 0.206, "search": 28.4}
"""Milliseconds that the document gives in the mean."""
BATTLES = 64


class Published(nn.Module):
    """Attention as MADT spells it out."""

    def __init__(self, width: int, heads: int, context: int):
        super().__init__()
        self.heads = heads
        self.key, self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.drop_weights, self.drop = nn.Dropout(0.0), nn.Dropout(0.0)
        size = 3 * context + 1
        self.register_buffer("mask", torch.ones(size, size).tril().view(1, 1, size, size))
        self.mask: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`x [rows, tokens, width]`."""
        rows, tokens, width = x.shape
        key, query, value = (
            part(x).view(rows, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.key, self.query, self.value)
        )
        scores = (query @ key.transpose(-2, -1)) / math.sqrt(width // self.heads)
        scores = scores.masked_fill(self.mask[:, :, :tokens, :tokens] == 0, -torch.inf)
        mixed = self.drop_weights(scores.softmax(-1)) @ value
        return self.drop(self.out(mixed.transpose(1, 2).contiguous().view(rows, tokens, width)))  # type: ignore[no-any-return]


class Reference(Evolving):
    """The evolutionary mixer with the loop over candidates."""

    def forward(self, x: Tensor) -> Tensor:
        """`x [..., width]`."""
        inputs = self.layer_norm(x)
        mean, spread = (part.flatten(0, -2) for part in self.latent(inputs))
        z = search_plainly(self.judge, mean, spread, inputs.flatten(0, -2), self.search, draw(self.search, mean))
        return self.drop(x + self.weight * self.judge.decode(z).view_as(x))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Size:
    """What a mixer is given: rows in all, in sequences of that context."""

    rows: int = 64
    context: int = 1
    width: int = 32
    population: int = 20
    generations: int = 3

    @property
    def search(self) -> Search:
        """The settings of the search."""
        return Search(population=self.population, generations=self.generations)


def mixers(size: Size, device: str) -> dict[str, nn.Module]:
    """Every side; they share nothing."""
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        "mhsa": Published(size.width, 2, size.context),
        "mhsa fused": Attention(size.width, 2),
        "evae": Evolving(size.width).eval(),
        "search": Evolving(size.width, size.search),
        "reference": Reference(size.width, size.search),
    }
    return {name: module.to(device) for name, module in made.items()}


def work(module: nn.Module, x: Tensor, backward: bool) -> Callable[[], None]:
    """One pass, forward alone or back, too."""

    def forward() -> None:
        module(x)

    def both() -> None:
        module.zero_grad(set_to_none=True)
        module(x).sum().backward()

    return both if backward else forward


def seconds(sides: Mapping[str, Callable[[], None]], rounds: int, device: str) -> dict[str, list[float]]:
    """Of one pass of each side in each round, the sides in turn."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    times, passes = {name: list[float]() for name in sides}, dict.fromkeys(sides, 1)

    def turn(name: str) -> float:
        began = time.perf_counter()
        for _ in range(passes[name]):
            sides[name]()
        wait()
        return (time.perf_counter() - began) / passes[name]

    for name in sides:
        turn(name)
        passes[name] = max(1, math.ceil(LEAST_S / turn(name)))
    generator = np.random.default_rng(0)
    for _ in range(rounds):
        for place in generator.permutation(len(sides)):
            name = list(sides)[place]
            times[name].append(turn(name))
    return times


def measured(size: Size, rounds: int, device: str) -> dict[str, Any]:
    """One size: medians, and ratios with what nine rounds in ten lie between."""
    x = torch.randn(size.rows // size.context, size.context, size.width, device=device)
    made = mixers(size, device)
    row: dict[str, Any] = {"rows": size.rows, "context": size.context, "width": size.width}
    row |= {"population": size.population, "generations": size.generations}
    for backward in (False, True):
        sides = {name: work(module, x, backward) for name, module in made.items() if module.training or not backward}
        times = seconds(sides, rounds, device)
        suffix = " and back" if backward else ""
        for name, taken in times.items():
            row[f"{name}{suffix} ms"] = 1e3 * float(np.median(taken))
        for one, other in (("search", "mhsa"), ("reference", "search"), ("evae", "mhsa")):
            if one in times and other in times:  # evaluation mode has no way back
                found = median_ratio(times[other], times[one], paired=True)
                row[f"{one} over {other}{suffix}"] = found.ratio
                row[f"{one} over {other}{suffix} between"] = list(found.interval)
    return row


SWEEPS: dict[str, tuple[Size, ...]] = {
    "rows": tuple(Size(rows=rows) for rows in (16, 64, 256, 1024, 4096)),
    "context": tuple(Size(rows=1920, context=context) for context in (1, 4, 15, 60, 120)),
    "width": tuple(Size(rows=512, width=width) for width in (16, 32, 64, 120)),
    "population": tuple(Size(rows=512, population=population) for population in (7, 10, 20, 40, 80)),
    "generations": tuple(Size(rows=512, generations=generations) for generations in (0, 1, 3, 7)),
}
EXPONENTS = {
    "rows": ("rows", lambda size: size.rows),
    "context": ("context", lambda size: size.context),
    "width": ("width", lambda size: size.width),
    "population": ("population", lambda size: size.population),
    "generations": ("generations + 1", lambda size: size.generations + 1),
}
SAID_EXPONENTS = {
    ("mhsa", "rows"): 1.0, ("mhsa", "width"): 2.0, ("search", "rows"): 1.0, ("search", "width"): 2.0,
    ("search", "population"): 1.0, ("search", "generations"): 1.0, ("reference", "rows"): 1.0,
    ("reference", "width"): 2.0, ("reference", "population"): 1.0, ("reference", "generations"): 1.0,
    ("search", "context"): 0.0, ("reference", "context"): 0.0, ("evae", "context"): 0.0,
}  # fmt: skip
"""By side and sweep: what the document's model says. Sweeps of the context keep the number of rows."""


def fitted(sweep: str, sizes: Sequence[Size], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The slope of log time by log size for each side, with its 95 % interval (Student's)."""
    what, of = EXPONENTS[sweep]
    x = np.log([of(size) for size in sizes])
    found = []
    for side in ("mhsa", "evae", "search", "reference"):
        y = np.log([row[f"{side} ms"] for row in rows])
        slope, intercept = np.polyfit(x, y, 1)
        off = y - (slope * x + intercept)
        error = math.sqrt(float(off @ off) / (len(x) - 2) / float(((x - x.mean()) ** 2).sum()))
        half = float(student.ppf(0.975, len(x) - 2)) * error
        line = {"side": side, "time by": what, "exponent": float(slope), "interval": [slope - half, slope + half]}
        found.append(line | {"said": SAID_EXPONENTS.get((side, sweep))})
    return found


def picture(swept: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Time by size, one panel a sweep."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(2, math.ceil(len(swept) / 2), figsize=(9, 5.6), sharey=True)
    panels = grid.flatten()
    for panel, (sweep, rows) in zip(panels, swept.items(), strict=False):
        of = EXPONENTS[sweep][0]
        x = [row["generations"] + 1 if sweep == "generations" else row[sweep] for row in rows]
        for side in ("mhsa", "evae", "search", "reference"):
            panel.loglog(x, [row[f"{side} ms"] for row in rows], marker="o", markersize=3, label=side)
        panel.minorticks_off()
        panel.set_xticks(x, [f"{n:g}" for n in x])
        panel.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        panel.set_xlabel(of)
    for panel in grid[:, 0]:
        panel.set_ylabel("forward pass, ms")
    for panel in panels[len(swept) :]:
        panel.axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="center")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def document(size: Size, rounds: int, device: str) -> dict[str, Any]:
    """One size, as --json gives it."""
    row = measured(size, rounds, device)
    made = mixers(size, device)
    counted = {
        name: {"parameters": sum(p.numel() for p in made[name].parameters()), "forward_ms": row[f"{name} ms"]}
        for name in ("mhsa", "evae")
    }
    counted["evae"]["search_ms"] = row["search ms"]
    return {
        **counted,
        "search_over_mhsa": row["search over mhsa"],
        "search_over_mhsa_interval": row["search over mhsa between"],
        "reference_over_search": row["reference over search"],
        "reference_over_search_interval": row["reference over search between"],
        "evae_over_mhsa": row["evae over mhsa"],
        "search_over_mhsa_and_back": row["search over mhsa and back"],
        "reference_over_search_and_back": row["reference over search and back"],
        "rows": size.rows,
        "context": size.context,
        "device": device,
        "threads": torch.get_num_threads(),
    }


def swept(rounds: int, device: str) -> None:
    """Everything, kept."""
    others = Disturbance()
    headline = []
    for (rows, context), wanted in WANTED.items():
        row = measured(Size(rows=rows, context=context), 2 * rounds, device)
        headline.append(row | {"wanted": wanted if device == "cpu" else 3.0})
        print(json.dumps(row), file=sys.stderr, flush=True)
    found = {sweep: [measured(size, rounds, device) for size in sizes] for sweep, sizes in SWEEPS.items()}
    exponents = list(itertools.chain(*(fitted(sweep, SWEEPS[sweep], rows) for sweep, rows in found.items())))
    maps = [
        {"map": name, "agents": agents} | measured(Size(rows=BATTLES * agents), rounds, device)
        for name, agents in MAPS.items()
    ]
    keep(
        on_device("mixers", device), headline, sweeps=found, exponents=exponents, maps=maps, said_ms=SAID,
        device=device, threads=torch.get_num_threads(), torch=torch.__version__, taken_by_others=others.share(),
    )  # fmt: skip
    if device == "cpu":
        picture(found, Path(__file__).resolve().parents[1] / "docs" / "images" / "mixers.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--context", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.rows is None:
        swept(options.rounds, options.device)
        return
    size = replace(Size(), rows=options.rows, context=options.context)
    found = document(size, options.rounds, options.device)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
