"""PPO's objective, compiled and in torch's operations, against each other and against what is known of it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from velodrome.learn.kernels.clipped import METRICS, clipped_objective

CLIP, VALUE, ENTROPY = 0.2, 0.5, 0.01
WEIGHTS = {"clip": CLIP, "value_weight": VALUE, "entropy_weight": ENTROPY}
GIVEN = ("log_prob", "entropy", "value", "before", "advantage", "returns")

Found = tuple[Tensor, dict[str, Tensor], list[Tensor]]


def found_by(given: dict[str, Tensor], factor: float = 1.0, **weights: float) -> Found:
    """The loss, the metrics, and the gradients of the first three of GIVEN, all times `factor` as in a share."""
    leaves = {name: given[name].clone().requires_grad_(name in GIVEN[:3]) for name in GIVEN}
    loss, told = clipped_objective(*leaves.values(), **(WEIGHTS | weights))
    gradients = torch.autograd.grad(loss * factor, [leaves[name] for name in GIVEN[:3]])
    assert not told.requires_grad
    return loss.detach(), dict(zip(METRICS, told, strict=True)), list(gradients)


def by_torch(given: dict[str, Tensor], factor: float = 1.0, **weights: float) -> Found:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("velodrome.learn.kernels.clipped._Objective", None)
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        return found_by(given, factor, **weights)


def assert_same(found: Found, expected: Found, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found[0], expected[0], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found[1], expected[1], rtol=tolerance, atol=tolerance)
    for own, other in zip(found[2], expected[2], strict=True):
        torch.testing.assert_close(own, other, rtol=tolerance, atol=1e-7)


def an_example(rows: int, spread: float = 0.3) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(rows)
    given = {name: torch.randn(rows, generator=random) for name in GIVEN}
    return given | {"before": given["log_prob"] + spread * torch.randn(rows, generator=random)}


def one_row(ratio: float, advantage: float) -> dict[str, Tensor]:
    numbers = {"log_prob": math.log(ratio), "before": 0.0, "advantage": advantage, "entropy": 1.5, "value": 2.0}
    return {name: torch.tensor([number]) for name, number in (numbers | {"returns": -1.0}).items()}


@pytest.mark.parametrize("spread", [0.01, 0.3, 3.0])
@pytest.mark.parametrize("rows", [1, 1000])
def test_equals_torchs_operations(rows: int, spread: float) -> None:
    given = an_example(rows, spread)
    assert_same(found_by(given), by_torch(given))
    assert_same(found_by(given, 0.25, clip=0.1), by_torch(given, 0.25, clip=0.1))
    free = {"value_weight": 0.0, "entropy_weight": 0.0}
    assert_same(found_by(given, **free), by_torch(given, **free))


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(np.float32, (6, 5), elements=st.floats(-8, 8, width=32)))
def test_equals_torchs_operations_on_any_numbers(numbers: np.ndarray) -> None:
    given = dict(zip(GIVEN, torch.from_numpy(numbers), strict=True))
    assert_same(found_by(given), by_torch(given), 1e-4)


@pytest.mark.parametrize("advantage", [2.0, -2.0])
@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.1, 2.0])
def test_each_side_of_the_clip(ratio: float, advantage: float) -> None:
    """Only a move that is already far enough in the direction of the advantage has no gradient."""
    given = one_row(ratio, advantage)
    _, told, (slope, _, _) = found_by(given)
    outside = not 1 - CLIP <= ratio <= 1 + CLIP
    far_enough = outside and (ratio > 1) == (advantage > 0)
    bound = min(max(ratio, 1 - CLIP), 1 + CLIP)
    expected = bound if far_enough else ratio
    assert told["policy_loss"].item() == pytest.approx(-expected * advantage, rel=1e-5)
    assert told["clipped"].item() == outside
    assert slope.item() == pytest.approx(0 if far_enough else -ratio * advantage, rel=1e-5)
    assert_same(found_by(given), by_torch(given))


def test_on_the_first_pass_the_gradient_is_the_advantages() -> None:
    """The ratio is exactly 1."""
    given = an_example(100)
    given["before"] = given["log_prob"]
    _, told, (slope, _, _) = found_by(given)
    assert told["kl"] == told["clipped"] == 0
    torch.testing.assert_close(slope, -given["advantage"] / 100)
    torch.testing.assert_close(told["policy_loss"], -given["advantage"].mean())
    assert_same(found_by(given), by_torch(given))


def test_on_the_bound_itself_the_policy_still_moves() -> None:
    given = an_example(100)
    given["before"] = given["log_prob"]
    found = found_by(given, clip=0.0)
    torch.testing.assert_close(found[2][0], -given["advantage"] / 100)
    assert_same(found, by_torch(given, clip=0.0))


def test_without_an_advantage_nothing_moves_the_policy() -> None:
    given = an_example(10) | {"advantage": torch.zeros(10)}
    _, told, (slope, _, _) = found_by(given)
    assert told["policy_loss"] == 0
    assert not slope.any()


def test_the_loss_is_made_of_what_is_told() -> None:
    given = an_example(50)
    loss, told, (_, entropy, value) = found_by(given)
    torch.testing.assert_close(loss, told["policy_loss"] + VALUE * told["value_loss"] - ENTROPY * told["entropy"])
    torch.testing.assert_close(told["value_loss"], (given["value"] - given["returns"]).square().mean())
    torch.testing.assert_close(told["entropy"], given["entropy"].mean())
    torch.testing.assert_close(entropy, torch.full((50,), -ENTROPY / 50))
    torch.testing.assert_close(value, 2 * VALUE * (given["value"] - given["returns"]) / 50)


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_not_a_number_does_not_pass_for_one(name: str) -> None:
    given = an_example(4)
    given[name][1] = torch.nan
    loss, _, gradients = found_by(given)
    assert loss.isnan()
    spoilt = {"log_prob": 0, "before": 0, "advantage": 0, "value": 2, "returns": 2}
    for number, gradient in enumerate(gradients):
        assert gradient.isnan().tolist() == [False, spoilt.get(name) == number, False, False]
