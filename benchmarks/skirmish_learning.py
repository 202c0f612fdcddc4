"""Skirmish learnt: by MAPPO from nothing, then by decision transformers from its battles and online.

    python benchmarks/skirmish_learning.py mappo       results/skirmish_mappo.json
    python benchmarks/skirmish_learning.py sets        results/skirmish_sets.json
    python benchmarks/skirmish_learning.py decision    results/skirmish_decision.json
    python benchmarks/skirmish_learning.py search      results/search_helps.json
    python benchmarks/skirmish_learning.py hard        results/skirmish_hard.json

Each needs what those before it left in runs/skirmish and sets. MAPPO trains alone on the machine until it surely wins
nine battles in ten or the map's time is up. A set is recorded of players that were stopped on the way; the good ones
are MAPPO's first. Decision transformers learn from these, are scored, go on online and are scored again; they are
compared with each other, so two train at once, a core each. Then the evolutionary search beside one draw and beside
the best of as many. Last, MAPPO on the hard maps for a number of iterations, two at once. Interrupted, each goes on;
without a part, all are done in turn.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import RESULTS, Disturbance, Lines, called, keep, two_at_once, velodrome
from velodrome.meter.statistics import mean

MAPS = ("3m", "8m", "2s3z", "so_many_baneling")
HARD = ("3s5z", "corridor", "3s5z_vs_3s6z")
SEEDS, SEARCH_SEEDS, BATTLES = 3, 5, 1000
UNSEEN = ("--episodes", str(BATTLES), "--seed", "1000")
WANTED = 0.9
MOST_S = {"3m": 1200, "8m": 1200, "2s3z": 400, "so_many_baneling": 400}
"""Training of MAPPO, at most."""
HARD_ITERATIONS = 300
BOTS = ("random", "nearest", "focus", "kite")
ONE_CORE = ("--lanes", "1", "--threads", "1")
GOAL = ("--until", f"score>{WANTED}", "--evaluate-every", "10", "--episodes", "500")
QUALITIES = {"good": 0.9, "medium": 0.5, "poor": 0.2}
"""The player of a set was stopped when it surely won so much."""
DRAWN = {("3m", "poor"): 12}
"""Stopped after so many iterations, and orders are drawn: the likeliest win too often from the first iteration."""
RECORDED, FRESH = 500, "500"
"""Battles of a set, and their seed: none by which its player was chosen."""
PRETRAINING, ONLINE = 50, 16
"""Iterations of each."""
SAID = {
    ("8m", "skirmish-eva"): (0.86, 0.97),
    ("8m", "skirmish-madt"): (0.76, 0.96),
    ("so_many_baneling", "skirmish-eva"): (0.80, 0.94),
    ("so_many_baneling", "skirmish-madt"): (0.65, 0.91),
}
"""Ends of the published curves, before and after a million steps online; read off figures."""
PUBLISHED = {
    "batch": 16384, "minibatch": 16384, "epochs": 10, "rate": 5e-4, "critic-rate": 5e-3, "discount": 0.99,
    "entropy": 0.01, "trace": 0.95, "decay": 0.1, "keep-squares": 0.95, "small": 1e-8, "average": 0,
}  # fmt: skip
"""MADT's settings online."""
PLAYERS: dict[str, tuple[str, ...]] = {
    "skirmish-madt": ("skirmish-madt",),
    "skirmish-eva": ("skirmish-eva",),
    "skirmish-madt, online as published": (
        "skirmish-madt",
        *(text for name, value in PUBLISHED.items() for text in (f"--ppo.{name}", str(value))),
        "--ppo.no-limit-ends",
    ),
}
SMALLER = {"skirmish-madt, online as published": 8}
"""How many times as many iterations a player has whose batches are smaller."""
ARMS: dict[str, tuple[str, ...]] = {
    "search": ("skirmish-eva",),
    "best of 20": ("skirmish-eva", "--search.generations", "0"),
    "one draw": ("skirmish-eva", "--search.generations", "0", "--search.population", "1"),
}
SEARCH_MAPS, SEARCH_PRETRAINING, SEARCH_ONLINE = ("3m", "8m", "2s3z"), 30, 5
RUNS, SETS = Path("runs/skirmish"), Path("sets")


def trained(run: Path, recipe: str, *flags: str) -> dict[str, Any]:
    """Train, going on with a run that is there."""
    return velodrome("train", recipe, "--run", str(run), "--resume", *flags)


def scored(run: Path) -> dict[str, Any]:
    """Over battles that no evaluation during training has seen, the likeliest orders given."""
    return velodrome("evaluate", str(run), *UNSEEN)


def begun(record: str, runs: Sequence[str]) -> Lines:
    """The lines of a part; where it begins anew, without the runs that an earlier one left."""
    lines = Lines(record)
    if lines.new:
        for pattern in runs:
            for run in RUNS.glob(pattern):
                shutil.rmtree(run)
    return lines


def figures_of(record: str) -> list[dict[str, Any]]:
    """What an earlier part found."""
    figures: list[dict[str, Any]] = json.loads((RESULTS / f"{record}.json").read_text(encoding="utf-8"))["figures"]
    return figures


