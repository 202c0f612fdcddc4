"""The rules of Platoon, on one game's record: vehicles in a line, each behind the next, the first behind a leader.

A vehicle does not steer itself: it chooses how much its controller heeds the gap, and how much the speed of who is
ahead. Everyone moves at once, from how things stood.
"""

from __future__ import annotations

import math

import numpy as np

from velodrome.games.kernel import draw, rule, uniform

MOST = 32
STEP = 0.1
"""Seconds."""
LONGEST, BLOCK = 600, 60
"""Steps of a game; after a crash it goes on, standing, to the end of a block of steps."""
GAP, SPEED = 20.0, 15.0
"""What everyone is to keep."""
STRONGEST, FASTEST = 2.5, 30.0
STANDING, OPEN = 5.0, 35.0
"""Gaps at which a controller wants to stand, and to go as fast as can be."""
CRASH, TOO_CLOSE = 1.0, 10.0
CRASHED = -1000.0
BRAKING = 300
"""Steps in which the leader slows down."""
HEED = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]])
"""By action: how much the gap counts, and how much the speed of who is ahead."""
RUNNING, ENDED, CUT = range(3)
CATCH_UP, SLOW_DOWN = range(2)

RECORD = np.dtype(
    [
        ("gap", np.float64, MOST),  # to who is ahead
        ("speed", np.float64, MOST),
        ("force", np.float64, MOST),  # what the last step's acceleration came to
        ("first_speed", np.float64),  # of the leader, when the game began
        ("returned", np.float64),  # of all vehicles together, without what warns of crashes
        ("time", np.int16),
        ("crashed", np.int16),  # the step that somebody crashed in, or 0
        ("over", np.int8),
        # random states
        ("starts", np.uint64),
        ("luck", np.uint64),
    ],
    align=True,
)


@rule
def begin(game, n, scenario):  # type: ignore[no-untyped-def]
    """Everyone in line; one gap is wide, or all are too fast."""
    game.starts, bits = draw(game.starts)
    more = 1.5 + uniform(bits)
    for i in range(n):
        game.gap[i], game.speed[i], game.force[i] = GAP, SPEED, 0.0
        if scenario == SLOW_DOWN:
            game.speed[i] = SPEED * more
    if scenario == CATCH_UP:
        game.gap[0] = GAP * more
    game.first_speed = SPEED * more if scenario == SLOW_DOWN else SPEED
    game.returned = 0.0
    game.time, game.crashed, game.over = 0, 0, RUNNING


@rule
def leader_speed(game, time):  # type: ignore[no-untyped-def]
    """How fast the leader goes after so many steps."""
    return game.first_speed + (SPEED - game.first_speed) * min(time / BRAKING, 1.0)


@rule
def speed_for(gap):  # type: ignore[no-untyped-def]
    """The speed that a controller wants at that gap."""
    if gap <= STANDING:
        return 0.0
    if gap >= OPEN:
        return FASTEST
    return 0.5 * FASTEST * (1 - math.cos(math.pi * (gap - STANDING) / (OPEN - STANDING)))


@rule
def ahead(game, i, time):  # type: ignore[no-untyped-def]
    """The speed of who is ahead."""
    return game.speed[i - 1] if i > 0 else leader_speed(game, time)


@rule
def drive(game, n, actions):  # type: ignore[no-untyped-def]
    """Move everyone by a step; says whether somebody has crashed."""
    lead, lead_then, least = leader_speed(game, game.time), leader_speed(game, game.time + 1), 1e9
    for i in range(n):
        speed, gap_part, speed_part = game.speed[i], HEED[actions[i], 0], HEED[actions[i], 1]
        wanted = gap_part * (speed_for(game.gap[i]) - speed) + speed_part * (lead - speed)
        then = min(max(speed + min(max(wanted, -STRONGEST), STRONGEST) * STEP, 0.0), FASTEST)
        game.gap[i] += 0.5 * STEP * (lead + lead_then - speed - then)
        game.force[i], game.speed[i] = (then - speed) / STEP, then
        lead, lead_then, least = speed, then, min(least, game.gap[i])
    return least < CRASH


@rule
def worth(game, i):  # type: ignore[no-untyped-def]
    """What a vehicle earns for how it goes."""
    away, off, force = game.gap[i] - GAP, game.speed[i] - SPEED, game.force[i]
    return -away * away - off * off - 0.1 * force * force


@rule
def play_step(game, n, actions, warn, rewards):  # type: ignore[no-untyped-def]
    """Play a step and write what everyone earns; `warn` takes something off for gaps that are too small."""
    crashes = not game.crashed and drive(game, n, actions)
    game.time += 1
    if crashes:
        game.crashed = game.time
    for i in range(n):
        earned = CRASHED if game.crashed else worth(game, i)
        game.returned += earned
        close = min(game.gap[i] - TOO_CLOSE, 0.0)
        rewards[i] = earned - (5 * close * close if warn and not game.crashed else 0.0)
    if game.time >= LONGEST:
        game.over = ENDED if game.crashed else CUT
    elif game.crashed and game.time % BLOCK == 0:
        game.over = ENDED


@rule
def see(game, i, out):  # type: ignore[no-untyped-def]
    """What a vehicle knows of itself and of who is ahead."""
    now = game.crashed if game.crashed else game.time  # after a crash everything stands
    gap, speed, lead = game.gap[i], game.speed[i], ahead(game, i, now)
    out[0] = (speed - SPEED) / SPEED
    out[1] = min(max((lead - speed) / 5, -2.0), 2.0)
    out[2] = min(max((speed_for(gap) - speed) / 5, -2.0), 2.0)
    out[3] = (gap + (lead - speed) * STEP - GAP) / GAP
    out[4] = game.force[i] / STRONGEST
