"""The trainer: a short PPO, and what may be done badly in it."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from planted.game import PLAYERS, ROUNDS, Suits
from planted.nets import Net, PlayerNet
from velodrome.games.game import Array
from velodrome.learn.actions import Actions
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.policy import NetPolicy
from velodrome.learn.step import step
from velodrome.learn.trainer import Counts, Progress
from velodrome.meter.clock import Clock

DISCOUNT, SLOWNESS, CLIP, ENTROPY = 0.5, 0.1, 0.2, 0.005


@dataclass(frozen=True)
class Process:
    """What can be set of the process."""

    threads: int = 1
    """Torch's, for one operation."""
    keep_memory: bool = True
    """Whether the C library keeps freed memory for the next tensors."""


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line. Every default is the good one."""

    games: int = 32
    """Played side by side."""
    samples: int = 4096
    """Decisions in an iteration."""
    minibatch: int = 2048
    epochs: int = 2
    rate: float = 2e-3
    cards: int = 16
    """In a hand."""
    shuffles: int = 1
    """At the tables that shuffle long."""
    workers: int = 1
    """Threads that shuffle."""
    share_out: Literal["blocks", "even"] = "even"
    """Each worker gets tables that stand together, or every so manieth."""
    every_agent: Literal["loop", "batched"] = "batched"
    """Players who act: one after the other, or all at once."""
    acting: Literal["recorded", "plain"] = "plain"
    """Whether what a gradient would need is kept while acting."""
    slow_targets: Literal["every epoch", "once"] = "once"
    """How often the slow net says what was to be expected."""
    steps: Literal["loop", "at-once"] = "at-once"
    """Discounted rewards: step by step for each player, or as one product."""
    reads: Literal["each", "late"] = "late"
    """Losses read as numbers: each by itself and at once, or all together and in the end."""
    fused: bool = True
    """Whether the optimizer treats all weights in one operation or each in several."""
    net: Net = Net()
    process: Process = Process()


Batch = dict[str, Tensor]


class Learner:
    """PPO whose baseline is a slowly following copy of the net."""

    def __init__(self, settings: Settings, seed: int):
        torch.set_num_threads(settings.process.threads)
        if settings.process.keep_memory:
            keep_freed_memory()
        torch.manual_seed(seed)
        self.settings = settings
        self.game = Suits(settings.games, seed, settings.cards, settings.shuffles)
        self.net = PlayerNet(settings.cards, settings.net)
        self.slow = copy.deepcopy(self.net).requires_grad_(False)
        self.nets: dict[str, torch.nn.Module] = {"net": self.net, "slow": self.slow}
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), settings.rate, fused=settings.fused, foreach=None if settings.fused else False
        )
        self.actions, self.generator = Actions(self.game.spec.action), torch.Generator().manual_seed(seed)
        self.workers = ThreadPoolExecutor(settings.workers) if settings.workers > 1 else None
        self.powers = discounts()

    def policy(self, greedy: bool = False) -> NetPolicy:
        """The agent as it now stands."""
        return NetPolicy(self.net, self.actions, greedy)

    def iterate(self, clock: Clock) -> Progress:
        """Play, then learn from it."""
        batch = self.play(clock)
        steps, metrics = len(batch["cards"]) // PLAYERS, {"reward": batch["reward"].mean().item()}
        metrics |= self.learn(batch, clock)
        return Progress(Counts(steps, steps * PLAYERS, steps * PLAYERS * self.settings.epochs), metrics)

    # -- playing ----------------------------------------------------------------------------------------------

    def play(self, clock: Clock) -> Batch:
        """So many rounds at all tables, `[rounds, tables, players]` and then one row a decision."""
        game, rounds, rows = self.game, self.settings.samples // (self.settings.games * PLAYERS), []
        for _ in range(max(rounds // ROUNDS, 1) * ROUNDS):
            with clock("collect.infer"):
                cards = torch.from_numpy(game.views["cards"]).clone()
                suit, log_prob = self.act(cards)
            self.shuffle(clock)
            with clock("collect.step"):
                game.step(suit.numpy())
                rows.append((cards, suit, log_prob, torch.from_numpy(game.rewards).clone()))
                game.reset(game.ended)
        with clock("learn.sample"):
            columns = [torch.stack(column).detach() for column in zip(*rows, strict=True)]
            worth = self.discounted(columns[-1]).flatten()
            batch = dict(zip(("cards", "suit", "log_prob", "reward"), (c.flatten(0, 2) for c in columns), strict=True))
        return batch | {"worth": worth}

    def act(self, cards: Tensor) -> tuple[Tensor, Tensor]:
        """What all players name, `[tables, players]`, and its log-probability."""
        with torch.set_grad_enabled(self.settings.acting == "recorded"):
            if self.settings.every_agent == "loop":
                outputs = torch.stack([self.net({"cards": own})["suit"] for own in cards.unbind(1)], 1)
            else:
                outputs = self.net({"cards": cards.flatten(0, 1)})["suit"].unflatten(0, cards.shape[:2])
            action, log_prob = self.actions.sample({"suit": outputs}, {}, self.generator)
        return action["suit"], log_prob

    def shuffle(self, clock: Clock) -> None:
        """Have the workers shuffle for the next round."""
        if self.workers is None:
            return
        tables = np.arange(self.game.games)
        shares = np.array_split(tables, self.settings.workers)
        if self.settings.share_out == "even":
            shares = [tables[first :: self.settings.workers] for first in range(self.settings.workers)]
        with clock("wait"):
            list(self.workers.map(self._shuffle, [clock.track(f"worker {n}") for n in range(len(shares))], shares))

    def _shuffle(self, clock: Clock, tables: Array) -> None:
        with clock("collect.step"):
            self.game.shuffle(tables)

    # -- learning ---------------------------------------------------------------------------------------------

    def discounted(self, reward: Tensor) -> Tensor:
        """What each decision earned in the rest of its game, later points counting less."""
        if self.settings.steps == "at-once":
            games = reward.unflatten(0, (-1, ROUNDS))
            return torch.einsum("tk,gk...->gt...", self.powers, games).flatten(0, 1)
        worth = torch.zeros_like(reward)
        for table, player in np.ndindex(reward.shape[1:]):
            later = torch.zeros(())
            for t in reversed(range(len(reward))):
                later = reward[t, table, player] + (DISCOUNT * later if (t + 1) % ROUNDS else 0)
                worth[t, table, player] = later
        return worth

    def learn(self, batch: Batch, clock: Clock) -> dict[str, float]:
        """Some epochs of minibatches; what the last one came to."""
        each, size = self.settings.slow_targets == "every epoch", self.settings.minibatch
        for epoch in range(self.settings.epochs):
            if each or epoch == 0:
                with clock("learn.forward"):
                    batch["expected"] = self.expected(batch["cards"])
            with clock("learn.sample"):
                order = torch.randperm(len(batch["cards"]), generator=self.generator).split(size)
                told: list[dict[str, Any]] = []
            for rows in order:
                with clock("learn.sample"):
                    chosen = {name: column[rows] for name, column in batch.items()}
                with clock("learn.forward"):
                    losses, said = self.losses(chosen)
                step(losses.mean(), self.optimizer, clock, clip=1.0)
                with clock("learn.forward"):
                    told.append(self.read(said))
        with clock("learn.optimize"):
            torch._foreach_lerp_(list(self.slow.parameters()), list(self.net.parameters()), SLOWNESS)
        return {name: float(torch.as_tensor([row[name] for row in told]).mean()) for name in told[0]}

    @torch.no_grad()
    def expected(self, cards: Tensor) -> Tensor:
        """What the slow net expects to be earned."""
        return torch.cat([self.slow({"cards": rows})["value"] for rows in cards.split(1024)])

    def losses(self, rows: Batch) -> tuple[Tensor, Batch]:
        """The loss of each row, and what is to be told of them."""
        out = self.net(rows)
        log_prob, entropy = self.actions.log_prob_and_entropy(out, rows, rows)
        gain, ratio = rows["worth"] - rows["expected"], (log_prob - rows["log_prob"]).exp()
        chosen = torch.minimum(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain)
        missed = (out["value"] - rows["worth"]).square()
        return 0.5 * missed - chosen - ENTROPY * entropy, {"entropy": entropy.detach(), "missed": missed.detach()}

    def read(self, said: Batch) -> dict[str, Any]:
        """The means of a minibatch, read now or, as tensors, later."""
        if self.settings.reads == "late":
            return {name: values.mean() for name, values in said.items()}
        return {
            name: sum(values[row].item() for row in range(len(values))) / len(values) for name, values in said.items()
        }

    # -- going on ---------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that a continuation needs."""
        nets = {name: net.state_dict() for name, net in self.nets.items()}
        kept = {"optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state()}
        return {"nets": nets, "game": self.game.snapshot(), **kept}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.game.restore(state["game"])


def discounts() -> Tensor:
    """`[t, k]`: what a point in round k is worth in round t."""
    apart = torch.arange(ROUNDS) - torch.arange(ROUNDS)[:, None]
    return torch.where(apart >= 0, DISCOUNT ** apart.clamp(min=0).float(), 0.0)
