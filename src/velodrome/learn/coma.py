"""COMA (Foerster et al. 2018): agents share a policy, and a critic tells each how much better the team fares with what
it did than with what it might have done, all others doing what they did.

The critic moves towards TD(lambda) returns, from a slower copy of it. The published program takes one such step for
each time index, from the last one back; here all of them are learnt from at once.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.games.game import Game
from velodrome.learn.actions import FORBIDDEN
from velodrome.learn.agents import AgentPolicy, best, falling, of, optimizer_of
from velodrome.learn.episodes import Episodes, Rows, rows_of
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.step import step
from velodrome.learn.trainer import Progress
from velodrome.meter.clock import Clock
from velodrome.nets.agent import AgentNet
from velodrome.nets.counterfactual import Counterfactual


@dataclass(frozen=True)
class Coma:
    """Settings of the algorithm."""

    SHARED: ClassVar = ("explore_steps",)
    descent: Literal["adam", "rmsprop"] = "adam"
    rate: float = 5e-4
    critic_rate: float = 5e-4
    critic_updates: int = 1
    """Steps of the critic in an iteration, before the one of the policy."""
    discount: float = 0.99
    limit_ends: bool = False
    """Nothing is worth anything after a time limit. Else what it cut off counts, and units may learn to run away."""
    trace: float = 0.8
    """Lambda of the critic's returns."""
    normalise_advantages: bool = False
    """Divide them by the standard deviation of the returns, so that the weight of the entropy means the same while the
    team earns little and when it earns much."""
    explore: float = 0.5
    """The part of the policy that is any legal order, at first."""
    explore_least: float = 0.01
    entropy: float = 0.0
    """Weight of the policy's entropy, at first."""
    entropy_least: float = 0.0
    explore_steps: int = 100_000
    """Game steps over which both fall to the least, in straight lines."""
    copy_every: int = 200
    """Updates of the critic between two copies of it to the one that says what comes next."""
    clip: float = 10.0
    reward_scale: float = 1.0


