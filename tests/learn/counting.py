"""A team game whose course is known beforehand: game number n lasts n % 4 + 1 steps and pays 1, 2, 3, ...; the even
ones end by their rules, the odd ones by a time limit. A third order is legal in the first step alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from velodrome.games.game import Array, Choice, Game, Score, Spec, View

SEATS, ORDERS, LONGEST = 2, 3, 5


class Counting(Game):
    record = np.dtype([("number", "i8"), ("time", "i8"), ("over", "i8")])

    def __init__(self, games: int, seed: int = 0, **options: Any):
        views = {
            "seen": View((2,), low=0, high=LONGEST, says="the time, and whose turn it is to wonder"),
            "legal": View((ORDERS,), np.bool_, 0, 1),
            "state": View((2,), private=True, says="how long it will last, and the time"),
        }
        part = Choice("order", ORDERS, mask="legal")
        score = Score("length", "higher")
        super().__init__(Spec("counting", SEATS, SEATS, views, (part,), score, LONGEST), games, seed, **options)

    def seed_records(self, seed: int, start: Array, luck: Array) -> None:
        self.records["number"] = start
        self.seat[:] = np.arange(SEATS)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        for name in ("time", "over"):
            self.records[name][lo:hi][which[lo:hi]] = 0
        self.rewards[lo:hi][which[lo:hi]] = 0
        self.look(lo, hi)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        records, order = self.records[lo:hi], action["order"][lo:hi]
        going = records["over"] == 0
        refused = going & ((order == 2).any(1) & (records["time"] > 0))
        if refused.any():
            return lo + int(refused.argmax())
        records["time"] += going
        self.rewards[lo:hi] = (records["time"] * going)[:, None]
        records["over"] |= records["time"] == records["number"] % 4 + 1
        self.outcome[lo:hi] = records["time"][:, None]
        self.look(lo, hi)
        return -1

    def look(self, lo: int, hi: int) -> None:
        records = self.records[lo:hi]
        time, odd = records["time"][:, None], records["number"] % 2 == 1
        self.views["seen"][lo:hi, :, 0], self.views["seen"][lo:hi, :, 1] = time, np.arange(SEATS)
        self.views["legal"][lo:hi] = True
        self.views["legal"][lo:hi, :, 2] = time == 0
        self.views["state"][lo:hi] = np.stack([records["number"] % 4 + 1, records["time"]], 1)[:, None]
        over = records["over"] == 1
        self.ended[lo:hi], self.cut[lo:hi] = over & ~odd, over & odd
