import pytest
import torch
from torch import Tensor

from velodrome.nets import parts
from velodrome.nets.parts import FEW, Plain

WIDTHS = [(9, 3), (7, 16, 5), (8, 32, 16, 1)]


def passed(net: Plain, x: Tensor, towards: Tensor) -> list[Tensor]:
    """The output, and the gradients of the input and of every weight."""
    output = net(x)
    wanted = [x, *net.parameters()]
    return [output, *torch.autograd.grad((output * towards).sum(), wanted)]


@pytest.mark.parametrize("rows", [1, 16, FEW])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_the_compiled_chain_equals_torchs_layers(
    widths: tuple[int, ...], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    net, x, towards = Plain(*widths), torch.randn(rows, widths[0], requires_grad=True), torch.randn(rows, widths[-1])
    compiled = passed(net, x, towards)
    monkeypatch.setattr(parts, "serves", lambda x: False)
    for own, other in zip(compiled, passed(net, x, towards), strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("case", ["many rows", "dropout", "double"])
def test_where_the_compiled_chain_does_not_serve_torchs_layers_do(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "chain", lambda x, weights: pytest.fail("the compiled chain was called"))
    net, x = Plain(4, 8, 2, dropout=0.5 if case == "dropout" else 0.0), torch.randn(3, 4)
    if case == "many rows":
        x = torch.randn(FEW + 1, 4)
    if case == "double":
        net, x = net.double(), x.double()
    assert net(x).shape == (len(x), 2)


def test_dropout_matters_in_training_alone() -> None:
    torch.manual_seed(0)
    net, x = Plain(4, 64, 2, dropout=0.5), torch.randn(3, 4)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))
    assert [type(layer).__name__ for layer in net] == ["Linear", "ReLU", "Dropout", "Linear"]
