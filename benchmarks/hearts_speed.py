"""How fast Hearts is beside OpenSpiel, and how far from the floor: results/hearts_speed.json.

python benchmarks/hearts_speed.py [ROUNDS]

Peers, all of them in this process and on one thread:

- OpenSpiel from Python: random play with `legal_actions` and `apply_action`.
- OpenSpiel's C++ loop: `RandomRolloutEvaluator` with many rollouts, reached through an `MCTSBot` that makes a single
  simulation, which evaluates the position it is given by playing copies of it to the end. The position is dealt, so
  there is no dealing in that loop, and our side plays dealt positions too.
- OpenSpiel's NumPy observer: `set_from` on positions of random play, nothing else. Our side plays the games as well.

The floors do only what cannot be left out. Of random play inside a kernel: draw a number and pick a card from a set. Of
play through `step()`: random play inside a kernel, as measured here, and a kernel that writes as many bytes to the same
array. They say what is left to gain, not what could be reached.
"""

from __future__ import annotations

import importlib.metadata
import random
import sys
import time
from typing import Any

import numpy as np
import pyspiel
from open_spiel.python.observation import make_observation

from common import Disturbance, Work, keep, ratio, take_turns
from velodrome.compiled import kernel
from velodrome.games.hearts import Hearts
from velodrome.games.hearts.bots import random_card
from velodrome.games.hearts.openspiel import NOTHING
from velodrome.games.hearts.rules import ALL, CARDS, RECORD, SEATS, act, final_points, over, shooter, start
from velodrome.games.kernel import below, count_bits, draw, nth_bit

GAMES = 1024
PYTHON_DEALS, CPP_ROLLOUTS, OBSERVED, KERNEL_DEALS, STEPS = 40, 400, 2000, 8, 40


@kernel
def play_out_again(games, times, rules, points):  # type: ignore[no-untyped-def]
    """Play the deals of these games to the end with random cards, so many times each; returns the decisions."""
    decisions = 0
    for i in range(games.shape[0]):
        game = games[i]
        for _ in range(times):
            start(game)
            while not over(game):
                act(game, random_card(game, rules), rules)
            decisions += game.passes + game.plays
            moon = shooter(game)
            for seat in range(SEATS):
                points[i, seat] += final_points(game, seat, moon, rules)
    return decisions


@kernel
def pick_cards(states, times, out):  # type: ignore[no-untyped-def]
    """Draw a number, pick that card of a set and take it out, for ever: what no random play can do without."""
    for i in range(states.shape[0]):
        cards, state = ALL, states[i]
        for _ in range(times):
            state, bits = draw(state)
            cards ^= np.uint64(1) << np.uint64(nth_bit(cards, below(bits, count_bits(cards))))
            cards = cards if cards else ALL
        out[i] = cards
    return states.shape[0] * times


@kernel
def fill_rows(out, value):  # type: ignore[no-untyped-def]
    """Write every row once."""
    for i in range(out.shape[0]):
        for place in range(out.shape[1]):
            out[i, place] = value
    return out.shape[0]


@kernel
def clear_and_set(lists, out):  # type: ignore[no-untyped-def]
    """Clear the listed places of every row, then set them."""
    for i in range(out.shape[0]):
        for value in range(2):
            for place in lists[i]:
                if place != NOTHING:
                    out[i, place] = value
    return out.shape[0]


def play_openspiel(rules: Any, deals: int) -> int:
    """Random play through OpenSpiel's Python interface; returns the decisions."""
    decisions = 0
    for _ in range(deals):
        state = rules.new_initial_state()
        while not state.is_terminal():
            decisions += not state.is_chance_node()
            state.apply_action(random.choice(state.legal_actions()))
    return decisions


def dealt_states(rules: Any) -> list[Any]:
    """One dealt position for each direction of the pass."""
    states = []
    for direction in range(SEATS):
        state = rules.new_initial_state()
        state.apply_action(direction)
        while state.is_chance_node():
            state.apply_action(random.choice(state.legal_actions()))
        states.append(state)
    return states


