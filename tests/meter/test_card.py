from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.meter.card import Card, card
from velodrome.meter.components import Stopwatch
from velodrome.meter.flops import count_flops
from velodrome.meter.machine import Machine, Processor
from velodrome.meter.tensors import random_like, rows, with_rows
from velodrome.meter.weights import unset_inputs

CPU = Processor("a cpu", 8.0, {"fp32": 50.0, "fp32-medium": 50.0, "bf16": 100.0}, 10.0, 1.0)
MACHINE = Machine(1, "AVX2", {"python": "3.11"}, {1: CPU}, None, 5.0, 50.0, 500.0, 0.0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def quick(module: nn.Module, *inputs: object, **options: object) -> Card:
    return card(module, *inputs, batches=(2,), on=MACHINE, **options)  # type: ignore[arg-type]


def flops(module: nn.Module, *inputs: object) -> int:
    """Per sample, after checking that operations and layers agree."""
    module.eval()
    counts, _ = count_flops(module, inputs)
    assert all(count.agrees for count in counts.values()), counts
    return sum(count.flops for count in counts.values()) // rows(inputs)


class Fed(nn.Module):
    """Calls a layer with fixed keyword arguments."""

    def __init__(self, layer: nn.Module, **named: object):
        super().__init__()
        self.layer, self.named = layer, named

    def forward(self, *inputs: Tensor) -> Tensor:
        made: Tensor | tuple[Tensor, ...] = self.layer(*inputs, **self.named)
        return made[0] if isinstance(made, tuple) else made


# -- FLOPs against formulas worked out by hand ----------------------------------------------------------------------


def test_a_linear_layer_costs_two_flops_a_weight() -> None:
    assert flops(nn.Linear(16, 8), torch.randn(4, 16)) == 2 * 16 * 8
    assert flops(nn.Linear(16, 8), torch.randn(4, 5, 16)) == 5 * 2 * 16 * 8


def test_convolutions() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2, stride=2, groups=2))
    assert flops(net, torch.randn(2, 3, 8, 8)) == 2 * 64 * 8 * 27 + 2 * 64 * 8 * 2 * 4
    assert flops(nn.Conv1d(4, 8, 3, groups=4), torch.randn(2, 4, 8)) == 2 * 6 * 8 * 3


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers(kind: type[nn.RNNBase], gates: int) -> None:
    layer = kind(16, 8, num_layers=2, bidirectional=True, batch_first=True)
    one_direction = gates * 8 * (16 + 8) + gates * 8 * (16 + 8)
    assert flops(layer, torch.randn(4, 5, 16)) == 5 * 2 * 2 * one_direction


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3)])
def test_recurrent_cells(kind: type[nn.Module], gates: int) -> None:
    assert flops(kind(16, 8), torch.randn(4, 16)) == 2 * gates * 8 * (16 + 8)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_multi_head_attention_on_every_path_torch_has(grad: bool, need_weights: bool) -> None:
    layer = nn.MultiheadAttention(16, 4, batch_first=True)
    for parameter in layer.parameters():
        parameter.requires_grad_(grad)
    q, k = torch.randn(4, 5, 16), torch.randn(4, 7, 16)
    projections = 2 * 16 * 16 * (5 + 7 + 7 + 5)
    assert flops(Fed(layer, need_weights=need_weights), q, k, k) == projections + 2 * 2 * 5 * 7 * 16


def test_scaled_dot_product_attention_that_torch_counts_as_nothing() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(x, x, x)

    assert flops(Attention(), torch.randn(4, 2, 5, 8)) == 2 * 2 * 2 * 5 * 5 * 8


def encoder_flops(positions: int, width: int, wide: int) -> int:
    return 2 * positions * (4 * width * width + 2 * width * wide) + 2 * 2 * positions * positions * width


def test_the_transformer_encoder_fast_path_that_torch_counts_as_nothing() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    net = nn.TransformerEncoder(layer, 2)
    counts, operations = count_flops(net.eval(), (torch.randn(4, 5, 16),))
    assert operations == 2  # the fast path it is: one operation a layer
    assert counts["layers"].counted == counts["layers"].formula == 4 * 2 * encoder_flops(5, 16, 32)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