def fought(name: str, run: Path, seed: int, *goal: str) -> dict[str, Any]:
    """MAPPO on a map, until the goal is reached or the map's time is up."""
    flags = ("--map", name, "--seed", str(seed), "--seconds", str(MOST_S[name]))
    return trained(run, "skirmish-mappo", *flags, *goal)


# -- MAPPO ------------------------------------------------------------------------------------------------------------


def mappo(name: str, seed: int) -> dict[str, Any]:
    """One seed on one map, alone on the machine."""
    run, others = RUNS / f"mappo-{name}-{seed}", Disturbance()
    found = fought(name, run, seed, *GOAL)
    return {
        "map": name, "seed": seed, "seconds": found["seconds"], "stopped by": found["stopped_by"],
        "game_steps": found["game_steps"], "wanted": WANTED, "within_s": MOST_S[name], "others_took": others.share(),
        **beside_bots(run),
    }  # fmt: skip


def beside_bots(run: Path) -> dict[str, Any]:
    """A run's win rate, and those of scripted players."""
    score = scored(run)
    row = {"win rate": score["score"], "stderr": score["stderr"]}
    return row | {bot: score["baselines"][bot]["score"] for bot in BOTS}


def all_mappo() -> None:
    """Every map, every seed."""
    lines = begun("skirmish_mappo", [f"mappo-{name}-*" for name in MAPS])
    for name in MAPS:
        for seed in range(SEEDS):
            if not lines.has(map=name, seed=seed):
                lines.add(mappo(name, seed))
    means = []
    for name in MAPS:
        own = [row for row in lines.rows if row["map"] == name]
        got_there = sum(row["stopped by"] == "score" for row in own)
        means.append(together(lines.rows, name, "win rate", "seconds") | {"got there": got_there})
    keep("skirmish_mappo", lines.rows, together=means, battles=BATTLES)
    lines.close()


def together(rows: Sequence[dict[str, Any]], name: str, figure: str, *more: str) -> dict[str, Any]:
    """The seeds of one map: a figure's mean and interval, and the means of others."""
    own = [row for row in rows if row["map"] == name]
    found = mean([row[figure] for row in own])
    row = {"map": name, figure: found.mean, "interval": list(found.interval), "seeds": found.n}
    return row | {other: mean([one[other] for one in own]).mean for other in more}


def hard(name: str, seed: int) -> dict[str, Any]:
    """One seed on a map where more is needed, as far as the iterations go."""
    run = RUNS / f"mappo-{name}-{seed}"
    flags = ("--map", name, "--seed", str(seed), *ONE_CORE, "--iterations", str(HARD_ITERATIONS))
    found = trained(run, "skirmish-mappo", *flags)
    row = {"map": name, "seed": seed, "iterations": found["iterations"], "game_steps": found["game_steps"]}
    return row | beside_bots(run)


def all_hard() -> None:
    """Every hard map, every seed."""
    lines = begun("skirmish_hard", [f"mappo-{name}-*" for name in HARD])
    jobs = [(name, seed) for name in HARD for seed in range(SEEDS)]
    two_at_once(lines, hard, [job for job in jobs if not lines.has(map=job[0], seed=job[1])])
    means = [together(lines.rows, name, "win rate", "game_steps", *BOTS) for name in HARD]
    keep("skirmish_hard", means, runs=lines.rows, battles=BATTLES, iterations=HARD_ITERATIONS)
    lines.close()


# -- sets -------------------------------------------------------------------------------------------------------------


