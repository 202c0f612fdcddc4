"""What players' nets say while they play, as games take it to draw what the players have in mind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from velodrome.games.game import Game
from velodrome.games.scene import Mind
from velodrome.learn.actions import Actions
from velodrome.learn.players import Seated, seated
from velodrome.learn.trainer import Listener, Memory, Policy, Trainer, Views, exchange_of
from velodrome.show.film import Film

Array = NDArray[Any]
Rows = dict[str, Array]
"""By name, a row for each row of a game's step."""


class Heard:
    """A trainer's policy that keeps what its net said of the last decision."""

    def __init__(self, trainer: Trainer, greedy: bool):
        self.game = trainer.game
        """Whose views it decides on."""
        self._policy, self._actions = trainer.policy(greedy), Actions(trainer.game.spec.action)
        told = exchange_of(trainer)
        self._graph = None if told is None else np.array(told.graph)
        self.chances: Rows = {}
        self.more: Rows = {}
        self.looks: Rows = {}
        self.worths = False
        self._size = 0
        hears: Callable[[Listener], None] | None = getattr(self._policy, "heard_by", None)
        if hears is not None:
            hears(self._hear)

    def start(self, rows: int) -> Memory:
        """As the policy does."""
        return self._policy.start(rows)

    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        """As the policy does."""
        return self._policy.act(views, memory, generator)

    def forget(self, rows: int) -> None:
        """Before the next decision of so many rows: nothing is said yet, but for what stands until it is said anew."""
        self._size = rows
        self.chances, self.looks = {}, {}

    def mind(self, game: int, action: Mapping[str, Array]) -> Mind:
        """What the players of one of the games have in mind."""
        deciders = self.game.spec.deciders
        own = slice(game * deciders, (game + 1) * deciders)
        chances, more, looks = (
            {name: rows[own] for name, rows in kind.items() if not np.isnan(rows[own]).all()}
            for kind in (self.chances, self.more, self.looks)
        )
        told = np.nan_to_num(more["edges"]) if "edges" in more else self._graph if chances else None
        does = {name: part[game] for name, part in action.items()}
        return Mind(does, chances, self.worths, told, more, looks)

    def _hear(self, net: Any, given: Mapping[str, Tensor], views: Views) -> None:
        deciders = self.game.spec.deciders
        which = (views["game"] * deciders + (views["seat"] if deciders > 1 else 0)).cpu().numpy()
        for name, part in self._weighed(given, views).items():
            _put(self.chances, name, part, which, self._size)
        stands: Mapping[str, str] = getattr(net, "stands", {})
        for name, part in given.items():
            if name in self._actions.heads or name.rpartition(".")[2] in ("worth", "shares"):
                continue
            fresh: Any = given[stands[name]].cpu().numpy() if name in stands else slice(None)
            _put(self.more, name, part[fresh], which[fresh], self._size)
        if hasattr(net, "looks"):
            for name, part in net.looks(views).items():
                _put(self.looks, name, part, which, self._size)

    def _weighed(self, given: Mapping[str, Tensor], views: Views) -> dict[str, Tensor]:
        """The chances of each part of the action, or what else is said of it."""
        found = self._actions.chances(given, views)
        for part in self._actions.parts:
            mask = getattr(part, "mask", None)
            if f"{part.name}.worth" in given:
                worth = given[f"{part.name}.worth"]
                found[part.name] = between(worth, torch.ones_like(worth) if mask is None else views[mask])
                self.worths = True
            if f"{part.name}.shares" in given:
                found[part.name] = given[f"{part.name}.shares"]
        return found


def between(worth: Tensor, legal: Tensor) -> Tensor:
    """From 0 for the least to 1 for the most of what is legal, and 0 for what is not."""
    legal, worth = legal.bool().to(worth.device), worth.float()
    least = worth.masked_fill(~legal, torch.inf).amin(-1, keepdim=True)
    most = worth.masked_fill(~legal, -torch.inf).amax(-1, keepdim=True)
    return torch.where(legal, (worth - least) / (most - least).clamp(min=1e-9), 0.0)


def _put(rows: Rows, name: str, part: Tensor, which: Array, size: int) -> None:
    """Write the rows that are there; the others stay as they are, at first not a number."""
    given = part.detach().float().cpu().numpy()
    if name not in rows:
        rows[name] = np.full((size, *given.shape[1:]), np.nan, np.float32)
    rows[name][which] = given


# -- games ------------------------------------------------------------------------------------------------------------


def filmed(
    trainer: Trainer,
    rival: Policy | Trainer | str | None,
    *,
    games: int,
    seed: int,
    greedy: bool,
    device: str,
    say: Callable[[str], None],
) -> list[Film]:
    """Play so many games to their ends; the trainer has all seats, or one in each game where there is a rival."""
    if rival is not None and trainer.game.spec.seats == 1:
        raise ValueError(f"{trainer.game.spec.name} has one seat: there is nobody to play against")
    game = trainer.game.to_watch(games, seed)
    hero = Heard(trainer, greedy)
    players = [seated(hero, game, device=device)]
    if rival is not None:
        players.append(seated(rival, game, number=1, greedy=greedy, device=device))
    seats = np.arange(game.spec.seats)
    heros = np.ones((games, game.spec.seats), np.bool_)
    if rival is not None:
        heros = np.arange(games)[:, None] % game.spec.seats == seats
    films, earned, live = [Film() for _ in range(games)], np.zeros(games), np.ones(games, np.bool_)
    for _ in range(game.spec.longest):
        hero.forget(games * game.spec.deciders)
        action = _decided(game, players, heros, live)
        for one in np.flatnonzero(live).tolist():
            films[one].add(game.scene(one, hero.mind(one, action)), float(earned[one]))
        game.step(action)
        earned += np.where(live, (game.rewards * heros).sum(1) / heros.sum(1), 0)
        for one in np.flatnonzero(live & (game.ended | game.cut)).tolist():
            films[one].add(game.scene(one), float(earned[one]))
            films[one].end = f"{game.spec.score.name} {game.outcome[one][heros[one]].mean():.3g}"
            say(f"game {one + 1} of {games}: {len(films[one].scenes) - 1} decisions, {films[one].end}")
        live &= ~(game.ended | game.cut)
        if not live.any():
            break
    return films


def _decided(game: Game, players: list[Seated], heros: Array, live: Array) -> dict[str, Array]:
    """What everyone does."""
    rows = live[:, None] & game.acting
    mine = np.take_along_axis(heros, game.seat, 1)
    action = players[0].decide(rows & mine)
    for rival in players[1:]:
        others = rival.decide(rows & ~mine)
        for name, part in action.items():
            own = mine.reshape(mine.shape + (1,) * (part.ndim - mine.ndim))
            action[name] = np.where(own, part, others[name])
    return action
