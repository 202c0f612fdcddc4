"""Platoon, as a game of Velodrome."""

from __future__ import annotations

from typing import Literal

import numpy as np

from velodrome.games.game import Array, Choice, Game, Score, Spec, View
from velodrome.games.kernel import below, draw, kernel
from velodrome.games.platoon.rules import (
    BLOCK,
    CUT,
    ENDED,
    HEED,
    LONGEST,
    MOST,
    RECORD,
    RUNNING,
    begin,
    play_step,
    see,
)
from velodrome.games.platoon.scene import scene_of
from velodrome.games.scene import NOTHING_SAID, Mind, Scene

SCENARIOS = ("catch-up", "slow-down")
BOTS = ("random", "heedless", "mixed", "steady")
"""`steady` heeds gap and speed alike; `mixed` does so at both ends and heeds speed alone between."""
SEEN = View(
    (5,), low=-30, high=120, says="own speed, that of who is ahead, what the gap asks for, the gap, the force"
)  # fmt: skip
"""A gap is largest behind a leader that goes on while everyone stands; who is faster than can be is slowed down at
once, and with force."""


@kernel
def deal(games, lo, hi, which, n, scenario, rewards, ended, cut):  # type: ignore[no-untyped-def]
    """Start the next of the marked games."""
    for i in range(lo, hi):
        if which[i]:
            begin(games[i], n, scenario)
            rewards[i, :] = 0
            ended[i] = cut[i] = False


@kernel
def play(games, lo, hi, actions, n, hold, warn, rewards, ended, cut, outcome):  # type: ignore[no-untyped-def]
    """Play a decision of every game that goes on. Returns the first that refused, or -1."""
    refused, earned = -1, np.zeros(MOST)
    for i in range(lo, hi):
        game, legal = games[i], True
        rewards[i, :] = 0
        if game.over != RUNNING:
            continue
        for vehicle in range(n):
            legal &= 0 <= actions[i, vehicle] < len(HEED)
        if not legal:
            refused = i if refused < 0 else refused
            continue
        for _ in range(hold):
            play_step(game, n, actions[i], warn, earned)
            for vehicle in range(n):
                rewards[i, vehicle] += earned[vehicle] / hold
        ended[i], cut[i] = game.over == ENDED, game.over == CUT
        outcome[i, :] = game.returned / game.time
    return refused


@kernel
def look(games, lo, hi, which, n, seen):  # type: ignore[no-untyped-def]
    """Write what every vehicle knows."""
    for i in range(lo, hi):
        if which[i]:
            for vehicle in range(n):
                see(games[i], vehicle, seen[i, vehicle])


@kernel
def draw_actions(games, lo, hi, actions):  # type: ignore[no-untyped-def]
    """Choose by chance."""
    for i in range(lo, hi):
        for vehicle in range(actions.shape[1]):
            games[i].luck, bits = draw(games[i].luck)
            actions[i, vehicle] = below(bits, len(HEED))


class Platoon(Game):
    """Vehicles in a line keep 20 m apart and 15 m/s (cooperative adaptive cruise control, Chu et al. 2020).

    - `scenario`: "catch-up", where the first gap is wide, or "slow-down", where all are too fast and the leader brakes.
    - `vehicles`: 1 to 32.
    - `warn`: whether rewards take something off for gaps under 10 m. The score never does.
    - `hold`: steps of a tenth of a second for which a decision is good; a reward is then the mean of theirs.

    The score is what all vehicles earn together in a step, in the mean over the game. A crash costs everyone 1,000 a
    step until a block of 60 steps is over, and with it the game.
    """

    record = RECORD
    luck_apart = 0x504C4154

    def __init__(
        self,
        games: int,
        seed: int,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
        scenario: Literal["catch-up", "slow-down"] = "catch-up",
        vehicles: int = 8,
        warn: bool = True,
        hold: int = 1,
    ):
        if scenario not in SCENARIOS:
            raise ValueError(f"platoon: scenario={scenario!r} is not one of {', '.join(SCENARIOS)}")
        if not 1 <= vehicles <= MOST:
            raise ValueError(f"platoon: vehicles={vehicles}; it takes from 1 to {MOST}")
        if hold < 1 or BLOCK % hold:
            raise ValueError(f"platoon: hold={hold}; it takes a divisor of {BLOCK}, such as 1, 5 or 10")
        self.scenario, self.warn, self.hold = SCENARIOS.index(scenario), warn, hold
        spec = Spec(
            "platoon", vehicles, vehicles,
            {"seen": SEEN},
            (Choice("heed", len(HEED)),), Score("mean reward of a step", "higher"), LONGEST // hold, BOTS,
            settings={"scenario": scenario, "vehicles": vehicles, "warn": warn, "hold": hold}, together=True,
        )  # fmt: skip
        super().__init__(spec, games, seed, threads, first, duplicate)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Put everyone in line where marked."""
        deal(self.records, lo, hi, which, self.spec.seats, self.scenario, self.rewards, self.ended, self.cut)
        look(self.records, lo, hi, which, self.spec.seats, self.views["seen"])

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Play a decision of every game."""
        refused = play(
            self.records, lo, hi, action["heed"], self.spec.seats, self.hold, self.warn, self.rewards, self.ended,
            self.cut, self.outcome,
        )  # fmt: skip
        self.look(lo, hi)
        return int(refused)

    def look(self, lo: int, hi: int) -> None:
        """Write what every vehicle knows."""
        look(self.records, lo, hi, self.everyone, self.spec.seats, self.views["seen"])

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Ask a bot."""
        heed = action["heed"]
        if name == "random":
            draw_actions(self.records, lo, hi, heed)
        elif name == "heedless":
            heed[lo:hi] = 0
        else:
            heed[lo:hi] = 3
            if name == "mixed":
                heed[lo:hi, 1:-1] = 2

    def describe(self, game: int) -> str:
        """Gaps and speeds."""
        record, n = self.records[game], self.spec.seats
        gaps, speeds = (" ".join(f"{value:.4g}" for value in record[name][:n]) for name in ("gap", "speed"))
        return f"time {record['time']}: gaps {gaps}; speeds {speeds}{'; crashed' if record['crashed'] else ''}"

    def scene(self, game: int, mind: Mind = NOTHING_SAID) -> Scene:
        """The line of vehicles, and what each heeds."""
        return scene_of(self.records[game], self.spec.seats, self.hold, self.spec.longest, mind)
