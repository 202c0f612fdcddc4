"""Navigation: each agent names the landmark that it goes to, and walks there for ten steps (ToM2C's task)."""

from __future__ import annotations

import math

import numpy as np

from velodrome.games.game import Array, Choice, Score, Spec, View
from velodrome.games.kernel import draw, kernel, rule, uniform
from velodrome.games.particles import play
from velodrome.games.particles.assign import share_marks
from velodrome.games.particles.game import Particles, counted, whole
from velodrome.games.particles.physics import (
    CUT,
    MOST,
    RUNNING,
    advance,
    begin,
    choose_one,
    left_uncovered,
    overlaps,
    push_by_choice,
    world_of,
)

RADIUS = 0.05
LONGEST, WALK = 10, 10
"""Decisions of a game, and steps of each."""
CLOSE = 0.05
"""Who is so near to its landmark stands still."""
BETWEEN, TRIES = 0.22, 100
"""Landmarks are drawn anew until they are so far from each other, or so often."""
BOTS = ("random", "nearest", "fixed", "assign")


@rule
def place_marks(game, world):  # type: ignore[no-untyped-def]
    """Put the landmarks anywhere, apart from each other where that can be."""
    for mark in range(world.marks):
        for _ in range(TRIES):
            game.starts, one = draw(game.starts)
            game.starts, two = draw(game.starts)
            x, y, clear = 2 * uniform(one) - 1, 2 * uniform(two) - 1, True
            for other in range(mark):
                clear &= math.hypot(x - game.mark_x[other], y - game.mark_y[other]) > BETWEEN
            game.mark_x[mark], game.mark_y[mark] = x, y
            if clear:
                break


@rule
def walk(game, world, goals, push_x, push_y):  # type: ignore[no-untyped-def]
    """Go to the landmarks for ten steps; returns what that earns everyone."""
    earned = 0.0
    for _ in range(WALK):
        for agent in range(world.agents):
            mark = goals[agent]
            dx, dy = game.mark_x[mark] - game.x[agent], game.mark_y[mark] - game.y[agent]
            action = choose_one(dx, dy, CLOSE)
            push_x[agent], push_y[agent] = push_by_choice(action, world.strength[agent])
        advance(game, world, push_x, push_y)
        earned -= left_uncovered(game, world) + overlaps(game, world)
    return earned / WALK


@rule
def see(game, world, agent, out):  # type: ignore[no-untyped-def]
    """Own speed and place, how far others and landmarks are."""
    x, y = game.x[agent], game.y[agent]
    out[0], out[1], out[2], out[3] = game.vx[agent], game.vy[agent], x, y
    at = 4
    for other in range(world.agents):
        if other != agent:
            out[at], out[at + 1] = game.x[other] - x, game.y[other] - y
            at += 2
    for mark in range(world.marks):
        out[at], out[at + 1] = game.mark_x[mark] - x, game.mark_y[mark] - y
        at += 2


@kernel
def deal(games, lo, hi, which, world, rewards, ended, cut):  # type: ignore[no-untyped-def]
    """Start the next of the marked games."""
    for i in range(lo, hi):
        if which[i]:
            begin(games[i], world)
            place_marks(games[i], world)
            rewards[i, :] = 0
            ended[i] = cut[i] = False


@kernel
def move(games, lo, hi, goals, world, rewards, cut, outcome):  # type: ignore[no-untyped-def]
    """Play a decision of every game. Returns the first game that refused, or -1."""
    refused, push_x, push_y = -1, np.zeros(MOST), np.zeros(MOST)
    for i in range(lo, hi):
        game, legal = games[i], True
        rewards[i, :] = 0
        if game.over != RUNNING:
            continue
        for agent in range(world.agents):
            legal &= 0 <= goals[i, agent] < world.marks
        if not legal:
            refused = i if refused < 0 else refused
            continue
        earned = walk(game, world, goals[i], push_x, push_y)
        game.time += 1
        game.over = CUT if game.time >= LONGEST else RUNNING
        game.returned[0] += earned
        rewards[i, :], outcome[i, :], cut[i] = earned, game.returned[0], game.over == CUT
    return refused


@kernel
def look(games, lo, hi, which, world, seen):  # type: ignore[no-untyped-def]
    """Write what every agent sees."""
    for i in range(lo, hi):
        if which[i]:
            for agent in range(world.agents):
                see(games[i], world, agent, seen[i, agent])


@kernel
def nearest(games, lo, hi, world, goals):  # type: ignore[no-untyped-def]
    """Everyone goes to the landmark that is nearest."""
    for i in range(lo, hi):
        game = games[i]
        for agent in range(world.agents):
            least = 1e18
            for mark in range(world.marks):
                away = math.hypot(game.mark_x[mark] - game.x[agent], game.mark_y[mark] - game.y[agent])
                if away < least:
                    least, goals[i, agent] = away, mark


@kernel
def assigned(games, lo, hi, world, goals):  # type: ignore[no-untyped-def]
    """Each goes to the landmark that is its own if all together go the least way."""
    n = world.agents
    cost, of_mark = np.zeros((n, n)), np.zeros(n, np.int64)
    prices, matched = np.zeros((2, n + 1)), np.zeros((2, n + 1), np.int64)
    least, done = np.zeros(n + 1), np.zeros(n + 1, np.bool_)
    for i in range(lo, hi):
        game = games[i]
        share_marks(game, n, of_mark, cost, prices, matched, least, done)
        for mark in range(n):
            goals[i, of_mark[mark]] = mark


class Navigation(Particles):
    """Agents agree who covers which landmark (cooperative navigation as ToM2C plays it, Wang et al. 2022).

    - `agents`: 1 to 32, and as many landmarks.
    - `state`: whether the private view `state` shows everything.

    A decision is the number of a landmark, and good for ten steps on the way there; any choice without two agents on
    one landmark is nearly as good as the best.
    """

    def __init__(
        self,
        games: int,
        seed: int,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
        agents: int = 7,
        state: bool = False,
    ):
        n = counted("navigation", "agents", agents)
        views = {"seen": View((4 * n + 2,), says="own speed and place, others, landmarks")}
        spec = Spec(
            "navigation", n, n, views | ({"state": whole(n, n)} if state else {}), (Choice("goal", n),),
            Score("return", "higher"), LONGEST, BOTS, settings={"agents": n, "state": state}, together=True,
        )  # fmt: skip
        super().__init__(spec, world_of([RADIUS] * n, n), games, seed, threads, first, duplicate)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Put everyone somewhere where marked."""
        deal(self.records, lo, hi, which, self.world, self.rewards, self.ended, self.cut)
        self._look(lo, hi, which)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Play a decision of every game."""
        refused = move(self.records, lo, hi, action["goal"], self.world, self.rewards, self.cut, self.outcome)
        self.look(lo, hi)
        return int(refused)

    def see(self, lo: int, hi: int, which: Array) -> None:
        """Everyone sees everything, from where it is."""
        look(self.records, lo, hi, which, self.world, self.views["seen"])

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """`fixed`: the agent's own number, agreed on once and for all."""
        if name == "random":
            play.draw_choices(self.records, lo, hi, self.spec.seats, action["goal"])
        elif name == "fixed":
            action["goal"][lo:hi] = np.arange(self.spec.seats)
        else:
            (nearest if name == "nearest" else assigned)(self.records, lo, hi, self.world, action["goal"])
