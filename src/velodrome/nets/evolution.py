"""Evolutionary search among latent vectors: which noise a variational layer draws, chosen by a fitness per row.

A row's candidates are `mean + spread * noise`. The fittest are kept, the others make room for children: two tournaments
find the parents, each gene comes from the first with a small chance and else from the second, and now and then a child
is shifted. The search chooses noise and nothing else, so no gradient goes through it.

There are three forms with the same outcome for the same draws: `search_plainly`, a loop over candidates as anyone would
write it down; `search_batched`, all candidates at once on any device; and the compiled one in `kernels.evolve`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.nets.kernels import kernels_take
from velodrome.nets.kernels.evolve import MOST_GENES, RECONSTRUCTION, chances, evolve
from velodrome.nets.kernels.operation import array_from


@dataclass(frozen=True)
class Search:
    """Settings of the search. None of them matters once training is over: evaluation takes the mean."""

    population: int = 20
    generations: int = 3
    elites: float = 0.3
    """The share of a population that lives on."""
    crossover: float = 0.03
    """The chance that a gene comes from the first parent."""
    mutation: float = 0.05
    """The chance that a child is shifted, in all rows at once."""
    shift: float = 0.1
    """How far, in units of the spread."""
    tournament: int = 3
    """Candidates that compete to be a parent, the same in all rows."""
    stop_gain: float = 0.0
    """A row's search ends once a generation has raised its best fitness by less than this; 0 never ends it."""
    every: int = 1
    """Only every so many updates are searched for; the others take one draw."""
    layers: tuple[int, ...] = ()
    """Of a trunk, that search; the others take one draw. Empty for all."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the candidates' evaluation."""

    def __post_init__(self) -> None:
        if self.population < 1 or self.generations < 0 or self.every < 1:
            raise ValueError("a search needs at least 1 candidate, 0 generations and every=1")
        if not self.generations:
            return
        if not 0 < self.kept < self.population:
            raise ValueError(
                f"elites {self.elites} of {self.population} candidates leave nobody to live on or to be new"
            )
        if not 1 <= self.tournament <= self.population:
            raise ValueError(f"tournament={self.tournament} takes from 1 to all {self.population} candidates")

    @property
    def kept(self) -> int:
        """How many live on."""
        return int(self.elites * self.population)

    @property
    def children(self) -> int:
        """How many are new in each generation."""
        return self.population - self.kept


@dataclass(frozen=True)
class Draws:
    """All the chance in one search."""

    first: Tensor
    """Noise of the first population, `[rows, population, genes]`."""
    rivals: Tensor
    """Places in the population, `[generations, children, 2, tournament]`: who competes to be which parent."""
    crossed: Tensor
    """Bit sets `[generations, children, rows]`: the genes that come from the first parent."""
    mutated: Tensor
    """Which children are shifted, `[generations, children]`."""
    shifts: Tensor
    """By how much noise, in the order of `mutated`, `[shifted children, rows, genes]`."""


def draw(search: Search, like: Tensor) -> Draws:
    """The chance of one search for `like [rows, genes]`."""
    rows, genes = like.shape
    if genes > MOST_GENES:
        raise ValueError(f"a search takes up to {MOST_GENES} genes, half the width of a net; these are {genes}")
    device, g, c = like.device, search.generations, search.children
    rivals = torch.empty(g, c, 2, min(search.tournament, search.population), dtype=torch.int64)
    mutated = torch.empty(g, c, dtype=torch.bool)
    crossed = torch.empty(g, c, rows if device.type == "cpu" else 0, dtype=torch.int64)
    shifted = chances(
        int(torch.randint(2**62, ())), search.crossover, search.mutation, search.population, genes,
        rivals.numpy().reshape(-1, rivals.shape[-1]), crossed.numpy().reshape(-1), mutated.numpy().reshape(-1),
    )  # fmt: skip
    if device.type != "cpu":
        bits = torch.rand(g, c, rows, genes, device=device) < search.crossover
        crossed = (bits.long() << torch.arange(genes, device=device)).sum(-1)
    return Draws(
        first=torch.randn(rows, search.population, genes, dtype=like.dtype, device=device),
        rivals=rivals.to(device),
        crossed=crossed,
        mutated=mutated,
        shifts=torch.randn(shifted, rows, genes, dtype=like.dtype, device=device),
    )


def genes_of(crossed: Tensor, genes: int) -> Tensor:
    """Bit sets as truth values, one more dimension."""
    return (crossed.unsqueeze(-1) >> torch.arange(genes, device=crossed.device)) & 1 == 1


