"""Proximal policy optimisation (Schulman et al. 2017) by self-play, for games with any number of seats.

Every seat has a trajectory of its own. An iteration lets each lane play its games for a segment of steps, estimates the
advantages along each seat's decisions, and takes minibatch steps on the clipped objective. Segments are laid out
`[games, steps, K]`, so nothing is copied between playing and learning.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from velodrome.games.game import Game
from velodrome.learn.actions import Actions
from velodrome.learn.kernels.advantage import advantages
from velodrome.learn.lanes import Lanes
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
        opponents: Opponents = Opponents(),  # noqa: B008 (frozen)
        lanes: int = 1,
        sync: Sync | None = None,
    ):
        """`critic` estimates values in the net's stead, and may see private views; it is for training only."""
        if game.games % lanes or settings.minibatch % lanes:
            raise ValueError(f"games {game.games} and minibatch {settings.minibatch} must divide by lanes={lanes}")
        self.game, self.settings, self.sync, self.device = game, settings, sync, device
        self.actions = Actions(game.spec.action)
        self.nets: dict[str, nn.Module] = {"net": net.to(device)}
        if critic is not None:
            self.nets["critic"] = critic.to(device)
        self.optimizer = torch.optim.Adam(
            [parameter for part in self.nets.values() for parameter in part.parameters()],
            lr=settings.rate, eps=1e-5, fused=True,
        )  # fmt: skip
        self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(settings.average)) if settings.average else None
        self.pool = Pool(opponents)
        self.lanes = Lanes(lanes)
        self.players = [Player(self, lane, seed, opponents) for lane in range(lanes)]
        self.iteration = 0

    def iterate(self, clock: Clock) -> Progress:
        """Play a segment, learn from it."""
        with self.lanes.alone(), _precision(self.settings.precision):
            for net in self.nets.values():
                net.eval()
            played = self.lanes.run(clock, lambda lane, own: self.players[lane].collect(own))
            with clock("collect.encode"):
                metrics = self._pool_segments()
            for player in self.players:
                player.train()
            samples, learnt = self._learn(clock)
            self.iteration += 1
            self.pool.watch(self.nets["net"], self.iteration)
        counts = Counts(learner_samples=samples)
        for part in played:
            counts += part
        return Progress(counts, metrics | learnt)

    def _pool_segments(self) -> dict[str, float]:
        """Normalise the advantages over all lanes, and say what the segments held."""
        advantage = torch.cat([player.advantage[player.rows] for player in self.players])
        value = torch.cat([player.value.flatten()[player.rows] for player in self.players])
        spread, mean = torch.std_mean(advantage)
        for player in self.players:
            player.returns = player.advantage + player.value.flatten()
            player.advantage = (player.advantage - mean) / (spread + 1e-8)
        outcomes = np.concatenate([player.outcomes() for player in self.players])
        metrics = {"explained_variance": 1 - float(advantage.var() / (advantage + value).var().clamp_min(1e-12))}
        if outcomes.size:
            metrics["score"] = float(outcomes.mean())
        return metrics

    def _learn(self, clock: Clock) -> tuple[int, dict[str, float]]:
        settings, lanes = self.settings, len(self.players)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        share = settings.minibatch // lanes
        rows = min(settings.batch // lanes, *(len(player.rows) for player in self.players)) if lanes > 1 else min(
            settings.batch, len(self.players[0].rows)
        )  # fmt: skip
        steps = max(rows // share, 1)
        sums, taken = torch.zeros(len(_METRICS), device=self.device), 0
        for _ in range(settings.epochs):
            orders = [player.shuffle() for player in self.players]
            epoch = torch.zeros_like(sums)
            for step in range(steps):
                part = slice(step * share, (step + 1) * share)
                told = self.lanes.run(clock, lambda lane, own: self.players[lane].gradient(orders[lane][part], own))  # noqa: B023
                with clock("learn.backward"):
                    self._add_gradients()
                norm = update(self.optimizer, clock, self.sync, settings.gradient_clip)
                epoch[:-1] += torch.stack(told).mean(0)
                epoch[-1] += norm
                if self.average is not None:
                    with clock("learn.optimize"):
                        self.average.update_parameters(self.nets["net"])
            sums, taken = sums + epoch, taken + steps
            if settings.kl_stop and float(epoch[_METRICS.index("kl")]) / steps > settings.kl_stop:
                break
        means = dict(zip(_METRICS, (sums / taken).tolist(), strict=True))
        return taken * min(share * lanes, rows * lanes), means | {"rate": self.rate}

    @property
    def rate(self) -> float:
        halves = self.settings.rate_halves
        return self.settings.rate / (1 + self.iteration / halves) if halves else self.settings.rate

    def _add_gradients(self) -> None:
        """The lanes' gradients added up in the nets' own; each lane has already divided by their number."""
        own = [parameter.grad for parameter in self.players[0].parameters]
        for player in self.players[1:]:
            torch._foreach_add_(own, [parameter.grad for parameter in player.parameters])

    def policy(self, greedy: bool = False) -> NetPolicy:
        """The averaged net if there is one, the net otherwise."""
        net: nn.Module = self.nets["net"] if self.average is None else self.average.module
        return NetPolicy(net, self.actions, greedy, self.device)

    def state(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "pool": self.pool.state(),
            "players": [player.state() for player in self.players],
        }

    def load(self, state: dict[str, Any]) -> None:
        self.iteration = state["iteration"]
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.pool.load(state["pool"], self.nets["net"])
        for player, saved in zip(self.players, state["players"], strict=True):
            player.load(saved)


_METRICS = ("policy_loss", "value_loss", "entropy", "kl", "clipped", "gradient_norm")


class Player:
    """One lane: its games, what it collected, and the gradients that it computes on that."""

    def __init__(self, trainer: SelfPlay, lane: int, seed: int, opponents: Opponents):
        lanes, whole = trainer.lanes.count, trainer.game
        share = whole.games // lanes
        self.settings, self.actions, self.device = trainer.settings, trainer.actions, trainer.device
        self.game = whole if lanes == 1 else whole.again(share, first=whole.first + lane * share)
        self.nets = trainer.nets if lane == 0 else {name: _twin(net) for name, net in trainer.nets.items()}
        self.share = 1 / lanes
        self.generator = torch.Generator(self.device).manual_seed(seed * 1009 + lane)
        self.table = Table(self.game, opponents, trainer.pool, seed * 1009 + lane)
        self._allocate()

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for net in self.nets.values() for parameter in net.parameters()]

    def _allocate(self) -> None:
        game, spec = self.game, self.game.spec
        # every seat's last decision in a segment is not learnt from: play that much more
        steps = -(-self.settings.batch // (game.games * spec.deciders * round(1 / self.share))) + spec.seats // spec.deciders
        rows = (game.games, steps, spec.deciders)
        wanted = {name for net in self.nets.values() for name in net.wants}  # type: ignore[union-attr]
        self.now = {name: torch.from_numpy(view) for name, view in game.views.items() if name in wanted}
        self.now["seat"] = torch.from_numpy(game.seat)
        self.views = {name: self._empty(rows + tuple(view.shape[2:]), view.dtype) for name, view in self.now.items()}
        self.action = {
            part.name: self._empty(rows + part.shape, torch.from_numpy(np.zeros(0, part.dtype)).dtype)
            for part in spec.action
        }
        self.log_prob, self.value = self._empty(rows), self._empty(rows)
        self.acting, self.own = np.ones(rows, bool), np.ones(rows, bool)
        self.rewards = np.zeros((game.games, steps, spec.seats), np.float32)
        self.ended, self.cut = np.zeros(rows[:2], bool), np.zeros(rows[:2], bool)
        self.cut_value = np.zeros_like(self.rewards)
        self.outcome = np.zeros_like(self.rewards)
        self.advantage = self.returns = torch.empty(0)
        self.rows = torch.empty(0, dtype=torch.int64)

    def _empty(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)

    # -- playing ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def collect(self, clock: Clock) -> Counts:
        """Play one segment and estimate its advantages."""
        game, net = self.game, self.nets["net"]
        self.cut_value[:] = np.nan
        for step in range(self.rewards.shape[1]):
            with clock("collect.infer"):
                views = {name: view.flatten(0, 1).to(self.device, non_blocking=True) for name, view in self.now.items()}
                outputs = net(views)
                action, log_prob = self.actions.sample(outputs, views, self.generator)
                if self.table.mixed:
                    self.own[:, step] = self.table.own()
                    self.table.answer(action, views, self.actions, self.generator, self.device)
            with clock("collect.encode"):
                self._keep(step, action, log_prob, outputs)
            with clock("collect.step"):
                game.step({name: part.cpu().numpy() for name, part in action.items()})
            with clock("collect.encode"):
                self.rewards[:, step], self.ended[:, step], self.cut[:, step] = game.rewards, game.ended, game.cut
            over = game.ended | game.cut
            if over.any():
                with clock("collect.encode"):
                    self.outcome[:, step] = game.outcome
                    if game.cut.any():
                        self._value_of_cut(step)
                with clock("collect.step"):
                    game.reset(over)
                    self.table.seat_players(over)
        with clock("collect.infer"):
            if "critic" in self.nets:
                self._criticise()
        with clock("collect.encode"):
            self._estimate()
        return Counts(game_steps=int(self.ended.size), decisions=int((self.acting & self.own).sum()))

    def _keep(self, step: int, action: Mapping[str, Tensor], log_prob: Tensor, outputs: Mapping[str, Tensor]) -> None:
        rows = self.game.seat.shape
        for name, view in self.now.items():
            self.views[name][:, step] = view
        for name, part in action.items():
            self.action[name][:, step] = part.unflatten(0, rows)
        self.log_prob[:, step] = log_prob.unflatten(0, rows)
        self.acting[:, step] = self.game.acting
        if "value" in outputs:
            self.value[:, step] = outputs["value"].unflatten(0, rows)

    def _value_of_cut(self, step: int) -> None:
        """The value of the positions in which a time limit ended the game, for the seats that were to decide."""
        games = np.flatnonzero(self.game.cut & ~self.game.ended)
        views = {name: view[games].flatten(0, 1).to(self.device) for name, view in self.now.items()}
        value = self.nets.get("critic", self.nets["net"])(views)["value"].unflatten(0, (len(games), -1))
        self.cut_value[games[:, None], step, self.game.seat[games]] = value.float().cpu().numpy()

    def _criticise(self) -> None:
        """Values of the whole segment, in pieces that fit the cache."""
        views = {name: self.views[name].flatten(0, 2) for name in self.nets["critic"].wants}  # type: ignore[union-attr]
        for lo in range(0, self.value.numel(), 4096):
            piece = {name: view[lo : lo + 4096] for name, view in views.items()}
            self.value.view(-1)[lo : lo + 4096] = self.nets["critic"](piece)["value"]

    def _estimate(self) -> None:
        advantage, known = np.zeros(self.value.shape, np.float32), np.zeros(self.value.shape, bool)
        settings = self.settings
        advantages(
            self.rewards * np.float32(settings.reward_scale), self.views["seat"].cpu().numpy(), self.acting,
            self.value.cpu().numpy(), self.ended, self.cut, self.cut_value,
            np.float32(settings.discount), np.float32(settings.trace), advantage, known,
        )  # fmt: skip
        self.advantage = torch.from_numpy(advantage.reshape(-1)).to(self.device)
        self.rows = torch.from_numpy(np.flatnonzero(known & self.own)).to(self.device)

    def outcomes(self) -> np.ndarray:
        """The scores, in the games that ended in this segment, of the seats that the current net held at the end."""
        over: np.ndarray = self.outcome[self.ended | self.cut]
        return over

    # -- learning ---------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Make ready to learn from the segment."""
        for net in self.nets.values():
            net.train()

    def shuffle(self) -> Tensor:
        """The rows to learn from, in a new order."""
        return self.rows[torch.randperm(len(self.rows), generator=self.generator, device=self.device)]

    def gradient(self, rows: Tensor, clock: Clock) -> Tensor:
        """Leave this lane's share of the gradient on `rows` in its parameters; returns what to report."""
        told = torch.zeros(len(_METRICS) - 1, device=self.device)
        for parameter in self.parameters:
            parameter.grad = None
        for part in rows.chunk(self.settings.accumulate):
            share = len(part) / len(rows)
            with clock("learn.sample"):
                views = {name: view.flatten(0, 2)[part] for name, view in self.views.items()}
                action = {name: taken.flatten(0, 2)[part] for name, taken in self.action.items()}
                before, advantage, returns = self.log_prob.view(-1)[part], self.advantage[part], self.returns[part]
            with clock("learn.forward"), self._mixed():
                loss, metrics = self._loss(views, action, before, advantage, returns)
            with clock("learn.backward"):
                (loss * (share * self.share)).backward()  # type: ignore[no-untyped-call]
            told += metrics * share
        return told

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

    def state(self) -> dict[str, Any]:
        return {
            "game": self.game.snapshot(),
            "generator": self.generator.get_state(),
            "table": self.table.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.game.restore(state["game"])
        self.generator.set_state(state["generator"])
        self.table.load(state["table"])


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
