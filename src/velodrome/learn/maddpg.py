"""MADDPG: every agent has an actor of its own sight and a critic of everyone's, all agents' nets in one stack; if it is
wished, agents of a role share theirs.

Agents learn at once, from the same rows and from how everyone stood before the update. An action is the softmax of the
actor's numbers with Gumbel noise: soft shares, in play and in learning alike. What others did comes from memory, what
an agent itself would do now from its actor.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.games.game import Game, Simplex
from velodrome.learn.replay import Replay
from velodrome.learn.step import step
from velodrome.learn.trainer import Counts, Memory, Progress, Scheme, Telling, Views
from velodrome.meter.clock import Clock
from velodrome.nets.stacked import Actors, JointCritics

SCHEME = Scheme("centralised")
"""Agents play by what they see themselves; their critics know everything."""


@dataclass(frozen=True)
class Maddpg:
    """Settings of the algorithm."""

    SHARED: ClassVar = ("batch", "memory", "warm_up", "between")
    batch: int = 1024
    memory: int = 200_000
    """Game steps that are remembered."""
    warm_up: int = 25_600
    """Game steps before the first update."""
    between: int = 100
    """Game steps between two updates."""
    rate: float = 1e-2
    discount: float = 0.95
    follow: float = 0.01
    """How far the targets come nearer in an update."""
    clip: float = 0.5
    """Of each agent's gradient of each weight matrix, by itself."""
    modest: float = 1e-3
    """Weight of the squared numbers from which actions are drawn."""
    shared: bool = False
    """One actor and one critic for all agents of a role, not for each (as BenchMARL has it): they learn from the role's
    mean reward, and all of them move at once."""


class SoftPolicy(Telling):
    """Plays with each agent's own net; without greed, with noise."""

    def __init__(self, actors: Actors, part: str, agents: int, greedy: bool, device: str):
        self.actors, self.part, self.agents, self.greedy, self.device = actors, part, agents, greedy, device

    def start(self, rows: int) -> Memory:
        """Nothing is remembered."""
        return {}

    @torch.no_grad()
    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        """Rows may come in any order and number; each plays with the net of its seat."""
        numbers = self._numbers(views["seen"].float().to(self.device), views["seat"])
        if self.heard:
            self.tell(self.actors, {f"{self.part}.shares": numbers.softmax(-1)}, views)
        return {self.part: (numbers.softmax(-1) if self.greedy else soft(numbers, generator)).cpu()}, {}

    def _numbers(self, seen: Tensor, seat: Tensor) -> Tensor:
        rows = len(seat) // self.agents
        if len(seat) == rows * self.agents and torch.equal(seat, torch.arange(self.agents).repeat(rows)):
            whole: Tensor = self.actors(seen.view(rows, self.agents, -1).transpose(0, 1))
            return whole.transpose(0, 1).flatten(0, 1)
        each: Tensor = self.actors(seen.expand(self.agents, *seen.shape))
        return each[seat, torch.arange(len(seat))]


