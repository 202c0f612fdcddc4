"""ToM2C's nets: three forms of the graph, what is told to whom, and who learns from what."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from noted import Noted
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import velodrome.nets.tom2c
from velodrome.games import make
from velodrome.games.game import Game
from velodrome.learn.team import UNTIMED, Table
from velodrome.meter.clock import Clock
from velodrome.nets.graphs import Form, GraphNet, drawn, logistic, messages
from velodrome.nets.minds import Attention, Gru
from velodrome.nets.tom2c import OF_OTHERS, Minds, Sensors, Tom2cNet, Walkers

GAMES = ("coverage", "navigation")


NARROW = Minds(hidden=16)


def team(name: str, games: int = 4, minds: Minds = NARROW, seed: int = 0) -> tuple[Game, Tom2cNet]:
    torch.manual_seed(seed)
    if name == "coverage":
        return make(name, games, seed, sensors=3, targets=4, longest=5), livened(Sensors(3, 4, minds))
    return make(name, games, seed, agents=3), livened(Walkers(3, minds))


def livened(net: Tom2cNet) -> Tom2cNet:
    """As if it had learnt something: what is seen and what is believed bears on what is done."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith(("encoder", "beliefs", "actor")):
                parameter.mul_(3)
    return net


def played_by(game: Game, net: Tom2cNet, rows: int = 8, segments: int = 2) -> Table:
    table = Table(game, net, rows, torch.Generator().manual_seed(1), "cpu")
    for _ in range(segments):
        table.play(Clock(enabled=False))
    return table


# -- the graph --------------------------------------------------------------------------------------------------------


