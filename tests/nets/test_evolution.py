"""The evolutionary search: three forms, one outcome."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from velodrome.nets.evolution import (
    Draws,
    Judge,
    Search,
    draw,
    genes_of,
    search_batched,
    search_compiled,
    search_plainly,
    searched,
)
from velodrome.nets.kernels.evolve import fit_in, gelu

WIDTH, GENES = 32, 16
SEARCHES = {
    "published": Search(),
    "lively": Search(crossover=0.5, mutation=0.5),
    "one generation": Search(generations=1, crossover=0.3),
    "best of twenty": Search(generations=0),
    "large": Search(population=33, elites=0.1, tournament=5, generations=5, crossover=0.2, mutation=0.3),
    "stopping": Search(generations=6, crossover=0.3, mutation=0.3, stop_gain=0.003),
}


class Case:
    """A judge and what it is asked about."""

    def __init__(self, search: Search, rows: int = 37, dtype: torch.dtype = torch.float64, seed: int = 0):
        torch.manual_seed(seed)
        self.search, self.judge = search, Judge(WIDTH, GENES).to(dtype)
        for parameter in self.judge.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        self.mean = (0.3 * torch.randn(rows, GENES, dtype=dtype)).requires_grad_()
        self.log_variance = (0.2 * torch.randn(rows, GENES, dtype=dtype)).requires_grad_()
        self.x = torch.randn(rows, WIDTH, dtype=dtype)
        self.draws = draw(search, self.mean)

    @property
    def spread(self) -> Tensor:
        return (0.5 * self.log_variance).exp()

    def found(self, form: str) -> Tensor:
        """The winning latent vectors, with what gradient they have."""
        given = (self.judge, self.mean, self.spread, self.x, self.search, self.draws)
        if form == "plainly":
            return search_plainly(*given)
        noise = search_batched(*given) if form == "batched" else search_compiled(*given)
        return self.mean + self.spread * noise


@pytest.fixture(params=SEARCHES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(SEARCHES[request.param])


@pytest.mark.parametrize("form", ["batched", "compiled"])
def test_all_forms_find_the_same(case: Case, form: str) -> None:
    torch.testing.assert_close(case.found(form), case.found("plainly"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", ["batched", "compiled"])
def test_gradients_are_those_of_the_loop(case: Case, form: str) -> None:
    gradients = []
    for each in ("plainly", form):
        for parameter in (*case.judge.parameters(), case.mean, case.log_variance):
            parameter.grad = None
        target = torch.linspace(-1, 1, WIDTH, dtype=torch.float64)
        (case.judge.decode(case.found(each)) - target).square().sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([p.grad for p in (*case.judge.parameters(), case.mean, case.log_variance)])
    names = [name for name, _ in case.judge.named_parameters()] + ["mean", "log_variance"]
    for name, ours, theirs in zip(names, gradients[1], gradients[0], strict=True):
        if name.startswith(("fitness", "verdict")):
            assert ours is None
            assert theirs is None, f"{name} learns nothing"
        else:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_the_gradient_of_the_latent_vector() -> None:
    """By the mean 1; by the log-variance half of what lies between it and the mean."""
    case = Case(SEARCHES["lively"])
    z = case.found("plainly")
    z.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(case.mean.grad, torch.ones_like(case.mean))
    torch.testing.assert_close(case.log_variance.grad, 0.5 * (z - case.mean).detach())


def test_without_generations_it_is_the_best_of_all_draws() -> None:
    case = Case(SEARCHES["best of twenty"])
    z = case.mean.unsqueeze(1) + case.spread.unsqueeze(1) * case.draws.first
    fitness = torch.stack([case.judge(z[:, i], case.x) for i in range(20)], 1)
    best = z[torch.arange(len(z)), fitness.argmax(1)]
    torch.testing.assert_close(case.found("compiled"), best)


def test_more_search_finds_the_fitter() -> None:
    fitness = []
    for generations in (0, 3, 12):
        case = Case(replace(SEARCHES["lively"], generations=generations), rows=200)
        fitness.append(case.judge(case.found("batched"), case.x).mean().item())
    assert fitness[0] < fitness[1] < fitness[2]


def test_the_compiled_form_in_single_precision() -> None:
    """Rounding may let another candidate win where two are as good: then it is as fit."""
    case = Case(SEARCHES["lively"], rows=300, dtype=torch.float32)
    ours, theirs = case.found("compiled"), case.found("plainly")
    same = (ours - theirs).abs().amax(1) < 1e-5
    assert same.float().mean() > 0.98
    fitness = [case.judge(z, case.x) for z in (ours, theirs)]
    torch.testing.assert_close(*fitness, rtol=0, atol=1e-4)


def test_rows_do_not_know_of_each_other() -> None:
    case = Case(SEARCHES["published"], rows=50)
    whole = case.found("compiled")
    part = slice(20, 33)
    first, crossed, shifts = case.draws.first[part], case.draws.crossed[..., part], case.draws.shifts[:, part]
    draws = replace(case.draws, first=first, crossed=crossed.contiguous(), shifts=shifts)
    alone = search_compiled(case.judge, case.mean[part], case.spread[part], case.x[part], case.search, draws)
    torch.testing.assert_close(case.mean[part] + case.spread[part] * alone, whole[part])


def test_ending_early_leaves_the_rest_out() -> None:
    """With a gain that nobody reaches, one generation is all there is."""
    case = Case(replace(SEARCHES["lively"], generations=5, stop_gain=100.0))
    one = replace(case.search, generations=1)
    given = (case.judge, case.mean, case.spread, case.x)
    draws = case.draws
    first = Draws(draws.first, draws.rivals[:1], draws.crossed[:1], draws.mutated[:1], draws.shifts)
    torch.testing.assert_close(search_batched(*given, one, first), search_batched(*given, case.search, draws))


def test_searched_takes_every_precision() -> None:
    case = Case(SEARCHES["published"], dtype=torch.float32)
    given = (case.judge, case.mean, case.spread, case.x)
    torch.manual_seed(3)
    exact = searched(*given, case.search)
    torch.manual_seed(3)
    rough = searched(*given, replace(case.search, precision="bfloat16"))
    assert rough.dtype == torch.float32
    same = (exact - rough).abs().amax(1) < 1e-5
    assert 0.3 < same.float().mean() <= 1


# -- chance -----------------------------------------------------------------------------------------------------------


def test_rivals_are_different_and_any_of_the_population() -> None:
    draws = draw(Search(generations=50), torch.zeros(2, GENES))
    assert draws.rivals.shape == (50, 14, 2, 3)
    assert (draws.rivals.sort(-1).values.diff(dim=-1) > 0).all()
    counts = np.bincount(draws.rivals.flatten().numpy(), minlength=20)
    assert counts.min() > 0.7 * counts.mean()


@pytest.mark.parametrize("chance", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("genes", [1, 16, 62])
def test_crossed_genes_are_as_frequent_as_asked_for(chance: float, genes: int) -> None:
    crossed = draw(Search(crossover=chance, generations=100), torch.zeros(14, genes)).crossed.flatten()
    found = genes_of(crossed, 64)
    assert not found[:, genes:].any()
    share = found[:, :genes].double().mean(0)
    assert ((share - chance).abs() <= 5 * math.sqrt(chance * (1 - chance) / len(crossed)) + 2**-16).all()
    assert (found.sum(1) == 0).double().mean() == pytest.approx((1 - chance) ** genes, abs=0.02)


def test_children_are_shifted_as_often_as_asked_for() -> None:
    share = draw(Search(generations=1000), torch.zeros(1, GENES)).mutated.double().mean()
    assert share == pytest.approx(0.05, abs=0.01)


def test_shifts_are_drawn_for_those_that_are_shifted() -> None:
    draws = draw(Search(mutation=0.5), torch.zeros(5, GENES))
    assert draws.shifts.shape == (int(draws.mutated.sum()), 5, GENES)
    assert 5 < len(draws.shifts) < 37


# -- the fit of GELU --------------------------------------------------------------------------------------------------


def test_gelu_in_single_precision() -> None:
    x = np.concatenate([np.linspace(-9, 9, 100_001), [0.0, -20.0, 20.0]]).astype(np.float32)
    got = x.copy()
    gelu(got, False, fit_in(np.float32))
    wanted = torch.nn.functional.gelu(torch.from_numpy(x.astype(np.float64))).numpy()
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6)


def test_gelu_in_double_precision() -> None:
    x = np.linspace(-9, 9, 1001)
    got = x.copy()
    gelu(got, True, np.array([0.5]))
    np.testing.assert_allclose(got, torch.nn.functional.gelu(torch.from_numpy(x)).numpy(), rtol=0, atol=1e-14)


# -- settings ---------------------------------------------------------------------------------------------------------


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="leave nobody to live on or to be new"):
        Search(elites=0.01)
    with pytest.raises(ValueError, match="leave nobody"):
        Search(elites=1.0)
    with pytest.raises(ValueError, match="tournament=21"):
        Search(tournament=21)
    with pytest.raises(ValueError, match="at least 1 candidate"):
        Search(every=0)
    with pytest.raises(ValueError, match="up to 62 genes, half the width of a net; these are 64"):
        draw(Search(), torch.zeros(2, 64))
