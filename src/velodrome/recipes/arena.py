"""Arena by the real-time bot: three levels that learn together, from the scripted teacher, then from their own play.

Offline, the teacher plays. Then the bot does, more and more of the time, and the teacher tells what it would do there.
Then it learns online, from what it earns, and still a little from the teacher: it circles and flees well by doing it
exactly, and that it would lose by steps that are mostly luck.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from velodrome.games import make
from velodrome.learn.lessons import Lesson
from velodrome.learn.levels import Apprentice, Teaching
from velodrome.learn.recurrent import Recurrent, RecurrentPpo
from velodrome.learn.trainer import Stages
from velodrome.nets.arena import NEAR, Execution, Strategy, Tactics
from velodrome.nets.arena_player import ArenaPlayer, Levels
from velodrome.nets.transformer import Style
from velodrome.recipes.recipe import recipe

STEADY = Style(dropout=0.0)
"""The teacher's play never runs out, so that dropout guards against nothing, and PPO's ratio suffers from it."""


@dataclass(frozen=True)
class Lessons:
    """How much the lessons count, and how they are told."""

    mode: float = 0.3
    target: float = 1.0
    pointer: float = 100.0
    near: float = 0.05
    """How far off the pointer may be, as a part of the screen, before more counts no longer by its square: where the
    teacher goes to explore, nobody can see."""
    course: float = 2.0
    """Of the direction in which the pointer lies from the ship: near it, a small error is another course."""
    keys: float = 1.0
    confidence: float = 0.1
    smoothing: float = 0.1
    """The part of the mode's chance that is spread over all modes."""
    positive: float = 5.0
    """How much more a click counts than none, as published: who waits for a likely click waits for ever."""
    ability: float = 50.0
    """The same of the ability, which does no harm where it is not ready; whether it is, cannot be seen."""

    def told(self) -> tuple[Lesson, ...]:
        """The lessons."""
        return (
            Lesson("mode", "mode", "choice", self.mode, due="due.strategy", smoothing=self.smoothing),
            Lesson("confidence", "mode", "right", self.confidence, due="due.strategy", of="mode"),
            Lesson("choice", "target", "weights", self.target, due="due.tactics"),
            Lesson("pointer", "pointer", "point", self.pointer, near=self.near, course=self.course),
            Lesson("keys", "keys", "bits", self.keys, positive=(self.positive, self.ability)),
        )


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    games: int = 64
    """Played side by side."""
    frames: int = 6
    """For which a decision is good: with one a minute of play takes six times as long to learn from. The rates of the
    three levels are kept in frames."""
    longest: int = 3600
    """Frames of a game."""
    objects: int = 8
    """Shown at most; the bot was published with either 8 or 16."""
    marks: bool = True
    """Whether the bot is told what the ship has locked and what it goes for, as the screen shows it. In what it is told
    as published that is missing, though it decides whether to click on an enemy or to circle it."""
    strategy: Strategy = Strategy(samples=10, width=64, layers=1, style=STEADY)
    """Published: 60 samples, width 256, four layers, dropout."""
    tactics: Tactics = Tactics(width=32, layers=1, ship=True, between=Style("relu", dropout=0.0), style=STEADY)
    """Published: width 128, two layers, dropout."""
    execution: Execution = Execution(width=128, states=16, aims=True, bearing=True, style=STEADY)
    """Published: width 256, 64 states, dropout."""
    evened: bool = False
    """Whether numbers that are small in the views, as published, are brought to the size of the others: the ship's
    velocity, and the sizes by which kinds of objects are told apart. Who sees how it moves learns to go on like that,
    and not what the teacher goes by: its errors are smaller in the teacher's play, and it plays worse."""
    lessons: Lessons = Lessons()
    pretraining: int = 100
    """Iterations of learning from the teacher's play."""
    corrected: int = 200
    """Iterations of learning from what it says of the bot's."""
    offline: Teaching = Teaching(rate_halves=200, strays=0.6)
    corrections: Teaching = Teaching(share_halves=10, rate=1e-3, rate_halves=200)
    """The teacher's share falls fast: what the bot meets is what it has to know about."""
    online: Recurrent = Recurrent(minibatch=64, epochs=3, rate=1e-4, average=0.995, taught=0.1)
    lanes: int = 2
    """Processes that play and learn side by side, one core each."""


@dataclass(frozen=True)
class LstmSettings(Settings):
    """What can be set from the command line."""

    execution: Execution = replace(Settings.execution, remembers="lstm")
    """Published: width 256, dropout."""


@recipe(
    "arena",
    source="Hierarchical real-time bot, technical review",
    says="strategist, tactician and a Mamba executor learn together, from a teacher, then online",
)
def arena(settings: Settings, seed: int, device: str) -> Stages:
    """Build the trainer."""
    return _stages(settings, seed, device)


@recipe(
    "arena-lstm",
    source="Hierarchical real-time bot, technical review",
    says="the same with an LSTM as the executor's memory",
)
def arena_lstm(settings: LstmSettings, seed: int, device: str) -> Stages:
    """Build the trainer."""
    return _stages(settings, seed, device)


def _stages(settings: Settings, seed: int, device: str) -> Stages:
    """Three stages with one net, each with games of its own."""
    if settings.objects < NEAR:
        raise ValueError(f"objects={settings.objects}: the bot's samples hold {NEAR}")
    torch.manual_seed(seed)
    levels = Levels(
        settings.strategy,
        settings.tactics,
        settings.execution,
        frames=settings.frames,
        objects=settings.objects,
        marks=settings.marks,
        evened=settings.evened,
    )
    net, lessons, lanes = ArenaPlayer(levels), settings.lessons.told(), settings.lanes
    games = [
        make(
            "arena", settings.games, seed + stage, frames=settings.frames, longest=settings.longest,
            objects=settings.objects, marks=settings.marks,
        )
        for stage in range(3)
    ]  # fmt: skip
    first, second = (
        Apprentice(game, net, lessons, teaching, teacher="teacher", seed=seed, device=device, lanes=lanes)
        for game, teaching in zip(games[:2], (settings.offline, settings.corrections), strict=True)
    )
    online = RecurrentPpo(
        games[2], net, settings.online, seed=seed, device=device, lanes=lanes, lessons=lessons, teacher="teacher"
    )
    return Stages([(first, settings.pretraining), (second, settings.corrected), (online, 0)])
