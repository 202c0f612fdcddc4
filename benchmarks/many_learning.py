"""What teams learn: how well, with how little communication, and under which scheme.

    python benchmarks/many_learning.py skill      results/many_learning.json
    python benchmarks/many_learning.py skill --again "tag, predators"
    python benchmarks/many_learning.py less       results/talking_less.json
    python benchmarks/many_learning.py schemes    results/schemes.json

Three seeds each, two at once and a thread each, for as long as a task has; those that are told more or less, for as
many iterations. Scores are over games that nobody has trained on, beside those of the game's bots. Interrupted, it goes
on; without a part, all are done in turn. With `--again`, one task is, and the record's other rows stay; every row says
when and where it was taken.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from common import RESULTS, Lines, called, keep, two_at_once, velodrome
from velodrome.meter.machine import hardware
from velodrome.meter.statistics import mean
from velodrome.runs.run import Run

SEEDS = 3
RUNS = Path("runs/many")


@dataclass(frozen=True)
class Task:
    """What is learnt, for how long, and how good is good enough."""

    command: tuple[str, ...]
    wanted: float
    seconds: int = 300
    iterations: int | None = None
    """How many, where players are compared after as much play; else training ends with the seconds."""
    role: str | None = None
    """Whose score is meant, where seats have roles."""
    games: int = 500
    """Over which a player is scored, with itself in every seat."""
    drawn: bool = False
    """Players draw what they do, as they have learnt to; else they take what is likeliest."""


def catch_up(*flags: str) -> Task:
    """What a crash costs, and whether there is one, hangs on a game's luck: it takes many games to tell."""
    return Task(("platoon-neurcomm", *flags), -57, games=4000, drawn=True)


def navigation(*flags: str) -> Task:
    return Task(("navigation-tom2c", *flags), -5.3)


TASKS = {
    "spread": Task(("spread-maddpg",), -400, 600),
    "tag, predators": Task(("tag-maddpg",), 60, role="0"),
    "navigation": navigation(),
    "coverage": Task(("coverage-tom2c",), 0.75, 900),
    "platoon, catch-up": catch_up(),
    "platoon, slow-down": replace(catch_up("--scenario", "slow-down"), wanted=-478),
    "3m, VDN": Task(("skirmish-vdn",), 0.9, 150),
    "3m, QMIX": Task(("skirmish-qmix",), 0.9, 150),
    "3m, COMA": Task(("skirmish-coma",), 0.8, 150),
    "8m, VDN": Task(("skirmish-vdn", "--map", "8m"), 0.9),
    "8m, QMIX": Task(("skirmish-qmix", "--map", "8m"), 0.9),
}


