"""Compiled attention against torch's own layers."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from velodrome.nets import parts
from velodrome.nets.hearts import FEATURES, AttentionNet
from velodrome.nets.parts import LONGEST, Encoder, Pooling, SelfAttention

WIDTH = 16
LENGTHS = [1, 2, 5, LONGEST]
HEADS = [1, 4]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def some(rows: int, positions: int) -> Tensor:
    """A mask that allows at least one position of each row, and not always the first."""
    mask = torch.rand(rows, positions) < 0.5
    return mask.scatter(1, torch.randint(positions, (rows, 1)), True)


def full(rows: int, positions: int) -> Tensor:
    return torch.ones(rows, positions, dtype=torch.bool)


def shaken(module: nn.Module) -> nn.Module:
    """The module with no weight left at what it starts from, as the factors of a norm do at 1."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return module


def by_torch(monkeypatch: pytest.MonkeyPatch, work: Callable[[], list[Tensor]]) -> list[Tensor]:
    with monkeypatch.context() as patch:
        patch.setattr(parts, "serves", lambda x: False)
        patch.setattr(parts, "encode", refuse)
        patch.setattr(parts, "pool", refuse)
        return work()


def by_kernels(monkeypatch: pytest.MonkeyPatch, work: Callable[[], list[Tensor]]) -> list[Tensor]:
    with monkeypatch.context() as patch:
        patch.setattr(SelfAttention, "forward", refuse)
        return work()


def refuse(*given: object, **named: object) -> Tensor:
    raise AssertionError("this form was not to be taken")


def passed(module: nn.Module, x: Tensor, mask: Tensor, towards: Tensor) -> list[Tensor]:
    """The output, weighed by `towards`, and the gradients of the input and of every weight."""
    out = module(x, mask) * towards
    return [out, *torch.autograd.grad(out.sum(), [x, *module.parameters()])]


