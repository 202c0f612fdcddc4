"""Learning from a teacher at several levels of one player at once, by its play, then by what it says of the player's.

The player may consist of nets of different rates; for each thing that the teacher tells there is a lesson. Sequences of
play are kept, with what the player remembered at their start, and are drawn many times. At first the teacher plays. As
its share falls, the player sees what comes of its own mistakes, and what the teacher would then do (DAgger: Ross,
Gordon, Bagnell 2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from velodrome.games.game import Game
from velodrome.learn.lessons import Lesson, Syllabus
from velodrome.learn.replay import Replay
from velodrome.learn.sequences import LABEL, MEMORY, VIEW, Pupil, SequenceNet, parts_of
from velodrome.learn.step import fallen
from velodrome.learn.trainer import Counts
from velodrome.meter.clock import Clock


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
        self.lessons, self.settings = Syllabus(lessons, game), settings
        super().__init__(
            game, net, settings, seed=seed, device=device, lanes=lanes, small=1e-8, decay=settings.decay,
            memory=settings.memory, teacher=teacher, labels=self.lessons.views, strays=settings.strays,
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
            loss, told = self.lessons.losses(outputs, parts_of(drawn, LABEL), drawn["known"])
        told["gradient_norm"] = self.step(loss, clock)
        return told
