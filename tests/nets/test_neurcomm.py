"""NeurComm and its siblings: one stack for all agents, and the same agent by agent."""

from __future__ import annotations

import dataclasses
import math
from typing import get_args

import pytest
import torch
from noted import Noted
from torch import Tensor, nn

from velodrome.nets.neurcomm import Listening, Method, NeighbourNet, Neighbours, distances, line
from velodrome.nets.neurcomm_plain import PlainAgent, PlainNet
from velodrome.nets.stacked import Layer
from velodrome.nets.team import Channel, Played

METHODS = get_args(Method)
GRAPHS = {"line": line(4), "star": [[1], [3, 0, 2], [1], [1]]}
LONER = [*GRAPHS["star"], []]
SEEN, CHOICES, WIDTH, ROWS, GAMES = 3, 4, 8, 7, 3


def made(method: Method, neighbours: Neighbours, seed: int = 0) -> NeighbourNet:
    torch.manual_seed(seed)
    net = NeighbourNet(neighbours, SEEN, "heed", CHOICES, method, WIDTH).double()
    for name, parameter in net.named_parameters():
        if "bias" in name:  # they are zero at first, and would hide what is left out
            nn.init.normal_(parameter)
    return net


def segment(agents: int, net: NeighbourNet) -> Played:
    """With games that begin in it, last looks, and games that were going on before."""
    torch.manual_seed(7)
    fresh, looks = torch.zeros(ROWS + 1, GAMES, dtype=torch.bool), torch.zeros(ROWS + 1, GAMES, dtype=torch.bool)
    fresh[0, 0], looks[3, 1], fresh[4, 1], looks[-1] = True, True, True, True

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, GAMES, agents, SEEN if shape else WIDTH, dtype=torch.float64)

    memory = {"hidden": normal().tanh(), "cell": normal()}
    kept = {}
    if "policy" in net.start(1):
        memory["policy"] = torch.randn(GAMES, agents, CHOICES, dtype=torch.float64).softmax(-1)
        kept["policy"] = torch.randn(ROWS, GAMES, agents, CHOICES, dtype=torch.float64).softmax(-1)
    return Played(
        {"seen": normal(ROWS + 1)}, memory, fresh, kept,
        {"heed": torch.randint(CHOICES, (ROWS, GAMES, agents))}, torch.zeros(ROWS, GAMES, agents),
        torch.zeros(ROWS, GAMES, dtype=torch.bool), looks,
    )  # fmt: skip


def plain_of(net: NeighbourNet, method: Method, neighbours: Neighbours) -> PlainNet:
    """The same weights, agent by agent."""
    plain = PlainNet(neighbours, SEEN, "heed", CHOICES, method, WIDTH).double()
    for number, agent in enumerate(plain.agents):
        assert isinstance(agent, PlainAgent)
        for name, layer in agent.named_children():
            assert isinstance(layer, nn.Linear)
            weight, bias = weights_of(net, name, number)
            layer.weight.data.copy_(weight[: layer.in_features].T)
            assert not weight[layer.in_features :].any(), "padding"
            if bias is not None:
                layer.bias.data.copy_(bias)
    return plain


def weights_of(net: NeighbourNet, name: str, agent: int) -> tuple[Tensor, Tensor | None]:
    """What stands in the stack for an agent's small layer, `[inputs, outputs]`."""
    inputs = net.reading.inputs
    if name == "of_inputs":
        return net.cells.weight[agent, :inputs], net.cells.bias[agent, 0]
    if name == "of_hidden":
        return net.cells.weight[agent, inputs:], None
    if name == "critic":
        return torch.cat([net.value.weight[agent], net.value.chosen.stack()[agent]]), net.value.chosen.bias[agent, 0]
    layer = net.actor if name == "actor" else getattr(net.reading, name)
    return (layer.weight if isinstance(layer, Layer) else layer.stack())[agent], layer.bias[agent, 0]


@pytest.fixture(params=GRAPHS)
def neighbours(request: pytest.FixtureRequest) -> Neighbours:
    return GRAPHS[request.param]


@pytest.mark.parametrize("method", METHODS)
def test_the_stack_and_the_loop_are_the_same(method: Method, neighbours: Neighbours) -> None:
    net = made(method, neighbours)
    plain, played = plain_of(net, method, neighbours), segment(len(neighbours), net)
    ours, theirs = (each.unroll(played, Noted()) for each in (net, plain))
    weighing = {name: torch.randn_like(part) for name, part in ours.items()}
    for name in weighing:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-10)
    for outputs in (ours, theirs):
        sum((outputs[name].sin() * weights).sum() for name, weights in weighing.items()).backward()  # type: ignore[union-attr]
    gradients = made(method, neighbours)
    for ours_, into in zip(net.parameters(), gradients.parameters(), strict=True):
        assert ours_.grad is not None
        into.data.copy_(ours_.grad)
    wanted = plain_of(gradients, method, neighbours)
    for (name, own), gradient in zip(plain.named_parameters(), wanted.parameters(), strict=True):
        assert own.grad is not None
        assert torch.allclose(own.grad, gradient, rtol=0, atol=1e-9), name


