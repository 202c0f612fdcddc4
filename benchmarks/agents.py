"""The agents that ship with the package: trains them, scores them over games that nobody trained on, and writes them to
src/velodrome/agents and results/agents.json.

    python benchmarks/agents.py [RECIPE ...] [--minutes 20] [--episodes 1000]
    python benchmarks/agents.py --run RUN

The first trains: each with its recipe's own settings, or with smaller nets where its file would be too large. The
second takes a run as it stands, whatever trained it, for the agent of its recipe. A file above a certain size holds
weights in half of their precision, if then it plays as before: the same choices, but for one in a hundred, and a score
no further away than its standard error. Interrupted, or with more minutes, the first goes on where it was. What one
recipe is refused for keeps none of the others.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import RESULTS, Lines, keep, velodrome
from velodrome.edge.export import seen_in_play
from velodrome.games.game import Box, Simplex
from velodrome.learn.evaluate import Evaluation, evaluate
from velodrome.learn.players import rival_of
from velodrome.learn.trainer import Trainer
from velodrome.meter.machine import hardware
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes import RECIPES, find
from velodrome.recipes.restore import build, restore
from velodrome.recipes.shipped import AGENTS, About, put_weights, weights_of_play, write
from velodrome.runs.run import Run
from velodrome.runs.settings import settings_from_json
from velodrome.verbs.flags import parse_with_settings
from velodrome.verbs.train import Train

SMALLER: dict[str, list[str]] = {
    "arena-lstm": ["--execution.width", "96"],
    "hearts-attention": ["--width", "32", "--heads", "2", "--layers", "1"],
    "hearts-mlp": ["--widths", "48", "64", "64"],
    "platoon-neurcomm": ["--width", "32"],
}
"""Settings of nets whose files would else be too large."""
LARGER = {"territory-attention": 1_100_000}
"""Bytes of a file whose net has no width to be set."""
LEFT_OUT = {"territory-flatten": "its net has no width to be set, and would take 13 MB in half precision"}
WHOLE, LARGEST = 200_000, 600_000
"""Bytes up to which weights are kept in full precision, and that a file has at most."""
SEED, FIRST, GAMES, STEPS = 0, 1000, 32, 64
"""Of training, of the games that agents are scored in, and what is played to compare choices."""
SAME, NEAR = 0.99, 0.01
"""The share of choices that have to be the same in half precision, and how far numbers may be from each other."""
RUNS = Path("runs/agents")


def train(name: str, minutes: float) -> Path:
    """The run, gone on with until it has had its time."""
    run = RUNS / name
    if not run.exists():
        refuse_too_large(name, weights_of_play(build(find(name), settings_of(name), SEED, "cpu")))
    velodrome(
        "train", name, *SMALLER.get(name, []), "--run", str(run), "--resume", "--seed", str(SEED),
        "--seconds", str(60 * minutes),
    )  # fmt: skip
    return run


def refuse_too_large(name: str, weights: dict[str, Tensor]) -> None:
    """Say so before the training, not after it."""
    size, most = bytes_of(weights) / 2, LARGER.get(name, LARGEST)
    if size > most:
        raise Mistake(f"{name}: its file would have {size / 1e3:,.0f} kB, and {most / 1e3:,.0f} at most; see SMALLER")


def bytes_of(weights: dict[str, Tensor]) -> int:
    """In full precision."""
    return sum(weight.nbytes for weight in weights.values())


def in_half(trainer: Trainer, other: Trainer) -> Trainer:
    """The other trainer, with the first one's weights in half precision."""
    weights = weights_of_play(trainer)
    rounded = {name: one.half().float() if one.dtype == torch.float32 else one for name, one in weights.items()}
    put_weights(other, rounded, Path("half"))
    return other


def same_choices(trainer: Trainer, other: Trainer) -> float:
    """The share of the first one's decisions, in play, that the other would have taken too."""
    numbers = {part.name for part in trainer.game.spec.action if isinstance(part, Box | Simplex)}
    policy, chance, same, n = other.policy(greedy=True), torch.Generator(), 0, 0
    for views, memory, action in seen_in_play(trainer.policy(greedy=True), trainer.game, GAMES, STEPS):
        others, _ = policy.act(views, memory, chance)
        alike = torch.ones(len(views["seat"]), dtype=torch.bool)
        for name, part in action.items():
            equal = (others[name] - part).abs() <= NEAR if name in numbers else others[name] == part
            alike &= equal.flatten(1).all(1) if equal.dim() > 1 else equal
        same, n = same + int(alike.sum()), n + len(alike)
    return same / n


def scored(player: Trainer | str, trainer: Trainer, episodes: int) -> Evaluation:
    """Against the game's last bot, or in all seats."""
    rival = rival_of(trainer.game.spec)
    return evaluate(player, trainer.game, rival, episodes=episodes, seed=FIRST, greedy=True)


