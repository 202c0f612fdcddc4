"""ToM2C (Wang et al. 2022): a team that learns what to do and whom to tell from what it earns, and its theory of mind
from what each was seen to do; then, if wished, to tell no more than is of use.

An iteration plays a segment, and takes one step down the loss of the actor and the critic (A2C, Mnih et al. 2016, with
the advantages of Schulman et al. 2016). What agents believe of each other is learnt from the same segment, with an
optimizer of its own.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.games.game import Game
from velodrome.learn.actions import Actions
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.step import fallen, step
from velodrome.learn.team import Spans, Table, TeamPolicy, returns
from velodrome.learn.trainer import NUMBER_BYTES, Exchange, Progress
from velodrome.learn.workers import here
from velodrome.meter.clock import Clock
from velodrome.nets.moments import Moments
from velodrome.nets.team import Outputs, Played
from velodrome.nets.tom2c import Tom2cNet

Metrics = dict[str, float]


@dataclass(frozen=True)
class Tom2c:
    """Settings of the algorithm."""

    rows: int = 20
    """Decisions of a segment."""
    rate: float = 3e-3
    """Published: 1e-3."""
    rate_halves: int = 0
    """It falls as 1 / (1 + iteration / rate_halves); 0 keeps it, as published."""
    small: float = 1e-5
    """What Adam's divisor has at least (published: 1e-3)."""
    discount: float = 0.9
    short_sighted: int = 0
    """Iterations after which the discount, .1 until then, begins to grow to `discount`, as published (there 2,000); 0:
    it is `discount` from the beginning."""
    trace: float = 1.0
    """Lambda of the advantage estimate."""
    normalise_rewards: bool = True
    """Subtract the running mean of rewards, and divide by their running standard deviation, as published, and by the
    decisions that a return looks ahead, so that values are about as large."""
    normalise_advantages: bool = True
    """Over each segment (published: no)."""
    value: float = 0.25
    """Weight of the value loss."""
    entropy: float = 0.005
    """Weight of the agents' entropies, added up, in the first iteration (published: this, where advantages are not
    normalised)."""
    entropy_halves: int = 0
    """It falls as the rate does; 0 keeps it, as published."""
    gradient_clip: float = 5.0
    belief_rate: float = 3e-3
    """Published: 1e-2."""
    belief_clip: float = 20.0
    belief_every: int = 1
    """Iterations from one step of beliefs to the next (published: 5, and from all five segments)."""
    sees: float = 0.5
    """Weight of what others are believed to see beside what they are believed to go for."""

    def __post_init__(self) -> None:
        if self.belief_every < 1:
            raise ValueError(f"belief_every={self.belief_every}: beliefs learn every so many iterations, at least 1")


@dataclass(frozen=True)
class Reduction:
    """Settings of learning to talk less."""

    rate: float = 0.02
    falls_every: int = 20
    """Iterations after which the rate falls."""
    falls_to: float = 0.2
    """This part of it."""
    gradient_clip: float = 20.0