def records_of(states: list[Any]) -> Any:
    """The same positions as records of ours."""
    records = np.zeros(len(states), RECORD)
    for direction, (record, state) in enumerate(zip(records, states, strict=True)):
        record["direction"], record["luck"] = direction, direction
        for draws, card in enumerate(state.history()[1 : CARDS + 1]):
            record["dealt"][draws % SEATS] |= np.uint64(1 << card)
    return records


def rollouts(rules: Any, states: list[Any]) -> Work:
    """OpenSpiel's C++ rollouts from these positions."""
    bot = pyspiel.MCTSBot(rules, pyspiel.RandomRolloutEvaluator(CPP_ROLLOUTS, 1), 2.0, 1, 1000, False, 1, False)
    decisions = sum(CARDS + (12 if direction else 0) for direction in range(SEATS))

    def work() -> int:
        for state in states:
            bot.mcts_search(state)
        return decisions * CPP_ROLLOUTS

    return work


def observer(rules: Any) -> Work:
    """OpenSpiel's NumPy observer on positions of random play."""
    seen = make_observation(rules, pyspiel.IIGObservationType(perfect_recall=True))
    positions = []
    while len(positions) < OBSERVED:
        state = rules.new_initial_state()
        while not state.is_terminal():
            if not state.is_chance_node():
                positions.append((state.clone(), state.current_player()))
            state.apply_action(random.choice(state.legal_actions()))

    def work() -> int:
        for state, player in positions:
            seen.set_from(state, player)
        return len(positions)

    return work


def inside(threads: int = 1) -> Work:
    """Whole random deals inside the kernel, dealing and scoring included."""
    game = Hearts(GAMES, 0, threads, observation="none")
    return lambda: game.play_random(KERNEL_DEALS)[0]


def stepped(observation: Any, threads: int = 1) -> Work:
    """Random play through `bot`, `step` and `reset`; games start apart, so that some end in every step."""
    game = Hearts(GAMES, 0, threads, observation=observation)
    apart = np.random.default_rng(0)
    for _ in range(100):
        game.step(game.bot("random"))
        game.reset(game.ended | (apart.random(GAMES) < 0.02))

    def work() -> int:
        for _ in range(STEPS):
            game.step(game.bot("random"))
            if game.ended.any():
                game.reset(game.ended)
        return STEPS * GAMES

    return work


def floors() -> dict[str, Work]:
    """By the name of the side that they are the floor of."""
    states = np.arange(GAMES, dtype=np.uint64)
    lists = lists_of_features()
    dense = np.zeros((GAMES, NOTHING), np.float32)
    out = np.zeros(GAMES, np.uint64)
    views = {name: Hearts(GAMES, 0, observation=name).views for name in ("compact", "openspiel-indices")}  # type: ignore[arg-type]
    bits, indices = views["compact"]["bits"][:, 0], views["openspiel-indices"]["cards"][:, 0]
    return {
        "kernel": lambda: pick_cards(states, 600, out),
        "compact": lambda: sum(fill_rows(bits, np.uint8(1)) for _ in range(20 * STEPS)),
        "openspiel-indices": lambda: sum(fill_rows(indices, np.int16(1)) for _ in range(20 * STEPS)),
        "openspiel": lambda: sum(clear_and_set(lists, dense) for _ in range(STEPS)),
    }


def lists_of_features() -> Any:
    """What is set at some decision in each game."""
    game = Hearts(GAMES, 0, observation="openspiel-indices")
    for step in range(60):
        game.step(game.bot("random"))
        game.reset(game.ended | (np.arange(GAMES) % 60 == step))
    return game.views["cards"][:, 0].copy()


