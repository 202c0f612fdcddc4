"""Spread by independent PPO: every agent learns by itself, all with one net, none knows what others see or do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from velodrome.games import make
from velodrome.learn.actions import Actions
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.learn.trainer import Scheme
from velodrome.nets.flat import Eyes, FlatNet
from velodrome.recipes.recipe import Team, recipe


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    agents: int = 3
    convention: Literal["openai", "pettingzoo", "vmas"] = "pettingzoo"
    """How the reward is counted."""
    games: int = 16
    """Played side by side."""
    lanes: int = 2
    """Processes that play and learn side by side, one core each."""
    widths: tuple[int, ...] = (64, 64)
    """Of the layers of the player's net and of the critic's."""
    ppo: Ppo = Ppo(batch=6144, minibatch=1536, epochs=4, rate=2.5e-4, discount=0.99, entropy=0.01)


@recipe(
    "spread-ippo",
    source="Schroeder de Witt et al. 2020",
    says="every agent learns by itself, all with one net",
    team=Team(Scheme("decentralised"), agents="agents"),
)
def spread_ippo(settings: Settings, seed: int, device: str) -> SelfPlay:
    """Build the trainer."""
    torch.manual_seed(seed)
    game = make(
        "spread", settings.games, seed, agents=settings.agents, control="choice", convention=settings.convention
    )
    eyes = Eyes({"seen": game.spec.views["seen"].shape[0]}, {}, 1, False)
    return SelfPlay(
        game,
        FlatNet(eyes, settings.widths, Actions(game.spec.action).heads),
        settings.ppo,
        seed=seed,
        device=device,
        critic=FlatNet(eyes, settings.widths, {"value": 1}),
        lanes=settings.lanes,
    )
