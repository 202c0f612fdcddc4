"""The compiled scan against the recurrence as it is written."""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from velodrome.nets.kernels import scan
from velodrome.nets.kernels.scan import LANES, power_of_two, scan_plainly, selective_scan

SHAPES = [
    (1, 1, 1, 1),
    (3, 1, LANES + 9, 16),
    (2, 7, 3, 5),
    (3, 5, LANES, 16),
    (2, 9, LANES + 3, 4),
    (1, 20, 3 * LANES, 64),
]
"""Rows, steps, channels, states."""


@pytest.fixture
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(scan, "WORTH_A_THREAD", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def given(rows: int, steps: int, channels: int, states: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    step, rate = normal(rows, steps, channels).exp() / 10, -normal(states, channels).exp()
    parts = [
        normal(rows, steps, channels), step, rate, normal(rows, steps, states), normal(rows, steps, states),
        normal(channels), normal(rows, states, channels),
    ]  # fmt: skip
    return [part.to(dtype).requires_grad_() for part in parts]


def gradients(found: tuple[Tensor, Tensor], inputs: list[Tensor]) -> tuple[Tensor, ...]:
    out, state = found
    pulls = [torch.linspace(-1, 1, part.numel(), dtype=part.dtype).view_as(part) for part in (out, state)]
    return torch.autograd.grad([out, state], inputs, pulls)


@numba.njit
def powers(exponents, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = power_of_two(exponents[i])


def power(exponents: NDArray[np.float32]) -> NDArray[np.float32]:
    out = np.empty_like(exponents)
    powers(exponents, out)
    return out


def test_a_power_of_two_is_as_near_as_single_precision_allows() -> None:
    exponents = np.concatenate([np.linspace(-125, 0, 200_001), -np.logspace(-30, 0, 1000)]).astype(np.float32)
    right = 2.0 ** exponents.astype(np.float64)
    assert np.abs(power(exponents) / right - 1).max() < 1.5 * np.finfo(np.float32).eps
    ends = np.array([0, -1, -1e9, -np.inf], np.float32)
    assert power(ends).tolist() == [1, 0.5, 2.0**-125, 2.0**-125]


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_recurrence(shape: tuple[int, int, int, int]) -> None:
    inputs, exact = given(*shape), given(*shape, dtype=torch.float64)
    wanted = scan_plainly(*exact)
    found = selective_scan(*inputs)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=1e-5, atol=1e-5)
    for one, other in zip(gradients(found, inputs), gradients(wanted, exact), strict=True):
        torch.testing.assert_close(one, other.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_double_precision_it_is_the_recurrence_to_the_last_digits(shape: tuple[int, int, int, int]) -> None:
    inputs = given(*shape, dtype=torch.float64)
    found, wanted = selective_scan(*inputs), scan_plainly(*inputs)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients(found, inputs), gradients(wanted, inputs), rtol=1e-10, atol=1e-10)


def test_the_way_back_is_that_of_the_way_there() -> None:
    assert torch.autograd.gradcheck(selective_scan, given(2, 6, 5, 3, torch.float64))


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize("shape", [(2, 9, 2 * LANES + 3, 4), (1, 20, 3 * LANES, 16)])
def test_two_threads_do_the_same(shape: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    inner = scan._by_halves
    monkeypatch.setattr(
        scan, "_by_halves", lambda part, *more: inner(lambda *each: parts.append(each) or part(*each), *more)
    )
    inputs = given(*shape)
    both = selective_scan(*inputs)
    to_both = gradients(both, inputs)
    assert sorted(parts) == sorted(2 * [(0, LANES), (LANES, shape[2])])
    torch.set_num_threads(1)
    alone = selective_scan(*inputs)
    assert all(map(torch.equal, both, alone))
    for one, other in zip(to_both, gradients(alone, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_it_goes_on_where_it_stood() -> None:
    inputs = given(2, 8, 5, 3, torch.float64)
    x, step, rate, enter, read, skip, state = inputs
    first, middle = selective_scan(x[:, :3], step[:, :3], rate, enter[:, :3], read[:, :3], skip, state)
    second, last = selective_scan(x[:, 3:], step[:, 3:], rate, enter[:, 3:], read[:, 3:], skip, middle)
    found, whole = (torch.cat([first, second], 1), last), selective_scan(*inputs)
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(gradients(found, inputs), gradients(whole, inputs))


def test_what_comes_later_changes_nothing() -> None:
    x, *others = given(2, 8, LANES + 1, 4)
    before, _ = selective_scan(x, *others)
    changed = x.detach().clone()
    changed[:, 5:] += 1
    after, _ = selective_scan(changed, *others)
    assert torch.equal(after[:, :5], before[:, :5])
    assert (after[:, 5:] - before[:, 5:]).abs().amin() > 1e-6


def test_states_that_are_gone_at_once_leave_numbers() -> None:
    x, step, rate, *others = given(2, 8, 5, 4)
    inputs = [x, step.detach() * 1e4, rate, *others]
    found = selective_scan(*inputs)
    assert all(part.isfinite().all() for part in found)
    assert all(part.isfinite().all() for part in gradients(found, [x, rate, *others]))


def test_other_precisions_take_the_plain_form() -> None:
    inputs = given(2, 4, 5, 3)
    wanted = selective_scan(*inputs)
    rough = [part.bfloat16() for part in inputs[:2]] + inputs[2:]
    for found, right in zip(selective_scan(*rough), wanted, strict=True):
        torch.testing.assert_close(found, right, rtol=0.05, atol=0.05)


def test_it_knows_no_second_derivative() -> None:
    inputs = given(2, 4, 5, 3)
    to_x, *_ = torch.autograd.grad(selective_scan(*inputs)[0].square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        to_x.sum().backward()


def test_strides_do_not_matter() -> None:
    x, *others = given(2, 6, 5, 3)
    turned = x.detach().transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(selective_scan(turned, *others)[0], selective_scan(x, *others)[0])
