"""Proximal policy optimisation (Schulman et al. 2017) for a player that remembers, in games of one seat.

What is learnt from are whole sequences, each from what the player remembered at its start when it was played; so that
gradients flow through all that it remembers within one. A teacher may go on telling what it would do: what the player
does well only by doing it exactly, it would else unlearn step by step (kickstarting: Schmitt et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from velodrome.games.game import Game
from velodrome.learn.kernels.clipped import METRICS, clipped_objective
from velodrome.learn.lessons import Lesson, Syllabus
from velodrome.learn.sequences import ACTION, LABEL, MEMORY, VIEW, Pupil, SequenceNet, Tensors, parts_of
from velodrome.learn.step import fallen
from velodrome.learn.trainer import Counts
from velodrome.meter.clock import Clock


@dataclass(frozen=True)
class Recurrent:
    """Settings of the algorithm."""

    SHARED: ClassVar = ("minibatch",)
    rows: int = 64
    """Decisions of a sequence."""
    minibatch: int = 16
    """Sequences that are learnt from in a step."""
    epochs: int = 2
    values_first: int = 20
    """Iterations in which values alone are learnt: a player that has learnt before would unlearn by wrong ones."""
    rate: float = 3e-5
    """A pointer that is hardly spread is another one after a small step."""
    rate_halves: int = 0
    """The learning rate falls as 1 / (1 + iteration / rate_halves); 0 keeps it."""
    clip: float = 0.2
    discount: float = 0.99
    """Per decision."""
    trace: float = 0.95
    """Lambda of the advantage estimate."""
    entropy: float = 0.0
    """Weight of the policy's entropy."""
    value: float = 0.5
    """Weight of the value loss."""
    reward_scale: float = 0.1
    gradient_clip: float = 0.5
    kl_stop: float = 0.02
    """End the epochs of an iteration once the policy has moved this far; 0 never does."""
    average: float = 0.99
    """Decay of the running average of the weights that plays in evaluations; 0: the latest weights play."""
    taught: float = 0.0
    """Weight of the teacher's lessons; with 0 none are given."""


class RecurrentPpo(Pupil):
    """The algorithm at work."""

    def __init__(
        self,
        game: Game,
        net: SequenceNet,
        settings: Recurrent,
        *,
        seed: int = 0,
        device: str = "cpu",
        lanes: int = 1,
        lessons: Sequence[Lesson] = (),
        teacher: str | None = None,
    ):
        """`net` is a module; `teacher` a bot of the game that gives the `lessons`, if they count. Several `lanes` are
        for the CPU alone."""
        self.settings = settings
        self.lessons = Syllabus(lessons if settings.taught else (), game)
        super().__init__(
            game, net, settings, seed=seed, device=device, lanes=lanes,
            teacher=teacher if self.lessons.lessons else None, labels=self.lessons.views,
        )  # fmt: skip

    def work(self, clock: Clock) -> tuple[Counts, dict[str, float]]:
        """Play a sequence of each game, learn from it."""
        settings, lane, team = self.settings, self.lane, self.team
        self.optimizer.rate = fallen(settings.rate, self.iteration, settings.rate_halves)
        self.nets["net"].eval()  # without dropout PPO's ratio is 1 before the first update
        played, counts = lane.sequences.play(clock)
        team.gather(clock)
        with clock("collect.encode"):
            advantage = advantages(played, settings.reward_scale, settings.discount, settings.trace)
            returns, known = advantage + played["value"], played["known"]
            spread = team.spread(advantage[known], returns[known], torch.from_numpy(lane.sequences.outcomes))
            (_, mean, unknown), (_, _, of_returns), (ended, score, _) = spread
            played["returns"] = returns
            played["advantage"] = (advantage - mean) / (math.sqrt(max(unknown, 0.0)) + 1e-8)
        games = len(known)
        sums, norms, steps = torch.zeros(len(METRICS)), 0.0, 0
        size = min(self.minibatch, games)
        for _ in range(settings.epochs):
            with clock("learn.sample"):
                order = torch.randperm(games, generator=lane.generator)
            moved, before = 0.0, steps
            for which in torch.split(order, size)[: games // size]:
                told, norm, samples = self._learn(played, which, clock)
                sums, norms, steps = sums + told, norms + norm, steps + 1
                counts.learner_samples += samples
                moved += float(told[METRICS.index("kl")])
            with clock("wait"):
                moved = float(team.exchange(moved).mean()) / (steps - before)
            if settings.kl_stop and moved > settings.kl_stop:
                break
        with clock("wait"):
            found = team.exchange(*(sums / steps).tolist()).mean(0).tolist()
        metrics = dict(zip(METRICS, found, strict=True))
        metrics |= {"explained_variance": 1 - unknown / max(of_returns, 1e-12), "gradient_norm": norms / steps}
        return counts, metrics | ({"score": score} if ended else {})

    def _learn(self, played: Tensors, which: Tensor, clock: Clock) -> tuple[Tensor, float, int]:
        """A step from some of the sequences: what it told, the norm of its gradient, and its samples."""
        settings = self.settings
        with clock("learn.sample"):
            drawn = {name: part.index_select(0, which).to(self.device) for name, part in played.items()}
            known = drawn["known"]
            views = parts_of(drawn, VIEW)
        with clock("learn.forward"):
            outputs, _ = self.net.unroll(views, parts_of(drawn, MEMORY))
        with clock("learn.loss"):
            actions = self.lane.sequences.actions
            taken = {name: part[known] for name, part in outputs.items() if actions.reads(name)}
            action = {name: part[known] for name, part in parts_of(drawn, ACTION).items()}
            seen = {name: views[name][known] for name in actions.masks}
            log_prob, entropy = actions.log_prob_and_entropy(taken, action, seen)
            value, (before, advantage, returns) = (
                outputs["value"][known],
                (drawn[name][known] for name in ("log_prob", "advantage", "returns")),
            )
            if self.iteration < settings.values_first:
                log_prob, entropy = log_prob.detach(), entropy.detach()
            loss, told = clipped_objective(
                log_prob, entropy, value, before, advantage, returns,
                clip=settings.clip, value_weight=settings.value, entropy_weight=settings.entropy,
            )  # fmt: skip
            if self.lessons.lessons:
                taught, _ = self.lessons.losses(outputs, parts_of(drawn, LABEL), known)
                loss = loss + settings.taught * taught
        norm = self.step(loss, clock)
        return told.cpu(), norm, len(value)


def advantages(played: Tensors, reward_scale: float, discount: float, trace: float) -> Tensor:
    """How much better than its value each step `[rows, steps]` turned out (Schulman et al. 2016). What was cut off is
    worth what it is said to be; what has ended, nothing more. Steps that are not known have no advantage."""
    goes_on = discount * (~played["ended"]).float()
    value = torch.cat([played["value"], played["after"].unsqueeze(1)], 1)
    surprise = reward_scale * played["reward"] + goes_on * value[:, 1:] - value[:, :-1]
    advantage, after = torch.empty_like(surprise), torch.zeros_like(surprise[:, 0])
    for step in range(surprise.shape[1] - 1, -1, -1):
        after = (surprise[:, step] + trace * goes_on[:, step] * after) * played["known"][:, step]
        advantage[:, step] = after
    return advantage