def test_a_transformer_encoder_with_time_first() -> None:
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32), 1).eval()
    counts, _ = count_flops(net, (torch.randn(5, 4, 16),))
    assert counts["layers"].counted == counts["layers"].formula == 4 * encoder_flops(5, 16, 32)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_padding_that_the_encoder_leaves_out_costs_nothing() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    padding = torch.zeros(4, 5, dtype=torch.bool)
    padding[:, 3:] = True
    net = Fed(nn.TransformerEncoder(layer, 1), src_key_padding_mask=padding)
    assert flops(net, torch.randn(4, 5, 16)) == encoder_flops(3, 16, 32)


def test_a_sum_of_embeddings_costs_an_addition_a_number() -> None:
    bag = nn.EmbeddingBag(10, 4, mode="sum", padding_idx=0)
    indices = torch.tensor([[1, 2, 0], [3, 0, 0]])
    counts, _ = count_flops(bag.eval(), (indices,))
    assert counts["own"].counted == counts["own"].formula == 3 * 4


def test_norms_dropout_and_activations_count_for_nothing() -> None:
    net = nn.Sequential(nn.LayerNorm(8), nn.Dropout(), nn.ReLU(), nn.Softmax(-1), nn.BatchNorm1d(8))
    made = quick(net, torch.randn(4, 8))
    assert made.flops == 0
    assert made.notes == []
    assert all(part.flops == 0 for part in made.components)


class Hidden(nn.Module):
    """Work that torch cannot see."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(sum(x.numpy() @ x.numpy().T @ x.numpy() for _ in range(200)))


class Told(Hidden):
    def forward_flops(self, x: Tensor) -> int:
        return 1000 * x.shape[0]


def test_time_without_flops_is_flagged_and_never_shown_as_zero() -> None:
    made = quick(nn.Sequential(Hidden(), nn.Linear(8, 8)), torch.randn(4, 8))
    assert made.components[1].flops is None
    assert any(note.startswith("0 takes") and "no FLOPs" in note for note in made.notes)
    assert "unknown" in str(made)


def test_a_module_may_say_what_torch_cannot_see() -> None:
    made = quick(nn.Sequential(Told(), nn.Linear(8, 8)), torch.randn(4, 8))
    assert made.components[1].flops == 1000
    assert made.flops == 1000 + 2 * 8 * 8
    assert made.notes == []


def test_a_wrong_count_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("velodrome.meter.flops.flop_registry", {})
    made = quick(nn.Sequential(nn.Linear(16, 8)), torch.randn(4, 16))
    assert made.flops == 2 * 16 * 8
    assert "torch's operations count 0 FLOPs, the layers' shapes 1,024" in made.notes[0]


# -- components ------------------------------------------------------------------------------------------------------


class Functional(nn.Module):
    """Uses a child's weights and methods without calling the child."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table()
        self.head = nn.Linear(8, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.table.look_up(x), self.head.weight) * self.scale


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 8))

    def look_up(self, x: Tensor) -> Tensor:
        return x @ self.weight[:8]


def test_methods_and_borrowed_weights_count_for_their_component() -> None:
    made = quick(Functional(), torch.randn(4, 8))
    parts = {part.name: part for part in made.components}
    assert {name: part.parameters for name, part in parts.items()} == {"own": 4, "table": 128, "head": 36}
    assert {name: part.flops for name, part in parts.items()} == {"own": 0, "table": 128, "head": 64}
    assert parts["table"].forward_us > 0
    assert parts["head"].dead_parameters == 4  # its bias is not used


def test_components_add_up_to_the_net_at_every_depth() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8)), nn.Linear(8, 2))
    for depth in (1, 2):
        made = quick(net, torch.randn(4, 8), depth=depth)
        assert sum(part.parameters for part in made.components) == made.parameters
        assert sum(part.flops or 0 for part in made.components) == made.flops
        assert sum(part.bytes for part in made.components) == made.bytes == 4 * made.parameters
    assert [part.name for part in made.components] == ["own", "0", "1", "1.0", "1.1", "2"]


