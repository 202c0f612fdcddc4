"""What a game is: the rules of play for many games at once, behind one small interface.

A game owns four things, all of them NumPy arrays that it allocates once and rewrites in place:

- `records [games]`: one structured record per game with everything its future depends on, random state
  included. A snapshot is a copy of it.
- `views`: what the deciders see, `{name: array[games, K, ...]}`, K being the number of deciders at a step.
- `seat [games, K]` and `acting [games, K]`: whose row it is, and whether the row's action counts at all.
- what the last step brought: `rewards [games, seats]`, `ended [games]`, `cut [games]` (time limit) and, where
  one of these is set, `outcome [games, seats]`, the score of each seat in the game just finished.

`step` leaves the last observation standing; `reset(ended)` starts the next games. Whoever writes a game
subclasses `Game`, declares a `Spec` and a record, and fills in `deal`, `play`, `look` and `advise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from velodrome.compiled import announced
from velodrome.games.kernel import seed_states
from velodrome.games.pool import Pool
from velodrome.games.scene import NOTHING_SAID, Mind, Scene, of_views
from velodrome.mistake import Mistake

Array = NDArray[Any]
Action = Mapping[str, Array]


@dataclass(frozen=True)
class Choice:
    """One of `n` things, as an integer."""

    name: str
    n: int
    mask: str | None = None
    """Name of the view `[games, K, n]` that says which are legal."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row's part of the action."""
        return ()

    dtype: ClassVar[type] = np.int64


@dataclass(frozen=True)
class Bits:
    """`n` independent yes-or-no decisions."""

    name: str
    n: int
    mask: str | None = None
    """Name of the view `[games, K, n]` that says which bits may be set."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row's part of the action."""
        return (self.n,)

    dtype: ClassVar[type] = np.int64


@dataclass(frozen=True)
class Box:
    """`n` real numbers between `low` and `high`."""

    name: str
    n: int
    low: float = -1.0
    high: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row's part of the action."""
        return (self.n,)

    dtype: ClassVar[type] = np.float32


@dataclass(frozen=True)
class Simplex:
    """`n` shares that are at least zero and sum to one."""

    name: str
    n: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row's part of the action."""
        return (self.n,)

    dtype: ClassVar[type] = np.float32


Part = Choice | Bits | Box | Simplex


@dataclass(frozen=True)
class View:
    """One named array of the observation, without its leading `[games, K]`."""

    shape: tuple[int, ...]
    dtype: DTypeLike = np.float32
    low: float = -np.inf
    high: float = np.inf
    says: str = ""
    """One line for the docs and for error messages."""
    private: bool = False
    """True for a view that is no player's to see (the central state): for training only."""


@dataclass(frozen=True)
class Score:
    """The one figure by which the game says how well someone played."""

    name: str
    better: Literal["lower", "higher"]


@dataclass(frozen=True)
class Spec:
    """What a game declares of itself."""

    name: str
    seats: int
    deciders: int
    """K, the rows of a step: 1 in a turn-based game, `seats` in a simultaneous one."""
    views: Mapping[str, View]
    action: tuple[Part, ...]
    score: Score
    longest: int
    """No game lasts more steps than this."""
    bots: tuple[str, ...] = ("random",)
    """Scripted players, by the names that `advise` takes. The first is the most trivial one."""
    roles: tuple[int, ...] = ()
    """The role of each seat where seats differ; empty where all are alike."""
    together: bool = False
    """Whether all seats are on one side: then nobody sits against anybody."""
    duplicate: int = 1
    """How many times an evaluation plays each start with the seats rotated (1: rotation means nothing here)."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The options this game was made with: the keyword arguments that make another like it."""


T = TypeVar("T")
_compiled: set[tuple[str, str]] = set()
"""The kernels that this process has called before, by kind of game and purpose."""


class IllegalAction(ValueError):
    """An action that the rules do not allow; the game it was meant for has not moved."""