@pytest.mark.parametrize("method", METHODS)
def test_the_stack_and_the_loop_act_alike(method: Method, neighbours: Neighbours) -> None:
    net = made(method, neighbours)
    plain, played = plain_of(net, method, neighbours), segment(len(neighbours), net)
    views = {"seen": played.views["seen"][0]}
    ours, theirs = (each.act(views, played.memory, Noted(), torch.Generator()) for each in (net, plain))
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_laid_out_once_is_the_same_and_does_not_outlast_its_weights(
    method: Method, neighbours: Neighbours
) -> None:
    net, noted = made(method, neighbours), Noted()
    played = segment(len(neighbours), net)

    def acted() -> Tensor:
        outputs, _, _ = net.act({"seen": played.views["seen"][0]}, played.memory, Noted(), torch.Generator())
        return outputs["heed"]

    before = acted()
    with net.settled(noted):
        assert torch.equal(acted(), before)
    assert noted.entered == ["own" if method == "consenet" else "communicate"]
    with torch.no_grad():
        net.reading.sight.weight += 1
    assert not torch.equal(acted(), before)


@pytest.mark.parametrize("method", METHODS)
def test_learning_sees_what_play_did(method: Method, neighbours: Neighbours) -> None:
    """Row by row in play, all at once in learning: one and the same."""
    net = made(method, neighbours)
    agents, played = len(neighbours), segment(len(neighbours), net)
    start = {name: part.view(GAMES, agents, -1) for name, part in net.start(GAMES * agents).items()}
    memory, logits = played.memory, []
    with torch.no_grad():
        for row in range(ROWS + 1):
            fresh = played.fresh[row][:, None, None]
            memory = {name: torch.where(fresh, start[name], part) for name, part in memory.items()}
            outputs, memory, kept = net.act({"seen": played.views["seen"][row]}, memory, Noted(), torch.Generator())
            logits.append(outputs["heed"])
            for name, part in kept.items():
                if row < ROWS:
                    played.kept[name][row] = part
    torch.testing.assert_close(net.unroll(played, Noted())["heed"], torch.stack(logits), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("vehicles", "method", "weights"),
    [
        (1, "neurcomm", 66_629),
        (2, "neurcomm", 2 * 71_305),
        (3, "neurcomm", 2 * 71_305 + 75_981),
        (8, "neurcomm", 598_496),
    ],
)
def test_weights_are_as_many_as_published(vehicles: int, method: Method, weights: int) -> None:
    net = NeighbourNet(line(vehicles), 5, "heed", 4, method)
    assert sum(parameter.numel() for parameter in net.parameters()) == weights


@pytest.mark.parametrize("method", METHODS)
def test_the_stack_has_no_weights_that_the_loop_has_not(method: Method, neighbours: Neighbours) -> None:
    net = made(method, neighbours)
    ours, theirs = (
        sum(parameter.numel() for parameter in each.parameters())
        for each in (net, PlainNet(neighbours, SEEN, "heed", CHOICES, method, WIDTH))
    )
    assert ours == theirs


