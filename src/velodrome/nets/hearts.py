"""Nets for Hearts: the masked-attention net of the self-play report, a plain one, and a small fast one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.kernels.chain import chained
from velodrome.nets.kernels.encoder import encoded
from velodrome.nets.kernels.operation import Back, Groups, Room, array_from, operation
from velodrome.nets.kernels.places import Array, Place, array_of
from velodrome.nets.kernels.pooling import normalised, pooled
from velodrome.nets.kernels.sparse import entries, summed
from velodrome.nets.parts import (
    Encoder,
    InputLinear,
    Plain,
    Pooling,
    at_least_one,
    orthogonal,
    serves_whole,
    sinusoids,
)

Views = Mapping[str, Tensor]

CARDS = 52
FEATURES = 5088
"""Of OpenSpiel's information state; also the index that pads its lists of set features."""
HISTORY = 5


class AttentionNet(nn.Module):
    """Looks at the last five observations of its own seat: input layer, encoder, pooling by a learnt query, two heads.

    The report's net, with three of its faults mended: the history belongs to one seat and stands in time order, slots
    without an observation are masked, and the seat embedding is given the real seat. Its dropout of 0.1, active in
    training only, makes the ratio of a first PPO epoch differ from 1; here it is a setting, off by default.
    """

    wants = ("cards", "past", "seat", "legal")

    def __init__(self, width: int = 128, heads: int = 4, layers: int = 2, dropout: float = 0.0):
        super().__init__()
        self.seats = nn.Embedding(4, 16)
        self.input = InputLinear(FEATURES, width, beside=16)
        self.encoder = Encoder(width, heads, layers, dropout)
        self.pooling = Pooling(width, heads)
        self.policy = Plain(width, width, CARDS, dropout=dropout)
        self.value = Plain(width, 2 * width, width, 1, dropout=dropout)
        self.register_buffer("positions", sinusoids(2 * HISTORY, width), persistent=False)
        self.positions: Tensor

    def forward(self, views: Views) -> dict[str, Tensor]:
        """The logits of the cards and the value."""
        cards, past = views["cards"], at_least_one(views["past"])
        if serves_whole(self, cards, self.input.weight, self.encoder.dropout) and not cards.is_floating_point():
            return self._whole(cards, past, views["seat"])
        x = self.embed(cards, views["seat"]) + self.positions[: past.shape[1]]
        pooled = self.pooling(self.encoder(x, past), past)
        return {"card": self.policy(pooled), "value": self.value(pooled).squeeze(-1)}

    def embed(self, cards: Tensor, seat: Tensor) -> Tensor:
        """Each observation through the input layer: `cards [rows, 5, n]` are lists of set features, or dense floats."""
        own = self.input.beside(self.seats(seat.long()))
        if cards.is_floating_point():
            return self.input.dense(cards) + own[:, None]
        return self.input.listed(cards.flatten(0, 1), FEATURES).view(*cards.shape[:2], -1) + own[:, None]

    @torch.no_grad()
    def looks(self, views: Views) -> dict[str, Tensor]:
        """How much the query attends to each moment, the present one last, `[rows, 5]`."""
        past = at_least_one(views["past"])
        x = self.embed(views["cards"], views["seat"]) + self.positions[: past.shape[1]]
        return {"moments": self.pooling.looks(self.encoder(x, past), past)}

    @cached_property
    def _groups(self) -> Groups:
        own, pooling = self.input, self.pooling
        assert own.weight_beside is not None
        first = self.seats.weight, own.weight_beside, own.bias, own.weight
        norm, policy, value = (list(part.parameters()) for part in (pooling.norm, self.policy, self.value))
        return Groups(first, self.encoder.weights(), pooling.weights(), norm, policy, value)

    def _whole(self, cards: Tensor, past: Tensor, seat: Tensor) -> dict[str, Tensor]:
        """All parts in one operation: between small ones, autograd takes as long as they do."""
        groups, heads, positions = self._groups, self.encoder.heads, array_of(self.positions)[: past.shape[1]]
        rows, mask, asked = len(cards), array_from(past), array_from(seat).astype(np.int64)
        starts, listed = entries(array_from(cards.flatten(0, 1)), FEATURES)

        def run(weights: list[Array], room: Room) -> tuple[tuple[Array, ...], Back]:
            (seats, beside, shift, table), encoder, pooling, norm, policy, value = groups.of(weights)
            x = room(*past.shape, len(shift))
            seat_codes = seats[asked]
            np.add((seat_codes @ beside + shift)[:, None], positions, out=x)
            to_table = summed(starts, listed, table, x.reshape(-1, len(shift)))
            x, through_encoder = encoded(x, encoder, room, mask, heads)
            x, through_pooling = pooled(x, pooling, room, mask, heads)
            x, through_norm = normalised(x, norm, room)
            logits, through_policy = chained(x, policy, room)
            worth, through_value = chained(x, value, room)

            def back(gradients: tuple[Array, ...], places: list[Place]) -> None:
                into, encoder, pooling, norm, policy, value = groups.of(places)
                to_x = through_policy(gradients[0], policy) + through_value(gradients[1][:, None], value)
                to_x = through_pooling(through_norm(to_x, norm), pooling)
                to_x = through_encoder(to_x, encoder)
                to_table(to_x.reshape(-1, len(shift)), into[3])
                to_own = to_x.sum(1)
                np.sum(to_own, 0, out=into[2].array)
                np.dot(seat_codes.T, to_own, out=into[1].array)
                whose = (asked == np.arange(len(seats))[:, None]).astype(np.float32)
                np.dot(whose, to_own @ beside.T, out=into[0].array)

            return (logits, worth.reshape(rows)), back

        logits, worth = operation(run, groups.weights)
        return {"card": logits, "value": worth}


