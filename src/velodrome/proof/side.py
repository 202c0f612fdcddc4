"""One side of a trial: a process of its own that builds a trainer and then does what it is asked to.

It reads a JSON document a line and answers each with a line: first what to build, then an iteration with its budget,
the score, a hash of all weights. It ends when nobody can ask any more.

Run as a program this is the nursery of such processes: all that it does is to import, to fork and to tell how what it
has forked came to end.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NoReturn, TextIO

import torch
from numba.core.registry import cpu_target

from velodrome.learn.evaluate import evaluate
from velodrome.learn.players import Player, rival_of, seated
from velodrome.learn.trainer import Counts, Trainer, exchange_of
from velodrome.learn.workers import here
from velodrome.meter.clock import Clock
from velodrome.meter.memory import peak_memory_mb
from velodrome.mistake import Mistake
from velodrome.proof.evidence import gather
from velodrome.recipes.recipe import find
from velodrome.recipes.restore import build
from velodrome.runs.checkpoint import digest, weights_of
from velodrome.runs.settings import settings_from_json

MISTAKEN = "mistaken"
STANDARD = 3
"""Files: what it is asked, what it answers, what else it says."""
SHIFTS = 256
"""Places where a side's memory may begin: forked processes would all have it where the first one has."""


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

    def decide(self, times: int) -> dict[str, Any]:
        """How long each of so many decisions takes, of all agents in as many games as are trained on."""
        game = self.trainer.game.again(self.trainer.game.games)
        player, seconds = seated(self.trainer, game, device=self.device), []
        for _ in range(times + 1):
            began = time.perf_counter()
            action = player.decide(game.acting)
            seconds.append(time.perf_counter() - began)
            game.step(action)
            over = game.ended | game.cut
            game.reset(over)
            player.begin(over)
        return {"seconds": seconds[1:]}

    def exchange(self) -> dict[str, Any]:
        """What agents told each other in the last iteration, if the trainer can say."""
        told = exchange_of(self.trainer)
        return {"exchange": None if told is None else asdict(told)}

    def told(self) -> dict[str, Any]:
        """What a worker would have had to tell others so far."""
        return dict(here().told)

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
            "decide": self.decide,
            "exchange": self.exchange,
            "told": self.told,
            "ending": self.ending,
            "evidence": self.evidence,
        }
        return work[given.pop("do")](**given)


def main(asks: socket.socket) -> None:
    """Fork a side, or wait for one to end, until nobody asks any more."""
    cpu_target.target_context.refresh()  # it imports what every kernel needs, which Numba puts off until the first
    while True:
        asked, files, _, _ = socket.recv_fds(asks, 64, STANDARD)
        if not asked:
            return
        if files:
            answer = os.fork()
            if answer == 0:
                asks.close()
                _become(files)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(int(asked), 0)[1])
        for file in files:
            os.close(file)
        asks.sendall(f"{answer}\n".encode())


def _become(files: list[int]) -> NoReturn:
    """Be a side with these as its standard files, to the end."""
    code = 1
    try:
        for standard, file in enumerate(files):
            os.dup2(file, standard)
            os.close(file)
        with os.fdopen(os.dup(0)) as asked, os.fdopen(os.dup(1), "w") as answers:
            os.dup2(2, 1)  # what libraries print is not an answer
            _serve(asked, answers)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve(asked: TextIO, answers: TextIO) -> None:
    shift = [mmap.mmap(-1, mmap.PAGESIZE * random.randint(1, SHIFTS)), bytearray(16 * random.randint(1, SHIFTS))]
    try:
        side = Side(**json.loads(asked.readline()))
    except Mistake as mistake:
        _say(answers, {MISTAKEN: str(mistake)})
        return
    _say(answers, {"ready": True})
    for line in asked:
        _say(answers, side.answer(json.loads(line)))
    del shift


def _say(answers: TextIO, said: Mapping[str, Any]) -> None:
    answers.write(json.dumps(said) + "\n")
    answers.flush()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        main(given)
