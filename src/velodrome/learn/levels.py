"""Learning from a teacher at several levels of one player at once, by its play, then by what it says of the player's.

The player may consist of nets of different rates; for each thing that the teacher tells there is a lesson, which counts
in the steps in which the player says something of its own about it. Sequences of play are kept, with what the player
remembered at their start, and are drawn many times. At first the teacher plays. As its share falls, the player sees
what comes of its own mistakes, and what the teacher would then do (DAgger: Ross, Gordon, Bagnell 2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from velodrome.games.game import Box, Game
from velodrome.learn.replay import Replay
from velodrome.learn.sequences import LABEL, MEMORY, VIEW, Pupil, SequenceNet, Tensors, parts_of
from velodrome.learn.step import fallen
from velodrome.learn.trainer import Counts
from velodrome.meter.clock import Clock

NOWHERE = 0.01
"""A point nearer to the middle of its box than this part of its width lies in no direction."""


@dataclass(frozen=True)
class Lesson:
    """What the player learns to say."""

    output: str
    """The name of what it gives."""
    label: str
    """What the teacher tells: a private view, or a part of its action."""
    kind: Literal["choice", "weights", "point", "course", "bits", "right"]
    """One of n, from logits, or from the logarithms of their weights; a point in a box of the game's actions, or just
    in which direction it lies from the middle; bits; whether what the player gives as `of` is right, the label's being
    the greatest."""
    weight: float = 1.0
    due: str = ""
    """The name of what says in which steps the player says it; else it does in all."""
    when: str = ""
    """The name of bits of the teacher's, of which the first says where the lesson counts; else it does everywhere."""
    of: str = ""
    smoothing: float = 0.0
    """Of a choice: the part of the chance that is spread over all."""
    positive: tuple[float, ...] = (1.0,)
    """Of bits: how much more each counts where it is set."""
    near: float = 0.0
    """Of a point: an error that is greater counts no longer by its square, or what nobody can foretell would drown all
    else (Huber 1964); 0: all do."""


@dataclass(frozen=True)
class Teaching:
    """Settings of the algorithm."""

    SHARED: ClassVar = ("memory", "minibatch")
    rows: int = 64
    """Decisions of a sequence."""
    memory: int = 1024
    """Sequences that are kept, the newest."""
    minibatch: int = 32
    """Sequences that are drawn for a step."""
    minibatches: int = 8
    """Of an iteration."""
    share: float = 1.0
    """In which part of the sequences the teacher plays, at first."""
    share_halves: int = 0
    """It falls as 1 / (1 + iteration / share_halves); 0 keeps it."""
    strays: float = 0.0
    """In which part of its decisions the teacher does anything instead, for a while at a time, so that there is
    something to learn from where it would not have come to (DART: Laskey et al. 2017)."""
    rate: float = 2e-3
    warm_up: int = 10
    """Iterations over which the learning rate rises."""
    falls: Literal["halves", "cosine"] = "halves"
    """How it then falls: as the share does, or like half a wave, to nothing."""
    rate_halves: int = 0
    """With halves: iterations after which half of it is left; 0 keeps it. With cosine: after which nothing is."""
    decay: float = 0.01
    """Of the weights of linear layers."""
    gradient_clip: float = 1.0
    average: float = 0.998
    """Decay of the running average of the weights that plays in evaluations; 0: the latest weights play."""

    def rate_of(self, iteration: int) -> float:
        """The learning rate of an iteration."""
        rate = self.rate * min(1.0, (iteration + 1) / max(self.warm_up, 1))
        if self.falls == "cosine" and self.rate_halves:
            return rate * 0.5 * (1 + math.cos(math.pi * min(1.0, iteration / self.rate_halves)))
        return fallen(rate, iteration, self.rate_halves)


