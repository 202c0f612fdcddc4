"""Proximal policy optimisation (Schulman et al. 2017) by self-play, for games with any number of seats.

Every seat has a trajectory of its own. An iteration lets each lane play its games for a segment of steps, estimates the
advantages along each seat's decisions, and takes minibatch steps on the clipped objective.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from velodrome.games.game import Game
from velodrome.learn.actions import Actions
from velodrome.learn.collect import Collector
from velodrome.learn.lanes import Lanes
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.opponents import Opponents, Pool, Table
from velodrome.learn.policy import NetPolicy
from velodrome.learn.step import Sync, update
from velodrome.learn.trainer import Counts, Progress
from velodrome.meter.clock import Clock


@dataclass(frozen=True)
class Ppo:
    """Settings of the algorithm."""

    batch: int = 32768
    """Learner samples of an iteration."""
    minibatch: int = 2048
    epochs: int = 3
    rate: float = 1e-3
    """Learning rate of the first iteration."""
    rate_halves: int = 0
    """The rate falls as 1 / (1 + iteration / rate_halves); 0 keeps it."""
    clip: float = 0.2
    discount: float = 1.0
    """Per decision of a seat."""
    trace: float = 0.95
    """Lambda of the advantage estimate."""
    entropy: float = 0.01
    value: float = 0.5
    """Weight of the value loss."""
    reward_scale: float = 1.0
    gradient_clip: float = 0.5
    kl_stop: float = 0.0
    """End the epochs of an iteration once the policy has moved this far; 0 never does."""
    accumulate: int = 1
    """Parts in which a minibatch passes through the net, for memory's sake."""
    precision: Literal["float32", "medium", "bfloat16"] = "float32"
    """medium: faster products of float32 matrices; bfloat16: mixed precision."""
    average: float = 0.0
    """Decay of the running average of the weights that plays in evaluations; 0: the latest weights play."""

    def __post_init__(self) -> None:
        if self.minibatch > self.batch:
            raise ValueError(f"minibatch {self.minibatch} is larger than batch {self.batch}")
        if self.minibatch % self.accumulate:
            raise ValueError(f"minibatch {self.minibatch} does not divide into accumulate={self.accumulate} parts")


