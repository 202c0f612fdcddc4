"""Skirmish by VDN and by QMIX, spread by QMIX: one net plays every agent and says what its orders are worth, a mixer
adds it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from velodrome.games import make
from velodrome.games.game import Choice, Game
from velodrome.learn.trainer import Scheme
from velodrome.learn.value import Value, ValueTeam
from velodrome.nets.agent import AgentNet
from velodrome.nets.mixing import Monotone, Sum
from velodrome.recipes.recipe import Team, recipe
from velodrome.recipes.skirmish_mappo import battles


@dataclass(frozen=True)
class Units:
    """Settings that units have whatever they learn by."""

    map: str = "3m"
    """Or `starcraft:3m` for the game itself, where that is installed."""
    games: int = 64
    """Played side by side, each to its end, in an iteration."""
    width: int = 64
    """Of the player's layers."""
    recurrent: bool = False
    """Whether units remember what they saw, as published. They see nearly everything, and it takes twice as long."""


@dataclass(frozen=True)
class Settings(Units):
    """What can be set from the command line."""

    value: Value = Value(
        batch=64, updates=8, memory=1024, rate=2e-3, rate_halves=50, trace=0.9, explore_steps=100_000, follow=0.02
    )
    """As published, returns look one step ahead and the memory is five times as long. What a battle really brought is
    told sooner, and is true only of battles that were fought much as one would fight now."""


@recipe(
    "skirmish-qmix",
    source="Rashid et al. 2018",
    says="what units' orders are worth, mixed by a monotone net",
    team=Team(Scheme("centralised")),
)
def skirmish_qmix(settings: Settings, seed: int, device: str) -> ValueTeam:
    """Build the trainer."""
    return _battles(settings, seed, device, mixes=True)


@recipe(
    "skirmish-vdn",
    source="Sunehag et al. 2018",
    says="what units' orders are worth, simply added up",
    team=Team(Scheme("centralised")),
)
def skirmish_vdn(settings: Settings, seed: int, device: str) -> ValueTeam:
    """Build the trainer."""
    return _battles(settings, seed, device, mixes=False)


def _battles(settings: Settings, seed: int, device: str, *, mixes: bool) -> ValueTeam:
    """The team in skirmish; a net `mixes` what orders are worth, or it is simply added up."""
    torch.manual_seed(seed)
    game = battles(settings.map, settings.games, seed, "stock")
    net = player(game, settings.width, settings.recurrent)
    mixer = Monotone(game.spec.views["state"].shape[0], game.spec.seats) if mixes else Sum()
    return ValueTeam(game, net, mixer, settings.value, seed=seed, device=device)


@dataclass(frozen=True)
class SpreadSettings:
    """What can be set from the command line."""

    agents: int = 3
    convention: Literal["openai", "pettingzoo", "vmas"] = "openai"
    """How the reward is counted."""
    games: int = 64
    """Played side by side, each to its end, in an iteration."""
    width: int = 64
    """Of the player's layers."""
    value: Value = Value(
        batch=64, updates=8, memory=4096, rate=1e-3, trace=0.9, explore_steps=100_000, follow=0.02,
        normalise_rewards=True,
    )  # fmt: skip


@recipe(
    "spread-qmix",
    source="Rashid et al. 2018",
    says="what agents' pushes are worth, mixed by a monotone net",
    team=Team(Scheme("centralised"), agents="agents"),
)
def spread_qmix(settings: SpreadSettings, seed: int, device: str) -> ValueTeam:
    """Build the trainer."""
    torch.manual_seed(seed)
    kind: dict[str, Any] = {"agents": settings.agents, "convention": settings.convention}
    game = make("spread", settings.games, seed, control="choice", state=True, **kind)
    mixer = Monotone(game.spec.views["state"].shape[0], game.spec.seats)
    return ValueTeam(game, player(game, settings.width, False), mixer, settings.value, seed=seed, device=device)


def player(game: Game, width: int, recurrent: bool) -> AgentNet:
    """One net for all units, told what it did last and which unit it is: the stock observation says neither."""
    part, seen = game.spec.action[0], game.spec.views["seen"].shape[0]
    assert isinstance(part, Choice)
    return AgentNet(seen, part.name, part.n, game.spec.seats, width, memory=recurrent)
