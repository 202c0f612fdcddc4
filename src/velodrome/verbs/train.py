"""`velodrome train`."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from velodrome.learn.evaluate import evaluate
from velodrome.learn.session import Exam, Goal, Limits, Saving, Totals, Trained, Watcher, resume
from velodrome.learn.session import train as train_session
from velodrome.learn.trainer import Trainer
from velodrome.meter.clock import Clock
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import Recipe, find
from velodrome.recipes.restore import build
from velodrome.runs.run import Config, Run
from velodrome.runs.settings import differences, settings_from_json, settings_to_json
from velodrome.show.terminal import watch_terminal
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import parse, parse_with_settings, subject
from velodrome.verbs.players import opponent
from velodrome.verbs.seeds import train_seeds


@dataclass(frozen=True)
class Train:
    """Train a recipe until a limit is reached, or until Ctrl-C; both save, and say how to go on."""

    recipe: Annotated[str, tyro.conf.Positional]
    """A name from `velodrome list`, or path/to/file.py:name."""
    run: Path | None = None
    """Folder of the run; by default a new one under runs/."""
    resume: bool = False
    """Go on where the run stopped; without a run there, begin one."""
    iterations: int | None = None
    """Stop after this many, earlier parts of the run included."""
    seconds: float | None = None
    """Stop after this much training, earlier parts of the run included, evaluation not."""
    until: str | None = None
    """Stop at a score, such as "score<6": the mean must be past it by two standard errors."""
    against: str | None = None
    """Whom to evaluate against: a bot of the game or the folder of a run; by default the game's last bot."""
    episodes: int = 1000
    """How many games an evaluation plays, or starts where each is played in every seat."""
    evaluate_every: float | None = None
    """Seconds of training between evaluations; by default 60 with --until, and never without."""
    save_every: float = 60.0
    """Seconds of training between saves; more where saving would take over 2 % of the time."""
    seed: int | None = None
    """Two trainings with the same seed are the same; 0 by default."""
    seeds: int | None = None
    """Train this many seeds one after another, evaluate each, and give mean and interval."""
    device: str | None = None
    """cpu (by default) or cuda."""
    threads: int | None = None
    """Threads that torch may use for one operation; by default as many as torch takes."""
    tensorboard: bool = False
    """Write event files for TensorBoard into the run's folder."""
    wandb: bool = False
    """Log to Weights & Biases."""
    trace: Path | None = None
    """Write a trace for Perfetto (.json.gz)."""
    json: bool = False
    """Answer with one JSON document."""


def train(arguments: Sequence[str]) -> Answer:
    """Train one seed or several."""
    name = subject("train", arguments, "RECIPE")
    if name is None:
        parse("train", Train, arguments)
        raise AssertionError("help ends the program")
    with callers_mistake():
        recipe = find(name)
    flags, settings = parse_with_settings("train", Train, arguments, recipe.settings())
    _refuse_bad_limits(flags)
    folder = flags.run or _new_folder(recipe)

    def one(folder: Path, seed: int | None) -> Answer:
        job = _Job(recipe, dataclasses.replace(flags, seed=seed), settings, Run(folder), arguments)
        return job.answer(job.train())

    return one(folder, flags.seed) if flags.seeds is None else train_seeds(flags, folder, one)


def _refuse_bad_limits(flags: Train) -> None:
    least = {"iterations": 0, "seconds": 0.0, "episodes": 2, "seeds": 1, "threads": 1, "save_every": 0.0, "seed": 0}
    for name, bound in least.items():
        value = getattr(flags, name)
        if value is not None and not value >= bound:
            raise Mistake(f"--{name.replace('_', '-')} {value}: it takes {bound} or more")
    if flags.evaluate_every is not None and not flags.evaluate_every > 0:
        raise Mistake(f"--evaluate-every {flags.evaluate_every}: it takes more than 0")
    if flags.resume and flags.run is None:
        raise Mistake("--resume needs --run DIR, the folder of the run to go on with")