def test_who_hears_nobody_is_an_lstm_of_its_own_sight() -> None:
    """NeurComm whose messages and fingerprints come to nothing, against torch's LSTM for each agent."""
    neighbours = line(4)
    net = made("neurcomm", neighbours)
    reading = net.reading
    with torch.no_grad():
        for layer in (reading.messages, reading.prints):
            assert isinstance(layer, Listening)
            layer.weight.zero_()
            layer.bias.zero_()
        assert isinstance(reading.sight, Listening)
        sight = reading.sight.stack().clone()
        sight[:, SEEN:] = 0  # all but the own sight
        reading.sight.weight.copy_(sight.flatten(0, 1)[reading.sight.get_buffer("rows")])
    played = segment(4, net)
    played.fresh[:] = False
    outputs = net.unroll(played, Noted())["heed"]
    for agent in range(4):
        lstm = nn.LSTM(WIDTH, WIDTH).double()
        order = [0, 1, 3, 2]  # torch has the update before what is shown
        of = net.cells.weight[agent].detach()
        blocks = [torch.cat([part.chunk(4, -1)[gate] for gate in order], -1).T for part in (of[:WIDTH], of[-WIDTH:])]
        bias = torch.cat([net.cells.bias[agent, 0].chunk(4)[gate] for gate in order])
        for name, values in zip(["weight_ih_l0", "weight_hh_l0", "bias_ih_l0"], [*blocks, bias], strict=True):
            getattr(lstm, name).data.copy_(values)
        lstm.bias_hh_l0.data.zero_()
        seen = (played.views["seen"][:, :, agent] @ sight[agent, :SEEN] + reading.sight.bias[agent]).relu()
        states = (played.memory[name][:, agent].unsqueeze(0).contiguous() for name in ("hidden", "cell"))
        hidden, _ = lstm(seen, tuple(states))
        logits = hidden @ net.actor.weight[agent] + net.actor.bias[agent]
        torch.testing.assert_close(outputs[:, :, agent], logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_how_far_news_travels(method: Method) -> None:
    """What the first of a line sees reaches its neighbour at once; the others hear of it row by row, or never."""
    net = made(method, line(4))
    played = segment(4, net)
    played.fresh[:] = False
    before = net.unroll(played, Noted())["heed"]
    played.views["seen"][0, :, 0] += 1
    after = net.unroll(played, Noted())["heed"]
    first = [(before[:, :, agent] != after[:, :, agent]).any(-1).any(-1).int().argmax().item() for agent in range(4)]
    reached = [(before[:, :, agent] != after[:, :, agent]).any().item() for agent in range(4)]
    if method in ("neurcomm", "commnet", "dial"):
        assert reached == [True] * 4
        assert first == [0, 0, 1, 2]
    else:
        assert reached == [True, method != "consenet", False, False]


@pytest.mark.parametrize("method", ["neurcomm", "fprint", "dial"])
def test_policies_are_read(method: Method) -> None:
    net = made(method, line(4))
    played = segment(4, net)
    before = net.unroll(played, Noted())["heed"]
    played.kept["policy"][0, 2, 0] = played.kept["policy"][0, 2, 0].flip(0)
    moved = (before != net.unroll(played, Noted())["heed"]).flatten(3).any(-1)
    assert not moved[0].any()
    assert moved[1, 2].tolist() == [method == "dial", method != "dial", False, False]


def test_the_value_knows_what_neighbours_chose() -> None:
    """And nothing of what the agent itself did; in last looks, the mean over what neighbours may choose."""
    net = made("ia2c", line(4))
    played = segment(4, net)
    before = net.unroll(played, Noted())["value"]
    action = played.action["heed"]
    action[1, :, 1] = (action[1, :, 1] + 1) % CHOICES
    action[3, 1] = (action[3, 1] + 1) % CHOICES  # a last look
    moved = before != net.unroll(played, Noted())["value"]
    assert moved[1].all(0).tolist() == [True, False, True, False]
    moved[1] = False
    assert not moved.any()
    likely = net.unroll(played, Noted())["heed"][-1].softmax(-1)
    value, mean = net.unroll(played, Noted())["value"][-1], torch.zeros(GAMES, dtype=torch.float64)
    played.looks[-1] = False
    for choice in range(CHOICES):
        action = torch.cat([played.action["heed"], torch.full((1, GAMES, 4), choice)])
        longer = dataclasses.replace(
            played, action={"heed": action},
            views={"seen": torch.cat([played.views["seen"], torch.zeros(1, GAMES, 4, SEEN)])},
            fresh=torch.cat([played.fresh, torch.zeros(1, GAMES, dtype=torch.bool)]),
            looks=torch.cat([played.looks, torch.ones(1, GAMES, dtype=torch.bool)]),
        )  # fmt: skip
        mean += likely[:, 1, choice] * net.unroll(longer, Noted())["value"][ROWS, :, 0]
    torch.testing.assert_close(value[:, 0], mean)


def test_a_new_game_forgets() -> None:
    """What was remembered, and how it was chosen, before a game began counts for nothing in it."""
    net = made("neurcomm", line(4))
    played = segment(4, net)
    before = net.unroll(played, Noted())
    played.memory["hidden"][0] += 1
    played.memory["cell"][0] += 1
    played.memory["policy"][0] = 0
    played.views["seen"][:4, 1] += 1
    played.kept["policy"][3, 1] = 0
    after = net.unroll(played, Noted())
    for name in before:
        torch.testing.assert_close(after[name][:, 0], before[name][:, 0], rtol=0, atol=0)
        torch.testing.assert_close(after[name][4:, 1], before[name][4:, 1], rtol=0, atol=0)


def test_consensus_is_the_mean_of_neighbours() -> None:
    neighbours = GRAPHS["star"]
    net = made("consenet", neighbours)
    plain = plain_of(net, "consenet", neighbours)
    before = net.cells.weight.detach().clone()
    sight = net.reading.sight.weight.detach().clone()  # type: ignore[union-attr]
    noted = Noted()
    net.agree(noted)
    plain.agree(noted)
    assert noted.entered == ["communicate"] * 2
    torch.testing.assert_close(net.cells.weight[0], before[:2].mean(0))
    torch.testing.assert_close(net.cells.weight[1], before.mean(0))
    assert torch.equal(net.reading.sight.weight, sight)  # type: ignore[arg-type]
    for ours, theirs in zip(plain_of(net, "consenet", neighbours).parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "consenet"])