class SelfPlay:
    """One net that plays all seats, or one seat against opponents, and learns from what each of its seats earned."""

    def __init__(
        self,
        game: Game,
        net: nn.Module,
        settings: Ppo,
        *,
        seed: int = 0,
        device: str = "cpu",
        critic: nn.Module | None = None,
        opponents: Opponents = Opponents(),
        lanes: int = 1,
        sync: Sync | None = None,
    ):
        """`critic` estimates values in the net's stead, and may see private views; it is for training only."""
        if game.games % lanes or settings.minibatch % lanes:
            raise ValueError(f"games {game.games} and minibatch {settings.minibatch} must divide by lanes={lanes}")
        keep_freed_memory()
        self.game, self.settings, self.sync, self.device = game, settings, sync, device
        self.nets: dict[str, nn.Module] = {"net": net.to(device)}
        if critic is not None:
            self.nets["critic"] = critic.to(device)
        parameters = [parameter for part in self.nets.values() for parameter in part.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=settings.rate, eps=1e-5, fused=True)
        self.average = (
            AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(settings.average))  # type: ignore[no-untyped-call]
            if settings.average
            else None
        )
        self.pool = Pool(opponents)
        self.threads = Lanes(lanes)
        self.lanes = [Lane(self, lane, lanes, seed, opponents) for lane in range(lanes)]
        self.iteration = 0

    def iterate(self, clock: Clock) -> Progress:
        """Play a segment, learn from it."""
        counts = Counts()
        with self.threads.alone(), _precision(self.settings.precision):
            for played in self.threads.run(clock, lambda lane, own: self.lanes[lane].play(own)):
                counts += played
            with clock("collect.encode"):
                metrics = self._normalise()
            counts.learner_samples, learnt = self._learn(clock)
            self.iteration += 1
            self.pool.watch(self.nets["net"], self.iteration)
        return Progress(counts, metrics | learnt)

    def _normalise(self) -> dict[str, float]:
        """Normalise the advantages over all lanes, and say what the segments held."""
        segments = [lane.segment for lane in self.lanes]
        advantage = torch.cat([segment.advantage[segment.rows] for segment in segments])
        returns = torch.cat([segment.returns[segment.rows] for segment in segments])
        spread, mean = torch.std_mean(advantage)
        for segment in segments:
            segment.advantage.sub_(mean).div_(spread + 1e-8)
        metrics = {"explained_variance": 1 - float(advantage.var() / returns.var().clamp_min(1e-12))}
        outcomes = np.concatenate([segment.outcomes() for segment in segments])
        return metrics | ({"score": float(outcomes.mean())} if outcomes.size else {})

    def _learn(self, clock: Clock) -> tuple[int, dict[str, float]]:
        """Several epochs of minibatch steps; returns the samples learnt from, and the means of what they told."""
        settings, lanes = self.settings, len(self.lanes)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        rows = min([settings.batch // lanes, *(len(lane.segment.rows) for lane in self.lanes)])
        if not rows:
            raise ValueError("a whole segment without a decision whose consequences are known: raise ppo.batch")
        share = min(settings.minibatch // lanes, rows)
        sums, taken = torch.zeros(len(_METRICS), device=self.device), 0
        for _ in range(settings.epochs):
            with clock("learn.sample"):
                orders = [lane.shuffle() for lane in self.lanes]
            before = sums.clone()
            for lo in range(0, rows - share + 1, share):
                sums += self._step([order[lo : lo + share] for order in orders], clock)
                taken += 1
            if settings.kl_stop and float((sums - before)[_METRICS.index("kl")]) / (rows // share) > settings.kl_stop:
                break
        means = dict(zip(_METRICS, (sums / taken).tolist(), strict=True))
        return taken * share * lanes, means | {"rate": self.rate}

    def _step(self, rows: list[Tensor], clock: Clock) -> Tensor:
        """One minibatch: every lane's share of the gradient, and one update with their sum."""
        told = self.threads.run(clock, lambda lane, own: self.lanes[lane].gradient(rows[lane], own))
        with clock("learn.backward"):
            for lane in self.lanes[1:]:
                torch._foreach_add_(self.lanes[0].gradients(), lane.gradients())
        norm = update(self.optimizer, clock, self.sync, self.settings.gradient_clip)
        with clock("learn.optimize"):
            if self.average is not None:
                self.average.update_parameters(self.nets["net"])
            return torch.cat([torch.stack(told).mean(0), norm[None]])

    @property
    def rate(self) -> float:
        """The learning rate of this iteration."""
        halves = self.settings.rate_halves
        return self.settings.rate / (1 + self.iteration / halves) if halves else self.settings.rate

    def policy(self, greedy: bool = False) -> NetPolicy:
        """The averaged net if there is one, the net otherwise."""
        net: nn.Module = self.nets["net"] if self.average is None else self.average.module
        return NetPolicy(net, Actions(self.game.spec.action), greedy, self.device)

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {
            "iteration": self.iteration,
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "pool": self.pool.state(),
            "lanes": [lane.segment.state() for lane in self.lanes],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.iteration = state["iteration"]
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.pool.load(state["pool"], self.nets["net"])
        for lane, saved in zip(self.lanes, state["lanes"], strict=True):
            lane.segment.load(saved)


_METRICS = ("policy_loss", "value_loss", "entropy", "kl", "clipped", "gradient_norm")


class Lane:
    """One lane's part: it plays its share of the games, and computes its share of every gradient."""

    def __init__(self, trainer: SelfPlay, lane: int, lanes: int, seed: int, opponents: Opponents):
        game, self.settings, self.share = trainer.game, trainer.settings, 1 / lanes
        if lanes > 1:
            share = game.games // lanes
            game = game.again(share, first=game.first + lane * share)
        self.actions, self.device = Actions(game.spec.action), trainer.device
        self.nets = trainer.nets if lane == 0 else {name: _twin(net) for name, net in trainer.nets.items()}
        self.parameters = [parameter for net in self.nets.values() for parameter in net.parameters()]
        self.generator = torch.Generator(self.device).manual_seed(seed * 1009 + lane)
        table = Table(game, opponents, trainer.pool, seed * 1009 + lane)
        # a seat's last decision in a segment only bootstraps the one before: play that much more
        deciders = game.spec.deciders
        steps = -(-self.settings.batch // (lanes * game.games * deciders)) + game.spec.seats // deciders
        self.segment = Collector(game, self.nets, table, steps, self.generator, self.device)

    def play(self, clock: Clock) -> Counts:
        """Play a segment, then make ready to learn from it."""
        settings = self.settings
        for net in self.nets.values():
            net.eval()
        counts = self.segment.collect(clock, settings.discount, settings.trace, settings.reward_scale)
        for net in self.nets.values():
            net.train()
        return counts

    def shuffle(self) -> Tensor:
        """The rows to learn from, in a new order."""
        rows = self.segment.rows
        return rows[torch.randperm(len(rows), generator=self.generator, device=self.device)]

    def gradients(self) -> list[Tensor]:
        """This lane's gradients, parameter by parameter."""
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def gradient(self, rows: Tensor, clock: Clock) -> Tensor:
        """Leave this lane's share of the gradient on `rows` in its parameters; returns what to report."""
        with clock("learn.sample"):
            told = torch.zeros(len(_METRICS) - 1, device=self.device)
            for parameter in self.parameters:
                parameter.grad = None
        for part in rows.chunk(self.settings.accumulate):
            share = len(part) / len(rows)
            with clock("learn.sample"):
                batch = self._batch(part)
            with clock("learn.forward"), self._mixed():
                loss, metrics = self._loss(*batch)
                told += metrics * share
            with clock("learn.backward"):
                (loss * (share * self.share)).backward()  # type: ignore[no-untyped-call]
        return told

    def _batch(self, rows: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor, Tensor]:
        segment = self.segment
        # index_select copies whole rows; an index in brackets goes element by element
        views = {name: view.flatten(0, 2).index_select(0, rows) for name, view in segment.views.items()}
        action = {name: taken.flatten(0, 2).index_select(0, rows) for name, taken in segment.action.items()}
        return views, action, segment.log_prob.view(-1)[rows], segment.advantage[rows], segment.returns[rows]

    def _loss(
        self, views: dict[str, Tensor], action: dict[str, Tensor], before: Tensor, advantage: Tensor, returns: Tensor
    ) -> tuple[Tensor, Tensor]:
        settings = self.settings
        outputs = self.nets["net"](views)
        log_prob, entropy = self.actions.log_prob_and_entropy(outputs, action, views)
        value = (self.nets["critic"](views) if "critic" in self.nets else outputs)["value"].float()
        change = log_prob - before
        ratio = change.exp()
        clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
        policy_loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
        value_loss = (value - returns).square().mean()
        loss = policy_loss + settings.value * value_loss - settings.entropy * entropy.mean()
        with torch.no_grad():
            kl = (ratio - 1 - change).mean()  # Schulman's low-variance estimate, never negative
            outside = (ratio != clipped).float().mean()
        return loss, torch.stack([policy_loss, value_loss, entropy.mean(), kl, outside]).detach()

    def _mixed(self) -> AbstractContextManager[Any]:
        if self.settings.precision != "bfloat16":
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)


def _twin(net: nn.Module) -> nn.Module:
    """A copy with gradients of its own whose weights are the very same memory."""
    twin = copy.deepcopy(net)
    for mine, own in zip(twin.parameters(), net.parameters(), strict=True):
        mine.data = own.data
    return twin


class _precision:
    """Sets how products of float32 matrices may round, and sets it back."""

    def __init__(self, name: str):
        self.wanted = "medium" if name == "medium" else "highest"

    def __enter__(self) -> None:
        self.before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self.wanted)

    def __exit__(self, *error: object) -> None:
        torch.set_float32_matmul_precision(self.before)
