"""Nets for Territory: the published two, and one whose attention has something to choose from.

All give a number for each order, `[rows, 90]`: nine directions, five intensities, with and without a city; and a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.parts import orthogonal

Views = Mapping[str, Tensor]

PIXELS, PLANES, GLOBALS = 128, 5, 16
DIRECTIONS, CHOICES = 8, 10
"""Directions, and the orders in each; waiting is one direction more."""
ORDERS = (DIRECTIONS + 1) * CHOICES
CELLS, FEATURES, SIGHTS = 16, 8, 10
PATIENCE = 3.5
"""What speaks for waiting at first, so that a new net waits four times in five: who attacks at every turn never has the
troops that an attack takes."""


class Heads(nn.Module):
    """The published actor and critic."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, ORDERS))
        self.critic = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 1))
        last = self.actor[-1]
        assert isinstance(last, nn.Linear)
        orthogonal(self.actor, last)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """From `x [rows, 256]`."""
        return {"order": self.actor(x), "value": self.critic(x).squeeze(-1)}


def numbers_net() -> nn.Sequential:
    """What the published nets make of the sixteen numbers."""
    return nn.Sequential(nn.Linear(GLOBALS, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())


class FlattenNet(nn.Module):
    """Three convolutions whose output is laid out flat and passes one large layer, where nearly all weights are."""

    wants = ("map", "globals", "legal")

    def __init__(self, dropout: float = 0.1):
        super().__init__()
        self.map = nn.Sequential(
            nn.Conv2d(PLANES, 32, 8, 4, 2), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 3),
            nn.ReLU(), nn.Flatten(), nn.Linear(64 * 14 * 14, 512), nn.ReLU(),
        )  # fmt: skip
        self.numbers = numbers_net()
        self.fusion = nn.Sequential(nn.Linear(512 + 128, 256), nn.ReLU(), nn.Dropout(dropout))
        self.heads = Heads()

    def forward(self, views: Views) -> dict[str, Tensor]:
        """The numbers of the orders and the value."""
        seen = self.map(views["map"].permute(0, 3, 1, 2))
        x: dict[str, Tensor] = self.heads(self.fusion(torch.cat([seen, self.numbers(views["globals"])], -1)))
        return x


class Gated(nn.Module):
    """A convolution whose output is weighed place by place: by a sigmoid, between 0 and 1."""

    def __init__(self, inputs: int, outputs: int, shape: tuple[int, int, int], norm: Literal["batch", "group"]):
        """`shape` is the side of the kernel, how far it moves, and the margin."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, *shape)
        self.norm: nn.Module = nn.BatchNorm2d(outputs) if norm == "batch" else nn.GroupNorm(8, outputs)
        self.gate = nn.Conv2d(outputs, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What passes, and the weights of the places `[rows, h, w]`."""
        x = F.relu(self.norm(self.conv(x)))
        weight = torch.sigmoid(self.gate(x))
        return x * weight, weight.squeeze(1)


class LoneKey(nn.Module):
    """The published "cross-attention": one query, one key, one value. A softmax over one number is 1, so query and key
    do nothing and learn nothing."""

    def __init__(self, queries: int = 256, width: int = 128):
        super().__init__()
        self.query, self.key = nn.Linear(queries, width), nn.Linear(width, width)
        self.value, self.output = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, seen: Tensor, told: Tensor) -> Tensor:
        """`seen [rows, queries]` asks `told [rows, width]`."""
        query, key = self.query(seen)[:, None], self.key(told)[:, None]
        weight = (query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])).softmax(-1)
        return self.output((weight @ self.value(told)[:, None]).squeeze(1))  # type: ignore[no-any-return]


