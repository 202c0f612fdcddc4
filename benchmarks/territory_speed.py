"""How fast Territory is on one core, and what bounds it: results/territory_speed.json.

The greedy player decides every hundred ticks, so that next to nothing goes into observations. The floor is the time in
which every player's troops grow and as many tiles change hands as did.

    python benchmarks/territory_speed.py [--rounds 15]
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np

from common import Disturbance, Work, keep, take_turns
from velodrome.games import make
from velodrome.games.kernel import draw, kernel
from velodrome.games.territory import Territory
from velodrome.games.territory.world import AGENT, WATER, board_of, give, grow

CASES = {(64, 5): 60_000, (128, 5): 20_000, (128, 50): None}
"""Size and bots, and the ticks a second that are wanted."""
GAMES, DECISIONS = 16, 20


@kernel
def only_grow(heads, ticks):  # type: ignore[no-untyped-def]
    """So many ticks in which nothing but troops and gold changes."""
    for i in range(heads.shape[0]):
        for _ in range(ticks):
            grow(heads[i])


@kernel
def only_give(heads, boards, tiles):  # type: ignore[no-untyped-def]
    """Hand so many tiles in each game to one player or another."""
    for i in range(heads.shape[0]):
        game, board = heads[i], board_of(boards, i)
        for _ in range(tiles):
            game.luck, bits = draw(game.luck)
            tile = np.int64(bits % np.uint64(board.owner.shape[0]))
            if board.terrain[tile] != WATER:
                give(game, board, tile, AGENT + np.int64((bits >> np.uint64(40)) % np.uint64(game.players)))


def sides(size: int, bots: int) -> tuple[dict[str, Work], list[float]]:
    """Playing, growing and handing over; and the tiles that changed hands in a tick of play."""
    game = make("territory", GAMES, 0, size=size, bots=bots, ticks=100, observation="coarse")
    other = make("territory", GAMES, 0, size=size, bots=bots, ticks=100, observation="coarse")
    assert isinstance(game, Territory)
    assert isinstance(other, Territory)
    taken: list[float] = []

    def play() -> int:
        ticks = changed = 0
        for _ in range(DECISIONS):
            owner, before = game.records["owner"].copy(), game.heads["now"].copy()
            game.step(game.bot("greedy"))
            ticks += int((game.heads["now"] - before).sum())
            changed += int((game.records["owner"] != owner).sum())
            game.reset(game.ended | game.cut)
        taken.append(changed / ticks)
        return ticks

    def growing() -> int:
        only_grow(other.heads, 1000)
        return GAMES * 1000

    def handing() -> int:
        only_give(other.heads, other.boards, 1000)
        return GAMES * 1000

    return {"play": play, "grow": growing, "give": handing}, taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds, others, figures = parser.parse_args().rounds, Disturbance(), []
    for (size, bots), wanted in CASES.items():
        work, taken = sides(size, bots)
        rates = take_turns(work, rounds)
        tick_s, grow_s, give_s = (1 / median(rates[name]) for name in ("play", "grow", "give"))
        floor_s = grow_s + median(taken) * give_s
        low, high = np.quantile(rates["play"], [0.05, 0.95])
        figures.append(
            {
                "size": size, "bots": bots, "ticks_per_s": 1 / tick_s, "between": [low, high], "wanted": wanted,
                "tiles taken a tick": median(taken), "growth, us": 1e6 * grow_s, "a tile, us": 1e6 * give_s,
                "over the floor": tick_s / floor_s,
            }
        )  # fmt: skip
    keep("territory_speed", figures, others_took=others.share())


if __name__ == "__main__":
    main()
