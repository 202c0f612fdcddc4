"""From names and run folders to trainers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from velodrome.learn.session import load, seed_everything
from velodrome.learn.trainer import Trainer
from velodrome.learn.workers import seed_of
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import Recipe, find
from velodrome.recipes.shares import share_of
from velodrome.runs.checkpoint import Checkpoint
from velodrome.runs.run import Config, Run
from velodrome.runs.settings import settings_from_json


@dataclass(frozen=True)
class Restored:
    """A trainer as a run's newest whole checkpoint left it."""

    trainer: Trainer
    config: Config
    checkpoint: Checkpoint


def build(recipe: Recipe, settings: Any, seed: int, device: str) -> Trainer:
    """A new trainer; what the recipe refuses is the caller's mistake."""
    refuse_missing_device(device)
    seed_everything(seed)
    with callers_mistake():
        return recipe.build(settings, seed, device)


def build_from(config: Config, device: str | None = None, worker: int = 0) -> Trainer:
    """The trainer that a run began with, or that of one of its workers."""
    with callers_mistake():
        recipe = find(config.recipe)
        settings = share_of(settings_from_json(recipe.settings, config.settings), config.workers)
    torch.set_num_threads(config.threads)
    return build(recipe, settings, seed_of(config.seed, worker), device or config.device)


def restore(folder: Path, device: str | None = None) -> Restored:
    """The agent of a run, to be looked at: the run's folder is left as it is."""
    run = Run(folder)
    config = run.read_config()
    checkpoint = run.checkpoints.newest()
    if checkpoint is None:
        raise Mistake(f"{folder} has no checkpoint yet; train it for longer")
    trainer = build_from(config, device)
    load(trainer, checkpoint)
    return Restored(trainer, config, checkpoint)


def refuse_missing_device(device: str) -> None:
    """Raise a `Mistake` if torch cannot compute on `device` here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise Mistake(f"--device {device} is not to be had here; use --device cpu") from error