def told(name: str, trainer: Trainer, found: Evaluation, episodes: int) -> dict[str, Any]:
    """The score with its interval, and the trivial players' beside it."""
    spec = trainer.game.spec
    reach = 1.96 * found.stderr
    bots = {bot: scored(bot, trainer, episodes) for bot in dict.fromkeys(["random", *spec.bots])}
    return {
        "score_name": found.score_name, "better": found.better, "score": found.score, "stderr": found.stderr,
        "interval": [found.score - reach, found.score + reach], "episodes": found.episodes,
        "against": rival_of(spec) or "nobody", "first game": FIRST,
        "bots": {bot: {"score": one.score, "stderr": one.stderr} for bot, one in bots.items()},
    }  # fmt: skip


def made(run: Path, episodes: int, folder: Path) -> dict[str, Any]:
    """Score what a run has learnt, and write it; returns its line."""
    restored = restore(run)
    name, trainer, weights = restored.config.recipe, restored.trainer, weights_of_play(restored.trainer)
    refuse_too_large(name, weights)
    until = restored.checkpoint.iteration
    seconds = max(line["seconds"] for line in Run(run).lines("metrics.jsonl") if line["iteration"] <= until)
    half, line = bytes_of(weights) > WHOLE, dict[str, Any]()
    player, found = trainer, scored(trainer, trainer, episodes)
    if half:
        settings = settings_from_json(find(name).settings, restored.config.settings)
        player = in_half(trainer, build(find(name), settings, SEED, "cpu"))
        whole, found = found, scored(player, player, episodes)
        line = {"same choices": same_choices(trainer, player), "score in full precision": whole.score}
        if line["same choices"] < SAME or abs(whole.score - found.score) > whole.stderr:
            if bytes_of(weights) > LARGEST:
                raise Mistake(f"{name}: in half precision it plays otherwise ({line}); see SMALLER")
            half, player, found = False, trainer, whole
    score = told(name, player, found, episodes)
    about = About(
        name, restored.config.settings, restored.config.seed, until, seconds,
        datetime.datetime.now(datetime.UTC).date().isoformat(), hardware(), score,
        {"precision": "float16" if half else "float32", "smaller": " ".join(SMALLER.get(name, []))} | line,
    )  # fmt: skip
    path = folder / f"{name}.safetensors"
    write(path, player, about, half)
    return row(name, about, path.stat().st_size, episodes)


def settings_of(name: str) -> Any:
    """Those that it is trained with."""
    return parse_with_settings("train", Train, SMALLER.get(name, []), find(name).settings())[1]


def row(name: str, about: About, size: int, episodes: int) -> dict[str, Any]:
    """For the record."""
    score = dict(about.score)
    bots = {bot: one["score"] for bot, one in score.pop("bots").items()}
    return {
        "recipe": name, **score, "random": bots["random"],
        "bots": ", ".join(f"{bot} {found:.3g}" for bot, found in bots.items() if bot != "random"),
        "iterations": about.iterations, "seconds": about.seconds, "kB": size / 1e3, **about.notes,
        "date": about.date, "asked": episodes,
    }  # fmt: skip


def before() -> dict[str, dict[str, Any]]:
    """The lines of the record that there is."""
    path = RESULTS / "agents.json"
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.is_file() else []
    return {one["recipe"]: one for one in figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="by default all that a file is not too large for")
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, for each")
    parser.add_argument("--run", type=Path, help="take this run for the agent of its recipe, and train none")
    parser.add_argument("--episodes", type=int, default=1000, help="of an evaluation")
    parser.add_argument("--folder", type=Path, default=AGENTS, help="where the files go")
    options = parser.parse_args()
    if options.run and options.recipes:
        raise Mistake("--run takes the recipe of its run; leave RECIPE out")
    recipes = options.recipes or [name for name in RECIPES if name not in LEFT_OUT]
    for name in recipes:
        with callers_mistake():
            find(name)
    rows = before()
    if options.run:
        new = made(options.run, options.episodes, options.folder)
        keep_rows(rows | {new["recipe"]: new})
        return
    lines, refused = Lines("agents"), list[str]()
    for name in recipes:
        try:
            if not lines.has(recipe=name, minutes=options.minutes, asked=options.episodes):
                new = made(train(name, options.minutes), options.episodes, options.folder)
                lines.add(new | {"minutes": options.minutes})
        except Mistake as mistake:
            refused.append(str(mistake))
    keep_rows(rows | {one["recipe"]: one for one in lines.rows})
    lines.close()
    if refused:
        raise Mistake("; ".join(refused))


def keep_rows(rows: dict[str, dict[str, Any]]) -> None:
    """Write the record, in the order of recipes."""
    keep("agents", [rows[name] for name in RECIPES if name in rows], left_out=LEFT_OUT)


if __name__ == "__main__":
    try:
        main()
    except Mistake as mistake:
        raise SystemExit(f"agents: {mistake}") from None