def soft(numbers: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Soft shares, drawn with Gumbel noise."""
    noise = torch.empty_like(numbers).exponential_(generator=generator).log()
    return (numbers - noise).softmax(-1)


@contextmanager
def still(net: nn.Module) -> Iterator[None]:
    """What is computed meanwhile teaches this net nothing."""
    net.requires_grad_(False)
    yield
    net.requires_grad_(True)


def together(seen: Tensor, action: Tensor) -> Tensor:
    """What critics are told: what all see, and what all do, `[rows, n]`."""
    return torch.cat([seen.flatten(1), action.flatten(1)], -1)


class MultiAgentDdpg:
    """The algorithm at work."""

    def __init__(self, game: Game, settings: Maddpg, widths: tuple[int, ...], *, seed: int, device: str):
        part, spec = game.spec.action[0], game.spec
        if not isinstance(part, Simplex):
            raise ValueError(f"{spec.name}: MADDPG shares its actions out; make the game with control='shares'")
        self.game, self.settings, self.device, self.part = game, settings, device, part
        seen = spec.views["seen"].shape[0]
        of = list(spec.roles or [0] * spec.seats) if settings.shared else list(range(spec.seats))
        self.nets: dict[str, nn.Module] = {
            "actors": Actors(of, [seen, *widths, part.n]).to(device),
            "critics": JointCritics(of, seen, part.n, widths).to(device),
        }
        whose = F.one_hot(torch.tensor(of)).T.float()
        self.means = (whose / whose.sum(1, keepdim=True)).to(device) if settings.shared else None
        """What makes each critic's reward of all agents'; none where each agent has a critic."""
        self.targets = {name: copy.deepcopy(net).requires_grad_(False) for name, net in self.nets.items()}
        self.optimizers = {
            name: torch.optim.Adam(net.parameters(), settings.rate, fused=True) for name, net in self.nets.items()
        }
        self.iteration = 0
        self.replay = Replay(settings.memory, game.games)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.outcomes = np.zeros(0, np.float32)
        """The scores of the games that were over in the last iteration."""

    def policy(self, greedy: bool = False) -> SoftPolicy:
        """The agents."""
        actors: Any = self.nets["actors"]
        return SoftPolicy(actors, self.part.name, self.game.spec.seats, greedy, self.device)

    def iterate(self, clock: Clock) -> Progress:
        """Play for as long as there is between two updates, then learn if enough is remembered."""
        settings, games = self.settings, self.game.games
        steps = max(1, self._due(settings.between, games))
        updates = max(1, self._due(games, settings.between))
        self.iteration += 1
        self._play(steps, clock)
        counts = Counts(steps * games, steps * games * self.game.spec.seats, 0)
        metrics = {"score": float(self.outcomes.mean())} if self.outcomes.size else {}
        if len(self.replay) < min(settings.warm_up, self.replay.size - self.replay.chunk):
            return Progress(counts, metrics | {"remembered": float(len(self.replay))})
        for _ in range(updates):
            counts.learner_samples += settings.batch * self.game.spec.seats
            metrics |= self._learn(clock)
        return Progress(counts, metrics)

    def _due(self, n: int, each: int) -> int:
        """How many times `each` has come full in this iteration, if n are added in every one."""
        return (self.iteration + 1) * n // each - self.iteration * n // each

    @torch.no_grad()
    def _play(self, steps: int, clock: Clock) -> None:
        """Play some steps, and remember them."""
        game, scores = self.game, list[np.ndarray]()
        actors: Any = self.nets["actors"]
        for _ in range(steps):
            with clock("collect.encode"):
                seen = torch.from_numpy(game.views["seen"]).clone()
            with clock("collect.infer"):
                numbers = actors(seen.transpose(0, 1).to(self.device)).transpose(0, 1)
                action = soft(numbers, self.generator).cpu()
            with clock("collect.step"):
                game.step({self.part.name: action.numpy()})
            with clock("collect.encode"):
                row = {"reward": game.rewards, "then": game.views["seen"], "ended": game.ended}
                known = {name: torch.from_numpy(part) for name, part in row.items()}
                self.replay.append({"seen": seen, "action": action} | known)
                over = game.ended | game.cut
            if over.any():
                scores.append(game.outcome[over].mean(1))
                with clock("collect.reset"):
                    game.reset(over)
        self.outcomes = np.concatenate(scores) if scores else np.zeros(0, np.float32)

    def _learn(self, clock: Clock) -> dict[str, float]:
        settings = self.settings
        actors, critics = self.nets["actors"], self.nets["critics"]
        with clock("learn.sample"):
            batch = {
                name: part.to(self.device) for name, part in self.replay.draw(settings.batch, self.generator).items()
            }
            seen, action, then = batch["seen"], batch["action"], batch["then"]
        with clock("learn.forward"), torch.no_grad():
            following = soft(self.targets["actors"](then.transpose(0, 1)), self.generator).transpose(0, 1)
        with clock("learn.communicate"):
            joint, joint_then = together(seen, action), together(then, following)
        with clock("learn.forward"), torch.no_grad():
            worth = self.targets["critics"](joint_then).squeeze(-1)
            earned = batch["reward"].T if self.means is None else self.means @ batch["reward"].T
            wanted = earned + settings.discount * ~batch["ended"] * worth
        with clock("learn.forward"):
            value = critics(joint).squeeze(-1)
            lost = F.mse_loss(value, wanted, reduction="none").mean(1).sum()
        critics_norm = step(lost, self.optimizers["critics"], clock, clip=self._clipped)
        with clock("learn.forward"), still(critics):
            numbers = actors(seen.transpose(0, 1))
            own = soft(numbers, self.generator)
            gain = critics.of_own(joint, own).mean(1).sum()  # type: ignore[operator]
            loss = settings.modest * numbers.square().mean((1, 2)).sum() - gain
        norm = step(loss, self.optimizers["actors"], clock, clip=self._clipped)
        with clock("learn.optimize"), torch.no_grad():
            for name, net in self.nets.items():
                torch._foreach_lerp_(list(self.targets[name].parameters()), list(net.parameters()), settings.follow)
        n = len(value)
        told = {"value_loss": lost / n, "policy_loss": -gain / n, "value": value.mean(), "gradient_norm": norm}
        return {name: float(each.detach()) for name, each in (told | {"critic_gradient_norm": critics_norm}).items()}

    def _clipped(self, parameters: list[nn.Parameter]) -> Tensor:
        """Gradients are clipped for each agent and matrix."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients])
        factors = (self.settings.clip / norms.clamp(min=1e-12)).clamp(max=1.0)
        for gradient, factor in zip(gradients, factors, strict=True):
            gradient *= factor.view(-1, 1, 1)
        whole: Tensor = norms.norm()
        return whole

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {
            "iteration": self.iteration,
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "targets": {name: net.state_dict() for name, net in self.targets.items()},
            "optimizers": {name: own.state_dict() for name, own in self.optimizers.items()},
            "game": self.game.snapshot(),
            "replay": self.replay.state(),
            "generator": self.generator.get_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.iteration = state["iteration"]
        for name in self.nets:
            self.nets[name].load_state_dict(state["nets"][name])
            self.targets[name].load_state_dict(state["targets"][name])
            self.optimizers[name].load_state_dict(state["optimizers"][name])
        self.game.restore(state["game"])
        self.replay.load(state["replay"])
        self.generator.set_state(state["generator"])
