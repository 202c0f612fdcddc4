import pytest
import torch
from torch import Tensor, nn

from velodrome.nets.kernels.attention import attend
from velodrome.nets.parts import SelfAttention


def masked(rows: int, keys: int) -> Tensor:
    mask = torch.rand(rows, keys) < 0.6
    mask[:, 0] = True
    return mask


def torchs(ours: SelfAttention, width: int, heads: int) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(width, heads, batch_first=True)
    theirs.in_proj_weight, theirs.in_proj_bias = ours.input.weight, ours.input.bias
    theirs.out_proj.weight, theirs.out_proj.bias = ours.output.weight, ours.output.bias
    return theirs


@pytest.mark.parametrize("shared", [True, False], ids=["self-attention", "one query for all rows"])
@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("keys", [1, 5, 40])
def test_equals_torchs_multi_head_attention(shared: bool, heads: int, keys: int) -> None:
    torch.manual_seed(0)
    width, rows = 32, 7
    ours, mask = SelfAttention(width, heads), masked(rows, keys)
    theirs = torchs(ours, width, heads)
    x = torch.randn(rows, keys, width, requires_grad=True)
    query = x if shared else torch.randn(1, 1, width, requires_grad=True)
    asked = query.expand(rows, -1, -1)
    outputs = ours(query, x, mask), theirs(asked, x, x, key_padding_mask=~mask, need_weights=False)[0]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    towards = torch.randn_like(outputs[0])
    wanted = [x, query, ours.input.weight, ours.input.bias, ours.output.weight]
    gradients = [torch.autograd.grad((output * towards).sum(), wanted, retain_graph=True) for output in outputs]
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)


def test_a_row_that_may_look_at_nothing_takes_nothing() -> None:
    projected, mask = torch.randn(2, 5, 24, requires_grad=True), torch.tensor([[True] * 5, [False] * 5])
    mixed = attend(projected, projected, mask, 2, 8)
    assert mixed[0].abs().min() > 0
    assert torch.equal(mixed[1], torch.zeros(5, 8))
    mixed.sum().backward()
    assert projected.grad is not None
    assert projected.grad.isfinite().all()
    assert torch.equal(projected.grad[1], torch.zeros(5, 24))
