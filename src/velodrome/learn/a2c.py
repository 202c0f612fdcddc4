"""Advantage actor-critic for a team on a graph, as NeurComm and its siblings are trained (Chu et al. 2020).

All agents' nets play a segment and take one step from it. What counts for an agent is its own reward and, the less the
farther away they are, those of the others. Each agent has a loss of its own; where agents hear of each other's hidden
states, gradients flow back the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from velodrome.games.game import Choice, Game
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.step import fallen, step
from velodrome.learn.team import Spans, Table, TeamPolicy, returns
from velodrome.learn.trainer import NUMBER_BYTES, Exchange, Progress
from velodrome.meter.clock import Clock
from velodrome.nets.team import PERFECT, Channel, Outputs, Played, TeamNet, Timing


@dataclass(frozen=True)
class A2c:
    """Settings of the algorithm."""

    rows: int = 60
    """Steps of a segment, after which gradients stop and values stand in for what comes."""
    apart: bool = True
    """Break the first games off, each at another time, so that not all are at the same point. One game never is."""
    discount: float = 0.99
    trace: float = 1.0
    """Lambda of the advantage estimate; 1 takes returns to the end of the segment, as published."""
    reach: float = 1.0
    """What others' rewards count, per step of the way to them: 1 is everyone's sum, 0 one's own alone."""
    reward_scale: float = 2e-4
    """Published: 1 / 5000 where reach is 1 and messages are sent, else 1 / 800."""
    normalise: bool = False
    """Advantages in units of their standard deviation, for each agent; published without."""
    entropy: float = 0.05
    """Weight of the policy's entropy in the first iteration."""
    entropy_halves: int = 0
    """It falls as 1 / (1 + iteration / entropy_halves); 0 keeps it, as published."""
    value: float = 0.25
    """Weight of the squared error of values."""
    descent: Literal["rmsprop", "adam"] = "rmsprop"
    rate: float = 5e-4
    rate_halves: int = 0
    """The learning rate falls as the entropy's weight does."""
    keep_squares: float = 0.99
    """The part of the mean of squared gradients that each step keeps."""
    small: float = 1e-5
    """What the optimizer's divisor has at least."""
    clip: float = 40.0


@dataclass(frozen=True)
class Messages:
    """What agents tell each other in every step."""

    neighbours: Sequence[Sequence[int]]
    """Who tells each agent something."""
    numbers: int
    """Of a message."""
    channel: Channel = PERFECT
    """What becomes of messages; those that get lost were told none the less."""

    def exchange(self) -> Exchange:
        """The same, to be reported."""
        agents, numbers = len(self.neighbours), self.numbers
        graph = [[0.0] * agents for _ in range(agents)]
        for other, near in enumerate(self.neighbours if numbers else []):
            for one in near:
                graph[one][other] = 1.0
        messages = sum(map(sum, graph))
        return Exchange(messages, messages * numbers * (self.channel.bits / 8 or NUMBER_BYTES), graph)


class AgreeingNet(TeamNet, Protocol):
    """A team's nets that may come to agree after they have learnt; `unroll` gives `value [rows, games, agents]` too."""

    def agree(self, spans: Timing) -> None:
        """Bring the agents' weights nearer to each other, if that is their way."""
        ...


