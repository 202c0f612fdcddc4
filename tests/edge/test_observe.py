"""Anyone's trainer, watched from outside: budgets close, counts are those of the program, nothing stays behind."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks
from torch.utils._python_dispatch import _get_current_dispatch_mode

import velodrome
from velodrome.edge import observe as room
from velodrome.edge import sample
from velodrome.edge.account import Account
from velodrome.edge.observe import Watched, observe
from velodrome.meter.budget import Budget

ROOT = Path(__file__).parents[2]


class Corridor(gymnasium.Env[Any, Any]):
    """Eight steps long."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.at = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        return np.zeros(4, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.at += 1
        return np.full(4, self.at / 8, np.float32), float(action), self.at == 8, False, {}


class Agent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        self.critic = nn.Linear(4, 1)

    def decide(self, view: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        choice = torch.distributions.Categorical(logits=self.actor(view))
        action = choice.sample()
        return action, choice.log_prob(action), self.critic(view)


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    before = patched()
    yield
    room._open and room._open.close()
    assert patched() == before


def patched() -> list[Any]:
    """Everything that an observation puts something in front of."""
    classes = [nn.Module, torch.Tensor, torch.optim.Optimizer, gymnasium.Env, gymnasium.vector.VectorEnv, Corridor]
    names = ["__call__", "zero_grad", "backward", "step", "reset", "__init_subclass__", "named_parameters"]
    own = [vars(kind).get(name) for kind in [*classes, Agent] for name in [*names, "decide", "forward"]]
    functions = [torch.autograd.backward, torch.autograd.grad, nn.utils.clip_grad_norm_, torch.compile]
    hooks = len(_global_optimizer_pre_hooks) + len(_global_optimizer_post_hooks)
    return [*own, *functions, torch.optim.Optimizer.__init__, hooks, list(sys.meta_path)]


def samples(budget: Budget) -> dict[str, int]:
    return {phase.name: phase.samples for phase in budget.phases}


def assert_closed(budget: Budget) -> None:
    phases = sum(phase.seconds for phase in budget.phases)
    assert phases + budget.unaccounted == pytest.approx(budget.wall_s, abs=1e-9)
    assert budget.unaccounted >= 0
    for parent in budget.parents:
        assert budget.unaccounted_in(parent.name) >= 0
    assert budget.unaccounted_in() >= 0


def learn(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        loss = net(torch.randn(16, 4)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()


def test_a_plain_loop() -> None:
    net = nn.Linear(4, 3)
    optimizer = torch.optim.Adam(net.parameters())
    watched = velodrome.observe(net, optimizer)
    began = time.perf_counter()
    learn(net, optimizer, 7)
    took = time.perf_counter() - began
    budget = watched.close()
    assert_closed(budget)
    assert samples(budget) == {
        "start": 1, "end": 1, "learn.forward": 7, "learn.loss": 7, "learn.backward": 7, "learn.optimize": 7,
    }  # fmt: skip
    assert budget.wall_s >= took
    assert budget.spans["learn"].samples == 1
    assert budget.overhead > 0
    assert watched.throughput().keys() == {"optimizer_steps_per_s"}


def test_printing_ends_it_and_shows_budget_and_card() -> None:
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters())
    watched = observe(net, optimizer)
    learn(net, optimizer, 2)
    shown = str(watched)
    assert "learn" in shown
    assert "unaccounted" in shown
    assert "Linear: 15 parameters" in shown
    learn(net, optimizer, 2)
    assert samples(watched.budget())["learn.backward"] == 2
    assert [card["parameters"] for card in watched.to_json()["cards"]] == [15]


def play(agent: Agent, steps: int) -> list[torch.Tensor]:
    env, outcomes = Corridor(), []
    view, _ = env.reset()
    for _ in range(steps):
        with torch.no_grad():
            action, *_ = agent.decide(torch.as_tensor(view)[None])
        view, _, ended, _, _ = env.step(int(action))
        outcomes.append(torch.as_tensor(view))
        if ended:
            view, _ = env.reset()
    return outcomes


def test_acting_and_learning_are_told_apart() -> None:
    agent = Agent()
    optimizer = torch.optim.Adam(agent.parameters())
    with observe(agent, optimizer) as watched:
        for _ in range(3):
            views = torch.stack(play(agent, 20))
            with torch.no_grad():
                agent.critic(views[-1:])
            for _ in range(2):
                _, chance, value = agent.decide(views)
                loss = -(chance * value.detach()[:, 0]).mean() + value.square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    budget = watched.budget()
    assert_closed(budget)
    assert samples(budget) == {
        "start": 1, "end": 1, "collect.infer": 60, "collect.step": 60, "collect.reset": 9,
        "learn.forward": 9, "learn.loss": 6, "learn.backward": 6, "learn.optimize": 6,
    }  # fmt: skip
    assert {parent.name: parent.samples for parent in budget.parents} == {"collect": 3, "learn": 3}
    assert watched.observer.account.game_steps == 60
    assert watched.findings() == []
    assert set(watched.throughput()) == {"environment_steps_per_s", "optimizer_steps_per_s"}


def test_wrapped_and_vector_environments_count_once() -> None:
    net = nn.Linear(4, 2)
    single = gymnasium.wrappers.TimeLimit(Corridor(), 5)
    vector = gymnasium.vector.SyncVectorEnv([Corridor] * 3)
    with observe(net) as watched:
        single.reset()
        for _ in range(4):
            net(torch.zeros(1, 4))
            single.step(0)
        vector.reset()
        with torch.no_grad():
            net(torch.zeros(3, 4))
        vector.step(np.zeros(3, np.int64))
    assert samples(watched.budget()) == {
        "start": 1,
        "end": 1,
        "collect.infer": 5,
        "collect.step": 5,
        "collect.reset": 2,
    }
    assert watched.observer.account.game_steps == 4 + 3
    assert "4 decisions were made with gradients on" in watched.findings()[0]


def test_classes_made_later_are_seen_too() -> None:
    with observe() as watched:

        class Later(Corridor):
            def step(self, action: Any) -> Any:
                return super().step(action)

        env = Later()
        env.reset()
        env.step(1)
    assert samples(watched.budget()) == {"start": 1, "end": 1, "collect.reset": 1, "collect.step": 1}
    assert not hasattr(Later.step, "__wrapped__")


def test_where_the_time_goes() -> None:
    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            time.sleep(0.03)
            out: torch.Tensor = self.inner(x)
            return out

    class SlowSGD(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            time.sleep(0.03)
            super().step()

    net = Slow()
    optimizer = SlowSGD(net.parameters())
    with observe(net, optimizer) as watched:
        time.sleep(0.03)
        loss = net(torch.zeros(2, 4)).mean()
        time.sleep(0.03)
        loss.backward()
        time.sleep(0.03)
        optimizer.step()
        time.sleep(0.03)
    budget = watched.budget()
    assert_closed(budget)
    for phase in budget.phases:
        if phase.name != "learn.backward":
            assert 0.03 <= phase.seconds < 0.06, phase
    assert 0.03 <= budget.unaccounted_in("learn") < 0.06
    assert budget.unaccounted_in() < 0.01


def test_an_optimizer_that_calls_back() -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3)
    calls = 0

    def closure() -> torch.Tensor:
        nonlocal calls
        calls += 1
        optimizer.zero_grad()
        loss: torch.Tensor = (net(torch.ones(8, 4)) - 1).square().mean()
        loss.backward()
        return loss

    with observe(net, optimizer) as watched:
        optimizer.step(closure)
    budget = watched.budget()
    assert_closed(budget)
    counted = samples(budget)
    assert counted["learn.forward"] == counted["learn.backward"] == calls > 1
    assert counted["learn.optimize"] == 1
    assert budget.unaccounted_in("learn") < 1e-3


def test_no_gradients_and_no_environment_is_evaluation() -> None:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters())
    with observe(net, optimizer) as watched:
        learn(net, optimizer, 1)
        net.eval()
        with torch.no_grad():
            for _ in range(5):
                net(torch.zeros(2, 4))
        net.train()
        learn(net, optimizer, 1)
    assert samples(watched.budget())["evaluate"] == 5


def test_a_failing_call_passes_through_and_leaves_the_account_in_order() -> None:
    class Failing(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            raise ArithmeticError("no step")

    net = nn.Linear(4, 1)
    failing, optimizer = Failing(net.parameters()), torch.optim.SGD(net.parameters())
    with observe(net) as watched:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            net(torch.zeros(2, 5))
        with pytest.raises(ArithmeticError):
            failing.step()
        learn(net, optimizer, 3)
    budget = watched.budget()
    assert_closed(budget)
    assert samples(budget)["learn.optimize"] == 3
    assert samples(budget)["learn.backward"] == 3


def test_a_method_that_does_more_than_pass_is_none() -> None:
    class Learner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 1)
            self.optimizer = torch.optim.SGD(self.net.parameters())

        def fit(self, steps: int) -> None:
            learn(self.net, self.optimizer, steps)

    learner = Learner()
    with observe(learner) as watched:
        learner.fit(3)
        learner.fit(4)
    assert samples(watched.budget())["learn.forward"] == 7
    assert_closed(watched.budget())


def test_what_is_no_module_in_a_nets_class_is_let_alone() -> None:
    class Plain:
        def ask(self, times: int) -> int:
            return times + 1

    class Both(Plain, nn.Linear):
        pass

    net = Both(4, 1)
    with observe(net, torch.optim.SGD(net.parameters())):
        assert [Plain().ask(turn) for turn in range(60)] == list(range(1, 61))
        assert [net.ask(turn) for turn in range(60)] == list(range(1, 61))


def test_a_method_that_was_a_pass_for_long_and_then_is_not() -> None:
    class Turning(Agent):
        def value(self, view: torch.Tensor, optimizer: Any = None) -> torch.Tensor:
            value: torch.Tensor = self.critic(view)
            if optimizer is not None:
                value.sum().backward()
                optimizer.step()
            return value

    agent = Turning()
    optimizer = torch.optim.SGD(agent.parameters())
    with observe(agent, optimizer) as watched:
        for turn in range(60):
            agent.value(torch.zeros(2, 4), optimizer if turn >= 40 else None)
    counted = samples(watched.budget())
    assert counted["learn.forward"] == 60
    assert counted["learn.optimize"] == counted["learn.backward"] == 19


def test_a_method_that_turns_gradients_off_by_itself() -> None:
    class Quiet(Agent):
        @torch.no_grad()
        def act(self, view: torch.Tensor) -> torch.Tensor:
            action: torch.Tensor = self.actor(view)
            return action

    agent, env = Quiet(), Corridor()
    env.reset()
    with observe(agent, torch.optim.SGD(agent.parameters())) as watched:
        for _ in range(60):
            agent.act(torch.zeros(1, 4))
            env.step(0)
    assert samples(watched.budget())["collect.infer"] == 60
    assert watched.findings() == []


def test_other_threads_get_tracks() -> None:
    def alone(steps: int) -> None:
        net = nn.Linear(4, 1)
        learn(net, torch.optim.SGD(net.parameters()), steps)

    with observe() as watched:
        workers = [threading.Thread(target=alone, args=[20], name=f"worker {i}") for i in range(3)]
        for worker in workers:
            worker.start()
        alone(5)
        for worker in workers:
            worker.join()
    budget = watched.budget()
    assert samples(budget)["learn.backward"] == 5
    assert sorted(budget.tracks) == ["worker 0", "worker 1", "worker 2"]
    for track in budget.tracks.values():
        assert_closed(track)
        assert samples(track)["learn.backward"] == 20


def test_what_is_copied_or_pickled_meanwhile_is_free_of_it() -> None:
    agent, env = Agent(), Corridor()
    with observe(agent) as watched:
        twin = copy.deepcopy(agent)
        packed = pickle.dumps((agent, env))
        twin.decide(torch.zeros(1, 4))
    again, env = pickle.loads(packed)
    again.decide(torch.zeros(1, 4))
    env.reset()
    assert samples(watched.budget())["learn.forward"] == 1


def test_random_numbers_stay_what_they_are() -> None:
    def trained() -> torch.Tensor:
        torch.manual_seed(0)
        net = nn.Linear(4, 3)
        learn(net, torch.optim.Adam(net.parameters()), 5)
        return net.weight.detach()

    alone = trained()
    with observe():
        assert torch.equal(alone, trained())


def test_compiling_is_let_alone() -> None:
    agent = Agent()
    with observe(agent) as watched:
        fast = torch.compile(lambda view: agent.decide(view)[2] * 2, backend="eager", fullgraph=True)
        fast(torch.zeros(2, 4)).sum().backward()
        fast(torch.zeros(2, 4)).sum().backward()
    counted = samples(watched.budget())
    assert counted["learn.forward"] == counted["learn.backward"] == 2


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations are recorded from the start on."""
    monkeypatch.setattr(sample, "AFTER_NS", 0)
    monkeypatch.setattr(sample, "LONGEST_NS", 50_000_000)


@pytest.mark.usefixtures("soon")
def test_causes_come_from_a_stretch_that_is_kept_apart() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(net.parameters(), foreach=False)
    with observe(net, optimizer, cards=0) as watched:
        learn(net, optimizer, 200)
    budget = watched.budget()
    assert_closed(budget)
    apart = budget.spans["causes"]
    assert apart.samples == 1
    assert 0.05 <= apart.ns / 1e9 < 0.5
    assert samples(budget)["learn.optimize"] < 200
    assert watched.counts() == {"environment_steps": 0, "optimizer_steps": 200}
    found = watched.causes()
    assert "dispatch-bound minibatches" in [cause.name for cause in found]
    assert {Path(where.file).name for cause in found for where in cause.where} == {"test_observe.py"}
    assert watched.to_json()["causes"][0]["says"]


@pytest.mark.usefixtures("soon")
def test_acting_is_recorded_too_and_an_error_ends_it() -> None:
    agent = Agent()
    optimizer = torch.optim.Adam(agent.parameters())

    def train() -> None:
        for _ in range(30):
            views = torch.stack(play(agent, 20))
            _, chance, value = agent.decide(views)
            (chance.mean() + value.mean()).backward()
            optimizer.step()
        raise ArithmeticError

    watched = observe(agent, optimizer, cards=0)
    with pytest.raises(ArithmeticError), watched:
        train()
    budget = watched.budget()
    assert_closed(budget)
    assert budget.spans["causes"].samples == 2
    assert watched.counts() == {"environment_steps": 600, "optimizer_steps": 30}
    assert _get_current_dispatch_mode() is None
    assert "too few games at once" in [cause.name for cause in watched.causes()]


def test_one_at_a_time_and_only_what_trains() -> None:
    with observe() as watched:
        with pytest.raises(ValueError, match="observed already"):
            observe()
    assert isinstance(watched, Watched)
    for wrong in ("hearts", 3, None, nn.Linear):
        with pytest.raises(TypeError, match="takes what trains"):
            observe(wrong)


def test_nets_are_not_kept_alive_by_the_account() -> None:
    account = Account("x", 0)
    assert not [each for each in gc.get_referents(account) if isinstance(each, nn.Module)]


def test_nothing_is_imported_for_it() -> None:
    code = (
        "import sys, velodrome as vd\n"
        "with vd.observe(): pass\n"
        "print(sorted({'gymnasium', 'pettingzoo', 'stable_baselines3', 'ray', 'torchrl'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