def assert_same(module: nn.Module, found: list[Tensor], expected: list[Tensor]) -> None:
    names = ["output", "input", *(name for name, _ in module.named_parameters())]
    for name, own, other in zip(names, found, expected, strict=True):
        scale = other.abs().max().clamp(min=1).item()
        torch.testing.assert_close(
            own, other, rtol=1e-5, atol=1e-5 * scale, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("masks", [some, full])
@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("positions", LENGTHS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("heads", HEADS)
def test_the_compiled_encoder_equals_its_own_layers(
    heads: int,
    layers: int,
    positions: int,
    rows: int,
    masks: Callable[[int, int], Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, mask = shaken(Encoder(WIDTH, heads, layers)), masks(rows, positions)
    x = torch.randn(rows, positions, WIDTH, requires_grad=True)
    towards = torch.randn(rows, positions, WIDTH) * mask[..., None]
    found = by_kernels(monkeypatch, lambda: passed(encoder, x, mask, towards))
    assert_same(encoder, found, by_torch(monkeypatch, lambda: passed(encoder, x, mask, towards)))


@pytest.mark.parametrize("masks", [some, full])
@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("positions", LENGTHS)
@pytest.mark.parametrize("heads", HEADS)
def test_compiled_pooling_equals_its_own_layers(
    heads: int, positions: int, rows: int, masks: Callable[[int, int], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    pooling, mask = shaken(Pooling(WIDTH, heads)), masks(rows, positions)
    x, towards = torch.randn(rows, positions, WIDTH, requires_grad=True), torch.randn(rows, WIDTH)
    found = by_kernels(monkeypatch, lambda: passed(pooling, x, mask, towards))
    assert_same(pooling, found, by_torch(monkeypatch, lambda: passed(pooling, x, mask, towards)))


def test_what_is_masked_says_nothing_and_learns_nothing() -> None:
    encoder, pooling, mask = Encoder(WIDTH, 4, 2), Pooling(WIDTH, 4), some(7, 5)
    x = torch.randn(7, 5, WIDTH)
    spoilt = x.masked_fill(~mask[..., None], torch.nan).requires_grad_()
    encoded = encoder(spoilt, mask)
    assert torch.equal(encoded, encoder(x, mask))
    assert not encoded[~mask].any()
    assert torch.equal(pooling(spoilt, mask), pooling(x, mask))
    (encoded.square().sum() + pooling(spoilt, mask).square().sum()).backward()
    assert spoilt.grad is not None
    assert not spoilt.grad[~mask].any()
    assert spoilt.grad[mask].abs().min() > 0


def test_inputs_and_gradients_in_other_layouts_are_the_same_numbers() -> None:
    x, mask = torch.randn(5, 7, WIDTH), some(5, 7)
    for module, shape in ((Encoder(WIDTH, 4, 2), (5, 7, WIDTH)), (Pooling(WIDTH, 4), (5, WIDTH))):
        towards = torch.randn(shape)
        leaf, turned = x.clone().requires_grad_(), x.mT.contiguous().requires_grad_()
        (plain,) = torch.autograd.grad(module(leaf, mask), leaf, towards)
        (other,) = torch.autograd.grad(module(turned.mT, mask.T.contiguous().T), turned, towards.mT.contiguous().mT)
        assert torch.equal(plain, other.mT)


def test_several_passes_before_the_way_back_keep_apart() -> None:
    encoder, masks = Encoder(WIDTH, 4, 1), [some(6, 5), some(6, 5)]
    inputs = [torch.randn(6, 5, WIDTH, requires_grad=True) for _ in masks]
    alone = [torch.autograd.grad(encoder(x, mask).square().sum(), x)[0] for x, mask in zip(inputs, masks, strict=True)]
    outputs = [encoder(x, mask) for x, mask in zip(inputs, masks, strict=True)]
    together = torch.autograd.grad(sum(output.square().sum() for output in outputs), inputs)
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize("module", [Encoder(WIDTH, 4, 2), Pooling(WIDTH, 4)], ids=["encoder", "pooling"])
def test_what_is_kept_for_the_way_back_is_let_go_after_it(module: nn.Module) -> None:
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = module(torch.randn(3, 5, WIDTH), full(3, 5)).square().sum()
    assert sum(kept) >= 3 * 5 * WIDTH
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_no_rows_at_all() -> None:
    encoder, pooling, mask = Encoder(WIDTH, 4, 2), Pooling(WIDTH, 4), full(0, 5)
    pooled = pooling(encoder(torch.randn(0, 5, WIDTH), mask), mask)
    assert pooled.shape == (0, WIDTH)
    pooled.sum().backward()
    for parameter in (*encoder.parameters(), *pooling.parameters()):
        assert torch.equal(parameter.grad, torch.zeros_like(parameter))


@pytest.mark.parametrize("shared", [True, False], ids=["self-attention", "one query for all rows"])
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("positions", [1, 5, LONGEST + 8])
def test_self_attention_equals_torchs_multi_head_attention(shared: bool, heads: int, positions: int) -> None:
    rows, mask = 7, some(7, positions)
    ours, theirs = SelfAttention(WIDTH, heads), nn.MultiheadAttention(WIDTH, heads, batch_first=True)
    theirs.in_proj_weight, theirs.in_proj_bias = ours.input.weight, ours.input.bias
    theirs.out_proj.weight, theirs.out_proj.bias = ours.output.weight, ours.output.bias
    x, query = torch.randn(rows, positions, WIDTH, requires_grad=True), torch.randn(WIDTH, requires_grad=True)
    asked = x if shared else query.expand(rows, 1, -1)
    outputs = (
        ours(x, mask) if shared else ours(x, mask, query),
        theirs(asked, x, x, key_padding_mask=~mask, need_weights=False)[0],
    )
    towards, wanted = torch.randn_like(outputs[0]), [x, *ours.parameters(), *([] if shared else [query])]
    gradients = [torch.autograd.grad((output * towards).sum(), wanted) for output in outputs]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)


def test_looks_are_the_weights_of_torchs_multi_head_attention() -> None:
    pooling, mask, x = shaken(Pooling(WIDTH, 4)), some(7, 5), torch.randn(7, 5, WIDTH)
    theirs = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
    theirs.in_proj_weight, theirs.in_proj_bias = pooling.attention.input.weight, pooling.attention.input.bias
    _, weights = theirs(pooling.query.expand(7, 1, -1), x, x, key_padding_mask=~mask)
    torch.testing.assert_close(pooling.looks(x, mask), weights.squeeze(1), atol=1e-5, rtol=1e-5)


# -- which form is taken ---------------------------------------------------------------------------------------------


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SelfAttention, "forward", refuse)


@pytest.fixture
def torch_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "encode", refuse)
    monkeypatch.setattr(parts, "pool", refuse)


def both(positions: int = 5, dropout: float = 0.0) -> tuple[nn.Module, Tensor, Tensor]:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.pooling = Encoder(WIDTH, 4, 1, dropout), Pooling(WIDTH, 4)

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return self.pooling(self.encoder(x, mask), mask)

    return Both(), torch.randn(3, positions, WIDTH), some(3, positions)


@pytest.mark.usefixtures("kernels")
def test_short_sequences_take_the_kernels() -> None:
    net, x, mask = both(LONGEST)
    assert net(x, mask).isfinite().all()
    with pytest.raises(AssertionError, match="this form"):
        net(torch.randn(3, LONGEST + 1, WIDTH), full(3, LONGEST + 1))


@pytest.mark.usefixtures("torch_form")
def test_long_sequences_take_torchs_form() -> None:
    net, x, mask = both(LONGEST + 1)
    assert net(x, mask).isfinite().all()
    with pytest.raises(AssertionError, match="this form"):
        net(x[:, :LONGEST], full(3, LONGEST))


@pytest.mark.usefixtures("torch_form")
def test_other_precisions_take_torchs_form() -> None:
    net, x, mask = both()
    with torch.autocast("cpu", torch.bfloat16):
        assert net(x, mask).isfinite().all()
    for kind in (torch.bfloat16, torch.float64):
        assert net.to(kind)(x.to(kind), mask).dtype == kind


@pytest.mark.usefixtures("torch_form")
def test_a_net_that_torch_compiles_takes_torchs_form() -> None:
    net, x, mask = both()
    whole = torch.compile(net, backend="eager", fullgraph=True)
    assert whole(x, mask).isfinite().all()


def test_dropout_takes_torchs_form_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, x, mask = Encoder(WIDTH, 4, 1, dropout=0.5), torch.randn(3, 5, WIDTH), full(3, 5)
    with monkeypatch.context() as patch:
        patch.setattr(parts, "encode", refuse)
        assert not torch.equal(encoder(x, mask), encoder(x, mask))
    with monkeypatch.context() as patch:
        patch.setattr(SelfAttention, "forward", refuse)
        assert torch.equal(encoder.eval()(x, mask), encoder(x, mask))


@pytest.mark.parametrize("compiled", [True, False])
def test_a_row_without_any_history_gives_numbers(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(parts, "serves", lambda x: False)
    net = AttentionNet(WIDTH, 4, 2)
    cards, past = torch.randint(FEATURES, (3, 5, 8)), some(3, 5)
    cards[1], past[1] = FEATURES, False
    views = {"cards": cards, "past": past, "seat": torch.arange(3)}
    outputs = net(views)
    assert all(output.isfinite().all() for output in outputs.values())
    everywhere = net(views | {"past": past.index_fill(0, torch.tensor(1), True)})
    assert all(torch.equal(output, everywhere[name]) for name, output in outputs.items())
    (outputs["card"].square().sum() + outputs["value"].sum()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


BY_ITSELF = """
import threadpoolctl, torch
from velodrome.nets.parts import Encoder
with torch.no_grad():
    Encoder(4, 1, 1)(torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))
for library in threadpoolctl.threadpool_info():
    if library["internal_api"] == "openblas":
        print(library["num_threads"])
"""


def test_products_keep_to_their_thread_even_if_nothing_compiled_ran_before() -> None:
    """In an interpreter of its own, since the libraries that are to be limited are loaded once."""
    asked = os.environ | {"OPENBLAS_NUM_THREADS": "2"}
    made = subprocess.run([sys.executable, "-c", BY_ITSELF], env=asked, capture_output=True, text=True, check=True)
    assert set(made.stdout.split()) <= {"1"}
