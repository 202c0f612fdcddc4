"""What every recipe promises. A recipe is tested here as soon as it stands in `velodrome.recipes.RECIPES`."""

from __future__ import annotations

import atexit
import dataclasses
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from small import TOY, small
from together import all_at_once
from velodrome.games import make
from velodrome.learn.a2c import A2c
from velodrome.learn.evaluate import evaluate
from velodrome.learn.maddpg import Maddpg
from velodrome.learn.opponents import Opponents
from velodrome.learn.recurrent import Recurrent
from velodrome.learn.tom2c import Tom2c
from velodrome.learn.trainer import Policy, Trainer, exchange_of
from velodrome.learn.workers import Workers, common_of, own_of, seed_of, whole_of
from velodrome.meter.budget import PHASES
from velodrome.meter.clock import Clock
from velodrome.nets.team import Channel
from velodrome.nets.tom2c import Minds
from velodrome.proof.changes import patched
from velodrome.proof.processes import Setup
from velodrome.recipes import RECIPES, find
from velodrome.recipes import shipped as shipped_agents
from velodrome.recipes.shares import share_of
from velodrome.recipes.shipped import About
from velodrome.runs.checkpoint import Checkpoints, digest, weights_of
from velodrome.runs.datasets import Recorder
from velodrome.runs.parcel import Parcel
from velodrome.runs.settings import settings_from_json, settings_to_json

RECORDED = object()
"""In the place of a folder: a set of episodes that was recorded for these tests."""
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "arena": [{"pretraining": 1, "corrected": 1, "online": Recurrent(rows=13, minibatch=4, values_first=1)}],
    "coverage-tom2c": [
        {"reduce_after": 2},
        {"minds": Minds("reference", hidden=16, carried=False, apart=False, valued=True, rectified=True)},
    ],
    "hearts": [
        {"lanes": 1},
        {"opponents": Opponents(bots=("rule", "random"), bots_share=0.4, pool_share=0.3, pool_every=1, pool_size=2)},
    ],
    "navigation-tom2c": [
        {"minds": Minds("shared", hidden=16, rounds=2), "tom2c": Tom2c(rows=7, belief_every=2)},
        {"minds": Minds("none")},
        {"minds": Minds(rounds=2, channel=Channel(lost=0.3, bits=4))},
    ],
    "platoon-neurcomm": [
        {"method": "dial", "scenario": "slow-down", "vehicles": 3},
        {"method": "consenet", "a2c": A2c(rows=7, descent="adam", normalise=True)},
        {"method": "commnet", "form": "plain", "vehicles": 2},
        {"method": "commnet", "channel": Channel(lost=0.3, bits=4)},
        {"method": "ia2c", "hears": False},
    ],
    "ppo": [
        {"game": "pettingzoo:mpe2.simple_spread_v3", "lanes": 2},
        {"game": "hearts", "normalise_observations": False},
    ],
    "skirmish-madt": [{"data": RECORDED, "pretraining": 2, "tokens": "rtgs_state_action", "context": 3}],
    "skirmish-eva": [
        {"data": RECORDED, "pretraining": 2, "lanes": 1, "tokens": "state_action", "mixing": True, "taught": True},
        {"data": RECORDED, "pretraining": 1, "context": 2, "mixing": True},
    ],
    "tag-maddpg": [{"maddpg": Maddpg(batch=64, memory=250, warm_up=1)}],
}
"""Settings beside the defaults that change how a recipe works or what its state holds."""


class Kind:
    """A recipe with certain settings."""

    def __init__(self, name: str, variant: dict[str, Any]):
        self.name, self.variant = name, variant

    def __str__(self) -> str:
        return "-".join([self.name.rsplit(":")[-1], *self.variant])

    @property
    def settings(self) -> Any:
        changes = {name: str(recorded()) if value is RECORDED else value for name, value in self.variant.items()}
        return dataclasses.replace(small(find(self.name).settings()), **changes)

    def __call__(self, seed: int = 0) -> Trainer:
        return find(self.name).build(self.settings, seed, "cpu")


