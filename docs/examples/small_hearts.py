"""A recipe in a file of its own: `velodrome train docs/examples/small_hearts.py:small-hearts --iterations 2`."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from velodrome.games.hearts import Hearts
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.nets.hearts import critic, player
from velodrome.recipes import recipe


@dataclass(frozen=True)
class Settings:
    """Every field is a flag: `--games 64`, `--ppo.epochs 2`."""

    games: int = 64
    """Played side by side."""
    width: int = 64
    """Of the hidden layer, in the player and in the critic that helps it learn."""
    ppo: Ppo = Ppo(batch=2048, minibatch=256, epochs=1, reward_scale=0.1)


@recipe("small-hearts", source="this file", says="the smallest thing that learns Hearts")
def small_hearts(settings: Settings, seed: int, device: str) -> SelfPlay:
    """Build the trainer."""
    torch.manual_seed(seed)
    game = Hearts(games=settings.games, seed=seed, observation="compact")
    packed = {name: game.views[name].shape[-1] for name in ("bits", "others")}
    net = player({"bits": packed["bits"]}, (settings.width,))
    values = critic(packed, (settings.width,))
    return SelfPlay(game, net, settings.ppo, seed=seed, device=device, critic=values)
