"""What decisions turned out to be worth: generalised advantages (Schulman et al. 2016) where every seat has a
trajectory of its own, and mixtures of n-step returns over whole episodes."""

from __future__ import annotations

import numpy as np

from velodrome.compiled import kernel


@kernel
def advantages(rewards, seat, acting, value, ended, cut, cut_value, discount, trace, advantage, known):  # type: ignore[no-untyped-def]
    """Write the advantage of every decision, and whether it is known.

    Rows are `[games, steps, K]`, rewards `[games, steps, seats]`. Between two decisions of a seat others play; what the
    seat earns meanwhile belongs to its earlier decision. The last decision of a seat whose game goes on after the
    segment only bootstraps the one before it: what it leads to is not known yet. `cut_value [games, steps, seats]` is
    the value of the position in which a time limit ended the game; it is not a number where nobody estimated it.
    """
    seats = rewards.shape[2]
    later_value = np.zeros(seats, np.float32)
    later_advantage = np.zeros(seats, np.float32)
    earned = np.zeros(seats, np.float32)
    settled = np.zeros(seats, np.bool_)
    for game in range(rewards.shape[0]):
        settled[:] = False
        earned[:] = 0
        for step in range(rewards.shape[1] - 1, -1, -1):
            if ended[game, step] or cut[game, step]:
                for s in range(seats):
                    left = np.float32(0) if ended[game, step] else cut_value[game, step, s]
                    settled[s] = not np.isnan(left)
                    later_value[s] = left
                    later_advantage[s] = 0
                    earned[s] = 0
            for s in range(seats):
                earned[s] += rewards[game, step, s]
            for k in range(seat.shape[2]):
                s = seat[game, step, k]
                known[game, step, k] = acting[game, step, k] and settled[s]
                if not acting[game, step, k]:
                    continue
                later_advantage[s] = (
                    earned[s] + discount * later_value[s] - value[game, step, k] + discount * trace * later_advantage[s]
                    if settled[s]
                    else np.float32(0)
                )
                advantage[game, step, k] = later_advantage[s]
                later_value[s] = value[game, step, k]
                earned[s] = 0
                settled[s] = True


@kernel
def look_back(worth, reward, sizes, discount, trace, found):  # type: ignore[no-untyped-def]
    """Write TD(lambda) returns over what each look is said to be `worth [rows, n]`; last looks keep what is there.

    Rows are looks of episodes, step after step; `sizes [steps]` tells how many episodes have each, always the first.
    """
    first = len(worth) - sizes[-1]
    for step in range(len(sizes) - 2, -1, -1):
        then = first
        first -= sizes[step]
        for i in range(sizes[step + 1]):
            for k in range(worth.shape[1]):
                later = worth[then + i, k] + trace * (found[then + i, k] - worth[then + i, k])
                found[first + i, k] = reward[first + i, k] + discount * later
