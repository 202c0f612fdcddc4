"""Arena learnt: how well the bot plays untrained, after learning from the teacher, and after learning online.

    python benchmarks/arena_learning.py [RECIPE ...]      results/arena_learning.json

Three seeds, each alone on the machine for as long from the teacher's play and then online: first corrected by the
teacher, then by what it earns. Untrained, it is scored with and without the residual that points at its target. Scores
are over games that nobody has trained on; random play at one decision a frame has 0, the teacher 1. Interrupted, it
goes on with the seed that it was at.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import Disturbance, Lines, keep, velodrome
from velodrome.learn.evaluate import evaluate
from velodrome.learn.trainer import Counts, Stages
from velodrome.meter.clock import Clock
from velodrome.meter.statistics import mean
from velodrome.recipes import find
from velodrome.recipes.restore import build, restore

SEEDS, GAMES, FIRST = 3, 500, 1000
"""Of an evaluation, and the seed of its games."""
SECONDS, EVERY_S = 1200, 300
RUNS = Path("runs/arena")
FOR_EVER = 10**9
STAGES = ("from the teacher's play", "corrected by it", "from its own")


def untrained(name: str, seed: int, residual: bool) -> dict[str, Any]:
    """A bot that has learnt nothing."""
    recipe = find(name)
    settings = recipe.settings()
    settings = replace(settings, execution=replace(settings.execution, residual=residual))
    trainer = build(recipe, settings, seed, "cpu")
    found = evaluate(trainer, trainer.game, episodes=GAMES, seed=FIRST, greedy=True)
    state = "untrained" if residual else "untrained, no residual"
    return {"recipe": name, "seed": seed, "state": state, "score": found.score, "stderr": found.stderr}


def offline(name: str, seed: int) -> dict[str, Any]:
    """From the teacher's play alone, going on with a run that is there."""
    run, others = RUNS / f"{name}-{seed}", Disturbance()
    found = velodrome(
        "train", name, "--pretraining", str(FOR_EVER), "--run", str(run), "--resume", "--seed", str(seed),
        "--seconds", str(SECONDS),
    )  # fmt: skip
    score = velodrome("evaluate", str(run), "--episodes", str(GAMES), "--seed", str(FIRST))
    return {
        "recipe": name, "seed": seed, "state": "offline", "score": score["score"], "stderr": score["stderr"],
        "cut": score["cut"], "seconds": found["seconds"], "game_steps": found["game_steps"],
        "others_took": others.share(), "bots": {bot: one["score"] for bot, one in score["baselines"].items()},
    }  # fmt: skip


def online(name: str, seed: int) -> dict[str, Any]:
    """From where that has led to, for as long, with its curve; evaluations do not count."""
    trainer, others, clock = restore(RUNS / f"{name}-{seed}").trainer, Disturbance(), Clock()
    assert isinstance(trainer, Stages)
    trainer.stages[0] = trainer.stages[0][0], trainer.iteration
    counts, curve, seconds = Counts(), list[dict[str, Any]](), 0.0
    while seconds < SECONDS:
        began = time.perf_counter()
        counts += trainer.iterate(clock).counts
        seconds += time.perf_counter() - began
        if seconds >= EVERY_S * (len(curve) + 1):
            found = evaluate(trainer, trainer.game, episodes=GAMES, seed=FIRST, greedy=True)
            curve.append({"seconds": seconds, "stage": STAGES[trainer.index], "score": found.score})
    return {
        "recipe": name, "seed": seed, "state": "online", "score": found.score, "stderr": found.stderr,
        "cut": found.cut, "seconds": seconds, "game_steps": counts.game_steps, "curve": curve,
        "others_took": others.share(),
    }  # fmt: skip


def measured(lines: Lines, name: str, seed: int) -> None:
    """Every state of one seed that is not there yet."""
    for residual, state in ((True, "untrained"), (False, "untrained, no residual")):
        if not lines.has(recipe=name, seed=seed, state=state):
            lines.add(untrained(name, seed, residual))
    for state, work in (("offline", offline), ("online", online)):
        if not lines.has(recipe=name, seed=seed, state=state):
            lines.add(work(name, seed))


def together(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The seeds of each state, and the game's bots at as many frames a decision."""
    own = [row for row in rows if row["recipe"] == name]
    table = []
    for state in dict.fromkeys(row["state"] for row in own):
        those = [row for row in own if row["state"] == state]
        found = mean([row["score"] for row in those])
        line = {"recipe": name, "player": state, "score": found.mean, "interval": list(found.interval)}
        if "game_steps" in those[0]:
            line |= {"decisions": sum(row["game_steps"] for row in those) // len(those), "seconds": SECONDS}
        table.append(line | {"seeds": found.n})
    bots = next(row["bots"] for row in own if "bots" in row)
    return table + [{"recipe": name, "player": bot, "score": score} for bot, score in bots.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["arena"], metavar="RECIPE")
    recipes = parser.parse_args().recipes
    lines = Lines("arena_learning")
    for name in recipes:
        for seed in range(SEEDS):
            measured(lines, name, seed)
    curves = [
        {"recipe": row["recipe"], "seed": row["seed"], **point} for row in lines.rows for point in row.get("curve", [])
    ]
    tables = [line for name in recipes for line in together(lines.rows, name)]
    keep("arena_learning", lines.rows, together=tables, curves=curves)
    lines.close()


if __name__ == "__main__":
    main()
