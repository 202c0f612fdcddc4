"""Coverage, as a game of Velodrome."""

from __future__ import annotations

from typing import Literal

import numpy as np

from velodrome.games.coverage.rules import (
    CUT,
    MOST,
    MOST_TARGETS,
    RECORD,
    RUNNING,
    bearing,
    begin,
    play_step,
    see,
    see_others,
    visible,
)
from velodrome.games.coverage.scene import scene_of
from velodrome.games.game import Array, Bits, Game, Score, Spec, View
from velodrome.games.kernel import draw, kernel, rule
from velodrome.games.scene import NOTHING_SAID, Mind, Scene

RANDOM, NONE, ALL, VISIBLE, NEAREST = range(5)
BOTS = ("random", "none", "all", "visible", "nearest")
"""What each sensor tracks; `nearest`: of those that it knows, the one that it has to turn for least."""
AXES = ("own", "world")


@kernel
def deal(games, lo, hi, which, sensors, targets, walkers, rewards, ended, cut):  # type: ignore[no-untyped-def]
    """Start the next of the marked games."""
    for i in range(lo, hi):
        if which[i]:
            begin(games[i], sensors, targets, walkers)
            rewards[i, :] = 0
            ended[i] = cut[i] = False


@kernel
def play(games, lo, hi, tracks, sensors, targets, longest, rewards, cut, outcome):  # type: ignore[no-untyped-def]
    """Play a decision of every game that goes on. Returns the first that refused, or -1."""
    refused = -1
    for i in range(lo, hi):
        game, legal = games[i], True
        rewards[i, :] = 0
        if game.over != RUNNING:
            continue
        for sensor in range(sensors):
            for j in range(targets):
                legal &= 0 <= tracks[i, sensor, j] <= 1
        if not legal:
            refused = i if refused < 0 else refused
            continue
        rewards[i, :] = play_step(game, sensors, targets, tracks[i], longest)
        cut[i] = game.over == CUT
        outcome[i, :] = game.returned / game.time
    return refused


@kernel
def look(games, lo, hi, which, sensors, targets, from_here, seen, others):  # type: ignore[no-untyped-def]
    """Write what every sensor knows."""
    for i in range(lo, hi):
        if which[i]:
            for sensor in range(sensors):
                see(games[i], sensors, targets, sensor, seen[i, sensor])
                see_others(games[i], sensors, sensor, from_here, others[i, sensor])


@rule
def track(game, sensors, targets, sensor, bot, out):  # type: ignore[no-untyped-def]
    """What a bot has a sensor track."""
    best, least = -1, 1e9
    for j in range(targets):
        out[j] = bot == ALL or (bot >= VISIBLE and visible(game, sensors - 1, sensor, j))
        if bot == RANDOM:
            game.luck, bits = draw(game.luck)
            out[j] = np.int64(bits & np.uint64(1))
        if bot == NEAREST and out[j]:
            off = abs(bearing(game, sensor, game.target_x[j], game.target_y[j]))
            if off < least:
                best, least = j, off
            out[j] = 0
    if best >= 0:
        out[best] = 1


@kernel
def advise(bot, games, lo, hi, sensors, targets, tracks):  # type: ignore[no-untyped-def]
    """Write what a bot would track."""
    for i in range(lo, hi):
        for sensor in range(sensors):
            track(games[i], sensors, targets, sensor, bot, tracks[i, sensor])


class Coverage(Game):
    """Sensors turn to keep walking targets in view (multi-sensor multi-target coverage, Xu et al. 2020).

    - `sensors`, `targets`: how many. The first ten sensors have places of their own; more stand on a ring around.
    - `walkers`: the share of targets that walk by chance; the others have goals.
    - `longest`: decisions of a game.
    - `axes`: along which it is told where others stand: as one looks oneself ("own"), or as published the world's
      ("world"). Targets are told as one looks, and where that is nobody knows: by the world's axes, no sensor can tell
      what others look at.

    A sensor knows of every target that is near and not behind an obstacle, wherever it looks, but has in view only what
    it looks at, through obstacles, too. The score is the share of targets in view, in the mean.
    """

    record = RECORD
    luck_apart = 0x434F5645

    def __init__(
        self,
        games: int,
        seed: int,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
        sensors: int = 4,
        targets: int = 5,
        walkers: float = 0.3,
        longest: int = 100,
        axes: Literal["own", "world"] = "own",
    ):
        if not 2 <= sensors <= MOST:
            raise ValueError(f"coverage: sensors={sensors}; it takes from 2 to {MOST}")
        if not 1 <= targets <= MOST_TARGETS:
            raise ValueError(f"coverage: targets={targets}; it takes from 1 to {MOST_TARGETS}")
        if not 0 <= walkers <= 1:
            raise ValueError(f"coverage: walkers={walkers:g} is a share, from 0 to 1")
        if longest < 1:
            raise ValueError(f"coverage: longest={longest}: a game has at least one decision")
        if axes not in AXES:
            raise ValueError(f"coverage: axes={axes!r} is not one of {', '.join(AXES)}")
        self.targets, self.walkers, self.from_here = targets, walkers, axes == "own"
        views = {
            "seen": View(
                (targets + sensors - 1, 4), low=-1, high=1, says="targets that are known, then obstacles that are near"
            ),
            "others": View((sensors, 4), low=-2, high=2, says="where the other sensors stand and look"),
        }
        spec = Spec(
            "coverage", sensors, sensors, views, (Bits("track", targets),), Score("coverage", "higher"), longest, BOTS,
            settings={
                "sensors": sensors, "targets": targets, "walkers": walkers, "longest": longest, "axes": axes,
            },
            together=True,
        )  # fmt: skip
        super().__init__(spec, games, seed, threads, first, duplicate)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Put everything in place where marked."""
        sizes = (self.spec.seats, self.targets)
        deal(self.records, lo, hi, which, *sizes, self.walkers, self.rewards, self.ended, self.cut)
        look(self.records, lo, hi, which, *sizes, self.from_here, self.views["seen"], self.views["others"])

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Play a decision of every game."""
        sizes = (self.spec.seats, self.targets)
        refused = play(
            self.records, lo, hi, action["track"], *sizes, self.spec.longest, self.rewards, self.cut, self.outcome
        )
        self.look(lo, hi)
        return int(refused)

    def look(self, lo: int, hi: int) -> None:
        """Write what every sensor knows."""
        sizes = (self.spec.seats, self.targets)
        look(self.records, lo, hi, self.everyone, *sizes, self.from_here, self.views["seen"], self.views["others"])

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Ask a bot."""
        advise(BOTS.index(name), self.records, lo, hi, self.spec.seats, self.targets, action["track"])

    def describe(self, game: int) -> str:
        """Where sensors stand and look, and where targets are."""
        record, n = self.records[game], self.spec.seats
        sensors = ", ".join(
            f"{record['x'][i]:.0f} {record['y'][i]:.0f} looking {record['heading'][i]:.0f}" for i in range(n)
        )
        targets = ", ".join(f"{record['target_x'][j]:.0f} {record['target_y'][j]:.0f}" for j in range(self.targets))
        return f"time {record['time']}: sensors at {sensors}; targets at {targets}"

    def scene(self, game: int, mind: Mind = NOTHING_SAID) -> Scene:
        """Sensors, targets, and what sensors have in mind."""
        return scene_of(self.records[game], self.spec.seats, self.targets, self.spec.longest, mind)
