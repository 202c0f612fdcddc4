"""Who sits in the other seats: the net itself, scripted players, or earlier snapshots of the net.

Opponents change only between games, and a snapshot's weights are asserted to be what they were when it was taken.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from velodrome.games.game import Game
from velodrome.learn.actions import Actions
from velodrome.learn.policy import NetPolicy
from velodrome.learn.trainer import Views

SELF = 0


@dataclass(frozen=True)
class Opponents:
    """The share of the games that are played against others than the current net; there it has one seat."""

    bots: tuple[str, ...] = ()
    """Scripted players, in equal parts."""
    bots_share: float = 0.0
    pool_share: float = 0.0
    """Share of the games against snapshots, once there are any."""
    pool_every: int = 25
    """Iterations between two snapshots."""
    pool_size: int = 8
    """The oldest snapshot makes room for a new one."""

    def __post_init__(self) -> None:
        if self.bots_share + self.pool_share > 1:
            raise ValueError(f"bots_share {self.bots_share} and pool_share {self.pool_share} add up to more than 1")
        if self.bots_share > 0 and not self.bots:
            raise ValueError("bots_share is above 0 but no bots are named")

    def own_share(self, seats: int) -> float:
        """The part of all decisions that is the current net's, if every seat has as many."""
        return 1 - (self.bots_share + self.pool_share) * (1 - 1 / seats)


def digest(net: nn.Module) -> str:
    """A hash of all weights of one net."""
    total = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


class Pool:
    """Frozen snapshots of a net, shared by all tables."""

    def __init__(self, settings: Opponents):
        self.settings = settings
        self.nets: list[nn.Module] = []
        self.digests: list[str] = []

    def watch(self, net: nn.Module, iteration: int) -> None:
        """Assert that no snapshot has changed, and take one of `net` if it is time for it."""
        for frozen, expected in zip(self.nets, self.digests, strict=True):
            if digest(frozen) != expected:
                raise RuntimeError("a frozen opponent's weights have changed")
        if self.settings.pool_share > 0 and iteration % self.settings.pool_every == 0:
            self.nets = [*self.nets, copy.deepcopy(net).requires_grad_(False)][-self.settings.pool_size :]
            self.digests = [digest(frozen) for frozen in self.nets]

    def state(self) -> list[dict[str, Tensor]]:
        """The snapshots' weights."""
        return [net.state_dict() for net in self.nets]

    def load(self, state: list[dict[str, Tensor]], like: nn.Module) -> None:
        """Take the snapshots back; `like` has their layers."""
        self.nets = [copy.deepcopy(like).requires_grad_(False) for _ in state]
        for net, saved in zip(self.nets, state, strict=True):
            net.load_state_dict(saved)
        self.digests = [digest(net) for net in self.nets]


class Table:
    """Who plays in each of these games; seats are given anew when a game begins."""

    def __init__(self, game: Game, settings: Opponents, pool: Pool, seed: int):
        self.game, self.settings, self.pool = game, settings, pool
        self.random = np.random.default_rng(seed)
        self.other = np.zeros(game.games, np.int64)
        """0 for the net itself, then the bots, then the snapshots."""
        self.hero = np.zeros(game.games, np.int64)
        self.seat_players(np.ones(game.games, bool))

    @property
    def mixed(self) -> bool:
        """Whether anyone but the current net plays."""
        return self.settings.bots_share > 0 or self.settings.pool_share > 0

    def seat_players(self, began: np.ndarray) -> None:
        """Draw opponents and the net's own seat for the games that have just begun."""
        if not self.mixed or not began.any():
            return
        n, bots, snapshots = int(began.sum()), len(self.settings.bots), len(self.pool.nets)
        draw = self.random.random(n)
        other = np.zeros(n, np.int64)
        against_bot = draw < self.settings.bots_share
        against_pool = ~against_bot & (draw < self.settings.bots_share + self.settings.pool_share) & (snapshots > 0)
        other[against_bot] = 1 + self.random.integers(0, max(bots, 1), int(against_bot.sum()))
        other[against_pool] = 1 + bots + self.random.integers(0, max(snapshots, 1), int(against_pool.sum()))
        self.other[began] = other
        self.hero[began] = self.random.integers(0, self.game.spec.seats, n)

    def own(self) -> np.ndarray:
        """Which rows `[games, K]` the current net decides."""
        own: np.ndarray = (self.other[:, None] == SELF) | (self.game.seat == self.hero[:, None])
        return own

    def held(self) -> np.ndarray:
        """Which seats `[games, seats]` the current net has."""
        held: np.ndarray = (self.other[:, None] == SELF) | (self.hero[:, None] == np.arange(self.game.spec.seats))
        return held

    def answer(
        self, action: dict[str, Tensor], views: Views, actions: Actions, generator: torch.Generator, device: str
    ) -> None:
        """Put the opponents' actions `[games * K, ...]` into the rows that are theirs."""
        others = ~self.own()
        for code in np.unique(self.other[others.any(1)]):
            rows = torch.from_numpy((others & (self.other == code)[:, None]).reshape(-1))
            theirs: dict[str, Any]
            if code <= len(self.settings.bots):
                bot = self.game.bot(self.settings.bots[code - 1])
                theirs = {name: torch.from_numpy(part).flatten(0, 1)[rows] for name, part in bot.items()}
            else:
                frozen = NetPolicy(self.pool.nets[code - 1 - len(self.settings.bots)], actions, device=device)
                theirs, _ = frozen.act({name: view[rows] for name, view in views.items()}, {}, generator)
            for name, part in theirs.items():
                action[name][rows] = part.to(action[name])

    def state(self) -> dict[str, Any]:
        """Who sits where, and the random state that decides who comes next."""
        return {"random": self.random.bit_generator.state, "other": self.other.copy(), "hero": self.hero.copy()}

    def load(self, state: dict[str, Any]) -> None:
        """Put everyone where `state` has them."""
        self.random.bit_generator.state = state["random"]
        self.other[:], self.hero[:] = state["other"], state["hero"]
