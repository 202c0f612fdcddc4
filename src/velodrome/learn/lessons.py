"""Lessons: what a player of sequences learns to say from what a teacher tells, and what that costs it.

For each thing that the teacher tells there is a lesson, which counts in the steps in which the player says something of
its own about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from velodrome.games.game import Box, Game
from velodrome.learn.sequences import Tensors

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
    whether what the player gives as `of` is right, the label's being the greatest. A player that chooses between points
    gives them beside what it does, as `.points`, and the logarithms of their chances as `.logs`."""
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


class Syllabus:
    """The lessons of a player, as one loss."""

    def __init__(self, lessons: Sequence[Lesson], game: Game):
        self.lessons = tuple(lessons)
        self.boxes = {part.name: part for part in game.spec.action if isinstance(part, Box)}
        self.views = sorted({lesson.label for lesson in lessons} & game.views.keys())
        """The game's private views among what is told."""

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
        """Of a point. Of several among which the player chooses, each counts by how likely it was the one that was
        meant (Jacobs, Jordan, Nowlan, Hinton 1991)."""
        cost, told = self._off(lesson, outputs[lesson.output], wanted)
        if f"{lesson.output}.points" not in outputs:
            return cost.mean(), told
        costs, _ = self._off(lesson, outputs[f"{lesson.output}.points"], wanted.unsqueeze(-2))
        return -(outputs[f"{lesson.output}.logs"] - costs).logsumexp(-1).mean(), told

    def _off(self, lesson: Lesson, given: Tensor, wanted: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What a point costs in each step, `given` before its tanh, and how far off it and its direction are."""
        box = self.boxes[lesson.label]
        half = 0.5 * (box.high - box.low)
        point = half * given.tanh()
        away = (wanted - (box.low + half)).expand_as(point)
        if lesson.near:
            off = 2 * F.huber_loss(point, away, delta=lesson.near, reduction="none").mean(-1)
        else:
            off = F.mse_loss(point, away, reduction="none").mean(-1)
        far = away.norm(dim=-1) > NOWHERE * 2 * half
        course = torch.where(far, 1 - F.cosine_similarity(point, away, dim=-1, eps=1e-3), 0.0)
        return lesson.weight * off + lesson.course * course, [off.mean(), course.mean()]
