"""Scripted players of Arena."""

from __future__ import annotations

from velodrome.games.arena.pilot import go_for, least_visited, nearest, nearest_portal, steer
from velodrome.games.arena.rules import between
from velodrome.games.arena.teacher import act, decide, uses_ability
from velodrome.games.arena.world import FIRST_BOX, FIRST_PORTAL, NOTHING, RUNNING
from velodrome.games.kernel import draw, kernel, rule

RANDOM, FLEE, LOOT, TEACHER = range(4)
BOTS = ("random", "flee", "loot", "teacher")
"""`flee` always goes to the nearest portal, `loot` to the nearest box."""


@rule
def advice(game, bot, pointer, keys):  # type: ignore[no-untyped-def]
    """Write what a bot would do."""
    x, y, clicks, ability = 0.5, 0.5, False, False
    if bot == RANDOM:
        game.luck, x = between(game.luck, 0.0, 1.0)
        game.luck, y = between(game.luck, 0.0, 1.0)
        game.luck, bits = draw(game.luck)
        clicks, ability = bits & 1 == 1, bits & 2 == 2
    elif bot == FLEE:
        x, y, clicks = go_for(game, nearest_portal(game))
    elif bot == LOOT:
        box, _ = nearest(game, FIRST_BOX, FIRST_PORTAL)
        if box != NOTHING:
            x, y, clicks = go_for(game, box)
        else:
            x, y = least_visited(game)
            x, y, clicks = steer(game, x, y)
    else:
        mode, i = decide(game)
        x, y, clicks = act(game, mode, i)
        ability = uses_ability(game)
    pointer[0], pointer[1] = x, y
    keys[0], keys[1] = clicks, ability


@kernel
def advise(bot, games, lo, hi, pointer, keys):  # type: ignore[no-untyped-def]
    """Write what a bot would do in every game that goes on."""
    for i in range(lo, hi):
        if games[i].over == RUNNING:
            advice(games[i], bot, pointer[i, 0], keys[i, 0])