class Apprentice(Pupil):
    """A player at work on its lessons."""

    def __init__(
        self,
        game: Game,
        net: SequenceNet,
        lessons: Sequence[Lesson],
        settings: Teaching,
        *,
        teacher: str,
        seed: int = 0,
        device: str = "cpu",
        lanes: int = 1,
    ):
        """`net` is a module; `teacher` a bot of the game. Several `lanes` are for the CPU alone."""
        self.lessons, self.settings = tuple(lessons), settings
        self.boxes = {part.name: part for part in game.spec.action if isinstance(part, Box)}
        views = sorted({lesson.label for lesson in lessons} & game.views.keys())
        super().__init__(
            game, net, settings, seed=seed, device=device, lanes=lanes, small=1e-8, decay=settings.decay,
            memory=settings.memory, teacher=teacher, labels=views, strays=settings.strays,
        )  # fmt: skip

    def work(self, clock: Clock) -> tuple[Counts, dict[str, float]]:
        """Play a sequence of each game, then learn from those that are kept."""
        settings, lane = self.settings, self.lane
        assert lane.kept is not None
        self.optimizer.rate = settings.rate_of(self.iteration)
        share = fallen(settings.share, self.iteration, settings.share_halves)
        self.nets["net"].eval()
        played, counts = lane.sequences.play(clock, share)
        with clock("collect.encode"):
            kept = {name: part for name, part in played.items() if name.startswith((VIEW, LABEL, MEMORY))}
            lane.kept.append(kept | {"known": played["known"]})
        self.nets["net"].train()
        self.team.gather(clock)
        sums: dict[str, float] = {}
        for _ in range(settings.minibatches):
            for name, value in self._learn(lane.kept, counts, clock).items():
                sums[name] = sums.get(name, 0.0) + value / settings.minibatches
        with clock("wait"):
            told = dict(zip(sums, self.team.exchange(*sums.values()).mean(0).tolist(), strict=True))
        return counts, told | {"teacher": share}

    def _learn(self, kept: Replay, counts: Counts, clock: Clock) -> dict[str, float]:
        """A step."""
        with clock("learn.sample"):
            drawn = kept.draw(self.minibatch, self.lane.generator)
            drawn = {name: part.to(self.device) for name, part in drawn.items()}
            counts.learner_samples += int(drawn["known"].sum())
        with clock("learn.forward"):
            outputs, _ = self.net.unroll(parts_of(drawn, VIEW), parts_of(drawn, MEMORY))
        with clock("learn.loss"):
            loss, told = self.losses(outputs, parts_of(drawn, LABEL), drawn["known"])
        told["gradient_norm"] = self.step(loss, clock)
        return told

    def losses(self, outputs: Tensors, labels: Tensors, known: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The weighted sum of what the lessons cost, over the steps `known [rows, steps]`, and what to report of them:
        the loss of each and, of a choice, how often it was right."""
        total, told = known.new_zeros((), dtype=torch.float32), dict[str, float]()
        for lesson in self.lessons:
            counts = known & outputs[lesson.due] if lesson.due else known
            if lesson.when:
                counts = counts & labels[lesson.when][..., 0].bool()
            output, label = outputs[lesson.output], labels[lesson.label]
            if lesson.kind == "weights":
                counts = counts & (label < output.shape[-1])
            name = "course" if lesson.kind == "course" else lesson.output
            which = counts.flatten().nonzero().squeeze(1)
            chosen = lesson.kind in ("choice", "weights")
            if not len(which):
                told |= {f"{name}_loss": 0.0} | ({f"{lesson.output}_right": 0.0} if chosen else {})
                continue
            given, wanted = (part.flatten(0, 1).index_select(0, which) for part in (output, label))
            judged = outputs[lesson.of].flatten(0, 1).index_select(0, which) if lesson.of else given
            loss = self._loss(lesson, given, wanted, judged)
            told[f"{name}_loss"] = float(loss.detach())
            if chosen:
                told[f"{lesson.output}_right"] = float((given.argmax(-1) == wanted).float().mean())
            total = total + lesson.weight * loss
        return total, told

    def _loss(self, lesson: Lesson, given: Tensor, wanted: Tensor, judged: Tensor) -> Tensor:
        """The mean of what a lesson costs in some steps."""
        if lesson.kind == "choice":
            return F.cross_entropy(given, wanted, label_smoothing=lesson.smoothing)
        if lesson.kind == "weights":
            return F.nll_loss(given, wanted)
        if lesson.kind == "point":
            box = self.boxes[lesson.label]
            centre = box.low + 0.5 * (box.high - box.low) * (1 + given.tanh())
            return 2 * F.huber_loss(centre, wanted, delta=lesson.near) if lesson.near else F.mse_loss(centre, wanted)
        if lesson.kind == "course":
            box = self.boxes[lesson.label]
            away = wanted - 0.5 * (box.low + box.high)
            far = away.norm(dim=-1, keepdim=True) > NOWHERE * (box.high - box.low)
            off = 1 - F.cosine_similarity(given.tanh(), away, dim=-1, eps=1e-3)
            return torch.where(far.squeeze(-1), off, 0.0).mean()
        if lesson.kind == "bits":
            return F.binary_cross_entropy_with_logits(
                given, wanted.float(), pos_weight=given.new_tensor(lesson.positive)
            )
        return F.binary_cross_entropy_with_logits(given, (judged.argmax(-1) == wanted).float())
