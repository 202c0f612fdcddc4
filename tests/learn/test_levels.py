"""A player of several levels: its rates, what passes between them, and how it learns from a teacher and online."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from small import small
from toys import Meadow
from velodrome.games import make
from velodrome.games.game import Game
from velodrome.learn.evaluate import evaluate
from velodrome.learn.lessons import Lesson, Syllabus
from velodrome.learn.levels import Apprentice, Teaching
from velodrome.learn.recurrent import Recurrent, RecurrentPpo, advantages
from velodrome.learn.sequences import ACTION, LABEL, MEMORY, VIEW, Sequences, parts_of
from velodrome.learn.trainer import Stages
from velodrome.meter.clock import Clock
from velodrome.nets.arena import EDGE, Execution, Strategy, Tactics
from velodrome.nets.arena_player import ArenaPlayer, Levels, held
from velodrome.nets.transformer import Style
from velodrome.recipes import find
from velodrome.recipes.arena import Lessons
from velodrome.runs.checkpoint import digest, weights_of

CALM = Style(dropout=0.0)
AIMING = {"execution": Execution(width=16, states=4, aims=True, style=CALM), "marks": True, "objects": 8}
TINY = Levels(
    Strategy(samples=4, width=16, heads=2, layers=1, style=CALM),
    Tactics(width=16, layers=1, between=Style("relu", dropout=0.0), style=CALM),
    Execution(width=16, states=4, style=CALM),
)
FRAMES = 6


def player(frames: int = FRAMES, **changed: Any) -> ArenaPlayer:
    torch.manual_seed(0)
    return ArenaPlayer(replace(TINY, frames=frames, **changed))


def arena(games: int = 16, frames: int = FRAMES, seconds: int = 60, marks: bool = False) -> Game:
    return make("arena", games, 0, frames=frames, longest=60 * seconds, objects=8, marks=marks)


def apprentice(
    games: int = 16, net: ArenaPlayer | None = None, seconds: int = 60, lanes: int = 1, **settings: Any
) -> Apprentice:
    teaching = Teaching(rows=16, minibatch=16, minibatches=4, memory=64, warm_up=1, average=0.0)
    net = player() if net is None else net
    teaching = replace(teaching, **settings)
    game = arena(games, seconds=seconds, marks=net.settings.marks)
    return Apprentice(game, net, Lessons().told(), teaching, teacher="teacher", lanes=lanes)


def played(net: ArenaPlayer, rows: int, games: int = 3, share: float = 1.0) -> dict[str, Tensor]:
    """A sequence of games whose first were broken off, after two that nobody looks at: rows are at different frames."""
    game, generator = arena(games, marks=net.settings.marks), torch.Generator().manual_seed(0)
    at = Sequences(game, net, rows, generator, "cpu", "teacher", ("mode", "target"))
    for _ in range(2):
        at.play(Clock(), share)
    return at.play(Clock(), share)[0]


# -- the levels as one player -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("changed", [{}, AIMING])
@pytest.mark.parametrize("frames", [1, FRAMES])
def test_asking_all_levels_always_moves_as_asking_those_that_are_due(frames: int, changed: dict[str, Any]) -> None:
    net = player(frames, **changed)
    views, memory = parts_of(played(net, 70), VIEW), net.start(3) | {"frame": torch.tensor([0, 4, 56])}
    with torch.no_grad():
        for step in range(70):
            seen = {name: view[:, step] for name, view in views.items()}
            moves, then = net.ask_all(seen, memory)
            outputs, memory = net.act(seen, memory)
            for found, expected in ((moves, outputs), (then, memory)):
                for name, part in found.items():
                    torch.testing.assert_close(part, expected[name], rtol=1e-4, atol=1e-5)
            assert then.keys() == memory.keys()


@pytest.mark.parametrize("changed", [{}, {"execution": replace(TINY.execution, remembers="lstm")}, AIMING])
@pytest.mark.parametrize("frames", [1, 4, FRAMES])
def test_steps_one_by_one_are_a_sequence(frames: int, changed: dict[str, Any]) -> None:
    net = player(frames, **changed)
    views = parts_of(played(net, 70), VIEW)
    memory = net.start(3)
    memory["frame"] = torch.tensor([0, 4, 56])
    with torch.no_grad():
        whole, after = net.unroll(views, memory)
        for step in range(70):
            outputs, memory = net.act({name: view[:, step] for name, view in views.items()}, memory)
            for name in ("pointer", "keys", "value", "pointer.spread", "due.strategy", "due.tactics"):
                torch.testing.assert_close(outputs[name], whole[name][:, step], rtol=1e-5, atol=1e-5)
            for level, name in (("strategy", "mode"), ("strategy", "confidence"), ("tactics", "choice")):
                due = outputs[f"due.{level}"]
                torch.testing.assert_close(outputs[name][due], whole[name][:, step][due], rtol=1e-5, atol=1e-5)
    for name, part in after.items():
        torch.testing.assert_close(memory[name], part, rtol=1e-5, atol=1e-5)


def test_what_is_held_is_what_came_last() -> None:
    due = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    found = held(torch.tensor([[-1.0], [-2.0], [-3.0]]), torch.tensor([[1.0], [2.0], [3.0]]), due)
    assert found.squeeze(-1).tolist() == [[-1, 1, 1, 2], [3, 3, 3, 3], [-3, -3, -3, -3]]


@pytest.mark.parametrize(("frames", "goals", "targets"), [(1, 60, 6), (2, 30, 3), (FRAMES, 10, 1), (60, 1, 1)])
def test_each_level_has_its_rate(frames: int, goals: int, targets: int) -> None:
    net, game, steps = player(frames, **AIMING), arena(2, frames, marks=True), 121
    memory = net.start(2)
    memory["frame"][1] = frames  # the second row's game is a step ahead
    asked: dict[str, list[int]] = {"strategist": [], "tactician": [], "executor": []}
    for name, rows in asked.items():
        getattr(net, name).register_forward_hook(lambda _, given, __, rows=rows: rows.append(len(first_of(given))))
    net.executor.memory.register_forward_hook(lambda _, given, __: asked["executor"].append(len(given[0])))
    views = {name: torch.from_numpy(game.views[name]).flatten(0, 1) for name in net.wants}
    for step in range(steps):
        before = memory
        with torch.no_grad():
            outputs, memory = net.act(views, memory)
        assert outputs["due.strategy"].tolist() == [(step + row) % goals == 0 for row in range(2)]
        assert outputs["due.tactics"].tolist() == [(step + row) % targets == 0 for row in range(2)]
        for name, level in (
            ("goal", "strategy"),
            ("samples", "strategy"),
            ("target", "tactics"),
            ("options", "tactics"),
        ):
            stays = ~outputs[f"due.{level}"]
            assert torch.equal(memory[name][stays], before[name][stays])
    assert sum(asked["executor"]) == 2 * steps
    assert sum(asked["strategist"]) == sum((step + row) % goals == 0 for step in range(steps) for row in range(2))
    assert sum(asked["tactician"]) == sum((step + row) % targets == 0 for step in range(steps) for row in range(2))


def first_of(given: Any) -> Tensor:
    view: Tensor = next(iter(given[0].values()))
    return view


def test_rates_that_frames_do_not_divide_are_kept_in_the_mean() -> None:
    net = player(frames=4)
    outputs, _ = net.unroll(parts_of(played(net, 60), VIEW), net.start(3))
    assert outputs["due.tactics"].sum(1).tolist() == [40] * 3
    assert outputs["due.strategy"].sum(1).tolist() == [4] * 3


def test_the_residual_points_at_the_target() -> None:
    net = player()
    for parameter in net.executor.output.parameters():
        torch.nn.init.zeros_(parameter)
    views = {name: view[:, -1] for name, view in parts_of(played(net, 8), VIEW).items()}
    with torch.no_grad():
        outputs, memory = net.act(views, net.start(3))
    pointer = 0.5 * (1 + outputs["pointer"].tanh())
    torch.testing.assert_close(pointer, memory["target"][:, :2].clamp(EDGE, 1 - EDGE))


def test_the_goal_reaches_what_is_done() -> None:
    """After learning, gradients go all the way up, and another goal makes for another deed."""
    trainer = apprentice()
    net = trainer.nets["net"]
    assert isinstance(net, ArenaPlayer)
    for _ in range(5):
        trainer.iterate(Clock())
    rows = played(net, 20)
    views, memory = parts_of(rows, VIEW), parts_of(rows, MEMORY)
    for name in ("pointer", "keys"):
        net.zero_grad()
        outputs, _ = net.unroll(views, memory)
        outputs[name].square().sum().backward()  # type: ignore[no-untyped-call]
        for weight in net.strategist.goal.parameters():
            assert weight.grad is not None
            assert float(weight.grad.norm()) > 0
    memory["frame"] += 60 - memory["frame"] % 60 + FRAMES  # no new goal in the first steps
    first = {name: view[:, :5] for name, view in views.items()}
    with torch.no_grad():
        one, _ = net.unroll(first, memory)
        other, _ = net.unroll(first, memory | {"goal": memory["goal"] + 1})
    assert float((one["pointer"] - other["pointer"]).abs().max()) > 1e-3
    assert float((one["keys"] - other["keys"]).abs().max()) > 1e-3


# -- sequences --------------------------------------------------------------------------------------------------------


def test_sequences_hold_what_the_teacher_would_do() -> None:
    net = player()
    rows = played(net, 30)
    done, told = parts_of(rows, ACTION), parts_of(rows, LABEL)
    for name in ("pointer", "keys"):
        assert torch.equal(done[name], told[name])
    assert set(told) == {"pointer", "keys", "mode", "target"}
    assert not {"mode", "target"} & set(parts_of(rows, VIEW))
    own = played(net, 30, share=0.0)
    assert not torch.equal(own[ACTION + "pointer"], own[LABEL + "pointer"])


def test_a_teacher_that_strays_tells_what_it_would_have_done() -> None:
    at = Sequences(arena(64), player(), 64, torch.Generator().manual_seed(0), "cpu", "teacher", strays=0.25)
    strays, clicks = [], []
    for _ in range(6):
        rows, _ = at.play(Clock(), 1.0)
        done, told = parts_of(rows, ACTION), parts_of(rows, LABEL)
        strays.append((done["pointer"] != told["pointer"])[..., 0])
        clicks.append(done["keys"][..., 0].float()[strays[-1]])
    astray = torch.cat(strays[2:], 1)
    assert float(astray.float().mean()) == pytest.approx(0.25, abs=0.06)
    begins = int((astray[:, 1:] & ~astray[:, :-1]).sum())
    assert 14 < int(astray.sum()) / begins < 34, "for 24 decisions in the mean"
    assert float(torch.cat(clicks).mean()) == pytest.approx(0.2, abs=0.03), "it does not stay where it is"


def test_games_end_within_sequences_and_are_broken_off_between() -> None:
    net = player()
    at = Sequences(arena(4, seconds=4), net, 16, torch.Generator().manual_seed(0), "cpu", "teacher")
    lengths, frames, scored = [], [], []
    for _ in range(6):
        found, counts = at.play(Clock(), 1.0)
        known = found["known"].sum(1)
        assert counts.game_steps == counts.decisions == int(known.sum())
        assert not found["reward"][~found["known"]].any()
        lengths.append(known.tolist())
        frames.append((found[MEMORY + "frame"] // FRAMES).tolist())
        scored.append(len(at.outcomes))
    whole = [16] * 4
    assert lengths == [whole, whole, [16, 16, 8, 8], [8, 16, 16, 16], [16, 8, 16, 16], [16, 16, 8, 8]]
    assert frames[:4] == [[0] * 4, [0, 16, 16, 16], [16, 0, 32, 32], [32, 16, 0, 0]]
    assert scored == [0, 0, 2, 1, 1, 2]


def test_games_with_several_seats_are_refused() -> None:
    with pytest.raises(ValueError, match="3 seats"):
        Sequences(Meadow(2, 0), player(), 4, torch.Generator(), "cpu")


def test_nobody_sees_what_the_teacher_knows() -> None:
    net = player()
    net.wants = (*net.wants, "mode")
    with pytest.raises(ValueError, match="mode is no player's to see"):
        Sequences(arena(2), net, 4, torch.Generator(), "cpu")


# -- learning from a teacher ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changed", "iterations"), [({}, 40), (AIMING, 60)])
def test_lessons_are_learnt(changed: dict[str, Any], iterations: int) -> None:
    trainer = apprentice(minibatches=8, net=player(**changed))
    told = [trainer.iterate(Clock()).metrics for _ in range(iterations)]
    for name in ("mode", "choice", "pointer", "keys"):
        first, last = (sum(each[f"{name}_loss"] for each in part) for part in (told[:3], told[-3:]))
        assert last < 0.9 * first, name
    first, last = (sum(each["choice_right"] for each in part) for part in (told[:3], told[-3:]))
    assert last > first


def test_of_several_points_the_one_that_was_meant_is_learnt() -> None:
    taught = Syllabus((Lesson("pointer", "pointer", "point", 100.0, near=0.05, course=2.0),), arena())
    label = torch.tensor([[[0.9, 0.5], [0.1, 0.5]]])
    here = torch.full((1, 2, 2), -0.5)
    here[0, 1] = (2 * label[0, 1] - 1).atanh() + 0.1
    here.requires_grad_()
    there, nowhere = torch.full((1, 2, 2), -0.5), torch.full((1, 2, 2), 0.5)
    there[0, 0] = (2 * label[0, 0] - 1).atanh()
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    points = torch.stack([here, there, nowhere], -2)
    outputs = {"pointer": here, "pointer.points": points, "pointer.logs": logits.log_softmax(-1)}
    loss, told = taught.losses(outputs, {"pointer": label}, torch.ones(1, 2, dtype=torch.bool))
    loss.backward()  # type: ignore[no-untyped-call]
    assert set(told) == {"pointer_loss", "pointer_course"}
    assert here.grad is not None
    assert logits.grad is not None
    assert (logits.grad[0] < 0).tolist() == [[False, True, False], [True, False, False]]
    assert float(here.grad[0, 1].norm()) > 10 * float(here.grad[0, 0].norm()), "what was aimed teaches it nothing else"


def test_labels_leak_nowhere() -> None:
    """From labels in any order nothing can be learnt but how frequent each is."""
    trainer, generator = apprentice(games=32, memory=4096, rate=1e-3), torch.Generator().manual_seed(1)
    play = trainer.lanes[0].sequences.play

    def shuffled(clock: Clock, share: float = 0.0) -> Any:
        rows, counts = play(clock, share)
        for name in [name for name in rows if name.startswith(LABEL)]:
            flat = rows[name].flatten(0, 1)
            rows[name] = flat[torch.randperm(len(flat), generator=generator)].view_as(rows[name])
        return rows, counts

    trainer.lanes[0].sequences.play = shuffled  # type: ignore[method-assign]
    for _ in range(25):
        trainer.iterate(Clock())
    rows, _ = shuffled(Clock(), 1.0)
    outputs, _ = trainer.net.unroll(parts_of(rows, VIEW), parts_of(rows, MEMORY))
    labels, known = parts_of(rows, LABEL), rows["known"]
    for output, label, due in (("mode", "mode", "strategy"), ("choice", "target", "tactics")):
        which = known & outputs[f"due.{due}"]
        right = (outputs[output].argmax(-1) == labels[label])[which].float().mean()
        chance = labels[label][known].bincount().max() / known.sum()
        assert float(right) < float(chance) + 0.1, output
    clicks = labels["keys"][known][:, 0].float()
    judged = outputs["keys"][known][:, 0] > 0
    assert float((judged == clicks.bool()).float().mean()) < max(float(clicks.mean()), 1 - float(clicks.mean())) + 0.1


def test_lanes_share_the_games_and_the_steps() -> None:
    """Each plays its part, and they move one net by the mean of what they have lost."""
    trainer, other = (apprentice(lanes=2, minibatches=1) for _ in range(2))
    trainer.iterate(Clock())
    expected = torch.zeros_like(trainer.optimizer.weights)
    for lane in other.lanes:
        alone = apprentice(games=8, minibatch=8, minibatches=1)
        alone.lanes[0] = lane
        assert alone.iterate(Clock()).counts.decisions == 8 * 16
        expected += alone.optimizer.gradients.sum(0) / 2
    assert not torch.equal(*(lane.kept.rows["label.pointer"] for lane in other.lanes if lane.kept is not None))
    torch.testing.assert_close(trainer.optimizer.gradients.sum(0), expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("lanes", [1, 2])
def test_with_dropout_lanes_learn_the_same_and_go_on_to_the_bit(lanes: int) -> None:
    noisy = replace(TINY.execution, style=Style(dropout=0.1))
    first, second, third = (apprentice(net=player(execution=noisy), lanes=lanes, memory=32) for _ in range(3))

    def learn(trainer: Apprentice, times: int, random: Tensor) -> Tensor:
        """The first lane's random state is the process's own."""
        torch.set_rng_state(random)
        for _ in range(times):
            trainer.iterate(Clock())
        return torch.get_rng_state()

    random = torch.get_rng_state()
    between = learn(first, 4, random)
    third.load(copy.deepcopy(first.state()))
    learn(first, 2, between)
    learn(second, 6, random)
    learn(third, 2, between)
    assert len({digest(weights_of(trainer.nets)) for trainer in (first, second, third)}) == 1


def test_lanes_share_alike_or_not_at_all() -> None:
    with pytest.raises(ValueError, match="games 16 and minibatch 16 must divide by lanes=3"):
        apprentice(lanes=3)


@pytest.mark.long
def test_who_has_learnt_beats_chance() -> None:
    trainer = apprentice(games=32, minibatches=8, minibatch=32, memory=512, share_halves=10, rate=3e-3, rows=32)
    for _ in range(80):
        trainer.iterate(Clock())
    own, trivial = (evaluate(who, arena(), episodes=60, seed=7, greedy=True) for who in (trainer, "random"))
    assert own.score > trivial.score + own.stderr + trivial.stderr


def test_the_teacher_gives_way() -> None:
    trainer = apprentice(minibatches=1, share_halves=1)
    shares = [trainer.iterate(Clock()).metrics["teacher"] for _ in range(4)]
    assert shares == [1, 1 / 2, 1 / 3, 1 / 4]


def test_rates_rise_and_fall() -> None:
    constant = Teaching(rate=1.0, warm_up=4)
    assert [constant.rate_of(i) for i in (0, 1, 3, 100)] == [0.25, 0.5, 1.0, 1.0]
    halves = replace(constant, rate_halves=10)
    assert [halves.rate_of(i) for i in (10, 20)] == pytest.approx([1 / 2, 1 / 3])
    wave = replace(constant, falls="cosine", rate_halves=100)
    assert [wave.rate_of(i) for i in (50, 100, 200)] == pytest.approx([0.5, 0.0, 0.0])


def test_what_lessons_cost() -> None:
    lessons = (
        Lesson("mode", "mode", "choice", 2.0, due="due", smoothing=0.2),
        Lesson("sure", "mode", "right", due="due", of="mode"),
        Lesson("choice", "target", "weights"),
        Lesson("pointer", "pointer", "point", 3.0, course=2.0),
        Lesson("keys", "keys", "bits", positive=(4.0, 2.0)),
    )
    trainer = Apprentice(arena(2), player(), lessons, Teaching(rows=2, memory=8), teacher="teacher")
    known = torch.tensor([[True, True, False]])
    outputs = {
        "mode": torch.tensor([[[2.0, 0.0], [9.0, 0.0], [9.0, 0.0]]]),
        "sure": torch.tensor([[1.0, 5.0, 5.0]]),
        "choice": torch.tensor([[[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]]]).log(),
        "pointer": torch.tensor([[[0.0, 0.0], [9.0, 9.0], [9.0, 9.0]]]),
        "keys": torch.zeros(1, 3, 2),
        "due": torch.tensor([[True, False, True]]),
    }
    labels = {
        "mode": torch.tensor([[1, 0, 0]]),
        "target": torch.tensor([[1, 2, 0]]),  # the second is beyond what can be chosen
        "pointer": torch.tensor([[[0.5, 0.7], [0.1, 0.1], [0.1, 0.1]]]),
        "keys": torch.tensor([[[1, 0], [0, 1], [1, 1]]]),
    }
    total, told = trainer.lessons.losses(outputs, labels, known)
    rest = torch.tensor(-2.0).exp().log1p().item()
    assert told["mode_loss"] == pytest.approx(0.9 * (2 + rest) + 0.1 * rest, rel=1e-5)
    assert told["mode_right"] == 0
    assert told["sure_loss"] == pytest.approx(torch.tensor(1.0).exp().log1p().item(), rel=1e-5)
    assert told["choice_loss"] == pytest.approx(-torch.tensor(0.75).log().item(), rel=1e-5)
    assert told["pointer_loss"] == pytest.approx((0.5 * 0.2**2 + 0.9**2) / 2, rel=1e-5)
    assert told["keys_loss"] == pytest.approx((4 + 1 + 1 + 2) / 4 * torch.tensor(2.0).log().item(), rel=1e-5)
    assert told["pointer_course"] == pytest.approx((1 + 2) / 2)  # in no direction, then in the opposite one
    weights = {"mode": 2.0, "sure": 1.0, "choice": 1.0, "pointer": 3.0, "keys": 1.0}
    lost = sum(weight * told[f"{name}_loss"] for name, weight in weights.items())
    assert float(total) == pytest.approx(lost + 2.0 * told["pointer_course"])


def test_far_off_an_error_counts_in_proportion() -> None:
    outputs, labels = {"pointer": torch.zeros(1, 1, 2)}, {"pointer": torch.tensor([[[0.53, 0.9]]])}
    for near, wanted in ((0.1, 0.03**2 + 0.1 * (0.8 - 0.1)), (0.0, 0.03**2 + 0.4**2)):
        taught = Syllabus((Lesson("pointer", "pointer", "point", near=near),), arena())
        loss, _ = taught.losses(outputs, labels, torch.ones(1, 1, dtype=torch.bool))
        assert float(loss) == pytest.approx(wanted / 2)


# -- learning online --------------------------------------------------------------------------------------------------


def test_advantages_by_hand() -> None:
    """One sequence goes on, one ends, one is cut off: after that nothing is known."""
    flags = {
        "known": torch.tensor([[True] * 3, [True, True, False], [True, True, False]]),
        "ended": torch.tensor([[False] * 3, [False, True, True], [False] * 3]),
    }
    value = torch.tensor([1.0, 2.0, 3.0]).expand(3, 3)
    reward = torch.tensor([[10.0, 20.0, 30.0], [10.0, 20.0, 0.0], [10.0, 20.0, 0.0]])
    found = advantages({**flags, "value": value, "reward": reward, "after": torch.tensor([4.0] * 3)}, 0.1, 0.5, 0.5)
    goes_on = [3 + 0.5 * 4 - 3, 2 + 0.5 * 3 - 2]
    last, middle = goes_on[0], goes_on[1] + 0.25 * goes_on[0]
    assert found[0].tolist() == pytest.approx([1 + 0.5 * 2 - 1 + 0.25 * middle, middle, last])
    assert found[1].tolist() == pytest.approx([1 + 0.5 * 2 - 1 + 0.25 * 0.0, 0.0, 0.0])
    assert found[2].tolist() == pytest.approx([1 + 0.5 * 2 - 1 + 0.25 * 1.5, 1.5, 0.0])


def test_before_the_first_step_the_ratio_is_one() -> None:
    trainer = RecurrentPpo(arena(8), player(), Recurrent(rows=20, minibatch=8, epochs=1, values_first=0, rate=0.0))
    for _ in range(3):
        found = trainer.iterate(Clock()).metrics
        assert found["kl"] == pytest.approx(0, abs=1e-5)
        assert found["clipped"] == 0


def test_values_are_learnt_first() -> None:
    trainer = RecurrentPpo(arena(8), player(), Recurrent(rows=20, minibatch=4, values_first=2))
    net = trainer.nets["net"]
    before = copy.deepcopy(net.state_dict())
    for iteration in range(3):
        trainer.iterate(Clock())
        changed = {name.split(".")[0] for name, part in net.state_dict().items() if not torch.equal(part, before[name])}
        assert changed >= {"value"}
        assert (changed == {"value"}) == (iteration < 2)


def test_what_is_worth_something_is_learnt() -> None:
    """A player that is paid for its clicks comes to click."""
    game = arena(16, seconds=10)
    trainer = RecurrentPpo(game, player(), Recurrent(rows=16, minibatch=4, epochs=4, values_first=0, rate=3e-3))
    play = trainer.lanes[0].sequences.play
    clicks: list[float] = []

    def paid(clock: Clock, share: float = 0.0) -> Any:
        rows, counts = play(clock, share)
        rows["reward"] = rows[ACTION + "keys"][..., 0].float()
        clicks.append(float(rows["reward"].mean()))
        return rows, counts

    trainer.lanes[0].sequences.play = paid  # type: ignore[method-assign]
    for _ in range(25):
        trainer.iterate(Clock())
    assert clicks[0] < 0.6
    assert clicks[-1] > 0.7


@pytest.mark.parametrize("taught", [0.0, 1.0])
def test_a_teacher_may_go_on_telling(taught: float) -> None:
    net, game = player(), arena()
    settings = Recurrent(rows=16, minibatch=16, values_first=1000, rate=1e-3, average=0.0, taught=taught)
    trainer = RecurrentPpo(game, net, settings, lessons=Lessons().told(), teacher="teacher")
    assert trainer.lanes[0].sequences.teacher == ("teacher" if taught else None)
    syllabus, sequences = Syllabus(Lessons().told(), game), played(net, 32)

    def missed() -> float:
        outputs, _ = net.unroll(parts_of(sequences, VIEW), parts_of(sequences, MEMORY))
        return float(syllabus.losses(outputs, parts_of(sequences, LABEL), sequences["known"])[0].detach())

    before = missed()
    for _ in range(10):
        trainer.iterate(Clock())
    assert missed() < 0.9 * before if taught else missed() == before, "what it earns teaches nothing yet"


# -- the recipes ------------------------------------------------------------------------------------------------------


def test_who_plays_best_is_handed_over() -> None:
    recipe = find("arena")
    settings = small(recipe.settings())
    trainer = recipe.build(replace(settings, pretraining=3, online=replace(settings.online, rate=0.0)), 0, "cpu")
    assert isinstance(trainer, Stages)
    for _ in range(3):
        trainer.iterate(Clock())
    first = trainer.stages[0][0]
    assert isinstance(first, Apprentice)
    assert first.average is not None
    averaged = digest(weights_of({"net": first.average.net}))
    assert digest(weights_of(trainer.nets)) != averaged
    trainer.stages[1] = trainer.stages[1][0], 0
    trainer.iterate(Clock())
    assert digest(weights_of(trainer.nets)) == averaged, "the next stage, which learns nothing, began there"


@pytest.mark.parametrize("name", ["arena", "arena-lstm"])
def test_all_stages_go_on_to_the_bit(name: str) -> None:
    recipe = find(name)
    settings = replace(small(recipe.settings()), pretraining=1, corrected=1)
    for after in (1, 2, 3):
        once, again = (recipe.build(settings, seed, "cpu") for seed in (0, 1))
        for _ in range(after):
            once.iterate(Clock())
        again.load(copy.deepcopy(once.state()))
        assert [trainer.iterate(Clock()).metrics["stage"] for trainer in (once, again)] == [min(after, 2)] * 2
        assert digest(weights_of(once.nets)) == digest(weights_of(again.nets))