def recorded(name: str, quality: str, good: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A set of this map, of a player that was stopped once it was so good; the good one is MAPPO's first."""
    folder, run = SETS / f"{name}-{quality}", RUNS / f"{quality}-{name}"
    drawn = DRAWN.get((name, quality))
    if quality == "good":
        run = RUNS / f"mappo-{name}-0"
        found = next(row for row in good if row["map"] == name and row["seed"] == 0)
    else:
        goal = ("--until", f"score>{QUALITIES[quality]}", "--evaluate-every", "1", "--episodes", "300")
        found = fought(name, run, 0, *(("--iterations", str(drawn)) if drawn else goal))
    shutil.rmtree(folder, ignore_errors=True)  # one that was not finished
    flags = ("--map", name, "--play", str(run), "--record", str(folder), "--episodes", str(RECORDED), "--seed", FRESH)
    flags += ("--sample",) if drawn else ()
    played = velodrome("evaluate", "skirmish-madt", *flags)
    return {
        "map": name, "quality": quality, "seconds": found["seconds"], "win rate": played["score"],
        "mean return": played["mean_return"], **played["recorded"],
    }  # fmt: skip


def all_sets() -> None:
    """Every quality of every map."""
    good = figures_of("skirmish_mappo")
    lines = begun("skirmish_sets", ["medium-*", "poor-*"])
    for name in MAPS:
        for quality in QUALITIES:
            if not lines.has(map=name, quality=quality):
                lines.add(recorded(name, quality, good))
    keep("skirmish_sets", lines.rows, stopped_at=QUALITIES)
    lines.close()


# -- decision transformers --------------------------------------------------------------------------------------------


Job = tuple[str, str, int, str, tuple[str, ...], tuple[int, int]]
"""Map, hash of its good set, seed, name of the arm, recipe and flags, iterations of each stage."""


def decided(
    name: str, data: str, seed: int, arm: str, command: Sequence[str], iterations: tuple[int, int]
) -> dict[str, Any]:
    """One seed: after learning from the good set, and after going on online."""
    run, first, last = RUNS / f"{called(arm)}-{name}-{seed}", iterations[0], sum(iterations)
    flags = ("--map", name, "--data", str(SETS / f"{name}-good"), "--pretraining", str(first), "--seed", str(seed))
    shutil.rmtree(run, ignore_errors=True)  # one that was not finished may be past the first stage
    row: dict[str, Any] = {"map": name, "data": data, "arm": arm, "seed": seed}
    seconds = steps = 0.0
    for stage, until in (("offline", first), ("online", last)):
        found = trained(run, *command, *flags, *ONE_CORE, "--iterations", str(until))
        score = scored(run)
        row |= {f"{stage} win rate": score["score"], f"{stage} stderr": score["stderr"]}
        row |= {f"{stage} return": score["mean_return"], f"{stage} s": found["seconds"] - seconds}
        row |= {f"{stage} game steps": found["game_steps"] - steps}
        seconds, steps = found["seconds"], found["game_steps"]
    return row | {"random": score["baselines"]["random"]["score"]}


def all_decided(record: str, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Those that are not done, two at once."""
    lines = Lines(record)
    left = [job for job in jobs if not lines.has(map=job[0], data=job[1], seed=job[2], arm=job[3])]
    two_at_once(lines, decided, left)
    hashes = {job[1] for job in jobs}
    return [row for row in lines.rows if row["data"] in hashes]


def summary(rows: Sequence[dict[str, Any]], maps: Sequence[str], arms: Sequence[str]) -> list[dict[str, Any]]:
    """The seeds of each map and arm as mean and interval."""
    found = []
    for name in maps:
        for arm in arms:
            own = [row for row in rows if row["map"] == name and row["arm"] == arm]
            line: dict[str, Any] = {"map": name, "arm": arm}
            for stage in ("offline", "online"):
                rate = mean([row[f"{stage} win rate"] for row in own])
                line |= {f"{stage} win rate": rate.mean, f"{stage} interval": list(rate.interval)}
            gain = mean([row["online win rate"] - row["offline win rate"] for row in own])
            said = SAID.get((name, arm), (None, None))
            line |= {"gain": gain.mean, "gain interval": list(gain.interval), "said offline": said[0]}
            line |= {"online game steps": int(mean([row["online game steps"] for row in own]).mean)}
            found.append(line | {"said online": said[1], "random": own[0]["random"], "seeds": gain.n})
    return found


def all_decision() -> None:
    """Both recipes on every map, and one of them as published."""
    data = {row["map"]: row for row in figures_of("skirmish_sets") if row["quality"] == "good"}
    jobs = [
        (
            name,
            data[name]["hash"],
            seed,
            arm,
            command,
            (PRETRAINING, ONLINE * SMALLER.get(arm, 1)),
        )
        for name in MAPS
        for seed in range(SEEDS)
        for arm, command in PLAYERS.items()
    ]
    rows = all_decided("skirmish_decision", jobs)
    keep("skirmish_decision", summary(rows, MAPS, list(PLAYERS)), runs=rows, data=list(data.values()), battles=BATTLES)
    Lines("skirmish_decision").close()


def all_search() -> None:
    """Whether the search helps: paired by seed with each of the arms without it."""
    data = {row["map"]: row["hash"] for row in figures_of("skirmish_sets") if row["quality"] == "good"}
    jobs = [
        (name, data[name], seed, arm, command, (SEARCH_PRETRAINING, SEARCH_ONLINE))
        for name in SEARCH_MAPS
        for seed in range(SEARCH_SEEDS)
        for arm, command in ARMS.items()
    ]
    rows = all_decided("search_helps", jobs)
    by_place = {(row["map"], row["seed"], row["arm"]): row for row in rows}
    beside = []
    for name in SEARCH_MAPS:
        for arm in list(ARMS)[1:]:
            line: dict[str, Any] = {"map": name, "search beside": arm}
            for stage in ("offline", "online"):
                key = f"{stage} win rate"
                pairs = [(by_place[name, seed, "search"], by_place[name, seed, arm]) for seed in range(SEARCH_SEEDS)]
                more = mean([one[key] - other[key] for one, other in pairs])
                line |= {f"{stage} more": more.mean, f"{stage} interval": list(more.interval)}
            beside.append(line)
    keep("search_helps", beside, arms=summary(rows, SEARCH_MAPS, list(ARMS)), runs=rows, battles=BATTLES)
    Lines("search_helps").close()


PARTS: dict[str, Callable[[], None]] = {
    "mappo": all_mappo,
    "sets": all_sets,
    "decision": all_decision,
    "search": all_search,
    "hard": all_hard,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS)
    part = parser.parse_args().part
    for name in [part] if part else PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
