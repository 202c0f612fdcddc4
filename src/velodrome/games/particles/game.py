"""What games of particles share, as games of Velodrome."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from velodrome.games.game import Array, Choice, Game, Part, Simplex, Spec, View
from velodrome.games.particles import play
from velodrome.games.particles.physics import MOST, World, record_for
from velodrome.games.particles.scene import scene_of
from velodrome.games.scene import NOTHING_SAID, Mind, Scene

Control = Literal["shares", "choice"]
KINDS = ("predator", "prey")
"""By role, where agents have one."""
COLOURS = {"agent": "own", "predator": "own", "prey": "second"}


def push(control: Control) -> Part:
    """How agents push: shares of nothing, east, west, north and south, or one of these."""
    if control not in ("shares", "choice"):
        raise ValueError(f"control={control!r} is not one of shares, choice")
    return Simplex("push", 5) if control == "shares" else Choice("push", 5)


def counted(name: str, what: str, n: int, least: int = 1) -> int:
    """So many of something, if a game can have them."""
    if not least <= n <= MOST:
        raise ValueError(f"{name}: {what}={n}; it takes from {least} to {MOST}")
    return n


def whole(agents: int, marks: int) -> View:
    """The view of everything, for training."""
    return View((4 * agents + 2 * marks,), says="everyone's speed and place, the landmarks", private=True)


class Particles(Game):
    """Agents among landmarks on a plane. A game of them says how they are moved, and what is seen."""

    luck_apart = 0x50415254
    reach: ClassVar[float] = 1.0
    """How far out landmarks may stand."""

    def __init__(self, spec: Spec, world: World, games: int, seed: int, threads: int, first: int, duplicate: bool):
        self.world, self.record = world, record_for(max(int(world.agents), int(world.marks)))
        super().__init__(spec, games, seed, threads, first, duplicate)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Put everyone somewhere where marked."""
        play.deal(self.records, lo, hi, which, self.world, self.reach, self.rewards, self.ended, self.cut)
        self._look(lo, hi, which)

    def look(self, lo: int, hi: int) -> None:
        """Write what every agent sees."""
        self._look(lo, hi, self.everyone)

    def _look(self, lo: int, hi: int, which: Array) -> None:
        self.see(lo, hi, which)
        if "state" in self.views:
            play.look_at_all(self.records, lo, hi, which, self.world, self.views["state"])

    def describe(self, game: int) -> str:
        """Where everyone and every landmark is."""
        record = self.records[game]

        def places(x: str, y: str, n: int) -> str:
            return ", ".join(f"{record[x][i] + 0:.2f} {record[y][i] + 0:.2f}" for i in range(n))

        agents, marks = places("x", "y", self.world.agents), places("mark_x", "mark_y", self.world.marks)
        return f"time {record['time']}: agents at {agents}; landmarks at {marks}"

    def scene(self, game: int, mind: Mind = NOTHING_SAID) -> Scene:
        """Agents, landmarks, and where agents want to be."""
        record, spec = self.records[game], self.spec
        kinds = [KINDS[role] for role in spec.roles] or ["agent"] * spec.seats
        names = [f"{kind} {agent}" for agent, kind in enumerate(kinds)]
        says = f"step {record['time']} of {spec.longest}: earned {', '.join(self.earned(record))}"
        return scene_of(record, self.world, says, names, [COLOURS[kind] for kind in kinds], mind)

    def earned(self, record: Array) -> list[str]:
        """What agents have earned so far, in words: all together."""
        return [f"{record['returned'].sum():.1f} together"]

    def see(self, lo: int, hi: int, which: Array) -> None:
        """Write the view `seen` of the marked games."""
        raise NotImplementedError


class Pushing(Particles):
    """Agents that push themselves about. A game of them says what it pays, and where its bot would go."""

    def __init__(self, spec: Spec, world: World, games: int, seed: int, threads: int, first: int, duplicate: bool):
        self.moved = np.zeros(games, np.bool_)
        self.wishes = np.zeros((games, spec.seats, 2))
        self.shared = isinstance(spec.action[0], Simplex)
        super().__init__(spec, world, games, seed, threads, first, duplicate)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Play a step of every game."""
        form = play.move_by_shares if self.shared else play.move_by_choices
        where, longest = (self.records, lo, hi, action["push"], self.world), self.spec.longest
        refused = int(form(*where, longest, self.moved, self.rewards, self.cut))
        self.pay(lo, hi)
        self.look(lo, hi)
        return refused

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Ask a bot: `random`, `idle`, or the game's own."""
        if name == "random":
            if self.shared:
                play.draw_shares(self.records, lo, hi, action["push"])
            else:
                play.draw_choices(self.records, lo, hi, 5, action["push"])
            return
        self.wishes[lo:hi] = 0
        if name != "idle":
            self.wish(lo, hi)
        form = play.wish_shares if self.shared else play.wish_choices
        form(self.records, lo, hi, self.wishes, action["push"])

    def pay(self, lo: int, hi: int) -> None:
        """Write rewards and outcomes of the games that have `moved`."""
        raise NotImplementedError

    def wish(self, lo: int, hi: int) -> None:
        """Write into `wishes` in which direction, and how hard, the game's own bot would push."""
        raise NotImplementedError
