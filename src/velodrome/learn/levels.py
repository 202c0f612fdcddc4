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
    kind: Literal["choice", "weights", "point", "bits", "right"]
    """One of n, from logits, or from the logarithms of their weights; a point in a box of the game's actions; bits;
    whether what the player gives as `of` is right, the label's being the greatest. A player that chooses between two
    points gives them beside what it does, as `.here` and `.there`, and the logit of the second as `.aims`."""
    weight: float = 1.0
    due: str = ""
    """The name of what says in which steps the player says it; else it does in all."""
    of: str = ""
    smoothing: float = 0.0
    """Of a choice: the part of the chance that is spread over all."""
    positive: tuple[float, ...] = (1.0,)
    """Of bits: how much more each counts where it is set."""
    near: float = 0.0
    """Of a point: an error that is greater counts no longer by its square, or what nobody can foretell would drown all
    else (Huber 1964); 0: all do."""
    course: float = 0.0
    """Of a point: how much its direction from the middle counts besides."""

    @property
    def tells(self) -> tuple[str, ...]:
        """The names of what is reported of it."""
        more = {"choice": ("right",), "weights": ("right",), "point": ("course",)}
        return tuple(f"{self.output}_{what}" for what in ("loss", *more.get(self.kind, ())))

    def needs(self, name: str) -> bool:
        """Whether it takes an output of this name to say what it costs."""
        return name in (self.output, self.of) or name.startswith(f"{self.output}.")


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
            label = labels[lesson.label]
            if lesson.kind == "weights":
                counts = counts & (label < outputs[lesson.output].shape[-1])
            which = counts.flatten().nonzero().squeeze(1)
            if not len(which):
                told |= dict.fromkeys(lesson.tells, 0.0)
                continue
            given = {
                name: part.flatten(0, 1).index_select(0, which) for name, part in outputs.items() if lesson.needs(name)
            }
            loss, figures = self._loss(lesson, given, label.flatten(0, 1).index_select(0, which))
            told |= dict(zip(lesson.tells, (float(figure.detach()) for figure in figures), strict=True))
            total = total + loss
        return total, told

    def _loss(self, lesson: Lesson, outputs: Tensors, wanted: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What a lesson costs in the mean of some steps, and what it tells of them."""
        given = outputs[lesson.output]
        if lesson.kind in ("choice", "weights"):
            right = (given.argmax(-1) == wanted).float().mean()
            if lesson.kind == "choice":
                loss = F.cross_entropy(given, wanted, label_smoothing=lesson.smoothing)
            else:
                loss = F.nll_loss(given, wanted)
            return lesson.weight * loss, [loss, right]
        if lesson.kind == "point":
            return self._pointing(lesson, outputs, wanted)
        if lesson.kind == "bits":
            heavier = given.new_tensor(lesson.positive)
            loss = F.binary_cross_entropy_with_logits(given, wanted.float(), pos_weight=heavier)
        else:
            right = (outputs[lesson.of].argmax(-1) == wanted).float()
            loss = F.binary_cross_entropy_with_logits(given, right)
        return lesson.weight * loss, [loss]

    def _pointing(self, lesson: Lesson, outputs: Tensors, wanted: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Of a point. Of two between which the player chooses, each counts by how likely it was the one that was meant
        (Jacobs, Jordan, Nowlan, Hinton 1991)."""
        cost, told = self._off(lesson, outputs[lesson.output], wanted)
        if f"{lesson.output}.aims" not in outputs:
            return cost.mean(), told
        here, there = (self._off(lesson, outputs[f"{lesson.output}.{point}"], wanted)[0] for point in ("here", "there"))
        aims = outputs[f"{lesson.output}.aims"]
        return -torch.logaddexp(F.logsigmoid(-aims) - here, F.logsigmoid(aims) - there).mean(), told

    def _off(self, lesson: Lesson, given: Tensor, wanted: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What a point costs in each step, `given` before its tanh, and how far off it and its direction are."""
        box = self.boxes[lesson.label]
        half = 0.5 * (box.high - box.low)
        point, away = half * given.tanh(), wanted - (box.low + half)
        if lesson.near:
            off = 2 * F.huber_loss(point, away, delta=lesson.near, reduction="none").mean(-1)
        else:
            off = F.mse_loss(point, away, reduction="none").mean(-1)
        far = away.norm(dim=-1) > NOWHERE * 2 * half
        course = torch.where(far, 1 - F.cosine_similarity(point, away, dim=-1, eps=1e-3), 0.0)
        return lesson.weight * off + lesson.course * course, [off.mean(), course.mean()]