def judged(form: Form, nodes: Tensor) -> tuple[Tensor, list[Tensor]]:
    """What a graph net says, and the gradients of some function of it."""
    torch.manual_seed(3)
    net = GraphNet(nodes.shape[-1], 16, form).double()
    nodes = nodes.clone().requires_grad_()
    logits = net(nodes)
    weights = torch.randn(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    (logits * weights).sum().backward()  # type: ignore[no-untyped-call]
    return logits.detach(), [nodes.grad, *(parameter.grad for parameter in net.parameters())]  # type: ignore[list-item]


@pytest.mark.parametrize("agents", [2, 3, 5])
def test_the_factored_graph_is_the_published_one(agents: int) -> None:
    nodes = torch.randn(7, agents, agents, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (plain, of_plain), (quick, of_quick) = (judged(form, nodes) for form in ("reference", "factored"))
    assert plain.std() > 1e-3
    torch.testing.assert_close(quick, plain, rtol=0, atol=1e-12)
    for one, other in zip(of_quick, of_plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
        assert other.abs().max() > 1e-4


def test_one_graph_for_all_is_each_ones_own_where_all_believe_the_same() -> None:
    nodes = torch.randn(7, 4, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    shared, _ = judged("shared", nodes)
    own, _ = judged("factored", nodes.unsqueeze(1).expand(-1, 4, -1, -1))
    torch.testing.assert_close(shared, own, rtol=0, atol=1e-12)


def test_a_graph_knows_only_what_its_owner_believes() -> None:
    nodes = torch.randn(1, 3, 3, 12, dtype=torch.float64)
    before, _ = judged("factored", nodes)
    nodes[:, 1] += 1
    after, _ = judged("factored", nodes)
    assert torch.equal((before != after).any(-1), torch.tensor([[False, True, False]]))


def products(form: Form, agents: int, width: int, hidden: int) -> int:
    shape = (1, agents, width) if form == "shared" else (1, agents, agents, width)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        GraphNet(width, hidden, form)(torch.randn(shape))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("agents", "width", "hidden", "reference", "factored"),
    [(2, 96, 288, 9.8, 5.5), (4, 96, 288, 67.7, 26.9), (8, 96, 288, 497.5, 149.3), (7, 64, 192, 150.1, 47.2)],
)
def test_graphs_cost_what_was_counted_elsewhere(
    agents: int, width: int, hidden: int, reference: float, factored: float
) -> None:
    """In millions of products for one step of one game. The factored count knows nothing of the two blocks of the
    node's layer that are one."""
    assert products("reference", agents, width, hidden) / 1e6 == pytest.approx(reference, abs=0.06)
    one_block = agents**2 * hidden**2
    assert (products("factored", agents, width, hidden) + one_block) / 1e6 == pytest.approx(factored, abs=0.06)


def test_a_shared_graph_grows_with_the_square_of_agents_and_own_ones_with_the_cube() -> None:
    growth = {form: products(form, 32, 96, 288) / products(form, 16, 96, 288) for form in ("factored", "shared")}
    assert growth["shared"] == pytest.approx(4, rel=0.05)
    assert growth["factored"] > 6


def test_nets_are_as_large_as_published() -> None:
    def layer(inputs: int, outputs: int) -> int:
        return inputs * outputs + outputs

    def gru(inputs: int) -> int:
        return 3 * 32 * (inputs + 32 + 2) + 2 * 32

    def graph(width: int, hidden: int) -> int:
        of_pairs = layer(width, hidden) + layer(2 * width, hidden)
        return (
            of_pairs
            + 3 * (layer(3 * hidden, hidden) + layer(hidden, hidden))
            + layer(2 * hidden, hidden)
            + (layer(hidden, 2))
        )

    def critic(inputs: int) -> int:
        return 3 * layer(inputs, 6 * inputs) + layer(6 * inputs, 1)

    sensors = layer(4, 32) + layer(32, 32) + 3 * layer(32, 64) + gru(64) + gru(4)
    sensors += layer(160, 32) + layer(32, 1) + layer(128, 32) + layer(32, 2)
    sensors += graph(96, 288) + layer(96, 32) + layer(35, 2) + critic(35)
    walkers = layer(2, 32) + layer(32, 32) + 3 * layer(32, 32) + gru(4) + layer(64, 32) + layer(32, 1)
    walkers += graph(64, 192) + layer(32, 32) + layer(49, 1) + critic(49)
    for net, size in ((Sensors(4, 5, Minds(hidden=288)), sensors), (Walkers(7, Minds(hidden=192)), walkers)):
        assert sum(parameter.numel() for parameter in net.parameters()) == size
    assert sensors == 1_303_512
    assert graph(96, 288) == 1_247_330


# -- edges and messages -----------------------------------------------------------------------------------------------


def test_edges_are_whole_and_none_leads_to_oneself() -> None:
    logits = torch.randn(500, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    noise = logistic(logits.detach(), torch.Generator().manual_seed(1))
    edges = drawn(logits, noise)
    apart = ~torch.eye(3, dtype=torch.bool)
    assert torch.equal(edges[:, apart], ((logits + noise) > 0)[:, apart].float())
    assert not edges[:, ~apart].any()
    edges.sum().backward()  # type: ignore[no-untyped-call]
    soft = ((logits.detach() + noise) / 0.5).sigmoid()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, soft * (1 - soft) / 0.5 * apart)


def test_edges_are_as_likely_as_their_logits_say() -> None:
    logits = torch.full((100_000,), 0.8)
    noise = logistic(logits, torch.Generator().manual_seed(0))
    assert ((logits + noise) > 0).float().mean() == pytest.approx(float(torch.tensor(0.8).sigmoid()), abs=0.005)
    assert not logistic(logits, None).any()


def test_messages_by_hand() -> None:
    """Agents 0 and 1 tell agent 2, and agent 2 tells agent 0, of two targets."""
    edges = torch.tensor([[[0.0, 0, 1], [0, 0, 1], [1, 0, 0]]])
    tells = torch.tensor([[[1.0, 1], [0, 1], [1, 0]]])
    beliefs = torch.zeros(1, 3, 3, 2)
    beliefs[0, 0, 2] = torch.tensor([0.1, 0.2])
    beliefs[0, 1, 2] = torch.tensor([0.3, 0.4])
    beliefs[0, 2, 0] = torch.tensor([0.5, 0.6])
    beliefs[0, 0, 1] = 0.9
    told, tellers = messages(edges, tells, beliefs)
    torch.testing.assert_close(told, torch.tensor([[[0.5, 0.0], [0, 0], [0.1, 0.6]]]))
    torch.testing.assert_close(tellers, torch.tensor([[[1.0, 0], [0, 0], [1, 2]]]))


def speak(net: Tom2cNet, much: float) -> None:
    """Have every edge speak for itself that much, whatever is believed."""
    with torch.no_grad():
        net.graph.verdict.out.weight.zero_()
        net.graph.verdict.out.bias.copy_(torch.tensor([-much, much]) / 2)


@pytest.mark.parametrize("name", GAMES)
def test_who_is_told_nothing_knows_only_what_it_believes(name: str) -> None:
    game, net = team(name)
    speak(net, -200)
    sight, silent = net._unrolled(played_by(game, net).played, UNTIMED)
    assert not silent.edges.any()
    assert not silent.given[..., -2:].any()
    assert silent.given[..., -OF_OTHERS].all()
    speak(net, 200)
    sight, talk = net._unrolled(played_by(game, net).played, UNTIMED)
    others = sight.known.sum(1, keepdim=True) - sight.known
    assert others.any()
    torch.testing.assert_close(talk.given[..., -1], others)
    assert (talk.given[..., -2] <= others).all()


def test_an_agent_gives_way_to_whom_it_knows_to_want_more() -> None:
    """Both want the first landmark most, agent 1 more than agent 0, which cares less where it goes."""
    net = Walkers(2, Minds(hidden=16, rounds=30))
    wants = torch.tensor([[[1.0, 0.0], [4.0, 0.0]]])
    nobody, both = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    no_idea = torch.zeros(1, 2, 2, 2)
    told = net.settle(wants, no_idea, both)
    assert told.argmax(-1).tolist() == [[1, 0]]
    exp = told.exp()
    torch.testing.assert_close(exp[0, 0] + exp[0, 1], torch.ones(2), rtol=0, atol=1e-3)
    one_way = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])  # agent 0 tells agent 1, and hears nothing
    assert net.settle(wants, no_idea, one_way).argmax(-1).tolist() == [[0, 0]]
    idea = no_idea.clone()
    idea[0, 0, 1] = wants[0, 1]
    torch.testing.assert_close(net.settle(wants, idea, nobody)[0, 0], told[0, 0])
    idea[0, 1, 1], idea[0, 0, 0] = 7.0, torch.tensor([9.0, 0.0])  # what it believes of itself is no matter
    torch.testing.assert_close(net.settle(wants, idea, one_way)[0], told[0])
    assert Walkers(2, Minds(hidden=16)).settle(wants, no_idea, both) is wants


# -- over a segment ---------------------------------------------------------------------------------------------------


def watched(net: Tom2cNet) -> list[dict[str, Tensor]]:
    """A list that fills with what the net says when it acts."""
    said: list[dict[str, Tensor]] = []
    act = net.act

    def watching(*given: Any) -> Any:
        answer = act(*given)
        said.append(answer[0])
        return answer

    net.act = watching  # type: ignore[method-assign]
    return said


@pytest.mark.parametrize("rounds", [0, 3])
@pytest.mark.parametrize("form", ["reference", "factored", "shared"])
@pytest.mark.parametrize("name", GAMES)
def test_a_segment_at_once_is_what_was_said_row_by_row(name: str, form: Form, rounds: int) -> None:
    minds = Minds(graph=form, hidden=16, rounds=rounds)
    game, net = team(name, minds=minds)
    said = watched(net)
    table = played_by(game, net)
    assert table.played.fresh[1:].any()
    assert all(part.abs().max() > 0.1 for part in table.played.memory.values())
    with torch.no_grad():
        found = net.unroll(table.played, UNTIMED)
        told = torch.stack([each[net.part] for each in said[-8:]])
        torch.testing.assert_close(found[net.part][:-1], told, rtol=0, atol=1e-5)
        net.minds = dataclasses.replace(minds, carried=False)
        assert (net.unroll(table.played, UNTIMED)[net.part][:-1] - told).abs().max() > 1e-3


def test_a_gru_is_torchs_with_its_state_normalised() -> None:
    torch.manual_seed(0)
    gru = Gru(4)
    torch.nn.init.normal_(gru.norm.weight)
    x, state = torch.randn(5, 3, 4), torch.randn(3, 32)
    fresh = torch.zeros(5, 3, dtype=torch.bool)
    fresh[2, 1] = True
    found = gru.unroll(x, state, fresh)
    for row in range(5):
        state = torch.where(fresh[row, :, None], 0.0, state)
        state = gru.cell(x[row], F.layer_norm(state, (32,), gru.norm.weight, gru.norm.bias))
        torch.testing.assert_close(found[row], state)


def test_attention_finds_what_is_like_oneself() -> None:
    attention, both = Attention(2, 2), Attention(2, 2, keeps_own=True)
    with torch.no_grad():
        for layer in (attention.query, attention.key, attention.value):
            layer.weight.copy_(torch.eye(2))
    both.load_state_dict(attention.state_dict())
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    one, two = torch.tensor([1.0, 2.0]).tanh()
    expected = torch.stack([torch.tensor([one.square(), 0.0]).softmax(0), torch.tensor([0.0, two.square()]).softmax(0)])
    torch.testing.assert_close(attention(x), expected * torch.stack([one, two]))
    torch.testing.assert_close(both(x), attention(x) + x.tanh())


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("name", GAMES)
def test_what_the_time_of_each_part_counts_as(name: str, at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    game, net = team(name, minds=Minds(hidden=16, rounds=1))
    played, noted, found = played_by(game, net).played, Noted(), set[tuple[str, str | None]]()

    def watch(owner: Any, attribute: str, called: str) -> None:
        work = getattr(owner, attribute)

        def watched(*given: Any) -> Any:
            found.add((called, noted.now))
            return work(*given)

        monkeypatch.setattr(owner, attribute, watched)

    assert net.graph is not None
    watch(net.encoder, "forward", "look")
    watch(net.actor, "forward", "choose")
    watch(net.critic, "forward", "value")
    watch(net.graph, "forward", "whom to tell")
    watch(velodrome.nets.tom2c, "messages", "read in")
    watch(net.beliefs.memory, "_given", "remember others")
    watch(net.beliefs.goals, "of_parts", "guess")
    watch(net, "settle", "give way")
    if at_once:
        net.unroll(played, noted)
    else:
        views = {view: part[0] for view, part in played.views.items()}
        net.act(views, played.memory, noted, torch.Generator())
    assert found == {
        ("look", "own"), ("choose", "own"), ("whom to tell", "communicate"), ("read in", "communicate"),
        ("remember others", "comprehend"), ("guess", "comprehend"), ("give way", "comprehend"),
    } | ({("value", "own")} if at_once else set())  # fmt: skip


# -- who learns from what ---------------------------------------------------------------------------------------------


def moved(net: Tom2cNet, loss: Tensor) -> set[str]:
    """The parts of a net that a loss teaches."""
    net.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    return {
        name.split(".")[0]
        for name, parameter in net.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }


@pytest.mark.parametrize("rounds", [0, 3])
@pytest.mark.parametrize("name", GAMES)
def test_beliefs_learn_by_themselves_and_all_else_without_them(name: str, rounds: int) -> None:
    game, net = team(name, games=16, minds=Minds(hidden=16, rounds=rounds))
    found = net.unroll(played_by(game, net).played, UNTIMED)
    own = {"own"} if name == "coverage" else set()
    eyes = {"encoder", "attention", "feature"} | own
    assert moved(net, found[net.part].square().sum()) == eyes | {"graph", "actor"}
    found = net.unroll(played_by(game, net).played, UNTIMED)
    assert moved(net, found["value"].square().sum()) == eyes | {"critic"}
    net.minds = dataclasses.replace(net.minds, valued=True)
    found = net.unroll(played_by(game, net).played, UNTIMED)
    assert moved(net, found["value"].square().sum()) == eyes | {"graph", "critic"}
    found = net.unroll(played_by(game, net).played, UNTIMED)
    assert moved(net, found["goals"].square().sum() + found.get("sees", found["goals"]).sum()) == {"beliefs"}
    found = net.unroll(played_by(game, net).played, UNTIMED)
    assert moved(net, found["logits"].square().sum()) == {"graph"}


def test_rectified_choices_cannot_fall_below_nothing() -> None:
    game, net = team("coverage")
    table = played_by(game, net)
    given = net._unrolled(table.played, UNTIMED)[1].given
    both = net.actor(given)
    free = net.choose(given)
    torch.testing.assert_close(free, both[..., 1] - both[..., 0])
    net.minds = Minds(hidden=16, rectified=True)
    torch.testing.assert_close(net.choose(given), both[..., 1].relu() - both[..., 0].relu())


# -- what is seen -----------------------------------------------------------------------------------------------------


def test_a_sensor_can_tell_of_what_it_sees() -> None:
    game, net = team("coverage", games=50)
    for _ in range(3):
        game.step(game.bot("random"))
    sight = net.look({name: torch.from_numpy(game.views[name]) for name in net.wants})
    far = game.views["seen"][:, :, :4, 3]
    assert np.array_equal(sight.known.bool().numpy(), far > 0)
    assert 0.1 < sight.known.mean() < 0.9


def test_a_walker_tells_of_the_nearest_landmark_and_knows_where_others_are() -> None:
    game, net = team("navigation", games=50)
    for _ in range(2):
        game.step(game.bot("random"))
    sight = net.look({name: torch.from_numpy(game.views[name]) for name in net.wants})
    assert np.array_equal(sight.known.argmax(-1).numpy(), game.bot("nearest")["goal"])
    assert sight.known.sum() == 50 * 3
    record = game.records
    for i in range(3):
        for j in range(3):
            pose = [record["x"][:, j] - record["x"][:, i], record["y"][:, j] - record["y"][:, i]]
            pose += [record["vx"][:, j], record["vy"][:, j]]
            np.testing.assert_allclose(sight.poses[:, i, j], np.stack(pose[:4], -1)[:, :4], atol=1e-6)


@pytest.mark.parametrize("rounds", [0, 3])
def test_walkers_have_no_numbers(rounds: int) -> None:
    """Who changes places with another changes goals with it, too."""
    game, net = team("navigation", games=200, minds=Minds(hidden=16, rounds=rounds))
    other, order = game.again(200), [2, 0, 1]
    memory = {name: part.view(200, 3, *part.shape[1:]) for name, part in net.start(600).items()}
    memories = [memory, memory]
    places = ("x", "y", "vx", "vy")
    with torch.no_grad():
        for _ in range(3):
            records = game.snapshot()
            for name in places:
                records[name][:, :3] = records[name][:, order]
            other.restore(records)
            numbers = []
            for at, each in enumerate((game, other)):
                views = {name: torch.from_numpy(each.views[name]) for name in net.wants}
                outputs, memories[at], _ = net.act(views, memories[at], UNTIMED, torch.Generator(), True)
                numbers.append(outputs["goal"])
            torch.testing.assert_close(numbers[1], numbers[0][:, order], rtol=0, atol=1e-5)
            game.step(numbers[0].argmax(-1).numpy())
        assert numbers[0].std(1).mean() > 0.01