@cache
def recorded() -> Path:
    """A few battles to learn from."""
    folder, recorder = Path(tempfile.mkdtemp(prefix="velodrome-")), Recorder()
    evaluate("focus", make("skirmish", map="3m", observation="madt", state=True), episodes=12, record=recorder)
    recorder.write(folder, {"who": "focus"})
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


KINDS = [Kind(name, variant) for name in [*RECIPES, TOY] for variant in [{}, *VARIANTS.get(name, [])]]


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


def iterate(trainer: Trainer, times: int) -> Trainer:
    clock = Clock()
    torch.manual_seed(99)
    for _ in range(times):
        trainer.iterate(clock)
    return trainer


def digest_of(trainer: Trainer) -> str:
    return digest(weights_of(trainer.nets))


def test_iterations_learn_and_count(kind: Kind) -> None:
    trainer, clock = kind(), Clock()
    before = digest_of(trainer)
    for _ in range(3):
        progress = trainer.iterate(clock)
        counts = progress.counts
        assert min(counts.game_steps, counts.decisions, counts.learner_samples) > 0
        assert all(math.isfinite(value) for value in progress.metrics.values()), progress.metrics
    assert digest_of(trainer) != before
    assert all(weight.isfinite().all() for weight in weights_of(trainer.nets).values())


def test_every_phase_has_a_known_name(kind: Kind) -> None:
    clock = Clock()
    trainer = kind()
    for _ in range(3):  # into the second stage, where there is one
        trainer.iterate(clock)
    names = {phase.name for phase in clock.budget().phases}
    assert names <= set(PHASES)
    assert {name.split(".")[0] for name in names} >= {"collect", "learn"}


def test_the_seed_decides(kind: Kind) -> None:
    first, again, other = (iterate(kind(seed), 3) for seed in (5, 5, 6))
    assert digest_of(first) == digest_of(again)
    assert digest_of(first) != digest_of(other)


@pytest.mark.parametrize("after", [1, 3])
def test_saved_and_loaded_it_goes_on_bit_for_bit(kind: Kind, after: int, tmp_path: Path) -> None:
    trainer = iterate(kind(), after)
    Checkpoints(tmp_path).save(after, trainer.state(), weights_of(trainer.nets))
    checkpoint = Checkpoints(tmp_path).newest()
    assert checkpoint is not None
    other = kind(seed=1)  # of another seed, so that whatever the state leaves out shows
    other.load(checkpoint.state)
    assert digest_of(other) == digest_of(trainer)
    if not trainer.game.resumes:  # its games begin anew, yet from what was saved
        trainer = kind(seed=2)
        trainer.load(checkpoint.state)
    iterate(trainer, 3)
    iterate(other, 3)
    assert digest_of(other) == digest_of(trainer)
    assert_same_tree(other.state(), trainer.state())


def assert_same_tree(one: Any, other: Any, where: str = "state") -> None:
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same_tree(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, Tensor | np.ndarray):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), where)
    elif isinstance(one, list | tuple) or hasattr(one, "append"):
        assert len(one) == len(other), where
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same_tree(left, right, f"{where}[{index}]")
    else:
        assert one == other, where


def test_workers_learn_one_net(kind: Kind) -> None:
    """Two that each play half of the games have the same weights, and all else that is common; what is not is saved for
    each."""
    settings = dataclasses.replace(kind.settings, **({"lanes": 1} if hasattr(kind.settings, "lanes") else {}))
    shared, common = share_of(settings, 2), Queue[Parcel]()

    def work(workers: Workers) -> tuple[dict[str, Any], str, str]:
        trainer = find(kind.name).build(shared, seed_of(5, workers.index), "cpu")
        if workers.index == 0:
            common.put(Parcel.of(common_of(trainer.state())))
        else:
            trainer.load(whole_of(common.get().open(), own_of(trainer.state())))
        before = digest_of(trainer)
        for _ in range(3):  # into the second stage, where there is one
            trainer.iterate(Clock())
        return Parcel.of(trainer.state()).open(), before, digest_of(trainer)

    if any(isinstance(module, nn.BatchNorm2d) for net in kind().nets.values() for module in net.modules()):
        with pytest.raises(ValueError, match="use one worker"):
            all_at_once(2, work)
        return
    (first, began, digest), other = all_at_once(2, work)
    assert other[1:] == (began, digest)
    assert began != digest
    assert_same_tree(common_of(first), common_of(other[0]))
    assert_same_tree(whole_of(common_of(first), own_of(first)), first)
    assert repr(own_of(first)) != repr(own_of(other[0]))


