"""How often the scripted players win Territory, and how much land they end with: results/territory_bots.json.

python benchmarks/territory_bots.py [GAMES]
"""

from __future__ import annotations

import sys
from typing import Any

from common import keep
from velodrome.games import make
from velodrome.learn.evaluate import evaluate

CASES: tuple[dict[str, Any], ...] = (
    *({"size": size} for size in (32, 64, 128)),
    {"size": 64, "opponents": "handicapped"},
    *({"size": 64, "map": name} for name in ("hills", "islands")),
    *({"size": 64, "bots": bots} for bots in (1, 10, 25)),
)


def main(games: int) -> None:
    """Every player in every case."""
    figures = []
    for options in CASES:
        row: dict[str, Any] = {"size": 64, "bots": 5, "opponents": "equal", "map": "plains"} | options
        for score in ("wins", "land"):
            game = make("territory", observation="coarse", score=score, **options)
            for bot in game.spec.bots:
                if score == "wins" or bot == "greedy":
                    row[f"{bot} {score}"] = evaluate(bot, game, episodes=games).score
        figures.append(row)
        print(row, flush=True)
    keep("territory_bots", figures, games=games)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
