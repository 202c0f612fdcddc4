"""PPO on any Gymnasium environment, PettingZoo environment or game of ours, with a plain net for whatever is seen.

Every agent of a PettingZoo environment is a seat, and all seats share one net, which sees whose turn it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from velodrome.games import GAMES, make
from velodrome.games.game import Bits, Choice, Game, Spec, View
from velodrome.learn.actions import Actions
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.nets.flat import Eyes, FlatNet
from velodrome.recipes.recipe import recipe

KINDS = 1024
"""Whole numbers of a view are each seen as one of n while they are this many inputs at most; else as amounts."""


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    game: str = "gymnasium:CartPole-v1"
    """gymnasium:ID, pettingzoo:MODULE, or a game from `velodrome list`."""
    longest: int | None = None
    """Steps after which a game is cut; needed where an environment has no limit of its own."""
    games: int = 16
    """Played side by side."""
    lanes: int = 1
    """Processes that play and learn side by side, one core each."""
    widths: tuple[int, ...] = (64, 64)
    """Of the layers of the player's net and of the critic's."""
    normalise_observations: bool = True
    """Subtract the running mean of each number that is seen and divide by its running standard deviation."""
    ppo: Ppo = Ppo(
        batch=2048, minibatch=256, epochs=8, rate=5e-4, rate_halves=100, discount=0.99, entropy=0.005, kl_stop=0.02,
        normalise_rewards=True,
    )  # fmt: skip
    """Once every game goes well, advantages are noise: at twice the rate, CartPole's agent then lost what it knew now
    and then."""


@recipe("ppo", source="Schulman et al. 2017", says="any Gymnasium or PettingZoo environment: --game gymnasium:ID")
def ppo(settings: Settings, seed: int, device: str) -> SelfPlay:
    """Build the trainer."""
    torch.manual_seed(seed)
    game = _game(settings, seed)
    eyes = eyes_for(game.spec, settings.normalise_observations)
    masks = [part.mask for part in game.spec.action if isinstance(part, Choice | Bits) and part.mask is not None]
    return SelfPlay(
        game,
        FlatNet(eyes, settings.widths, Actions(game.spec.action).heads, masks),
        settings.ppo,
        seed=seed,
        device=device,
        critic=FlatNet(eyes, settings.widths, {"value": 1}),
        lanes=settings.lanes,
    )


def _game(settings: Settings, seed: int) -> Game:
    if settings.longest is None:
        return make(settings.game, settings.games, seed)
    if settings.game in GAMES:
        raise ValueError(f"--longest {settings.longest}: {settings.game} ends by its own rules; leave the flag out")
    return make(settings.game, settings.games, seed, longest=settings.longest)


def eyes_for(spec: Spec, normalise: bool) -> Eyes:
    """What sees everything that a player may see but the masks."""
    masks = {getattr(part, "mask", None) for part in spec.action}
    seen = {name: view for name, view in spec.views.items() if name not in masks and not view.private}
    kinds = {name: kind for name, view in seen.items() if (kind := _kind(view)) is not None}
    numbers = {name: math.prod(view.shape) for name, view in seen.items() if name not in kinds}
    return Eyes(numbers, kinds, spec.seats, normalise)


def _kind(view: View) -> tuple[int, int, int] | None:
    """How many whole numbers a view holds, the lowest, and of how many each is one; None if they are amounts."""
    if np.dtype(view.dtype).kind not in "iu" or not math.isfinite(view.high - view.low):
        return None
    size, low, n = math.prod(view.shape), int(view.low), int(view.high - view.low) + 1
    return (size, low, n) if size * n <= KINDS else None
