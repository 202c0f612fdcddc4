"""The nets for Territory side by side, by size, memory, latency and speed of training: results/territory_nets.json.

All train by the same settings of PPO against as many bots and take turns in one run. The largest batch is the one that
fits where the flattened net trains with the document's 128: weights, gradients, two moments, and activations.

    python benchmarks/territory_nets.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from statistics import median
from typing import Any

from common import Disturbance, Work, keep, take_turns
from velodrome.learn.trainer import Trainer
from velodrome.meter.card import Card, card
from velodrome.meter.clock import Clock
from velodrome.meter.statistics import median_ratio
from velodrome.nets import make_net
from velodrome.recipes import find

NETS = {
    "territory/flatten": "territory-flatten",
    "territory/attention": "territory-attention",
    "territory/cross": "territory",
}
FIRST = "territory/flatten"
SAID = {"territory/flatten": (8.0, 45.0, 400.0), "territory/attention": (6.0, 60.0, 550.0)}
"""Of the document: milliseconds of a forward pass, and frames a second with one game and with twelve."""
BATCH = 128
KEPT = 4
"""Numbers for each weight: itself, its gradient, two moments."""
GAMES = {1: 256, 12: 1536}
"""Games at once, and decisions of an iteration."""
WANTED = 1.37


def trainer(recipe: str, games: int) -> Trainer:
    """One that learns as the document's do, in two epochs."""
    own = find(recipe).settings()
    ppo = replace(find("territory-flatten").settings().ppo, batch=GAMES[games])
    settings = replace(own, games=games, lanes=1, ppo=ppo)
    return find(recipe).build(settings, 0, "cpu")


def iterating(trained: Trainer) -> Work:
    """An iteration a turn; the work is decisions."""
    clock = Clock(enabled=False)
    return lambda: trained.iterate(clock).counts.decisions


def largest(own: Card, first: Card) -> int:
    """The batch that takes as much memory as the first net's."""
    memory = first.parameters * 4 * KEPT + BATCH * first.activation_bytes
    return int((memory - own.parameters * 4 * KEPT) // own.activation_bytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds, others = parser.parse_args().rounds, Disturbance()
    cards, rates = {}, {}
    for name in NETS:
        net, inputs = make_net(name)
        cards[name] = card(net, *inputs, name=name, batches=(1, BATCH))
    for games in GAMES:
        sides = {name: iterating(trainer(recipe, games)) for name, recipe in NETS.items()}
        rates[games] = take_turns(sides, rounds, clock=time.perf_counter)
    figures: list[dict[str, Any]] = []
    for name, made in cards.items():
        said = SAID.get(name, (None, None, None))
        line: dict[str, Any] = {
            "net": name, "parameters": made.parameters, "dead": made.dead_parameters,
            "weights, MB": made.parameters * 4 / 1e6, "activations, kB a sample": made.activation_bytes / 1e3,
            "largest batch": largest(made, cards[FIRST]), "forward, ms": made.latencies[0].forward_us.p50 / 1e3,
            "said, ms": said[0],
        }  # fmt: skip
        for games, stated in zip(GAMES, said[1:], strict=True):
            ratio = median_ratio(rates[games][FIRST], rates[games][name], paired=True)
            line |= {
                f"frames/s, games {games}": median(rates[games][name]), f"said, games {games}": stated,
                f"ratio, games {games}": ratio.ratio, f"interval, games {games}": list(ratio.interval),
            }  # fmt: skip
        figures.append(line)
    keep("territory_nets", figures, wanted=WANTED, others_took=others.share())


if __name__ == "__main__":
    main()