class ComaTeam:
    """The algorithm at work."""

    def __init__(self, game: Game, agents: AgentNet, critic: Counterfactual, settings: Coma, *, seed: int, device: str):
        keep_freed_memory()
        self.game, self.settings, self.device = game, settings, device
        self.agents, self.critic = agents.to(device), critic.to(device)
        self.nets: dict[str, nn.Module] = {"agents": self.agents, "critic": self.critic}
        self.slow = copy.deepcopy(self.critic).requires_grad_(False)
        self.optimizers = {
            name: optimizer_of(net.parameters(), settings.descent, rate)
            for (name, net), rate in zip(self.nets.items(), (settings.rate, settings.critic_rate), strict=True)
        }
        self.seats = torch.arange(game.spec.seats, device=device)
        self.episodes = Episodes(game, ("state",))
        self.generator = torch.Generator(device).manual_seed(seed)
        self.played, self.updates = 0, 0
        """Game steps, and updates of the critic so far."""

    @property
    def exploration(self) -> float:
        """The part of the policy that is any legal order."""
        return self._falling(self.settings.explore, self.settings.explore_least)

    def _falling(self, first: float, least: float) -> float:
        return falling(first, least, self.settings.explore_steps, self.played)

    def policy(self, greedy: bool = False) -> AgentPolicy:
        """The agents."""
        floor = self.exploration

        def choose(numbers: Tensor, legal: Tensor | None, generator: torch.Generator) -> Tensor:
            return best(numbers, legal) if greedy else drawn(chances(numbers, legal, floor), generator)

        return AgentPolicy(self.agents, choose, self.episodes.part.mask, self.device)

    def iterate(self, clock: Clock) -> Progress:
        """Play some games to their end, and learn from them."""
        episodes, floor = self.episodes, self.exploration
        counts = episodes.play(self.policy(), self.generator, clock)
        with clock("learn.sample"):
            rows = rows_of(episodes.parts, torch.arange(self.game.games), self.device)
        counts.learner_samples = int(rows.decides.sum()) * self.game.spec.seats
        judged = self._learn_to_judge(rows, clock)
        told = judged | self._learn_to_play(rows, floor, max(judged["spread"], 1e-8), clock)
        self.played += counts.game_steps
        told["score"] = float(episodes.outcome.mean())
        told["return"] = float(episodes.parts["reward"].sum(1).mean())
        return Progress(counts, told | {"exploration": floor})

    def _judged(self, critic: Counterfactual, rows: Rows) -> Tensor:
        """What the team is worth with each order of every agent, `[rows, agents, orders]`."""
        state, seen, order, before = (rows.parts[name] for name in ("state", "seen", "order", "before"))
        return critic(state, seen, order, before)  # type: ignore[no-any-return]

    def _learn_to_judge(self, rows: Rows, clock: Clock) -> dict[str, float]:
        """Move the critic."""
        settings, order = self.settings, rows.parts["order"]
        with clock("learn.forward"), torch.no_grad():
            worth = of(self._judged(self.slow, rows), order)
            reward = (rows.parts["reward"] * settings.reward_scale).unsqueeze(1)
            wanted = rows.returns(worth, reward, settings.discount, settings.trace, settings.limit_ends)[rows.decides]
        for _ in range(settings.critic_updates):
            with clock("learn.forward"):
                value = of(self._judged(self.critic, rows), order)[rows.decides]
                loss = F.mse_loss(value, wanted)
            norm = step(loss, self.optimizers["critic"], clock, clip=settings.clip)
            self.updates += 1
            if self.updates % settings.copy_every == 0:
                with clock("learn.optimize"):
                    self.slow.load_state_dict(self.critic.state_dict())
        explained = 1 - (wanted - value.detach()).var() / wanted.var().clamp(min=1e-12)
        return {
            "value_loss": float(loss.detach()),
            "value": float(value.detach().mean()),
            "spread": float(wanted.std()),
            "explained_variance": float(explained),
            "critic_gradient_norm": float(norm),
        }

    def _learn_to_play(self, rows: Rows, floor: float, spread: float, clock: Clock) -> dict[str, float]:
        """Move the policy, once; `spread` is the standard deviation of the returns."""
        settings, parts = self.settings, rows.parts
        with clock("learn.forward"):
            with torch.no_grad():
                judged = self._judged(self.critic, rows)
            seen = self.agents.inputs({**parts, "seat": self.seats.expand_as(parts["order"])})
            chance = chances(self.agents.unroll(seen, rows.sizes), self.episodes.legal(rows), floor)
            advantage = better_than_expected(judged, chance.detach(), parts["order"])
            if settings.normalise_advantages:
                advantage = advantage / spread
            known = chance.clamp(min=1e-12).log()
            gain = (advantage * of(known, parts["order"]))[rows.decides].mean()
            entropy = -(chance * known).sum(-1)[rows.decides].mean()
            loss = -gain - self._falling(settings.entropy, settings.entropy_least) * entropy
        norm = step(loss, self.optimizers["agents"], clock, clip=settings.clip)
        return {"policy_loss": -float(gain.detach()), "entropy": float(entropy.detach()), "gradient_norm": float(norm)}

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "slow": self.slow.state_dict(),
            "optimizers": {name: own.state_dict() for name, own in self.optimizers.items()},
            "episodes": self.episodes.state(),
            "generator": self.generator.get_state(),
            "played": self.played,
            "updates": self.updates,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
            self.optimizers[name].load_state_dict(state["optimizers"][name])
        self.slow.load_state_dict(state["slow"])
        self.episodes.load(state["episodes"])
        self.generator.set_state(state["generator"])
        self.played, self.updates = state["played"], state["updates"]


def chances(numbers: Tensor, legal: Tensor | None, floor: float) -> Tensor:
    """The policy: a softmax over what is legal, of which the part `floor` is spread evenly."""
    if legal is None:
        legal = torch.ones_like(numbers, dtype=torch.bool)
    even = legal / legal.sum(-1, keepdim=True).clamp(min=1)
    return (1 - floor) * numbers.masked_fill(~legal, FORBIDDEN).softmax(-1) + floor * even


def drawn(chance: Tensor, generator: torch.Generator) -> Tensor:
    """An order a row."""
    noise = torch.empty_like(chance).exponential_(generator=generator)
    return (chance / noise).argmax(-1)


def better_than_expected(judged: Tensor, chance: Tensor, order: Tensor) -> Tensor:
    """How much better each agent's order is than what it does on average, all others doing what they did."""
    return of(judged, order) - (chance * judged).sum(-1)
