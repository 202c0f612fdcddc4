"""Hearts with the self-play report's alternative: a plain three-layer net on OpenSpiel's information state."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from velodrome.games.hearts import Hearts
from velodrome.learn.opponents import Opponents
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.nets.hearts import MlpNet
from velodrome.recipes.recipe import recipe


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    games: int = 256
    """Played side by side."""
    lanes: int = 2
    """Processes that play and learn side by side, one core each."""
    widths: tuple[int, ...] = (512, 512, 256)
    """Of the layers."""
    ppo: Ppo = Ppo(batch=16384, minibatch=1024, epochs=3, rate=5e-4, reward_scale=0.1)
    opponents: Opponents = Opponents()


@recipe("hearts-mlp", source="Hearts PPO self-play report", says="three plain layers on OpenSpiel's information state")
def hearts_mlp(settings: Settings, seed: int, device: str) -> SelfPlay:
    """Build the trainer."""
    torch.manual_seed(seed)
    return SelfPlay(
        Hearts(games=settings.games, seed=seed, observation="openspiel-indices", reward="trick"),
        MlpNet(settings.widths),
        settings.ppo,
        seed=seed,
        device=device,
        opponents=settings.opponents,
        lanes=settings.lanes,
    )