def test_evaluating_changes_nothing(kind: Kind) -> None:
    watched, alone = kind(), kind()
    for trainer in (watched, alone):
        iterate(trainer, 1)
        if trainer is watched:
            spec = trainer.game.spec
            against = None if spec.together or spec.seats == 1 else "random"
            found = evaluate(trainer, trainer.game, against, episodes=4)
            assert math.isfinite(found.score)
            assert evaluate(trainer, trainer.game, against and trainer, episodes=4, greedy=True).decisions > 0
        iterate(trainer, 2)
    assert digest_of(watched) == digest_of(alone)


ONE_OF_EACH = {"arena", "coverage-tom2c", "hearts", "skirmish-qmix", "spread-maddpg"}
"""A recipe for each kind of policy."""


@pytest.mark.parametrize(
    "kind",
    [pytest.param(Kind(name, {}), marks=[] if name in ONE_OF_EACH else pytest.mark.long) for name in RECIPES],
    ids=str,
)
def test_as_a_shipped_agent_it_plays_as_it_was_trained(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped_agents, "AGENTS", tmp_path)
    trainer, views = iterate(kind(), 2), views_of(kind())
    told = About(kind.name, settings_to_json(kind.settings), 0, 2, 1.0, "2026-11-22", {}, {})
    shipped_agents.write(tmp_path / f"{kind.name}.safetensors", trainer, told)
    other = shipped_agents.load(kind.name)
    first, second = (acted(each.policy(greedy=True), views, steps=3) for each in (trainer, other))
    for name, part in first.items():
        torch.testing.assert_close(second[name], part, rtol=0, atol=0)


def test_rows_are_independent(kind: Kind) -> None:
    """Nobody's decision depends on the rows beside it, save those of its team."""
    trainer = iterate(kind(), 1)
    policy, views = trainer.policy(greedy=True), views_of(trainer)
    memory = policy.start(len(views["seat"]))
    with torch.no_grad():
        for _ in range(2):
            action, after = policy.act(views, memory, torch.Generator())
            order = torch.randperm(len(views["seat"]), generator=torch.Generator().manual_seed(1))
            mixed = ({name: tensor[order] for name, tensor in given.items()} for given in (views, memory))
            action_mixed, after_mixed = policy.act(*mixed, torch.Generator())
            for one, other in ((action, action_mixed), (after, after_mixed)):
                for name in one:
                    torch.testing.assert_close(other[name], one[name][order], rtol=1e-4, atol=1e-5)
            memory = after


def test_others_enter_decisions_as_declared(kind: Kind) -> None:
    """If all but the first seat saw anything else, would the first seat still act as it did?"""
    recipe = find(kind.name)
    if recipe.team is None:
        pytest.skip("one player, or players that learn against each other")
    trainer = iterate(kind(), 3)  # into the second stage, where there is one
    views = views_of(trainer, games=64)
    others = views["seat"] > 0
    changed = {name: view.clone() for name, view in views.items()}
    for view in changed.values():
        if view.is_floating_point():  # not seats, games, and what is legal
            view[others] = torch.randn_like(view[others])
    policy = trainer.policy()
    part, differs = trainer.game.spec.action[0].name, False
    for _ in range(3):
        for net in nets_in(policy):
            disturb(net)  # untrained nets hardly care what they see
        first, second = (acted(policy, seen, steps=4)[part][~others] for seen in (views, changed))
        differs |= bool((first != second).any())
    assert differs == (recipe.team.scheme_of(kind.settings).communication != "none")


