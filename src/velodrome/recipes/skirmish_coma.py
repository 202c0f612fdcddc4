"""Skirmish by COMA: one net plays every unit, a critic tells each what its own order was good for."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from velodrome.learn.coma import Coma, ComaTeam
from velodrome.learn.trainer import Scheme
from velodrome.nets.counterfactual import Counterfactual
from velodrome.recipes.recipe import Team, recipe
from velodrome.recipes.skirmish_mappo import battles
from velodrome.recipes.value import Units, player


@dataclass(frozen=True)
class Settings(Units):
    """What can be set from the command line."""

    critic_widths: tuple[int, ...] = (128, 128)
    """Of the central critic's layers."""
    coma: Coma = Coma(
        rate=2e-3, critic_rate=2e-3, critic_updates=4, trace=0.9, copy_every=10, entropy=0.03, entropy_least=0.015,
        explore=0.05, explore_least=0.02, explore_steps=400_000, normalise_advantages=True,
    )  # fmt: skip
    """Without the weight of the entropy the policy is sure of itself as soon as everyone attacks what is near, and
    never learns to do better. In units of the returns it holds it back as much at the end as at first."""


@recipe(
    "skirmish-coma",
    source="Foerster et al. 2018",
    says="a critic tells each unit what its own order was good for",
    team=Team(Scheme("centralised")),
)
def skirmish_coma(settings: Settings, seed: int, device: str) -> ComaTeam:
    """Build the trainer."""
    torch.manual_seed(seed)
    game = battles(settings.map, settings.games, seed, "stock")
    net = player(game, settings.width, settings.recurrent)
    state, seen = (game.spec.views[name].shape[0] for name in ("state", "seen"))
    critic = Counterfactual(state, seen, net.orders, net.agents, settings.critic_widths)
    return ComaTeam(game, net, critic, settings.coma, seed=seed, device=device)
