"""Territory learnt: how often it is won, how much land is held, and what is left of that on other maps.

    python benchmarks/territory_learning.py skill    results/territory_learning.json
    python benchmarks/territory_learning.py nets     results/territory_nets_learning.json

The first trains the recipe `territory` alone on the machine, three seeds against bots with equal constants and one
against handicapped ones. The second trains all nets for as long, two at once and a core each, and scores their land on
the maps they know, on others, and on a smaller field in the middle of the board and shifted to its corner. Interrupted,
each goes on; without a part, both are done.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common import Disturbance, Lines, called, keep, two_at_once, velodrome
from velodrome.games import make
from velodrome.learn.evaluate import evaluate
from velodrome.learn.trainer import Trainer
from velodrome.meter.statistics import mean
from velodrome.recipes.restore import restore

SEEDS, GAMES = 3, 500
RUNS = Path("runs/territory")
SKILL = {"equal": (SEEDS, 2400), "handicapped": (1, 600)}
"""Opponents, and seeds and seconds of learning against them."""
EVERY_S, ON_THE_WAY = 600, 200
"""Seconds between two points of the curve, and games of each but the last."""
WANTED, WANTED_ABOVE_GREEDY = 0.5, 0.15
ARMS = {
    "cross": ("territory",),
    "flatten": ("territory-flatten",),
    "attention": ("territory-attention",),
    "attention, steady": ("territory-attention", "--steady"),
}
ARM_SECONDS = 600
LAND_GAMES = 200
"""Of an arm's land in each place."""
ELSEWHERE: dict[str, dict[str, Any]] = {
    "plains": {}, "islands": {"map": "islands"}, "hills": {"map": "hills"},
    "a field in the middle": {"field": 48}, "in the corner": {"field": 48, "at": "corner"},
}  # fmt: skip


def trained(run: Path, seed: int, seconds: int, *command: str) -> dict[str, Any]:
    """Train, going on with a run that is there."""
    return velodrome("train", *command, "--run", str(run), "--resume", "--seed", str(seed), "--seconds", str(seconds))


def skill(seed: int, opponents: str, lasts: int) -> dict[str, Any]:
    """One seed, alone on the machine, with its curve."""
    run, others, curve = RUNS / f"skill-{opponents}-{seed}", Disturbance(), []
    for seconds in range(EVERY_S, lasts + 1, EVERY_S):
        found = trained(run, seed, seconds, "territory", "--opponents", opponents)
        if seconds < lasts:
            trainer = restore(run).trainer
            wins = evaluate(trainer, trainer.game, episodes=ON_THE_WAY, seed=1000, greedy=True, threads=2).score
            curve.append({"seconds": found["seconds"], "game_steps": found["game_steps"], "wins": wins})
    score = velodrome("evaluate", str(run), "--episodes", str(GAMES), "--seed", "1000")
    last = {"seconds": found["seconds"], "game_steps": found["game_steps"], "wins": score["score"]}
    return {
        "opponents": opponents, "seed": seed, **last, "stderr": score["stderr"], "curve": [*curve, last],
        "others_took": others.share(), "bots": {bot: one["score"] for bot, one in score["baselines"].items()},
    }  # fmt: skip


def all_skill() -> None:
    """Three seeds against equal opponents, one against handicapped ones."""
    lines = Lines("territory_learning")
    for opponents, (seeds, seconds) in SKILL.items():
        for seed in range(seeds):
            if not lines.has(opponents=opponents, seed=seed):
                lines.add(skill(seed, opponents, seconds))
    together, curves = [], []
    for opponents, (seeds, seconds) in SKILL.items():
        own = [row for row in lines.rows if row["opponents"] == opponents]
        wins = [row["wins"] for row in own]
        wanted = max(WANTED, own[0]["bots"]["greedy"] + WANTED_ABOVE_GREEDY) if opponents == "equal" else None
        interval = list(mean(wins).interval) if seeds > 1 else None
        line = {"opponents": opponents, "wins": sum(wins) / seeds, "interval": interval, "wanted": wanted}
        together.append(line | own[0]["bots"] | {"seconds": seconds, "seeds": seeds})
        for points in zip(*(row["curve"] for row in own), strict=True):
            those = {f"seed {row['seed']}": point["wins"] for row, point in zip(own, points, strict=True)}
            curves.append({"opponents": opponents, "seconds": round(points[0]["seconds"]), **those})
    keep("territory_learning", lines.rows, together=together, curves=curves)
    lines.close()


def land_of(player: Trainer | str, place: str, games: int) -> float:
    """The part of a place's land that a trainer's policy, or a scripted player, ends with."""
    own: dict[str, Any] = {} if isinstance(player, str) else dict(player.game.spec.settings)
    game = make("territory", **(own | ELSEWHERE[place] | {"score": "land"}))
    return evaluate(player, game, episodes=games, seed=1000, greedy=True).score


def arm(name: str, seed: int) -> dict[str, Any]:
    """One net, one seed, one core."""
    run = RUNS / f"{called(name)}-{seed}"
    found = trained(run, seed, ARM_SECONDS, *ARMS[name], "--lanes", "1", "--threads", "1")
    trainer = restore(run).trainer
    land = {place: land_of(trainer, place, LAND_GAMES) for place in ELSEWHERE}
    return {"net": name, "seed": seed, "seconds": found["seconds"], "game_steps": found["game_steps"], "land": land}


def all_nets() -> None:
    """Every net, every seed."""
    lines = Lines("territory_nets_learning")
    jobs = [(name, seed) for seed in range(SEEDS) for name in ARMS if not lines.has(net=name, seed=seed)]
    two_at_once(lines, arm, jobs)
    together = []
    for name in ARMS:
        own = [row for row in lines.rows if row["net"] == name]
        line: dict[str, Any] = {"net": name, "frames": sum(row["game_steps"] for row in own) / len(own)}
        for place in ELSEWHERE:
            found = mean([row["land"][place] for row in own])
            line |= {f"land, {place}": found.mean, f"{place} interval": list(found.interval)}
        together.append(line | {"seconds": ARM_SECONDS, "seeds": len(own)})
    for bot in make("territory").spec.bots:
        those = {f"land, {place}": land_of(bot, place, GAMES) for place in ELSEWHERE}
        together.append({"net": f"none: {bot}", **those})
    keep("territory_nets_learning", lines.rows, together=together)
    lines.close()


PARTS = {"skill": all_skill, "nets": all_nets}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS)
    part = parser.parse_args().part
    for name in [part] if part else PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
