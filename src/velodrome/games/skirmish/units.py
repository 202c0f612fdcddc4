"""What each kind of unit can do, in seconds and cells.

A second has 16 game loops, and a cell is the unit of length. Weapons reach from edge to edge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LOOPS_PER_SECOND = 16
SHOT, HEAL, BURST, LANCE = range(4)
"""How a unit acts on its target: hits it, heals it, blows itself up beside it, or burns what stands beside it, too."""
LIGHT, ARMOURED, BIOLOGICAL, MECHANICAL = 1, 2, 4, 8
TERRAN, PROTOSS, ZERG = "terran", "protoss", "zerg"


@dataclass(frozen=True)
class Kind:
    """One kind of unit."""

    name: str
    letter: str
    """By which a drawn map shows it."""
    race: str
    health: float
    radius: float
    speed: float
    """Cells a second."""
    reach: float
    cooldown: float = 0.0
    """Seconds from one attack to the next."""
    damage: float = 0.0
    """Of each hit."""
    bonus: float = 0.0
    """More damage to those with the attribute `bonus_to`."""
    bonus_to: int = 0
    hits: int = 1
    """Of one attack; armour takes its part of each."""
    shield: float = 0.0
    armour: float = 0.0
    attributes: int = LIGHT | BIOLOGICAL
    way: int = SHOT
    flies: bool = False
    hits_air: bool = False
    body: float | None = None
    """The radius that keeps others away; `radius` if None."""
    shown: float = 1.0
    """The cooldown in loops (for a healer, the energy) that observations show as 1."""


_KINDS = (
    Kind("marine", "m", TERRAN, 45, 0.375, 2.25, 5, 0.861, 6, hits_air=True, shown=15),
    Kind(
        "marauder", "r", TERRAN, 125, 0.5625, 2.25, 6, 1.5, 10, 10, ARMOURED, armour=1,
        attributes=ARMOURED | BIOLOGICAL, shown=25,
    ),
    Kind(
        "medivac", "v", TERRAN, 150, 0.75, 2.5, 4, armour=1, attributes=ARMOURED | MECHANICAL, way=HEAL, flies=True,
        shown=200,
    ),
    Kind(
        "stalker", "s", PROTOSS, 80, 0.625, 2.953, 6, 1.87, 13, 5, ARMOURED, shield=80, armour=1,
        attributes=ARMOURED | MECHANICAL, hits_air=True, shown=35,
    ),
    Kind("zealot", "z", PROTOSS, 100, 0.5, 2.25, 0.1, 1.2, 8, hits=2, shield=50, armour=1, body=0.375, shown=22),
    Kind(
        "colossus", "c", PROTOSS, 200, 1.0, 2.25, 7, 1.5, 10, 5, LIGHT, hits=2, shield=150, armour=1,
        attributes=ARMOURED | MECHANICAL, way=LANCE, shown=24,
    ),
    Kind("zergling", "g", ZERG, 35, 0.375, 2.953, 0.1, 0.696, 5, shown=11),
    Kind("baneling", "b", ZERG, 30, 0.375, 2.5, 0.25, 0, 20, 15, LIGHT, attributes=BIOLOGICAL, way=BURST),
    Kind("hydralisk", "h", ZERG, 90, 0.625, 2.25, 5, 0.825, 12, hits_air=True, shown=10),
)  # fmt: skip
KINDS = {kind.name: kind for kind in _KINDS}
ALLIED = KINDS | {
    "medivac": replace(KINDS["medivac"], speed=2.75),
    "hydralisk": replace(KINDS["hydralisk"], health=80),
}
"""The kinds as the learner's side has them: two differ from those of the enemy."""

BURST_RADIUS = 2.2
LANCE_HALF = 1.4
"""How far to each side of its target, across the line of fire, a lance burns."""
LANCE_DEPTH = 0.15
SCAN, SCAN_MORE = 5.0, 0.5
"""How far the enemy looks for targets: so far, or as far as it can shoot, and a little more."""
HEAL_PER_LOOP, ENERGY_PER_HEALTH = 9 / LOOPS_PER_SECOND, 1 / 3
ENERGY_AT_FIRST, ENERGY_MOST, ENERGY_PER_LOOP = 50.0, 200.0, 0.5625 / LOOPS_PER_SECOND
SHIELD_PER_LOOP, SHIELD_WAITS = 2 / LOOPS_PER_SECOND, 10 * LOOPS_PER_SECOND
"""Shields grow again after so many loops without damage."""
ZERG_PER_LOOP = 0.2734 / LOOPS_PER_SECOND
LEAST_DAMAGE = 0.5
"""Armour leaves that much of every hit."""