class Stage:
    """What both stages share: a team at its games."""

    def __init__(self, game: Game, net: Tom2cNet, rows: int, *, seed: int, device: str):
        keep_freed_memory()
        self.game, self.net, self.device = game, net.to(device), device
        self.nets: dict[str, nn.Module] = {"team": self.net}
        apart = rows < game.spec.longest  # else a segment holds whole games
        self.table = Table(game, self.net, rows, torch.Generator(device).manual_seed(seed), device, apart=apart)
        self.iteration = 0
        self.edges = torch.zeros(game.spec.seats, game.spec.seats)
        """How often each agent told each other one something in the last segment."""

    def policy(self, greedy: bool = False) -> TeamPolicy:
        """The team."""
        return TeamPolicy(self.net, self.table.actions, self.game.spec.seats, greedy, self.device)

    def exchange(self) -> Exchange:
        """What agents told each other in the last segment."""
        messages = float(self.edges.sum())
        each = self.net.told * (self.net.minds.channel.bits / 8 or NUMBER_BYTES)
        return Exchange(messages, messages * each, self.edges.tolist())

    def _told(self, found: Outputs) -> Metrics:
        """What agents told each other, and the score."""
        self.edges = found["edges"][:-1].detach().mean((0, 1))
        told = self.exchange()
        metrics = {"messages": told.messages, "bytes": told.bytes}
        return metrics | ({"score": float(self.table.outcomes.mean())} if self.table.outcomes.size else {})

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {"iteration": self.iteration, "net": self.net.state_dict(), "table": self.table.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.iteration = state["iteration"]
        self.net.load_state_dict(state["net"])
        self.table.load(state["table"])


class ActorCritic(Stage):
    """Learns all that there is."""

    def __init__(self, game: Game, net: Tom2cNet, settings: Tom2c, *, seed: int, device: str):
        super().__init__(game, net, settings.rows, seed=seed, device=device)
        self.settings, self.moments = settings, Moments(1).to(device)
        beliefs = list(net.beliefs.parameters())
        own = {id(parameter) for parameter in beliefs}
        others = [parameter for parameter in net.parameters() if id(parameter) not in own]
        self.optimizers = {
            name: torch.optim.Adam(parameters, rate, eps=settings.small, amsgrad=True, fused=True)
            for name, parameters, rate in (
                ("team", others, settings.rate), ("beliefs", beliefs, settings.belief_rate),
            )
        }  # fmt: skip

    @property
    def discount(self) -> float:
        """Of this iteration."""
        settings = self.settings
        if not settings.short_sighted:
            return settings.discount
        steps = max(0, self.iteration - settings.short_sighted) // 5
        quick = min(steps, round(math.log(0.4 / 0.1) / math.log(1.002)))
        return min(settings.discount, 0.1 * 1.002**quick * 1.001 ** (steps - quick))

    def iterate(self, clock: Clock) -> Progress:
        """Play a segment, and learn from it once."""
        counts, settings = self.table.play(clock), self.settings
        here().gather(clock)
        found = self.net.unroll(self.table.played, Spans(clock, "learn", "forward"))
        with clock("learn.loss"):
            loss, metrics = self._loss(found)
        with clock("learn.comprehend"):
            doubt = belief_loss(self.table.played, self.table.actions, found, settings.sees)
        for own, rate in zip(self.optimizers.values(), (settings.rate, settings.belief_rate), strict=True):
            for group in own.param_groups:
                group["lr"] = fallen(rate, self.iteration, settings.rate_halves)
        norm = step(loss, self.optimizers["team"], clock, clip=settings.gradient_clip)
        if self.iteration % settings.belief_every == 0:
            step(doubt, self.optimizers["beliefs"], clock, clip=settings.belief_clip)
        self.iteration += 1
        counts.learner_samples = counts.decisions
        metrics |= {"belief_loss": float(doubt.detach()), "gradient_norm": float(norm)}
        return Progress(counts, metrics | self._told(found))

    def _loss(self, found: dict[str, Tensor]) -> tuple[Tensor, Metrics]:
        played, settings = self.table.played, self.settings
        decides = ~played.looks[:-1]
        value = found["value"]
        wanted, advantage = returns(played, value.detach(), self._reward(), self.discount, settings.trace)
        log_prob, entropy = self._scored(found)
        gain = (log_prob[decides] * self._weights(advantage[decides])).mean()
        error = (wanted - value[:-1])[decides]
        value_loss, spread = error.square().mean(), entropy[decides].mean()
        unexplained = error.detach().var() / wanted[decides].var().clamp_min(1e-12)
        entropy_weight = fallen(settings.entropy, self.iteration, settings.entropy_halves)
        return settings.value * value_loss - gain - entropy_weight * spread, {
            "explained_variance": 1 - float(unexplained),
            "entropy": float(spread.detach()) / self.game.spec.seats,
            "value_loss": float(value_loss.detach()),
        }

    def _scored(self, found: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of what the team did, `[rows - 1, games]` each."""
        action = self.table.played.action[self.net.part]
        outputs = {self.net.part: found[self.net.part][:-1].flatten(0, 2)}
        scored = self.table.actions.log_prob_and_entropy(outputs, {self.net.part: action.flatten(0, 2)}, {})
        log_prob, entropy = (part.view(action.shape[:3]).sum(-1) for part in scored)
        return log_prob, entropy

    def _reward(self) -> Tensor:
        """The team's, `[rows - 1, games]`."""
        reward, decides = self.table.played.reward.mean(-1), ~self.table.played.looks[:-1]
        if not self.settings.normalise_rewards:
            return reward
        self.moments.take(here().together(self.moments.sums(reward[decides].unsqueeze(-1))))
        normal: Tensor = self.moments(reward.unsqueeze(-1))
        return normal.squeeze(-1) * (1 - self.discount)

    def _weights(self, advantage: Tensor) -> Tensor:
        if not self.settings.normalise_advantages:
            return advantage
        return (advantage - advantage.mean()) / advantage.std().clamp_min(1e-6)

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        optimizers = {name: own.state_dict() for name, own in self.optimizers.items()}
        return super().state() | {"optimizers": optimizers, "moments": self.moments.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        super().load(state)
        for name, own in self.optimizers.items():
            own.load_state_dict(state["optimizers"][name])
        self.moments.load_state_dict(state["moments"])


class Reducer(Stage):
    """Learns to tell only those who would decide otherwise, all else staying as it is."""

    def __init__(self, game: Game, net: Tom2cNet, rows: int, settings: Reduction, *, seed: int, device: str):
        super().__init__(game, net, rows, seed=seed, device=device)
        self.settings = settings
        self.before = copy.deepcopy(self.net).requires_grad_(False)
        """The team as it was when this stage began, which says who would."""
        if net.graph is None:
            raise ValueError("graph=none: there is nothing to tell less of; leave out reduce_after")
        self.optimizer = torch.optim.Adam(net.graph.parameters(), settings.rate)

    def iterate(self, clock: Clock) -> Progress:
        """Play a segment, and learn from it once."""
        if self.iteration == 0:
            self.before.load_state_dict(self.net.state_dict())
        counts, settings = self.table.play(clock), self.settings
        spans, played = Spans(clock, "learn", "forward"), self.table.played
        needs = self.before.relies(played, spans)
        found = self.net.unroll(played, spans)
        with clock("learn.loss"):
            loss = reduction_loss(found["logits"], needs, ~played.looks)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate * settings.falls_to ** (self.iteration // settings.falls_every)
        norm = step(loss, self.optimizer, clock, clip=settings.gradient_clip)
        self.iteration += 1
        counts.learner_samples = counts.decisions
        metrics = {
            "reduction_loss": float(loss.detach()),
            "needs": float(needs.float().mean()),
            "gradient_norm": float(norm),
        }
        return Progress(counts, metrics | self._told(found))

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return super().state() | {"before": self.before.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        super().load(state)
        self.before.load_state_dict(state["before"])
        self.optimizer.load_state_dict(state["optimizer"])


def belief_loss(played: Played, actions: Actions, found: dict[str, Tensor], sees: float) -> Tensor:
    """How little the agents know of each other: minus the mean log-probability of what another did (published: of what
    it would do if it were asked again), and `sees` times that of what it saw (coverage)."""
    goals, (name, action) = found["goals"][:-1], next(iter(played.action.items()))
    did = action.unsqueeze(2).expand(*goals.shape[:4], *action.shape[3:])
    log_prob, _ = actions.log_prob_and_entropy({name: goals.flatten(0, 3)}, {name: did.flatten(0, 3)}, {})
    doubt = -log_prob.view(goals.shape[:4])
    if "sees" in found:
        seen = found["known"][:-1].unsqueeze(2).expand_as(found["sees"][:-1])
        doubt = doubt + sees * F.binary_cross_entropy_with_logits(found["sees"][:-1], seen, reduction="none").sum(-1)
    return doubt[:, :, apart(doubt)][~played.looks[:-1]].mean()


def reduction_loss(logits: Tensor, needs: Tensor, decides: Tensor) -> Tensor:
    """How unlike edges are to those that are of use, the useless and the useful ones counting as much (published: from
    numbers that have passed a softmax before).

    `logits [rows, games, from, to]`, and who `needs [rows, games, to]` to be told."""
    wanted = needs.unsqueeze(2).expand_as(logits)[:, :, apart(logits)][decides]
    lost = F.binary_cross_entropy_with_logits(logits[:, :, apart(logits)][decides], wanted.float(), reduction="none")
    return sum((lost[part].mean() for part in (wanted, ~wanted) if part.any()), torch.zeros(()))


def apart(pairs: Tensor) -> Tensor:
    """Where `[..., N, N]` pairs two agents, and not one with itself."""
    n = pairs.shape[-1]
    return ~torch.eye(n, dtype=torch.bool, device=pairs.device)
