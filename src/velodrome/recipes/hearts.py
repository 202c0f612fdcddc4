"""Hearts, fast: a small net on a compact observation, against itself, with a critic that sees all cards."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from velodrome.games.hearts import Hearts
from velodrome.learn.opponents import Opponents
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.nets.hearts import critic, player
from velodrome.recipes.recipe import recipe


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    games: int = 1024
    """Played side by side."""
    lanes: int = 2
    """Processes that play and learn side by side, one core each."""
    widths: tuple[int, ...] = (128, 128)
    """Of the player's layers."""
    critic_widths: tuple[int, ...] = (128, 128)
    """Of the central critic's layers."""
    ppo: Ppo = Ppo(batch=32768, minibatch=2048, epochs=2, rate=1e-3, rate_halves=400, reward_scale=0.1, average=0.995)
    opponents: Opponents = Opponents()


@recipe(
    "hearts",
    source="Hearts PPO self-play report",
    says="compact observation, central critic, self-play; the one to run",
)
def hearts(settings: Settings, seed: int, device: str) -> SelfPlay:
    """Build the trainer."""
    torch.manual_seed(seed)
    game = Hearts(games=settings.games, seed=seed, observation="compact", reward="trick", forced="played")
    packed = {name: game.views[name].shape[-1] for name in ("bits", "others")}
    return SelfPlay(
        game,
        player({"bits": packed["bits"]}, settings.widths),
        settings.ppo,
        seed=seed,
        device=device,
        critic=critic(packed, settings.critic_widths),
        opponents=settings.opponents,
        lanes=settings.lanes,
    )
