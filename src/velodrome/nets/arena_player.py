"""The real-time bot as one net: strategist, tactician and executor, each at its own rate.

In every step the executor acts. The tactician and the strategist are asked only when it is their turn, by the frames of
each row's own game; in between their last target and goal are held. Over sequences, all turns of a level pass through
its net together, and gradients flow from what the executor does to the target and to the goal that were held then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from velodrome.nets.arena import (
    ABOUT,
    CENTRE,
    GOAL,
    MODES,
    OBJECT,
    OBJECTS,
    OPTION,
    PLACE,
    PLAYER,
    SAMPLE,
    STATE,
    Execution,
    Executor,
    Memory,
    Outputs,
    Strategist,
    Strategy,
    Tactician,
    Tactics,
    Views,
    options,
    sample_of,
)
from velodrome.nets.parts import Plain

EXECUTOR = "executor."
"""Before the names of what the executor remembers."""
FAINT = {"player": {2: 60.0, 3: 60.0}, "objects": {8: 20.0, 9: 10.0}}
"""Numbers of the views that are small beside the others, and by how much: the ship's velocity, and the sizes by which
kinds of objects are told apart."""


@dataclass(frozen=True)
class Levels:
    """Settings of the bot."""

    strategy: Strategy = Strategy()
    tactics: Tactics = Tactics()
    execution: Execution = Execution()
    frames: int = 1
    """For which a decision is good; those of the game."""
    objects: int = OBJECTS
    """Shown at most; those of the game."""
    strategy_every: int = 60
    """Frames from one goal to the next."""
    tactics_every: int = 6
    """Frames from one target to the next."""
    spread: float = -4.0
    """How widely the pointer is spread at first, as `learn.actions` has it; it is the same everywhere."""
    values: int = 64
    """Width of the layer by which values are estimated."""
    marks: bool = False
    """Whether it is told what the ship has locked or goes for."""
    evened: bool = False
    """Whether what is faint in the views is brought to the size of the rest."""


class ArenaPlayer(nn.Module):
    """Acts from the game's views. What it remembers is what each level does, the frame, and the goal and the target
    that are held.

    It gives what `learn.actions` takes for the pointer and the keys, and the value, in every step; in the steps that
    `due.strategy [rows, steps]` marks, the mode and how sure it is of it; in those of `due.tactics`, the logarithms of
    the target's weights. Elsewhere these are held, or zeros.
    """

    wants: tuple[str, ...] = ("player", "objects", "mask", "context")
    stands = {"mode": "due.strategy", "confidence": "due.strategy", "choice": "due.tactics"}
    """What is said now and then, and by which of the outputs one sees when."""
    judges = {"confidence": ("mode", "mode")}
    """What says how sure it is: of which output, and which of the game's private views knows."""

    def __init__(self, settings: Levels = Levels()):
        super().__init__()
        self.settings = settings
        self.strategist = Strategist(settings.strategy)
        self.tactician = Tactician(settings.tactics, settings.marks)
        self.executor = Executor(settings.execution, settings.marks)
        choices = settings.objects + settings.tactics.no_target
        sizes = {"target": PLACE + ABOUT, "options": choices * OPTION}
        self.told = {name: size for name, size in sizes.items() if name in self.executor.wants}
        if settings.marks:
            self.wants = (*self.wants, "marks")
        self.value = Plain(settings.execution.width + SAMPLE, settings.values, 1)
        self.spread = nn.Parameter(torch.full((PLACE,), settings.spread))
        self.scales = nn.Module()
        for name, width in (("player", PLAYER), ("objects", OBJECT)):
            scale = torch.ones(width)
            for number, times in FAINT[name].items():
                scale[number] = times
            self.scales.register_buffer(name, scale, persistent=False)

    def start(self, rows: int) -> Memory:
        """What so many rows remember before their first step: no goal, and a target in the middle of the screen."""
        weight = self.spread
        told = {name: weight.new_zeros(rows, size) for name, size in self.told.items()}
        told["target"][:, :PLACE] = CENTRE
        return {
            "frame": torch.zeros(rows, dtype=torch.int64, device=weight.device),
            "goal": weight.new_zeros(rows, GOAL),
            **told,
            **self.strategist.start(rows),
            **{EXECUTOR + name: part for name, part in self.executor.start(rows).items()},
        }

    def act(self, views: Views, memory: Memory) -> tuple[Outputs, Memory]:
        """One step, `[rows, ...]`, and what is then remembered."""
        if torch.compiler.is_compiling():
            return self.ask_all(views, memory)
        outputs, memory = self.unroll({name: views[name].unsqueeze(1) for name in self.wants}, memory)
        return {name: output.squeeze(1) for name, output in outputs.items()}, memory

    def unroll(self, views: Views, memory: Memory) -> tuple[Outputs, Memory]:
        """Sequences `[rows, steps, ...]` that go on behind what is remembered, and what is remembered after them."""
        views = self._evened(views)
        settings, samples = self.settings, sample_of(views)
        steps = torch.arange(samples.shape[1], device=samples.device)
        frame = memory["frame"].unsqueeze(1) + settings.frames * steps
        strategic, tactical = (
            frame % every < settings.frames for every in (settings.strategy_every, settings.tactics_every)
        )
        plan, seen = self._plan(samples, strategic, memory)
        goal = held(memory["goal"], plan["goal"], strategic)
        pick = self._pick(views, goal, tactical)
        targets = {name: held(memory[name], pick[name], tactical) for name in self.told}
        there = self._there(targets) | {"state": samples[..., :STATE], "goal": goal}
        x, own = self.executor.recall(there, _own(memory))
        moves = self.executor.move(x, there)
        outputs = {
            "pointer": moves["pointer"] / 2,  # there a tanh comes over it, not a sigmoid
            "pointer.spread": self.spread.expand_as(moves["pointer"]),
            "keys": moves["keys"],
            "value": self.value(torch.cat([x.detach(), samples], -1).flatten(0, 1)).view_as(x[..., 0]),
            "mode": self._fresh(plan["mode"], strategic),
            "confidence": self._fresh(plan["confidence"], strategic).squeeze(-1),
            "choice": self._fresh(pick["choice"], tactical),
            "due.strategy": strategic,
            "due.tactics": tactical,
        }
        if "points" in moves:
            outputs |= {"pointer.points": moves["points"] / 2, "pointer.logs": moves["logs"]}
        after = {"frame": frame[:, -1] + settings.frames}
        after |= {name: part[:, -1] for name, part in (targets | {"goal": goal}).items()}
        return outputs, after | seen | {EXECUTOR + name: part for name, part in own.items()}

    def ask_all(self, views: Views, memory: Memory) -> tuple[Outputs, Memory]:
        """What moves come of one step, as in `act`, but that all levels are asked in all rows, and what is not due is
        dropped: no shape then depends on a number."""
        views = self._evened(views)
        settings, sample = self.settings, sample_of(views)
        strategic, tactical = (
            (memory["frame"] % every < settings.frames).unsqueeze(-1)
            for every in (settings.strategy_every, settings.tactics_every)
        )
        plan, seen = self.strategist.step({"samples": sample}, {name: memory[name] for name in ("samples", "known")})
        goal = torch.where(strategic, plan["goal"], memory["goal"])
        pick = self._chosen(self._screen(views) | {"goal": goal})
        targets = {name: torch.where(tactical, pick[name], memory[name]) for name in self.told}
        there = self._there(targets) | {"state": sample[..., :STATE], "goal": goal}
        x, own = self.executor.recall({name: part.unsqueeze(1) for name, part in there.items()}, _own(memory))
        moves = self.executor.move(x.squeeze(1), there)
        outputs = {
            "pointer": moves["pointer"] / 2,
            "pointer.spread": self.spread.expand_as(moves["pointer"]),
            "keys": moves["keys"],
            "value": self.value(torch.cat([x.squeeze(1).detach(), sample], -1)).squeeze(-1),
        }
        after = targets | {
            "frame": memory["frame"] + settings.frames,
            "goal": goal,
            "samples": torch.where(strategic.unsqueeze(-1), seen["samples"], memory["samples"]),
            "known": seen["known"] & strategic | memory["known"] & ~strategic,
        }
        return outputs, after | {EXECUTOR + name: part for name, part in own.items()}

    def _evened(self, views: Views) -> Views:
        if not self.settings.evened:
            return views
        return {**views, **{name: views[name] * scale for name, scale in self.scales.named_buffers()}}

    def _fresh(self, fresh: Tensor, due: Tensor) -> Tensor:
        return held(fresh.new_zeros(len(due), fresh.shape[1]), fresh, due)

    def _plan(self, samples: Tensor, due: Tensor, memory: Memory) -> tuple[Outputs, Memory]:
        """What the strategist says in the steps that are due, one after the other, and the samples that it keeps."""
        kept, known = memory["samples"], memory["known"]
        row, step = due.nonzero(as_tuple=True)
        if not len(row):
            sizes = {"goal": GOAL, "mode": len(MODES), "confidence": 1}
            nothing = {name: samples.new_zeros(0, size) for name, size in sizes.items()}
            return nothing, {"samples": kept, "known": known}
        number = due.cumsum(1)
        most, seconds = int(number[:, -1].max()), torch.arange(kept.shape[1], device=kept.device)
        kept = torch.cat([kept, kept.new_zeros(len(kept), most, kept.shape[2])], 1)
        known = torch.cat([known, known.new_zeros(len(known), most)], 1)
        at = number[row, step]
        kept[row, at + len(seconds) - 1], known[row, at + len(seconds) - 1] = samples[row, step], True
        window = row[:, None], at[:, None] + seconds
        plan = self.strategist({"samples": kept[window], "known": known[window]})
        plan["confidence"] = plan["confidence"].unsqueeze(-1)
        last = torch.arange(len(kept), device=kept.device)[:, None], number[:, -1:] + seconds
        return plan, {"samples": kept[last], "known": known[last]}

    def _pick(self, views: Views, goal: Tensor, due: Tensor) -> Outputs:
        """What the tactician says in the steps that are due, one after the other."""
        which = due.flatten().nonzero().squeeze(1)
        if not len(which):
            choices = views["mask"].shape[-1] + self.settings.tactics.no_target
            sizes = {"choice": choices} | self.told
            return {name: goal.new_zeros(0, size) for name, size in sizes.items()}
        there = self._screen(views) | {"goal": goal}
        return self._chosen({name: view.flatten(0, 1).index_select(0, which) for name, view in there.items()})

    def _chosen(self, views: Views) -> Outputs:
        """The weights of the targets, and what the executor is told of them."""
        found = self.tactician(views)
        told = {"choice": found["target"], "target": torch.cat([found["place"], found["about"]], -1)}
        return told | ({"options": options(found["target"], views).flatten(1)} if "options" in self.told else {})

    def _there(self, targets: Outputs) -> Outputs:
        """What is held of the targets, as the executor takes it."""
        if "options" not in targets:
            return targets
        flat = targets["options"]
        return targets | {"options": flat.view(*flat.shape[:-1], -1, OPTION)}

    def _screen(self, views: Views) -> dict[str, Tensor]:
        """What the tactician is shown."""
        more = {"marks": self.settings.marks, "player": self.settings.tactics.ship}
        return {name: views[name] for name in ("objects", "mask", *(name for name, wanted in more.items() if wanted))}


def _own(memory: Mapping[str, Tensor]) -> Memory:
    """What the executor remembers, by its own names."""
    return {name.removeprefix(EXECUTOR): part for name, part in memory.items() if name.startswith(EXECUTOR)}


def held(before: Tensor, fresh: Tensor, due: Tensor) -> Tensor:
    """In each step `[rows, steps, n]` what came last: `fresh [all that are due, n]` holds, row after row, what came in
    the steps that are `due [rows, steps]`; in steps before a row's first, it is what was there `before [rows, n]`."""
    so_far = due.cumsum(1)
    first = so_far[:, -1].cumsum(0) - so_far[:, -1] - 1
    rows = torch.arange(len(before), device=before.device) + len(fresh)
    which = torch.where(so_far > 0, first.unsqueeze(1) + so_far, rows.unsqueeze(1))
    return torch.cat([fresh, before]).index_select(0, which.flatten()).view(*due.shape, -1)
