"""The battles of Skirmish fought in StarCraft II itself, through SMAC's environment, where that is installed.

    velodrome train skirmish-mappo --map starcraft:3m --games 1 --lanes 1

The units' state is read into Skirmish's own records, so that agents see what they would see there, in either layout.
What may be ordered, what a step pays and how a battle ends is what SMAC says. Each game is a process of StarCraft II;
nothing can be saved in mid-play, so a run that is resumed begins its battles anew.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from velodrome.games.game import Array
from velodrome.games.kernel import draw
from velodrome.games.skirmish.game import Skirmish
from velodrome.games.skirmish.rules import CUT, DRAWN, LOST, RUNNING, WON
from velodrome.games.skirmish.units import HEAL
from velodrome.mistake import Mistake

INSTALL = (
    "the real game needs StarCraft II and SMAC from its own repository: pip install "
    "git+https://github.com/oxwhirl/smac (what an index has under the name smac is another package); "
    "skirmish's own maps need neither: --map 3m"
)


class StarcraftGame(Skirmish):
    """See the module's text. `env` is the name of the map."""

    side_by_side: ClassVar[int] = 8
    resumes: ClassVar[bool] = False

    def __init__(self, games: int, seed: int, env: str, **options: Any):
        maker = _maker()
        self.battles = [maker(map_name=env, seed=seed + options.get("first", 0) + number) for number in range(games)]
        self._end = weakref.finalize(self, _close, self.battles)
        super().__init__(games, seed, **{"map": env, **options, "jitter": True})
        for battle in self.battles:
            _refuse_other_sizes(battle, self)
        settings = {"env": env} | {name: self.spec.settings[name] for name in ("observation", "state")}
        self.spec = replace(self.spec, settings=settings)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Begin the next battle where marked."""
        for i in (lo + np.flatnonzero(which[lo:hi])).tolist():
            self.records["starts"][i], _ = draw(self.records["starts"][i])
            self.battles[i].reset()
            record = self.records[i]
            record["last"], record["time"], record["over"], record["earned_so_far"] = -1, 0, RUNNING, 0
            self.rewards[i], self.ended[i], self.cut[i] = 0, False, False
            self._read(i)
        self._look(lo, hi, which)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Give everyone's orders in every battle that goes on."""
        orders = action["order"]
        going = self.records["over"] == RUNNING
        for i in range(lo, hi):
            legal = self.views["legal"][i]
            acting = np.flatnonzero(self.acting[i])
            within = (orders[i, acting] >= 0) & (orders[i, acting] < legal.shape[1])
            if going[i] and not (within.all() and legal[acting, orders[i, acting]].all()):
                return i
        for i in range(lo, hi):
            self.rewards[i] = 0
            if going[i]:
                self._step(i, np.where(self.acting[i], orders[i], 0).tolist())
        self._look(lo, hi, going)
        return -1

    def _step(self, i: int, orders: list[int]) -> None:
        battle, record = self.battles[i], self.records[i]
        reward, over, info = battle.step(orders)
        record["last"][: len(orders)] = orders
        record["time"] += 1
        record["earned_so_far"] += reward
        self.rewards[i] = reward
        won, limit = over and bool(info.get("battle_won")), over and bool(info.get("episode_limit"))
        self.ended[i], self.cut[i], self.outcome[i] = over and (won or not limit), limit and not won, float(won)
        if over:
            left = _left(battle.agents) or _left(battle.enemies)
            record["over"] = WON if won else CUT if limit else LOST if left else DRAWN
        self._read(i)

    def _read(self, i: int) -> None:
        """Copy the units' state into the record."""
        record, battle = self.records[i], self.battles[i]
        for first, units in ((0, battle.agents), (int(self.world.allies), battle.enemies)):
            for number, unit in units.items():
                u = first + number
                record["x"][u], record["y"][u] = unit.pos.x, unit.pos.y
                record["health"][u], record["shield"][u] = unit.health, unit.shield
                record["cooldown"][u] = unit.weapon_cooldown
                record["energy"][u] = unit.energy if self.world.way[u] == HEAL else 0

    def _allow(self, lo: int, hi: int, which: Array) -> None:
        super()._allow(lo, hi, which)
        for i in (lo + np.flatnonzero(which[lo:hi])).tolist():
            self.views["legal"][i] = np.array(self.battles[i].get_avail_actions(), np.bool_)

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Ask a bot, which knows Skirmish's ground; what SMAC does not allow becomes the first thing that it does."""
        super().advise(name, lo, hi, action)
        orders, legal = action["order"][lo:hi], self.views["legal"][lo:hi]
        refused = ~np.take_along_axis(legal, orders[..., None], -1)[..., 0]
        orders[refused] = legal.argmax(-1)[refused]

    def close(self) -> None:
        """End all processes of the game; they end with it in any case."""
        self._end()


def _close(battles: Sequence[Any]) -> None:
    for battle in battles:
        battle.close()


def _left(units: Any) -> bool:
    return any(unit.health > 0 for unit in units.values())


def _maker() -> Any:
    try:
        return import_module("smac.env").StarCraft2Env
    except (ImportError, AttributeError) as error:
        raise Mistake(f"starcraft: {error}; {INSTALL}") from error


def _refuse_other_sizes(battle: Any, game: Skirmish) -> None:
    told, spec = battle.get_env_info(), game.spec
    own = (spec.seats, spec.action[0].n, spec.longest)
    theirs = (told["n_agents"], told["n_actions"], told["episode_limit"])
    if own != theirs:
        raise Mistake(
            f"starcraft:{game.map}: SMAC has {theirs} agents, actions and steps, Skirmish {own}: versions differ"
        )
