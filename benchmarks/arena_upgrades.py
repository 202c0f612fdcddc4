"""What each upgrade of the real-time bot costs and brings that its review weighs.

    python benchmarks/arena_upgrades.py costs      results/arena_upgrade_costs.json
    python benchmarks/arena_upgrades.py arms       results/arena_upgrades.json
    python benchmarks/arena_upgrades.py history    results/arena_history.json

The first takes the nets at the sizes published: parameters, and how many times as long a decision and a training step
of the level take that is changed, all sides taking turns. The second trains whole bots of the recipe's size from the
teacher's play, each for as long and on one core, two at once, three seeds; then they are asked about play of the
teacher's that they have not seen, and play themselves. The third trains strategists alone, by what they see of long
games, with histories of 60 to 1,000 seconds. Interrupted, the last two go on; without a part, all are done.
"""

from __future__ import annotations

import argparse
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common import Disturbance, Lines, Work, called, keep, take_turns, two_at_once, velodrome
from velodrome.games import make
from velodrome.learn.evaluate import evaluate
from velodrome.learn.levels import Apprentice
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.sequences import LABEL, MEMORY, VIEW, Sequences, parts_of
from velodrome.learn.trainer import Stages
from velodrome.meter.clock import Clock
from velodrome.meter.statistics import mean, median_ratio
from velodrome.nets.arena import (
    OBJECTS,
    OPTION,
    PLAYER,
    Execution,
    Executor,
    Strategist,
    Strategy,
    Tactician,
    Tactics,
    frames,
    sample_of,
    screens,
    seconds,
)
from velodrome.proof.changes import flag_of
from velodrome.recipes import find
from velodrome.recipes.restore import restore

SEEDS, GAMES, FIRST = 3, 200, 1000
"""Of an arm, of its evaluation, and the seed of games that nobody has trained on."""
ARM_SECONDS = 120
UNSEEN, SEQUENCES = 32, 10
"""Games of the teacher's play that nobody has learnt from, and sequences of each: all of a minute."""
RUNS = Path("runs/arena-upgrades")
FOR_EVER = 10**9
AS_REVIEWED = {
    "marks": False, "tactics.ship": False, "execution.aims": False, "execution.bearing": False,
    "strategy.layers": 2, "lessons.smoothing": 0.0, "offline.average": 0.0, "offline.rate_halves": 0,
}  # fmt: skip
"""How the bot was before its review, at the recipe's size: what else the recipe does is the same in all arms."""

LEVELS = {"strategy": Strategy(), "tactics": Tactics(), "execution": Execution()}
"""As published."""

Change = Mapping[str, Any]
"""Settings of the recipe by their dotted names; a function is asked with what they are."""


def twice(size: int) -> int:
    """The upgrade of a size, whatever it is."""
    return 2 * size


def everywhere(**style: Any) -> Change:
    """A style of all levels."""
    return {f"{level}.style.{name}": value for level in LEVELS for name, value in style.items()}


@dataclass(frozen=True)
class Upgrade:
    """One that is weighed."""

    change: Change
    said: str = ""
    """What the review promises."""


SINGLE = {
    "norms before the parts": Upgrade({"strategy.pre_norm": True}, "converges 5 to 10 % faster"),
    "attention not fused": Upgrade({"strategy.fused": False}, "fused, it trains 20 to 30 % faster"),
    "strategist: Mamba": Upgrade({"strategy.over_time": "mamba"}, "10 to 20 % faster, at least as accurate"),
    "strategist: Hyena": Upgrade({"strategy.over_time": "hyena"}, "faster than Mamba"),
    "strategist: Perceiver IO": Upgrade({"strategy.over_time": "perceiver"}, "30 to 50 % faster with long histories"),
    "four experts": Upgrade({"strategy.experts": 4}, "modes 10 to 15 % better"),
    "four experts, two asked": Upgrade({"strategy.experts": 4, "strategy.asked": 2}, "modes 10 to 15 % better"),
    "target by scores": Upgrade({"tactics.choice": "scores"}, "worse; does not scale with the objects"),
    "always a target": Upgrade({"tactics.no_target": False}),
    "Mamba: twice the states": Upgrade({"execution.states": twice}, "movement 3 to 5 % better"),
    "Mamba: two blocks": Upgrade({"execution.blocks": 2}, "fast targets 5 to 10 % better"),
    "Mamba: three blocks": Upgrade({"execution.blocks": 3}, "fast targets 5 to 10 % better"),
    "executor: LSTM": Upgrade({"execution.remembers": "lstm"}, "slower than Mamba, and worse"),
    "no residual": Upgrade({"execution.residual": False}, "worse"),
    "aims, or points elsewhere": Upgrade({"execution.aims": True}),
    "told what is locked": Upgrade({"marks": True}),
    "told what is locked, and aims": Upgrade({"marks": True, "execution.aims": True}),
    "tactician told of the ship": Upgrade({"tactics.ship": True}),
    "told the target's bearing": Upgrade({"execution.bearing": True}),
    "faint views evened": Upgrade({"evened": True}),
    "ReLU": Upgrade(everywhere(activation="relu"), "fastest, good"),
    "SiLU": Upgrade(everywhere(activation="silu"), "as fast as GELU, very good"),
    "Mish": Upgrade(everywhere(activation="mish"), "slow, very good"),
    "batch norm": Upgrade(everywhere(norm="batch"), "worse with sequences"),
    "labels smoothed": Upgrade({"lessons.smoothing": 0.1}, "2 to 3 % better"),
    "cosine schedule": Upgrade({"offline.falls": "cosine"}, "3 to 5 % better"),
    "averaged weights": Upgrade({"offline.average": 0.998}, "2 to 5 % better"),
}  # fmt: skip
"""One at a time."""
ADVISED = (
    "norms before the parts", "labels smoothed", "Mamba: two blocks", "Mamba: twice the states", "averaged weights",
    "cosine schedule",
)  # fmt: skip
"""What the review would do first, and does not doubt."""
BEFORE = "as it was"
UPGRADES = {
    BEFORE: Upgrade({}),
    **SINGLE,
    "those advised, together": Upgrade({name: value for one in ADVISED for name, value in SINGLE[one].change.items()}),
}

