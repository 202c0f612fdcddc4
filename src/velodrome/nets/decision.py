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
KINDS = {"time": torch.int64, "before": torch.int64}
"""Of views that are no float32."""
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

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """`x [rows, tokens, width]`, of which only the tokens `known [rows, tokens]` are looked at."""
        if x.shape[1] == 1 and not (self.training and self.dropout):
            return self.out(self.value(x))  # type: ignore[no-any-return]  # the softmax of one score is 1
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        chance, looks = self.dropout if self.training else 0.0, None
        if known is not None:  # who is not there looks at itself, so that no row of the softmax is empty
            own = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
            looks = (known.unsqueeze(1).expand(-1, x.shape[1], -1).tril() | own).unsqueeze(1)
        mixed = F.scaled_dot_product_attention(query, key, value, looks, chance, is_causal=known is None)
        return self.drop(self.out(mixed.transpose(1, 2).flatten(-2)))  # type: ignore[no-any-return]


class Evolving(nn.Module):
    """EVAFormer's token mixer: a variational autoencoder of each token by itself, its noise chosen by evolution.

    As published it mixes no tokens. In training a search picks the noise; in evaluation there is none. Of the gradient
    only what passes through the chosen latent vector is wanted, so that the fitness net stays as it began.

    Two of that can be mended: with `mixing` tokens, each is blended with those before it, by weights that are learnt
    and begin as none at all; `taught`, the fitness net learns to tell how well it went (`lesson`).
    """

    def __init__(
        self, width: int, search: Search = PUBLISHED, dropout: float = 0.0, *, mixing: int = 0, taught: bool = False
    ):
        super().__init__()
        genes = width // 2
        self.search, self.taught = search, taught
        self.blend = nn.Parameter(torch.eye(mixing)) if mixing else None
        self.layer_norm = nn.LayerNorm(width)
        self.wide, self.norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.mean, self.log_variance = nn.Linear(width, genes), nn.Linear(width, genes)
        self.judge = Judge(width, genes)
        for part in (self.judge.fitness, self.judge.verdict):
            part.requires_grad_(taught)
        self.opinion: Tensor | None = None
        """Of the noise chosen in the last pass, before the sigmoid, where the fitness net is taught."""
        self.weight = nn.Parameter(torch.tensor(0.1))
        self.drop = nn.Dropout(dropout)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        """Forward passes in training so far, where not each of them is searched for."""
        self.updates: Tensor

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """`x [..., width]`, or with mixing `x [..., tokens, width]`, of which only those `known` are blended."""
        inputs = self.layer_norm(x)
        if self.blend is not None:
            tokens = x.shape[-2]
            inputs = inputs if known is None else inputs * known.unsqueeze(-1)
            inputs = self.blend[:tokens, :tokens].tril() @ inputs
        z, spread = self.latent(inputs)
        if self.training:
            z = torch.addcmul(z, spread, self.noise(z, spread, inputs))
            if self.taught:
                self.opinion = self.judge.opinion(z.detach(), inputs.detach())
        return self.drop(torch.addcmul(x, self.weight, self.judge.decode(z)))  # type: ignore[no-any-return]

    def lesson(self, went: Tensor) -> Tensor:
        """The loss of the fitness net's opinion in the last pass, where `went [rows]` from 0 to 1 says how well each
        sequence's last decision went."""
        opinion, self.opinion = self.opinion, None
        assert opinion is not None, "nothing was judged"
        said = opinion.flatten(1)
        return F.binary_cross_entropy_with_logits(said, went.unsqueeze(-1).expand_as(said))

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

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """`x [rows, tokens, width]`; where some of the tokens are not `known [rows, tokens]`, nobody sees them."""
        x = x + self.mixer(self.norm_mixer(x), known)
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
        mixing: bool = False,
        taught: bool = False,
        target: float = 20.0,
    ):
        """`sees` is the view, `size` numbers wide, that states come from; there are `orders` different actions.

        `target` is the return that is hoped for when a game begins. `mixing` and `taught` mend the evolutionary mixer.
        """
        super().__init__()
        if mixer == "evae" and not mixing and (tokens != "state_only" or context > 1):
            blind = "earlier steps" if tokens == "state_only" else "what is seen"
            raise ValueError(
                f"evae mixes no tokens: with tokens={tokens} and context={context} decisions would be blind to "
                f"{blind}; choose mixing, or state_only with a context of 1"
            )
        self.sees, self.output, self.tokens, self.context, self.longest = sees, output, tokens, context, longest
        self.target = target
        self.wants: tuple[str, ...] = (sees, "time")
        places, searching = 3 * context + 1, search.layers or range(layers)
        mixers = [
            Attention(width, heads, dropout)
            if mixer == "mhsa"
            else Evolving(width, search if i in searching else ONE_DRAW, dropout, mixing=places * mixing, taught=taught)
            for i in range(layers)
        ]
        self.blocks = nn.ModuleList(Block(width, each, dropout) for each in mixers)
        self.last_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, n, bias=False)
        self.apply(_begin)
        self.states = nn.Linear(size, width)
        if tokens != "state_only":
            self.wants += ("before",)
            self.orders = nn.Embedding(orders, width)
            nn.init.normal_(self.orders.weight, std=SPREAD)
        if tokens == "rtgs_state_action":
            self.wants += ("earned",)
            self.hopes = nn.Linear(1, width)
        self.times = nn.Embedding(longest + 1, width)
        nn.init.zeros_(self.times.weight)
        self.places = nn.Parameter(torch.zeros(places, width))
        self.drop = nn.Dropout(dropout)

    @property
    def taught(self) -> bool:
        """Whether any fitness net is to learn."""
        return any(getattr(block.mixer, "taught", False) for block in self.blocks)

    def lesson(self, went: Tensor) -> Tensor:
        """The loss of what the fitness nets thought in the last pass, where `went [rows]` says how well it went."""
        mixers = [block.mixer for block in self.blocks]
        losses = [mixer.lesson(went) for mixer in mixers if isinstance(mixer, Evolving) and mixer.taught]
        return torch.stack(losses).sum()

    def start(self, rows: int) -> dict[str, Tensor]:
        """What is remembered where nothing has been seen: the steps before this one, as far as the context goes."""
        if self.context == 1:
            return {}
        shape = (rows, self.context - 1)
        past = {f"past.{name}": torch.zeros(shape, dtype=KINDS.get(name, torch.float32)) for name in self.wants[1:]}
        seen = {f"past.{self.sees}": torch.zeros(*shape, self.states.in_features)}
        return seen | past | {"past.known": torch.zeros(shape, dtype=torch.bool)}

    def remember(self, views: Views) -> dict[str, Tensor]:
        """What is remembered after the step that these views and what was remembered show."""
        if self.context == 1:
            return {}
        now = {name: views[name] for name in self.wants} | {"known": torch.ones_like(views["past.known"][:, 0])}
        return {f"past.{name}": _behind(views[f"past.{name}"], view)[:, 1:] for name, view in now.items()}

    def forward(self, views: Views) -> dict[str, Tensor]:
        """What it makes of views `[rows, ...]` and what it remembers, or of whole sequences `[rows, steps, ...]`: the
        last step's output of the one, all steps' of the other."""
        alone = views[self.sees].dim() == 2
        seen, known = self._sequence(views) if alone else (views, None)
        parts, each = self._parts(seen), A_STEP[self.tokens]
        x = parts[0] if each == 1 else torch.stack(parts, 2).flatten(1, 2)
        when = self.times(seen["time"].long().clamp(max=self.longest))
        x = x + (when if each == 1 else when.repeat_interleave(each, 1)) + self.places[: x.shape[1]]
        if known is not None and each > 1:
            known = known.repeat_interleave(each, 1)
        x = self.drop(x)
        for block in self.blocks:
            x = block(x, known)
        found = self.head(self.last_norm(x if each == 1 else x[:, each - 1 :: each]))
        found = found.squeeze(-1) if self.output == "value" else found
        return {self.output: found[:, -1] if alone else found}

    def _sequence(self, views: Views) -> tuple[Views, Tensor | None]:
        """The steps up to this one, and which of them there were."""
        if self.context == 1:
            return {name: views[name].unsqueeze(1) for name in self.wants}, None
        known = views["past.known"]
        seen = {name: _behind(views[f"past.{name}"], views[name]) for name in self.wants}
        return seen, _behind(known, torch.ones_like(known[:, 0]))

    def _parts(self, seen: Views) -> list[Tensor]:
        """The tokens of each step, in their order."""
        parts = [self.states(seen[self.sees]).tanh()]
        if self.tokens != "state_only":
            parts.append(self.orders(seen["before"].long()).tanh())
        if self.tokens == "rtgs_state_action":
            parts.insert(0, self.hopes((self.target - seen["earned"].float()).unsqueeze(-1)).tanh())
        return parts


def _behind(past: Tensor, now: Tensor) -> Tensor:
    """The steps before and this one."""
    return torch.cat([past, now.unsqueeze(1)], 1)


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
