"""Decision transformers: a GPT over what an agent saw, did and hopes for, with interchangeable token mixers.

With a context of one step and the state alone, as MADT and EVAFormer are run by default, the sequence is one token:
attention over it is a linear map of it, and its keys and queries do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.evolution import Judge, Search, searched

Views = Mapping[str, Tensor]
Mixer = Literal["mhsa", "evae"]
Tokens = Literal["rtgs_state_action", "state_action", "state_only"]
A_STEP = {"rtgs_state_action": 3, "state_action": 2, "state_only": 1}
"""Tokens of a step; the last of them is where its decision is read."""
PUBLISHED = Search()
ONE_DRAW = Search(population=1, generations=0)
SPREAD = 0.02
"""Standard deviation of new weights."""


class Attention(nn.Module):
    """Causal multi-head attention, MADT's token mixer."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.key, self.query, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """`x [rows, tokens, width]`."""
        if x.shape[1] == 1 and not (self.training and self.dropout):
            return self.out(self.value(x))  # type: ignore[no-any-return]  # the softmax of one score is 1
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        chance = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=chance, is_causal=True)
        return self.drop(self.out(mixed.transpose(1, 2).flatten(-2)))  # type: ignore[no-any-return]


class Evolving(nn.Module):
    """EVAFormer's token mixer: a variational autoencoder of each token by itself, its noise chosen by evolution.

    It mixes no tokens. In training a search picks the noise; in evaluation there is none. Of the gradient only what
    passes through the chosen latent vector is wanted, so that the fitness net learns nothing.
    """

    def __init__(self, width: int, search: Search = PUBLISHED, dropout: float = 0.0):
        super().__init__()
        genes = width // 2
        self.search = search
        self.layer_norm = nn.LayerNorm(width)
        self.wide, self.norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.mean, self.log_variance = nn.Linear(width, genes), nn.Linear(width, genes)
        self.judge = Judge(width, genes)
        self.weight = nn.Parameter(torch.tensor(0.1))
        self.drop = nn.Dropout(dropout)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        """Forward passes in training so far, where not each of them is searched for."""
        self.updates: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`x [..., width]`."""
        inputs = self.layer_norm(x)
        z, spread = self.latent(inputs)
        if self.training:
            z = z + spread * self.noise(z, spread, inputs)
        return self.drop(x + self.weight * self.judge.decode(z))  # type: ignore[no-any-return]

    def latent(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the latent vectors."""
        hidden = self.drop(F.gelu(self.norm(self.wide(inputs))))
        return self.mean(hidden), (0.5 * self.log_variance(hidden)).exp()

    @torch.no_grad()
    def noise(self, mean: Tensor, spread: Tensor, inputs: Tensor) -> Tensor:
        """What the search finds, or one draw where there is none."""
        if self.search.every > 1:
            turn = int(self.updates) % self.search.every
            self.updates += 1
            if turn:
                return torch.randn_like(mean)
        if self.search.population == 1:
            return torch.randn_like(mean)
        flat = [part.flatten(0, -2) for part in (mean, spread, inputs)]
        return searched(self.judge, flat[0], flat[1], flat[2], self.search).view_as(mean)


class Block(nn.Module):
    """A mixer and two linear layers, each behind a norm and beside a residual."""

    def __init__(self, width: int, mixer: nn.Module, dropout: float = 0.0):
        super().__init__()
        self.norm_mixer, self.norm_wide = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixer = mixer
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """`x [rows, tokens, width]`."""
        x = x + self.mixer(self.norm_mixer(x))
        return x + self.drop(self.narrow(F.gelu(self.wide(self.norm_wide(x)))))  # type: ignore[no-any-return]


class DecisionNet(nn.Module):
    """Actor or critic: what it sees becomes tokens, passes the blocks, and is read at each step's last token."""

    def __init__(
        self,
        sees: str,
        size: int,
        output: str,
        n: int,
        *,
        orders: int = 0,
        mixer: Mixer = "mhsa",
        tokens: Tokens = "state_only",
        context: int = 1,
        width: int = 32,
        layers: int = 2,
        heads: int = 2,
        longest: int = 400,
        dropout: float = 0.0,
        search: Search = PUBLISHED,
    ):
        """`sees` is the view, `size` numbers wide, that states come from; there are `orders` different actions."""
        super().__init__()
        self.sees, self.output, self.tokens, self.context, self.longest = sees, output, tokens, context, longest
        self.wants: tuple[str, ...] = (sees, "time")
        searching = search.layers or range(layers)
        self.blocks = nn.Sequential(
            *(
                Block(width, _mixer(mixer, width, heads, dropout, search if i in searching else ONE_DRAW), dropout)
                for i in range(layers)
            )
        )
        self.last_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, n, bias=False)
        self.apply(_begin)
        self.states = nn.Linear(size, width)
        if tokens != "state_only":
            self.wants += ("before",)
            self.orders = nn.Embedding(orders, width)
            nn.init.normal_(self.orders.weight, std=SPREAD)
        if tokens == "rtgs_state_action":
            self.wants += ("hoped",)
            self.hopes = nn.Linear(1, width)
        self.times = nn.Embedding(longest + 1, width)
        nn.init.zeros_(self.times.weight)
        self.places = nn.Parameter(torch.zeros(3 * context + 1, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """What it makes of views `[rows, ...]` or, with the steps before, `[rows, context, ...]`: the last steps'
        output of the one, all steps' of the other."""
        states, time = views[self.sees], views["time"].long().clamp(max=self.longest)
        alone = states.dim() == 2
        if alone:
            states, time = states.unsqueeze(1), time.view(-1, 1)
        parts = self._parts(states, views, alone)
        steps, each = states.shape[1], A_STEP[self.tokens]
        x = parts[0] if each == 1 else torch.stack(parts, 2).flatten(1, 2)
        when = self.times(time)
        x = x + (when if each == 1 else when.repeat_interleave(each, 1)) + self.places[: steps * each]
        x = self.last_norm(self.blocks(self.drop(x)))
        found = self.head(x if each == 1 else x[:, each - 1 :: each])
        found = found.squeeze(-1) if self.output == "value" else found
        return {self.output: found.squeeze(1) if alone else found}

    def _parts(self, states: Tensor, views: Views, alone: bool) -> list[Tensor]:
        """The tokens of each step, in their order."""
        parts = [self.states(states).tanh()]
        if self.tokens != "state_only":
            before = views["before"].long()
            parts.append(self.orders(before.view(-1, 1) if alone else before).tanh())
        if self.tokens == "rtgs_state_action":
            hoped = views["hoped"]
            parts.insert(0, self.hopes((hoped.view(-1, 1) if alone else hoped).unsqueeze(-1)).tanh())
        return parts


def _mixer(kind: Mixer, width: int, heads: int, dropout: float, search: Search) -> nn.Module:
    return Attention(width, heads, dropout) if kind == "mhsa" else Evolving(width, search, dropout)


def _begin(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=SPREAD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# The nets by name, each with example inputs as wide as the game's views on the map 8m.

SEEN, ORDERS = 204, 14


def madt() -> tuple[nn.Module, tuple[Any, ...]]:
    """MADT's actor."""
    return DecisionNet("seen", SEEN, "order", ORDERS), (_views(32),)


def eva() -> tuple[nn.Module, tuple[Any, ...]]:
    """EVAFormer's actor."""
    return DecisionNet("seen", SEEN, "order", ORDERS, mixer="evae"), (_views(32),)


def _views(rows: int) -> dict[str, Tensor]:
    return {"seen": torch.randn(rows, SEEN), "time": torch.randint(0, 100, (rows,))}