def test_shared_weights_are_counted_once() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    net[2].weight = net[0].weight
    made = quick(net, torch.randn(4, 8))
    assert made.parameters == 64 + 8 + 8
    assert made.notes == ["0.weight and 2.weight are one parameter, counted once"]
    assert made.flops == 2 * 2 * 64


def test_the_time_of_a_component_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr("velodrome.meter.components.time.perf_counter_ns", lambda: now[0])

    class Takes(nn.Module):
        def __init__(self, ns: int, inner: nn.Module | None = None) -> None:
            super().__init__()
            self.ns, self.inner = ns, inner

        def forward(self, x: Tensor) -> Tensor:
            now[0] += self.ns
            return self.inner(x) if self.inner is not None else x

    shared = Takes(5)
    net = nn.Sequential(Takes(100), Takes(10, shared), shared, Takes(1000, Takes(1)))
    with Stopwatch(net, 1, lambda: None) as stopwatch:
        assert stopwatch.run((torch.zeros(1),)) == {"own": 0, "0": 100, "1": 20, "3": 1001}
        assert stopwatch.run((torch.zeros(1),)) == {"own": 0, "0": 100, "1": 20, "3": 1001}
    with Stopwatch(net, 2, lambda: None) as stopwatch:
        assert stopwatch.run((torch.zeros(1),)) == {"own": 0, "0": 100, "1": 10, "1.inner": 10, "3": 1000, "3.inner": 1}
    assert "forward" not in vars(net[1])


# -- dead weights ----------------------------------------------------------------------------------------------------