# -- costs: the nets at the sizes published ----------------------------------------------------------------------------

ROWS, FRAMES = 16, 48
"""Of a training step, and the frames of each of an executor's."""


def settings_of(level: str, change: Change) -> Any:
    """A level's published settings with a change's."""
    return changed(LEVELS[level], {name.partition(".")[2]: to for name, to in change.items() if name.startswith(level)})


def changed(settings: Any, change: Change) -> Any:
    """Settings with others of them."""
    for name, to in change.items():
        head, _, rest = name.partition(".")
        now = getattr(settings, head)
        new = changed(now, {rest: to}) if rest else (to(now) if callable(to) else to)
        settings = replace(settings, **{head: new})
    return settings


def of_level(level: str, settings: Any) -> tuple[nn.Module, Callable[[int], Any], Callable[[Any], Any]]:
    """A level's net, inputs of so many rows to learn from, and how it takes the one of a decision."""
    if level == "strategy":
        strategist = Strategist(settings)
        return strategist, lambda rows: seconds(rows, settings.samples), strategist
    if level == "tactics":
        tactician = Tactician(settings)
        return tactician, lambda rows: screens(rows) | {"player": torch.rand(rows, PLAYER)}, tactician
    executor = Executor(settings)
    memory = executor.start(1)

    def frame(views: Any) -> Any:
        return executor.step({name: view[:, 0] for name, view in views.items()}, memory)

    choices = FRAMES, OBJECTS + 1, OPTION
    return executor, lambda rows: frames(rows, FRAMES) | {"options": torch.rand(rows, *choices)}, frame


def deciding(level: str, settings: Any) -> Work:
    """A decision of one bot."""
    net, inputs, decide = of_level(level, settings)
    one, times = inputs(1), 50
    net.eval()

    def work() -> int:
        with torch.no_grad():
            for _ in range(times):
                decide(one)
        return times

    return work


def stepping(level: str, settings: Any) -> Work:
    """A training step, without the optimizer's."""
    net, inputs, _ = of_level(level, settings)
    many = inputs(ROWS * (FRAMES if level == "tactics" else 1))

    def work() -> int:
        net.zero_grad()
        sum(part.square().sum() for part in net(many).values() if part.is_floating_point()).backward()
        return 1

    return work


def all_costs(rounds: int) -> None:
    """Every upgrade of a net beside the level as it was."""
    torch.set_num_threads(1)
    others, figures = Disturbance(), []
    for level in LEVELS:
        nets = {
            name: settings_of(level, one.change)
            for name, one in UPGRADES.items()
            if name == BEFORE or next(iter(one.change)).startswith(level)
        }
        sides = {
            kind: {name: make_side(level, settings) for name, settings in nets.items()}
            for kind, make_side in (("decision", deciding), ("training step", stepping))
        }
        rates = {kind: take_turns(own, rounds) for kind, own in sides.items()}
        for name, settings in nets.items():
            net, _, _ = of_level(level, settings)
            line = {"upgrade": name, "level": level, "parameters": sum(each.numel() for each in net.parameters())}
            for kind, taken in rates.items():
                ratio = median_ratio(taken[name], taken[BEFORE], paired=True)
                line[f"{kind}_ms"] = 1e3 / median(taken[name])
                line |= {f"{kind}, times": ratio.ratio, f"{kind} interval": list(ratio.interval)}
            figures.append(line | {"said": UPGRADES[name].said})
    keep("arena_upgrade_costs", figures, others_took=others.share())


