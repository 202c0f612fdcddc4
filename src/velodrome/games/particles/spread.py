"""Spread: agents cover landmarks without running into each other (simple spread, or cooperative navigation)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from velodrome.games.game import Array, Score, Spec, View
from velodrome.games.kernel import kernel, rule
from velodrome.games.particles.assign import share_marks
from velodrome.games.particles.game import Control, Pushing, counted, push, whole
from velodrome.games.particles.physics import left_uncovered, overlap, overlaps, world_of

RADIUS = 0.15
LONGEST = 25
OPENAI, PETTINGZOO, VMAS = range(3)
CONVENTIONS = ("openai", "pettingzoo", "vmas")
BOTS = ("random", "idle", "assign")
PULL, BRAKE = 4.0, 0.75
"""Of the scripted controller: the push for each unit of distance, and against each unit of speed."""


@rule
def earn(game, world, convention, rewards):  # type: ignore[no-untyped-def]
    """Write what the step has earned each agent."""
    n, uncovered = world.agents, left_uncovered(game, world)
    if convention == PETTINGZOO:
        for i in range(n):
            rewards[i] = -0.5 * uncovered
            for j in range(i):
                if overlap(game, world, i, j):
                    rewards[i] -= 0.5
                    rewards[j] -= 0.5
        return
    shared = -n * uncovered - 2 * overlaps(game, world)
    if convention == OPENAI:
        shared -= n  # everyone is found to overlap itself
    for i in range(n):
        rewards[i] = shared


@rule
def see(game, world, agent, out):  # type: ignore[no-untyped-def]
    """Own speed and place, how far landmarks and others are; then others' silence, zeros that nobody ever changes."""
    x, y = game.x[agent], game.y[agent]
    out[0], out[1], out[2], out[3] = game.vx[agent], game.vy[agent], x, y
    at = 4
    for mark in range(world.marks):
        out[at], out[at + 1] = game.mark_x[mark] - x, game.mark_y[mark] - y
        at += 2
    for other in range(world.agents):
        if other != agent:
            out[at], out[at + 1] = game.x[other] - x, game.y[other] - y
            at += 2


@kernel
def pay(games, lo, hi, moved, world, convention, rewards, outcome):  # type: ignore[no-untyped-def]
    """Write rewards, and the score: what all have earned together, or where VMAS counts what everyone has."""
    for i in range(lo, hi):
        if moved[i]:
            earn(games[i], world, convention, rewards[i])
            total = 0.0
            for agent in range(world.agents):
                games[i].returned[agent] += rewards[i, agent]
                total += games[i].returned[agent]
            outcome[i, :] = total / world.agents if convention == VMAS else total


@kernel
def look(games, lo, hi, which, world, seen):  # type: ignore[no-untyped-def]
    """Write what every agent sees."""
    for i in range(lo, hi):
        if which[i]:
            for agent in range(world.agents):
                see(games[i], world, agent, seen[i, agent])


@kernel
def steer(games, lo, hi, world, wishes):  # type: ignore[no-untyped-def]
    """Send each agent to the landmark that is its own if all together go the least way."""
    n = world.agents
    cost, of_mark = np.zeros((n, n)), np.zeros(n, np.int64)
    prices, matched = np.zeros((2, n + 1)), np.zeros((2, n + 1), np.int64)
    least, done = np.zeros(n + 1), np.zeros(n + 1, np.bool_)
    for i in range(lo, hi):
        game = games[i]
        share_marks(game, n, of_mark, cost, prices, matched, least, done)
        for mark in range(n):
            agent = of_mark[mark]
            wishes[i, agent, 0] = PULL * (game.mark_x[mark] - game.x[agent]) - BRAKE * game.vx[agent]
            wishes[i, agent, 1] = PULL * (game.mark_y[mark] - game.y[agent]) - BRAKE * game.vy[agent]


class Spread(Pushing):
    """Agents cover as many landmarks, and pay for running into each other (simple spread of the multi-agent particle
    environments, Lowe et al. 2017).

    - `agents`: 1 to 32, and as many landmarks.
    - `control`: "shares" of the five actions (nothing, east, west, north, south), as MADDPG acts, or one "choice".
    - `convention`: how the reward is counted, "openai", "pettingzoo" or "vmas"; the score is what all agents earn
      together, and for vmas what each does.
    - `state`: whether the private view `state` shows everything.
    """

    def __init__(
        self,
        games: int,
        seed: int,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
        agents: int = 3,
        control: Control = "shares",
        convention: Literal["openai", "pettingzoo", "vmas"] = "openai",
        state: bool = False,
    ):
        if convention not in CONVENTIONS:
            raise ValueError(f"spread: convention={convention!r} is not one of {', '.join(CONVENTIONS)}")
        n, self.convention = counted("spread", "agents", agents), CONVENTIONS.index(convention)
        views = {"seen": View((6 * n,), says="own speed and place, landmarks, others, their silence")}
        spec = Spec(
            "spread", n, n, views | ({"state": whole(n, n)} if state else {}), (push(control),),
            Score(f"return as {convention} counts", "higher"), LONGEST, BOTS,
            settings={"agents": n, "control": control, "convention": convention, "state": state}, together=True,
        )  # fmt: skip
        super().__init__(spec, world_of([RADIUS] * n, n), games, seed, threads, first, duplicate)

    def pay(self, lo: int, hi: int) -> None:
        """Pay all together."""
        pay(self.records, lo, hi, self.moved, self.world, self.convention, self.rewards, self.outcome)

    def see(self, lo: int, hi: int, which: Array) -> None:
        """Everyone sees everything, from where it is."""
        look(self.records, lo, hi, which, self.world, self.views["seen"])

    def wish(self, lo: int, hi: int) -> None:
        """`assign`: each agent goes to its own landmark and brakes there."""
        steer(self.records, lo, hi, self.world, self.wishes)
