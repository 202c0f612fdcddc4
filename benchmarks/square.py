"""A game and a net as small as they come, for benchmarks of the training loop alone: benchmarks/ppo_loop.py.

One walks on a board of 11 x 11 from its middle to a cell somewhere on its border. Finding it pays 1, leaving the board
or taking too long costs 1. The cells are seen as numbers: 1 where one stands, 2 where the target is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.games.game import Array, Choice, Game, Score, Spec, View
from velodrome.games.kernel import below, draw, kernel, rule, seed_states

REACH = 5
SIDE = 2 * REACH + 1
CELLS = SIDE * SIDE
LONGEST = 3 * SIDE
MOVES = 5
"""Stay, up, down, left, right."""

RECORD = np.dtype(
    [("luck", np.uint64), ("row", np.int16), ("column", np.int16), ("target", np.int16), ("moves", np.int16)]
)


@rule
def border_cell(place):  # type: ignore[no-untyped-def]
    """The cell at this place, 0..39, of the way along the border."""
    side, along = place // (SIDE - 1), place % (SIDE - 1)
    if side == 0:
        return along
    if side == 1:
        return along * SIDE + SIDE - 1
    if side == 2:
        return CELLS - 1 - along
    return CELLS - SIDE - along * SIDE


@rule
def begin(game):  # type: ignore[no-untyped-def]
    """Stand in the middle and draw a target."""
    game.luck, bits = draw(game.luck)
    game.row = game.column = REACH
    game.target = border_cell(below(bits, 4 * (SIDE - 1)))
    game.moves = 0


@rule
def show(game, cells):  # type: ignore[no-untyped-def]
    """Write the cells, which hold zeros."""
    if 0 <= game.row < SIDE and 0 <= game.column < SIDE:
        cells[game.row * SIDE + game.column] = 1
    cells[game.target] = 2


@kernel
def deal_marked(games, lo, hi, which, rewards, ended, cells):  # type: ignore[no-untyped-def]
    """Begin anew where marked."""
    for i in range(lo, hi):
        if which[i]:
            begin(games[i])
            rewards[i, 0] = 0
            ended[i] = False
            cells[i] = 0
            show(games[i], cells[i])


@kernel
def move_all(games, lo, hi, moves, rewards, ended, outcome, cells):  # type: ignore[no-untyped-def]
    """Make a move in every game that goes on."""
    for i in range(lo, hi):
        rewards[i, 0] = 0
        if ended[i]:
            continue
        game, move = games[i], moves[i]
        game.row += (move == 2) - (move == 1)
        game.column += (move == 4) - (move == 3)
        game.moves += 1
        inside = 0 <= game.row < SIDE and 0 <= game.column < SIDE
        found = inside and game.row * SIDE + game.column == game.target
        ended[i] = found or not inside or game.moves >= LONGEST
        rewards[i, 0] = 1 if found else -1 if ended[i] else 0
        outcome[i, 0] = rewards[i, 0]
        cells[i] = 0
        show(game, cells[i])


class Square(Game):
    """See the module's text."""

    record: ClassVar[np.dtype[Any]] = RECORD

    def __init__(self, games: int, seed: int, threads: int = 1, first: int = 0, duplicate: bool = False):
        cells = View((CELLS,), np.uint8, 0, 2, "where one stands, and the target")
        score = Score("reward", "higher")
        spec = Spec("square", 1, 1, {"cells": cells}, (Choice("move", MOVES),), score, LONGEST)
        super().__init__(spec, games, seed, threads, first, duplicate)

    def seed_records(self, seed: int, start: Array, luck: Array) -> None:
        """Targets are all the chance there is."""
        seed_states(seed, start, self.records["luck"])

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Begin anew where marked."""
        deal_marked(self.records, lo, hi, which, self.rewards, self.ended, self.views["cells"][:, 0])

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Make a move in every game."""
        seen, moves = self.views["cells"][:, 0], action["move"][:, 0]
        move_all(self.records, lo, hi, moves, self.rewards, self.ended, self.outcome, seen)
        return -1


class SquareNet(nn.Module):
    """One hidden layer, as PufferLib's own policy for such a game has."""

    wants = ("cells",)

    def __init__(self, width: int = 128):
        super().__init__()
        self.hidden = nn.Linear(CELLS, width)
        self.move = nn.Linear(width, MOVES)
        self.value = nn.Linear(width, 1)

    def forward(self, views: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The moves' logits and the value."""
        hidden = F.gelu(self.hidden(views["cells"].float()))
        return {"move": self.move(hidden), "value": self.value(hidden).squeeze(-1)}
