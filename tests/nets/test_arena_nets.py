"""The nets of the real-time bot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from velodrome.games.arena.world import SCREEN_X, SCREEN_Y
from velodrome.nets import NETS, make_net
from velodrome.nets.arena import (
    ABOUT,
    APPROACH,
    ASPECT,
    GOAL,
    MODES,
    NEAR,
    OBJECT,
    OBJECTS,
    OPTION,
    PLACE,
    PLAYER,
    SAMPLE,
    STATE,
    Execution,
    Executor,
    Strategist,
    Strategy,
    Tactician,
    Tactics,
    bearing,
    likeliest,
    options,
    sample_of,
)  # fmt: skip
from velodrome.nets.experts import Experts
from velodrome.nets.hyena import Hyena, convolved
from velodrome.nets.mobile import Mobile
from velodrome.nets.perceiver import Perceiver
from velodrome.nets.transformer import ACTIVATIONS, Attention, Layer, Style

ARENA = [name for name in NETS if name.startswith("arena/")]
CALM = Style(dropout=0.0)
SMALL = Strategy(samples=12, width=32, layers=2, style=CALM)
OVER_TIME = ["transformer", "mamba", "hyena", "perceiver"]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


# -- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters", "parts"),
    [
        ("strategist", 3_588_422, {
            "input": 49_920, "over_time": 3_159_040, "pooling": 263_168, "goal": 82_240, "mode": 33_541,
            "confidence": 257,
        }),
        ("tactician", 361_380, {
            "objects": 2_944, "goal": 8_576, "between": 264_960, "choice": 66_048, "approach": 8_516, "about": 10_336,
        }),
        ("executor-mamba", 587_140, {"input": 42_240, "memory": 511_488, "output": 33_412}),
        ("executor-lstm", 1_128_324, {"input": 42_240, "memory": 1_052_672, "output": 33_412}),
    ],
)  # fmt: skip
def test_parameters_are_those_of_the_bot(name: str, parameters: int, parts: dict[str, int]) -> None:
    net, _ = make_net(f"arena/{name}")
    assert {part: count(module) for part, module in net.named_children()} == parts
    assert count(net) == parameters


def test_a_choice_of_no_target_is_one_vector_more() -> None:
    assert count(Tactician()) == 361_380 + 128


def test_settings_change_what_they_say() -> None:
    assert count(Strategist(Strategy(pre_norm=True, fused=False))) == 3_588_422
    assert count(Strategist(Strategy(style=Style(norm="batch", activation="mish")))) == 3_588_422
    assert count(Strategist(Strategy(layers=1))) == 1_219_142
    assert count(Executor(Execution(states=128))) == 587_140 + 64 * 3 * 512
    for blocks in (2, 3):
        assert count(Executor(Execution(blocks=blocks))) == 587_140 + (blocks - 1) * (511_488 + 512)
    assert count(Executor(Execution(keys=33))) == 591_139
    assert count(Strategist(Strategy(experts=4))) == 3_588_422 + 3 * 3_159_040 + 4 * 257


@pytest.mark.parametrize("name", ARENA)
def test_all_that_there_is_learns(name: str) -> None:
    net, inputs = make_net(name)
    outputs = net.eval()(*inputs)
    sum(output.square().sum() for output in outputs.values()).backward()  # type: ignore[union-attr]
    still = [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not still


# -- views ------------------------------------------------------------------------------------------------------------


def seconds(rows: int = 3, length: int = SMALL.samples) -> dict[str, Tensor]:
    return {"samples": torch.randn(rows, length, SAMPLE)}


def screen(rows: int = 5, goal: Tensor | None = None) -> dict[str, Tensor]:
    mask = torch.rand(rows, OBJECTS) < 0.6
    mask[:, 0] = True
    objects = torch.rand(rows, OBJECTS, OBJECT) * mask.unsqueeze(-1)
    goal = torch.randn(rows, GOAL) if goal is None else goal
    return {"objects": objects, "mask": mask, "goal": goal, "player": torch.rand(rows, PLAYER)}


def frames(rows: int = 3, length: int = 20) -> dict[str, Tensor]:
    return {
        "state": torch.randn(rows, length, STATE),
        "goal": torch.randn(rows, length, GOAL),
        "target": torch.rand(rows, length, PLACE + ABOUT),
        "options": torch.rand(rows, length, NEAR + 1, OPTION),
    }


def test_a_sample_is_the_ship_the_nearest_objects_and_the_situation() -> None:
    views = {"player": torch.rand(4, 16), "objects": torch.rand(4, OBJECTS, OBJECT), "context": torch.rand(4, 16)}
    sample = sample_of(views)
    assert sample.shape == (4, SAMPLE) == (4, 192)
    assert torch.equal(sample[:, 36:56], views["objects"][:, 1])
    assert torch.equal(sample[:, -16:], views["context"])


# -- the strategist ---------------------------------------------------------------------------------------------------

STRATEGIES = [
    *(replace(SMALL, over_time=kind) for kind in OVER_TIME),  # type: ignore[arg-type]
    replace(SMALL, pre_norm=True),
    replace(SMALL, fused=False),
    replace(SMALL, over_time="mamba", states=128),
    replace(SMALL, experts=3),
    replace(SMALL, experts=4, asked=2),
    replace(SMALL, experts=2, over_time="perceiver"),
    replace(SMALL, style=Style(norm="batch", dropout=0.0)),
    *(replace(SMALL, style=Style(activation=kind, dropout=0.0)) for kind in ACTIVATIONS),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("settings", STRATEGIES)
def test_every_strategist_decides_and_learns(settings: Strategy) -> None:
    net = Strategist(settings)
    outputs = net(seconds())
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        "goal": (3, GOAL),
        "mode": (3, len(MODES)),
        "confidence": (3,),
    }
    sum(output.square().sum() for output in outputs.values()).backward()  # type: ignore[union-attr]
    for name, parameter in net.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    assert net.input[0].weight.grad.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("settings", STRATEGIES)
def test_second_by_second_it_decides_as_from_the_last_ones(settings: Strategy) -> None:
    net, views = Strategist(settings).eval(), seconds(length=30)
    memory = net.start(3)
    for second in range(30):
        outputs, memory = net.step({"samples": views["samples"][:, second]}, memory)
        assert memory["known"].sum(1).tolist() == [min(second + 1, 12)] * 3
        first = max(second - 11, 0)
        kept = memory["samples"][:, -(second - first + 1) :]
        assert torch.equal(kept, views["samples"][:, first : second + 1]), "in the order of time"
        if second >= 11:
            wanted = net({"samples": views["samples"][:, first : second + 1]})
            torch.testing.assert_close(outputs, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("over_time", ["transformer", "perceiver"])
def test_fewer_seconds_are_as_good_as_unknown_ones(over_time: Any) -> None:
    net, views = Strategist(replace(SMALL, over_time=over_time)).eval(), seconds(length=5)
    memory = net.start(3)
    for second in range(5):
        outputs, memory = net.step({"samples": views["samples"][:, second]}, memory)
    torch.testing.assert_close(outputs, net(views), rtol=0, atol=1e-5)


@pytest.mark.parametrize("over_time", OVER_TIME)
def test_what_is_not_known_counts_for_nothing(over_time: Any) -> None:
    net, views = Strategist(replace(SMALL, over_time=over_time)).eval(), seconds()
    known = torch.arange(12).expand(3, -1) >= torch.tensor([[0], [4], [12]])
    before = net(views | {"known": known})
    noise = torch.where(known.unsqueeze(-1), views["samples"], torch.randn_like(views["samples"]))
    after = net({"samples": noise, "known": known})
    for name, output in before.items():
        assert output.isfinite().all()
        torch.testing.assert_close(after[name], output)
    assert (net(views)["goal"][1] - before["goal"][1]).abs().max() > 1e-4, "what is known counts"


@pytest.mark.parametrize("over_time", OVER_TIME)
def test_the_order_of_seconds_counts(over_time: Any) -> None:
    net, views = Strategist(replace(SMALL, over_time=over_time)).eval(), seconds()
    turned = net({"samples": views["samples"].flip(1)})
    assert (turned["goal"] - net(views)["goal"]).abs().max() > 1e-4


def test_pictures_become_part_of_a_sample() -> None:
    net = Strategist(replace(SMALL, picture=8, samples=3)).eval()
    views = seconds(2, 3) | {"pictures": torch.randint(256, (2, 3, 48, 48, 3), dtype=torch.uint8)}
    wanted, memory = net(views), net.start(2)
    for second in range(3):
        outputs, memory = net.step({name: view[:, second] for name, view in views.items()}, memory)
    torch.testing.assert_close(outputs, wanted, rtol=0, atol=1e-4)
    dark = net(views | {"pictures": torch.zeros_like(views["pictures"])})
    assert (dark["goal"] - wanted["goal"]).abs().max() > 1e-6


# -- the tactician ----------------------------------------------------------------------------------------------------

TACTICS = [
    Tactics(),
    Tactics(no_target=False),
    Tactics(choice="scores"),
    Tactics(ship=True),
    Tactics(between=Style(activation="gelu")),
    Tactics(between=Style(norm="batch"), style=Style(activation="silu", norm="batch")),
]


@pytest.mark.parametrize("tactics", TACTICS)
def test_every_tactician_chooses_among_what_is_there(tactics: Tactics) -> None:
    net, views = Tactician(tactics).eval(), screen()
    outputs = net(views)
    choices = OBJECTS + tactics.no_target
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        "target": (5, choices),
        "place": (5, PLACE),
        "approach": (5, APPROACH),
        "about": (5, ABOUT),
    }
    weights = outputs["target"].exp()
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    assert not weights[:, :OBJECTS][~views["mask"]].any()
    places = torch.cat([views["objects"][..., :PLACE], torch.full((5, choices - OBJECTS, PLACE), 0.5)], 1)
    torch.testing.assert_close(outputs["place"], torch.einsum("bn,bnc->bc", weights, places))
    there, best = options(outputs["target"], views), weights.argmax(1)
    anything = (torch.arange(choices) < OBJECTS).float().expand(5, -1)
    told = torch.stack([torch.zeros(5, choices), anything, outputs["target"]], -1)
    assert torch.equal(there, torch.cat([places, told], -1))
    assert torch.equal(likeliest(there), there[torch.arange(5), best])
    other = net(views | {"goal": torch.randn(5, GOAL)})
    assert (other["target"][views["mask"].sum(1) > 1].exp() - weights[views["mask"].sum(1) > 1]).abs().max() > 1e-6


@pytest.mark.parametrize("tactics", TACTICS)
@pytest.mark.parametrize("mixed", [False, True])
def test_an_empty_screen_is_nothing_special(tactics: Tactics, mixed: bool) -> None:
    net, views = Tactician(tactics), screen()
    views["mask"][:: 2 if mixed else 1] = False
    outputs = net(views)
    sum(output.square().mean() for output in outputs.values()).backward()  # type: ignore[union-attr]
    assert all(output.isfinite().all() for output in outputs.values())
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in net.parameters())
    if tactics.no_target:
        torch.testing.assert_close(outputs["target"][0, -1].exp(), torch.tensor(1.0))
        torch.testing.assert_close(outputs["place"][0], torch.full((2,), 0.5))
        assert likeliest(options(outputs["target"], views))[0, :-1].tolist() == [0.5, 0.5, 0, 0]


def test_the_ship_reaches_the_tactician() -> None:
    net, views = Tactician(Tactics(ship=True)).eval(), screen()
    other = net(views | {"player": torch.rand(5, PLAYER)})
    assert (net(views)["target"] - other["target"]).abs().max() > 1e-6


def test_marks_reach_the_tactician_and_are_told_of_its_target() -> None:
    net, views = Tactician(marks=True).eval(), screen()
    marks = torch.rand(5, OBJECTS) < 0.5
    outputs, other = (net(views | {"marks": each}) for each in (marks, ~marks))
    assert (outputs["target"] - other["target"]).abs().max() > 1e-6
    found = options(outputs["target"], views | {"marks": marks})
    assert torch.equal(found[..., PLACE], torch.cat([marks, torch.zeros(5, 1)], 1))


@pytest.mark.parametrize("tactics", TACTICS)
def test_objects_have_no_order_and_empty_places_say_nothing(tactics: Tactics) -> None:
    net, views = Tactician(tactics).eval(), screen()
    before, order = net(views), torch.randperm(OBJECTS)
    turned = net(views | {"objects": views["objects"][:, order], "mask": views["mask"][:, order]})
    torch.testing.assert_close(turned["target"][:, :OBJECTS].exp(), before["target"][:, order].exp())
    torch.testing.assert_close(turned["about"], before["about"], rtol=1e-4, atol=1e-5)
    filled = views["objects"] + torch.rand_like(views["objects"]) * ~views["mask"].unsqueeze(-1)
    torch.testing.assert_close(net(views | {"objects": filled}), before, rtol=1e-4, atol=1e-5)


def test_the_target_is_where_torchs_attention_looks() -> None:
    ours, theirs = Attention(32, 2).double(), nn.MultiheadAttention(32, 2, batch_first=True).double()
    copied(ours, theirs)
    x, query = torch.randn(4, 7, 32).double(), torch.randn(4, 32).double()
    known = torch.rand(4, 7) < 0.7
    known[:, 0] = True
    found, logs = ours.choose(x, known, query)
    wanted, weights = theirs(query.unsqueeze(1), x, x, key_padding_mask=~known, average_attn_weights=True)
    torch.testing.assert_close(found, wanted.squeeze(1))
    torch.testing.assert_close(logs.exp(), weights.squeeze(1))


def test_a_picture_reaches_the_tactician() -> None:
    net = Tactician(Tactics(picture=8)).eval()
    views = screen(2) | {"picture": torch.rand(2, 48, 48, 3)}
    before, after = net(views), net(views | {"picture": torch.rand(2, 48, 48, 3)})
    assert (before["target"] - after["target"]).abs().max() > 1e-7


# -- the executor -----------------------------------------------------------------------------------------------------

EXECUTIONS = [
    Execution(),
    Execution(remembers="lstm"),
    Execution(states=128),
    Execution(blocks=2),
    Execution(blocks=3, keys=5),
    Execution(lstm_layers=1, remembers="lstm", residual=False),
    Execution(style=Style(activation="relu", norm="batch")),
    Execution(aims=True, bearing=True),
]


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_frame_by_frame_it_acts_as_in_a_sequence(execution: Execution) -> None:
    net, views = Executor(execution).eval(), frames(length=40)
    whole = net(views)
    assert whole["pointer"].shape == (3, 40, 2)
    assert whole["keys"].shape == (3, 40, execution.keys)
    memory, found = net.start(3), []
    for frame in range(40):
        outputs, memory = net.step({name: view[:, frame] for name, view in views.items()}, memory)
        found.append(outputs)
    for name, output in whole.items():
        stepped = torch.stack([each[name] for each in found], 1)
        torch.testing.assert_close(stepped, output, rtol=0, atol=1e-5)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_later_frames_change_nothing_and_earlier_ones_count(execution: Execution) -> None:
    net, views = Executor(execution).eval(), frames()
    before = net(views)
    changed = views | {"state": views["state"].clone()}
    changed["state"][:, 8] += 1
    after = net(changed)
    for outputs in (before, after):
        if execution.aims:
            outputs["here"] = outputs["points"][..., 0, :]
    for name in (*(("here", "logs") if execution.aims else ("pointer",)), "keys"):
        output = before[name]
        assert torch.equal(after[name][:, :8], output[:, :8])
        assert (after[name][:, 8:] - output[:, 8:]).abs().amax((0, 2)).min() > 1e-8


@pytest.mark.parametrize("execution", [Execution(), Execution(remembers="lstm")])
def test_where_it_says_nothing_the_pointer_is_at_the_target(execution: Execution) -> None:
    net, views = Executor(execution).eval(), frames()
    views["target"][0, 0, :2] = torch.tensor([0.3, 0.7])
    views["target"][0, 1, :2] = torch.tensor([0.0, 1.2])
    last = net.output[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    pointer = net(views)["pointer"].sigmoid()
    torch.testing.assert_close(pointer[0, 0], torch.tensor([0.3, 0.7]))
    torch.testing.assert_close(pointer[0, 1], torch.tensor([0.01, 0.99]))
    net.residual = False
    assert (net(views)["pointer"].sigmoid() == 0.5).all()


def test_the_screen_is_as_wide_as_the_games() -> None:
    assert ASPECT == SCREEN_X / SCREEN_Y


@pytest.mark.parametrize(("logit", "aims"), [(3.0, True), (-1.0, True), (-3.0, False)])
def test_who_aims_points_at_a_target_or_elsewhere(logit: float, aims: bool) -> None:
    """Off the screen, it points along the way there; and where there is no target, elsewhere."""
    net, views = Executor(Execution(aims=True)).eval(), frames(rows=1, length=4)
    places = torch.tensor([[0.3, 0.7, 0, 1], [2.5, 0.9, 0, 1], [0.5, -3.0, 1, 1], [0.2, 0.2, 0, 0]])
    weights = 0.1 + 0.6 * torch.eye(4)
    views["options"] = torch.cat([places.expand(4, -1, -1), weights.log().unsqueeze(-1)], -1).unsqueeze(0)
    elsewhere = torch.tensor([0.6, 0.1])
    last: Any = net.output[-1]
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([*elsewhere.logit(), 0, 0, logit])
    outputs = net(views)
    there = torch.tensor([[0.3, 0.7], [0.99, 0.5 + 0.4 * 0.49 / 2], [0.5, 0.01]])
    wanted = torch.cat([there if aims else elsewhere.expand(3, 2), elsewhere[None]])
    torch.testing.assert_close(outputs["pointer"].sigmoid()[0], wanted)
    points = outputs["points"].sigmoid()[0]
    torch.testing.assert_close(points[:, :4], torch.cat([elsewhere[None], there]).expand(4, -1, -1))
    part, chances = torch.tensor(logit).sigmoid(), outputs["logs"].exp()[0]
    torch.testing.assert_close(chances[:, 1:4], part * weights[:, :3])
    torch.testing.assert_close(chances[:, 0], 1 - part + part * weights[:, 3])
    assert not chances[:, 4].any()
    assert outputs["keys"].shape[-1] == 2


def test_who_is_told_marks_goes_by_them() -> None:
    net, views = Executor(Execution(), marks=True).eval(), frames()
    marked = views["options"].clone()
    marked[..., PLACE] += 1
    assert (net(views)["keys"] - net(views | {"options": marked})["keys"]).abs().min() > 0


def test_a_bearing_is_a_direction_and_how_far() -> None:
    places = torch.tensor([[0.5, 0.0], [0.5 + 0.3 * 9 / 16, 0.9], [0.5, 0.5]])
    found = bearing(places)
    assert found[:, 2].tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert found[0, :2].tolist() == pytest.approx([0.0, -0.5 / 0.51])
    assert found[1, :2].tolist() == pytest.approx([0.3 / 0.51, 0.4 / 0.51])
    assert found[2, :2].tolist() == [0.0, 0.0]


# -- all three --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remembers", ["mamba", "lstm"])
def test_what_the_pointer_does_teaches_the_strategist(remembers: Any) -> None:
    strategist, tactician = Strategist(SMALL), Tactician()
    executor = Executor(Execution(remembers=remembers))
    goal = strategist(seconds())["goal"]
    goal.retain_grad()
    chosen = tactician(screen(3, goal))
    target = torch.cat([chosen["place"], chosen["about"]], -1)
    views = frames(3, 4) | {
        "goal": goal.unsqueeze(1).expand(-1, 4, -1),
        "target": target.unsqueeze(1).expand(-1, 4, -1),
    }
    executor(views)["pointer"].square().sum().backward()
    assert goal.grad is not None
    assert goal.grad.abs().amin(1).max() > 0, "all of the goal counts"
    for net in (strategist.goal, strategist.over_time, tactician.goal, tactician.choice, executor.input):
        assert all(parameter.grad.any() for parameter in net.parameters())  # type: ignore[union-attr]


def test_the_goal_teaches_by_either_way() -> None:
    goal = torch.randn(3, GOAL, requires_grad=True)
    Tactician()(screen(3, goal))["target"][:, 0].sum().backward()
    assert goal.grad is not None
    assert goal.grad.any()
    goal.grad = None
    views = frames(3, 4) | {"goal": goal.unsqueeze(1).expand(-1, 4, -1)}
    Executor()(views)["keys"].sum().backward()
    assert goal.grad.any()


# -- parts ------------------------------------------------------------------------------------------------------------


def copied(ours: Attention, theirs: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.input.weight)
        theirs.in_proj_bias.copy_(ours.input.bias.normal_())
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_a_layer_is_torchs(pre_norm: bool, fused: bool) -> None:
    ours = Layer(32, 4, 64, CALM, pre_norm=pre_norm, fused=fused).double()
    theirs = nn.TransformerEncoderLayer(32, 4, 64, 0.0, "gelu", batch_first=True, norm_first=pre_norm).double()
    copied(ours.attention, theirs.self_attn)
    pairs = [(theirs.linear1, ours.wide[0]), (theirs.linear2, ours.wide[-1])]
    pairs += [(theirs.norm1, ours.attention_norm), (theirs.norm2, ours.norm)]
    for one, other in pairs:
        one.load_state_dict(other.state_dict())
    x, known = torch.randn(3, 9, 32).double(), torch.rand(3, 9) < 0.7
    known[:, 0] = True
    torch.testing.assert_close(ours(x, known), theirs(x, src_key_padding_mask=~known))
    torch.testing.assert_close(ours(x), theirs(x))


def test_fused_attention_drops_as_much() -> None:
    x = torch.ones(64, 16, 32)
    for fused in (False, True):
        attention = Attention(32, 2, 0.5, fused=fused)
        still = attention.eval()(x)
        torch.testing.assert_close(attention.train()(x).mean(0), still.mean(0), rtol=0, atol=0.2)
        assert (attention(x) - still).abs().max() > 1e-3


def test_hyena() -> None:
    assert count(Hyena(256, 1024)) == 294_592
    for order in (2, 3):
        net, x = Hyena(8, 40, order), torch.randn(2, 30, 8)
        before, changed = net(x), x.clone()
        changed[:, 12] += 1
        after = net(changed)
        torch.testing.assert_close(after[:, :12], before[:, :12], rtol=0, atol=1e-5)
        assert (after[:, 12:] - before[:, 12:]).abs().amax((0, 2)).min() > 1e-6


def test_a_long_convolution_is_a_sum_over_the_past() -> None:
    x, filters = torch.randn(2, 9, 4).double(), torch.randn(9, 4).double()
    wanted = torch.stack([sum(x[:, t - s] * filters[s] for s in range(t + 1)) for t in range(9)], 1)  # type: ignore[misc]
    torch.testing.assert_close(convolved(x, filters), wanted)


def test_latents_read_all_that_is_known() -> None:
    net, x = Perceiver(2, 32, 4, 64, 6, CALM, fused=True).eval(), torch.randn(3, 20, 32)
    known = torch.rand(3, 20) < 0.5
    before = net(x, known)
    assert before.shape == (3, 6, 32)
    other = torch.randn_like(x)
    torch.testing.assert_close(net(torch.where(known.unsqueeze(-1), x, other), known), before)
    assert (net(other, known) - before).abs().max() > 1e-4


class Times(nn.Module):
    """An expert that multiplies, and counts the rows that it was asked about."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor, self.rows = nn.Parameter(torch.tensor(factor)), 0

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        self.rows += len(x)
        return self.factor * x


