"""One side of a trial: a process of its own that builds a trainer and then does what it is asked to.

It reads a JSON document a line and answers each with a line: an iteration with its budget, the score, a hash of all
weights. It ends when nobody can ask any more.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TextIO

import torch

from velodrome.learn.evaluate import evaluate
from velodrome.learn.players import Player, rival_of
from velodrome.learn.trainer import Counts, Trainer
from velodrome.meter.clock import Clock
from velodrome.meter.memory import peak_memory_mb
from velodrome.mistake import Mistake
from velodrome.proof.evidence import gather
from velodrome.recipes.recipe import find
from velodrome.recipes.restore import build
from velodrome.runs.checkpoint import digest, weights_of
from velodrome.runs.settings import settings_from_json

MISTAKEN = "mistaken"


class Side:
    """The trainer at work."""

    def __init__(self, recipe: str, settings: Any, seed: int, device: str, threads: int | None):
        if threads is not None:
            torch.set_num_threads(threads)
        found = find(recipe)
        self.device, self.seed = device, seed
        self.trainer: Trainer = build(found, settings_from_json(found.settings, settings), seed, device)
        self.clock = Clock(device)

    def iterate(self, times: int = 1) -> dict[str, Any]:
        """Some iterations: the budget of all of them, and what the last one told."""
        self.clock.lap()  # waiting for one's turn is no part of it
        counts, metrics = Counts(), {}
        for _ in range(times):
            progress = self.trainer.iterate(self.clock)
            counts += progress.counts
            metrics = progress.metrics
        budget = self.clock.lap()
        return {
            "budget": budget.to_json(),
            "counts": asdict(counts),
            "metrics": metrics,
        }

    def train(self, seconds: float) -> dict[str, Any]:
        """Iterations until so much time is spent."""
        counts, iterations, began, untimed = Counts(), 0, time.perf_counter(), Clock(self.device, enabled=False)
        while time.perf_counter() - began < seconds:
            counts += self.trainer.iterate(untimed).counts
            iterations += 1
        return {"iterations": iterations, "counts": asdict(counts), "seconds": time.perf_counter() - began}

    def score(self, episodes: int, player: str | None = None) -> dict[str, Any]:
        """How well the agent plays against the game's best bot, or how a bot plays in its place.

        Where there is nobody to play against, it has all seats.
        """
        game = self.trainer.game
        hero: Player = player or self.trainer
        return evaluate(
            hero, game, rival_of(game.spec), episodes=episodes, seed=self.seed, greedy=player is None,
            device=self.device,
        ).to_json()  # fmt: skip

    def ending(self) -> dict[str, Any]:
        """What a side has come to: a hash of all weights, and the most memory that it held."""
        return {"weights": digest(weights_of(self.trainer.nets)), "memory_mb": peak_memory_mb()}

    def evidence(self) -> dict[str, Any]:
        """What causes can be found in."""
        return gather(self.trainer, self.clock).to_json()

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked for."""
        given = dict(asked)
        work: dict[str, Callable[..., dict[str, Any]]] = {
            "iterate": self.iterate,
            "train": self.train,
            "score": self.score,
            "ending": self.ending,
            "evidence": self.evidence,
        }
        return work[given.pop("do")](**given)


def main() -> None:
    """Build, and answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    try:
        side = Side(**json.loads(sys.argv[1]))
    except Mistake as mistake:
        _say(answers, {MISTAKEN: str(mistake)})
        return
    _say(answers, {"ready": True})
    for line in sys.stdin:
        _say(answers, side.answer(json.loads(line)))


def _say(answers: TextIO, said: Mapping[str, Any]) -> None:
    answers.write(json.dumps(said) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
