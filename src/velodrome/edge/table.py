"""A game as one of its seats sees it: the others are played by somebody else, at the same tables."""

from __future__ import annotations

import numpy as np

from velodrome.edge.spaces import Illegal, blank, legalised, rows_of
from velodrome.games.game import Array, Game
from velodrome.learn.players import Player, seated


class Table:
    """Games in which one seat is ours. After `begin` and `step` it is our turn in every game that is not over.

    In a turn-based game our turns come at different times in different games. Those where it is our turn already are
    then held: they are put back to where they were after every step that only others need. So every game plays as it
    would alone.
    """

    def __init__(self, game: Game, seat: int, against: Player, illegal: Illegal):
        if not 0 <= seat < game.spec.seats:
            raise ValueError(f"seat={seat}: {game.spec.name} has the seats 0 to {game.spec.seats - 1}")
        if illegal not in ("replace", "refuse"):
            raise ValueError(f"illegal={illegal!r} is neither replace nor refuse")
        self.game, self.seat, self.illegal = game, seat, illegal
        self.others = seated(against, game) if game.spec.seats > 1 else None
        self.over = np.zeros(game.games, np.bool_)
        self.ended, self.cut = self.over.copy(), self.over.copy()
        self.rewards = np.zeros(game.games, np.float32)
        self.seen = blank(game.spec, game.games)
        """What our seat saw last."""
        self.begin(np.ones(game.games, np.bool_))

    def begin(self, which: Array) -> None:
        """Start the next game where marked; one that is over before our turn comes is not worth showing."""
        while which.any():
            self.game.reset(which)
            if self.others is not None:
                self.others.begin(which)
            for flags in (self.over, self.ended, self.cut):
                flags[which] = False
            self.rewards[which] = 0
            self._let_others_play()
            which = which & self.over

    def step(self, action: dict[str, Array], moving: Array | None = None) -> None:
        """Play our action `{part: [games, ...]}` where `moving`, and go on to our next turn or the end."""
        moving = ~self.over if moving is None else moving & ~self.over
        self.rewards[:] = 0
        if self.illegal == "replace":
            action = legalised(self.game.spec, action, self.seen)
        self._play(moving, action)
        self._let_others_play()

    def _our_rows(self) -> Array:
        rows: Array = (self.game.seat == self.seat) & self.game.acting & ~self.over[:, None]
        return rows

    def _let_others_play(self) -> None:
        while True:
            self._look()
            waiting = ~self.over & ~self._our_rows().any(1)
            if not waiting.any():
                return
            self._play(waiting)

    def _play(self, moving: Array, ours: dict[str, Array] | None = None) -> None:
        """One step of the games that are `moving`, everyone in them playing; without `ours` it is not our turn."""
        game, held = self.game, ~moving
        before = game.records[held]
        parts = game.bot(game.spec.bots[0])  # legal in the games that are held, too
        acting = game.acting & moving[:, None]
        our_rows = acting & (game.seat == self.seat)
        if self.others is not None:
            their_rows = acting & ~our_rows
            for name, part in self.others.decide(their_rows).items():
                parts[name][their_rows] = part[their_rows]
        for name, part in (ours or {}).items():
            parts[name][our_rows] = part[our_rows.any(1)]
        game.step(parts)
        self.rewards += game.rewards[:, self.seat] * moving
        self.ended |= game.ended & moving
        self.cut |= game.cut & moving
        self.over = self.ended | self.cut
        if held.any():
            game.records[held] = before
            game.restore(game.records)

    def _look(self) -> None:
        shown = self.game.seat == self.seat
        games = shown.any(1)
        for name, rows in rows_of(self.game, shown).items():
            if name in self.seen:
                self.seen[name][games] = rows