def _new_folder(recipe: Recipe) -> Path:
    name = recipe.name.rsplit(":", 1)[-1]
    number = 1
    while (folder := Path("runs") / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


class _Job:
    """The training of one seed in one folder."""

    def __init__(self, recipe: Recipe, flags: Train, settings: Any, run: Run, arguments: Sequence[str]):
        self.recipe, self.flags, self.run, self.arguments = recipe, flags, run, arguments
        self.goes_on = run.exists
        if self.goes_on and not flags.resume:
            raise Mistake(f"{run.folder} holds a run already; add --resume to go on with it, or choose another --run")
        self.config = self._config_of_run() if self.goes_on else self._new_config(settings)

    def _new_config(self, settings: Any) -> Config:
        flags = self.flags
        return Config(
            recipe=self.recipe.name,
            settings=settings_to_json(settings),
            seed=flags.seed or 0,
            device=flags.device or "cpu",
            threads=flags.threads or torch.get_num_threads(),
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )

    def _config_of_run(self) -> Config:
        """The run's own settings; a flag that asks for others is a mistake, since it would be another run."""
        config = self.run.read_config()
        if config.recipe != self.recipe.name:
            raise Mistake(f"{self.run.folder} is a run of {config.recipe}, not of {self.recipe.name}")
        saved = settings_from_json(self.recipe.settings, config.settings)
        _, asked = parse_with_settings("train", Train, self.arguments, saved)
        changes = differences(config.settings, settings_to_json(asked))
        own = [(name, getattr(config, name), getattr(self.flags, name)) for name in ("seed", "device", "threads")]
        for name, was, wanted in changes + [one for one in own if one[2] is not None and one[1] != one[2]]:
            raise Mistake(
                f"--{name.replace('_', '-')} {wanted}: {self.run.folder} was begun with {was}; leave the flag out, or "
                "begin a new run"
            )
        return config

    def train(self) -> Trained:
        config = self.config
        torch.set_num_threads(config.threads)
        settings = settings_from_json(self.recipe.settings, config.settings)
        trainer = build(self.recipe, settings, config.seed, config.device)
        with self.run.owned():
            if self.run.exists and not self.goes_on:
                raise Mistake(f"another process has begun a run in {self.run.folder}; choose another --run")
            totals = self._resumed(trainer) if self.goes_on else Totals()
            if not self.goes_on:
                self.run.write_config(config)
            return self._session(trainer, totals)

    def _resumed(self, trainer: Trainer) -> Totals:
        checkpoints = self.run.checkpoints
        checkpoint = checkpoints.newest()
        if checkpoint is None:
            self.run.cut_back(0)
            _say(f"{self.run.folder} has no checkpoint yet; it begins anew")
            return Totals()
        for line in checkpoint.damaged:
            _say(f"{line}; going on from {checkpoint.folder.name}")
        checkpoints.set_aside_damaged(checkpoint)
        self.run.cut_back(checkpoint.iteration)
        totals = resume(trainer, checkpoint)
        _say(f"going on with {self.run.folder} after iteration {checkpoint.iteration}")
        return totals

    def _session(self, trainer: Trainer, totals: Totals) -> Trained:
        flags = self.flags
        limits = Limits(flags.iterations, flags.seconds, Goal.parse(flags.until) if flags.until else None)
        clock = Clock(self.config.device)
        watchers: list[Watcher] = [watch_terminal(f"{self.recipe.name}, seed {self.config.seed}", limits)]
        return train_session(
            trainer,
            self.run,
            limits,
            clock=clock,
            totals=totals,
            exam=self._exam(trainer),
            saving=Saving(flags.save_every),
            watchers=watchers,
        )

    def _exam(self, trainer: Trainer) -> Exam | None:
        flags = self.flags
        if flags.until is None and flags.evaluate_every is None:
            return None
        against = opponent(flags.against, trainer.game, self.config.device)
        every_s = flags.evaluate_every or 60.0

        def sit() -> Any:
            return evaluate(trainer, trainer.game, against.player, episodes=flags.episodes, device=self.config.device)

        return Exam(sit, against.name, every_s)

    def answer(self, trained: Trained) -> Answer:
        totals = trained.totals
        document = {
            "run": str(self.run.folder),
            "recipe": self.recipe.name,
            "seed": self.config.seed,
            "iterations": totals.iteration,
            **dataclasses.asdict(totals.counts),
            "seconds": totals.seconds,
            "checkpoint": str(trained.checkpoint),
            "digest": trained.digest,
            "stopped_by": trained.stopped_by,
        }
        done = f"{totals.iteration:,} iterations, {totals.counts.decisions:,} decisions, {totals.seconds:.1f} s"
        folder = shlex.quote(str(self.run.folder))
        if trained.stopped_by.startswith("SIG"):
            again = f"velodrome train {shlex.quote(self.recipe.name)} --run {folder} --resume"
            code = 130 if trained.stopped_by == "SIGINT" else 143
            return Answer(document, f"stopped and saved: {done}; go on with\n  {again}", code)
        return Answer(document, f"{self.recipe.name}: {done}\nrun: {self.run.folder}\nnext: velodrome evaluate {folder}")


def _say(line: str) -> None:
    print(f"velodrome: {line}", file=sys.stderr)
