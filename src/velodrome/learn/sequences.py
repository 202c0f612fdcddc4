"""Games of one seat played in sequences of decisions, from what a player remembers to what it then remembers; and who
learns from them.

A game that ends in the middle of a sequence waits for the next one to begin; what stands in between is not `known`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from velodrome.games.game import Game
from velodrome.learn.actions import Actions
from velodrome.learn.adam import Adam, Average, decays, young
from velodrome.learn.lanes import Lanes
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.trainer import Counts, Memory, Policy, Telling, Views
from velodrome.meter.clock import Clock

Tensors = dict[str, Tensor]
NEVER = np.iinfo(np.int64).max
VIEW, LABEL, MEMORY, ACTION = "view.", "label.", "memory.", "action."
"""Before the names of what a sequence holds of each kind."""
ASIDE = 8
"""Decisions for which a teacher that strays does so, in the mean."""


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
        strays: float = 0.0,
    ):
        """Sequences have `rows` decisions. Of a `teacher`, a bot of the game, each holds what it would do, and the
        private views `labels`; `strays` is the share of its decisions in which it does something else. The first game
        of each slot is broken off, each at another time: else games that take as long as each other would all be at the
        same point."""
        spec = game.spec
        if spec.seats != 1:
            raise ValueError(f"{spec.name} has {spec.seats} seats; sequences are of games with one")
        told = [name for name in net.wants if spec.views[name].private]
        if told:
            raise ValueError(f"{spec.name}: {', '.join(told)} is no player's to see")
        self.game, self.net, self.rows, self.generator, self.device = game, net, rows, generator, device
        self.teacher, self.labels, self.actions = teacher, labels, Actions(spec.action)
        self.memory = self._started(game.games)
        self.strays, self.straying = strays, torch.zeros(game.games, dtype=torch.bool, device=device)
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
                aside = self._aside(there)
                for name, part in action.items():
                    taught, strays = (each.view(-1, *[1] * (part.dim() - 1)) for each in (lessons, self.straying))
                    told = labels[name].to(self.device)
                    action[name] = torch.where(taught, torch.where(strays, aside.get(name, told), told), part)
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

    def _aside(self, there: Tensors) -> Tensors:
        """What a teacher that strays does instead, anything; and who strays now. Once begun, it lasts for a while: what
        is then seen are places that lie further off."""
        if not self.strays:
            return {}
        draw = torch.rand(len(self.over), generator=self.generator, device=self.device)
        begins = self.strays / ((1 - self.strays) * ASIDE)
        self.straying = torch.where(self.straying, draw >= 1 / ASIDE, draw < begins)
        anything = {name: torch.zeros(len(draw), n, device=self.device) for name, n in self.actions.heads.items()}
        return self.actions.sample(anything, there, self.generator)[0]

    def state(self) -> dict[str, Any]:
        """The games in mid-play, what is remembered, and the random state."""
        return {
            "game": self.game.records.copy(),
            "over": self.over,
            "left": self.left,
            "straying": self.straying,
            "memory": self.memory,
            "generator": self.generator.get_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Put everything where `state` left it."""
        self.game.resume(state["game"])
        self.left = np.array(state["left"], np.int64)
        self.straying = torch.as_tensor(state["straying"]).to(self.device)
        self.over = np.asarray(state["over"], np.bool_) | (not self.game.resumes)
        self.memory = {name: torch.as_tensor(part).to(self.device) for name, part in state["memory"].items()}
        self.generator.set_state(torch.as_tensor(state["generator"]))


def parts_of(sequences: Mapping[str, Tensor], kind: str) -> Tensors:
    """What sequences hold of one kind, by its own names."""
    return {name.removeprefix(kind): part for name, part in sequences.items() if name.startswith(kind)}


class SequencePolicy(Telling):
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
        self.tell(self.net, outputs, there | before)
        self.net.train(training)
        action, _ = self.actions.sample(outputs, there, generator, self.greedy)
        return {name: part.cpu() for name, part in action.items()}, {name: part.cpu() for name, part in after.items()}


class Pupil:
    """A player of sequences that learns from them: the steps of its net, their average, and how both go on."""

    def __init__(
        self,
        sequences: Sequences,
        *,
        seed: int,
        rate: float,
        gradient_clip: float,
        average: float,
        small: float = 1e-5,
        decay: float = 0.0,
    ):
        """What plays the sequences is a module. `average` is the decay of the running average of its weights; without
        one, the latest weights play."""
        net = sequences.net
        if not isinstance(net, nn.Module):
            raise TypeError("what plays sequences is to be a module")
        keep_freed_memory()
        self.game, self.sequences, self.device = sequences.game, sequences, sequences.device
        self.nets: dict[str, nn.Module] = {"net": net.to(self.device)}
        self.net: SequenceNet = net
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer = Adam(list(net.parameters()), rate, small=small, decay=decays(net, decay))
        self.average = Average(net, self.optimizer, average) if average else None
        self.gradient_clip, self._keep, self._alone = gradient_clip, average, Lanes(1, {})
        self.iteration = 0

    def begin(self, rate: float) -> None:
        """Begin an iteration, with its learning rate."""
        if self.iteration == 0 and self.average is not None:
            self.average.begin()  # an earlier stage may have changed the weights
        self.optimizer.rate = rate

    def step(self, loss: Tensor, clock: Clock) -> float:
        """Move the weights, and their average; returns the gradient's norm."""
        parameters = list(self.nets["net"].parameters())
        with clock("learn.backward"):
            for parameter in parameters:
                parameter.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.bring(0, parameters)
        self.optimizer.average(self._alone, clock)
        with clock("learn.optimize"):
            norm = self.optimizer.step(self._alone, self.gradient_clip)
            if self.average is not None:
                self.average.keep = young(self._keep, self.optimizer.steps)
                self.average.follow(self.optimizer.own(self._alone))
        return norm

    def policy(self, greedy: bool = False) -> Policy:
        """The averaged player if there is one, once it has begun; else the player."""
        net = self.average.net if self.average is not None and self.iteration > 0 else self.nets["net"]
        return SequencePolicy(net, self.sequences.actions, greedy, self.device)

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {
            "iteration": self.iteration,
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.net.state_dict(),
            "sequences": self.sequences.state(),
            "generator": self.generator.get_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.iteration = int(state["iteration"])
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.net.load_state_dict(state["average"])
        self.sequences.load(state["sequences"])
        self.generator.set_state(torch.as_tensor(state["generator"]))
