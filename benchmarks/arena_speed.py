"""How many frames a second Arena plays on one core, random play: results/arena_speed.json.

Without observations means inside the game's own kernel; all other sides play through `step`, which writes them. The
actions are drawn before. The last two are players' decisions alone, of the teacher and at random.

python benchmarks/arena_speed.py [ROUNDS]
"""

from __future__ import annotations

import sys
from itertools import cycle
from typing import Any

import numpy as np

from common import Disturbance, Work, keep, take_turns
from velodrome.games import make
from velodrome.games.arena import play
from velodrome.games.arena.game import Arena
from velodrome.games.game import Game

GAMES = (64, 256, 1024, 4096)
FRAMES = 2**17
"""Frames of a turn."""
DRAWN = 16
"""Actions drawn in advance."""
WANTED = 300_000


def warm(games: int, **options: Any) -> tuple[Game, cycle[dict[str, Any]]]:
    """Games that have gone on for ten seconds, and random actions without end."""
    game = make("arena", games, 0, **options)
    actions = [game.bot("random") for _ in range(DRAWN)]
    for step in range(600):
        game.step(actions[step % DRAWN])
        game.reset(game.ended | game.cut)
    return game, cycle(actions)


def stepped(games: int, **options: Any) -> Work:
    """Play with everything that is seen."""
    game, actions = warm(games, **options)
    steps = max(1, FRAMES // games)

    def work() -> int:
        for _ in range(steps):
            game.step(next(actions))
            game.reset(game.ended | game.cut)
        return steps * games

    return work


def unseen(games: int) -> Work:
    """Play inside the kernel; games that are over are dealt anew."""
    game, actions = warm(games)
    assert isinstance(game, Arena)
    steps = max(1, FRAMES // games)

    def work() -> int:
        for _ in range(steps):
            drawn = next(actions)
            play.play(
                game.records, 0, games, drawn["pointer"], drawn["keys"], game.frames, game.longest, game.scale,
                game.rewards, game.ended, game.cut, game.outcome,
            )  # fmt: skip
            play.deal(game.records, 0, games, game.ended | game.cut, game.rewards, game.ended, game.cut)
        return steps * games

    return work


def asked(bot: str, games: int) -> Work:
    """Decisions of a bot, in games that stand still."""
    game, _ = warm(games)
    steps = max(1, FRAMES // games)

    def work() -> int:
        for _ in range(steps):
            game.bot(bot)
        return steps * games

    return work


def main() -> None:
    """Measure and keep."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    disturbance = Disturbance()
    sides: dict[str, Work] = {f"with observations, {games} games": stepped(games) for games in GAMES}
    sides |= {f"without observations, {games} games": unseen(games) for games in GAMES}
    sides["with 8 objects, 1024 games"] = stepped(1024, objects=8)
    sides["with the picture, 256 games"] = stepped(256, picture=True)
    sides |= {f"decisions of {bot}, 1024 games": asked(bot, 1024) for bot in ("teacher", "random")}
    rates = take_turns(sides, rounds)
    figures = []
    for name, found in rates.items():
        low, high = np.quantile(found, [0.05, 0.95])
        figures.append({"what": name, "frames_per_s": float(np.median(found)), "between": [float(low), float(high)]})
    seconds = "CPU seconds of one thread"
    keep("arena_speed", figures, wanted=WANTED, rounds=rounds, taken_by_others=disturbance.share(), seconds=seconds)


if __name__ == "__main__":
    main()
