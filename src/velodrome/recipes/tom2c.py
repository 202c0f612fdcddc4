"""Coverage and navigation by ToM2C: agents that reason about each other, and decide whom to tell.

What was mended of the published system is said at the settings; its graph net is as published but for its width, and
computed in fewer steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from velodrome.games import make
from velodrome.games.game import Game
from velodrome.learn.tom2c import ActorCritic, Reducer, Reduction, Tom2c
from velodrome.learn.trainer import Scheme, Stages, Trainer
from velodrome.nets.tom2c import Minds, Sensors, Tom2cNet, Walkers
from velodrome.recipes.recipe import Team, recipe


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    agents: int
    games: int = 16
    """Played side by side (published: 6 for coverage, 12 for navigation, each in a process of its own)."""
    reduce_after: int = 0
    """Iterations after which nothing is learnt but to tell less; 0: never."""
    minds: Minds = Minds()
    tom2c: Tom2c = Tom2c()
    reduction: Reduction = Reduction()


@dataclass(frozen=True)
class CoverageSettings(Settings):
    """What can be set from the command line."""

    agents: int = 4
    targets: int = 5
    walkers: float = 0.3
    """The share of targets that walk by chance (published: .7 at first and .3 at last)."""
    axes: Literal["own", "world"] = "own"
    """Along which a sensor is told where the others stand (published: the world's)."""
    tom2c: Tom2c = Tom2c(discount=0.5, entropy=0.03, entropy_halves=300, rate_halves=600)
    """What a sensor does now shows within a few decisions; looking ahead as far as published (.9, and .1 at first), a
    short training hears nothing but noise."""


@dataclass(frozen=True)
class NavigationSettings(Settings):
    """What can be set from the command line."""

    agents: int = 7
    minds: Minds = Minds(rounds=8)
    """Without rounds of giving way, as published, no two may choose alike only once all are believed to do what they
    do, which takes far longer to come about."""
    tom2c: Tom2c = Tom2c(rows=10)


def _scheme(settings: Settings) -> Scheme:
    return Scheme("centralised", "none" if settings.minds.graph == "none" else "learnt")


TEAM = Team(_scheme, agents="agents", silent={"minds.graph": "none", "reduce_after": 0})


@recipe(
    "coverage-tom2c",
    source="ToM2C (Wang et al. 2022)",
    says="sensors that guess at each other, and tell some",
    team=TEAM,
)
def coverage_tom2c(settings: CoverageSettings, seed: int, device: str) -> Trainer:
    """Build the trainer."""
    torch.manual_seed(seed)
    agents, targets = settings.agents, settings.targets
    game = make(
        "coverage", settings.games, seed, sensors=agents, targets=targets, walkers=settings.walkers, axes=settings.axes
    )
    return _trainer(game, Sensors(agents, targets, settings.minds), settings, seed, device)


@recipe(
    "navigation-tom2c",
    source="ToM2C (Wang et al. 2022)",
    says="agents that agree who goes where",
    team=TEAM,
)
def navigation_tom2c(settings: NavigationSettings, seed: int, device: str) -> Trainer:
    """Build the trainer."""
    torch.manual_seed(seed)
    game = make("navigation", settings.games, seed, agents=settings.agents)
    return _trainer(game, Walkers(settings.agents, settings.minds), settings, seed, device)


def _trainer(game: Game, net: Tom2cNet, settings: Settings, seed: int, device: str) -> Trainer:
    first = ActorCritic(game, net, settings.tom2c, seed=seed, device=device)
    if not settings.reduce_after:
        return first
    more = game.again(game.games)
    then = Reducer(more, net, settings.tom2c.rows, settings.reduction, seed=seed, device=device)
    return Stages([(first, settings.reduce_after), (then, 0)])
