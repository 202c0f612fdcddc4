"""Scored choices, compiled and in torch's operations, against each other and against what is known of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from velodrome.games.game import Choice
from velodrome.learn.actions import Actions
from velodrome.learn.kernels.choice import draw_choice

N = 6
MASKED, FREE = Actions([Choice("card", N, mask="legal")]), Actions([Choice("card", N)])


def scored(
    actions: Actions, logits: Tensor, legal: Tensor, choice: Tensor, pulls: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities, entropies and the gradient of the logits under `pulls` on both."""
    leaf = logits.clone().requires_grad_()
    found = actions.log_prob_and_entropy({"card": leaf}, {"card": choice}, {"legal": legal})
    (gradient,) = torch.autograd.grad(found, leaf, pulls)
    return *(each.detach() for each in found), gradient


def by_torch(*given: object) -> tuple[Tensor, Tensor, Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("velodrome.learn.actions.score_choice", None)
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        return scored(*given)  # type: ignore[arg-type]


def an_example(rows: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Logits, what is legal, choices that are, and pulls."""
    random = torch.Generator().manual_seed(rows)
    logits, draws = scale * torch.randn(rows, N, generator=random), torch.rand(rows, N, generator=random)
    choice = draws.argmax(1)
    legal = (draws < 0.5).scatter(1, choice[:, None], True)
    return logits, legal, choice, (torch.randn(rows, generator=random), torch.randn(rows, generator=random))


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...], tolerance: float = 1e-5) -> None:
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("actions", [MASKED, FREE], ids=["masked", "free"])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("rows", [1, 257])
def test_equals_torchs_operations(rows: int, scale: float, actions: Actions) -> None:
    example = an_example(rows, scale)
    assert_same(scored(actions, *example), by_torch(actions, *example))


ROWS = 4
NUMBERS = st.floats(-1e4, 1e4, width=32)


@settings(max_examples=200, deadline=None)
@given(
    arrays.arrays(np.float32, (ROWS, N), elements=NUMBERS),
    arrays.arrays(np.bool_, (ROWS, N)),
    arrays.arrays(np.int64, ROWS, elements=st.integers(0, N - 1)),
    arrays.arrays(np.float32, (2, ROWS), elements=st.floats(-4, 4, width=32)),
)
def test_equals_torchs_operations_whatever_is_legal(
    logits: np.ndarray, legal: np.ndarray, choice: np.ndarray, pulls: np.ndarray
) -> None:
    """Nothing legal, one choice legal, a choice that is not legal: all of it occurs."""
    example = *map(torch.from_numpy, (logits, legal, choice)), tuple(torch.from_numpy(pulls))
    found = scored(MASKED, *example)
    assert all(each.isfinite().all() for each in found)
    assert not found[2][~torch.from_numpy(legal)].any()
    assert_same(found, by_torch(MASKED, *example), 1e-4)


def test_where_nothing_is_legal_the_choice_is_uniform_and_teaches_nothing() -> None:
    logits, legal, choice, pulls = an_example(8)
    legal[::2] = False
    log_prob, entropy, gradient = scored(MASKED, logits, legal, choice, pulls)
    torch.testing.assert_close(log_prob[::2], torch.full((4,), -math.log(N)))
    torch.testing.assert_close(entropy[::2], torch.full((4,), math.log(N)))
    assert not gradient[::2].any()
    assert gradient[1::2].any(1).all()


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_a_single_legal_choice_is_certain(scale: float) -> None:
    logits, _, choice, pulls = an_example(8, scale)
    legal = torch.zeros(8, N, dtype=torch.bool).scatter(1, choice[:, None], True)
    log_prob, entropy, gradient = scored(MASKED, logits, legal, choice, pulls)
    assert torch.equal(log_prob, torch.zeros(8))
    assert torch.equal(entropy, torch.zeros(8))
    assert not gradient.any()


def test_what_is_not_legal_does_not_matter() -> None:
    logits, legal, choice, pulls = an_example(64)
    found = scored(MASKED, logits, legal, choice, pulls)
    for other in (0.0, 1e30, torch.inf, -torch.inf, torch.nan):
        again = scored(MASKED, logits.masked_fill(~legal, other), legal, choice, pulls)
        assert all(torch.equal(one, two) for one, two in zip(found, again, strict=True))


@pytest.mark.parametrize("level", [1e8, -1e8, 1e30, -1e30])
def test_very_large_logits_lose_nothing(level: float) -> None:
    logits, legal, choice, pulls = an_example(64)
    alike = scored(MASKED, torch.full_like(logits, level), legal, choice, pulls)
    assert_same(alike, scored(MASKED, torch.zeros_like(logits), legal, choice, pulls))
    higher = torch.full_like(logits, level - abs(level)).scatter(1, choice[:, None], level)
    for found in scored(MASKED, higher, legal, choice, pulls):
        assert not found.any()  # certain: no entropy, and a log-probability of 0


def test_logits_that_are_not_numbers_do_not_pass_for_some() -> None:
    logits, legal, choice, pulls = an_example(8)
    logits[3, choice[3]] = torch.nan
    log_prob, entropy, gradient = scored(MASKED, logits, legal, choice, pulls)
    for each in (log_prob, entropy, gradient.sum(1)):
        assert each[3].isnan()
        assert each.isfinite().sum() == 7


def test_a_gradient_of_one_output_alone() -> None:
    logits, legal, choice, pulls = an_example(8)
    nothing = torch.zeros(8)
    for number, alone in enumerate([(pulls[0], nothing), (nothing, pulls[1])]):
        leaf = logits.clone().requires_grad_()
        found = MASKED.log_prob_and_entropy({"card": leaf}, {"card": choice}, {"legal": legal})
        (gradient,) = torch.autograd.grad(found[number], leaf, pulls[number])
        assert torch.equal(gradient, scored(MASKED, logits, legal, choice, alone)[2])


def test_draws_fall_where_chances_lie() -> None:
    """Draws that are spread evenly come out as often as the chances say, and never on what is not legal."""
    n = 20_000
    logits, legal, _, _ = an_example(1)
    legal[0] = torch.tensor([True, False, True, True, False, True])
    draws = (torch.arange(n) + 0.5) / n
    choice, log_prob = draw_choice(logits.expand(n, N), legal.expand(n, N), draws)
    expected = torch.where(legal[0], logits[0], -torch.inf).log_softmax(0)
    counted = torch.bincount(choice, minlength=N) / n
    torch.testing.assert_close(counted, expected.exp(), rtol=0, atol=1e-3)
    assert (choice.diff() >= 0).all(), "chances lie end to end"
    torch.testing.assert_close(log_prob, expected[choice])


@pytest.mark.parametrize("draw", [0.0, 0.5, 1 - 2.0**-24])
def test_a_draw_at_the_edge_is_legal(draw: float) -> None:
    logits = torch.tensor([[0.0, 50.0, -200.0, 3.0], [1e9, -1e9, 0.0, 1e9], [0.0, 0.0, 0.0, 0.0]])
    legal = torch.tensor([[True, True, True, False], [False, True, True, False], [False, False, False, False]])
    choice, log_prob = draw_choice(logits, legal, torch.full((3,), draw))
    assert choice[:2].tolist() == [1, 2] if draw else choice[1] == 2
    assert log_prob.isfinite().all()
    assert 0 <= choice[2] < 4
    assert float(log_prob[2]) == pytest.approx(-math.log(4))


def test_rows_may_lie_in_any_shape() -> None:
    logits, legal, _, _ = an_example(6)
    draws = torch.rand(6)
    flat = draw_choice(logits, legal, draws)
    shaped = draw_choice(logits.view(2, 3, N), legal.view(2, 3, N), draws.view(2, 3))
    for one, other in zip(flat, shaped, strict=True):
        assert torch.equal(one.view(2, 3), other)
