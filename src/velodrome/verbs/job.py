"""The training of one seed in one run folder: begun or gone on with."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from velodrome.learn.evaluate import evaluate
from velodrome.learn.session import Exam, Goal, Limits, Saving, Totals, Trained, Watcher, resume, train
from velodrome.learn.trainer import Trainer
from velodrome.learn.workers import WorkerGone
from velodrome.meter.clock import Clock
from velodrome.meter.machine import hardware
from velodrome.meter.trace import Trace
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import Recipe
from velodrome.recipes.restore import build_from
from velodrome.recipes.shares import share_of
from velodrome.recipes.tuned import read_settings
from velodrome.runs.files import writing_to
from velodrome.runs.run import Config, Run
from velodrome.runs.settings import differences, settings_from_json, settings_to_json
from velodrome.show.sinks import make_sinks, refuse_missing_sinks
from velodrome.show.terminal import watch_terminal
from velodrome.verbs.flags import parse_with_settings
from velodrome.verbs.players import opponent

if TYPE_CHECKING:
    from velodrome.verbs.train import Train

EVALUATE_EVERY_S = 60.0
MOST_LOST = 3
"""Workers lost without anything saved in between, after which the run gives up."""


class Job:
    """Making one looks at everything that was asked for; `train` is the first to write."""

    def __init__(self, recipe: Recipe, flags: Train, settings: Any, run: Run, arguments: Sequence[str]):
        self.recipe, self.flags, self.run = recipe, flags, run
        self.goes_on = run.exists
        if self.goes_on and not flags.resume:
            raise Mistake(f"{run.folder} holds a run already; add --resume to go on with it, or choose another --run")
        self.config = self._config_of_run(arguments) if self.goes_on else self._new_config(settings)

    def train(self) -> Trained:
        """Build the trainer, put it where the run stopped, and train it."""
        refuse_missing_sinks(self.flags.tensorboard, self.flags.wandb)
        return self._train(build_from(self.config)) if self.config.workers == 1 else self._train_together()

    def _train_together(self) -> Trained:
        """With several workers. Where one is lost, the run goes back to its last checkpoint, and on from there."""
        from velodrome.edge.cluster import cluster, fleet, processors_of

        lost = 0
        with cluster(self.flags.cluster, self.config.workers * processors_of(self.config)):
            while True:
                before = self.run.checkpoints.found()[-1:]
                try:
                    with fleet(self.config, self.flags.cluster, _say) as trainer:
                        return self._train(trainer)
                except WorkerGone as gone:
                    lost = lost + 1 if self.run.checkpoints.found()[-1:] == before else 1
                    if lost == MOST_LOST:
                        raise Mistake(
                            f"a worker was lost {lost} times in a row before anything was saved ({gone}); go on with "
                            "--resume once that is mended"
                        ) from None
                    _say(f"a worker was lost ({gone}); another takes its place")
                    self.goes_on = self.run.exists

    def _train(self, trainer: Trainer) -> Trained:
        exam = self._exam(trainer)
        with self.run.owned():
            if self.run.exists != self.goes_on:
                raise Mistake(f"another process has begun a run in {self.run.folder}; choose another --run")
            if not self.goes_on:
                self.run.write_config(self.config)
                return self._session(trainer, Totals(), exam)
            return self._session(trainer, self._resumed(trainer), exam)

    def _new_config(self, settings: Any) -> Config:
        workers = self.flags.workers or 1
        with callers_mistake():
            share_of(settings, workers)
        return Config(
            recipe=self.recipe.name,
            settings=settings_to_json(settings),
            seed=self.flags.seed or 0,
            device=self.flags.device or "cpu",
            threads=self.flags.threads or self._threads(workers),
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            machine=hardware(),
            scheme=str(self.recipe.team.scheme_of(settings)) if self.recipe.team else "",
            workers=workers,
        )

    def _threads(self, workers: int) -> int:
        """As many as torch takes; workers on this machine share them."""
        return torch.get_num_threads() if self.flags.cluster else max(1, torch.get_num_threads() // workers)

    def _config_of_run(self, arguments: Sequence[str]) -> Config:
        """The run's own settings; a flag that asks for others is a mistake, since it would be another run."""
        config = self.run.read_config()
        if config.recipe != self.recipe.name:
            raise Mistake(f"{self.run.folder} is a run of {config.recipe}, not of {self.recipe.name}")
        saved = settings_from_json(self.recipe.settings, config.settings)
        if self.flags.settings is not None:
            saved = read_settings(self.flags.settings, self.recipe).settings
        _, asked = parse_with_settings(f"train {self.recipe.name}", type(self.flags), arguments, saved)
        changes = differences(config.settings, settings_to_json(asked))
        for name in ("seed", "device", "threads", "workers"):
            was, wanted = getattr(config, name), getattr(self.flags, name)
            changes += [(name, was, wanted)] if wanted not in (None, was) else []
        if changes:
            name, was, wanted = changes[0]
            raise Mistake(
                f"--{name.replace('_', '-')} {wanted}: {self.run.folder} was begun with {was}; leave the flag out, or "
                "begin a new run"
            )
        return config

    def _resumed(self, trainer: Trainer) -> Totals:
        checkpoints = self.run.checkpoints
        checkpoint = checkpoints.newest()
        if checkpoint is None:
            self.run.cut_back(0)
            _say(f"{self.run.folder} has no checkpoint yet; it begins anew")
            return Totals()
        totals = resume(trainer, checkpoint)
        for line in checkpoint.damaged:
            _say(f"{line}; going on from {checkpoint.folder.name}")
        with writing_to(self.run.folder):
            checkpoints.set_aside_damaged(checkpoint)
            self.run.cut_back(checkpoint.iteration)
        _say(f"going on with {self.run.folder} after iteration {checkpoint.iteration}")
        if not trainer.game.resumes:
            _say(f"{trainer.game.spec.name} cannot be put back in mid-play: its games begin anew")
        return totals

    def _session(self, trainer: Trainer, totals: Totals, exam: Exam | None) -> Trained:
        flags, config = self.flags, self.config
        limits = Limits(flags.iterations, flags.seconds, Goal.parse(flags.until) if flags.until else None)
        trace = Trace() if flags.trace else None
        watchers: list[Watcher] = make_sinks(self.run.folder, config, totals.iteration, flags.tensorboard, flags.wandb)
        watchers.append(watch_terminal(f"{self.recipe.name}, seed {config.seed}", limits))
        clock = Clock(config.device, trace=trace)
        saving = Saving(flags.save_every)
        try:
            return train(
                trainer, self.run, limits, clock=clock, totals=totals, exam=exam, saving=saving, watchers=watchers
            )
        finally:
            if trace is not None and flags.trace is not None:
                with writing_to(flags.trace, "choose another --trace"):
                    trace.write(flags.trace)

    def _exam(self, trainer: Trainer) -> Exam | None:
        flags, device = self.flags, self.config.device
        if flags.until is None and flags.evaluate_every is None:
            return None
        against = opponent(flags.against, trainer.game, device)
        sit = partial(
            evaluate, trainer, trainer.game, against.player, episodes=flags.episodes, greedy=True, device=device
        )
        return Exam(sit, against.name, flags.evaluate_every or EVALUATE_EVERY_S)


def _say(line: str) -> None:
    print(f"velodrome: {line}", file=sys.stderr)
