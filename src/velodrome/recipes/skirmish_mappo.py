"""Skirmish by MAPPO: one small net plays every unit, a critic sees the whole map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from velodrome.games import make
from velodrome.games.game import Game
from velodrome.learn.actions import Actions
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.learn.trainer import Scheme
from velodrome.nets.flat import Eyes, FlatNet
from velodrome.recipes.recipe import Team, recipe


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    map: str = "3m"
    """Or `starcraft:3m` for the game itself, where that is installed."""
    observation: Literal["stock", "madt"] = "madt"
    """What a unit sees: as in SMAC, or also everyone's last action and its own number, as MAPPO is usually run."""
    games: int = 128
    """Played side by side."""
    lanes: int = 2
    """Processes that play and learn side by side, one core each."""
    widths: tuple[int, ...] = (64, 64)
    """Of the player's layers."""
    critic_widths: tuple[int, ...] = (128, 128)
    """Of the central critic's layers."""
    ppo: Ppo = Ppo(
        batch=65536, minibatch=8192, epochs=10, rate=7e-4, rate_halves=200, critic_rate=1.5e-3, discount=1.0,
        trace=0.97, limit_ends=True, entropy=0.03, entropy_halves=100, average=0.99,
    )  # fmt: skip
    """What matters is a large batch, many steps from it, and much entropy at first: with less the policy is sure of
    itself long before it wins. If it stayed, everyone would have to cope with everyone's random orders.

    The usual discount, 0.99 a step, has damage early in a battle count for more than the victory at its end. Without
    one, a time limit must be an end: else what it cut off is worth as much as a victory, and units run away."""


@recipe(
    "skirmish-mappo",
    source="Yu et al. 2022",
    says="small nets from scratch, a critic that sees the whole map",
    team=Team(Scheme("centralised")),
)
def skirmish_mappo(settings: Settings, seed: int, device: str) -> SelfPlay:
    """Build the trainer."""
    torch.manual_seed(seed)
    game = battles(settings.map, settings.games, seed, settings.observation)
    seen, whole, agents = (*(game.spec.views[name].shape[0] for name in ("seen", "state")), game.spec.seats)
    return SelfPlay(
        game,
        FlatNet(Eyes({"seen": seen}, {}, agents, False), settings.widths, Actions(game.spec.action).heads, ["legal"]),
        settings.ppo,
        seed=seed,
        device=device,
        critic=FlatNet(Eyes({"seen": seen, "state": whole}, {}, agents, False), settings.critic_widths, {"value": 1}),
        lanes=settings.lanes,
    )


def battles(map: str, games: int, seed: int, observation: str) -> Game:
    """The game on this map, with a view of the whole for critics; `starcraft:MAP` is the game itself."""
    chosen: dict[str, Any] = {} if ":" in map else {"map": map}
    return make(map if ":" in map else "skirmish", games, seed, observation=observation, state=True, **chosen)
