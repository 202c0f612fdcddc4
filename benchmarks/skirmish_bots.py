"""How often the scripted players win each map of Skirmish: results/skirmish_bots.json.

python benchmarks/skirmish_bots.py [BATTLES]
"""

from __future__ import annotations

import sys
from typing import Any

from common import keep
from velodrome.games import make
from velodrome.games.skirmish import MAPS
from velodrome.learn.evaluate import evaluate


def main(battles: int) -> None:
    """Every player on every map, all units its."""
    figures, returns = [], []
    for name in MAPS:
        game = make("skirmish", map=name, observation="none")
        found = {bot: evaluate(bot, game, episodes=battles) for bot in game.spec.bots}
        row: dict[str, Any] = {"map": name}
        figures.append(row | {bot: played.score for bot, played in found.items()})
        returns.append(row | {bot: played.mean_return for bot, played in found.items()})
        print(figures[-1], flush=True)
    keep("skirmish_bots", figures, returns=returns, battles=battles)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
