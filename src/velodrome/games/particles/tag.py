"""Tag: slower predators hunt a faster prey around obstacles (simple tag, or predator-prey)."""

from __future__ import annotations

import math

from velodrome.games.game import Array, Score, Spec, View
from velodrome.games.kernel import kernel, rule
from velodrome.games.particles.game import Control, Pushing, counted, push, whole
from velodrome.games.particles.physics import overlap, world_of

LONGEST = 25
PREDATOR, PREY = range(2)
RADIUS, STRENGTH, TOP = (0.075, 0.05), (3.0, 4.0), (1.0, 1.3)
"""Of a predator and of a prey."""
OBSTACLE = 0.2
TOUCH = 10.0
TURN = 0.8
"""How far out a bot's prey turns back."""
FREE, EDGE, WORST = 0.9, 1.0, 10.0
"""How far out nothing is lost; where the loss begins to grow ever faster; the most that is lost, an axis."""
BOTS = ("random", "idle", "chase")


@rule
def strays(place):  # type: ignore[no-untyped-def]
    """What the prey loses for being so far out on one axis."""
    out = abs(place)
    if out < FREE:
        return 0.0
    if out < EDGE:
        return 10 * (out - FREE)
    return min(math.exp(2 * out - 2), WORST)


@rule
def earn(game, world, prey, rewards):  # type: ignore[no-untyped-def]
    """Every touch anywhere pays every predator; each prey pays for its own, and for straying."""
    n, touches = world.agents, 0
    for hunted in range(n - prey, n):
        own = 0
        for hunter in range(n - prey):
            own += overlap(game, world, hunter, hunted)
        rewards[hunted] = -TOUCH * own - strays(game.x[hunted]) - strays(game.y[hunted])
        touches += own
    for hunter in range(n - prey):
        rewards[hunter] = TOUCH * touches


@rule
def see(game, world, prey, agent, out):  # type: ignore[no-untyped-def]
    """Own speed and place, how far obstacles and others are, how other prey moves; what is left is zero for good."""
    n, x, y = world.agents, game.x[agent], game.y[agent]
    out[0], out[1], out[2], out[3] = game.vx[agent], game.vy[agent], x, y
    at = 4
    for mark in range(world.marks):
        out[at], out[at + 1] = game.mark_x[mark] - x, game.mark_y[mark] - y
        at += 2
    for other in range(n):
        if other != agent:
            out[at], out[at + 1] = game.x[other] - x, game.y[other] - y
            at += 2
    for other in range(n - prey, n):
        if other != agent:
            out[at], out[at + 1] = game.vx[other], game.vy[other]
            at += 2


@kernel
def pay(games, lo, hi, moved, world, prey, rewards, outcome):  # type: ignore[no-untyped-def]
    """Write rewards, and the score: what each has earned."""
    for i in range(lo, hi):
        if moved[i]:
            earn(games[i], world, prey, rewards[i])
            for agent in range(world.agents):
                games[i].returned[agent] += rewards[i, agent]
                outcome[i, agent] = games[i].returned[agent]


@kernel
def look(games, lo, hi, which, world, prey, seen):  # type: ignore[no-untyped-def]
    """Write what every agent sees."""
    for i in range(lo, hi):
        if which[i]:
            for agent in range(world.agents):
                see(games[i], world, prey, agent, seen[i, agent])


@kernel
def steer(games, lo, hi, world, prey, wishes):  # type: ignore[no-untyped-def]
    """Send each predator straight to the nearest prey, and each prey away from the nearest predator, but back in where
    it comes near the edge."""
    n = world.agents
    for i in range(lo, hi):
        game = games[i]
        for agent in range(n):
            hunts, nearest, best = agent < n - prey, 1e18, -1
            for other in range(n - prey if hunts else 0, n if hunts else n - prey):
                away = math.hypot(game.x[other] - game.x[agent], game.y[other] - game.y[agent])
                if away < nearest:
                    nearest, best = away, other
            scale = (1 if hunts else -1) / max(nearest, 1e-9)
            wishes[i, agent, 0] = scale * (game.x[best] - game.x[agent])
            wishes[i, agent, 1] = scale * (game.y[best] - game.y[agent])
            if not hunts and abs(game.x[agent]) > TURN:
                wishes[i, agent, 0] = -math.copysign(1.0, game.x[agent])
            if not hunts and abs(game.y[agent]) > TURN:
                wishes[i, agent, 1] = -math.copysign(1.0, game.y[agent])


class Tag(Pushing):
    """Predators hunt prey that is faster than they are (simple tag of the multi-agent particle environments).

    - `predators`, `prey`: how many of each; the first seats are the predators'.
    - `obstacles`: how many landmarks are in the way.
    - `control`: "shares" of the five actions (nothing, east, west, north, south) or one "choice".
    - `state`: whether the private view `state` shows everything.

    The prey sees two numbers less for each prey; its row ends in zeros.
    """

    reach = 0.9

    def __init__(
        self,
        games: int,
        seed: int,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
        predators: int = 3,
        prey: int = 1,
        obstacles: int = 2,
        control: Control = "shares",
        state: bool = False,
    ):
        self.prey = counted("tag", "prey", prey)
        counted("tag", "predators", predators)
        n, marks = counted("tag", "predators and prey", predators + prey), counted("tag", "obstacles", obstacles, 0)
        kinds = [PREDATOR] * predators + [PREY] * prey
        world = world_of(
            [RADIUS[kind] for kind in kinds], marks, mark_radius=OBSTACLE,
            strength=[STRENGTH[kind] for kind in kinds], top=[TOP[kind] for kind in kinds],
        )  # fmt: skip
        seen = View(
            (4 + 2 * marks + 2 * (n - 1) + 2 * prey,), says="own speed and place, obstacles, others, how prey moves"
        )
        spec = Spec(
            "tag", n, n, {"seen": seen} | ({"state": whole(n, marks)} if state else {}), (push(control),),
            Score("return", "higher"), LONGEST, BOTS, roles=tuple(kinds),
            settings={
                "predators": predators, "prey": prey, "obstacles": obstacles, "control": control, "state": state,
            },
        )  # fmt: skip
        super().__init__(spec, world, games, seed, threads, first, duplicate)

    def pay(self, lo: int, hi: int) -> None:
        """Pay for touches."""
        pay(self.records, lo, hi, self.moved, self.world, self.prey, self.rewards, self.outcome)

    def earned(self, record: Array) -> list[str]:
        """By one of the predators, which all earn the same, and by each prey."""
        prey = record["returned"][self.world.agents - self.prey : self.world.agents]
        return [f"{record['returned'][0]:.1f} by each predator", *(f"{each:.1f} by a prey" for each in prey)]

    def see(self, lo: int, hi: int, which: Array) -> None:
        """Everyone sees everything but how predators move, from where it is."""
        look(self.records, lo, hi, which, self.world, self.prey, self.views["seen"])

    def wish(self, lo: int, hi: int) -> None:
        """`chase`: predators go straight for the nearest prey, which runs straight away as far as it may."""
        steer(self.records, lo, hi, self.world, self.prey, self.wishes)
