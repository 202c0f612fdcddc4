import torch
from torch import Tensor, nn

from velodrome.nets.kernels.places import Place, bring, offer, withdraw
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


def places_of(net: nn.Module) -> list[Place]:
    return [Place(torch.full_like(parameter, 7.0)) for parameter in net.parameters()]


def test_a_gradient_is_written_into_the_place_offered_for_it() -> None:
    torch.manual_seed(0)
    net, x = Looks(), torch.randn(5, 4)
    expected, parameters, places = gradients(net, x), list(net.parameters()), places_of(net)
    offer(parameters, places)
    gradients(net, x)
    norm = [name for name, _ in net.named_parameters() if name.startswith("pooling.norm")]  # torch's own layer
    found = zip(net.named_parameters(), places, expected, strict=True)
    for (name, parameter), place, wanted in found:
        assert place.written == (name not in norm)
        assert torch.equal(place.tensor if place.written else parameter.grad, wanted)
        assert place.written == (parameter.grad is None)
    bring(parameters, places)
    assert all(torch.equal(place.tensor, wanted) for place, wanted in zip(places, expected, strict=True))
    assert all(map(torch.equal, gradients(net, x), expected))  # offered once, taken once
    assert not any(place.written for place in places)


def test_weights_that_serve_twice_get_the_sum() -> None:
    torch.manual_seed(0)
    net, x = Twice(), torch.randn(5, 4)
    expected, parameters, places = gradients(net, x), list(net.parameters()), places_of(net)
    offer(parameters, places)
    gradients(net, x)
    bring(parameters, places)
    for place, wanted in zip(places, expected, strict=True):
        torch.testing.assert_close(place.tensor, wanted)


def test_weights_that_nobody_used_have_zeros() -> None:
    net = Plain(4, 8, 2)
    places = places_of(net)
    bring(list(net.parameters()), places)
    assert not any(place.tensor.any() for place in places)


def test_what_was_not_taken_is_withdrawn() -> None:
    net, place = Plain(4, 8, 2), Place(torch.zeros(8, 4))
    offer(list(net.parameters())[:1], [place])
    withdraw(net.parameters())
    gradients(net, torch.randn(3, 4))
    assert not place.tensor.any()


def test_if_one_of_the_weights_has_no_place_their_gradients_go_where_gradients_go() -> None:
    net, x = Plain(4, 8, 2), torch.randn(3, 4)
    expected, place = gradients(net, x), Place(torch.zeros(8, 4))
    offer(list(net.parameters())[:1], [place])
    assert all(map(torch.equal, gradients(net, x), expected))
    assert not place.written
