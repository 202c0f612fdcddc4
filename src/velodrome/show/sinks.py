"""Where else the figures of a training can go: TensorBoard and Weights & Biases, both only when asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from velodrome.learn.evaluate import Evaluation
from velodrome.learn.session import Seen, Totals, Watcher
from velodrome.mistake import Mistake
from velodrome.runs.run import Config


class TensorBoard:
    """Event files beside the run's own."""

    def __init__(self, folder: Path, iteration: int):
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=iteration + 1)

    def iteration(self, seen: Seen) -> None:
        """Write the metrics and where the time went."""
        self._write(_figures(seen), seen.totals)

    def examined(self, totals: Totals, against: str, evaluation: Evaluation, took_s: float) -> None:
        """Write the score."""
        self._write({f"evaluation/{against}": evaluation.score}, totals)

    def close(self) -> None:
        """Flush what is still in memory."""
        self._writer.close()

    def _write(self, figures: Mapping[str, float], totals: Totals) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, totals.iteration)


class WeightsAndBiases:
    """A run on the server, or on disk, as the environment says (WANDB_MODE)."""

    def __init__(self, folder: Path, config: Config):
        import wandb

        self._run: Any = wandb.init(
            project="velodrome",
            dir=str(folder),
            name=folder.name,
            config=dataclasses.asdict(config),
        )

    def iteration(self, seen: Seen) -> None:
        """Send the metrics and where the time went."""
        self._run.log(_figures(seen), step=seen.totals.iteration)

    def examined(self, totals: Totals, against: str, evaluation: Evaluation, took_s: float) -> None:
        """Send the score."""
        self._run.log({f"evaluation/{against}": evaluation.score}, step=totals.iteration)

    def close(self) -> None:
        """Send what is still in memory."""
        self._run.finish()


def refuse_missing_sinks(tensorboard: bool, wandb: bool) -> None:
    """Raise a `Mistake` if a package that was asked for is not installed."""
    for wanted, name in ((tensorboard, "tensorboard"), (wandb, "wandb")):
        if wanted and find_spec(name) is None:
            raise Mistake(f'--{name} needs a package that is not installed; pip install "velodrome[{name}]"')


def make_sinks(folder: Path, config: Config, iteration: int, tensorboard: bool, wandb: bool) -> list[Watcher]:
    """The sinks that were asked for, of a run that goes on after `iteration`. Without any, nothing is imported and
    nothing is sent anywhere."""
    sinks: list[Watcher] = []
    if tensorboard:
        sinks.append(TensorBoard(folder, iteration))
    if wandb:
        sinks.append(WeightsAndBiases(folder, config))
    return sinks


def _figures(seen: Seen) -> dict[str, float]:
    counts = dataclasses.asdict(seen.progress.counts)
    seconds = seen.budget.wall_s
    return {
        **{f"training/{name}": float(value) for name, value in seen.progress.metrics.items()},
        **{f"speed/{name}_per_s": count / seconds for name, count in counts.items()},
        **{f"share/{phase.name}": phase.share for phase in seen.budget.phases},
        "training/seconds": seen.totals.seconds,
    }
