"""Territory, as a game of Velodrome."""

from __future__ import annotations

from colorsys import hls_to_rgb
from typing import Literal

import numpy as np

from velodrome.games.game import Array, Choice, Game, Score, Spec, View
from velodrome.games.kernel import below, draw, kernel, rule, seed_states
from velodrome.games.scene import NOTHING_SAID, Mind, Scene
from velodrome.games.territory.bots import bots_turn, decide
from velodrome.games.territory.fight import attacks, cut_off, send
from velodrome.games.territory.scene import scene_of
from velodrome.games.territory.start import begin
from velodrome.games.territory.views import (
    ACTIONS,
    CELLS,
    DIRECTIONS,
    FEATURES,
    GLOBALS,
    INTENSITIES,
    PIXELS,
    PLANES,
    SIGHTS,
    WAIT,
    draw_coarse,
    draw_map,
    fullness,
    look_around,
    middle,
    plain_reward,
    published_reward,
    tell,
    tell_targets,
)
from velodrome.games.territory.world import (
    AGENT,
    CUT,
    LOST,
    MOST,
    NOBODY,
    RUNNING,
    SIZES,
    TO_WIN,
    WATER,
    WON,
    Board,
    board_of,
    build,
    grow,
    limit,
    rank_of,
    record_of,
    room_for,
    share_of,
)

LEAST_FIELD = 16
RANDOM, IDLE, RULE, GREEDY = range(4)
BOTS = ("random", "wait", "rule", "greedy")
MAPS = ("plains", "hills", "islands")
PLACES = ("middle", "corner")
OPPONENTS = ("equal", "handicapped")
REWARDS = ("plain", "published")
SCORES = ("wins", "land")
COARSE, DENSE = range(2)
OBSERVATIONS = ("coarse", "published")
WIN_EVERY, CUT_OFF_EVERY = 10, 20
FULL_ENOUGH, HALF = 0.6, 2
"""How full the greedy player is when it attacks others, and the intensity with which it does."""
SIGNS = ".@" + "".join(chr(code) for code in range(ord("a"), ord("z") + 1)) + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Who holds a tile: nobody, the agent, the bots."""
COLOURS = np.array(
    [
        (120, 140, 160), (225, 220, 205), (30, 90, 200),
        *(tuple(round(255 * part) for part in hls_to_rgb(0.02 + 0.61803 * n % 0.5, 0.5, 0.6)) for n in range(MOST)),
    ],
    np.uint8,
)  # fmt: skip
"""Of water, nobody's land, the agent's, then each bot's; no bot is blue."""
DRAWN = 32
"""Columns of the map in a transcript."""
DRAWN_EVERY = 200
"""Ticks between two maps there."""


# -- rules ------------------------------------------------------------------------------------------------------------


@rule
def tick(game, board, room):  # type: ignore[no-untyped-def]
    """A tenth of a second: troops grow, bots decide, attacks go on; now and then somebody has won, or is cut off."""
    game.now += 1
    grow(game)
    bots_turn(game, board)
    attacks(game, board, room)
    if game.now % CUT_OFF_EVERY == 0 and game.moved:
        cut_off(game, board, room)
    if game.held[AGENT] == 0:
        game.over = LOST
    elif game.now % WIN_EVERY == 0:
        for player in range(AGENT, game.players + 1):
            if game.held[player] > TO_WIN * game.land:
                game.over = WON if player == AGENT else LOST


@rule
def act(game, board, targets, action):  # type: ignore[no-untyped-def]
    """Carry out the agent's decision. A direction says whom it attacks, and which way from the middle of its land."""
    direction, intensity = action // (2 * len(INTENSITIES)), action % (2 * len(INTENSITIES)) // 2
    if action % 2:
        build(game, board, AGENT)
    if direction != WAIT:
        target = targets[direction]
        send(game, board, AGENT, target, INTENSITIES[intensity] * game.troops[AGENT])
        x, y = middle(game, AGENT)
        game.aim[target], game.aim_x[target], game.aim_y[target] = direction, x, y


