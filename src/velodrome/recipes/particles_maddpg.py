"""Spread and tag by MADDPG: every agent an actor of its own, and a critic that knows what all see and do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from velodrome.games import make
from velodrome.games.game import Game
from velodrome.learn.maddpg import SCHEME, Maddpg, MultiAgentDdpg
from velodrome.recipes.recipe import Team, recipe


@dataclass(frozen=True)
class Shared:
    """Settings that both recipes share."""

    games: int = 25
    """Played side by side."""
    widths: tuple[int, ...] = (64, 64)
    """Of the layers of actors and critics."""
    maddpg: Maddpg = Maddpg()


@dataclass(frozen=True)
class SpreadSettings(Shared):
    """What can be set from the command line."""

    agents: int = 3
    convention: Literal["openai", "pettingzoo", "vmas"] = "openai"
    """How the reward is counted."""


@dataclass(frozen=True)
class TagSettings(Shared):
    """What can be set from the command line."""

    predators: int = 3
    prey: int = 1
    obstacles: int = 2
    maddpg: Maddpg = Maddpg(rate=3e-3, shared=True)


@recipe(
    "spread-maddpg",
    source="Lowe et al. 2017",
    says="soft shared actions, critics that know what all see and do",
    team=Team(SCHEME, agents="agents"),
)
def spread_maddpg(settings: SpreadSettings, seed: int, device: str) -> MultiAgentDdpg:
    """Build the trainer."""
    game = make("spread", settings.games, seed, agents=settings.agents, convention=settings.convention)
    return trainer_of(game, settings, seed, device)


@recipe(
    "tag-maddpg",
    source="Lowe et al. 2017",
    says="predators and a prey that learn at once, against each other",
    team=Team(SCHEME),
)
def tag_maddpg(settings: TagSettings, seed: int, device: str) -> MultiAgentDdpg:
    """Build the trainer."""
    who = {"predators": settings.predators, "prey": settings.prey, "obstacles": settings.obstacles}
    return trainer_of(make("tag", settings.games, seed, **who), settings, seed, device)


def trainer_of(game: Game, settings: Shared, seed: int, device: str) -> MultiAgentDdpg:
    """The trainer of this game."""
    torch.manual_seed(seed)
    return MultiAgentDdpg(game, settings.maddpg, settings.widths, seed=seed, device=device)