# -- arms: whole bots, trained for as long -----------------------------------------------------------------------------


def flags_of(change: Change) -> list[str]:
    """A change as flags of the command."""
    now = find("arena").settings()
    values = {name: to(attrgetter(name)(now)) if callable(to) else to for name, to in change.items()}
    return [word for name, value in values.items() for word in flag_of(name, value).split()]


def arm(name: str, seed: int, lasts: int | None) -> dict[str, Any]:
    """One upgrade, one seed. A cosine falls over as many iterations as the bot without it came to."""
    change = {**AS_REVIEWED, **UPGRADES[name].change}
    if change.get("offline.falls") == "cosine":
        change["offline.rate_halves"] = lasts
    run = RUNS / f"{called(name)}-{seed}"
    shutil.rmtree(run, ignore_errors=True)
    found = velodrome(
        "train", "arena", "--pretraining", str(FOR_EVER), *flags_of(change), "--run", str(run), "--seed", str(seed),
        "--seconds", str(ARM_SECONDS), "--lanes", "1", "--threads", "1",
    )  # fmt: skip
    trainer = restore(run).trainer
    assert isinstance(trainer, Stages)
    score = evaluate(trainer, trainer.game, episodes=GAMES, seed=FIRST, greedy=True)
    first = trainer.stages[0][0]
    assert isinstance(first, Apprentice)
    told = asked(first)
    return {
        "upgrade": name, "seed": seed, "iterations": found["iterations"], "mode right": told["mode_right"],
        "target right": told["choice_right"], "pointer off": math.sqrt(told["pointer_loss"]),
        "keys' loss": told["keys_loss"], "score": score.score, "stderr": score.stderr,
    }  # fmt: skip


@torch.no_grad()
def asked(apprentice: Apprentice) -> dict[str, float]:
    """What its lessons say of play of the teacher's that it has not seen."""
    policy: Any = apprentice.policy(greedy=True)
    net, game = policy.net.eval(), apprentice.game.again(UNSEEN, seed=FIRST)
    generator, labels = torch.Generator().manual_seed(0), apprentice.lanes[0].sequences.labels
    sequences = Sequences(game, net, apprentice.settings.rows, generator, "cpu", "teacher", labels)
    total: dict[str, float] = {}
    for _ in range(SEQUENCES):
        played, _ = sequences.play(Clock(enabled=False), 1.0)
        outputs, _ = net.unroll(parts_of(played, VIEW), parts_of(played, MEMORY))
        _, told = apprentice.lessons.losses(outputs, parts_of(played, LABEL), played["known"])
        for name, value in told.items():
            total[name] = total.get(name, 0.0) + value / SEQUENCES
    return total


MEASURES = ("mode right", "target right", "pointer off", "score")


def all_arms() -> None:
    """The bot as it was, then every upgrade."""
    lines = Lines("arena_upgrades")
    two_at_once(lines, arm, [(BEFORE, seed, None) for seed in range(SEEDS) if not lines.has(upgrade=BEFORE, seed=seed)])
    lasts = round(median(row["iterations"] for row in lines.rows if row["upgrade"] == BEFORE))
    jobs = [(name, seed, lasts) for name in UPGRADES for seed in range(SEEDS) if not lines.has(upgrade=name, seed=seed)]
    two_at_once(lines, arm, jobs)
    together = [line_of(lines.rows, name) for name in UPGRADES]
    keep("arena_upgrades", lines.rows, together=together, seconds=ARM_SECONDS)
    lines.close()


