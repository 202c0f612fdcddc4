"""Where a net looks: its weights of places, drawn over the position that it looks at."""

from __future__ import annotations

import base64
import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib import image
from numpy.typing import NDArray
from torch import nn

from velodrome.games.game import Game
from velodrome.learn.players import seated
from velodrome.learn.trainer import Trainer
from velodrome.show.cards import example

DECISIONS = (3, 12, 24)
"""After how many the positions are taken."""
SIDE = 192
"""Of a picture, in pixels, at least."""
DIM = 0.25
"""How much is left of the colour of a place that is not looked at."""


@dataclass(frozen=True)
class Look:
    """What a net looks at in one position."""

    position: str
    """Which position it is."""
    pictures: dict[str, str]
    """The position itself, then the same with each kind of look, as PNG in base64."""

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return asdict(self)


def looks_of(trainer: Trainer, device: str) -> dict[str, list[Look]]:
    """What each of a trainer's nets that tells where it looks makes of a few positions of its own play, where the game
    has pictures."""
    nets = {name: net for name, net in trainer.nets.items() if hasattr(net, "looks")}
    if not nets or trainer.game.picture(0) is None:
        return {}
    game = trainer.game.again(1, seed=0)
    player = seated(trainer, game, device=device)
    found: dict[str, list[Look]] = {name: [] for name in nets}
    for decision in range(max(DECISIONS) + 1):
        if decision in DECISIONS:
            for name, net in nets.items():
                found[name].append(_look(net, game, f"after {decision} decisions", device))
        game.step(player.decide(game.acting))
        if game.ended[0] or game.cut[0]:
            break
    return {name: looks for name, looks in found.items() if looks}


def _look(net: nn.Module, game: Game, position: str, device: str) -> Look:
    board, training = game.picture(0), net.training
    assert board is not None
    net.eval()
    weights = net.looks(example(game, net.wants, device))  # type: ignore[operator,arg-type]
    net.train(training)
    pictures = {"the position": _png(board)}
    for name, weight in weights.items():
        pictures[name] = _png(lit(board, weight[0].cpu().numpy()))
    return Look(position, pictures)


def lit(board: NDArray[np.uint8], weight: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture `[h, w, 3]`, dark where there is little weight. The weights `[m, n]` cover it evenly."""
    rows = np.arange(board.shape[0]) * weight.shape[0] // board.shape[0]
    columns = np.arange(board.shape[1]) * weight.shape[1] // board.shape[1]
    share = (weight / max(float(weight.max()), 1e-9))[rows[:, None], columns]
    found: NDArray[np.uint8] = (board * (DIM + (1 - DIM) * share[..., None])).round().astype(np.uint8)
    return found


def _png(picture: NDArray[np.uint8]) -> str:
    times = max(1, -(-SIDE // max(picture.shape[:2])))
    kept = io.BytesIO()
    image.imsave(kept, np.repeat(np.repeat(picture, times, 0), times, 1), format="png")
    return base64.b64encode(kept.getvalue()).decode()
