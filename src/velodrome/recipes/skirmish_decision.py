"""Skirmish by decision transformers, first from recorded episodes, then online: MADT, and EVAFormer, whose tokens pass
an autoencoder that an evolutionary search chooses the noise of.

Both are as published where it does not keep them from learning; what was mended is said at the settings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from velodrome.learn.imitate import Imitate, Imitation
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.learn.trainer import Scheme, Stages, Trainer
from velodrome.nets.decision import DecisionNet, Tokens
from velodrome.nets.evolution import Search
from velodrome.recipes.recipe import Team, recipe
from velodrome.recipes.skirmish_mappo import battles
from velodrome.runs.datasets import Dataset

ONLINE = Ppo(
    batch=131072, minibatch=16384, epochs=5, rate=5e-4, critic_rate=1e-3, discount=1.0, trace=0.98, limit_ends=True,
    entropy=0.003, average=0.99,
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    map: str = "3m"
    """Or `starcraft:3m` for the game itself, where that is installed."""
    data: str | None = None
    """A set of episodes of this map to learn from first; without one all is learnt online."""
    pretraining: int = 50
    """Iterations of learning from the set."""
    games: int = 128
    """Played side by side."""
    lanes: int = 2
    """Processes that play and learn side by side, one core each."""
    width: int = 32
    layers: int = 2
    heads: int = 2
    dropout: float = 0.0
    tokens: Tokens = "state_only"
    """What a step shows the net, beside the state: the return hoped for, the last action."""
    context: int = 1
    """Steps that the net looks at, this one and those before."""
    target: float = 20.0
    """The return that is hoped for."""
    imitation: Imitation = Imitation()
    ppo: Ppo = ONLINE
    """As published, a critic that learns faster than the player; but from larger batches in parts, half as often,
    without what has noise move weights that hardly matter, and without a discount, of which `skirmish-mappo` tells:
    with any of the published ones online unlearns what the set taught."""


@dataclass(frozen=True)
class EvaSettings(Settings):
    """What can be set from the command line."""

    ppo: Ppo = replace(ONLINE, anchor=0.001, vote=True)
    """As published, five epochs, and tied to the expert that the pre-training made; all else is MADT's."""
    search: Search = Search()
    """How training chooses noise."""
    mixing: bool = False
    """Mend the mixer, which as published lets no token see another."""
    taught: bool = False
    """Teach the fitness net, which as published stays as it began."""


def scheme_of(settings: Settings) -> Scheme:
    """The critic sees the whole map; with a vote, others' rows count in what an agent does."""
    return Scheme("centralised", "graph" if settings.data and settings.ppo.vote else "none")


@recipe(
    "skirmish-madt",
    source="MADT (Meng et al. 2021)",
    says="a decision transformer, pre-trained on recorded battles, then online",
    team=Team(scheme_of),
)
def skirmish_madt(settings: Settings, seed: int, device: str) -> Stages:
    """Build the trainer."""
    return _stages(settings, seed, device, {"mixer": "mhsa"}, {})


@recipe(
    "skirmish-eva",
    source="EVAFormer / EVA-MARL",
    says="a decision transformer with an evolutionary autoencoder in attention's place",
    team=Team(scheme_of),
)
def skirmish_eva(settings: EvaSettings, seed: int, device: str) -> Stages:
    """Build the trainer."""
    if settings.taught and settings.ppo.as_played and settings.data is None:
        raise ValueError("taught, as_played: played without noise, nothing is judged online, and there is no data")
    mixer = {"mixer": "evae", "search": settings.search, "mixing": settings.mixing}
    return _stages(settings, seed, device, mixer, {"taught": settings.taught})


def _stages(settings: Settings, seed: int, device: str, mixer: Any, players: Any) -> Stages:
    """`mixer` are options of both nets, `players` of the player's alone."""
    torch.manual_seed(seed)
    game = battles(settings.map, settings.games, seed, "madt")
    orders = game.spec.action[0].n
    of_both = {
        **mixer, "orders": orders, "tokens": settings.tokens, "context": settings.context, "width": settings.width,
        "layers": settings.layers, "heads": settings.heads, "dropout": settings.dropout, "target": settings.target,
    }  # fmt: skip
    sizes = {name: game.spec.views[name].shape[0] for name in ("seen", "state")}
    net = DecisionNet("seen", sizes["seen"], "order", orders, **of_both, **players)
    critic = DecisionNet("state", sizes["state"], "value", 1, **of_both)
    ppo, stages = settings.ppo, list[tuple[Trainer, int]]()
    if settings.data is None:
        ppo = replace(ppo, anchor=0.0, vote=False)  # there is no expert that has learnt anything
    elif not ppo.critic_rate:
        raise ValueError("critic_rate=0: with data the critic needs a rate of its own, as it has there")
    else:
        data = Dataset(Path(settings.data))
        first = Imitate(game.again(1), data, net, settings.imitation, seed=seed, device=device, critic=critic)
        stages.append((first, settings.pretraining))
    online = SelfPlay(game, net, ppo, seed=seed, device=device, critic=critic, lanes=settings.lanes)
    return Stages([*stages, (online, 0)])