class MlpNet(nn.Module):
    """The report's alternative: three plain layers on OpenSpiel's information state."""

    wants = ("cards", "legal")

    def __init__(self, widths: tuple[int, ...] = (512, 512, 256)):
        super().__init__()
        self.input = InputLinear(FEATURES, widths[0])
        self.trunk = Plain(*widths)
        self.policy = nn.Linear(widths[-1], CARDS)
        self.value = nn.Linear(widths[-1], 1)
        orthogonal(self.policy, last=self.policy)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """The logits of the cards and the value."""
        cards = views["cards"]
        x = self.input.dense(cards) if cards.is_floating_point() else self.input.listed(cards, FEATURES)
        x = F.relu(self.trunk(F.relu(x)))
        return {"card": self.policy(x), "value": self.value(x).squeeze(-1)}


class PackedNet(nn.Module):
    """A plain net on packed bit views laid side by side: a player's `bits`, for a central critic `others` too."""

    def __init__(self, packed: Mapping[str, int], widths: tuple[int, ...], output: str, n: int):
        """`packed` gives the bytes of each view."""
        super().__init__()
        self.packed = tuple(packed)
        self.wants = (*packed, "legal")
        self.output = output
        self.input = InputLinear(8 * sum(packed.values()), widths[0])
        self.trunk = Plain(*widths, n)
        last = self.trunk[-1]
        assert isinstance(last, nn.Linear)
        orthogonal(self.trunk, last, gain=0.01 if n > 1 else 1.0)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """The logits of the cards, or the value."""
        x = self.trunk(F.relu(self.input.packed(torch.cat([views[view] for view in self.packed], -1))))
        return {self.output: x.squeeze(-1) if self.output == "value" else x}


def player(packed: Mapping[str, int], widths: tuple[int, ...] = (128, 128)) -> PackedNet:
    """The compact player: cards from what its seat may see."""
    return PackedNet(packed, widths, "card", CARDS)


def critic(packed: Mapping[str, int], widths: tuple[int, ...] = (128, 128)) -> PackedNet:
    """The central critic: the value of a seat from everything, for training only."""
    return PackedNet(packed, widths, "value", 1)


# The nets by name, each with example inputs as wide as the game's views.

SET, COMPACT_BYTES = 138, 88
"""The most features of an observation that are ever set, and the width of the packed view."""


def attention() -> tuple[nn.Module, tuple[Any, ...]]:
    """The report's net."""
    return AttentionNet(128, 4, 2), (_history(32),)


def attention_reduced() -> tuple[nn.Module, tuple[Any, ...]]:
    """The report's proposal."""
    return AttentionNet(64, 2, 1), (_history(32),)


def attention_minimal() -> tuple[nn.Module, tuple[Any, ...]]:
    """The report's smallest."""
    return AttentionNet(32, 1, 1), (_history(32),)


def mlp() -> tuple[nn.Module, tuple[Any, ...]]:
    """The report's plain alternative."""
    views = _history(32)
    return MlpNet(), ({"cards": views["cards"][:, -1], "legal": views["legal"]},)


def compact() -> tuple[nn.Module, tuple[Any, ...]]:
    """The player of the recipe `hearts`."""
    draws = torch.randint(256, (2, 32, COMPACT_BYTES), dtype=torch.uint8)
    bits = draws[0] & draws[1]  # a quarter is set; in play it is a fifth
    return player({"bits": COMPACT_BYTES}), ({"bits": bits, "legal": torch.ones(32, CARDS, dtype=torch.bool)},)


def _history(rows: int) -> dict[str, Tensor]:
    cards = torch.rand(rows, HISTORY, FEATURES).topk(SET).indices.to(torch.int16)
    cards[0, -1, :2] = torch.tensor([0, FEATURES - 1], dtype=torch.int16)  # random inputs like these are drawn between
    return {
        "cards": cards,
        "past": torch.ones(rows, HISTORY, dtype=torch.bool),
        "seat": torch.arange(rows) % 4,
        "legal": torch.ones(rows, CARDS, dtype=torch.bool),
    }
