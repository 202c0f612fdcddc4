"""Territory by PPO: the published two nets, and one that looks at less and chooses where to look.

A curriculum has few bots at first; each of its stages is a trainer of its own that goes on with the same net.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from velodrome.games import make
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.learn.trainer import Stages, Trainer
from velodrome.nets.territory import AttentionNet, CrossNet, FlattenNet
from velodrome.recipes.recipe import recipe


@dataclass(frozen=True)
class Shared:
    """Settings that all three recipes share."""

    games: int = 12
    """Played side by side."""
    size: int = 64
    """Tiles along a side: 32, 64 or 128."""
    bots: int = 5
    opponents: Literal["equal", "handicapped"] = "equal"
    map: Literal["plains", "hills", "islands"] = "plains"
    ticks: int = 10
    """Of a decision (published: 1)."""
    reward: Literal["plain", "published"] = "plain"
    curriculum: tuple[int, ...] = ()
    """Bots in each stage before the last (published: 10 and 25, then 50)."""
    stage: int = 50
    """Iterations of each stage but the last."""
    lanes: int = 2
    """Processes that play and learn side by side, one core each."""


@dataclass(frozen=True)
class Settings(Shared):
    """What can be set from the command line."""

    games: int = 128
    """Played side by side."""
    width: int = 64
    """Of the net."""
    ppo: Ppo = Ppo(
        batch=16384, minibatch=1024, epochs=2, rate=2e-3, rate_halves=200, discount=0.99, trace=0.95, entropy=0.02,
        entropy_halves=150,
    )  # fmt: skip


@dataclass(frozen=True)
class Published(Shared):
    """What can be set from the command line."""

    ppo: Ppo = Ppo(
        batch=1536, minibatch=128, epochs=2, rate=3e-4, discount=0.995, trace=0.95, entropy=0.02, value=0.5,
    )  # fmt: skip
    """As published but for shorter segments (there 1,024 steps of each game) and fewer epochs (there 10)."""


@dataclass(frozen=True)
class AttentionSettings(Published):
    """What can be set from the command line."""

    lanes: int = 1
    """Running batch statistics are kept in one process; the steady net can have several."""
    steady: bool = False
    """Without batch statistics and dropout, which PPO's ratio suffers from."""


@recipe(
    "territory",
    source="Territory PPO, architecture comparison",
    says="a coarse map and what lies in each direction, look at each other; the one to run",
)
def territory(settings: Settings, seed: int, device: str) -> Trainer:
    """Build the trainer."""
    torch.manual_seed(seed)
    return trainer_of(settings, settings.ppo, CrossNet(settings.width), "coarse", seed, device)


@recipe(
    "territory-flatten",
    source="Territory PPO, architecture comparison",
    says="the published net before its attention: one large layer",
)
def territory_flatten(settings: Published, seed: int, device: str) -> Trainer:
    """Build the trainer."""
    torch.manual_seed(seed)
    return trainer_of(settings, settings.ppo, FlattenNet(), "published", seed, device)


@recipe(
    "territory-attention",
    source="Territory PPO, architecture comparison",
    says="the published net with gates, and an attention with one key",
)
def territory_attention(settings: AttentionSettings, seed: int, device: str) -> Trainer:
    """Build the trainer."""
    torch.manual_seed(seed)
    return trainer_of(settings, settings.ppo, AttentionNet(settings.steady), "published", seed, device)


def trainer_of(settings: Shared, ppo: Ppo, net: nn.Module, observation: str, seed: int, device: str) -> Trainer:
    """One trainer for each stage, all with the same net."""

    def stage(number: int, bots: int) -> Trainer:
        game = make(
            "territory", settings.games, seed + number, size=settings.size, bots=bots, opponents=settings.opponents,
            map=settings.map, ticks=settings.ticks, reward=settings.reward, observation=observation,
        )  # fmt: skip
        return SelfPlay(game, net, ppo, seed=seed, device=device, lanes=settings.lanes)

    last = len(settings.curriculum)
    stages = [(stage(number, bots), settings.stage) for number, bots in enumerate(settings.curriculum)]
    final = stage(last, settings.bots)
    return Stages([*stages, (final, 0)]) if stages else final
