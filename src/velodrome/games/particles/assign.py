"""Who goes where: the assignment of agents to landmarks with the least distance in all."""

from __future__ import annotations

import math

from velodrome.games.kernel import rule


@rule
def assign(cost, n, of_column, price_row, price_column, matched, before, least, done):  # type: ignore[no-untyped-def]
    """Put the row of every column into `of_column`, so that the costs `[n, n]` add up to least. The others are room,
    n + 1 long each. Rows join one by one along the cheapest path that frees a column; prices keep it short."""
    for j in range(n + 1):
        matched[j], price_column[j] = -1, 0.0
        price_row[j] = 0.0
    for row in range(n):
        matched[n], column = row, n
        for j in range(n):
            least[j], done[j] = 1e18, False
        done[n] = False
        while matched[column] >= 0:
            done[column] = True
            at, nearest, following = matched[column], 1e18, -1
            for j in range(n):
                if not done[j]:
                    now = cost[at, j] - price_row[at] - price_column[j]
                    if now < least[j]:
                        least[j], before[j] = now, column
                    if least[j] < nearest:
                        nearest, following = least[j], j
            for j in range(n + 1):
                if done[j]:
                    price_row[matched[j]] += nearest
                    price_column[j] -= nearest
                elif j < n:
                    least[j] -= nearest
            column = following
        while column != n:
            matched[column] = matched[before[column]]
            column = before[column]
    for j in range(n):
        of_column[j] = matched[j]


@rule
def share_marks(game, n, of_mark, cost, prices, matched, least, done):  # type: ignore[no-untyped-def]
    """Put the agent of every landmark into `of_mark`, so that all together go the least way. The others are room."""
    for agent in range(n):
        for mark in range(n):
            cost[agent, mark] = math.hypot(game.mark_x[mark] - game.x[agent], game.mark_y[mark] - game.y[agent])
    assign(cost, n, of_mark, prices[0], prices[1], matched[0], matched[1], least, done)
