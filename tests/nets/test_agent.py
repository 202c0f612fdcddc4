"""The net that agents share: whole episodes at once are what it says step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from velodrome.nets.agent import AgentNet
from velodrome.nets.recurrent import unroll

SEEN, ORDERS, AGENTS = 6, 5, 3
LENGTHS = [4, 3, 3, 1]


def sizes_of(lengths: list[int]) -> Tensor:
    return torch.tensor([sum(length > step for length in lengths) for step in range(lengths[0])])


@pytest.mark.parametrize("memory", [True, False])
def test_episodes_at_once_are_steps_one_by_one(memory: bool) -> None:
    torch.manual_seed(0)
    net, sizes = AgentNet(SEEN, "order", ORDERS, AGENTS, 16, memory=memory), sizes_of(LENGTHS)
    rows = int(sizes.sum())
    views = {
        "seen": torch.randn(rows, AGENTS, SEEN),
        "before": torch.randint(ORDERS + 1, (rows, AGENTS)),
        "seat": torch.arange(AGENTS).expand(rows, AGENTS),
    }
    found, first = net.unroll(net.inputs(views), sizes), 0
    hidden = net.start(len(LENGTHS) * AGENTS).get("hidden")
    for size in sizes.tolist():
        now = {name: view[first : first + size].flatten(0, 1) for name, view in views.items()}
        if hidden is not None:
            now["hidden"] = hidden[: size * AGENTS]
        outputs = net(now)
        hidden = outputs.get("hidden")
        torch.testing.assert_close(found[first : first + size].flatten(0, 1), outputs["order"], rtol=1e-4, atol=1e-5)
        first += size
    assert (hidden is not None) == memory


def test_orders_and_numbers_are_one_of_n() -> None:
    net = AgentNet(2, "order", 3, 2)
    views = {
        "seen": torch.tensor([[7.0, 8.0], [9.0, 1.0]]),
        "before": torch.tensor([0, 3]),
        "seat": torch.tensor([1, 0]),
    }
    assert net.inputs(views).tolist() == [[7, 8, 0, 0, 0, 0, 1], [9, 1, 0, 0, 1, 1, 0]]
    assert AgentNet(2, "order", 3, 2, memory=False).start(4).keys() == {"before"}


def test_the_published_net_has_as_many_weights_as_its_sizes_say() -> None:
    net, width = AgentNet(30, "order", 9, 3), 64
    gru = 3 * width * width * 2 + 2 * 3 * width
    assert sum(part.numel() for part in net.parameters()) == (30 + 9 + 3) * width + width + gru + width * 9 + 9


def test_a_gru_and_its_gradients_are_those_of_torch() -> None:
    torch.manual_seed(0)
    gru, sizes = nn.GRU(5, 7), sizes_of([9, 9, 6, 6, 2, 1])
    x, weights = torch.randn(int(sizes.sum()), 5, requires_grad=True), torch.randn(int(sizes.sum()), 7)

    def told(hidden: Tensor) -> list[Tensor]:
        return [hidden, *torch.autograd.grad((hidden * weights).sum(), [x, *gru.parameters()])]

    own, expected = told(unroll(gru, x, sizes)), told(gru(PackedSequence(x, sizes))[0].data)
    for one, other in zip(own, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(unroll(gru, x, sizes), own[0], rtol=1e-4, atol=1e-5)
