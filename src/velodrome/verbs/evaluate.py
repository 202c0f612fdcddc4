"""`velodrome evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from velodrome.games.game import Game
from velodrome.learn.evaluate import Evaluation
from velodrome.learn.evaluate import evaluate as play
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import RECIPES, find
from velodrome.recipes.restore import build, restore
from velodrome.runs.files import writing_to
from velodrome.runs.run import Run
from velodrome.show.terminal import score_line
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import parse, parse_with_settings, subject
from velodrome.verbs.players import Opponent, opponent


@dataclass(frozen=True)
class Evaluate:
    """Measure how well a run plays; the result is also kept in the run's folder."""

    agent: Annotated[str, tyro.conf.Positional]
    """The folder of a run, or a recipe, whose agent is then untrained."""
    against: str | None = None
    """A bot of the game or the folder of another run; by default the game's last bot."""
    episodes: int = 1000
    """How many games to play, or starts where each is played in every seat."""
    greedy: bool = False
    """Always take the likeliest action."""
    seed: int = 0
    """The same seed plays the same games."""
    device: str | None = None
    """cpu or cuda; by default what the run was trained on."""
    threads: int | None = None
    """Threads that torch may use for one operation."""
    json: bool = False
    """Answer with one JSON document."""


def evaluate(arguments: Sequence[str]) -> Answer:
    """Evaluate a run, or the untrained agent of a recipe."""
    name = subject("evaluate", arguments, "RUN")
    if name is not None and not Run(Path(name)).exists:
        return _evaluate_recipe(name, arguments)
    flags = parse("evaluate", Evaluate, arguments)
    _refuse_bad_flags(flags)
    document = evaluated(
        Path(flags.agent), flags.against, flags.episodes, flags.seed, flags.greedy, flags.device, flags.threads
    )
    return Answer(document, document.pop("text"))


def evaluated(
    folder: Path,
    against: str | None,
    episodes: int,
    seed: int = 0,
    greedy: bool = False,
    device: str | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Evaluate the run in `folder` and add the result to its evaluations, the game's bots beside it."""
    restored = restore(folder, device)
    device = device or restored.config.device
    torch.set_num_threads(threads or restored.config.threads)
    rival = opponent(against, restored.trainer.game, device)
    evaluation = play(
        restored.trainer, restored.trainer.game, rival.player, episodes=episodes, seed=seed, greedy=greedy, device=device
    )
    totals = restored.checkpoint.state["totals"]
    record = {"iteration": totals["iteration"], "seconds": totals["seconds"], "against": rival.name}
    record |= evaluation.to_json()
    record["baselines"] = baselines(restored.trainer.game, rival, episodes, seed)
    run = Run(folder)
    with writing_to(folder):
        run.append("evaluations.jsonl", record)
        run.flush()
    run.close()
    warnings = "".join(f"velodrome: {line}\n" for line in restored.checkpoint.damaged)
    return record | {"run": str(folder), "text": f"{warnings}{_text(str(folder), rival, evaluation, record['baselines'])}"}


def baselines(game: Game, rival: Opponent, episodes: int, seed: int) -> dict[str, dict[str, float]]:
    """What the game's bots score against the same bot, over the same starts; nothing where the rival is a run."""
    if not isinstance(rival.player, str):
        return {}
    scores = {}
    for bot in dict.fromkeys(["random", *game.spec.bots]):
        evaluation = play(bot, game, rival.player, episodes=episodes, seed=seed)
        scores[bot] = {"score": evaluation.score, "stderr": evaluation.stderr}
    return scores


def _evaluate_recipe(name: str, arguments: Sequence[str]) -> Answer:
    if Path(name).is_dir() and name not in RECIPES:
        raise Mistake(f"{name} is no run: it has no config.json that can be read")
    with callers_mistake():
        recipe = find(name)
    flags, settings = parse_with_settings("evaluate", Evaluate, arguments, recipe.settings())
    _refuse_bad_flags(flags)
    device = flags.device or "cpu"
    if flags.threads:
        torch.set_num_threads(flags.threads)
    trainer = build(recipe, settings, flags.seed, device)
    rival = opponent(flags.against, trainer.game, device)
    evaluation = play(
        trainer, trainer.game, rival.player, episodes=flags.episodes, seed=flags.seed, greedy=flags.greedy, device=device
    )
    against = baselines(trainer.game, rival, flags.episodes, flags.seed)
    document = {"recipe": name, "against": rival.name, **evaluation.to_json(), "baselines": against}
    return Answer(document, _text(f"{name}, untrained", rival, evaluation, against))


def _refuse_bad_flags(flags: Evaluate) -> None:
    if flags.episodes < 2:
        raise Mistake(f"--episodes {flags.episodes}: a standard error needs at least 2")
    if flags.threads is not None and flags.threads < 1:
        raise Mistake(f"--threads {flags.threads}: it takes 1 or more")


def _text(who: str, rival: Opponent, evaluation: Evaluation, beside: dict[str, dict[str, float]]) -> str:
    lines = [f"{who}: {score_line(rival.name, evaluation)}"]
    lines += [f"  the bot {name} in its place: {one['score']:.3f} ± {2 * one['stderr']:.3f}" for name, one in beside.items()]
    return "\n".join(lines)