AFTER = 450
"""Iterations after which those are compared that are told more or less."""
LESS_TOLD = {
    "platoon, all told": catch_up(),
    **{f"platoon, {lost:.0%} lost": catch_up("--channel.lost", str(lost)) for lost in (0.5, 0.9)},
    **{f"platoon, numbers of {bits} bits": catch_up("--channel.bits", str(bits)) for bits in (4, 1)},
    "platoon, no hidden states": catch_up("--method", "fprint"),
    "platoon, only sights": catch_up("--method", "ia2c"),
    "platoon, nothing": catch_up("--method", "ia2c", "--no-hears"),
    "navigation, all told": navigation(),
    "navigation, told less": navigation("--reduce-after", str(AFTER * 2 // 3)),
    "navigation, half lost": navigation("--minds.channel.lost", "0.5"),
    "navigation, numbers of 2 bits": navigation("--minds.channel.bits", "2"),
    "navigation, nothing": navigation("--minds.graph", "none"),
}
LESS = {name: replace(task, iterations=AFTER) for name, task in LESS_TOLD.items()}
"""How far communication can be cut."""
SCHEMES = {
    "spread, MADDPG (centralised)": Task(("spread-maddpg",), -400, 100),
    "spread, QMIX (centralised)": Task(("spread-qmix",), -400, 100),
    "spread, IPPO (decentralised)": Task(("spread-ippo", "--convention", "openai", "--lanes", "1"), -400, 100),
    "3m, MAPPO (centralised)": Task(("skirmish-mappo", "--lanes", "1"), 0.9, 50),
    "3m, QMIX (centralised)": Task(("skirmish-qmix",), 0.9, 50),
    "3m, COMA (centralised)": Task(("skirmish-coma",), 0.9, 50),
}
"""Centralised and decentralised training for as long."""
PARTS = {"skill": ("many_learning", TASKS), "less": ("talking_less", LESS), "schemes": ("schemes", SCHEMES)}


def taken() -> str:
    """When and where a row is taken."""
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d} {hardware()['cpu']}"


def run_of(record: str, name: str, seed: int) -> Path:
    """Where one seed of one task is."""
    return RUNS / record / f"{called(name)}-{seed}"


def learnt(record: str, name: str, task: Task, seed: int) -> dict[str, Any]:
    """One seed of one task."""
    run = run_of(record, name, seed)
    shutil.rmtree(run, ignore_errors=True)
    until = ("--iterations", str(task.iterations)) if task.iterations else ("--seconds", str(task.seconds))
    found = velodrome("train", *task.command, "--run", str(run), "--seed", str(seed), "--threads", "1", *until)
    drawn = ("--sample",) if task.drawn else ()
    score = velodrome(
        "evaluate", str(run), "--episodes", str(task.games), "--seed", "1000", "--against", "nobody", *drawn
    )
    meant = {
        bot: one["score"] if task.role is None else one["by_role"][task.role]
        for bot, one in {"": score, **score["baselines"]}.items()
    }
    return {
        "task": name, "seed": seed, "scheme": Run(run).read_config().scheme,
        "seconds": found["seconds"], "game_steps": found["game_steps"],
        "score": meant.pop(""), "stderr": score["stderr"], "by_role": score["by_role"],
        "cut": score["cut"], "bots": meant, "taken": taken(),
    }  # fmt: skip


def together(rows: Sequence[dict[str, Any]], name: str, task: Task) -> dict[str, Any]:
    """The seeds of a task as mean and interval, beside the bots."""
    own = [row for row in rows if row["task"] == name]
    found = mean([row["score"] for row in own])
    bots = ", ".join(f"{bot} {score:.3g}" for bot, score in own[0]["bots"].items())
    line = {"task": name, "learning": own[0]["scheme"], "score": found.mean, "interval": list(found.interval)}
    line["cut"] = sum(row["cut"] for row in own) / len(own)
    seconds = round(median([row["seconds"] for row in own]))
    when = " and ".join(sorted({row["taken"] for row in own}))
    return line | {"wanted": task.wanted, "seconds": seconds, "bots": bots, "seeds": found.n, "taken": when}


def all_but(record: str, task: str) -> list[dict[str, Any]]:
    """The rows of the stored record that are not this task's."""
    stored = json.loads((RESULTS / f"{record}.json").read_text(encoding="utf-8"))
    when = f"{stored['date'][:10]} {stored['machine']['cpu']}"
    return [{"taken": when} | row for row in stored["figures"] if row["task"] != task]


def all_learnt(record: str, tasks: Mapping[str, Task], again: str | None = None) -> None:
    """Every seed of every task; or of one that is done again."""
    lines = Lines(record)
    if again is not None and lines.new:
        for row in all_but(record, again):
            lines.add(row)
    jobs = [
        (record, name, task, seed)
        for name, task in tasks.items()
        for seed in range(SEEDS)
        if not lines.has(task=name, seed=seed)
    ]
    two_at_once(lines, learnt, jobs)
    keep(record, lines.rows, together=[together(lines.rows, *each) for each in tasks.items()])
    lines.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--again", metavar="TASK", help="the only task to do, of the part that is named")
    options = parser.parse_args()
    if options.again is not None and options.again not in PARTS.get(options.part, ("", {}))[1]:
        parser.error("--again wants a part, and the name of one of its tasks as the table has it")
    for name in [options.part] if options.part else PARTS:
        all_learnt(*PARTS[name], again=options.again)


if __name__ == "__main__":
    main()
