"""Proximal policy optimisation (Schulman et al. 2017) by self-play, for games with any number of seats.

Every seat has a trajectory of its own. An iteration lets each lane play its games for a segment of steps, estimates the
advantages along each seat's decisions, and takes minibatch steps on the clipped objective.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from velodrome.games.game import Bits, Choice, Game
from velodrome.learn.actions import Actions
from velodrome.learn.adam import Adam, Average, decays, step_together
from velodrome.learn.collect import Collector
from velodrome.learn.kernels.clipped import METRICS, clipped_objective
from velodrome.learn.lanes import (
    ROOM,
    Dice,
    Lanes,
    lanes_seed,
    possible,
    refuse_batch_statistics,
    refuse_uneven,
    share_of,
)
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.opponents import Opponents, Pool, Table
from velodrome.learn.policy import Majority, NetPolicy
from velodrome.learn.returns import Returns
from velodrome.learn.step import fallen
from velodrome.learn.trainer import Counts, Policy, Progress
from velodrome.meter.clock import Clock
from velodrome.nets.kernels.places import withdraw
from velodrome.nets.moments import watching

Tensors = dict[str, Tensor]
Batch = tuple[Tensors, Tensors, Tensor, Tensor, Tensor, Tensors | None]
"""Views, action, log-probability, advantage and return of some decisions, and what the expert makes of them."""


@dataclass(frozen=True)
class Ppo:
    """Settings of the algorithm."""

    SHARED: ClassVar = ("batch", "minibatch")
    batch: int = 32768
    """Learner samples of an iteration."""
    minibatch: int = 2048
    epochs: int = 3
    rate: float = 1e-3
    """Learning rate of the first iteration."""
    rate_halves: int = 0
    """The rate falls as 1 / (1 + iteration / rate_halves); 0 keeps it."""
    critic_rate: float = 0.0
    """A rate of the critic's own, whose gradient is then clipped by itself; 0: it is the player's."""
    decay: float = 0.0
    """Of the weights of linear layers, as a part of them for each unit of the rate."""
    keep_squares: float = 0.999
    """The part of Adam's mean of squared gradients that each step keeps."""
    small: float = 1e-5
    """What Adam's divisor has at least."""
    clip: float = 0.2
    discount: float = 1.0
    """Per decision of a seat."""
    trace: float = 0.95
    """Lambda of the advantage estimate."""
    limit_ends: bool = False
    """Nothing is worth anything after a time limit: who plays for time has lost. Else what it cut off counts."""
    entropy: float = 0.01
    """Weight of the policy's entropy in the first iteration."""
    entropy_halves: int = 0
    """It falls as the rate does; 0 keeps it."""
    value: float = 0.5
    """Weight of the value loss."""
    reward_scale: float = 1.0
    normalise_rewards: bool = False
    """Divide rewards by the running standard deviation of the discounted return as well."""
    gradient_clip: float = 0.5
    kl_stop: float = 0.0
    """End the epochs of an iteration once the policy has moved this far; 0 never does."""
    accumulate: int = 1
    """Parts in which a minibatch passes through the net, for memory's sake."""
    precision: Literal["float32", "medium", "bfloat16"] = "float32"
    """medium: faster products of float32 matrices; bfloat16: mixed precision."""
    average: float = 0.0
    """Decay of the running average of the weights that plays in evaluations; 0: the latest weights play."""
    anchor: float = 0.0
    """Weight of the KL divergence of the player from the expert: itself as it was before the first iteration."""
    vote: bool = False
    """In evaluations, all seats of a game play as the expert would where most of them are surer of that."""
    as_played: bool = False
    """Learn in the mode of play, without a layer's dropout or noise: PPO's ratio is then 1 before the first update."""

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
    ):
        """`critic` estimates values in the net's stead, and may see private views; it is for training only.

        Several `lanes` are for the CPU alone; elsewhere there is one.
        """
        refuse_uneven(lanes, game.games, settings.minibatch)
        if settings.anchor and not all(isinstance(part, Choice | Bits) for part in game.spec.action):
            raise ValueError(f"anchor={settings.anchor:g} is for choices and bits; {game.spec.name} has other actions")
        keep_freed_memory()
        self.game, self.settings, self.device = game, settings, device
        self.nets: dict[str, nn.Module] = {"net": net.to(device)}
        if critic is not None:
            self.nets["critic"] = critic.to(device)
        lanes = lanes if possible(device) else 1
        refuse_batch_statistics(net, lanes)
        apart = settings.critic_rate > 0 and critic is not None
        self.groups = [[each] for each in self.nets.values()] if apart else [list(self.nets.values())]
        """Nets that share an optimizer; the player is among the first."""
        self.optimizers = [self._optimizer_of(group, lanes) for group in self.groups]
        self.watching = watching(self.nets.values())
        self.average = Average(net, self.optimizers[0], settings.average) if settings.average else None
        self.expert: nn.Module | None = None
        """The player as it was before the first iteration, where the settings ask for one."""
        self.pool = Pool(opponents)
        self.team = Lanes(lanes, {"iterate": self._iterate, "state": self._state_of_lane})
        self.lanes = [Lane(self, lane, lanes, seed, opponents) for lane in range(lanes)]
        self.iteration = 0

    def _optimizer_of(self, group: Sequence[nn.Module], lanes: int) -> Adam:
        settings = self.settings
        return Adam(
            [parameter for net in group for parameter in net.parameters()],
            settings.rate,
            lanes=lanes,
            keep=(0.9, settings.keep_squares),
            small=settings.small,
            decay=[part for net in group for part in decays(net, settings.decay)],
        )

    @property
    def parameters(self) -> list[list[nn.Parameter]]:
        """Of each group."""
        return [[parameter for net in group for parameter in net.parameters()] for group in self.groups]

    def iterate(self, clock: Clock) -> Progress:
        """Play a segment, learn from it."""
        if self.iteration == 0:  # lanes that have begun know of no expert, and not how an earlier stage has ended
            self.team.close()
            if self.settings.anchor or self.settings.vote:
                self.expert = self._copy_of_player()
            if self.average is not None:
                self.average.begin()
        return self.team.iterate(clock)

    def _iterate(self, clock: Clock) -> tuple[Counts, dict[str, float]]:
        """This lane's part of it: its counts, and the metrics of all."""
        lane = self.lanes[self.team.index]
        lane.dice.take_up()
        with _precision(self.settings.precision):
            counts = lane.play(clock)
            self.team.gather(clock)
            with clock("collect.encode"):
                self._estimate(lane)
                metrics = self._normalise(lane)
                if self.iteration == 0:
                    self._watch(lane)
            if self.expert is not None and self.settings.anchor:
                with clock("collect.infer"):
                    seen = lane.segment.seen_by(self.expert, "net")
                    lane.expected = {name: seen[name] for name in lane.actions.heads}
            counts.learner_samples, learnt = self._learn(lane, clock)
            with clock("collect.encode"):
                if self.iteration > 0:
                    self._watch(lane)
        self.iteration += 1
        self.pool.watch(self.nets["net"], self.iteration)
        return counts, metrics | learnt

    def _watch(self, lane: Lane) -> None:
        """Let running moments take what was seen, the same in every lane. Policies must not change between playing and
        learning, so it comes last; but the first segment, which an untrained net has played, is watched at once."""
        for module, moments in self.watching:
            moments.take(self._together(moments.sums(module.watched(lane.seen(module.wants)))))

    def _estimate(self, lane: Lane) -> None:
        """Estimate the advantages, rewards in the units of all lanes' returns if that is wished."""
        segment = lane.segment
        if segment.units is not None:
            sums = segment.units.sums(segment.rewards, segment.ended | segment.cut)
            segment.units.moments.take(self._together(sums))
        lane.estimate()

    def _together(self, sums: Tensor) -> Tensor:
        """What such vectors of all lanes add up to."""
        parts = [self.team.exchange(*part.tolist()).sum(0) for part in torch.split(sums, ROOM)]
        return torch.from_numpy(np.concatenate(parts)).to(sums.device)

    def _normalise(self, lane: Lane) -> dict[str, float]:
        """Normalise the advantages over all lanes, and say what the segments held."""
        segment = lane.segment
        advantage, returns = (part[segment.rows].cpu() for part in (segment.advantage, segment.returns))
        spread = self.team.spread(advantage, returns, torch.from_numpy(segment.outcomes()))
        (_, mean, variance), (_, _, of_returns), (ended, score, _) = spread
        segment.advantage.sub_(mean).div_(math.sqrt(max(variance, 0)) + 1e-8)
        metrics = {"explained_variance": 1 - variance / max(of_returns, 1e-12)}
        return metrics | ({"score": score} if ended else {})

    def _learn(self, lane: Lane, clock: Clock) -> tuple[int, dict[str, float]]:
        """Several epochs of minibatch steps; returns the samples learnt from, and the means of what they told."""
        settings, lanes = self.settings, self.team.count
        self.optimizers[0].rate = self.rate
        for own in self.optimizers[1:]:
            own.rate = fallen(settings.critic_rate, self.iteration, settings.rate_halves)
        lane.entropy = fallen(settings.entropy, self.iteration, settings.entropy_halves)
        with clock("wait"):
            known = self.team.exchange(len(lane.segment.rows))
        rows = min(settings.batch // lanes, int(known.min()))
        if not rows:
            raise ValueError("a whole segment without a decision whose consequences are known: raise ppo.batch")
        share = min(settings.minibatch // lanes, rows)
        names = METRICS + ("from_expert",) * (lane.expected is not None)
        sums, norms, taken = torch.zeros(len(names), device=self.device), 0.0, 0
        optimized = list(zip(self.optimizers, lane.parameters, strict=True))
        in_place = settings.accumulate == 1 and torch.device(self.device).type == "cpu"
        for _ in range(settings.epochs):
            with clock("learn.sample"):
                order = lane.shuffle()
            before = sums.clone()
            for lo in range(0, rows - share + 1, share):
                if in_place:
                    for own, parameters in optimized:
                        own.offer_places(self.team.index, parameters)
                sums += lane.gradient(order[lo : lo + share], clock)
                norms += step_together(self.team, optimized, settings.gradient_clip, clock, self.average)
                taken += 1
            if settings.kl_stop:
                moved = float((sums - before)[METRICS.index("kl")]) / (rows // share)
                if self.team.exchange(moved).mean() > settings.kl_stop:
                    break
        for parameters in lane.parameters:
            withdraw(parameters)
        told = self.team.exchange(*(sums / taken).tolist()).mean(0)
        means = dict(zip(names, told.tolist(), strict=True)) | {"gradient_norm": norms / taken, "rate": self.rate}
        return taken * share, means

    @property
    def rate(self) -> float:
        """The learning rate of this iteration."""
        return fallen(self.settings.rate, self.iteration, self.settings.rate_halves)

    def policy(self, greedy: bool = False) -> Policy:
        """The averaged net if there is one, once it has begun; the net otherwise; with a vote, beside the expert."""
        net: nn.Module = self.nets["net"]
        if self.average is not None and self.iteration > 0:
            net = self.average.net
        own = NetPolicy(net, Actions(self.game.spec.action), greedy, self.device)
        if self.expert is None or not self.settings.vote:
            return own
        expert = NetPolicy(self.expert, own.actions, greedy, self.device)
        return Majority(own, expert, self.game.spec.seats)

    def _copy_of_player(self) -> nn.Module:
        return copy.deepcopy(self.nets["net"]).requires_grad_(False).eval()

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {
            "iteration": self.iteration,
            "device": torch.device(self.device).type,
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "optimizers": [own.state_dict() for own in self.optimizers],
            "average": None if self.average is None else self.average.net.state_dict(),
            "expert": None if self.expert is None else self.expert.state_dict(),
            "pool": self.pool.state(),
            "lanes": self.team.run("state", Clock(enabled=False)),
        }

    def _state_of_lane(self, clock: Clock) -> dict[str, Any]:
        lane = self.lanes[self.team.index]
        lane.dice.take_up()
        return lane.state()

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`; one from another kind of device tells how to play, but not how the games went on."""
        self.iteration = state["iteration"]
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
        for own, saved in zip(self.optimizers, state["optimizers"], strict=True):
            own.load_state_dict(saved)
        if self.average is not None:
            self.average.net.load_state_dict(state["average"])
        self.expert = None
        if state["expert"] is not None:
            self.expert = self._copy_of_player()
            self.expert.load_state_dict(state["expert"])
        self.pool.load(state["pool"], self.nets["net"])
        self.team.close()
        if state["device"] != torch.device(self.device).type:
            return
        for lane, saved in zip(self.lanes, state["lanes"], strict=True):
            lane.load(saved)


class Lane:
    """One lane's part: it plays its share of the games, and computes its share of every gradient."""

    def __init__(self, trainer: SelfPlay, lane: int, lanes: int, seed: int, opponents: Opponents):
        game, self.settings, self.share = share_of(trainer.game, lane, lanes), trainer.settings, 1 / lanes
        self.actions, self.device = Actions(game.spec.action), trainer.device
        self.nets, self.parameters = trainer.nets, trainer.parameters
        own_seed, self.dice = lanes_seed(seed, lane), Dice(seed, lane)
        self.generator = torch.Generator(self.device).manual_seed(own_seed)
        table = Table(game, opponents, trainer.pool, own_seed)
        # a seat's last decision in a segment only bootstraps the one before: play a round more than there are samples
        # of, and where the net has one seat, not always the next to decide, another
        deciders, seats = game.spec.deciders, game.spec.seats
        own = lanes * game.games * deciders * opponents.own_share(seats)
        steps = math.ceil(self.settings.batch / own) + (1 + table.mixed) * seats // deciders
        units = Returns(game.games, seats, self.settings.discount) if self.settings.normalise_rewards else None
        self.segment = Collector(
            game, self.nets, table, steps, self.generator, self.device, units, self.settings.limit_ends
        )
        self.taught = bool(getattr(self.nets["net"], "taught", False))
        self.expected: dict[str, Tensor] | None = None
        """What the expert makes of every row of the segment, once for all epochs."""
        self.entropy = self.settings.entropy
        """The weight of the policy's entropy in this iteration."""

    def state(self) -> dict[str, Any]:
        """The games in mid-play and the random states, as plain arrays: they may come from another process."""
        state = self.segment.state()
        state["generator"] = state["generator"].numpy()
        return state | self.dice.state()

    def load(self, state: dict[str, Any]) -> None:
        """Put everything where `state` left it."""
        self.segment.load(state | {"generator": torch.from_numpy(state["generator"])})
        self.dice.load(state)

    def play(self, clock: Clock) -> Counts:
        """Play a segment."""
        for net in self.nets.values():
            net.eval()
        counts = self.segment.collect(clock)
        for net in self.nets.values():
            net.train(not self.settings.as_played)
        return counts

    def estimate(self) -> None:
        """Estimate the advantages of the segment."""
        self.segment.estimate(self.settings.discount, self.settings.trace, self.settings.reward_scale)

    def seen(self, names: Iterable[str]) -> dict[str, Tensor]:
        """These views in the rows to learn from."""
        segment = self.segment
        return {name: segment.views[name].flatten(0, 2).index_select(0, segment.rows) for name in names}

    def shuffle(self) -> Tensor:
        """The rows to learn from, in a new order."""
        rows = self.segment.rows
        return rows[torch.randperm(len(rows), generator=self.generator, device=self.device)]

    def gradient(self, rows: Tensor, clock: Clock) -> Tensor:
        """Leave this lane's share of the gradient on `rows` in its parameters; returns what to report."""
        with clock("learn.sample"):
            told = torch.zeros(len(METRICS) + (self.expected is not None), device=self.device)
            for parameters in self.parameters:
                for parameter in parameters:
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

    def _batch(self, rows: Tensor) -> Batch:
        segment, expected = self.segment, None
        # index_select copies whole rows; an index in brackets goes element by element
        views = {name: view.flatten(0, 2).index_select(0, rows) for name, view in segment.views.items()}
        action = {name: taken.flatten(0, 2).index_select(0, rows) for name, taken in segment.action.items()}
        if self.expected is not None:
            expected = {name: output.index_select(0, rows) for name, output in self.expected.items()}
        scored = (segment.log_prob.view(-1)[rows], segment.advantage[rows], segment.returns[rows])
        return views, action, *scored, expected

    def _loss(
        self,
        views: Tensors,
        action: Tensors,
        before: Tensor,
        advantage: Tensor,
        returns: Tensor,
        expected: Tensors | None,
    ) -> tuple[Tensor, Tensor]:
        settings = self.settings
        outputs = self.nets["net"](views)
        log_prob, entropy = self.actions.log_prob_and_entropy(outputs, action, views)
        value = (self.nets["critic"](views) if "critic" in self.nets else outputs)["value"].float()
        loss, told = clipped_objective(
            log_prob, entropy, value, before, advantage, returns,
            clip=settings.clip, value_weight=settings.value, entropy_weight=self.entropy,
        )  # fmt: skip
        if expected is not None:
            away = self.actions.divergence(expected, outputs, views).mean()
            loss, told = loss + settings.anchor * away, torch.cat([told, away.detach().view(1)])
        if self.taught and self.nets["net"].training:
            chance = log_prob.detach().exp()
            went = torch.where(advantage > 0, chance, 1 - chance)
            loss = loss + self.nets["net"].lesson(went)  # type: ignore[operator]
        return loss, told

    def _mixed(self) -> AbstractContextManager[Any]:
        if self.settings.precision != "bfloat16":
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)


class _precision:
    """Sets how products of float32 matrices may round, and sets it back."""

    def __init__(self, name: str):
        self.wanted = "medium" if name == "medium" else "highest"

    def __enter__(self) -> None:
        self.before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self.wanted)

    def __exit__(self, *error: object) -> None:
        torch.set_float32_matmul_precision(self.before)
