"""How soon the real-time bot decides on one core, at 60 frames a second: results/arena_latency.json.

    python benchmarks/arena_latency.py [SECONDS]

A decision is everything from the game's views to the pointer and the keys, in each frame of so many seconds of play:
the tactician's turn comes in every sixth of them and the strategist's in every sixtieth. It is told of one bot, with
the median of each kind of frame; and how many bots at most decide together within a frame in 99 of 100 cases, where
their games have begun one frame after the other. Nets are those of the recipes, and of the sizes published.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from common import Disturbance, keep
from velodrome.games import make
from velodrome.games.game import Array
from velodrome.learn.actions import Actions
from velodrome.learn.sequences import SequencePolicy
from velodrome.nets.arena import Execution, Strategy, Tactics
from velodrome.nets.arena_player import ArenaPlayer, Levels
from velodrome.recipes import find

FRAME_MS, EVERY = 1000 / 60, 60
MOST = 4096
PUBLISHED = Levels()


def learnt(name: str) -> Levels:
    """The nets of a recipe, as they are by default, at a decision a frame."""
    settings = find(name).settings()
    levels = settings.strategy, settings.tactics, settings.execution
    return Levels(*levels, objects=settings.objects, marks=settings.marks, evened=settings.evened)


SIZES: dict[str, Callable[[], Levels]] = {
    "arena": lambda: learnt("arena"),
    "arena-lstm": lambda: learnt("arena-lstm"),
    "published, Mamba": lambda: Levels(Strategy(), Tactics(), Execution()),
    "published, LSTM": lambda: replace(PUBLISHED, execution=Execution(remembers="lstm")),
}


def decided(levels: Levels, bots: int, frames: int) -> Array:
    """Milliseconds of each decision of so many bots together, in frames after a first second."""
    torch.manual_seed(0)
    game = make("arena", bots, 0, objects=levels.objects, marks=levels.marks)
    net = ArenaPlayer(levels).eval()
    policy = SequencePolicy(net, Actions(game.spec.action), True, "cpu")
    memory, generator = policy.start(bots), torch.Generator().manual_seed(0)
    memory["frame"] += torch.arange(bots) % EVERY
    spent = []
    for _ in range(EVERY + frames):
        views = {name: torch.from_numpy(game.views[name]).flatten(0, 1) for name in net.wants}
        began = time.perf_counter()
        action, memory = policy.act(views, memory, generator)
        spent.append(1000 * (time.perf_counter() - began))
        game.step({name: part.numpy() for name, part in action.items()})
        game.reset(game.ended | game.cut)
    return np.array(spent[EVERY:])


def one_bot(name: str, levels: Levels, frames: int) -> dict[str, Any]:
    """One bot, all frames and each kind of them."""
    spent = decided(levels, 1, frames)
    at = np.arange(len(spent))
    kinds = {
        "executor alone": at % levels.tactics_every != 0,
        "and tactician": (at % levels.tactics_every == 0) & (at % levels.strategy_every != 0),
        "and strategist": at % levels.strategy_every == 0,
    }
    medians = {f"{kind}, p50_ms": float(np.median(spent[which])) for kind, which in kinds.items()}
    weights = sum(parameter.numel() for parameter in ArenaPlayer(levels).parameters())
    p50, p99 = np.quantile(spent, [0.5, 0.99]).tolist()
    return {"nets": name, "weights": weights, "p50_ms": p50, "p99_ms": p99, **medians}


def most_bots(levels: Levels, frames: int) -> dict[str, Any]:
    """The largest number of bots, to a tenth of it, that decide within a frame."""
    tried: dict[int, float] = {}

    def soon(bots: int) -> bool:
        tried[bots] = float(np.quantile(decided(levels, bots, frames), 0.99))
        return tried[bots] <= FRAME_MS

    low, high = 0, 1
    while high <= MOST and soon(high):
        low, high = high, 2 * high
    while low and high <= MOST and high - low > max(low // 10, 1):
        middle = (low + high) // 2
        low, high = (middle, high) if soon(middle) else (low, middle)
    return {"bots_at_60_hz": low, "bots_p99_ms": tried.get(low)}


def main(seconds: int) -> None:
    """Every size."""
    torch.set_num_threads(1)
    others, figures = Disturbance(), []
    for name, levels in SIZES.items():
        frames = EVERY * seconds
        figures.append(one_bot(name, levels(), frames) | most_bots(levels(), max(frames // 10, 2 * EVERY)))
    keep("arena_latency", figures, frame_ms=FRAME_MS, others_took=others.share())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