def line_of(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """The seeds of an upgrade: each measure, and how much more it is than without, with its interval over seeds."""
    own, before = (
        sorted((row for row in rows if row["upgrade"] == one), key=lambda row: row["seed"]) for one in (name, BEFORE)
    )
    line: dict[str, Any] = {"upgrade": name, "said": UPGRADES[name].said}
    line["iterations"] = round(mean([row["iterations"] for row in own]).mean)
    for measure in MEASURES:
        line[measure] = mean([row[measure] for row in own]).mean
        if name != BEFORE:
            more = mean([row[measure] - was[measure] for row, was in zip(own, before, strict=True)])
            line[f"{measure}, more"] = list(more.interval)
    return line


# -- history: strategists alone ----------------------------------------------------------------------------------------

HISTORIES = (60, 120, 240, 1000)
KINDS = ("transformer", "mamba", "hyena", "perceiver")
HISTORY_SECONDS = 30
SMALL = {"width": 64, "layers": 2, "states": 16}
LONG, LEARNT_FROM, KEPT_OUT = 1100, 48, 16
"""Seconds of a game at most, games to learn from, and games to be asked about."""
BATCH, QUESTIONS = 16, 1024
FRAME = 6
"""Frames of a decision."""


@cache
def watched() -> tuple[Tensor, Tensor, Tensor]:
    """What strategists see of the teacher's long games, `[games, seconds, n]`, its modes, and how long each lasts."""
    game = make("arena", LEARNT_FROM + KEPT_OUT, FIRST, frames=FRAME, longest=60 * (LONG + 1))
    lives, lasts = np.ones(game.games, np.bool_), np.zeros(game.games, np.int64)
    seen, modes = list[Tensor](), list[Tensor]()
    for step in range(LONG * 60 // FRAME):
        if step % (60 // FRAME) == 0:
            views = {name: torch.from_numpy(view).flatten(0, 1) for name, view in game.views.items()}
            seen.append(sample_of(views))
            modes.append(torch.from_numpy(game.views["mode"][:, 0].copy()))
            lasts += lives
        game.step(game.bot("teacher"))
        lives &= ~(game.ended | game.cut)
    return torch.stack(seen, 1), torch.stack(modes, 1), torch.from_numpy(lasts)


def windows(games: slice, history: int, count: int, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """So many moments of these games with what was seen before each, and the teacher's mode then."""
    seen, modes, lasts = (part[games] for part in watched())
    which = torch.multinomial(lasts.float(), count, replacement=True, generator=generator)
    at = (torch.rand(count, generator=generator) * lasts[which]).long()
    seconds = at[:, None] - torch.arange(history - 1, -1, -1)
    known = seconds >= 0
    samples = seen[which[:, None], seconds.clamp(min=0)].masked_fill(~known.unsqueeze(-1), 0.0)
    return {"samples": samples, "known": known}, modes[which, at]


def looked_back(kind: Any, history: int, seed: int) -> dict[str, Any]:
    """Train a strategist to tell the teacher's mode."""
    keep_freed_memory()
    torch.manual_seed(seed)
    net = Strategist(Strategy(samples=history, over_time=kind, **SMALL))  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    generator, steps, spent = torch.Generator().manual_seed(seed), 0, 0.0
    watched()
    while spent < HISTORY_SECONDS:
        began = time.process_time()
        views, mode = windows(slice(0, LEARNT_FROM), history, BATCH, generator)
        loss = F.cross_entropy(net(views)["mode"], mode)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        steps, spent = steps + 1, spent + time.process_time() - began
    net.eval()
    right, took = list[float](), list[float]()
    with torch.no_grad():
        asks = torch.Generator().manual_seed(FIRST)
        for _ in range(QUESTIONS // BATCH):
            views, mode = windows(slice(LEARNT_FROM, None), history, BATCH, asks)
            right.append(float((net(views)["mode"].argmax(-1) == mode).float().mean()))
            one = {name: view[:1] for name, view in views.items()}
            began = time.process_time()
            net(one)
            took.append(time.process_time() - began)
    return {
        "strategist": kind, "history": history, "seed": seed, "steps": steps, "step_ms": 1e3 * spent / steps,
        "decision_ms": 1e3 * median(took), "mode right": sum(right) / len(right),
    }  # fmt: skip


def all_histories() -> None:
    """Every kind of net over time at every length."""
    torch.set_num_threads(1)
    lines = Lines("arena_history")
    for seed in range(SEEDS):
        for history in HISTORIES:
            for kind in KINDS:
                if not lines.has(strategist=kind, history=history, seed=seed):
                    lines.add(looked_back(kind, history, seed))
    together = []
    for history in HISTORIES:
        for kind in KINDS:
            own = [row for row in lines.rows if (row["strategist"], row["history"]) == (kind, history)]
            found = mean([row["mode right"] for row in own])
            line = {"strategist": kind, "history": history, "mode right": found.mean, "interval": list(found.interval)}
            for name in ("steps", "step_ms", "decision_ms"):
                line[name] = median([row[name] for row in own])
            together.append(line)
    keep("arena_history", lines.rows, together=together, seconds=HISTORY_SECONDS)
    lines.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("costs", "arms", "history"))
    parser.add_argument("--rounds", type=int, default=15, help="of the costs")
    options = parser.parse_args()
    for name, work in (("costs", lambda: all_costs(options.rounds)), ("arms", all_arms), ("history", all_histories)):
        if options.part in (None, name):
            work()


if __name__ == "__main__":
    main()
