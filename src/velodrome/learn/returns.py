"""How widely discounted returns spread, so that rewards can be learnt from in their units."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from velodrome.games.game import Array
from velodrome.nets.moments import FARTHEST, Moments


class Returns:
    """The return so far of every seat, and the running moments of all of them: those are the same in every lane."""

    def __init__(self, games: int, seats: int, discount: float):
        self.so_far, self.discount, self.moments = np.zeros((games, seats)), discount, Moments(1)

    def sums(self, rewards: Array, over: Array) -> Tensor:
        """What a segment, rewards `[games, steps, seats]`, adds to the moments once all lanes' are together."""
        seen = np.empty(rewards.shape)
        for step in range(rewards.shape[1]):
            self.so_far *= self.discount
            self.so_far += rewards[:, step]
            seen[:, step] = self.so_far
            self.so_far[over[:, step]] = 0
        return self.moments.sums(torch.from_numpy(seen.reshape(-1, 1)))

    def in_units(self, rewards: Array) -> Array:
        """Rewards in standard deviations of the return."""
        scaled: Array = np.clip(rewards / self.moments.spread.numpy(), -FARTHEST, FARTHEST)
        return scaled

    def state(self) -> dict[str, Any]:
        """For `load`; plain arrays, since they may come from another process."""
        return {"so_far": self.so_far, **{name: part.numpy() for name, part in self.moments.state_dict().items()}}

    def load(self, state: dict[str, Any], goes_on: bool) -> None:
        """Continue; games that do not go on have earned nothing yet."""
        self.so_far[:] = state["so_far"] if goes_on else 0
        self.moments.load_state_dict({name: torch.as_tensor(state[name]) for name in self.moments.state_dict()})