def test_silenced_nobody_tells_anything(kind: Kind) -> None:
    recipe = find(kind.name)
    if kind.variant or recipe.team is None or not recipe.team.silent:
        pytest.skip("nobody tells anything anyway")
    setup = Setup(kind.name, settings_to_json(kind.settings), None, "cpu")
    settings = settings_from_json(recipe.settings, patched(setup, recipe.team.silent).settings)
    assert recipe.team.scheme_of(settings).communication == "none"
    talking, silent = (iterate(each, 1) for each in (kind(), recipe.build(settings, 0, "cpu")))
    told, nothing = exchange_of(talking), exchange_of(silent)
    assert told is not None
    assert nothing is not None
    assert min(told.messages, told.bytes) > max(nothing.messages, nothing.bytes) == 0


def nets_in(holder: Any) -> Iterator[nn.Module]:
    """The nets by which a policy plays."""
    for value in vars(holder).values():
        if isinstance(value, nn.Module):
            yield value
        elif hasattr(value, "act"):
            yield from nets_in(value)


@torch.no_grad()
def disturb(net: nn.Module) -> None:
    for parameter in net.parameters():
        parameter += 0.1 * torch.randn_like(parameter)


def acted(policy: Policy, views: dict[str, Tensor], steps: int) -> dict[str, Tensor]:
    """The last of a few actions, always from the same views."""
    memory, generator = policy.start(len(views["seat"])), torch.Generator().manual_seed(3)
    for _ in range(steps):
        action, memory = policy.act(views, memory, generator)
    return action


def views_of(trainer: Trainer, games: int = 16) -> dict[str, Tensor]:
    """What a few rows in the middle of play see."""
    game = trainer.game.again(games)
    for _ in range(3):
        game.step(game.bot("random"))
        game.reset(game.ended | game.cut)
    views = {name: game.views[name] for name, view in game.spec.views.items() if not view.private}
    views |= {"seat": game.seat, "game": np.repeat(np.arange(game.games)[:, None], game.spec.deciders, 1)}
    return {name: torch.from_numpy(array).flatten(0, 1) for name, array in views.items()}


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("blank", ["masks", "everything"])
def test_a_row_with_nothing_legal_gives_no_nan(kind: Kind, blank: str, greedy: bool) -> None:
    trainer = kind()
    views = views_of(trainer)
    masks = {part.mask for part in trainer.game.spec.action if getattr(part, "mask", None)}
    for name in views:
        if name in masks or (blank == "everything" and name not in ("seat", "game")):
            views[name][::2] = 0
    policy = trainer.policy(greedy)
    with torch.no_grad(), nan_is_refused(trainer.nets):
        action, memory = policy.act(views, policy.start(len(views["seat"])), torch.Generator().manual_seed(0))
    assert all(tensor.isfinite().all() for tensor in memory.values())
    for part in trainer.game.spec.action:
        chosen = action[part.name]
        assert chosen.shape == (len(views["seat"]), *part.shape)
        assert chosen.isfinite().all()
        if not part.shape:
            assert ((chosen >= 0) & (chosen < part.n)).all()
        if getattr(part, "mask", None):
            legal = views[part.mask].bool()
            allowed = legal.gather(1, chosen[:, None])[:, 0] if not part.shape else (legal | (chosen == 0)).all(1)
            assert allowed[1::2].all()


@contextmanager
def nan_is_refused(nets: dict[str, nn.Module]) -> Iterator[None]:
    """Check what every module inside these nets gives while this lasts."""

    def check(module: nn.Module, given: Any, output: Any) -> None:
        for tensor in output.values() if isinstance(output, dict) else [output]:
            if isinstance(tensor, Tensor):
                assert not tensor.isnan().any(), f"{type(module).__name__} gave NaN"

    modules = [module for net in nets.values() for module in net.modules()]
    hooks = [module.register_forward_hook(check) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