def sides() -> dict[str, Work]:
    """Everything that takes turns on one thread."""
    rules = pyspiel.load_game("hearts")
    states = dealt_states(rules)
    records, points, options = records_of(states), np.zeros((len(states), SEATS)), Hearts(1, 0).rules
    ours: dict[str, Work] = {
        "kernel": inside(),
        "rollouts": lambda: int(play_out_again(records, 2000, options, points)),
        **{name: stepped(name) for name in ("none", "compact", "openspiel", "openspiel-indices", "openspiel-history")},
    }
    peers = {
        "openspiel python": lambda: play_openspiel(rules, PYTHON_DEALS),
        "openspiel c++": rollouts(rules, states),
        "openspiel observer": observer(rules),
    }
    return ours | peers | {f"floor {name}": work for name, work in floors().items()}


ROWS = [
    ("random play inside a kernel", "kernel", "openspiel python", 40.0),
    ("random play of dealt positions inside a kernel", "rollouts", "openspiel c++", 15.0),
    ("through step(), no observation", "none", None, None),
    ("through step(), compact observation", "compact", "openspiel observer", None),
    ("through step(), OpenSpiel's observation, dense", "openspiel", "openspiel observer", 2.0),
    ("through step(), OpenSpiel's observation, as indices", "openspiel-indices", "openspiel observer", 10.0),
    ("through step(), the last five observations, as indices", "openspiel-history", None, None),
]
"""What, our side, the peer, and the ratio that is wanted."""
WANTED_STEPPED_PER_S = 10e6


def row(what: str, name: str, peer: str | None, wanted: float | None, rates: dict[str, list[float]]) -> dict[str, Any]:
    """One line of the record."""
    figure: dict[str, Any] = {"what": what, "decisions_per_s": float(np.median(rates[name])), "peer": peer}
    if peer:
        figure |= {"peer_per_s": float(np.median(rates[peer])), **ratio(rates[name], rates[peer])}
        figure |= {"wanted_ratio": wanted}
    if name == "none":
        figure["wanted_per_s"] = WANTED_STEPPED_PER_S
    return figure


def floor_row(what: str, name: str, rates: dict[str, list[float]]) -> dict[str, Any]:
    """What a decision takes, what its floor takes, and the bytes of observation that both write."""
    taken, floor = 1e9 / np.median(rates[name]), 1e9 / np.median(rates[f"floor {name}"])
    if name != "kernel":
        floor += 1e9 / np.median(rates["kernel"])
    return {
        "what": what,
        "decision_ns": float(taken),
        "floor_ns": float(floor),
        "times_the_floor": float(taken / floor),
        "observation_bytes": observation_bytes(name),
    }


def observation_bytes(name: str) -> int:
    """Bytes that a decision writes; of the dense observation those of the features cleared and set, on average."""
    if name == "kernel":
        return 0
    if name == "openspiel":
        return round(2 * 4 * (lists_of_features() != NOTHING).sum() / GAMES)
    shown = {"compact": "bits", "openspiel-indices": "cards"}[name]
    return int(Hearts(1, 0, observation=name).views[shown].nbytes)  # type: ignore[arg-type]


def two_threads(rounds: int) -> list[dict[str, Any]]:
    """One thread beside two, by the wall clock."""
    both = {"kernel": inside, "compact": lambda threads: stepped("compact", threads)}
    works = {f"{name} {threads}": make(threads) for name, make in both.items() for threads in (1, 2)}
    rates = take_turns(works, rounds, clock=time.perf_counter)
    return [
        {"what": what, "decisions_per_s": float(np.median(rates[f"{name} 2"]))}
        | {"times_one_thread": ratio(rates[f"{name} 2"], rates[f"{name} 1"])["ratio"]}
        for what, name, *_ in ROWS
        if name in both
    ]


def main() -> None:
    """Measure and keep."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    random.seed(0)
    disturbance = Disturbance()
    rates = take_turns(sides(), rounds)
    keep(
        "hearts_speed",
        [row(*line, rates) for line in ROWS],
        floors=[floor_row(what, name, rates) for what, name, *_ in ROWS if f"floor {name}" in rates],
        two_threads=two_threads(rounds),
        games=GAMES,
        rounds=rounds,
        open_spiel=importlib.metadata.version("open_spiel"),
        taken_by_others=disturbance.share(),
        seconds="CPU seconds of one thread; wall clock for two threads",
    )


if __name__ == "__main__":
    main()
