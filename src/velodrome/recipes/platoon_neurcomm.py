"""Platoon by NeurComm or one of its siblings: every vehicle a net of its own, which hears of those next to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from velodrome.games import make
from velodrome.learn.a2c import A2c, Messages, TeamA2c
from velodrome.learn.trainer import Scheme
from velodrome.nets.neurcomm import TELLS, Method, NeighbourNet, distances, line
from velodrome.nets.neurcomm_plain import PlainNet
from velodrome.nets.team import PERFECT, Channel
from velodrome.recipes.recipe import Team, recipe


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    method: Method = "neurcomm"
    """Which of the siblings; what they know of each other is all they differ in."""
    hears: bool = True
    """Whether vehicles know anything of those next to them; else each has but its own sight."""
    scenario: Literal["catch-up", "slow-down"] = "catch-up"
    vehicles: int = 8
    behind: bool = True
    """Count for a vehicle what those behind it earn, and not what those ahead do, whom it cannot move (published: what
    all do)."""
    warn: bool = True
    """Whether gaps that are too small cost something while learning."""
    hold: int = 5
    """Steps of a tenth of a second for which a decision is good (published: 1). What a vehicle does shows in its gap
    only after seconds, and drawn anew in every step it does a bit of everything."""
    games: int = 64
    """Played side by side (published: 1)."""
    width: int = 64
    """Of each vehicle's layers."""
    form: Literal["stacked", "plain"] = "stacked"
    """All vehicles' nets at once, or one by one, as it was published."""
    channel: Channel = Channel()
    """What becomes of messages on their way."""
    a2c: A2c = A2c(
        rows=20, discount=0.98, trace=0.95, reach=0.5, reward_scale=3e-5, normalise=True, entropy=0.001,
        entropy_halves=100, value=1.0, descent="adam", rate=2e-3, rate_halves=200,
    )  # fmt: skip
    """If all that those behind earn counts in full, nobody gains anything by closing up: the gap is then the next
    vehicle's, and all stay where they are."""


def _scheme(settings: Settings) -> Scheme:
    return Scheme("decentralised", "graph" if settings.hears and TELLS[settings.method] else "none")


@recipe(
    "platoon-neurcomm",
    source="Chu et al. 2020",
    says="vehicles in a line tell their neighbours what they think",
    team=Team(_scheme, agents="vehicles", silent={"method": "ia2c", "hears": False}),
)
def platoon_neurcomm(settings: Settings, seed: int, device: str) -> TeamA2c:
    """Build the trainer."""
    torch.manual_seed(seed)
    game = make(
        "platoon", settings.games, seed, scenario=settings.scenario, vehicles=settings.vehicles, warn=settings.warn,
        hold=settings.hold,
    )  # fmt: skip
    in_line, seen = line(settings.vehicles), game.spec.views["seen"].shape[0]
    neighbours = in_line if settings.hears else [[] for _ in in_line]
    if settings.form == "plain" and settings.channel != PERFECT:
        raise ValueError("channel: in the plain form all messages arrive as they are; take form=stacked")
    shape = (neighbours, seen, "heed", 4, settings.method, settings.width)
    net = PlainNet(*shape) if settings.form == "plain" else NeighbourNet(*shape, settings.channel)
    sizes = {"sight": seen, "policy": 4, "hidden": settings.width}
    messages = Messages(neighbours, sum(sizes[name] for name in TELLS[settings.method]), settings.channel)
    away = distances(in_line)
    if settings.behind:
        away = away.masked_fill(torch.ones_like(away).triu(1).bool(), math.inf)
    return TeamA2c(game, net, settings.a2c, away, messages, seed=seed, device=device)
