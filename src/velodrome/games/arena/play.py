"""Arena played in many games at once: the compiled loops that `Arena` maps over its records."""

from __future__ import annotations

import numpy as np

from velodrome.games.arena.enemies import play_frame
from velodrome.games.arena.rules import begin, blast, click
from velodrome.games.arena.teacher import decide
from velodrome.games.arena.views import arrange, put_context, put_marks, put_objects, put_player
from velodrome.games.arena.world import CUT, ENDED, NOTHING, OBJECTS, RUNNING, SCREEN_X, SCREEN_Y
from velodrome.games.kernel import kernel, rule

CLICK, ABILITY = 0, 1


@kernel
def deal(games, lo, hi, which, rewards, ended, cut):  # type: ignore[no-untyped-def]
    """Start the next of the marked games."""
    for i in range(lo, hi):
        if which[i]:
            begin(games[i])
            rewards[i, 0] = 0
            ended[i] = cut[i] = False


@rule
def legal(pointer, keys):  # type: ignore[no-untyped-def]
    """Whether an action points at the screen, and each key is pressed or not."""
    x, y = pointer[0], pointer[1]
    return 0 <= x <= 1 and 0 <= y <= 1 and 0 <= keys[CLICK] <= 1 and 0 <= keys[ABILITY] <= 1


@rule
def play_step(game, pointer, keys, frames, longest):  # type: ignore[no-untyped-def]
    """Play a decision."""
    game.earned = 0.0
    game.hull_before, game.shield_before = game.hull, game.shield
    if keys[CLICK]:
        x, y = game.ship_x + (pointer[0] - 0.5) * SCREEN_X, game.ship_y + (pointer[1] - 0.5) * SCREEN_Y
        click(game, x, y)
    if keys[ABILITY]:
        blast(game)
    for _ in range(frames):
        play_frame(game, longest)
        if game.over != RUNNING:
            break
    game.returned += game.earned


@kernel
def play(games, lo, hi, pointer, keys, frames, longest, scale, rewards, ended, cut, outcome):  # type: ignore[no-untyped-def]
    """Play a decision of every game that goes on; `scale` holds what random and what the teacher earn in a game.
    Returns the first that refused, or -1."""
    refused = -1
    for i in range(lo, hi):
        game = games[i]
        rewards[i, 0] = 0
        if game.over != RUNNING:
            continue
        if not legal(pointer[i, 0], keys[i, 0]):
            refused = i if refused < 0 else refused
            continue
        play_step(game, pointer[i, 0], keys[i, 0], frames, longest)
        rewards[i, 0] = game.earned
        ended[i], cut[i] = game.over == ENDED, game.over == CUT
        outcome[i, 0] = (game.returned - scale[0]) / (scale[1] - scale[0])
    return refused


@kernel
def look(games, lo, hi, which, player, objects, mask, context, marks, mode, target):  # type: ignore[no-untyped-def]
    """Write what the player is told, and what the teacher would be after."""
    order, far = np.zeros(OBJECTS, np.int64), np.zeros(OBJECTS)
    for i in range(lo, hi):
        if which[i]:
            game, n = games[i], mask.shape[2]
            shown = arrange(game, n, order, far)
            put_player(game, player[i, 0])
            put_objects(game, shown, order, far, objects[i, 0], mask[i, 0])
            put_context(game, context[i, 0])
            put_marks(game, shown, order, marks[i, 0])
            mode[i, 0], after = decide(game)
            target[i, 0] = n
            for place in range(shown):
                if after != NOTHING and order[place] == after:
                    target[i, 0] = place
