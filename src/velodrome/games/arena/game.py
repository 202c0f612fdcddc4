"""Arena, as a game of Velodrome."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from velodrome.games.arena import bots, picture, play
from velodrome.games.arena.scene import scene_of
from velodrome.games.arena.teacher import MODES, decide
from velodrome.games.arena.views import CONTEXT, OBJECT, PLAYER
from velodrome.games.arena.world import FIRST_BOX, FIRST_PORTAL, KINDS, NOTHING, OBJECTS, RECORD, SECOND
from velodrome.games.game import Action, Array, Bits, Box, Game, Score, Spec, View
from velodrome.games.scene import NOTHING_SAID, Mind, Scene

MINUTE = 60 * SECOND
RANDOM_RETURN, TEACHER_RETURN = -10.46, 38.9
"""What random play and the teacher earn in a game of a minute: `python benchmarks/arena_bots.py`."""


class Arena(Game):
    """A ship in real time, moved by clicks: it fires at the enemy it has locked, takes boxes, flees to portals.

    - `frames`: sixtieths of a second for which a decision is good; a click counts in the first of them.
    - `longest`: frames after which a game is cut off.
    - `objects`: how many are shown, nearest first: 8 or 16, or any number from 1 to 40.
    - `marks`: whether the view `marks` shows which of them the ship has locked or goes for, as the screen does.
    - `picture`: whether the view `picture` shows the screen, too.

    A decision is where on the screen to point, whether to click there, and whether to use the ability, a heavy volley.
    Damage done, kills and boxes earn something, damage taken and the ship's end cost something. The score is what was
    earned, on a scale on which random play has 0 and the scripted teacher 1; it is right for games of a minute.

    The private views `mode` and `target` say what the teacher would be after: fight 0, loot 1, flee 2, explore 3,
    cautious 4; and the place among `objects` of what that is about, or the number of places if it is about none.
    """

    record = RECORD
    luck_apart = 0x4152454E

    def __init__(
        self,
        games: int,
        seed: int,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
        frames: int = 1,
        longest: int = MINUTE,
        objects: int = 16,
        marks: bool = False,
        picture: bool = False,
    ):
        if frames < 1:
            raise ValueError(f"arena: frames={frames}: a decision is good for at least one")
        if longest < 1:
            raise ValueError(f"arena: longest={longest}: a game has at least one frame")
        if not 1 <= objects <= OBJECTS:
            raise ValueError(f"arena: objects={objects}; it takes from 1 to {OBJECTS}")
        self.frames, self.longest = frames, longest
        self.scale = np.array([RANDOM_RETURN, TEACHER_RETURN]) * longest / MINUTE
        settings = {"frames": frames, "longest": longest, "objects": objects, "marks": marks, "picture": picture}
        self._no_marks = np.zeros((games, 1, 0), np.bool_)
        super().__init__(spec_of(settings), games, seed, threads, first, duplicate)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Put everything in place where marked."""
        play.deal(self.records, lo, hi, which, self.rewards, self.ended, self.cut)
        self._look(lo, hi, which)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Play a decision of every game."""
        refused = play.play(
            self.records, lo, hi, action["pointer"], action["keys"], self.frames, self.longest, self.scale,
            self.rewards, self.ended, self.cut, self.outcome,
        )  # fmt: skip
        self.look(lo, hi)
        return int(refused)

    def look(self, lo: int, hi: int) -> None:
        """Write what the player is told."""
        self._look(lo, hi, self.everyone)

    def _look(self, lo: int, hi: int, which: Array) -> None:
        views = self.views
        play.look(
            self.records, lo, hi, which, views["player"], views["objects"], views["mask"], views["context"],
            views.get("marks", self._no_marks), views["mode"], views["target"],
        )  # fmt: skip
        if "picture" in views:
            picture.draw_all(self.records, lo, hi, which, views["picture"])

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Ask a bot."""
        bots.advise(bots.BOTS.index(name), self.records, lo, hi, action["pointer"], action["keys"])

    def describe(self, game: int) -> str:
        """Once a second: the ship, what is in view, and what the teacher would be after."""
        record = self.records[game]
        if record["time"] % SECOND and not record["over"]:
            return ""
        ship = (
            f"ship at {record['ship_x']:.0f} {record['ship_y']:.0f}, hull {record['hull']:.0f}, "
            f"shield {record['shield']:.0f}, {record['kills']} kills, {record['boxes']} boxes"
        )
        seen = [told(record, i) for i in np.flatnonzero(record["last"] == record["time"]).tolist()]
        mode, target = decide(record)
        about = f" {told(record, target)}" if target != NOTHING else ""
        return f"second {record['time'] / SECOND:g}: {ship}\n  in view: {', '.join(seen)}\n  {MODES[mode]}{about}"

    def describe_action(self, action: Action, game: int, row: int) -> str:
        """A click and where, the ability, or nothing."""
        (x, y), (clicks, ability) = action["pointer"][game, row], action["keys"][game, row]
        does = [f"click {x:.2f} {y:.2f}"] * bool(clicks) + ["ability"] * bool(ability)
        return ", ".join(does) or "nothing"

    def scene(self, game: int, mind: Mind = NOTHING_SAID) -> Scene:
        """The map, what of it is on the screen, and what the player has in mind."""
        return scene_of(self.records[game], self.frames, len(self.views["mask"][game, 0]), mind)


def told(record: Any, i: int) -> str:
    """An object, where it is, and what is left of an enemy."""
    place = f"{record['x'][i]:.0f} {record['y'][i]:.0f}"
    if i >= FIRST_BOX:
        return f"{'box' if i < FIRST_PORTAL else 'portal'} at {place}"
    left = record["enemy_hull"][i] + record["enemy_shield"][i]
    return f"{'chasing ' if record['chasing'][i] else ''}{KINDS[record['kind'][i]]} at {place} with {left:.0f} left"


def spec_of(settings: dict[str, Any]) -> Spec:
    """The declaration of a game with these settings."""
    objects = int(settings["objects"])
    views = {
        "player": View((PLAYER,), low=-10, high=10, says="the ship"),
        "objects": View((objects, OBJECT), low=-6, high=6, says="what is in view, nearest first"),
        "mask": View((objects,), np.bool_, 0, 1, "which of these places hold an object"),
        "context": View((CONTEXT,), low=0, high=1, says="enemies, boxes and edges that are near"),
        "mode": View((), np.int64, 0, len(MODES) - 1, "the mode that the teacher would be in", private=True),
        "target": View((), np.int64, 0, objects, "the object that the teacher would be after", private=True),
    }
    if settings["marks"]:
        views["marks"] = View((objects,), np.bool_, 0, 1, "which of these the ship has locked or goes for")
    if settings["picture"]:
        views["picture"] = View((picture.SIDE, picture.SIDE, 3), np.uint8, 0, 255, "the screen")
    return Spec(
        "arena", 1, 1, views, (Box("pointer", 2, 0, 1), Bits("keys", 2)), Score("score", "higher"),
        math.ceil(settings["longest"] / settings["frames"]), bots.BOTS, settings=settings,
    )  # fmt: skip
