"""Skirmish, as a game of Velodrome."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from velodrome.games.game import Action, Array, Choice, Game, Score, Spec, View
from velodrome.games.scene import NOTHING_SAID, Mind, Scene
from velodrome.games.skirmish import bots, play, text, views
from velodrome.games.skirmish.maps import MAPS, World, world_of
from velodrome.games.skirmish.rules import RECORD
from velodrome.games.skirmish.scene import scene_of
from velodrome.mistake import nearest

MOST = 6.0
"""No number that is seen is larger: the farthest unit is five times as far as one can see."""


class Skirmish(Game):
    """A small battle, one agent a unit, against an enemy that marches and attacks whom it meets: the
    micro-management task of SMAC (Samvelyan et al. 2019), with rules of its own for what the engine keeps to itself.

    - `map`: who fights whom; `velodrome.games.skirmish.MAPS` has them all.
    - `observation`: "stock" as in SMAC, "madt" as in the environment of MADT and EVAFormer, or "none" for scripted
      players; always in the view `seen`, with the legal actions in `legal`. "madt" has the step in `time`, the
      rewards so far in `earned` and the last action in `before`, for decision transformers to know.
    - `state`: whether the private view `state` shows the whole map, in the same layout.
    - `jitter`: whether the time between two attacks varies by a few loops, as in the engine. Without it a battle
      follows from its start.

    Every agent gets the same reward: damage done, kills and victory, 20 in all where nothing of the enemy grows again.
    """

    record = RECORD

    def __init__(
        self,
        games: int,
        seed: int,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
        map: str = "3m",
        observation: Literal["stock", "madt", "none"] = "stock",
        state: bool = False,
        jitter: bool = True,
    ):
        if map not in MAPS:
            raise ValueError(f"skirmish: there is no map {map!r}; {nearest(map, MAPS)}")
        if observation not in ("stock", "madt", "none"):
            raise ValueError(f"skirmish: observation={observation!r} is not one of stock, madt, none")
        if state and observation == "none":
            raise ValueError("skirmish: a state comes in the layout of an observation; choose stock or madt")
        self.map, self.world = map, world_of(map, jitter)
        self._madt = observation == "madt"
        settings = {"map": map, "observation": observation, "state": state, "jitter": jitter}
        super().__init__(spec_of(self.world, observation, state, settings), games, seed, threads, first, duplicate)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Put everyone in place where marked."""
        play.deal(self.records, lo, hi, which, self.world, self.rewards, self.ended, self.cut)
        self._look(lo, hi, which)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Play a step of every battle."""
        refused = play.play(
            self.records, lo, hi, action["order"], self.world, self.rewards, self.ended, self.cut, self.outcome
        )
        self.look(lo, hi)
        return int(refused)

    def look(self, lo: int, hi: int) -> None:
        """Write what every agent sees."""
        self._look(lo, hi, self.everyone)

    def _look(self, lo: int, hi: int, which: Array) -> None:
        self._allow(lo, hi, which)
        seen, where = self.views, (self.records, lo, hi, which, self.world)
        if "seen" in seen and self._madt:
            views.look_madt(*where, seen["legal"], seen["seen"])
            views.look_course(*where, seen["time"], seen["earned"], seen["before"])
        elif "seen" in seen:
            views.look_stock(*where, seen["legal"], seen["seen"])
        if "state" in seen and self._madt:
            views.look_madt_state(*where, seen["legal"], seen["state"])
        elif "state" in seen:
            views.look_stock_state(*where, seen["state"])

    def _allow(self, lo: int, hi: int, which: Array) -> None:
        """Write who acts, and which orders may be given."""
        views.look(self.records, lo, hi, which, self.world, self.seat, self.acting, self.views["legal"])

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Ask a bot."""
        bots.advise(bots.BOTS.index(name), self.records, lo, hi, self.world, action["order"])

    def describe(self, game: int) -> str:
        """The map, and everyone alive."""
        return text.describe(self.records[game], self.map, self.world)

    def describe_action(self, action: Action, game: int, row: int) -> str:
        """The order."""
        return text.action_name(self.world, row, int(action["order"][game, row]))

    def scene(self, game: int, mind: Mind = NOTHING_SAID) -> Scene:
        """The map, everyone alive, and what allies have in mind."""
        return scene_of(self.records[game], self.map, self.world, mind)


def spec_of(world: World, observation: str, state: bool, settings: dict[str, Any]) -> Spec:
    """The declaration of a game on this map."""
    actions, agents = views.actions_of(world), int(world.allies)
    legal = View((actions,), np.bool_, 0, 1, "which orders may be given")
    seen: dict[str, View] = {"legal": legal}
    if observation != "none":
        size, whole = views.madt_sizes(world) if observation == "madt" else views.stock_sizes(world)
        seen["seen"] = View((size,), np.float32, -MOST, MOST, "what is near enough to be seen")
        if observation == "madt":
            seen["time"] = View((), np.int64, 0, int(world.limit), "steps so far")
            seen["earned"] = View((), np.float32, 0, np.inf, "the rewards so far")
            seen["before"] = View((), np.int64, 0, actions - 1, "the last action; 0 before the first")
        if state:
            seen["state"] = View((whole,), np.float32, -MOST, MOST, "the whole map", private=True)
    return Spec(
        name="skirmish",
        seats=agents,
        deciders=agents,
        views=seen,
        action=(Choice("order", actions, mask="legal"),),
        score=Score("win rate", "higher"),
        longest=int(world.limit),
        bots=bots.BOTS,
        settings=settings,
        together=True,
    )
