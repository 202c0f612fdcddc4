"""What there is in Arena: its measures, the kinds of enemies, and the record of one game.

Lengths are units, times frames of a sixtieth of a second. Everything besides the ship is an object with a number:
enemies first, then boxes, then portals.
"""

from __future__ import annotations

import numpy as np

SECOND = 60
WIDTH, HEIGHT = 6400.0, 4000.0
OUTSIDE = 300.0
"""How far beyond the edges a ship can go."""
SCREEN_X, SCREEN_Y = 2000.0, 1125.0
"""What the screen shows, the ship in its middle: all that can be seen and pointed at."""
ACROSS, DOWN = 4, 4
"""Cells of the map, by which visits are counted."""

ENEMIES, BOXES, PORTALS = 20, 16, 4
FIRST_BOX, FIRST_PORTAL = ENEMIES, ENEMIES + BOXES
OBJECTS = ENEMIES + BOXES + PORTALS
FIRST_HUNTER = 18
"""The last two enemies are hunters, if they are there at all."""
FEWEST_ENEMIES, FEWEST_BOXES, FEWEST_PORTALS = 10, 10, 2

SCOUT, RAIDER, GUARD, HULK, HUNTER = range(5)
KINDS = ("scout", "raider", "guard", "hulk", "hunter")
FREQUENT = np.array([0.35, 0.65, 0.87, 1.0])
"""Up to which chance an enemy is of each kind, hunters apart."""
ENEMY_HULL = np.array([800.0, 2000.0, 6000.0, 20000.0, 12000.0])
ENEMY_SHIELD = np.array([400.0, 2000.0, 3000.0, 10000.0, 12000.0])
ENEMY_DAMAGE = np.array([100.0, 250.0, 500.0, 900.0, 1000.0])
ENEMY_SPEED = np.array([280.0, 300.0, 260.0, 125.0, 330.0])
ENEMY_REACH = np.array([450.0, 450.0, 450.0, 450.0, 600.0])
ENEMY_HOLDS = np.array([300.0, 300.0, 300.0, 300.0, 400.0])
"""How far from the ship each kind keeps when it attacks."""
CREDITS = np.array([400.0, 800.0, 1600.0, 6400.0, 12800.0])
AGGRESSIVE = 0.5
"""The share of enemies that attack unprovoked; hunters all do."""

RADIUS = np.array([30.0, 40.0, 50.0, 70.0, 45.0])
BOX_RADIUS, PORTAL_RADIUS = 20.0, 100.0

HULL, SHIELD = 10000.0, 10000.0
SPEED = 320.0
STEP = SPEED / SECOND
REACH, DAMAGE = 700.0, 1000.0
BLAST, BLAST_WAITS = 3000.0, 8 * SECOND
"""The damage of the ability, and the frames until it can be used again."""
SAFE = 300.0
"""Whoever is so near a portal neither fires nor is fired at."""

RUNNING, ENDED, CUT = range(3)
NOTHING = -1
LONG_AGO = -1000000

RECORD = np.dtype(
    [
        # the ship
        ("ship_x", np.float64),
        ("ship_y", np.float64),
        ("ship_vx", np.float64),  # units a frame
        ("ship_vy", np.float64),
        ("to_x", np.float64),  # where it goes
        ("to_y", np.float64),
        ("left", np.int32),  # frames until it is there
        ("hull", np.float64),
        ("shield", np.float64),
        ("hull_before", np.float64),  # at the last decision
        ("shield_before", np.float64),
        ("locked", np.int16),  # the enemy that it fires at
        ("wanted", np.int16),  # the box or portal that it goes to
        ("ready", np.int32),  # when it can fire again
        ("blast_ready", np.int32),  # when the ability can be used again
        ("attacking", np.int32),  # frames for which it has been firing
        ("calm", np.int32),  # frames since it last fired or was hit
        ("unhurt", np.int32),  # frames since it was hit
        ("idle", np.int32),  # frames since it moved
        ("charged", np.int32),  # frames for which it has waited at a portal to jump
        ("safe", np.int8),
        # objects
        ("x", np.float64, OBJECTS),
        ("y", np.float64, OBJECTS),
        ("vx", np.float64, OBJECTS),  # units a frame
        ("vy", np.float64, OBJECTS),
        ("there", np.uint8, OBJECTS),
        # what has been seen of them
        ("seen_x", np.float64, OBJECTS),
        ("seen_y", np.float64, OBJECTS),
        ("first", np.int32, OBJECTS),  # the frame in which it came into view
        ("last", np.int32, OBJECTS),  # the last frame in which it was in view
        ("hits", np.int32, OBJECTS),  # frames in view
        # enemies
        ("kind", np.int8, ENEMIES),
        ("enemy_hull", np.float64, ENEMIES),
        ("enemy_shield", np.float64, ENEMIES),
        ("goal_x", np.float64, ENEMIES),
        ("goal_y", np.float64, ENEMIES),
        ("enemy_left", np.int32, ENEMIES),  # frames until it is there
        ("enemy_ready", np.int32, ENEMIES),  # when it can fire again
        ("enemy_hit", np.int32, ENEMIES),  # when it was last hit
        ("comes", np.int32, ENEMIES),  # when the next takes the place of one that is gone
        ("aggressive", np.uint8, ENEMIES),
        ("chasing", np.uint8, ENEMIES),
        # the course of the game
        ("visits", np.int16, ACROSS * DOWN),
        ("cell", np.int8),  # where the ship is
        ("kills", np.int16),
        ("boxes", np.int16),
        ("earned", np.float64),  # in this step
        ("returned", np.float64),
        ("time", np.int32),
        ("over", np.int8),
        # random states
        ("starts", np.uint64),
        ("luck", np.uint64),
    ],
    align=True,
)
