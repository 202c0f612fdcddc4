"""`velodrome train`."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from velodrome.learn.session import Goal, Trained
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import find
from velodrome.runs.files import new_folder
from velodrome.runs.run import Config, Run
from velodrome.verbs.answer import INTERRUPTED, Answer
from velodrome.verbs.flags import Count, Folder, Name, Seconds, parse, parse_with_file, refuse_below, subject
from velodrome.verbs.job import Job
from velodrome.verbs.seeds import train_seeds


@dataclass(frozen=True)
class Train:
    """Train a recipe, a name from `velodrome list` or path/to/file.py:name, until a limit is reached or until Ctrl-C;
    both save, and say how to go on."""

    run: Folder = None
    """Folder of the run; by default a new one under runs/."""
    resume: bool = False
    """Go on where the run stopped; without a run there, begin one."""
    iterations: Count = None
    """Stop after this many, earlier parts of the run included."""
    seconds: Seconds = None
    """Stop after this much training, earlier parts of the run included, evaluation not."""
    until: Name = None
    """Stop at a score, such as "score<6": the mean must be past it by two standard errors."""
    against: Name = None
    """Whom to evaluate against: a bot of the game, the folder of a run, or "nobody" to have all seats; by default the
    game's last bot."""
    episodes: int = 1000
    """How many games an evaluation plays, or starts where each is played in every seat."""
    evaluate_every: Seconds = None
    """Seconds of training between evaluations; by default 60 with --until, and never without."""
    save_every: float = 60.0
    """Seconds of training between saves; more where saving would take over 2 % of the time."""
    seed: Count = None
    """Two trainings with the same seed are the same; 0 by default."""
    seeds: Count = None
    """Train this many seeds one after another, evaluate each, and give mean and interval."""
    device: Name = None
    """cpu (by default), cuda or mps."""
    settings: Folder = None
    """A file with settings, such as the tuned.json of `velodrome tune`; flags change them further."""
    threads: Count = None
    """Threads that torch may use for one operation; by default as many as torch takes, or of several workers on this
    machine each its part of them."""
    workers: Count = None
    """Processes that learn together on Ray, each with its share of the games; 1 by default."""
    cluster: Name = None
    """Address of a Ray cluster that the workers are on, or "auto"; by default all are on this machine."""
    tensorboard: bool = False
    """Write event files for TensorBoard into the run's folder."""
    wandb: bool = False
    """Log to Weights & Biases."""
    trace: Folder = None
    """Write a trace for Perfetto (.json.gz)."""
    json: bool = False
    """Answer with one JSON document."""


def train(arguments: Sequence[str]) -> Answer:
    """Train one seed or several."""
    name, rest = subject("train", "RECIPE", arguments)
    if not name:
        parse("train RECIPE", Train, rest)
    with callers_mistake():
        recipe = find(name)
    flags, settings = parse_with_file(f"train {name}", Train, rest, recipe)
    _refuse_bad_flags(flags)
    folder = flags.run or new_folder(Path("runs"), recipe.name)

    def one(folder: Path, seed: int | None) -> Answer:
        job = Job(recipe, dataclasses.replace(flags, seed=seed), settings, Run(folder), rest)
        return _answer(job.run.folder, job.config, job.train())

    return one(folder, flags.seed) if flags.seeds is None else train_seeds(flags, folder, one)


def _refuse_bad_flags(flags: Train) -> None:
    refuse_below(flags, iterations=0, seconds=0.0, episodes=2, save_every=0.0, seed=0, seeds=1, threads=1, workers=1)
    if flags.evaluate_every is not None and not flags.evaluate_every > 0:
        raise Mistake(f"--evaluate-every {flags.evaluate_every}: it takes more than 0")
    if flags.resume and flags.run is None:
        raise Mistake("--resume needs --run DIR, the folder of the run to go on with")
    if flags.cluster is not None and flags.workers is None and not flags.resume:
        raise Mistake(f"--cluster {flags.cluster}: it takes --workers N, how many learn together there")
    if flags.cluster is not None and flags.cluster.startswith("ray://"):
        raise Mistake(
            f"--cluster {flags.cluster}: give the address of a cluster that this machine is part of, host:port or "
            "auto; this process is its first worker"
        )
    if flags.until is not None:
        Goal.parse(flags.until)


def _answer(folder: Path, config: Config, trained: Trained) -> Answer:
    totals = trained.totals
    document = {
        "run": str(folder),
        "recipe": config.recipe,
        "seed": config.seed,
        "workers": config.workers,
        "iterations": totals.iteration,
        **asdict(totals.counts),
        "seconds": totals.seconds,
        "checkpoint": str(trained.checkpoint),
        "digest": trained.digest,
        "stopped_by": trained.stopped_by,
    }
    done = f"{totals.iteration:,} iterations, {totals.counts.decisions:,} decisions, {totals.seconds:.1f} s"
    quoted = shlex.quote(str(folder))
    if trained.stopped_by.startswith("SIG"):
        again = f"velodrome train {shlex.quote(config.recipe)} --run {quoted} --resume"
        code = INTERRUPTED if trained.stopped_by == "SIGINT" else 143
        return Answer(document, f"stopped and saved: {done}; go on with\n  {again}", code)
    return Answer(document, f"{config.recipe}: {done}\nrun: {folder}\nnext: velodrome evaluate {quoted}")