class Game:
    """Base of all games. See the module's text for the arrays and who rewrites them when."""

    record: np.dtype[Any]
    side_by_side: ClassVar[int] = 4096
    """As many games as are worth holding at once."""
    resumes: ClassVar[bool] = True
    """Whether `resume` goes on in mid-play, bit for bit; otherwise the games begin anew."""
    luck_apart: ClassVar[int] = 0x4C55434B
    """Keeps a game's luck apart from its starts when both are seeded with the same number."""
    spec: Spec

    def __init__(self, spec: Spec, games: int, seed: int, threads: int = 1, first: int = 0, duplicate: bool = False):
        """`first` numbers the first of these games, so that a shard plays what the whole batch would have
        played; `duplicate` gives each run of `spec.duplicate` games the same starts."""
        if games < 1:
            raise ValueError(f"games={games}: at least one game is needed")
        self.spec, self.games, self.seed, self.first = spec, games, seed, first
        self.records = np.zeros(games, self.record)
        self.everyone = np.ones(games, np.bool_)
        rows = (games, spec.deciders)
        self.views = {name: np.zeros(rows + view.shape, view.dtype) for name, view in spec.views.items()}
        self.seat = np.zeros(rows, np.int64)
        if spec.deciders == spec.seats:
            self.seat[:] = np.arange(spec.seats)
        self.acting = np.ones(rows, np.bool_)
        self.rewards = np.zeros((games, spec.seats), np.float32)
        self.ended = np.zeros(games, np.bool_)
        self.cut = np.zeros(games, np.bool_)
        self.outcome = np.zeros((games, spec.seats), np.float32)
        self._pool = Pool(threads)
        self._kind = repr((type(self), dict(spec.views)))  # games that show other views call other kernels
        number = first + np.arange(games)
        with announced(f"the rules of {spec.name}"):
            self.seed_records(seed, number // spec.duplicate if duplicate else number, number)
        self.reset()

    # -- for whoever plays ------------------------------------------------------------------------------------

    def step(self, action: Action | Array) -> None:
        """Play one action per row. Raises `IllegalAction`, naming the first game that refused."""
        parts = self.as_parts(action)
        refused = self._over_slices("play", lambda lo, hi: self.play(lo, hi, parts))
        first = min((game for game in refused if game >= 0), default=-1)
        if first >= 0:
            said = {name: part[first].tolist() for name, part in parts.items()}
            raise IllegalAction(
                f"{self.spec.name}: game {first} does not allow {said} for seat {self.seat[first].tolist()}"
            )

    def reset(self, which: Array | None = None) -> None:
        """Start the next game in the slots that `which [games]` marks, in all of them without it."""
        mask = self.everyone if which is None else np.asarray(which, np.bool_)
        self._over_slices("deal", lambda lo, hi: self.deal(lo, hi, mask))

    def bot(self, name: str) -> dict[str, Array]:
        """What the scripted player `name` would do in every row."""
        if name not in self.spec.bots:
            raise ValueError(f"{self.spec.name} has no bot {name!r}; it has {', '.join(self.spec.bots)}")
        rows = (self.games, self.spec.deciders)
        parts: dict[str, Array] = {part.name: np.zeros(rows + part.shape, part.dtype) for part in self.spec.action}
        self._over_slices(f"bot {name}", lambda lo, hi: self.advise(name, lo, hi, parts))
        return parts

    def again(
        self, games: int, seed: int | None = None, threads: int = 1, first: int = 0, duplicate: bool = False
    ) -> Game:
        """Other games of the same kind with the same options; of the same seed if none is given."""
        kind: Any = type(self)
        seed = self.seed if seed is None else seed
        made: Game = kind(
            games=games, seed=seed, threads=threads, first=first, duplicate=duplicate, **self.spec.settings
        )
        return made

    def snapshot(self) -> Array:
        """Everything that the games' future depends on, for `restore`."""
        self._refuse_unless_whole()
        return self.records.copy()

    def restore(self, records: Array) -> None:
        """Go back to a snapshot; every view is written anew, and nothing counts as just ended."""
        self._refuse_unless_whole()
        self.records[:] = records
        self.rewards[:] = 0
        self.ended[:] = False
        self.cut[:] = False
        self._over_slices("look", self.look)

    def resume(self, records: Array) -> None:
        """Go on from the records that a run kept; where they do not tell all, with the games that come after those."""
        if self.resumes:
            self.restore(records)
        else:
            self.records[:] = records
            self.reset()

    def _refuse_unless_whole(self) -> None:
        if not self.resumes:
            raise Mistake(f"{self.spec.name} is played elsewhere: it cannot be saved in mid-play or put back")

    def _over_slices(self, what: str, work: Callable[[int, int], T]) -> list[T]:
        if (self._kind, what) in _compiled:
            return self._pool.run(self.games, work)
        with announced(f"the rules of {self.spec.name} ({what})"):
            done = [work(0, self.games)]  # on one thread, so that Numba compiles once
        _compiled.add((self._kind, what))
        return done

    def as_parts(self, action: Action | Array) -> dict[str, Array]:
        """The action as `{part: array[games, K, ...]}` of the declared types; a bare array will do for a game
        whose action has one part."""
        given = action if isinstance(action, Mapping) else {self.spec.action[0].name: action}
        if set(given) != {part.name for part in self.spec.action}:
            wanted = ", ".join(part.name for part in self.spec.action)
            raise ValueError(f"{self.spec.name} takes the action parts {wanted}, not {', '.join(given)}")
        rows = (self.games, self.spec.deciders)
        parts = {}
        for part in self.spec.action:
            value: Array = np.ascontiguousarray(given[part.name], dtype=part.dtype)
            if value.size != math.prod(rows + part.shape):
                raise ValueError(f"{self.spec.name}: {part.name} has shape {value.shape}, it takes {rows + part.shape}")
            parts[part.name] = value.reshape(rows + part.shape)
        return parts

    # -- for whoever writes a game ----------------------------------------------------------------------------
    # Each works on the games lo..hi only and may run beside itself on other slices.

    def seed_records(self, seed: int, start: Array, luck: Array) -> None:
        """Write the random state of every record. What fixes a start (a deal, a map) comes from `start [games]`;
        the chance that bots and the game's course draw on comes from `luck [games]`. Here they are the record's
        `starts` and `luck`."""
        seed_states(seed, start, self.records["starts"])
        seed_states(seed ^ self.luck_apart, luck, self.records["luck"])

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Start the next game in the marked slots, clear what the last step brought there, and `look`."""
        raise NotImplementedError

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Play; write rewards, ended, cut, outcome, seat, acting and views. Games that have ended and were not
        reset stay as they are, with zero reward. Returns the first game that refused its action, or -1."""
        raise NotImplementedError

    def look(self, lo: int, hi: int) -> None:
        """Write seat, acting and views from the records alone."""
        raise NotImplementedError

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Write the bot's actions. May draw on the record's luck."""
        raise NotImplementedError

    def describe_action(self, action: Action, game: int, row: int) -> str:
        """What the row does, as text, for transcripts."""
        parts = {name: np.ravel(part[game, row]).tolist() for name, part in action.items()}
        # plus 0 turns -0 into 0
        return ", ".join(f"{name} " + " ".join(f"{round(n, 2) + 0:g}" for n in part) for name, part in parts.items())

    def describe(self, game: int) -> str:
        """One game's position as text that a person can check: the body of golden transcripts."""
        raise NotImplementedError

    def picture(self, game: int) -> Array | None:
        """One game's position as a picture `[height, width, 3]` of bytes, where the game has one."""
        return None

    def to_watch(self, games: int, seed: int) -> Game:
        """Other games of the same kind, in which each thing that happens is a step of its own."""
        return self.again(games, seed)

    def scene(self, game: int, mind: Mind = NOTHING_SAID) -> Scene:
        """How one game's position is drawn, and what its players have in mind there; here, just what they see."""
        spec = self.spec
        seen = {name: self.views[name][game] for name, view in spec.views.items() if not view.private}
        parts = {part.name: part.n for part in spec.action if isinstance(part, Choice | Bits)}
        who = [f"seat {seat}" for seat in self.seat[game].tolist()]
        return of_views(seen, mind, parts, f"{spec.name}: the first numbers that players see", who)
