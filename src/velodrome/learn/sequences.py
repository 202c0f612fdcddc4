"""Games of one seat played in sequences of decisions, from what a player remembers to what it then remembers.

A game that ends in the middle of a sequence waits for the next one to begin; what stands in between is not `known`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from velodrome.games.game import Game
from velodrome.learn.actions import Actions
from velodrome.learn.trainer import Counts, Memory, Views
from velodrome.meter.clock import Clock

Tensors = dict[str, Tensor]
NEVER = np.iinfo(np.int64).max
VIEW, LABEL, MEMORY, ACTION = "view.", "label.", "memory.", "action."
"""Before the names of what a sequence holds of each kind."""


class SequenceNet(Protocol):
    """A net that remembers; what it gives has the names that `Actions.heads` asks for, and `value`."""

    @property
    def wants(self) -> Sequence[str]:
        """The views that it sees."""
        ...

    def start(self, rows: int) -> Memory:
        """What so many rows remember before their first step."""
        ...

    def act(self, views: Views, memory: Memory) -> tuple[Tensors, Memory]:
        """One step, `[rows, ...]`."""
        ...

    def unroll(self, views: Views, memory: Memory) -> tuple[Tensors, Memory]:
        """Sequences `[rows, steps, ...]`: the same as their steps one by one."""
        ...


class Sequences:
    """The games, and a player at them that may give way to a teacher."""

    def __init__(
        self,
        game: Game,
        net: SequenceNet,
        rows: int,
        generator: torch.Generator,
        device: str,
        teacher: str | None = None,
        labels: Sequence[str] = (),
    ):
        """Sequences have `rows` decisions. Of a `teacher`, a bot of the game, each holds what it would do, and the
        private views `labels`. The first game of each slot is broken off, each at another time: else games that take
        as long as each other would all be at the same point."""
        spec = game.spec
        if spec.seats != 1:
            raise ValueError(f"{spec.name} has {spec.seats} seats; sequences are of games with one")
        told = [name for name in net.wants if spec.views[name].private]
        if told:
            raise ValueError(f"{spec.name}: {', '.join(told)} is no player's to see")
        self.game, self.net, self.rows, self.generator, self.device = game, net, rows, generator, device
        self.teacher, self.labels, self.actions = teacher, labels, Actions(spec.action)
        self.memory = self._started(game.games)
        self.over = np.zeros(game.games, np.bool_)
        sequences = -(-spec.longest // rows)
        self.left = -(-sequences * np.arange(1, game.games + 1) // game.games)
        """Sequences until a game is broken off."""
        self.outcomes = np.zeros(0, np.float32)
        """The scores of the games that ended in the last sequences."""

    def _started(self, rows: int) -> Memory:
        return {name: part.to(self.device) for name, part in self.net.start(rows).items()}

    @torch.no_grad()
    def play(self, clock: Clock, share: float = 0.0) -> tuple[Tensors, Counts]:
        """A sequence of each game, `[games, rows, ...]`, with the memory at its start, `[games, ...]`, and the value of
        where it leads to, `after [games]`. In about so large a share of them, it is the teacher who acts."""
        with clock("collect.reset"):
            self._begin()
            lessons = torch.rand(len(self.over), generator=self.generator, device=self.device) < share
        steps = list[Tensors]()
        began = {MEMORY + name: part.cpu() for name, part in self.memory.items()}
        for _ in range(self.rows):
            steps.append(self._step(clock, lessons))
        with clock("collect.infer"):
            outputs, _ = self.net.act(self._there(self._views()), self.memory)
        with clock("collect.encode"):
            found = {name: torch.stack([step[name] for step in steps], 1) for name in steps[0]}
            played = int(found["known"].sum())
            ends = found.pop("outcome")[found.pop("ends")]
            self.outcomes = ends.numpy()
        return found | began | {"after": outputs["value"].cpu()}, Counts(played, played)

    def _begin(self) -> None:
        """Begin the next of the games that are over, or are to be broken off."""
        self.left -= 1
        begins = self.over | (self.left < 0)
        if begins.any():
            self.left[begins] = NEVER
            self.game.reset(begins)
            self.over = np.zeros_like(begins)
            which = torch.from_numpy(begins).to(self.device)
            for name, part in self._started(int(begins.sum())).items():
                self.memory[name] = self.memory[name].clone()
                self.memory[name][which] = part

    def _views(self) -> Tensors:
        return {name: torch.from_numpy(self.game.views[name]).flatten(0, 1).clone() for name in self.net.wants}

    def _there(self, views: Mapping[str, Tensor]) -> Tensors:
        return {name: view.to(self.device) for name, view in views.items()}

    def _step(self, clock: Clock, lessons: Tensor) -> Tensors:
        game = self.game
        with clock("collect.encode"):
            views = self._views()
            labels = {name: torch.from_numpy(game.views[name]).flatten(0, 1).clone() for name in self.labels}
            if self.teacher is not None:
                advised = game.bot(self.teacher)
                labels |= {name: torch.from_numpy(part).flatten(0, 1) for name, part in advised.items()}
            known = ~self.over
        with clock("collect.infer"):
            there = self._there(views)
            outputs, self.memory = self.net.act(there, self.memory)
            action, log_prob = self.actions.sample(outputs, there, self.generator)
            if self.teacher is not None:
                for name, part in action.items():
                    taught = lessons.view(-1, *[1] * (part.dim() - 1))
                    action[name] = torch.where(taught, labels[name].to(self.device), part)
        with clock("collect.step"):
            done = {name: part.cpu() for name, part in action.items()}
            game.step({name: part.numpy() for name, part in done.items()})
        with clock("collect.encode"):
            self.over = game.ended | game.cut
            return {
                **{VIEW + name: view for name, view in views.items()},
                **{LABEL + name: label for name, label in labels.items()},
                **{ACTION + name: part for name, part in done.items()},
                "log_prob": log_prob.cpu(),
                "value": outputs["value"].cpu(),
                "reward": torch.from_numpy(game.rewards[:, 0].copy()),
                "ended": torch.from_numpy(game.ended.copy()),
                "known": torch.from_numpy(known),
                "ends": torch.from_numpy(self.over & known),
                "outcome": torch.from_numpy(game.outcome[:, 0].copy()),
            }

    def state(self) -> dict[str, Any]:
        """The games in mid-play, what is remembered, and the random state."""
        return {
            "game": self.game.records.copy(),
            "over": self.over,
            "left": self.left,
            "memory": self.memory,
            "generator": self.generator.get_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Put everything where `state` left it."""
        self.game.resume(state["game"])
        self.left = np.array(state["left"], np.int64)
        self.over = np.asarray(state["over"], np.bool_) | (not self.game.resumes)
        self.memory = {name: torch.as_tensor(part).to(self.device) for name, part in state["memory"].items()}
        self.generator.set_state(torch.as_tensor(state["generator"]))


def parts_of(sequences: Mapping[str, Tensor], kind: str) -> Tensors:
    """What sequences hold of one kind, by its own names."""
    return {name.removeprefix(kind): part for name, part in sequences.items() if name.startswith(kind)}


class SequencePolicy:
    """Acts by sampling from what the net gives, or takes the likeliest action where `greedy`."""

    def __init__(self, net: Any, actions: Actions, greedy: bool, device: str):
        self.net, self.actions, self.greedy, self.device = net, actions, greedy, device

    def start(self, rows: int) -> Memory:
        """What the net remembers of new trajectories."""
        return {name: part.cpu() for name, part in self.net.start(rows).items()}

    @torch.no_grad()
    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[Tensors, Memory]:
        """An action for every row."""
        training = self.net.training
        self.net.eval()
        there, before = ({name: part.to(self.device) for name, part in given.items()} for given in (views, memory))
        outputs, after = self.net.act(there, before)
        self.net.train(training)
        action, _ = self.actions.sample(outputs, there, generator, self.greedy)
        return {name: part.cpu() for name, part in action.items()}, {name: part.cpu() for name, part in after.items()}
