import shutil
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from velodrome.games import make
from velodrome.learn.actions import Actions
from velodrome.meter.components import Watch
from velodrome.nets import NETS, make_net
from velodrome.nets.hearts import CARDS, FEATURES, AttentionNet, MlpNet
from velodrome.nets.parts import FEW, Pooling

PUBLISHED = {"hearts/attention": 1_074_165, "hearts/attention-reduced": 401_269, "hearts/attention-minimal": 183_285}
HEARTS = [name for name in NETS if name.startswith("hearts/")]


def real_views(observation: str, steps: int = 20, games: int = 16) -> dict[str, Tensor]:
    game = make("hearts", games=games, seed=3, observation=observation)
    for _ in range(steps):
        game.step(game.bot("random"))
        game.reset(game.ended)
    views = {name: torch.from_numpy(view[:, 0].copy()) for name, view in game.views.items()}
    return views | {"seat": torch.from_numpy(game.seat[:, 0].copy())}


def dense(cards: Tensor) -> Tensor:
    wide = torch.zeros(*cards.shape[:-1], FEATURES + 1)
    return wide.scatter_(-1, cards.long(), 1.0)[..., :FEATURES]


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    net, _ = make_net(name)
    assert sum(parameter.numel() for parameter in net.parameters()) == PUBLISHED[name]


def test_examples_have_the_shapes_of_the_games_views() -> None:
    for name, observation in (("hearts/attention", "openspiel-history"), ("hearts/compact", "compact")):
        _, (example,) = make_net(name)
        real = real_views(observation)
        for view, tensor in example.items():
            assert tensor.shape[1:] == real[view].shape[1:], view
            assert tensor.dtype == real[view].dtype or view == "seat"


@pytest.mark.parametrize("net", [AttentionNet(32, 1, 1), MlpNet((64, 32))], ids=["attention", "mlp"])
def test_sparse_input_equals_the_dense_product(net: nn.Module) -> None:
    views = real_views("openspiel-history" if isinstance(net, AttentionNet) else "openspiel-indices")
    sparse, full = net(views), net(views | {"cards": dense(views["cards"])})
    for output in sparse:
        torch.testing.assert_close(sparse[output], full[output], atol=1e-5, rtol=0)
    sparse_gradient, full_gradient = (
        torch.autograd.grad(out["card"].square().sum() + out["value"].sum(), net.input.weight) for out in (sparse, full)
    )
    torch.testing.assert_close(sparse_gradient, full_gradient, atol=1e-5, rtol=1e-5)


def test_seat_and_history_matter() -> None:
    net, views = AttentionNet(32, 1, 1), real_views("openspiel-history")
    before = net(views)["card"]
    assert not torch.allclose(before, net(views | {"seat": (views["seat"] + 1) % 4})["card"])
    reversed_order = net(views | {"cards": views["cards"].flip(1)})["card"]
    assert not torch.allclose(before, reversed_order), "the order of the history is lost"


def test_slots_without_an_observation_do_not_matter() -> None:
    net, views = AttentionNet(32, 1, 1), real_views("openspiel-history", steps=1)
    assert not views["past"].all()
    other = torch.where(views["past"][..., None], views["cards"], torch.zeros((), dtype=torch.int16))
    torch.testing.assert_close(net(views)["card"], net(views | {"cards": other})["card"])


def test_the_attention_net_in_one_operation_equals_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    net, views = AttentionNet(32, 4, 2), real_views("openspiel-history")
    towards = torch.randn(len(views["seat"]), CARDS), torch.randn(len(views["seat"]))

    def passed() -> list[Tensor]:
        outputs = net(views)
        loss = (outputs["card"] * towards[0]).sum() + (outputs["value"] * towards[1]).sum()
        return [outputs["card"], outputs["value"], *torch.autograd.grad(loss, list(net.parameters()))]

    with monkeypatch.context() as patch:
        patch.setattr(net.encoder, "forward", lambda *given: pytest.fail("a part was called"))
        whole = passed()
    monkeypatch.setattr("velodrome.nets.hearts.serves_whole", lambda *given: False)
    names = ["card", "value", *(name for name, _ in net.named_parameters())]
    for name, own, other in zip(names, whole, passed(), strict=True):
        scale = other.abs().max().clamp(min=1).item()
        torch.testing.assert_close(
            own, other, rtol=1e-5, atol=1e-5 * scale, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("case", ["many rows", "dropout", "watched", "double"])
def test_where_one_operation_does_not_serve_the_parts_are_called(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, views = AttentionNet(32, 1, 1, dropout=0.1 if case == "dropout" else 0.0), real_views("openspiel-history")
    called: list[int] = []
    monkeypatch.setattr(Pooling, "forward", lambda self, x, mask: called.append(len(x)) or x[:, 0])
    if case == "many rows":
        views = {name: view.repeat_interleave(FEW, 0) for name, view in views.items()}
    if case == "double":
        net = net.double()
    with Watch(net) if case == "watched" else nullcontext():
        net(views)
    assert called == [len(views["seat"])]
    if case == "dropout":
        net.eval()(views)
        assert len(called) == 1


def nothing(name: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """A net, and inputs with rows in which nothing is legal and no history exists."""
    net, (views,) = make_net(name)
    views["legal"][::2] = False
    if "past" in views:
        views["past"][::3] = False
        views["cards"][::3] = FEATURES
    return net, views


def assert_numbers(net: nn.Module, forward: nn.Module, views: dict[str, Tensor]) -> None:
    actions = Actions(make("hearts").spec.action)
    outputs = forward(views)
    action, log_prob = actions.sample(outputs, views, torch.Generator().manual_seed(0))
    again, entropy = actions.log_prob_and_entropy(outputs, action, views)
    for tensor in (*outputs.values(), log_prob, again, entropy):
        assert tensor.isfinite().all()
    if torch.is_grad_enabled():
        (again.sum() + entropy.sum() + sum(output.sum() for output in outputs.values())).backward()
        assert all(parameter.grad.isfinite().all() for parameter in net.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("name", HEARTS)
def test_nothing_legal_and_no_history_give_numbers(name: str) -> None:
    net, views = nothing(name)
    assert_numbers(net, net.train(), views)
    with torch.no_grad():
        assert_numbers(net, net.eval(), views)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # the compiler imports what torch itself deprecates
@pytest.mark.parametrize("name", ["hearts/attention-minimal", "hearts/compact"])
def test_nothing_legal_and_no_history_give_numbers_compiled(name: str) -> None:
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs g++, which is not installed")
    net, views = nothing(name)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(net)(views)["card"], net(views)["card"], atol=1e-4, rtol=1e-4)
        assert_numbers(net, torch.compile(net), views)