def test_experts_count_as_much_as_the_router_says() -> None:
    experts = [Times(factor) for factor in (1.0, 2.0, 5.0)]
    net, x = Experts(experts, 8), torch.randn(6, 4, 8)
    known = torch.rand(6, 4) < 0.7
    shares = net.route(x, known)
    torch.testing.assert_close(shares.sum(1), torch.ones(6))
    found = net(x, known)
    torch.testing.assert_close(found, x * (shares @ torch.tensor([1.0, 2.0, 5.0])).view(-1, 1, 1))
    found.square().sum().backward()
    assert net.router.weight.grad is not None
    assert net.router.weight.grad.any()


def test_only_the_best_experts_are_asked() -> None:
    experts = [Times(factor) for factor in (1.0, 2.0, 5.0)]
    net, x, known = Experts(experts, 8, asked=1), torch.randn(6, 4, 8), torch.ones(6, 4, dtype=torch.bool)
    best = net.router(x.mean(1)).argmax(1)
    torch.testing.assert_close(net(x, known), x * torch.tensor([1.0, 2.0, 5.0])[best].view(-1, 1, 1))
    assert [expert.rows for expert in experts] == best.bincount(minlength=3).tolist()


def test_mobile() -> None:
    net = Mobile(1000)
    assert count(net) == 2_542_856, "as widely published"
    assert count(net.features) == 927_008
    small = Mobile(8).eval()
    assert small(torch.rand(2, 3, 96, 96, 3)).shape == (2, 3, 8)
    picture = torch.randint(256, (2, 64, 96, 3), dtype=torch.uint8)
    torch.testing.assert_close(small(picture), small(picture / 255))
