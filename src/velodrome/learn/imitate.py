"""Imitation: a player learns from recorded episodes what was done, a critic what it was worth.

Every decision that was recorded is a sample. What came after it, to the end of the episode, is its return, whether
whoever decided lived to see it or not. The order of the samples is shuffled anew for each epoch; an iteration is a
number of minibatches, so that epochs need not end with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.games.game import Array, Choice, Game
from velodrome.learn.actions import FORBIDDEN, Actions
from velodrome.learn.adam import Adam, decays, step_together
from velodrome.learn.lanes import Lanes
from velodrome.learn.policy import NetPolicy, memory_of
from velodrome.learn.trainer import Counts, Policy, Progress
from velodrome.meter.clock import Clock
from velodrome.runs.datasets import Dataset

_TOLD = {"net": ("policy_loss", "gradient_norm"), "critic": ("value_loss", "critic_gradient_norm")}
"""What is reported of each net: its loss, and the norm of its gradient."""


@dataclass(frozen=True)
class Imitation:
    """Settings of the algorithm."""

    SHARED: ClassVar = ("minibatch",)
    minibatch: int = 128
    minibatches: int = 100
    """Of an iteration."""
    rate: float = 5e-4
    critic_rate: float = 5e-3
    decay: float = 0.1
    """Of the weights of linear layers."""
    gradient_clip: float = 0.5
    """Of the player's gradient and of the critic's, each by itself."""
    discount: float = 0.99
    masked: bool = True
    """Whether illegal actions are left out of the softmax."""


class Imitate:
    """A player and a critic that learn from a set of episodes; the game is for evaluations alone."""

    def __init__(
        self,
        game: Game,
        data: Dataset,
        net: nn.Module,
        settings: Imitation,
        *,
        seed: int = 0,
        device: str = "cpu",
        critic: nn.Module | None = None,
    ):
        data.refuse_unless_of(game)
        (part,) = game.spec.action
        if not isinstance(part, Choice):
            raise ValueError(f"imitation is for games with one choice a decision, not for {game.spec.name}")
        self.game, self.settings, self.device, self.part = game, settings, device, part
        self.nets: dict[str, nn.Module] = {"net": net.to(device)}
        rates = {"net": settings.rate}
        if critic is not None:
            self.nets["critic"], rates["critic"] = critic.to(device), settings.critic_rate
        self.optimizers = {
            name: Adam(
                list(module.parameters()), rates[name], keep=(0.9, 0.95), small=1e-8,
                decay=decays(module, settings.decay),
            )
            for name, module in self.nets.items()
        }  # fmt: skip
        wanted = {name for module in self.nets.values() for name in module.wants} | {part.mask}  # type: ignore[union-attr]
        self.wanted = sorted(name for name in wanted if name in game.views)
        self.memory = {name: part for each in self.nets.values() for name, part in memory_of(each, 1).items()}
        if self.memory and game.spec.deciders != game.spec.seats:
            raise ValueError(f"{game.spec.name}: a context of several steps is for games in which all decide at once")
        self._alone = Lanes(1, {})
        self.data = data
        self.samples = np.flatnonzero(data.arrays["acting"])
        self.returns = returns_to_go(data.arrays["reward"], data.starts, settings.discount)
        self.target: float | None = getattr(net, "target", None)
        """The return that the player hopes for when a game begins, if it hopes."""
        hopes = self.target is not None and "earned" in self.wanted
        self.to_go = returns_to_go(data.arrays["reward"], data.starts, 1.0) if hopes else None
        self.generator = torch.Generator().manual_seed(seed)
        self.iteration = self.at = 0
        self.began = self.generator.get_state()
        """The random state from which this epoch was shuffled."""
        self.order = self._shuffled()

    def _shuffled(self) -> Array:
        order: Array = torch.randperm(len(self.samples), generator=self.generator).numpy()
        return order

    def iterate(self, clock: Clock) -> Progress:
        """A number of minibatches."""
        size, told = min(self.settings.minibatch, len(self.samples)), dict[str, float]()
        for net in self.nets.values():
            net.train()
        for _ in range(self.settings.minibatches):
            with clock("learn.sample"):
                if self.at + size > len(self.order):
                    self.at, self.began = 0, self.generator.get_state()
                    self.order = self._shuffled()
                rows = self.samples[self.order[self.at : self.at + size]]
                self.at += size
                views, action, returns = self._batch(rows)
            for name, value in self._learn(views, action, returns, clock).items():
                told[name] = told.get(name, 0.0) + value / self.settings.minibatches
        self.iteration += 1
        learnt = size * self.settings.minibatches
        return Progress(Counts(game_steps=learnt, decisions=learnt, learner_samples=learnt), told)

    def _batch(self, rows: Array) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """What was seen and done in these rows, numbered over steps and deciders, and what came of it."""
        deciders = self.game.spec.deciders
        step, who = rows // deciders, rows % deciders
        arrays = self.data.arrays
        views = {name: torch.from_numpy(self._view(name, step, who)) for name in self.wanted}
        seat = arrays["seat"][step, who]
        views["seat"] = torch.from_numpy(seat)
        action = torch.from_numpy(arrays[f"action.{self.part.name}"][step, who])
        returns = torch.from_numpy(self.returns[step, seat])
        views |= self._remembered(step, who)
        there = {name: view.to(self.device) for name, view in views.items()}
        return there, action.to(self.device), returns.to(self.device)

    def _view(self, name: str, step: Array, who: Array) -> Array:
        """What was seen there; as what had been earned, what makes the return hoped for the one that came."""
        if name != "earned" or self.to_go is None or self.target is None:
            view: Array = self.data.arrays[f"view.{name}"][step, who]
            return view
        to_go = self.to_go[step, self.data.arrays["seat"][step, who]]
        hoped: Array = (self.target - to_go).astype(np.float32)
        return hoped

    def _remembered(self, step: Array, who: Array) -> dict[str, Tensor]:
        """What the nets would remember in these rows: the steps before, as far as they belong to the episode."""
        if not self.memory:
            return {}
        length = self.memory["past.known"].shape[1]
        begins = self.data.starts[np.searchsorted(self.data.starts, step, side="right") - 1]
        before = step[:, None] - np.arange(length, 0, -1)
        known = before >= begins[:, None]
        before = np.maximum(before, 0)
        past = {"past.known": torch.from_numpy(known)}
        for name in self.memory.keys() - {"past.known"}:
            view = self._view(name.removeprefix("past."), before, who[:, None])
            view[~known] = 0
            past[name] = torch.from_numpy(view)
        return past

    def _learn(self, views: dict[str, Tensor], action: Tensor, returns: Tensor, clock: Clock) -> dict[str, float]:
        with clock("learn.forward"):
            logits = self.nets["net"](views)[self.part.name].float()
            if self.settings.masked and self.part.mask is not None:
                logits = torch.where(views[self.part.mask].bool(), logits, FORBIDDEN)
            losses = {"net": F.cross_entropy(logits, action)}
            if "critic" in self.nets:
                losses["critic"] = F.mse_loss(self.nets["critic"](views)["value"].float(), returns)
            told = {_TOLD[name][0]: loss.item() for name, loss in losses.items()}
            if getattr(self.nets["net"], "taught", False):
                right = logits.detach().softmax(-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)
                losses["net"] = losses["net"] + self.nets["net"].lesson(right)  # type: ignore[operator]
        for name, loss in losses.items():
            told[_TOLD[name][1]] = self._step(name, loss, clock)
        told["agreement"] = float((logits.argmax(-1) == action).float().mean())
        return told

    def _step(self, name: str, loss: Tensor, clock: Clock) -> float:
        parameters = list(self.nets[name].parameters())
        with clock("learn.backward"):
            for parameter in parameters:
                parameter.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
        moved = [(self.optimizers[name], parameters)]
        return step_together(self._alone, moved, self.settings.gradient_clip, clock)

    def policy(self, greedy: bool = False) -> Policy:
        """The player."""
        return NetPolicy(self.nets["net"], Actions(self.game.spec.action), greedy, self.device)

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs; the set of episodes is named by its hash."""
        return {
            "iteration": self.iteration,
            "data": self.data.card["hash"],
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "began": self.began,
            "at": self.at,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        if state["data"] != self.data.card["hash"]:
            raise ValueError(f"{self.data.folder} is another set than the run began with")
        self.iteration, self.at, self.began = state["iteration"], state["at"], state["began"]
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
            self.optimizers[name].load_state_dict(state["optimizers"][name])
        self.generator.set_state(self.began)
        self.order = self._shuffled()


def returns_to_go(rewards: Array, starts: Array, discount: float) -> Array:
    """The discounted sum of rewards `[steps, seats]` from each step to the end of its episode."""
    returns = np.array(rewards, np.float32)
    ends = set((starts[1:] - 1).tolist())
    for step in range(len(returns) - 2, -1, -1):
        if step not in ends:
            returns[step] += np.float32(discount) * returns[step + 1]
    return returns