class TeamA2c:
    """The algorithm at work.

    Two flaws of the published programs are mended. One pass through the nets gives policy, value and what is
    remembered, and looking ahead for a value moves nothing; there, the same row passed twice. And what a time limit
    cuts off is worth what it was expected to be; there, nothing.
    """

    def __init__(
        self, game: Game, net: AgreeingNet, settings: A2c, away: Tensor, messages: Messages, *, seed: int, device: str
    ):
        """`away [agents, agents]`: the way from each to each; what has no way to an agent counts nothing for it."""
        part = game.spec.action[0]
        if len(game.spec.action) > 1 or not isinstance(part, Choice) or part.mask is not None:
            raise ValueError(f"{game.spec.name}: this algorithm is for one choice, of which everything is legal")
        if not isinstance(net, nn.Module):
            raise TypeError("the nets of a team are one module")
        keep_freed_memory()
        self.game, self.settings, self.device, self.part = game, settings, device, part.name
        self.net, self.messages = net, messages
        self.nets: dict[str, nn.Module] = {"net": net.to(device)}
        self.counts = (settings.reach**away).masked_fill(away.isinf(), 0.0).to(device)
        """How much each agent's reward `[that, agents]` counts for each."""
        self.table = Table(
            game, net, settings.rows, torch.Generator(device).manual_seed(seed), device, apart=settings.apart
        )
        self.optimizer = self._optimizer_of(list(net.parameters()))
        self.iteration = 0

    def _optimizer_of(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        settings = self.settings
        if settings.descent == "adam":
            squares = (0.9, settings.keep_squares)
            return torch.optim.Adam(parameters, settings.rate, squares, settings.small, fused=True)
        return torch.optim.RMSprop(parameters, settings.rate, settings.keep_squares, settings.small, foreach=True)

    def policy(self, greedy: bool = False) -> TeamPolicy:
        """The team."""
        return TeamPolicy(self.net, self.table.actions, self.game.spec.seats, greedy, self.device)

    def exchange(self) -> Exchange:
        """What agents tell each other."""
        return self.messages.exchange()

    def iterate(self, clock: Clock) -> Progress:
        """Play a segment, take a step from it."""
        counts = self.table.play(clock)
        played, spans = self.table.played, Spans(clock, "learn", "forward")
        outputs = self.net.unroll(played, spans)
        with clock("learn.loss"):
            loss, metrics = self._loss(outputs, played)
        self._fall()
        metrics["gradient_norm"] = float(step(loss, self.optimizer, clock, clip=self.settings.clip))
        self.net.agree(spans)
        self.iteration += 1
        counts.learner_samples = counts.decisions
        if self.table.outcomes.size:
            metrics["score"] = float(self.table.outcomes.mean())
        return Progress(counts, metrics)

    def _loss(self, outputs: Outputs, played: Played) -> tuple[Tensor, dict[str, float]]:
        """The sum of the agents' losses, each the mean over their decisions."""
        settings, value = self.settings, outputs["value"]
        reward = (played.reward @ self.counts) * settings.reward_scale
        worth, advantage = returns(played, value.detach(), reward, settings.discount, settings.trace)
        decides = ~played.looks[:-1]
        weight = decides.unsqueeze(-1) / decides.sum()
        if settings.normalise:
            advantage = normalised(advantage, weight)
        log_prob, entropy = self._scored(outputs[self.part][:-1], played.action[self.part])
        error = (weight * (worth - value[:-1]).square()).sum()
        spread = (weight * entropy).sum()
        entropy_weight = fallen(settings.entropy, self.iteration, settings.entropy_halves)
        loss = settings.value * error - (weight * log_prob * advantage).sum() - entropy_weight * spread
        agents = value.shape[-1]
        unknown = error.detach() / (weight * (worth - (weight * worth).sum((0, 1))).square()).sum().clamp_min(1e-12)
        return loss, {
            "loss": float(loss.detach()),
            "value_loss": float(error.detach()) / agents,
            "entropy": float(spread.detach()) / agents,
            "explained_variance": 1 - float(unknown),
        }

    def _scored(self, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy, `[rows, games, agents]`."""
        shape = action.shape
        scored = self.table.actions.log_prob_and_entropy(
            {self.part: logits.flatten(0, 2)}, {self.part: action.flatten()}, {}
        )
        return scored[0].view(shape), scored[1].view(shape)

    def _fall(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = fallen(self.settings.rate, self.iteration, self.settings.rate_halves)

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {
            "iteration": self.iteration,
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "optimizer": self.optimizer.state_dict(),
            "table": self.table.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.iteration = int(state["iteration"])
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.table.load(state["table"])


def normalised(advantage: Tensor, weight: Tensor) -> Tensor:
    """`advantage [rows, games, agents]` in standard deviations from each agent's mean, as the decisions weigh."""
    away = advantage - (weight * advantage).sum((0, 1))
    return away / ((weight * away.square()).sum((0, 1)).sqrt() + 1e-8)
