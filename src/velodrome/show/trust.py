"""How far a net's word can be trusted that says how sure it is: how often it was right, by how sure it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from velodrome.games.game import Array
from velodrome.learn.players import seated
from velodrome.learn.trainer import Telling, Trainer, Views

GAMES = 32
"""Played to their end by the agent itself."""
BINS = 10
"""Of equal width, from never to always."""


@dataclass(frozen=True)
class Trust:
    """What came of one thing that a net is more or less sure of. Bins in which nothing was said are left out."""

    of: str
    """What it is sure of."""
    said: list[float]
    """How sure it was, in the mean of each bin."""
    right: list[float]
    """The part of them in which it was right."""
    times: list[int]
    off: float
    """How far the two are apart, in the mean over all that was said."""

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return asdict(self)


def trust_of(trainer: Trainer, device: str) -> list[Trust]:
    """Of each thing that a net of this trainer says it is sure of, judged by private views of the agent's own play."""
    policy = trainer.policy(greedy=True)
    if not isinstance(policy, Telling) or not any(hasattr(net, "judges") for net in trainer.nets.values()):
        return []
    game = trainer.game.again(GAMES, seed=0)
    player, live = seated(policy, game, greedy=True, device=device), np.ones(game.games, np.bool_)
    found: dict[str, list[tuple[Array, Array]]] = {}

    def listen(net: Any, given: Mapping[str, Tensor], _: Views) -> None:
        for sure, (choice, truth) in getattr(net, "judges", {}).items():
            due = given[net.stands[sure]].cpu().numpy()
            said = given[sure].sigmoid().cpu().numpy()[due]
            right = given[choice].argmax(-1).cpu().numpy()[due] == game.views[truth].reshape(-1)[rows.ravel()][due]
            found.setdefault(choice, []).append((said, right))

    policy.heard_by(listen)
    for _ in range(game.spec.longest):
        rows = live[:, None] & game.acting
        game.step(player.decide(rows))
        live &= ~(game.ended | game.cut)
        if not live.any():
            break
    return [binned(of, *map(np.concatenate, zip(*told, strict=True))) for of, told in found.items()]


def binned(of: str, said: Array, right: Array) -> Trust:
    """How often it was `right`, by how sure it `said` it was."""
    which = np.minimum((said * BINS).astype(np.int64), BINS - 1)
    times = np.bincount(which, minlength=BINS)
    some = times > 0
    sure, true = (np.bincount(which, part, BINS)[some] / times[some] for part in (said, right))
    off = float((np.abs(sure - true) * times[some]).sum() / max(times.sum(), 1))
    return Trust(of, sure.tolist(), true.tolist(), times[some].tolist(), off)
