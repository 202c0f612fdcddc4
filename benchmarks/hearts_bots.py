"""Plays the scripted Hearts players against each other: benchmarks/results/hearts_bots.json.

python benchmarks/hearts_bots.py [DEALS]
"""

from __future__ import annotations

import sys

from common import keep
from velodrome.games import make
from velodrome.learn.evaluate import evaluate


def main(deals: int) -> None:
    """Each of them in one seat against three of each other."""
    bots = make("hearts").spec.bots
    figures = []
    for hero in bots:
        for rival in bots:
            found = evaluate(hero, "hearts", rival, episodes=deals)
            figures.append(
                {"player": hero, "against_three": rival, found.score_name: found.score, "stderr": found.stderr}
            )
    keep("hearts_bots", figures, deals=deals, games=4 * deals)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
