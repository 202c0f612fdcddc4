"""Who hunts whom how well in tag: results/tag_roles.json.

    python benchmarks/many_learning.py skill --again "tag, predators"
    python benchmarks/tag_roles.py

Predators and prey of the runs that the first command leaves behind, one of each seed, and the game's bots, each against
each: learnt together, either side is as good as the other has made it. The score is what each predator earns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from common import keep
from many_learning import SEEDS, run_of
from velodrome.games.game import Game
from velodrome.games.particles.tag import PREDATOR
from velodrome.learn.players import Player, seated
from velodrome.learn.trainer import Trainer
from velodrome.meter.statistics import mean
from velodrome.recipes.restore import restore
from velodrome.runs.run import Run

GAMES, FIRST = 500, 1000
RUNS = [run_of("many_learning", "tag, predators", seed) for seed in range(SEEDS)]
LEARNT = "learnt"
HUNTERS, HUNTED = (LEARNT, "chase", "random"), (LEARNT, "chase", "random", "idle")


def earned(hunters: Player, hunted: Player, like: Game) -> float:
    """What each predator earns in a game, in the mean."""
    game = like.again(GAMES, seed=FIRST)
    hunts = np.array(game.spec.roles)[game.seat] == PREDATOR
    sides = [seated(player, game, number=number, greedy=True) for number, player in enumerate((hunters, hunted))]
    over = np.zeros(GAMES, np.bool_)
    while not over.all():
        first, second = (side.decide(game.acting) for side in sides)
        game.step({name: np.where(hunts[..., None], part, second[name]) for name, part in first.items()})
        over |= game.ended | game.cut
    return float(game.outcome[:, np.array(game.spec.roles) == PREDATOR].mean())


def main() -> None:
    """Every pair."""
    missing = [run for run in RUNS if not Run(run).exists]
    if missing:
        raise SystemExit(f"{missing[0]} is not there: first run many_learning.py skill --again 'tag, predators'")
    trained: list[Trainer] = [restore(run).trainer for run in RUNS]
    figures: list[dict[str, Any]] = []
    for hunters in HUNTERS:
        line: dict[str, Any] = {"predators": hunters}
        for hunted in HUNTED:
            scores = [
                earned(*(each if name == LEARNT else name for name in (hunters, hunted)), each.game)  # type: ignore[arg-type]
                for each in trained
            ]
            line[f"{hunted} prey"] = mean(scores).mean
            if LEARNT in (hunters, hunted):
                line[f"{hunted} prey, interval"] = list(mean(scores).interval)
        figures.append(line)
    keep("tag_roles", figures, seeds=len(trained), games=GAMES)


if __name__ == "__main__":
    main()
