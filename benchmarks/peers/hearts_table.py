"""Hearts for libraries whose environments have one agent, as the self-play report had it.

Each step is the decision of whoever is to act, and the reward is what that seat earned by it.

The views lie side by side in one row of small integers. Lists of set features are the form that costs these libraries
least: a history of dense observations is 100 kB a decision, its lists are 1.4 kB.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import velodrome.nets.parts
from velodrome.games.hearts import Hearts
from velodrome.nets.hearts import CARDS, FEATURES, AttentionNet, MlpNet, critic, player
from velodrome.nets.parts import InputLinear

OBSERVATION = {"attention": "openspiel-history", "mlp": "openspiel-indices", "compact": "compact"}
REWARD_SCALE = 0.1
TYPES = {np.dtype(np.int16): torch.int32, np.dtype(np.bool_): torch.bool, np.dtype(np.uint8): torch.uint8}
"""As a net wants the numbers that a row holds as one type."""


class Layout:
    """Where each view lies in a row."""

    def __init__(self, game: Hearts):
        self.shapes = {name: view.shape for name, view in game.spec.views.items()}
        self.types = {name: TYPES[np.dtype(view.dtype)] for name, view in game.spec.views.items()}
        self.slices: dict[str, slice] = {}
        at = 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            self.slices[name] = slice(at, at + size)
            at += size
        self.seat, self.width = at, at + 1
        self.observation_space = gymnasium.spaces.Box(0, FEATURES, (self.width,), np.int16)
        self.action_space = gymnasium.spaces.Discrete(CARDS)

    def write(self, game: Hearts, rows: NDArray[np.int16]) -> None:
        """The views of every game into `rows [games, width]`."""
        for name, part in self.slices.items():
            rows[:, part] = game.views[name].reshape(game.games, -1)
        rows[:, self.seat] = game.seat[:, 0]

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """The views that a net wants, from rows of whatever number type a library made of them."""
        views = {name: rows[:, part].unflatten(1, self.shapes[name]) for name, part in self.slices.items()}
        views = {name: view.to(self.types[name]) for name, view in views.items()}
        views["seat"] = rows[:, self.seat].long()
        return views


def make_game(net: str, games: int, seed: int, reward: Literal["deal", "trick"] = "deal") -> Hearts:
    """Hearts with the observation that this net wants; for the compact one as our own fast recipe has it."""
    forced: Literal["asked", "played"] = "played" if net == "compact" else "asked"
    return Hearts(games, seed=seed, observation=OBSERVATION[net], reward=reward, forced=forced)  # type: ignore[arg-type]


class CompactNet(nn.Module):
    """The player and the central critic of our fast recipe as one net, for libraries that know of one."""

    wants = ("bits", "others", "legal")

    def __init__(self) -> None:
        super().__init__()
        packed = {name: make_game("compact", 1, 0).views[name].shape[-1] for name in ("bits", "others")}
        self.player, self.critic = player({"bits": packed["bits"]}), critic(packed)

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The logits of the cards and the value."""
        return {**self.player(views), **self.critic(views)}


def make_net(net: str, compiled: bool = True) -> nn.Module:
    """The very module that our own recipe trains.

    Where not `compiled` it is without our kernels; so is then the attention of every other net in this process.
    """
    made: nn.Module = {"attention": AttentionNet, "mlp": MlpNet, "compact": CompactNet}[net]()
    if not compiled:
        velodrome.nets.parts.serves = lambda x: False
        for part in made.modules():
            if isinstance(part, InputLinear):
                part.listed = partial(_listed, part)  # type: ignore[method-assign]
    return made


def _listed(part: InputLinear, indices: Tensor, padding: int) -> Tensor:
    known = indices != padding
    starts = F.pad(known.sum(1).cumsum(0), (1, 0))[:-1]
    return F.embedding_bag(indices[known].int(), part.weight, starts.int(), mode="sum") + part.bias


class Table(gymnasium.Env[NDArray[np.int16], int]):
    """One game, in Gymnasium's form."""

    def __init__(self, net: str, seed: int):
        self.game = make_game(net, 1, seed)
        self.layout = Layout(self.game)
        self.observation_space, self.action_space = self.layout.observation_space, self.layout.action_space

    def reset(self, *, seed: int | None = None, options: object = None) -> tuple[NDArray[np.int16], dict[str, object]]:
        """Start the next deal."""
        if seed is None:
            self.game.reset()
        else:
            self.game = make_game("attention" if "past" in self.layout.shapes else "mlp", 1, seed)
        return self._observation(), {}

    def step(self, action: int) -> tuple[NDArray[np.int16], float, bool, bool, dict[str, object]]:
        """Play a card."""
        seat = self.game.seat[0, 0]
        self.game.step(np.array([[action]]))
        reward = float(self.game.rewards[0, seat]) * REWARD_SCALE
        return self._observation(), reward, bool(self.game.ended[0]), False, {}

    def _observation(self) -> NDArray[np.int16]:
        row = np.empty((1, self.layout.width), np.int16)
        self.layout.write(self.game, row)
        return row[0]


def masked(logits: Tensor, legal: Tensor) -> Tensor:
    """Logits that give what is not legal no chance."""
    return torch.where(legal, logits, torch.finfo(logits.dtype).min)
