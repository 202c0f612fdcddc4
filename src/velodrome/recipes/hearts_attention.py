"""Hearts with the masked-attention net of the self-play report, at the report's batch, minibatch and epochs.

What the report had wrong is right here: every seat learns from its own points along its own decisions, the history is
the same seat's and in time order, and the seat is known. Each knob that the report recommends turning is a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from velodrome.games.hearts import Hearts
from velodrome.learn.opponents import Opponents
from velodrome.learn.ppo import Ppo, SelfPlay
from velodrome.nets.hearts import AttentionNet
from velodrome.recipes.recipe import recipe


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    games: int = 40
    """Played side by side."""
    lanes: int = 2
    """Processes that play and learn side by side, one core each."""
    reward: Literal["deal", "trick"] = "trick"
    """Whether points count with the trick that brought them or, as in the report, when the deal is over."""
    forced: Literal["asked", "played"] = "asked"
    """Whether decisions that leave one legal card are asked for and learnt from, as in the report."""
    width: int = 128
    """Of the embedding; the report's reduced net has 64, its minimal one 32."""
    heads: int = 4
    """Reduced 2, minimal 1."""
    layers: int = 2
    """Encoder layers; reduced and minimal 1."""
    dropout: float = 0.0
    """The report's 0.1 makes PPO's ratio differ from 1 before the first update; 0 mends that."""
    ppo: Ppo = Ppo(
        batch=4000, minibatch=32, epochs=10, rate=3e-5, discount=0.8, trace=0.5, entropy=0.01, value=1.0,
        reward_scale=0.1, kl_stop=0.015, average=0.9995,
    )  # fmt: skip
    """The report's batch, minibatch, epochs and weight of the value.

    At its rate of 2e-4 so many small steps move the policy until a large part of the samples is clipped. A batch is
    some eighty deals: with its discount of 0.99 and trace of 0.95 all the tricks to come are noise in what a card gets
    the credit for. And once the epochs have moved the policy far, the rest of them teaches the luck of these deals:
    they end there. Its entropy weight is 0.05.
    """
    opponents: Opponents = Opponents(bots=("rule",), bots_share=0.8)
    """At four of five tables the net has one seat beside three rule bots: half of its decisions are made there."""


@recipe(
    "hearts-attention",
    source="Hearts PPO self-play report",
    says="the report's attention net, batch, minibatch and epochs, its faults mended",
)
def hearts_attention(settings: Settings, seed: int, device: str) -> SelfPlay:
    """Build the trainer."""
    torch.manual_seed(seed)
    return SelfPlay(
        Hearts(
            games=settings.games,
            seed=seed,
            observation="openspiel-history",
            reward=settings.reward,
            forced=settings.forced,
        ),
        AttentionNet(settings.width, settings.heads, settings.layers, settings.dropout),
        settings.ppo,
        seed=seed,
        device=device,
        opponents=settings.opponents,
        lanes=settings.lanes,
    )
