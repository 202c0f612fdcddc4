"""Whether nets for Territory look at borders and threats more than chance would: results/territory_gates.json.

A place counts as border if some of it is the agent's and lies next to another's land, as threat if some of it is
another's and lies next to the agent's. What is told is the share of the weight that lies there over the share of the
places: 1 is chance. Before training and after, with intervals over games.

    python benchmarks/territory_gates.py [--seconds 300]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common import called, keep, velodrome
from velodrome.games.game import Array
from velodrome.games.territory import Territory
from velodrome.games.territory.world import AGENT
from velodrome.learn.players import seated
from velodrome.learn.trainer import Trainer
from velodrome.meter.statistics import mean
from velodrome.recipes import find
from velodrome.recipes.restore import restore

ARMS = {
    "attention": ("territory-attention",),
    "attention, steady": ("territory-attention", "--steady"),
    "cross": ("territory",),
}
GAMES, DECISIONS = 64, 12
RUNS = Path("runs/territory-gates")


def places(game: Territory, i: int) -> tuple[Array, Array]:
    """The tiles of the border and those of threats, `[size, size]`."""
    owner = np.pad(game.board(i), 1, constant_values=-1)
    inner = owner[1:-1, 1:-1]
    around = np.stack([owner[:-2, 1:-1], owner[2:, 1:-1], owner[1:-1, :-2], owner[1:-1, 2:]])
    return (inner == AGENT) & (around > AGENT).any(0), (inner > AGENT) & (around == AGENT).any(0)


def coarse(tiles: Array, shape: tuple[int, ...]) -> Array:
    """Which places of a map of that shape hold any of these tiles."""
    (h, w), (m, n) = tiles.shape, shape
    found: Array = tiles.reshape(m, h // m, n, w // n).any((1, 3))
    return found


def looked(trainer: Trainer) -> list[dict[str, Any]]:
    """A line for each kind of look."""
    net: Any = trainer.nets["net"]
    game = trainer.game.again(GAMES, seed=1000)
    assert isinstance(game, Territory)
    player, net = seated(trainer, game), net.eval()
    for _ in range(DECISIONS):
        game.step(player.decide(game.acting))
        game.reset(game.ended | game.cut)
    views = {name: torch.from_numpy(game.views[name][:, 0].copy()) for name in net.wants}
    lines = []
    for name, weights in net.looks(views).items():
        line: dict[str, Any] = {"look": name}
        for number, kind in enumerate(("borders", "threats")):
            over = []
            for i in range(GAMES):
                where = coarse(places(game, i)[number], tuple(weights.shape[1:]))
                weight = weights[i].numpy()
                if where.any() and not where.all():
                    over.append(float(weight[where].sum() / weight.sum() / where.mean()))
            found = mean(over)
            line |= {kind: found.mean, f"{kind} interval": list(found.interval)}
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300)
    seconds, figures = parser.parse_args().seconds, []
    for name, command in ARMS.items():
        run = RUNS / called(name)
        settings = find(command[0]).settings(**({"steady": True} if "--steady" in command else {}))
        new = looked(find(command[0]).build(settings, 0, "cpu"))
        velodrome("train", *command, "--run", str(run), "--resume", "--seconds", str(seconds))
        trained = looked(restore(run).trainer)
        for before, after in zip(new, trained, strict=True):
            figures += [{"net": name, "when": when, **line} for when, line in (("new", before), ("trained", after))]
    keep("territory_gates", figures, seconds=seconds, games=GAMES)


if __name__ == "__main__":
    main()
