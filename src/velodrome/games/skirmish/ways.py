"""The way from anywhere to anywhere on ground with corners."""

from __future__ import annotations

import numpy as np

from velodrome.games.kernel import kernel

BEARING_X = np.array([1, 0, -1, 0, 1, -1, -1, 1])
BEARING_Y = np.array([0, 1, 0, -1, 1, 1, -1, -1])
"""The eight cells around one, the straight ones first."""


@kernel
def lead_ways(free, ways):  # type: ignore[no-untyped-def]
    """Write the next cell on a way of the fewest cells from each to each, as y * side + x; -1 where there is none.

    From the goal outwards, cell by cell. No corner is cut.
    """
    side = free.shape[0]
    ahead = np.empty(side * side, np.int64)
    ways[:] = -1
    for goal in range(side * side):
        if free[goal // side, goal % side] == 0:
            continue
        ways[goal, goal] = goal
        ahead[0], done, found = goal, 0, 1
        while done < found:
            cell = ahead[done]
            done += 1
            x, y = cell % side, cell // side
            for bearing in range(8):
                from_x, from_y = x - BEARING_X[bearing], y - BEARING_Y[bearing]
                if from_x < 0 or from_y < 0 or from_x >= side or from_y >= side:
                    continue
                before = from_y * side + from_x
                if free[from_y, from_x] and free[y, from_x] and free[from_y, x] and ways[before, goal] < 0:
                    ways[before, goal] = cell
                    ahead[found] = before
                    found += 1
