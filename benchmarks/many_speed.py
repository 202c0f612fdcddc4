"""How fast the games of many agents are on the CPU, random play with everything seen: results/many_speed.json.

Spread beside JaxMARL's and VMAS's: all sides have two cores and play as many game steps a turn, in turn; first each
tries how many games at once suit it. Coverage and Platoon beside what is stated of the programs that they come from.

    python benchmarks/peers/make.py jaxmarl vmas
    python benchmarks/many_speed.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from common import Disturbance, Work, keep, take_turns

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))
from contest import Contest, Contestant, contest, on_cores  # noqa: E402
from make import python_of  # noqa: E402
from ours.random_play import play_randomly  # noqa: E402
from turns import Record  # noqa: E402

from velodrome.games import make  # noqa: E402
from velodrome.meter.statistics import median_ratio  # noqa: E402

AGENTS = {3: 2**19, 6: 2**18}
"""Game steps of a turn, by the number of agents; whole games for every side at every layout."""
WANTED = {"JaxMARL": 10.0, "VMAS": 5.0}
LONGEST = 25
GAMES = {
    "Velodrome": (1024, 4096, 16384, 65536),
    "JaxMARL": (256, 1024, 4096, 16384),
    "VMAS": (1024, 4096, 16384, 65536),
}
THREADS = 2
STATED: dict[str, tuple[Mapping[str, Any], float]] = {
    "coverage": ({"sensors": 4, "targets": 5}, 350.0),
    "platoon": ({"vehicles": 8}, 9000.0),
}
"""Games of which it is stated how many steps a second their own programs play, on one core."""
STATED_WANTED = 300.0
STATED_GAMES, STATED_TURN_S = (64, 256, 1024, 4096), 0.3


def contestants(agents: int) -> list[Contestant]:
    """All sides; a turn has as many steps for each as come nearest to what is asked."""
    ours = {"game": "spread", "options": {"agents": agents, "control": "choice", "convention": "pettingzoo"}}
    sides = {
        "Velodrome": (Path(sys.executable), "ours/random_play.py", ours),
        "JaxMARL": (python_of("jaxmarl"), "jaxmarl/spread.py", {"agents": agents}),
        "VMAS": (python_of("vmas"), "vmas/spread.py", {"agents": agents}),
    }
    return [
        Contestant(
            side, python, HERE / "peers" / script, {**settings, "threads": THREADS},
            tuple({"games": games, "steps": whole_games(AGENTS[agents] // games)} for games in GAMES[side]),
        )
        for side, (python, script, settings) in sides.items()
    ]  # fmt: skip


def whole_games(steps: int) -> int:
    """As many steps as so many, in games that are all played to their end."""
    return max(1, round(steps / LONGEST)) * LONGEST


def figures_of(agents: int, found: Contest) -> list[Record]:
    """A row a peer: both rates, and how many times theirs ours is."""
    done = {side: taken[0]["steps"] for side, taken in found.turns.items()}
    per_step = {side: [seconds / done[side] for seconds in found.seconds(side)] for side in found.turns}
    rows = []
    for peer, wanted in WANTED.items():
        ratio = median_ratio(per_step["Velodrome"], per_step[peer], paired=True)
        rows.append(
            {
                "agents": agents,
                "steps_per_s": 1 / median(per_step["Velodrome"]),
                "games": found.best("Velodrome")["games"],
                "peer": peer,
                "peer_per_s": 1 / median(per_step[peer]),
                "peer_games": found.best(peer)["games"],
                "ratio": ratio.ratio,
                "interval": list(ratio.interval),
                "wanted_ratio": wanted,
            }
        )
    return rows


def playing(name: str, options: Mapping[str, Any], games: int) -> Work:
    """Random play for about as long as a turn takes; gives the game steps."""
    game = make(name, games, 0, threads=THREADS, **options)

    play_randomly(game, 1)
    began = time.perf_counter()
    rate = play_randomly(game, 20) / (time.perf_counter() - began)
    steps = max(1, round(STATED_TURN_S * rate / games))
    return lambda: play_randomly(game, steps)


def beside_the_stated(rounds: int) -> list[Record]:
    """A row a game, with as many at once as suit it."""
    rows = []
    for name, (options, stated) in STATED.items():
        sides = {f"{games}": playing(name, options, games) for games in STATED_GAMES}
        rates = take_turns(sides, rounds, clock=time.perf_counter)
        games = max(rates, key=lambda side: median(rates[side]))
        low, high = np.quantile(rates[games], [0.05, 0.95])
        rows.append(
            {
                "game": name,
                **options,
                "steps_per_s": median(rates[games]),
                "games": int(games),
                "stated_per_s": stated,
                "times the stated": median(rates[games]) / stated,
                "between": [float(low) / stated, float(high) / stated],
                "wanted": STATED_WANTED,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tries", type=int, default=2)
    options = parser.parse_args()
    on_cores(THREADS)
    others, figures, kept = Disturbance(), list[Record](), {}
    for agents in AGENTS:
        found = contest(contestants(agents), options.tries, options.rounds)
        figures += figures_of(agents, found)
        kept[str(agents)] = asdict(found)
    stated = beside_the_stated(options.rounds)
    keep("many_speed", figures, stated=stated, sides=kept, threads=THREADS, others_took=others.share())


if __name__ == "__main__":
    main()
