"""The nets for Territory: exact sizes, what is dead in the published one, and that ours looks around."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from velodrome.games import make
from velodrome.meter.card import card
from velodrome.nets import make_net
from velodrome.nets.territory import AttentionNet, CrossNet, LoneKey


def sizes(net: nn.Module) -> dict[str, int]:
    """Weights of each part."""
    return {name: sum(each.numel() for each in part.parameters()) for name, part in net.named_children()}


def test_the_flattened_net_is_as_large_as_published() -> None:
    net, _ = make_net("territory/flatten")
    assert sizes(net) == {"map": 6_503_072, "numbers": 18_688, "fusion": 164_096, "heads": 44_506 + 33_025}
    assert sum(sizes(net).values()) == 6_763_387


@pytest.mark.parametrize("name", ["territory/attention", "territory/attention-steady"])
def test_the_attention_net_is_as_large_as_published(name: str) -> None:
    net, _ = make_net(name)
    found = sizes(net)
    assert found["gates"] + found["pooled"] == 208_003
    assert found["numbers"] == 18_688
    assert found["cross"] == 82_432
    assert found["fusion"] == 131_328
    assert found["heads"] == 44_506 + 33_025
    assert sum(found.values()) == 517_982


def test_the_card_finds_what_is_dead_in_the_published_attention() -> None:
    net, inputs = make_net("territory/attention")
    made = card(net, *inputs, batches=(8,))
    assert made.dead_parameters == 49_408
    assert {name.rsplit(".", 1)[0] for name in made.dead} == {"cross.query", "cross.key"}


def test_nothing_is_dead_in_ours() -> None:
    net, inputs = make_net("territory/cross")
    made = card(net, *inputs, batches=(8,))
    assert made.dead_parameters == 0
    assert made.parameters <= 540_000


def test_with_one_key_it_does_not_matter_what_is_asked() -> None:
    net = LoneKey()
    told = torch.randn(5, 128)
    assert torch.equal(net(torch.randn(5, 256), told), net(torch.randn(5, 256), told))
    net(torch.randn(5, 256), told).sum().backward()
    for part in (net.query, net.key):
        assert not any(each.grad.any() for each in part.parameters() if each.grad is not None)


def views_of(observation: str, rows: int = 6) -> dict[str, Tensor]:
    """What is seen in the middle of some games."""
    game = make("territory", rows, 0, size=32, bots=3, observation=observation)
    for _ in range(5):
        game.step(game.bot("greedy"))
    return {name: torch.from_numpy(view[:, 0].copy()) for name, view in game.views.items()}


@pytest.mark.parametrize(
    ("net", "shapes"),
    [
        (AttentionNet(), {"gate 1": (32, 32), "gate 2": (8, 8), "gate 3": (4, 4)}),
        (CrossNet(), {"the directions": (4, 4), "the numbers": (4, 4)}),
    ],
)
def test_where_nets_look(net: Any, shapes: dict[str, tuple[int, int]]) -> None:
    views = views_of("coarse" if isinstance(net, CrossNet) else "published")
    looks = net.eval().looks(views)
    assert {name: tuple(look.shape[1:]) for name, look in looks.items()} == shapes
    for look in looks.values():
        assert len(look) == 6
        assert ((look >= 0) & (look <= 1)).all()
        if isinstance(net, CrossNet):
            torch.testing.assert_close(look.sum((1, 2)), torch.ones(6))


def test_what_lies_on_the_map_reaches_every_order() -> None:
    """Both ways of attention are alive: numbers and map each move all orders and the value."""
    net, views = CrossNet(), views_of("coarse")
    for name in ("coarse", "sights", "globals"):
        leaf = views[name].clone().requires_grad_()
        out = net({**views, name: leaf})
        for part in (out["order"][:, :80], out["order"][:, 80:], out["value"]):
            (gradient,) = torch.autograd.grad(part.sum(), leaf, retain_graph=True)
            assert gradient.any(), name


def test_published_nets_see_every_part_of_the_map() -> None:
    for name in ("territory/flatten", "territory/attention-steady"):
        net, (views,) = make_net(name)
        leaf = views["map"].clone().requires_grad_()
        out = net.eval()({**views, "map": leaf})
        (gradient,) = torch.autograd.grad(out["order"].square().sum(), leaf)
        quarters = gradient.abs().sum((0, 3)).view(2, 64, 2, 64).sum((1, 3))
        assert (quarters > 0).all(), name


@pytest.mark.parametrize("steady", [False, True])
def test_only_the_steady_net_learns_as_it_plays(steady: bool) -> None:
    net, views = AttentionNet(steady), views_of("published")
    played = net.eval()(views)["order"]
    assert torch.allclose(net.train()(views)["order"], played, atol=1e-5) == steady
