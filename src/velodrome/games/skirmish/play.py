"""Skirmish played in many games at once: the compiled loops that `Skirmish` maps over its records."""

from __future__ import annotations

import numpy as np

from velodrome.games.kernel import kernel, rule
from velodrome.games.skirmish.fight import alive
from velodrome.games.skirmish.maps import MOST_UNITS
from velodrome.games.skirmish.rules import CUT, NOTHING, RUNNING, WON, deploy, give_order, legal, play_step


@kernel
def deal(games, lo, hi, which, world, rewards, ended, cut):  # type: ignore[no-untyped-def]
    """Start the next battle of the marked games."""
    for i in range(lo, hi):
        if which[i]:
            deploy(games[i], world)
            rewards[i, :] = 0
            ended[i] = False
            cut[i] = False


@rule
def all_legal(game, world, actions):  # type: ignore[no-untyped-def]
    """Whether every living agent may do what it wants; of the dead nothing is asked."""
    for agent in range(world.allies):
        if alive(game, agent) and not legal(game, world, agent, actions[agent]):
            return False
    return True


@kernel
def play(games, lo, hi, actions, world, rewards, ended, cut, outcome):  # type: ignore[no-untyped-def]
    """Play a step of every battle that goes on. Returns the first game that refused, or -1."""
    refused = -1
    before, does, places = np.zeros(MOST_UNITS), np.zeros(MOST_UNITS, np.int8), np.zeros((2, MOST_UNITS))
    for i in range(lo, hi):
        game = games[i]
        rewards[i, :] = 0
        if game.over != RUNNING:
            continue
        if not all_legal(game, world, actions[i]):
            refused = i if refused < 0 else refused
            continue
        for agent in range(world.allies):
            give_order(game, world, agent, actions[i, agent] if alive(game, agent) else NOTHING)
        play_step(game, world, before, does, places)
        rewards[i, :] = game.earned
        ended[i] = game.over != RUNNING and game.over != CUT
        cut[i] = game.over == CUT
        outcome[i, :] = 1.0 if game.over == WON else 0.0
    return refused