class OneKey(nn.Module):
    """Attention over a single key: its softmax is always 1, so that query and key weights do nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.unused = nn.Linear(3, 3)
        self.behind_detach = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        weights = F.softmax((self.query(x) * self.key(x)).sum(-1, keepdim=True), -1)
        return {"out": weights * self.value(x), "other": self.behind_detach(x).detach()}


def test_a_dead_branch_and_unused_layers_are_found() -> None:
    made = quick(OneKey(), torch.randn(4, 8))
    dead = {part.name: part.dead_parameters for part in made.components}
    assert dead == {"own": 0, "query": 72, "key": 72, "value": 0, "unused": 12, "behind_detach": 72}
    assert made.dead_parameters == sum(dead.values()) == sum(made.dead.values())
    assert made.dead["unused.weight"] == 9
    assert "dead: 9 of unused.weight" in str(made)


def test_a_softmax_and_a_norm_at_the_end_are_no_reason_to_call_weights_dead() -> None:
    for last in (nn.Softmax(-1), nn.LayerNorm(4, elementwise_affine=False)):
        assert quick(nn.Sequential(nn.Linear(8, 4), last), torch.randn(4, 8)).dead_parameters == 0


def test_weights_that_only_sleep_are_dormant_and_not_dead() -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.init.zeros_(net[2].weight)
    made = quick(net, torch.randn(4, 8))
    assert made.dead_parameters == 0
    assert made.dormant_parameters == 36
    with torch.no_grad():
        net[0].bias[1] = -1e6
    nn.init.ones_(net[2].weight)
    made = quick(net, torch.randn(4, 8))
    assert made.dead == {"0.weight": 8, "0.bias": 1, "2.weight": 2}  # no weights near these turn that unit on


def test_every_row_of_an_embedding_in_the_example_s_range_is_reached() -> None:
    made = quick(nn.Embedding(10, 4), torch.tensor([0, 8]))
    assert made.dead == {"weight": 4}  # row 9 is outside the range


def test_frozen_weights_are_not_dead() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    net[0].requires_grad_(False)
    made = quick(net, torch.randn(4, 8))
    assert (made.dead_parameters, made.frozen_parameters) == (0, 72)


# -- inputs ----------------------------------------------------------------------------------------------------------


def test_random_inputs_are_legal() -> None:
    example = {
        "index": torch.tensor([[3, 7], [5, 4]]),
        "mask": torch.zeros(2, 6, dtype=torch.bool),
        "legal": torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
        "share": torch.tensor([[0.2, 0.8]]).expand(2, 2),
        "any": torch.tensor([[-1.0, 0.5]]).expand(2, 2),
    }
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        (made,) = random_like((example,), generator)
        assert made["index"].dtype == torch.int64
        assert made["index"].min() >= 3
        assert made["index"].max() <= 7
        assert made["mask"].any(-1).all()
        assert set(made["legal"].flatten().tolist()) <= {0.0, 1.0}
        assert made["legal"].any(-1).all()
        assert made["share"].min() >= 0
        assert {name: tensor.shape for name, tensor in made.items()} == {n: t.shape for n, t in example.items()}


def test_rows_are_repeated_and_what_has_no_rows_is_left_alone() -> None:
    inputs = ({"x": torch.arange(6.0).view(3, 2), "scale": torch.tensor(2.0)}, [torch.ones(5)])
    (views, (table,)) = with_rows(inputs, 7)
    assert views["x"][:, 0].tolist() == [0, 2, 4, 0, 2, 4, 0]
    assert views["scale"] == 2
    assert table.shape == (5,)
    assert rows(inputs) == 3


def test_inputs_that_are_never_set_are_listed_apart() -> None:
    samples = [
        ({"x": torch.tensor([[0.0, 1.0, 0.0], [0.0, 2.0, 0.0]]), "seat": torch.tensor([0, 3])},),
        ({"x": torch.tensor([[0.0, 0.0, 5.0]]), "seat": torch.tensor([1])},),
    ]
    assert unset_inputs(samples) == {"0.x": [0], "0.seat": [2]}


# -- the card --------------------------------------------------------------------------------------------------------


def test_the_document_has_the_keys_that_comparisons_need() -> None:
    net = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))
    made = card(net, torch.randn(6, 16), name="mine", batches=(4, 1, 2), on=MACHINE)
    document = json.loads(json.dumps(made.to_json()))
    assert document["name"] == "mine"
    assert document["parameters"] == 16 * 8 + 8 + 8 * 4 + 4
    assert document["bytes"] == 4 * document["parameters"]
    assert document["flops"] == 2 * (16 * 8 + 8 * 4)
    assert document["dead_parameters"] == 0
    assert document["batch"] == 2
    for times in (document["forward_us"], document["train_us"]):
        assert 0 < times["p50"] <= times["p95"]
    for part in document["components"]:
        assert {"name", "parameters", "flops", "forward_us"} <= part.keys()
    assert [latency["batch"] for latency in document["latencies"]] == [1, 2, 4]
    assert document["train_us"] == document["latencies"][1]["train_us"]


def test_floors_follow_from_the_machine() -> None:
    made = quick(nn.Linear(100, 10), torch.randn(2, 100))
    floor = made.at(2).floor_us
    assert floor["compute"] == pytest.approx(2 * 2000 / 50e3)
    assert floor["memory"] == pytest.approx(4 * (1010 + 200 + 20) / 10e3)
    assert floor["dispatch"] == pytest.approx(2)  # a transpose and a product with a sum
    assert made.at(2).bound == "dispatch"
    assert made.at(2).ceiling_share == pytest.approx(floor["compute"] / made.at(2).forward_us.p50)
    with pytest.raises(ValueError, match="batch 7 was not measured; the card has 2"):
        made.at(7)


def test_activation_bytes_are_what_autograd_keeps() -> None:
    net = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))
    assert quick(net, torch.randn(6, 16)).activation_bytes == 4 * (16 + 8)


def test_the_module_and_the_random_state_are_left_alone() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2))
    net[0].eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    example = torch.randn(4, 8)
    state = torch.random.get_rng_state()
    quick(net, example)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert [part.training for part in net] == [False, True, True, True]
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_net_without_trained_weights_has_no_training_time() -> None:
    made = quick(nn.ReLU(), torch.randn(4, 8))
    assert (made.parameters, made.at().train_us, made.dead_parameters) == (0, None, 0)
    assert str(made)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="hold no tensor with a row per sample"):
        card(nn.Linear(2, 2), {}, on=MACHINE)
    with pytest.raises(ValueError, match="at least one batch size"):
        card(nn.Linear(2, 2), torch.randn(1, 2), batches=(), on=MACHINE)
