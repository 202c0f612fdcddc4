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

from velodrome.games.game import Bits, Game
from velodrome.learn.actions import Actions
from velodrome.learn.adam import Adam, Average, decays, step_together, young
from velodrome.learn.lanes import Dice, Lanes, lanes_seed, possible, refuse_batch_statistics, refuse_uneven, share_of
from velodrome.learn.memory import keep_freed_memory
from velodrome.learn.replay import Replay
from velodrome.learn.trainer import Counts, Memory, Policy, Progress, Telling, Views
from velodrome.meter.clock import Clock
from velodrome.runs.segments import Segments

Tensors = dict[str, Tensor]
NEVER = np.iinfo(np.int64).max
VIEW, LABEL, MEMORY, ACTION = "view.", "label.", "memory.", "action."
"""Before the names of what a sequence holds of each kind."""
ASIDE, SELDOM = 24, -1.4
"""Decisions for which a teacher that strays does so, in the mean; and the logit of every bit then: who clicks in every
second decision stays where it is."""


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
        bits = {part.name for part in self.actions.parts if isinstance(part, Bits)}
        anything = {
            name: torch.full((len(draw), n), SELDOM if name in bits else 0.0, device=self.device)
            for name, n in self.actions.heads.items()
        }
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


class Learning(Protocol):
    """Settings that all who learn from sequences have."""

    @property
    def rows(self) -> int:
        """Decisions of a sequence."""
        ...

    @property
    def minibatch(self) -> int:
        """Sequences of a step."""
        ...

    @property
    def rate(self) -> float:
        """Of learning, at first."""
        ...

    @property
    def gradient_clip(self) -> float:
        """The gradient's norm at most."""
        ...

    @property
    def average(self) -> float:
        """Decay of the running average of the weights that plays in evaluations; 0: the latest weights play."""
        ...


class Pupil:
    """A player of sequences that learns from them: the steps of its net, their average, and how both go on. Lanes share
    its games, and the rows of a step."""

    def __init__(
        self,
        game: Game,
        net: SequenceNet,
        learning: Learning,
        *,
        seed: int,
        device: str,
        lanes: int,
        small: float = 1e-5,
        decay: float = 0.0,
        memory: int = 0,
        teacher: str | None = None,
        labels: Sequence[str] = (),
        strays: float = 0.0,
    ):
        """`net` is a module; the last `memory` sequences may be kept. A `teacher` is for `Sequences`, as what follows
        it. Several `lanes` are for the CPU alone."""
        if not isinstance(net, nn.Module):
            raise TypeError("what plays sequences is to be a module")
        refuse_uneven(lanes, game.games, learning.minibatch)
        keep_freed_memory()
        lanes = lanes if possible(device) else 1
        refuse_batch_statistics(net, lanes)
        self.game, self.device = game, device
        self.nets: dict[str, nn.Module] = {"net": net.to(device)}
        self.net: SequenceNet = net
        self.parameters = list(net.parameters())
        self.optimizer = Adam(self.parameters, learning.rate, lanes=lanes, small=small, decay=decays(net, decay))
        self.average = Average(net, self.optimizer, learning.average) if learning.average else None
        self.learning, self.minibatch = learning, learning.minibatch // lanes
        self.lanes = list[PupilLane]()
        for lane in range(lanes):
            own, generator = share_of(game, lane, lanes), torch.Generator(device).manual_seed(lanes_seed(seed, lane))
            sequences = Sequences(own, net, learning.rows, generator, device, teacher, labels, strays)
            self.lanes.append(PupilLane(sequences, memory // lanes, seed, lane))
        self.team = Lanes(lanes, {"iterate": self._iterate, "state": self._state_of_lane})
        self.iteration = 0

    @property
    def lane(self) -> PupilLane:
        """The one that this process is."""
        return self.lanes[self.team.index]

    def iterate(self, clock: Clock) -> Progress:
        """Play a sequence of each game, and learn."""
        if self.iteration == 0:  # an earlier stage may have changed the weights, and lanes that have begun know of none
            self.team.close()
            if self.average is not None:
                self.average.begin()
        return self.team.iterate(clock)

    def _iterate(self, clock: Clock) -> tuple[Counts, dict[str, float]]:
        """This lane's part of it: its counts, and the metrics of all."""
        self.lane.dice.take_up()
        counts, told = self.work(clock)
        told["rate"] = self.optimizer.rate
        self.iteration += 1
        return counts, told

    def work(self, clock: Clock) -> tuple[Counts, dict[str, float]]:
        """An iteration in this lane."""
        raise NotImplementedError

    def step(self, loss: Tensor, clock: Clock) -> float:
        """Move the weights, and their average, by what all lanes have lost in the mean; returns the gradient's norm."""
        with clock("learn.backward"):
            for parameter in self.parameters:
                parameter.grad = None
            (loss / self.team.count).backward()  # type: ignore[no-untyped-call]
        if self.average is not None:
            self.average.keep = young(self.learning.average, self.optimizer.steps + 1)
        moved = [(self.optimizer, self.parameters)]
        return step_together(self.team, moved, self.learning.gradient_clip, clock, self.average)

    def hand_over(self) -> None:
        """Leave the net as the averaged player, which plays better than the latest."""
        if self.average is not None and self.iteration > 0:
            self.nets["net"].load_state_dict(self.average.net.state_dict())

    def policy(self, greedy: bool = False) -> Policy:
        """The averaged player if there is one, once it has begun; else the player."""
        net = self.average.net if self.average is not None and self.iteration > 0 else self.nets["net"]
        return SequencePolicy(net, self.lanes[0].sequences.actions, greedy, self.device)

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {
            "iteration": self.iteration,
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.net.state_dict(),
            "lanes": self.team.run("state", Clock(enabled=False)),
        }

    def _state_of_lane(self, clock: Clock) -> dict[str, Any]:
        self.lane.dice.take_up()
        state = self.lane.state()
        return state if self.team.index == 0 else as_arrays(state)

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.iteration = int(state["iteration"])
        for name, net in self.nets.items():
            net.load_state_dict(state["nets"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.net.load_state_dict(state["average"])
        self.team.close()
        for lane, saved in zip(self.lanes, state["lanes"], strict=True):
            lane.load(saved)


class PupilLane:
    """What a lane has of its own: its games, what is random in it, and what it keeps of its play, if it does."""

    def __init__(self, sequences: Sequences, memory: int, seed: int, lane: int):
        self.sequences, self.dice = sequences, Dice(seed, lane)
        self.kept = Replay(memory, sequences.game.games) if memory else None
        self.generator = torch.Generator().manual_seed(lanes_seed(seed, lane))

    def state(self) -> dict[str, Any]:
        """Everything that a bit-exact continuation needs."""
        return {
            "sequences": self.sequences.state(),
            "generator": self.generator.get_state(),
            "kept": None if self.kept is None else self.kept.state(),
            **self.dice.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Put everything where `state` left it."""
        self.sequences.load(state["sequences"])
        self.generator.set_state(torch.as_tensor(state["generator"]))
        if self.kept is not None:
            self.kept.load(state["kept"])
        self.dice.load(state)


def as_arrays(state: Any) -> Any:
    """A state without tensors: those would be handed to another process by their files."""
    if isinstance(state, Tensor):
        return state.numpy()
    if isinstance(state, Segments):
        return Segments([as_arrays(chunk) for chunk in state])
    return {name: as_arrays(part) for name, part in state.items()} if isinstance(state, dict) else state
