"""VDN and QMIX (Sunehag et al. 2018, Rashid et al. 2018): agents share a net that says what each of their orders is
worth, and a mixer that says what these are together worth for the team; it alone tells the two apart.

Whole games are played and remembered. Learning draws some of them and moves what the team did towards what it brought:
the rewards, and what a slower copy of both nets makes of the orders that the net itself finds best (double Q-learning).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from velodrome.games.game import Game
from velodrome.learn.agents import AgentPolicy, best, falling, mostly_best, of, optimizer_of
from velodrome.learn.episodes import Episodes, Rows, rows_of
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.replay import Replay
from velodrome.learn.step import fallen, step
from velodrome.learn.trainer import Progress
from velodrome.learn.workers import here
from velodrome.meter.clock import Clock
from velodrome.nets.agent import AgentNet
from velodrome.nets.mixing import Monotone, Sum
from velodrome.nets.moments import Moments

BRIEF = {"seen": torch.float16, "state": torch.float16, "order": torch.uint8}
"""How parts are remembered; others as they are."""


@dataclass(frozen=True)
class Value:
    """Settings of the algorithm."""

    SHARED: ClassVar = ("batch", "memory", "explore_steps")
    batch: int = 32
    """Episodes of an update."""
    updates: int = 32
    """Of an iteration (published: as many as games are played)."""
    memory: int = 5000
    """Episodes that are remembered."""
    descent: Literal["adam", "rmsprop"] = "adam"
    rate: float = 5e-4
    """Learning rate of the first iteration."""
    rate_halves: int = 0
    """The rate falls as 1 / (1 + iteration / rate_halves); 0 keeps it."""
    discount: float = 0.99
    limit_ends: bool = False
    """Nothing is worth anything after a time limit. Else what it cut off counts."""
    trace: float = 0.0
    """Lambda of the returns; 0 looks one step ahead, as published."""
    explore: float = 1.0
    """The chance of any order instead of the best, at first."""
    explore_least: float = 0.05
    explore_steps: int = 50_000
    """Game steps over which it falls from one to the other, in a straight line."""
    copy_every: int = 200
    """Updates between two copies of the nets to those that say what comes next."""
    follow: float = 0.0
    """How far those come nearer in every update instead, if it is not 0."""
    clip: float = 10.0
    reward_scale: float = 1.0
    normalise_rewards: bool = False
    """Take the running mean from rewards and divide them by their standard deviation as well."""


class ValueTeam:
    """The algorithm at work."""

    def __init__(self, game: Game, agents: AgentNet, mixer: Sum | Monotone, settings: Value, *, seed: int, device: str):
        keep_freed_memory()
        self.game, self.settings, self.device = game, settings, device
        self.agents, self.mixer = agents.to(device), mixer.to(device)
        self.nets: dict[str, nn.Module] = {"agents": self.agents, "mixer": self.mixer}
        self.slow_agents = copy.deepcopy(agents).requires_grad_(False)
        self.slow_mixer = copy.deepcopy(mixer).requires_grad_(False)
        self.optimizer = optimizer_of(self.parameters(), settings.descent, settings.rate)
        self.episodes = Episodes(game, mixer.views)
        self.seats = torch.arange(game.spec.seats, device=device)
        self.replay = Replay(settings.memory, game.games, game.spec.longest + 1)
        self.moments = Moments(1).to(device)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.played, self.updates = 0, 0
        """Game steps, and updates so far."""

    def parameters(self) -> list[Tensor]:
        """Of both nets."""
        return [*self.agents.parameters(), *self.mixer.parameters()]

    @property
    def rate(self) -> float:
        """The learning rate of this iteration."""
        return fallen(self.settings.rate, self.updates // self.settings.updates, self.settings.rate_halves)

    @property
    def exploration(self) -> float:
        """The chance of any order instead of the best."""
        settings = self.settings
        return falling(settings.explore, settings.explore_least, settings.explore_steps, self.played)

    def policy(self, greedy: bool = False) -> AgentPolicy:
        """The agents; greedy ones have the slow net where it follows: a running average changes its mind less often."""
        net = self.slow_agents if greedy and self.settings.follow else self.agents
        choose = mostly_best(0.0 if greedy else self.exploration)
        return AgentPolicy(net, choose, self.episodes.part.mask, self.device, worths=True)

    def iterate(self, clock: Clock) -> Progress:
        """Play some games to their end, then learn from these and others."""
        episodes, updates, explored = self.episodes, self.settings.updates, self.exploration
        counts = episodes.play(self.policy(), self.generator, clock)
        self.played += counts.game_steps
        here().gather(clock)
        with clock("collect.encode"):
            self._remember()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        told = torch.zeros(3, device=self.device)
        for _ in range(updates):
            samples, found = self._update(clock)
            counts.learner_samples += samples
            told += found
        loss, value, norm = (told / updates).tolist()
        earned = float(episodes.parts["reward"].sum(1).mean())
        metrics = {"score": float(episodes.outcome.mean()), "return": earned, "exploration": explored}
        return Progress(counts, metrics | {"value_loss": loss, "value": value, "gradient_norm": norm})

    def _remember(self) -> None:
        parts = self.episodes.whole()
        self.replay.append({name: part.to(BRIEF.get(name, part.dtype)) for name, part in parts.items()})
        decides = torch.arange(self.episodes.looks) < parts["length"].unsqueeze(1)
        self.moments.take(here().together(self.moments.sums(parts["reward"][decides].unsqueeze(1).to(self.device))))

    def _update(self, clock: Clock) -> tuple[int, Tensor]:
        """One step; returns the samples learnt from, and what to report."""
        settings = self.settings
        with clock("learn.sample"):
            rows = self.rows_of(self.replay.pick(settings.batch, self.generator))
        with clock("learn.forward"):
            loss, value = self._loss(rows)
        norm = step(loss, self.optimizer, clock, clip=settings.clip)
        with clock("learn.optimize"):
            self.updates += 1
            self._follow()
        return int(rows.decides.sum()) * self.game.spec.seats, torch.stack([loss.detach(), value, norm])

    def rows_of(self, which: Tensor) -> Rows:
        """These of the remembered games."""
        return rows_of(self.replay.rows, which, self.device)

    def _loss(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """The squared error of what the team's orders were said to be worth, and how much that was."""
        settings, parts = self.settings, rows.parts
        state = [parts[name].float() for name in self.mixer.views]
        seen = self.agents.inputs({**parts, "seat": self.seats.expand_as(parts["order"])})
        numbers = self.agents.unroll(seen, rows.sizes)
        value = self.mixer(of(numbers, parts["order"]), *state)
        with torch.no_grad():
            then = self.slow_agents.unroll(seen, rows.sizes)
            worth = self.slow_mixer(of(then, best(numbers, self.episodes.legal(rows))), *state)
            paid = self._paid(parts["reward"])
            wanted = rows.returns(worth, paid, settings.discount, settings.trace, settings.limit_ends)
        loss = (value - wanted)[rows.decides].square().mean()
        return loss, value.detach()[rows.decides].mean()

    def _paid(self, reward: Tensor) -> Tensor:
        """Rewards as they are learnt from."""
        if self.settings.normalise_rewards:
            reward = (reward - self.moments.mean) / self.moments.spread
        return reward * self.settings.reward_scale

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the slow nets come nearer, or be what the others now are."""
        slow: list[Tensor] = [*self.slow_agents.parameters(), *self.slow_mixer.parameters()]
        if self.settings.follow:
            torch._foreach_lerp_(slow, self.parameters(), self.settings.follow)
        elif self.updates % self.settings.copy_every == 0:
            torch._foreach_copy_(slow, self.parameters())

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "slow": {"agents": self.slow_agents.state_dict(), "mixer": self.slow_mixer.state_dict()},
            "optimizer": self.optimizer.state_dict(),
            "episodes": self.episodes.state(),
            "replay": self.replay.state(),
            "moments": self.moments.state_dict(),
            "generator": self.generator.get_state(),
            "played": self.played,
            "updates": self.updates,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
        self.slow_agents.load_state_dict(state["slow"]["agents"])
        self.slow_mixer.load_state_dict(state["slow"]["mixer"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.episodes.load(state["episodes"])
        self.replay.load(state["replay"])
        self.moments.load_state_dict(state["moments"])
        self.generator.set_state(state["generator"])
        self.played, self.updates = state["played"], state["updates"]
