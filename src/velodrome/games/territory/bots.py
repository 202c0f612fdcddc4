"""Bots by rule: take what is nobody's, then whoever is near, whenever there are troops enough."""

from __future__ import annotations

import numpy as np

from velodrome.games.kernel import below, draw, rule
from velodrome.games.territory.fight import IMMUNE, send
from velodrome.games.territory.world import (
    AGENT,
    NOBODY,
    how_many,
    limit,
    neighbours,
    picked,
)

REMEMBERED = 100
"""Ticks for which a bot keeps an enemy."""


@rule
def make_up_mind(game, player):  # type: ignore[no-untyped-def]
    """Draw what a bot goes by, when a game begins."""
    game.starts, bits = draw(game.starts)
    game.every[player] = 40 + below(bits, 40)
    game.starts, bits = draw(game.starts)
    game.phase[player] = below(bits, game.every[player])
    game.starts, bits = draw(game.starts)
    game.trigger[player] = (60 + below(bits, 30)) / 100
    game.starts, bits = draw(game.starts)
    game.reserve[player] = (20 + below(bits, 10)) / 100
    game.starts, bits = draw(game.starts)
    game.expand[player] = (10 + below(bits, 10)) / 100
    game.enemy[player], game.enemy_until[player] = NOBODY, 0


@rule
def decide(game, board, player):  # type: ignore[no-untyped-def]
    """Whom a bot attacks, -1 for no one, and with how many troops."""
    near, most = neighbours(game, board, player), limit(game, player)
    if near & np.uint64(1):
        return NOBODY, game.troops[player] - game.expand[player] * most
    others = near & ~np.uint64(1)
    if game.now < IMMUNE or others == 0:
        return -1, 0.0
    enemy = game.enemy[player]
    if enemy == NOBODY or game.now >= game.enemy_until[player] or game.held[enemy] == 0:
        enemy = NOBODY
        if game.troops[player] >= game.trigger[player] * most:
            game.luck, bits = draw(game.luck)
            enemy = picked(others, below(bits, how_many(others)))
        else:
            enemy = strongest_against(game, board, player)
        game.enemy[player], game.enemy_until[player] = enemy, game.now + REMEMBERED
    if enemy != NOBODY and (others >> np.uint64(enemy)) & np.uint64(1):
        return enemy, game.troops[player] - game.reserve[player] * most
    return -1, 0.0


@rule
def strongest_against(game, board, player):  # type: ignore[no-untyped-def]
    """Who attacks a player with most troops, or nobody."""
    best, most = NOBODY, 0.0
    for other in range(AGENT, game.players + 1):
        if board.sent[other, player] > most:
            best, most = other, board.sent[other, player]
    return best


@rule
def bots_turn(game, board):  # type: ignore[no-untyped-def]
    """All bots whose turn has come decide, and attack."""
    for player in range(AGENT + 1, game.players + 1):
        if game.held[player] and (game.now + game.phase[player]) % game.every[player] == 0:
            target, troops = decide(game, board, player)
            if target >= 0 and troops >= 1:
                send(game, board, player, target, troops)
