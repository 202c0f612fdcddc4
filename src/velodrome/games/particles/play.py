"""Particles in many games at once: the compiled loops that all of them share."""

from __future__ import annotations

import numpy as np

from velodrome.games.kernel import below, draw, kernel
from velodrome.games.particles.physics import (
    CUT,
    MOST,
    RUNNING,
    advance,
    are_shares,
    begin,
    choose_one,
    push_by_choice,
    push_by_shares,
    random_shares,
    scatter,
    share_out,
)

LEAST = 0.25
"""A bot's wish weaker than this part of a whole push is none."""


@kernel
def deal(games, lo, hi, which, world, reach, rewards, ended, cut):  # type: ignore[no-untyped-def]
    """Start the next of the marked games: landmarks stand in the square of that reach."""
    for i in range(lo, hi):
        if which[i]:
            begin(games[i], world)
            scatter(games[i], games[i].mark_x, games[i].mark_y, world.marks, reach)
            rewards[i, :] = 0
            ended[i] = cut[i] = False


@kernel
def move_by_shares(games, lo, hi, shares, world, longest, moved, rewards, cut):  # type: ignore[no-untyped-def]
    """Play a step of pushes in shares, and mark the games that have moved. Returns the first that refused, or -1."""
    refused, push_x, push_y = -1, np.zeros(MOST), np.zeros(MOST)
    for i in range(lo, hi):
        game, legal = games[i], True
        rewards[i, :], moved[i] = 0, False
        if game.over != RUNNING:
            continue
        for agent in range(world.agents):
            legal &= are_shares(shares[i, agent])
            push_x[agent], push_y[agent] = push_by_shares(shares[i, agent], world.strength[agent])
        if not legal:
            refused = i if refused < 0 else refused
            continue
        advance(game, world, push_x, push_y)
        game.time += 1
        game.over = CUT if game.time >= longest else RUNNING
        cut[i], moved[i] = game.over == CUT, True
    return refused


@kernel
def move_by_choices(games, lo, hi, choices, world, longest, moved, rewards, cut):  # type: ignore[no-untyped-def]
    """Play a step of one action each, and mark the games that have moved. Returns the first that refused, or -1."""
    refused, push_x, push_y = -1, np.zeros(MOST), np.zeros(MOST)
    for i in range(lo, hi):
        game, legal = games[i], True
        rewards[i, :], moved[i] = 0, False
        if game.over != RUNNING:
            continue
        for agent in range(world.agents):
            legal &= 0 <= choices[i, agent] < 5
            push_x[agent], push_y[agent] = push_by_choice(choices[i, agent], world.strength[agent])
        if not legal:
            refused = i if refused < 0 else refused
            continue
        advance(game, world, push_x, push_y)
        game.time += 1
        game.over = CUT if game.time >= longest else RUNNING
        cut[i], moved[i] = game.over == CUT, True
    return refused


@kernel
def look_at_all(games, lo, hi, which, world, state):  # type: ignore[no-untyped-def]
    """Write where everyone is and goes, and where the landmarks are, the same for every agent."""
    for i in range(lo, hi):
        if which[i]:
            game, out = games[i], state[i, 0]
            for a in range(world.agents):
                out[4 * a], out[4 * a + 1], out[4 * a + 2], out[4 * a + 3] = (
                    game.vx[a],
                    game.vy[a],
                    game.x[a],
                    game.y[a],
                )
            for mark in range(world.marks):
                at = 4 * world.agents + 2 * mark
                out[at], out[at + 1] = game.mark_x[mark], game.mark_y[mark]
            for agent in range(1, world.agents):
                state[i, agent] = out


@kernel
def wish_shares(games, lo, hi, wishes, shares):  # type: ignore[no-untyped-def]
    """Turn directions `wishes [games, agents, 2]` into shares."""
    for i in range(lo, hi):
        for agent in range(shares.shape[1]):
            share_out(wishes[i, agent, 0], wishes[i, agent, 1], shares[i, agent])


@kernel
def wish_choices(games, lo, hi, wishes, choices):  # type: ignore[no-untyped-def]
    """Turn directions `wishes [games, agents, 2]` into actions."""
    for i in range(lo, hi):
        for agent in range(choices.shape[1]):
            choices[i, agent] = choose_one(wishes[i, agent, 0], wishes[i, agent, 1], LEAST)


@kernel
def draw_shares(games, lo, hi, shares):  # type: ignore[no-untyped-def]
    """Push by chance."""
    for i in range(lo, hi):
        for agent in range(shares.shape[1]):
            random_shares(games[i], shares[i, agent])


@kernel
def draw_choices(games, lo, hi, n, choices):  # type: ignore[no-untyped-def]
    """Choose by chance."""
    for i in range(lo, hi):
        for agent in range(choices.shape[1]):
            games[i].luck, bits = draw(games[i].luck)
            choices[i, agent] = below(bits, n)
