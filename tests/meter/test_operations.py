"""Every operation is seen, with its line, and what it shows of itself."""

from __future__ import annotations

import inspect
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from velodrome.meter.hot import HotLines
from velodrome.meter.operations import Operations, Site, reads


def named(seen: Operations, *names: str) -> list[Site]:
    return [site for site in seen.sites if site.name in names]


def test_an_operation_is_told_with_its_line_its_phase_and_its_shapes() -> None:
    phase = ["learn.forward"]
    net, rows = nn.Linear(8, 4), torch.randn(16, 8)
    with Operations(lambda: phase[0]) as seen:
        for _ in range(3):
            out = net(rows)
        line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
        phase[0] = "learn.backward"
        out.sum().backward()
    (product,) = named(seen, "addmm")
    assert (product.phase, product.count, product.shapes) == ("learn.forward", 3, ((4,), (16, 8), (8, 4)))
    assert (product.where.file, product.where.line) == ("tests/meter/test_operations.py", line)
    assert product.recorded == 3
    assert product.seconds > 0
    (back,) = named(seen, "mm")
    assert back.phase == "learn.backward"
    assert not seen.full


def test_what_is_recorded_for_no_backward_pass_is_told_from_what_is() -> None:
    net, rows = nn.Linear(8, 4), torch.randn(16, 8)
    with Operations() as seen, torch.no_grad():
        net(rows)
    assert [site.recorded for site in named(seen, "addmm")] == [0]


def test_the_same_numbers_again_are_noticed_and_others_are_not() -> None:
    rows = torch.randn(64, 64)
    with Operations() as seen:
        for number in range(4):
            torch.tanh(rows)
            torch.sigmoid(rows + number)
            rows.add_(0.0)  # changes its input: never a repetition
    assert [site.repeated for site in named(seen, "tanh")] == [3]
    assert [site.repeated for site in named(seen, "sigmoid")] == [0]
    assert [site.repeated for site in named(seen, "add_")] == [0]


def test_copies_of_one_row_are_noticed() -> None:
    table = torch.randn(40, 8)
    with Operations() as seen:
        table[None].repeat(32, 1, 1)
        torch.randn(32, 40, 8).clone()
        table[None].expand(32, -1, -1)
    assert [site.same_rows for site in named(seen, "repeat")] == [1]
    assert [site.same_rows for site in named(seen, "clone")] == [0]
    assert not named(seen, "copy_")


def test_attention_spelt_out_is_seen_through_a_dropout_and_the_fused_one_is_none() -> None:
    q, k, v = torch.randn(3, 4, 16, 8).unbind()
    with Operations() as spelt:
        F.dropout((q @ k.mT).softmax(-1), 0.1) @ v
    with Operations() as fused:
        F.scaled_dot_product_attention(q[None], k[None], v[None])
    assert sum(site.of_softmax for site in spelt.sites) == 1
    assert sum(site.of_softmax for site in fused.sites) == 0


def test_zeros_weights_and_inputs_of_products() -> None:
    weights = [torch.randn(8, 4) for _ in range(3)]
    rows = torch.zeros(30, 8)
    rows[:, 0] = 1
    with Operations() as seen:
        for number, weight in enumerate(weights):
            rows[10 * number : 10 * number + 10] @ weight
    (product,) = named(seen, "mm")
    assert product.zeros == 0.875
    assert (product.most, product.same_weights, product.side_by_side) == (3, 1, 3)


def test_memory_that_is_used_again_is_no_common_input() -> None:
    layers = [torch.randn(64, 64) for _ in range(8)]
    with Operations() as deep, torch.no_grad():
        x = torch.randn(32, 64)
        for layer in layers:
            x = x @ layer
    assert max(site.side_by_side for site in named(deep, "mm")) == 1
    x = torch.randn(32, 64)
    with Operations() as wide:
        for layer in layers:
            x @ layer
    assert max(site.side_by_side for site in named(wide, "mm")) == 8


def test_weights_used_again_are_told_from_others_and_from_changed_ones() -> None:
    phase, weight, rows = ["learn.forward"], torch.randn(8, 4), torch.randn(10, 8)

    def used(changed: bool, turns: int = 1) -> int:
        with Operations(lambda: phase[0]) as seen:
            for _ in range(turns):
                for _ in range(3):
                    rows @ weight
                    if changed:
                        weight.mul_(0.5)
                phase[0] = "learn.backward" if phase[0] == "learn.forward" else "learn.forward"
                rows.add_(0)
        return max(site.same_weights for site in named(seen, "mm"))

    assert used(changed=False) == 3
    assert used(changed=True) == 1
    assert used(changed=False, turns=4) == 3  # in one stretch of a phase


def test_reads_of_the_host_and_layouts_of_convolutions() -> None:
    convolution, image = nn.Conv2d(4, 4, 3), torch.randn(2, 4, 9, 9)
    with Operations() as seen:
        convolution(image).sum().item()
        convolution(image.to(memory_format=torch.channels_last))
    assert sum(site.count for site in reads(seen.sites)) == 1
    assert any(site.contiguous for site in named(seen, "convolution"))
    with Operations() as last:
        convolution(image.to(memory_format=torch.channels_last))
    assert not any(site.contiguous for site in named(last, "convolution"))


def test_recording_ends_at_its_cap_and_the_work_goes_on() -> None:
    with Operations(most=5) as seen:
        total = sum(torch.ones(3) for _ in range(10))
    assert seen.full
    assert sum(site.count for site in seen.sites) == 5
    assert torch.equal(torch.as_tensor(total), torch.full((3,), 10.0))


def added_up(numbers: list[float], until: float) -> float:
    total = 0.0
    while time.perf_counter() < until:
        for number in numbers:
            total += number * number
    return total


def sorted_up(numbers: np.ndarray, until: float) -> None:
    np.sort(numbers)
    if time.perf_counter() < until:
        sorted_up(numbers, until)


def test_a_loop_in_python_is_found_at_its_lines_and_told_from_a_call_of_something_compiled() -> None:
    with HotLines(lambda: "collect", every_s=0.001) as hot:
        added_up([1.0] * 1000, time.perf_counter() + 0.3)
        sorted_up(np.random.default_rng(0).random(200_000), time.perf_counter() + 0.3)
    shares: dict[tuple[str, bool], float] = {}
    for line in hot.lines:
        assert line.phase == "collect"
        key = (line.where.function, line.interpreting)
        shares[key] = shares.get(key, 0.0) + line.share
    assert shares["added_up", True] > 0
    assert shares["sorted_up", False] > 0
    assert ("sorted_up", True) not in shares
    assert sum(shares.values()) <= 1.0001
