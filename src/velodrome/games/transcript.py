"""A whole game as text that a person can check: `python -m velodrome.games.transcript hearts`."""

from __future__ import annotations

import sys

import numpy as np

from velodrome.games import make
from velodrome.games.game import Game


def transcript(game: Game, bot: str) -> str:
    """Play the first of these games to its end, `bot` in every seat, and tell every position and action."""
    options = ", ".join(f"{name}={value!r}" for name, value in game.spec.settings.items())
    lines = [f"{game.spec.name}({options})", f"seed {game.seed}, every seat plays {bot}", ""]
    over = False
    while not over:
        lines += [game.describe(0), ""]
        action = game.bot(bot)
        rows = np.flatnonzero(game.acting[0]).tolist()
        lines += [f"> seat {game.seat[0, row]}: {game.describe_action(action, 0, row)}" for row in rows]
        game.step(action)
        if game.rewards[0].any():
            lines.append(f"rewards {_numbers(game.rewards[0])}")
        lines.append("")
        over = bool(game.ended[0] or game.cut[0])
    lines += [game.describe(0), "", f"{'ended' if game.ended[0] else 'cut'}, outcome {_numbers(game.outcome[0])}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in values)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m velodrome.games.transcript GAME > tests/golden/GAME.txt")
    played = make(sys.argv[1])
    print(transcript(played, played.spec.bots[-1]), end="")