def test_others_come_to_no_agreement(method: Method) -> None:
    net, noted = made(method, line(4)), Noted()
    before = [parameter.detach().clone() for parameter in net.parameters()]
    net.agree(noted)
    assert not noted.entered
    assert all(torch.equal(one, other) for one, other in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        ("neurcomm", ["communicate", "comprehend", "own"]),
        ("commnet", ["communicate", "comprehend", "own"]),
        ("dial", ["communicate", "comprehend", "own"]),
        ("ia2c", ["communicate", "own", "own"]),
        ("fprint", ["communicate", "own", "own"]),
        ("consenet", ["own", "own", "own"]),
    ],
)
def test_what_counts_as_communication(method: Method, wanted: list[str]) -> None:
    net, noted = made(method, line(4)), Noted()
    played = segment(4, net)
    net.act({"seen": played.views["seen"][0]}, played.memory, noted, torch.Generator())
    assert noted.entered == wanted


def test_ways_between_agents() -> None:
    assert distances(line(4)).tolist() == [[abs(one - other) for other in range(4)] for one in range(4)]
    star = distances(LONER)
    assert star[0].tolist() == [0, 1, 2, 2, math.inf]
    assert star[4].tolist() == [math.inf] * 4 + [0]


# -- what becomes of messages -----------------------------------------------------------------------------------------


def test_numbers_arrive_as_coarse_as_said_and_gradients_pass() -> None:
    told = torch.tensor([-3.0, -1.0, -0.4, 0.1, 0.6, 2.0], requires_grad=True)
    coarse = Channel(bits=1).coarse(told, -1, 1)
    assert coarse.tolist() == [-1, -1, -1, 1, 1, 1]
    coarse.sum().backward()
    assert told.grad is not None
    assert told.grad.tolist() == [1] * 6
    assert (Channel(bits=8).coarse(told, -1, 1) - told.clamp(-1, 1)).abs().max() <= 1 / 255
    assert Channel().coarse(told, -1, 1) is told
    assert Channel(bits=2).coarse(torch.tensor([0.0, 0.4, 1.0]), 0, 1).tolist() == pytest.approx([0, 1 / 3, 1])


def test_messages_get_lost_as_often_as_said_but_not_to_oneself() -> None:
    arrives = Channel(lost=0.3).arriving(4000, 4, torch.Generator().manual_seed(0))
    own = torch.eye(4, dtype=torch.bool)
    assert arrives[:, own].all()
    assert arrives[:, ~own].double().mean() == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_with_all_messages_lost_agents_are_alone(method: Method) -> None:
    torch.manual_seed(0)
    net = NeighbourNet(line(4), SEEN, "heed", CHOICES, method, WIDTH, Channel(lost=1.0)).double()
    played = segment(4, net)
    views, generator = {"seen": played.views["seen"][0].clone()}, torch.Generator()
    first = net.act(views, played.memory, Noted(), generator)[0]["heed"]
    views["seen"][:, 1:] += 1
    memory = {name: part.clone() for name, part in played.memory.items()}
    for part in memory.values():
        part[:, 1:] += 1
    second = net.act(views, memory, Noted(), generator)[0]["heed"]
    assert torch.equal(first[:, 0], second[:, 0])
    assert not torch.equal(first[:, 1], second[:, 1])


@pytest.mark.parametrize("method", METHODS)
def test_a_segment_is_learnt_from_as_it_was_heard(method: Method) -> None:
    torch.manual_seed(0)
    net = NeighbourNet(line(4), SEEN, "heed", CHOICES, method, WIDTH, Channel(lost=0.5, bits=3)).double()
    played, generator = segment(4, net), torch.Generator().manual_seed(1)
    played.fresh[:] = False
    memory, outputs, kept = dict(played.memory), [], []
    for row in range(ROWS):
        acted, memory, more = net.act({"seen": played.views["seen"][row]}, memory, Noted(), generator)
        outputs.append(acted["heed"])
        kept.append(more)
    played.kept = {name: torch.stack([each[name] for each in kept]) for name in kept[0]}
    torch.testing.assert_close(net.unroll(played, Noted())["heed"][:-1], torch.stack(outputs))
