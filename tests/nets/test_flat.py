"""Rows from whatever is seen, and the running moments that normalise them."""

from __future__ import annotations

import copy

import numpy as np
import torch

from velodrome.games.game import Choice, Score, Spec, View
from velodrome.nets.flat import Eyes, FlatNet
from velodrome.nets.moments import FARTHEST, Moments, watching
from velodrome.recipes.ppo import eyes_for


def rows(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, generator=generator) * torch.tensor([1.0, 100.0, 0.01]) + torch.tensor([0.0, 5000.0, -3.0])


def test_moments_are_those_of_all_rows() -> None:
    moments, all_rows = Moments(3), rows(700)
    for part in all_rows.split([1, 0, 99, 600]):
        moments.take(moments.sums(part))
    torch.testing.assert_close(moments.mean, all_rows.double().mean(0).float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(moments.spread, all_rows.double().std(0, correction=0).float(), rtol=1e-4, atol=0)
    assert int(moments.count) == 700


def test_sums_of_several_lanes_add_up() -> None:
    together, parted = Moments(3), Moments(3)
    for seed in range(3):
        part = rows(64, seed)
        together.take(together.sums(part))
        parted.take(parted.sums(part[:20]) + parted.sums(part[20:]))
    torch.testing.assert_close(parted.state_dict(), together.state_dict())


def test_normalised_rows_are_centred_and_bounded() -> None:
    moments, seen = Moments(3), rows(500)
    assert torch.equal(moments(seen / 1000), seen / 1000), "nothing is known yet"
    moments.take(moments.sums(seen))
    found = moments(seen)
    torch.testing.assert_close(found.mean(0), torch.zeros(3), atol=0.02, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(3), atol=0.02, rtol=0)
    assert moments(seen * 1e6).abs().max() == FARTHEST


def test_what_never_changes_is_zero() -> None:
    moments = Moments(1)
    for _ in range(3):
        moments.take(moments.sums(torch.full((8, 1), 7.0)))
    assert moments(torch.full((8, 1), 7.0)).abs().max() == 0


SPEC = Spec(
    "some", 2, 2,
    {
        "place": View((2, 2)),
        "hour": View((), np.int64, 3, 6),
        "cards": View((2,), np.int8, 0, 1),
        "picture": View((40, 40), np.uint8, 0, 255),
        "legal": View((5,), np.bool_),
        "all": View((9,), private=True),
    },
    (Choice("go", 5, "legal"),), Score("return", "higher"), 9,
)  # fmt: skip


def views(n: int) -> dict[str, torch.Tensor]:
    return {
        "place": torch.arange(4.0 * n).view(n, 2, 2),
        "hour": torch.arange(n) % 4 + 3,
        "cards": torch.ones(n, 2, dtype=torch.int8),
        "picture": torch.zeros(n, 40, 40, dtype=torch.uint8),
        "seat": torch.arange(n) % 2,
    }


def test_eyes_see_numbers_kinds_and_seat() -> None:
    eyes = eyes_for(SPEC, normalise=False)
    assert (eyes.wants, eyes.width) == (("place", "picture", "hour", "cards", "seat"), 4 + 1600 + 4 + 4 + 2)
    seen = eyes(views(4))
    assert seen.shape == (4, eyes.width)
    assert seen[1, :4].tolist() == [4, 5, 6, 7]
    assert seen[1, 1604:].tolist() == [0, 1, 0, 0, 0, 1, 0, 1, 0, 1]


def test_a_net_has_the_outputs_that_are_asked_for() -> None:
    net = FlatNet(eyes_for(SPEC, normalise=True), (16,), {"go": 5, "value": 1}, ["legal"])
    found = net(views(3))
    assert {name: tuple(part.shape) for name, part in found.items()} == {"go": (3, 5), "value": (3,)}
    assert "legal" in net.wants


def test_moments_that_nets_share_are_watched_once_and_copied_with_them() -> None:
    eyes = Eyes({"place": 4}, {}, 1, True)
    net, critic = FlatNet(eyes, (8,), {"go": 5}), FlatNet(eyes, (8,), {"value": 1})
    ((module, moments),) = watching([net, critic])
    assert module is eyes
    frozen = copy.deepcopy(net)
    moments.take(moments.sums(eyes.watched(views(5))))
    assert critic.state_dict()["eyes.moments.count"] == 5
    assert frozen.state_dict()["eyes.moments.count"] == 0
    assert watching([FlatNet(Eyes({"place": 4}, {}, 1, False), (8,), {"go": 5})]) == []