class Judge(nn.Module):
    """The decoder that turns a latent vector into an output, and what judges candidates by it and by a net."""

    def __init__(self, width: int, genes: int):
        super().__init__()
        self.genes = genes
        self.wide, self.norm, self.out = nn.Linear(genes, width), nn.LayerNorm(width), nn.Linear(width, width)
        self.fitness, self.verdict = nn.Linear(genes + width, width // 2), nn.Linear(width // 2, 1)

    def decode(self, z: Tensor) -> Tensor:
        """From `[..., genes]`."""
        return self.out(F.gelu(self.norm(self.wide(z))))  # type: ignore[no-any-return]

    def opinion(self, z: Tensor, x: Tensor) -> Tensor:
        """What the fitness net says, before the sigmoid."""
        return self.verdict(F.gelu(self.fitness(torch.cat([z, x], -1)))).squeeze(-1)  # type: ignore[no-any-return]

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """The fitness of `z [rows, genes]` where the input was `x [rows, width]`."""
        error = (self.decode(z) - x).square().mean(-1)
        return self.opinion(z, x).sigmoid() - RECONSTRUCTION * error

    def of_many(self, z: Tensor, x: Tensor) -> Tensor:
        """The fitness of `z [rows, n, genes]`; what the fitness net makes of `x` is the same for all of a row."""
        weight = self.fitness.weight
        from_x = F.linear(x, weight[:, self.genes :], self.fitness.bias).unsqueeze(1)
        hidden = F.gelu(F.linear(z, weight[:, : self.genes]) + from_x)
        error = (self.decode(z) - x.unsqueeze(1)).square().mean(-1)
        return self.verdict(hidden).squeeze(-1).sigmoid() - RECONSTRUCTION * error  # type: ignore[no-any-return]


def search_plainly(judge: Judge, mean: Tensor, spread: Tensor, x: Tensor, search: Search, draws: Draws) -> Tensor:
    """The latent vector `[rows, genes]` that wins, candidate by candidate; gradients flow through its parts."""
    everyone = torch.arange(len(mean), device=mean.device)
    population = [mean + spread * draws.first[:, i] for i in range(search.population)]
    going_on, best, shifted = torch.ones(len(mean), dtype=torch.bool, device=mean.device), None, 0
    for generation in range(search.generations):
        fitness = torch.stack([judge(z, x) for z in population], 1)
        if best is not None and search.stop_gain:
            going_on = going_on & (fitness.max(1).values - best >= search.stop_gain)
        best = fitness.max(1).values
        before = torch.stack(population, 1)
        elites = fitness.topk(search.kept, 1).indices
        following = [before[everyone, elites[:, i]] for i in range(search.kept)]
        for child in range(search.children):
            parents = []
            for rivals in draws.rivals[generation, child]:
                winner = rivals[fitness[:, rivals].argmax(1)]
                parents.append(before[everyone, winner])
            genes = genes_of(draws.crossed[generation, child], mean.shape[1])
            z = torch.where(genes, parents[0], parents[1])
            if draws.mutated[generation, child]:
                z = z + search.shift * spread * draws.shifts[shifted]
                shifted += 1
            following.append(z)
        kept = going_on.unsqueeze(1)
        population = [torch.where(kept, z, before[:, i]) for i, z in enumerate(following)]
    fitness = torch.stack([judge(z, x) for z in population], 1)
    return torch.stack(population, 1)[everyone, fitness.argmax(1)]


@torch.no_grad()
def search_batched(judge: Judge, mean: Tensor, spread: Tensor, x: Tensor, search: Search, draws: Draws) -> Tensor:
    """The noise `[rows, genes]` that wins."""
    rows, genes = mean.shape

    def fitness_of(noise: Tensor) -> Tensor:
        z = mean.unsqueeze(1) + spread.unsqueeze(1) * noise
        if search.precision == "bfloat16":
            with torch.autocast(mean.device.type, torch.bfloat16):
                return judge.of_many(z, x).to(mean.dtype)
        return judge.of_many(z, x)

    noise, shifted = draws.first, 0
    fitness = fitness_of(noise)
    going_on = torch.ones(rows, 1, dtype=torch.bool, device=mean.device)
    for generation in range(search.generations):
        kept, elites = fitness.topk(search.kept, 1)
        rivals = draws.rivals[generation]
        places = fitness[:, rivals].argmax(-1)
        winners = rivals.expand(rows, -1, -1, -1).gather(-1, places.unsqueeze(-1)).squeeze(-1)
        one, two = (_chosen(noise, winners[..., parent]) for parent in range(2))
        children = torch.where(genes_of(draws.crossed[generation], genes).transpose(0, 1), one, two)
        for child in draws.mutated[generation].nonzero().flatten().tolist():
            children[:, child] += search.shift * draws.shifts[shifted]
            shifted += 1
        following = torch.cat([kept, fitness_of(children)], 1)
        noise_then = torch.cat([_chosen(noise, elites), children], 1)
        noise = torch.where(going_on.unsqueeze(-1), noise_then, noise)
        gain = following.max(1, keepdim=True).values - kept[:, :1]
        fitness = torch.where(going_on, following, fitness)
        if search.stop_gain:
            going_on = going_on & (gain >= search.stop_gain)
    return _chosen(noise, fitness.argmax(1, keepdim=True)).squeeze(1)


def _chosen(noise: Tensor, which: Tensor) -> Tensor:
    """The candidates `which [rows, n]` of `noise [rows, population, genes]`."""
    return noise.gather(1, which.unsqueeze(-1).expand(-1, -1, noise.shape[2]))


@torch.no_grad()
def search_compiled(judge: Judge, mean: Tensor, spread: Tensor, x: Tensor, search: Search, draws: Draws) -> Tensor:
    """The noise `[rows, genes]` that wins, on the CPU."""
    given = array_from(mean), array_from(spread), array_from(x)
    parts = (judge.wide, judge.norm, judge.out, judge.fitness, judge.verdict)
    weights = [weight.detach().numpy() for part in parts for weight in (part.weight, part.bias)]
    chance = [each.numpy() for each in (draws.first, draws.rivals, draws.crossed, draws.mutated, draws.shifts)]
    found = torch.empty_like(mean, memory_format=torch.contiguous_format)
    evolve(given, weights, chance, search.kept, search.shift, search.stop_gain, found.numpy())
    return found


def searched(judge: Judge, mean: Tensor, spread: Tensor, x: Tensor, search: Search) -> Tensor:
    """The noise `[rows, genes]` that a search of new chance finds, by the fastest form there is."""
    draws = draw(search, mean)
    compiled = search.precision == "float32" and kernels_take(mean)
    form: Callable[..., Tensor] = search_compiled if compiled else search_batched
    return form(judge, mean, spread, x, search, draws)
