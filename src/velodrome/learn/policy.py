"""Nets as policies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from velodrome.games.game import Choice
from velodrome.learn.actions import Actions
from velodrome.learn.trainer import Listener, Memory, Telling, Views


class NetPolicy(Telling):
    """Acts by sampling from the net's outputs, or takes the likeliest action where `greedy`."""

    def __init__(self, net: nn.Module, actions: Actions, greedy: bool = False, device: str = "cpu"):
        self.net, self.actions, self.greedy, self.device = net, actions, greedy, device

    def start(self, rows: int) -> Memory:
        """What the net remembers of new trajectories; nothing where it is feed-forward."""
        return memory_of(self.net, rows)

    @torch.no_grad()
    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        """An action for every row."""
        there, outputs = self._outputs({**views, **memory})
        action, _ = self.actions.sample(outputs, there, generator, self.greedy)
        return {name: part.cpu() for name, part in action.items()}, after(self.net, there, memory)

    @torch.no_grad()
    def weigh(self, views: Views, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """An action for every row, and the log-probability of the likeliest one; what is remembered is among the
        views."""
        there, outputs = self._outputs(views)
        action, sure = self.actions.sample(outputs, there, generator, greedy=True)
        if not self.greedy:
            action, _ = self.actions.sample(outputs, there, generator)
        return {name: part.cpu() for name, part in action.items()}, sure.cpu()

    @torch.no_grad()
    def chances(self, views: Views) -> dict[str, Tensor]:
        """How likely each thing is in every row, for the parts of the action that choose one; what is remembered is
        among the views."""
        there, outputs = self._outputs(views)
        found = self.actions.chances(outputs, there)
        return {part.name: found[part.name].cpu() for part in self.actions.parts if isinstance(part, Choice)}

    def _outputs(self, views: Views) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        training = self.net.training
        self.net.eval()
        there = {name: view.to(self.device) for name, view in views.items()}
        outputs = self.net(there)
        self.tell(self.net, outputs, there)
        self.net.train(training)
        return there, outputs


class Majority:
    """Two nets that see and remember the same: all seats of a game play as the second would where more than half of all
    its seats are surer of what they would then do, and as the first would elsewhere. Who is out votes for the first."""

    def __init__(self, first: NetPolicy, second: NetPolicy, seats: int):
        self.first, self.second, self.seats = first, second, seats

    def heard_by(self, listener: Listener) -> None:
        """Tell what the first net says."""
        self.first.heard_by(listener)

    def start(self, rows: int) -> Memory:
        """What both remember."""
        return self.first.start(rows)

    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        """An action for every row; rows of the same `game` act as one."""
        seen = {**views, **memory}
        own, sure = self.first.weigh(seen, generator)
        other, surer = self.second.weigh(seen, generator)
        game = views["game"]
        votes = torch.zeros(int(game.max()) + 1, dtype=torch.int64).index_add_(0, game, (surer > sure).long())
        followed = (2 * votes > self.seats)[game]
        return {
            name: torch.where(followed.view(-1, *[1] * (part.dim() - 1)), other[name], part)
            for name, part in own.items()
        }, after(self.first.net, seen, memory)


def memory_of(net: nn.Module, rows: int) -> Memory:
    """What a net remembers of so many new trajectories: what its `start` gives, and then its `remember`. It finds that
    among the views, so that a decision depends on nothing else."""
    return net.start(rows) if hasattr(net, "start") else {}  # type: ignore[operator]


def after(net: nn.Module, views: Views, memory: Memory) -> Memory:
    """What a net remembers after the step that these views, and what it remembered, show."""
    if not memory:
        return memory
    return {name: part.cpu() for name, part in net.remember(views).items()}  # type: ignore[operator]