@rule
def play_decision(game, board, room, targets, action, ticks, longest, published):  # type: ignore[no-untyped-def]
    """Play a decision and the ticks after it; returns what it earns."""
    troops = game.troops[AGENT]
    act(game, board, targets, action)
    for _ in range(ticks):
        tick(game, board, room)
        if game.over != RUNNING:
            break
    if game.over == RUNNING and game.now >= longest * ticks:
        game.over = CUT
    gained = share_of(game, AGENT) - game.share
    if published:
        lost = max(troops - game.troops[AGENT], 0.0)
        earned = published_reward(game, gained, game.rank, lost, action, game.now // ticks)
    else:
        earned = plain_reward(game, gained)
    for i in range(9, 0, -1):
        game.shares[i] = game.shares[i - 1]
    game.shares[0] = gained
    game.share, game.rank, game.last = share_of(game, AGENT), rank_of(game, AGENT), action
    return earned


# -- kernels ----------------------------------------------------------------------------------------------------------


@kernel
def deal(heads, boards, lo, hi, which, size, players, kind, field, corner, mild, rewards, ended, cut):  # type: ignore[no-untyped-def]
    """Start the next of the marked games."""
    room = room_for(boards)
    for i in range(lo, hi):
        if which[i]:
            begin(heads[i], board_of(boards, i), room, size, players, kind, field, corner, mild)
            rewards[i, :] = 0
            ended[i] = cut[i] = False


@kernel
def play(heads, boards, lo, hi, actions, legal, ticks, longest, published, land, rewards, ended, cut, outcome):  # type: ignore[no-untyped-def]
    """Play a decision of every game that goes on. Returns the first that refused, or -1."""
    room, refused = room_for(boards), -1
    targets, allowed = np.empty(DIRECTIONS + 1, np.int64), np.empty(ACTIONS, np.bool_)
    for i in range(lo, hi):
        game, board, action = heads[i], board_of(boards, i), actions[i, 0]
        rewards[i, :] = 0
        if game.over != RUNNING:
            continue
        if not 0 <= action < ACTIONS or not legal[i, 0, action]:
            refused = i if refused < 0 else refused
            continue
        look_around(game, board, targets, allowed)
        rewards[i, 0] = play_decision(game, board, room, targets, action, ticks, longest, published)
        ended[i], cut[i] = game.over in (WON, LOST), game.over == CUT
        outcome[i, 0] = share_of(game, AGENT) if land else 1.0 * (game.over == WON)
    return refused


@kernel
def tell_all(heads, boards, lo, hi, which, ticks, longest, globals_, legal):  # type: ignore[no-untyped-def]
    """Write the numbers that the agent is told, and what it may do."""
    targets = np.empty(DIRECTIONS + 1, np.int64)
    for i in range(lo, hi):
        if which[i]:
            game, board = heads[i], board_of(boards, i)
            look_around(game, board, targets, legal[i, 0])
            tell(game, board, longest, ticks, globals_[i, 0])


@kernel
def see_published(heads, boards, lo, hi, which, maps):  # type: ignore[no-untyped-def]
    """Write the published map."""
    full = np.zeros(MOST + 1)
    for i in range(lo, hi):
        if which[i]:
            game, board = heads[i], board_of(boards, i)
            for player in range(AGENT, game.players + 1):
                full[player] = fullness(game, player)
            draw_map(game, board, full, maps[i, 0])


@kernel
def see_coarse(heads, boards, lo, hi, which, maps, sights):  # type: ignore[no-untyped-def]
    """Write the coarse map, and what lies in each direction."""
    full, targets = np.zeros(MOST + 1), np.empty(DIRECTIONS + 1, np.int64)
    allowed = np.empty(ACTIONS, np.bool_)
    for i in range(lo, hi):
        if which[i]:
            game, board = heads[i], board_of(boards, i)
            for player in range(AGENT, game.players + 1):
                full[player] = fullness(game, player)
            draw_coarse(game, board, full, maps[i, 0])
            look_around(game, board, targets, allowed)
            tell_targets(game, board, targets, full, sights[i, 0])


@rule
def nearest_intensity(share):  # type: ignore[no-untyped-def]
    """The number of the intensity that is nearest to a share of the troops; -1 for next to none."""
    best = -1 if share < 0.5 * INTENSITIES[0] else 0
    for i in range(1, len(INTENSITIES)):
        if best >= 0 and abs(INTENSITIES[i] - share) < abs(INTENSITIES[best] - share):
            best = i
    return best


@rule
def attack_action(targets, target, intensity):  # type: ignore[no-untyped-def]
    """The action that attacks someone so; waiting, where no direction leads there."""
    for direction in range(DIRECTIONS):
        if intensity >= 0 and targets[direction] == target:
            return 2 * (len(INTENSITIES) * direction + intensity)
    return 2 * len(INTENSITIES) * WAIT


@rule
def greedy(game, targets):  # type: ignore[no-untyped-def]
    """Nobody's land whenever it is in reach; else the weakest who is, once there are troops enough."""
    weakest = np.int64(-1)
    for direction in range(DIRECTIONS):
        target = targets[direction]
        if target == NOBODY:
            return attack_action(targets, NOBODY, HALF)
        if target > NOBODY and (weakest < 0 or game.troops[target] < game.troops[weakest]):
            weakest = target
    enough = weakest >= 0 and game.troops[AGENT] >= FULL_ENOUGH * limit(game, AGENT)
    return attack_action(targets, weakest, HALF if enough else -1)


@rule
def by_rule(game, board, targets, ticks):  # type: ignore[no-untyped-def]
    """What a bot would do, when its turn has come."""
    if (game.now + game.phase[AGENT]) % game.every[AGENT] >= ticks:
        return 2 * len(INTENSITIES) * WAIT
    target, troops = decide(game, board, AGENT)
    share = troops / max(game.troops[AGENT], 1.0)
    return attack_action(targets, target, nearest_intensity(share) if target >= 0 else -1)


@kernel
def advise(bot, heads, boards, lo, hi, legal, ticks, actions):  # type: ignore[no-untyped-def]
    """Write what a bot would do."""
    targets, allowed = np.empty(DIRECTIONS + 1, np.int64), np.empty(ACTIONS, np.bool_)
    for i in range(lo, hi):
        game, board = heads[i], board_of(boards, i)
        look_around(game, board, targets, allowed)
        actions[i, 0] = 2 * len(INTENSITIES) * WAIT
        if bot == RANDOM:
            n = 0
            for action in range(ACTIONS):
                n += legal[i, 0, action]
            game.luck, bits = draw(game.luck)
            n = below(bits, n)
            for action in range(ACTIONS):
                if legal[i, 0, action]:
                    if n == 0:
                        actions[i, 0] = action
                        break
                    n -= 1
        elif bot == RULE:
            actions[i, 0] = by_rule(game, board, targets, ticks)
        elif bot == GREEDY:
            actions[i, 0] = greedy(game, targets)
        if not legal[i, 0, actions[i, 0]]:
            actions[i, 0] = 2 * len(INTENSITIES) * WAIT
        if bot == GREEDY and legal[i, 0, actions[i, 0] + 1]:
            actions[i, 0] += 1


class Territory(Game):
    """A land-grab on a grid: troops grow with the land, and take more of it, tile by tile.

    - `size`: tiles along a side, 32, 64 or 128.
    - `bots`: opponents, 1 to 50, who play by rule.
    - `opponents`: "equal" to the agent, or "handicapped" as published: fewer troops at first, a third of the limit, six
      tenths of the growth, half the gold, and cheaper to attack.
    - `map`: "plains", "hills" or "islands" that hang together, drawn anew for every game.
    - `field`: tiles along a side of the square that can be land, 0 for all; `at` has it in the "middle" of the board or
      in its "corner".
    - `ticks`: of a decision, of a tenth of a second each.
    - `longest`: decisions of a game.
    - `observation`: "published", a map of 128 by 128 by 5; or "coarse", a map of 16 by 16 and what lies
      in each direction.
    - `reward`: "plain", the share of the land that was gained and one for a victory; or "published".
    - `score`: "wins", the share of the games that are won; or "land", the share of the land at a game's end.

    There is one seat. Who holds more than four fifths of the land has won.
    """

    luck_apart = 0x54455252
    side_by_side = 512

    def __init__(
        self,
        games: int,
        seed: int,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
        size: Literal[32, 64, 128] = 64,
        bots: int = 5,
        opponents: Literal["equal", "handicapped"] = "equal",
        map: Literal["plains", "hills", "islands"] = "plains",
        field: int = 0,
        at: Literal["middle", "corner"] = "middle",
        ticks: int = 10,
        longest: int = 1000,
        observation: Literal["coarse", "published"] = "published",
        reward: Literal["plain", "published"] = "plain",
        score: Literal["wins", "land"] = "wins",
    ):
        if size not in SIZES:
            raise ValueError(f"territory: size={size} is not one of {', '.join(str(each) for each in SIZES)}")
        if not 1 <= bots < MOST:
            raise ValueError(f"territory: bots={bots}; it takes from 1 to {MOST - 1}")
        if min(ticks, longest) < 1:
            raise ValueError(f"territory: ticks={ticks}, longest={longest}: both are at least 1")
        for name, value, known in (
            ("opponents", opponents, OPPONENTS), ("map", map, MAPS), ("at", at, PLACES),
            ("observation", observation, OBSERVATIONS), ("reward", reward, REWARDS), ("score", score, SCORES),
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"territory: {name}={value!r} is not one of {', '.join(known)}")
        if field and not LEAST_FIELD <= field <= size:
            raise ValueError(f"territory: field={field}; it takes from {LEAST_FIELD} to the board's {size}, or 0")
        self.size, self.bots, self.ticks = size, bots, ticks
        self.field, self.corner = field or size, at == "corner"
        self.kind, self.mild, self.published = MAPS.index(map), opponents == "handicapped", reward == "published"
        self.land, self.coarse = score == "land", observation == "coarse"
        self.record = record_of(size, bots + 1)
        views = {
            "globals": View((GLOBALS,), low=-10, high=10, says="troops, growth, land, rank, borders, gold, time"),
            "legal": View((ACTIONS,), np.bool_, 0, 1, says="which actions may be chosen"),
        }
        if self.coarse:
            views["coarse"] = View(
                (CELLS, CELLS, FEATURES), low=0, high=1.001, says="shares of land and water, borders, troops, by cell"
            )
            views["sights"] = View((DIRECTIONS, SIGHTS), low=-3, high=3, says="who lies in each direction")
        else:
            views["map"] = View(
                (PIXELS, PIXELS, PLANES), low=0, high=1, says="own land, others', nobody's, own troops, others'"
            )
        spec = Spec(
            "territory", 1, 1, views, (Choice("order", ACTIONS, "legal"),),
            Score(score, "higher"), longest, BOTS,
            settings={
                "size": size, "bots": bots, "opponents": opponents, "map": map, "field": field, "at": at,
                "ticks": ticks, "longest": longest, "observation": observation, "reward": reward, "score": score,
            },
        )  # fmt: skip
        super().__init__(spec, games, seed, threads, first, duplicate)

    def seed_records(self, seed: int, start: Array, luck: Array) -> None:
        """Write the random states."""
        seed_states(seed, start, self.heads["starts"])
        seed_states(seed ^ self.luck_apart, luck, self.heads["luck"])

    @property
    def heads(self) -> Array:
        """The part of the records that is alike on all boards."""
        heads: Array = self.records["head"]
        return heads

    @property
    def boards(self) -> Board:
        """The part that is not."""
        return Board(*(self.records[name] for name in Board._fields))

    def deal(self, lo: int, hi: int, which: Array) -> None:
        """Draw a map and put everyone on it where marked."""
        deal(
            self.heads, self.boards, lo, hi, which, self.size, self.bots + 1, self.kind, self.field, self.corner,
            self.mild, self.rewards, self.ended, self.cut,
        )  # fmt: skip
        self._look(lo, hi, which)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        """Play a decision of every game."""
        refused = play(
            self.heads, self.boards, lo, hi, action["order"], self.views["legal"], self.ticks, self.spec.longest,
            self.published, self.land, self.rewards, self.ended, self.cut, self.outcome,
        )  # fmt: skip
        self.look(lo, hi)
        return int(refused)

    def look(self, lo: int, hi: int) -> None:
        """Write what the agent sees."""
        self._look(lo, hi, self.everyone)

    def _look(self, lo: int, hi: int, which: Array) -> None:
        heads, boards, views = self.heads, self.boards, self.views
        tell_all(heads, boards, lo, hi, which, self.ticks, self.spec.longest, views["globals"], views["legal"])
        if self.coarse:
            see_coarse(heads, boards, lo, hi, which, views["coarse"], views["sights"])
        else:
            see_published(heads, boards, lo, hi, which, views["map"])

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        """Ask a bot."""
        advise(BOTS.index(name), self.heads, self.boards, lo, hi, self.views["legal"], self.ticks, action["order"])

    def board(self, game: int) -> Array:
        """Who holds each tile `[size, size]`: 0 is nobody, 1 the agent, -1 water."""
        inner = (slice(1, -1), slice(1, -1))
        shape = (self.size + 2, self.size + 2)
        owner: Array = self.records["owner"][game].reshape(shape)[inner].astype(np.int64)
        owner[self.records["terrain"][game].reshape(shape)[inner] == WATER] = -1
        return owner

    def picture(self, game: int) -> Array:
        """The board: water, nobody's land, the agent's, and the bots', each in a colour of its own."""
        picture: Array = COLOURS[self.board(game) + 1]
        return picture

    def describe_action(self, action: object, game: int, row: int) -> str:
        """The order in words."""
        order = int(action["order"][game, row])  # type: ignore[index]
        direction, intensity = order // (2 * len(INTENSITIES)), order % (2 * len(INTENSITIES)) // 2
        names = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
        said = "wait" if direction == WAIT else f"{names[direction]} with {INTENSITIES[intensity]:.0%}"
        return said + (" and build" if order % 2 else "")

    def describe(self, game: int) -> str:
        """Who holds how much with which troops; now and then the map."""
        head, lines = self.heads[game], []
        for player in range(AGENT, self.bots + 2):
            if head["held"][player]:
                cities = f", {head['cities'][player]} cities" if head["cities"][player] else ""
                lines.append(
                    f"{SIGNS[player]} {head['held'][player]} tiles, {head['troops'][player]:.0f} troops, "
                    f"{head['gold'][player]:.0f} gold{cities}"
                )
        drawn = []
        if head["now"] % DRAWN_EVERY == 0 or head["over"] != RUNNING:
            each = max(self.size // DRAWN, 1)
            drawn = ["".join("~" if n < 0 else SIGNS[n] for n in row) for row in self.board(game)[::each, ::each]]
        return "\n".join([f"tick {head['now']}", *lines, *drawn])

    def scene(self, game: int, mind: Mind = NOTHING_SAID) -> Scene:
        """The board, and what the agent has in mind."""
        return scene_of(self.records[game], self.spec.longest, self.ticks, mind)
