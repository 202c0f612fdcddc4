"""The cards of a run's nets, measured once and kept beside its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from velodrome.learn.trainer import Trainer
from velodrome.meter.card import Card, card
from velodrome.mistake import Mistake
from velodrome.recipes.restore import restore
from velodrome.runs.files import plain, write_durably
from velodrome.runs.run import Run

_EXAMPLES = 64
"""Rows of real play that stand for the inputs."""


def keep_cards(folder: Path) -> None:
    """Write cards.json into the folder of a run that has a checkpoint. What cannot be restored here gets no cards."""
    path = folder / "cards.json"
    if path.is_file() or not Run(folder).checkpoints.found():
        return
    try:
        restored = restore(folder)
    except Mistake:
        return
    cards = cards_of(restored.trainer, restored.config.device)
    document = {"models": [one.to_json() for one in cards], "batch": cards[0].batch if cards else None}
    write_durably(path, json.dumps(plain(document), indent=1).encode())


def cards_of(trainer: Trainer, device: str) -> list[Card]:
    """The card of each of a trainer's nets that says which views it `wants`, on rows of its own game."""
    return [
        card(net, example(trainer, net.wants, device), name=name)  # type: ignore[arg-type]
        for name, net in trainer.nets.items()
        if hasattr(net, "wants")
    ]


def example(trainer: Trainer, wants: tuple[str, ...], device: str) -> dict[str, Tensor]:
    """What a net would be given for some rows of the trainer's game as it stands."""
    game = trainer.game
    arrays: dict[str, Any] = dict(game.views) | {"seat": game.seat}
    rows = {name: arrays[name].reshape(-1, *arrays[name].shape[2:])[:_EXAMPLES] for name in wants}
    return {name: torch.from_numpy(values.copy()).to(device) for name, values in rows.items()}
