"""The nets: three kinds of eyes before the same trunk, and what may be done badly in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from planted.game import KINDS, SUITS


@dataclass(frozen=True)
class Net:
    """What can be set of the net."""

    eyes: Literal["flat", "map", "tokens"] = "flat"
    """One wide layer; convolutions over a board on which the cards lie; attention from card to card."""
    width: int = 64
    depth: int = 6
    plans: int = 1
    """Intentions, vectors that are learnt: the net's outputs are their mean."""
    input: Literal["dense", "indices"] = "indices"
    """Rows of mostly zeros times the first layer's weights, or the sum of those weights that a one would pick."""
    dead: bool = False
    """A branch whose outputs are multiplied by zero."""
    candidates: Literal["loop", "batched"] = "batched"
    """The plans one after the other, or all at once."""
    attention: Literal["spelt", "fused"] = "fused"
    positions: Literal["copied", "looked-up"] = "looked-up"
    """What tells places apart is repeated for every row and worked out there, or comes from a table for all rows."""
    layout: Literal["contiguous", "channels-last"] = "channels-last"
    precision: Literal["float32", "bfloat16"] = "float32"


class Flat(nn.Module):
    """Every kind in every place has weights of its own."""

    first: Tensor

    def __init__(self, cards: int, how: Net):
        super().__init__()
        self.how = how
        self.weight = nn.Parameter(torch.randn(cards * KINDS, how.width) * cards**-0.5)
        self.register_buffer("first", KINDS * torch.arange(cards), persistent=False)

    def forward(self, cards: Tensor) -> Tensor:
        """`[rows, width]`: the sum of the weights of all cards."""
        if self.how.input == "dense":
            return F.one_hot(cards, KINDS).flatten(1).float() @ self.weight
        return F.embedding_bag(cards + self.first, self.weight, mode="sum")


class Map(nn.Module):
    """The cards lie on a square board, and what is near is looked at together."""

    CHANNELS = 24

    def __init__(self, cards: int, how: Net):
        super().__init__()
        self.how, self.side = how, round(cards**0.5)
        self.kinds = nn.Embedding(KINDS, self.CHANNELS)
        self.near = nn.Conv2d(self.CHANNELS, self.CHANNELS, 3, padding=1)
        self.far = nn.Conv2d(self.CHANNELS, self.CHANNELS, 3, padding=1)
        self.out = nn.Linear(self.CHANNELS * (self.side // 4) ** 2, how.width)
        if how.layout == "channels-last":
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, cards: Tensor) -> Tensor:
        """`[rows, width]`: what is seen of the board, after two looks at it."""
        board = self.kinds(cards).unflatten(1, (self.side, self.side)).permute(0, 3, 1, 2)
        if self.how.layout == "contiguous":
            board = board.contiguous()
        board = F.max_pool2d(self.near(board).relu(), 2)
        board = F.max_pool2d(self.far(board).relu(), 2)
        out: Tensor = self.out(board.flatten(1))
        return out


WAVES = 4
"""As many are in each number that tells a place."""


class Tokens(nn.Module):
    """Every card looks at every other."""

    HEADS = 2
    angles: Tensor
    table: Tensor

    def __init__(self, cards: int, how: Net):
        super().__init__()
        self.how = how
        self.kinds = nn.Embedding(KINDS, how.width)
        self.ask, self.answer = nn.Linear(how.width, 3 * how.width), nn.Linear(how.width, how.width)
        angles = torch.arange(cards)[:, None] / 100 ** torch.linspace(0, 1, how.width * WAVES // 2)
        self.register_buffer("angles", angles, persistent=False)
        self.register_buffer("table", waves(angles), persistent=False)

    def forward(self, cards: Tensor) -> Tensor:
        """`[rows, width]`: the mean over the cards, each with what it has learnt of the others."""
        copied = self.how.positions == "copied"
        seen = self.kinds(cards) + (waves(self.angles.repeat(len(cards), 1, 1)) if copied else self.table)
        asked = self.ask(seen).unflatten(-1, (3, self.HEADS, -1)).permute(2, 0, 3, 1, 4)
        told = attend(asked[0], asked[1], asked[2], self.how.attention == "spelt")
        out: Tensor = (seen + self.answer(told.transpose(1, 2).flatten(2))).mean(1)
        return out


def waves(angles: Tensor) -> Tensor:
    """A place as sums of some sines and cosines."""
    return torch.cat([angles.sin(), angles.cos()], -1).unflatten(-1, (WAVES, -1)).mean(-2)


def attend(query: Tensor, key: Tensor, value: Tensor, spelt: bool) -> Tensor:
    """Attention, step by step or in one operation."""
    if spelt:
        weights: Tensor = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(-1)
        return weights @ value
    return F.scaled_dot_product_attention(query, key, value)


class Block(nn.Module):
    """A layer beside which its input passes."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.layer = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """The input, and what the layer adds to it."""
        out: Tensor = x + self.layer(self.norm(x)).relu()
        return out


EYES = {"flat": Flat, "map": Map, "tokens": Tokens}


class PlayerNet(nn.Module):
    """From a player's cards to what to name, and how much that will bring."""

    def __init__(self, cards: int, how: Net):
        super().__init__()
        self.how = how
        self.eyes = EYES[how.eyes](cards, how)
        self.trunk = nn.Sequential(*(Block(how.width) for _ in range(how.depth)))
        self.plans = nn.Parameter(torch.randn(how.plans, how.width))
        self.last, self.heads = Block(how.width), nn.Linear(how.width, SUITS + 1)
        if how.dead:  # made last, so that all others begin with the same weights
            wide = 6 * how.width
            self.aside = nn.Sequential(nn.Linear(how.width, wide), nn.ReLU(), nn.Linear(wide, how.width))

    def forward(self, views: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A raw number for each suit, and the value."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.how.precision == "bfloat16"):
            seen = self.trunk(self.eyes(views["cards"]))
            if self.how.dead:
                seen = seen + 0 * self.aside(seen)
            out = self.of_plans(seen).float()
        return {"suit": out[:, :SUITS], "value": out[:, SUITS]}

    def of_plans(self, seen: Tensor) -> Tensor:
        """The mean of what every plan says."""
        if self.how.candidates == "loop":
            return torch.stack([self.heads(self.last(seen + plan)) for plan in self.plans]).mean(0)
        out: Tensor = self.heads(self.last(seen + self.plans[:, None])).mean(0)
        return out
