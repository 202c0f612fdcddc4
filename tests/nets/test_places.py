import torch
from torch import Tensor, nn

from velodrome.nets.kernels.places import offer, withdraw
from velodrome.nets.parts import Encoder, Plain, Pooling


class Twice(nn.Module):
    """Its layers serve twice in one pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Plain(4, 8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.layers(x))  # type: ignore[no-any-return]


class Looks(nn.Module):
    """One of each compiled part."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.pooling, self.head = Encoder(8, 2, 2), Pooling(8, 2), Plain(8, 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        sequence, mask = x[:, None].expand(-1, 3, -1).repeat(1, 1, 2), torch.ones(len(x), 3, dtype=torch.bool)
        return self.head(self.pooling(self.encoder(sequence, mask), mask))  # type: ignore[no-any-return]


def gradients(net: nn.Module, x: Tensor) -> list[Tensor]:
    net.zero_grad()
    net(x).square().sum().backward()
    return [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]


def test_a_gradient_is_written_into_the_place_offered_for_it() -> None:
    torch.manual_seed(0)
    net, x = Looks(), torch.randn(5, 4)
    expected, parameters = gradients(net, x), list(net.parameters())
    places = [torch.full_like(parameter, 7.0) for parameter in parameters]
    offer(parameters, places)
    assert all(map(torch.equal, gradients(net, x), expected))
    written = [torch.equal(place, wanted) for place, wanted in zip(places, expected, strict=True)]
    assert written == ["norm" not in name or "encoder" in name for name, _ in net.named_parameters()]
    assert all(map(torch.equal, gradients(net, x), expected))  # and only once
    assert [place.data_ptr() for place in places] != [parameter.grad.data_ptr() for parameter in parameters]  # type: ignore[union-attr]


def test_weights_that_serve_twice_get_the_sum() -> None:
    torch.manual_seed(0)
    net, x = Twice(), torch.randn(5, 4)
    expected, parameters = gradients(net, x), list(net.parameters())
    offer(parameters, [torch.zeros_like(parameter) for parameter in parameters])
    for own, other in zip(gradients(net, x), expected, strict=True):
        torch.testing.assert_close(own, other)


def test_what_was_not_taken_is_withdrawn() -> None:
    net, place = Plain(4, 8, 2), torch.zeros(8, 4)
    offer(list(net.parameters())[:1], [place])
    withdraw(net.parameters())
    gradients(net, torch.randn(3, 4))
    assert not place.any()
