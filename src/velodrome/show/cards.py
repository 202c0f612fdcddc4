"""The cards of a trainer's nets, on what they see in play."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from velodrome.games.game import Game
from velodrome.learn.trainer import Trainer
from velodrome.meter.card import Card, card

_EXAMPLES = 64
"""Rows of real play that stand for the inputs."""


def cards_of(trainer: Trainer, device: str) -> list[Card]:
    """The card of each of a trainer's nets that says which views it `wants`, on rows of its own game."""
    return [
        card(net, example(trainer.game, net.wants, device), name=name)  # type: ignore[arg-type]
        for name, net in trainer.nets.items()
        if hasattr(net, "wants")
    ]


def example(game: Game, wants: tuple[str, ...], device: str) -> dict[str, Tensor]:
    """What a net would be given for some rows of a game as it stands."""
    arrays: dict[str, Any] = dict(game.views) | {"seat": game.seat}
    rows = {name: arrays[name].reshape(-1, *arrays[name].shape[2:])[:_EXAMPLES] for name in wants}
    return {name: torch.from_numpy(values.copy()).to(device) for name, values in rows.items()}
