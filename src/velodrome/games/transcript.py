"""A whole game as text that a person can check: `python -m velodrome.games.transcript hearts`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby

import numpy as np

from velodrome.games import make
from velodrome.games.game import Action, Game


def transcript(game: Game, bot: str) -> str:
    """Play the first of these games to its end, `bot` in every seat, and tell every position and action."""
    options = ", ".join(f"{name}={value!r}" for name, value in game.spec.settings.items())
    lines = [f"{game.spec.name}({options})", f"seed {game.seed}, every seat plays {bot}", ""]
    over = False
    while not over:
        lines += [game.describe(0), ""]
        action = game.bot(bot)
        lines += _who_does_what(game, action)
        game.step(action)
        if game.rewards[0].any():
            lines.append(f"rewards {_numbers(game.rewards[0])}")
        lines.append("")
        over = bool(game.ended[0] or game.cut[0])
    lines += [game.describe(0), "", f"{'ended' if game.ended[0] else 'cut'}, outcome {_numbers(game.outcome[0])}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _who_does_what(game: Game, action: Action) -> Iterator[str]:
    """A line for every action, and whose it is; those in a row that do the same share one."""
    rows = enumerate(np.flatnonzero(game.acting[0]).tolist())
    for (_, does), group in groupby(rows, lambda each: (each[1] - each[0], game.describe_action(action, 0, each[1]))):
        first, *others = (game.seat[0, row] for _, row in group)
        yield f"> seats {first} to {others[-1]}: {does}" if others else f"> seat {first}: {does}"


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value + 0:g}" for value in values)  # plus 0 turns -0 into 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m velodrome.games.transcript GAME > tests/golden/GAME.txt")
    played = make(sys.argv[1])
    print(transcript(played, played.spec.bots[-1]), end="")
