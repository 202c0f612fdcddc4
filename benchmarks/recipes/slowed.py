"""Hearts on one core, with a delay in a phase of choice: what a trial has to find, or not to find."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from velodrome.learn.ppo import Ppo
from velodrome.learn.trainer import Progress, Trainer
from velodrome.meter.clock import Clock
from velodrome.recipes import recipe
from velodrome.recipes.hearts import Settings as Hearts
from velodrome.recipes.hearts import hearts


@dataclass(frozen=True)
class Settings:
    """What can be set from the command line."""

    phase: str = "learn.backward"
    """Which one is delayed."""
    delay: float = 0.0
    """By this part of an iteration."""
    batch: int = 4096


class Slowed:
    """A trainer whose spans of one name take longer; everything else is the trainer's own."""

    def __init__(self, trainer: Trainer, phase: str, delay: float):
        self._trainer, self._phase, self._delay = trainer, phase, delay
        self._each_s, self._spans, self._delayed_s = 0.0, 0, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def iterate(self, clock: Clock) -> Progress:
        """An iteration, its delays reckoned from the time that the last one took without them."""
        self._spans, self._delayed_s, began = 0, 0.0, time.perf_counter()
        progress = self._trainer.iterate(_Delaying(clock, self))  # type: ignore[arg-type]
        own_s = time.perf_counter() - began - self._delayed_s
        self._each_s = self._delay * own_s / max(self._spans, 1)
        return progress

    def wait(self) -> None:
        """Do nothing for the time that one span is to take longer."""
        began = time.perf_counter()
        while time.perf_counter() - began < self._each_s:
            pass
        self._spans += 1
        self._delayed_s += time.perf_counter() - began

    def span(self, clock: Clock, name: str) -> Any:
        """The clock's span, longer where it has the name."""
        return _Longer(clock(name), self) if name == self._phase else clock(name)


class _Delaying:
    def __init__(self, clock: Clock, slowed: Slowed):
        self._clock, self._slowed = clock, slowed

    def __call__(self, name: str) -> Any:
        return self._slowed.span(self._clock, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


class _Longer:
    def __init__(self, span: Any, slowed: Slowed):
        self._span, self._slowed = span, slowed

    def __enter__(self) -> None:
        self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slowed.wait()
        self._span.__exit__(kind, error, trace)


@recipe("slowed", source="benchmarks", says="hearts on one core, one phase delayed")
def slowed(settings: Settings, seed: int, device: str) -> Any:
    """Build the trainer."""
    ppo: Ppo = replace(Hearts().ppo, batch=settings.batch, minibatch=1024)
    return Slowed(hearts(Hearts(games=256, lanes=1, ppo=ppo), seed, device), settings.phase, settings.delay)