class AttentionNet(nn.Module):
    """Gated convolutions, the mean over all places, and a cross-attention with one key.

    As published, with batch statistics and dropout: what a decision was worth then depends on those beside it, and
    PPO's ratio is not 1 before the first update. `steady` has groups of channels normalised in each row by itself, and
    no dropout; it has as many weights.
    """

    wants = ("map", "globals", "legal")

    def __init__(self, steady: bool = False):
        super().__init__()
        norm: Literal["batch", "group"] = "group" if steady else "batch"
        self.gates = nn.ModuleList(
            [Gated(PLANES, 32, (8, 4, 2), norm), Gated(32, 64, (4, 4, 0), norm), Gated(64, 128, (4, 2, 1), norm)]
        )
        self.pooled = nn.Sequential(nn.Linear(128, 256), nn.ReLU())
        self.numbers = numbers_net()
        self.cross = LoneKey()
        self.fusion = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.0 if steady else 0.1))
        self.heads = Heads()

    def forward(self, views: Views) -> dict[str, Tensor]:
        """The numbers of the orders and the value."""
        x, _ = self._see(views)
        seen, told = self.pooled(x.mean((2, 3))), self.numbers(views["globals"])
        found: dict[str, Tensor] = self.heads(self.fusion(torch.cat([seen, told, self.cross(seen, told)], -1)))
        return found

    def _see(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        x, weights = views["map"].permute(0, 3, 1, 2), {}
        for number, gated in enumerate(self.gates, 1):
            x, weights[f"gate {number}"] = gated(x)
        return x, weights

    @torch.no_grad()
    def looks(self, views: Views) -> dict[str, Tensor]:
        """Where each gate lets pass how much, `[rows, h, w]`."""
        return self._see(views)[1]


class Across(nn.Module):
    """Multi-head attention of some tokens to others."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.ask_norm, self.tell_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.tell = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(self, asking: Tensor, telling: Tensor) -> Tensor:
        """What `asking [rows, n, width]` find in `telling [rows, m, width]`, added to them."""
        q, k, v = self._split(asking, telling)
        found = F.scaled_dot_product_attention(q, k, v)
        return asking + self.output(found.transpose(1, 2).flatten(-2))  # type: ignore[no-any-return]

    def _split(self, asking: Tensor, telling: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        told = self.tell(self.tell_norm(telling)).chunk(2, -1)
        parts = (self.query(self.ask_norm(asking)), *told)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return q, k, v

    @torch.no_grad()
    def weights(self, asking: Tensor, telling: Tensor) -> Tensor:
        """How much each attends to each `[rows, n, m]`, in the mean over heads."""
        q, k, _ = self._split(asking, telling)
        return (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1).mean(1)

    def forward_flops(self, asking: Tensor, telling: Tensor) -> int:
        """Products, for the card."""
        (rows, n, width), m = asking.shape, telling.shape[1]
        return rows * (4 * n * width**2 + 4 * m * width**2 + 4 * n * m * width)


class CrossNet(nn.Module):
    """Squares of the coarse map and directions look at each other.

    The map is 16 tokens, the directions and the sixteen numbers are nine. First the map asks the nine, then the nine
    ask the map; each direction then has its own orders, so what lies where decides what is done there.
    """

    wants = ("coarse", "sights", "globals", "legal")

    def __init__(self, width: int = 64, heads: int = 4, patch: int = 4):
        super().__init__()
        self.patch, self.side = patch, CELLS // patch
        self.patches = nn.Linear(FEATURES * patch * patch, width)
        self.places = nn.Parameter(0.1 * torch.randn(self.side * self.side, width))
        self.sights = nn.Linear(SIGHTS, width)
        self.directions = nn.Parameter(0.1 * torch.randn(DIRECTIONS, width))
        self.numbers = nn.Linear(GLOBALS, width)
        self.map_asks, self.nine_ask = Across(width, heads), Across(width, heads)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.LayerNorm(width)
        self.orders, self.wait = nn.Linear(2 * width, CHOICES), nn.Linear(width, CHOICES)
        self.critic = nn.Sequential(nn.Linear(2 * width, 128), nn.GELU(), nn.Linear(128, 1))
        for last in (self.orders, self.wait):
            orthogonal(last, last)
        nn.init.constant_(self.wait.bias, PATIENCE)

    def tokens(self, views: Views) -> tuple[Tensor, Tensor]:
        """The map `[rows, 16, width]` and the nine `[rows, 9, width]`."""
        rows, side, patch = views["coarse"].shape[0], self.side, self.patch
        cut = views["coarse"].view(rows, side, patch, side, patch * FEATURES).transpose(2, 3)
        places = F.gelu(self.patches(cut.reshape(rows, side * side, -1))) + self.places
        directions = F.gelu(self.sights(views["sights"])) + self.directions
        return places, torch.cat([directions, F.gelu(self.numbers(views["globals"]))[:, None]], 1)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """The numbers of the orders and the value."""
        places, nine = self.tokens(views)
        places = self.map_asks(places, nine)
        nine = self.nine_ask(nine, places)
        nine = self.norm(nine + self.think(nine))
        directions, whole = nine[:, :DIRECTIONS], nine[:, DIRECTIONS]
        both = torch.cat([directions, whole[:, None].expand_as(directions)], -1)
        orders = torch.cat([self.orders(both).flatten(1), self.wait(whole)], -1)
        value = self.critic(torch.cat([whole, directions.mean(1)], -1)).squeeze(-1)
        return {"order": orders, "value": value}

    @torch.no_grad()
    def looks(self, views: Views) -> dict[str, Tensor]:
        """Where on the map the directions, and the numbers, look: `[rows, 4, 4]`."""
        places, nine = self.tokens(views)
        weights = self.nine_ask.weights(nine, self.map_asks(places, nine))
        weights = weights.view(*weights.shape[:2], self.side, self.side)
        return {"the directions": weights[:, :DIRECTIONS].mean(1), "the numbers": weights[:, DIRECTIONS]}


# The nets by name, each with example inputs as wide as the game's views.


def flatten() -> tuple[nn.Module, tuple[Any, ...]]:
    """The published net before its attention."""
    return FlattenNet(), (_published(16),)


def attention() -> tuple[nn.Module, tuple[Any, ...]]:
    """The published net with gates and the cross-attention of one key."""
    return AttentionNet(), (_published(16),)


def attention_steady() -> tuple[nn.Module, tuple[Any, ...]]:
    """The same without batch statistics and dropout."""
    return AttentionNet(steady=True), (_published(16),)


def cross() -> tuple[nn.Module, tuple[Any, ...]]:
    """The net of the recipe `territory`."""
    draws = {"coarse": torch.rand(16, CELLS, CELLS, FEATURES), "sights": torch.randn(16, DIRECTIONS, SIGHTS)}
    return CrossNet(), (draws | _numbers(16),)


def _published(rows: int) -> dict[str, Tensor]:
    return {"map": torch.rand(rows, PIXELS, PIXELS, PLANES)} | _numbers(rows)


def _numbers(rows: int) -> dict[str, Tensor]:
    return {"globals": torch.randn(rows, GLOBALS), "legal": torch.ones(rows, ORDERS, dtype=torch.bool)}
