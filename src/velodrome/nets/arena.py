"""Nets of the real-time bot: a strategist that sets goals once a second, a tactician that picks targets ten times a
second, and an executor that moves the pointer every frame.

The layers are those of the bot. Three of its faults are mended: the executor remembers from frame to frame, the goal
reaches the tactician and the executor as a tensor that gradients pass through, and an empty screen is nothing special.
What the bot's review weighs is a setting each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from velodrome.nets.experts import Experts
from velodrome.nets.hyena import Hyena
from velodrome.nets.mamba import Mamba, Stack
from velodrome.nets.mobile import Mobile
from velodrome.nets.parts import Encoder, at_least_one, sinusoids
from velodrome.nets.perceiver import Perceiver
from velodrome.nets.transformer import HIDDEN, Attention, Residual, Style, Transformer

Views = Mapping[str, Tensor]
Outputs = dict[str, Tensor]
Memory = dict[str, Tensor]

PLAYER, OBJECT, OBJECTS = 16, 20, 16
"""Numbers of the ship, of an object, and objects on a screen."""
NEAR = 8
"""Objects in a sample."""
SAMPLE, STATE, GOAL = PLAYER + NEAR * OBJECT + 16, 64, 64
"""Numbers of a sample, of its beginning that the executor sees, and of a goal."""
MODES = ("fight", "loot", "flee", "explore", "cautious")
APPROACH, ABOUT, PLACE = 4, 32, 2
"""Numbers that say how to approach a target, what it is, and where it is on the screen."""
CENTRE = 0.5
"""Where no target is."""
ASPECT = 16 / 9
"""Of the screen."""
BEARING = 3
"""Numbers that say in which direction a target lies, and how far."""
EDGE = 0.01
"""The pointer is not drawn nearer to the screen's edge than that."""
OPTION, MARKED, ANY, WEIGHT = PLACE + 3, PLACE, PLACE + 1, PLACE + 2
"""Numbers of a target that may be chosen: where it is, whether it is marked, whether it is anything at all, and the
logarithm of its weight."""
EAGER = 1.6
"""By how much pointing at the target is favoured where that is in doubt: done in vain it costs a moment, left undone
the whole fight."""
NEVER = -1e4
"""The logarithm of the chance of what is not done."""


@dataclass(frozen=True)
class Strategy:
    """Settings of a strategist."""

    samples: int = 60
    """Seconds that it looks back."""
    sample: int = SAMPLE
    width: int = 256
    heads: int = 4
    layers: int = 4
    over_time: Literal["transformer", "mamba", "hyena", "perceiver"] = "transformer"
    pre_norm: bool = False
    """Norms before the transformer's parts, and not behind the sums."""
    fused: bool = True
    """Attention in one operation."""
    states: int = 64
    """Of a channel, with mamba."""
    latents: int = 16
    """With perceiver."""
    experts: int = 0
    """So many nets over time with a router; 0: one without."""
    asked: int = 0
    """Experts that each sequence goes through; 0: all."""
    picture: int = 0
    """Numbers that a picture of the screen becomes; 0: it sees none."""
    style: Style = Style()


@dataclass(frozen=True)
class Tactics:
    """Settings of a tactician."""

    width: int = 128
    heads: int = 2
    layers: int = 2
    choice: Literal["attention", "scores"] = "attention"
    """How the target is chosen: the goal is a query that objects answer, or each object is scored beside the goal."""
    ship: bool = False
    """Whether it is told of the ship, too: what is left of it changes faster than goals do."""
    no_target: bool = True
    """Whether having no target is one of the choices, with a vector of its own; the bot's net lacks it."""
    picture: int = 0
    """Numbers that a picture of the screen becomes; 0: it sees none."""
    between: Style = Style(activation="relu")
    """Of the layers in which objects look at each other."""
    style: Style = Style()


@dataclass(frozen=True)
class Execution:
    """Settings of an executor."""

    width: int = 256
    remembers: Literal["mamba", "lstm"] = "mamba"
    blocks: int = 1
    """Of mamba, one after the other."""
    states: int = 64
    """Of a channel, with mamba."""
    lstm_layers: int = 2
    keys: int = 2
    """The click and the ability."""
    residual: bool = True
    """Whether the pointer is at the target where the net says nothing. Without, it does not aim either."""
    aims: bool = False
    """Whether pointing at a target is a choice of its own: the pointer is there, or where the net has it, and nowhere
    in between, where neither would do any good."""
    bearing: bool = False
    """Whether it is told in which direction the target lies and how far, and not only where: who circles a target goes
    by that."""
    style: Style = Style()


def sample_of(views: Views) -> Tensor:
    """The game's views `player`, `objects` and `context` as one sample, `[..., 192]`."""
    return torch.cat([views["player"], views["objects"][..., :NEAR, :].flatten(-2), views["context"]], -1)


class Strategist(nn.Module):
    """From the last seconds: a goal, a mode, and how sure it is of it (before the sigmoid).

    It sees `samples [rows, seconds, n]`, the present one last, where `known [rows, seconds]`; without that view all
    are. With pictures it sees `pictures [rows, seconds, height, width, 3]`, too.
    """

    wants = ("samples",)

    def __init__(self, settings: Strategy = Strategy()):
        super().__init__()
        self.settings, style, width = settings, settings.style, settings.width
        self.eye = Mobile(settings.picture) if settings.picture else None
        self.size = settings.sample + settings.picture
        self.input = style.entry(self.size, width, drops=True)
        self.register_buffer("positions", sinusoids(settings.samples, width), persistent=False)
        self.positions: Tensor
        self.over_time: nn.Module
        if settings.experts:
            nets = (_over_time(settings) for _ in range(settings.experts))
            self.over_time = Experts(nets, width, settings.asked)
        else:
            self.over_time = _over_time(settings)
        self.query = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.pooling = Attention(width, settings.heads, fused=settings.fused)
        self.goal = style.head(width, width, GOAL)
        self.mode = style.head(width, width // 2, len(MODES))
        self.confidence = nn.Linear(width, 1)

    def start(self, rows: int) -> Memory:
        """What it remembers where no second has passed: its samples, in the order of time, none of them known."""
        seconds = self.settings.samples
        known = torch.zeros(rows, seconds, dtype=torch.bool, device=self.query.device)
        return {"samples": self.query.new_zeros(rows, seconds, self.size), "known": known}

    def forward(self, views: Views) -> Outputs:
        """From whole sequences, `[rows, seconds, ...]`."""
        samples = views["samples"]
        if self.eye is not None:
            samples = torch.cat([samples, self.eye(views["pictures"])], -1)
        known = views.get("known")
        return self._decide(samples, torch.ones_like(samples[..., 0], dtype=torch.bool) if known is None else known)

    def step(self, views: Views, memory: Memory) -> tuple[Outputs, Memory]:
        """From one more second, `samples [rows, n]` (and `pictures [rows, height, width, 3]`), and those before."""
        sample = views["samples"]
        if self.eye is not None:
            sample = torch.cat([sample, self.eye(views["pictures"])], -1)
        samples = torch.cat([memory["samples"][:, 1:], sample.unsqueeze(1)], 1)
        known = torch.cat([memory["known"][:, 1:], torch.ones_like(memory["known"][:, :1])], 1)
        return self._decide(samples, known), {"samples": samples, "known": known}

    def _decide(self, samples: Tensor, known: Tensor) -> Outputs:
        """The present sample always has the same position, so that fewer seconds are as good as some unknown."""
        x = self.input(samples) + self.positions[-samples.shape[1] :]
        x = self.over_time(x.masked_fill(~known.unsqueeze(-1), 0.0), known)
        there = None if self.settings.over_time == "perceiver" else known
        pooled = self.pooling(x, there, self.query.expand(x.shape[0], -1, -1)).squeeze(1)
        return {"goal": self.goal(pooled), "mode": self.mode(pooled), "confidence": self.confidence(pooled).squeeze(-1)}


def _over_time(settings: Strategy) -> nn.Module:
    width, heads, style, wide = settings.width, settings.heads, settings.style, 4 * settings.width
    if settings.over_time == "transformer":
        return Transformer(settings.layers, width, heads, wide, style, pre_norm=settings.pre_norm, fused=settings.fused)
    if settings.over_time == "perceiver":
        return Perceiver(settings.layers, width, heads, wide, settings.latents, style, fused=settings.fused)
    return Mixers(settings)


class Mixers(nn.Module):
    """Blocks of mamba or hyena, one after the other."""

    def __init__(self, settings: Strategy):
        super().__init__()
        mixers: list[nn.Module] = [
            Mamba(settings.width, settings.states)
            if settings.over_time == "mamba"
            else Hyena(settings.width, settings.samples)
            for _ in range(settings.layers)
        ]
        self.layers = nn.ModuleList(Residual(settings.width, mixer, settings.style) for mixer in mixers)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """`x [rows, n, width]`; what is not `known [rows, n]` is zeros."""
        for layer in self.layers:
            x = layer(x)
        return x


class Tactician(nn.Module):
    """From the objects on the screen and the goal: which of them is the target (as logarithms of its weights), where
    that is in the weighted mean, how to approach it, and what there is to know about it.

    It sees `objects [rows, n, 20]` where `mask [rows, n]` allows it, and `goal [rows, 64]`; with pictures also
    `picture [rows, height, width, 3]`, with marks `marks [rows, n]`, and if it is told of the ship `player [rows, 16]`.
    If having no target is a choice, it is the last.
    """

    wants = ("objects", "mask", "goal")

    def __init__(self, settings: Tactics = Tactics(), marks: bool = False):
        super().__init__()
        self.marks = marks
        style, width = settings.style, settings.width
        self.eye = Mobile(settings.picture) if settings.picture else None
        self.objects = style.entry(OBJECT + marks, width, drops=True)
        self.ship = settings.ship
        self.goal = style.entry(GOAL + settings.picture + PLAYER * settings.ship, width, drops=False)
        self.none = nn.Parameter(torch.randn(width) * width**-0.5) if settings.no_target else None
        self.between = _between(settings)
        self.choice: Attention | Scores
        self.choice = Attention(width, settings.heads) if settings.choice == "attention" else Scores(width, style)
        self.approach = style.head(width, width // 2, APPROACH)
        self.about = style.head(width, width // 2, ABOUT)

    def forward(self, views: Views) -> Outputs:
        """For each row."""
        objects, mask, asked = views["objects"], views["mask"].bool(), views["goal"]
        if self.eye is not None:
            asked = torch.cat([asked, self.eye(views["picture"])], -1)
        if self.ship:
            asked = torch.cat([asked, views["player"]], -1)
        places = objects[..., :PLACE]
        if self.marks:
            objects = torch.cat([objects, views["marks"].unsqueeze(-1).to(objects.dtype)], -1)
        x = self.objects(objects)
        if self.none is not None:
            x = torch.cat([x, self.none.to(x.dtype).expand(x.shape[0], 1, -1)], 1)
            places = torch.cat([places, places.new_full((len(places), 1, PLACE), CENTRE)], 1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
        mask = at_least_one(mask)
        found, target = self.choice.choose(self.between(x, mask), mask, self.goal(asked))
        return {
            "target": target,
            "place": (target.exp().unsqueeze(-1) * places).sum(1),
            "approach": self.approach(found),
            "about": self.about(found),
        }


def options(target: Tensor, views: Views) -> Tensor:
    """What there is to know about each of a tactician's targets, by the weights that it gives them and what it saw,
    `[rows, n, 5]`."""
    places = views["objects"][..., :PLACE]
    marked = views["marks"].to(places.dtype) if "marks" in views else torch.zeros_like(places[..., 0])
    about = torch.cat([places, torch.stack([marked, torch.ones_like(marked)], -1)], -1)
    if target.shape[1] > places.shape[1]:
        nothing = places.new_tensor([CENTRE, CENTRE, 0, 0]).expand(len(places), 1, -1)
        about = torch.cat([about, nothing], 1)
    return torch.cat([about, target.unsqueeze(-1)], -1)


def likeliest(options: Tensor) -> Tensor:
    """The one of most weight, `[..., 5]`."""
    best = options[..., WEIGHT].argmax(-1, keepdim=True).unsqueeze(-1)
    return options.gather(-2, best.expand(*best.shape[:-1], OPTION)).squeeze(-2)


def _between(settings: Tactics) -> nn.Module:
    """The bot's layers have a compiled form; others do not."""
    style, width = settings.between, settings.width
    if style.activation == "relu" and style.norm == "layer":
        return Encoder(width, settings.heads, settings.layers, style.dropout)
    return Transformer(settings.layers, width, settings.heads, 2 * width, style, pre_norm=False, fused=True)


class Scores(nn.Module):
    """Scores each object laid beside the goal. With one layer the goal would move all scores alike: there are two."""

    def __init__(self, width: int, style: Style):
        super().__init__()
        self.score = style.head(2 * width, width, 1)
        self.value = nn.Linear(width, width)

    def choose(self, x: Tensor, known: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """As `Attention.choose`."""
        scores = self.score(torch.cat([x, query.unsqueeze(1).expand_as(x)], -1)).squeeze(-1)
        logs = scores.masked_fill(~known, HIDDEN).log_softmax(-1)
        return (logs.exp().unsqueeze(1) @ self.value(x)).squeeze(1), logs


def on_screen(place: Tensor) -> Tensor:
    """A place, or where the way there leaves the screen."""
    away = place - CENTRE
    part = (CENTRE - EDGE) / away.abs().amax(-1, keepdim=True).clamp(min=CENTRE - EDGE)
    return CENTRE + part * away


def bearing(place: Tensor) -> Tensor:
    """In which direction from the ship a place on the screen lies, and how far, in heights of the screen."""
    away = (place - CENTRE) * place.new_tensor([ASPECT, 1.0])
    far = away.norm(dim=-1, keepdim=True)
    return torch.cat([away / (far + EDGE), far], -1)


class Lstm(nn.Module):
    """An LSTM that is told what it remembers."""

    def __init__(self, width: int, layers: int, dropout: float):
        super().__init__()
        self.layers = nn.LSTM(width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)

    def start(self, rows: int) -> Memory:
        """What so many sequences remember at first."""
        shape = rows, self.layers.num_layers, self.layers.hidden_size
        weight: Tensor = self.layers.all_weights[0][0]
        return {name: weight.new_zeros(shape) for name in ("hidden", "cell")}

    def forward(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """`x [rows, steps, width]`, behind what is remembered; returns as much, and what is then remembered."""
        hidden, cell = (memory[name].transpose(0, 1).contiguous() for name in ("hidden", "cell"))
        x, (hidden, cell) = self.layers(x, (hidden, cell))
        return x, {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}


class Executor(nn.Module):
    """From each frame: where the pointer goes (before the sigmoid) and what is pressed (likewise).

    It sees `state [rows, frames, 64]`, `goal [rows, frames, 64]`, and `target [rows, frames, 34]`: where the target is
    on the screen, and what the tactician says about it; and, if it aims or is told marks, of each target that may be
    chosen, `options [rows, frames, n, 5]`.
    """

    wants: tuple[str, ...] = ("state", "goal", "target")

    def __init__(self, settings: Execution = Execution(), marks: bool = False):
        super().__init__()
        style, width = settings.style, settings.width
        self.residual, self.aims = settings.residual, settings.residual and settings.aims
        self.bearing, self.marks = settings.bearing, marks
        if self.aims or self.marks:
            self.wants = (*self.wants, "options")
        inputs = STATE + GOAL + PLACE + ABOUT + (BEARING if settings.bearing else 0) + marks
        self.input = style.entry(inputs, width, drops=False)
        self.memory: Stack | Lstm
        if settings.remembers == "mamba":
            self.memory = Stack(width, settings.blocks, settings.states)
        else:
            self.memory = Lstm(width, settings.lstm_layers, style.dropout)
        self.output = style.head(width, width // 2, PLACE + settings.keys + self.aims, drops=True)

    def start(self, rows: int) -> Memory:
        """What so many rows remember before their first frame."""
        return self.memory.start(rows)

    def forward(self, views: Views) -> Outputs:
        """Over sequences from their first frame on."""
        return self.unroll(views, self.start(len(views["state"])))[0]

    def unroll(self, views: Views, memory: Memory) -> tuple[Outputs, Memory]:
        """Over sequences `[rows, frames, ...]` that go on behind what is remembered."""
        x, memory = self.recall(views, memory)
        return self.move(x, views), memory

    def recall(self, views: Views, memory: Memory) -> tuple[Tensor, Memory]:
        """What comes of what it sees and remembers, `[rows, frames, width]`, and what it then remembers."""
        seen = [views["state"], views["goal"], views["target"]]
        if self.bearing:
            seen.append(bearing(views["target"][..., :PLACE]))
        if self.marks:
            seen.append(likeliest(views["options"])[..., MARKED : MARKED + 1])
        return self.memory(self.input(torch.cat(seen, -1)), memory)  # type: ignore[no-any-return]

    def move(self, x: Tensor, views: Views) -> Outputs:
        """What it does about it. One that aims gives, besides, the points between which it chooses, where the net has
        the pointer first of all, and the logarithms of their chances."""
        given = self.output(x)
        here, keys = given[..., :PLACE], given[..., PLACE:]
        if not self.aims:
            drawn = views["target"][..., :PLACE].logit(EDGE) if self.residual else 0.0
            return {"pointer": here + drawn, "keys": keys}
        options, keys, aims = views["options"], keys[..., :-1], keys[..., -1:]
        there, anything = on_screen(options[..., :PLACE]).logit(EDGE), options[..., ANY] > 0
        weights = logsigmoid(aims) + options[..., WEIGHT]
        elsewhere = torch.cat([logsigmoid(-aims), torch.where(anything, NEVER, weights)], -1).logsumexp(
            -1, keepdim=True
        )
        best = likeliest(options)
        takes = (best[..., ANY : ANY + 1] > 0) & (aims > -EAGER)
        return {
            "pointer": torch.where(takes, on_screen(best[..., :PLACE]).logit(EDGE), here),
            "keys": keys,
            "points": torch.cat([here.unsqueeze(-2), there], -2),
            "logs": torch.cat([elsewhere, torch.where(anything, weights, NEVER)], -1),
        }

    def step(self, views: Views, memory: Memory) -> tuple[Outputs, Memory]:
        """One frame, `[rows, ...]`."""
        outputs, memory = self.unroll({name: views[name].unsqueeze(1) for name in self.wants}, memory)
        return {name: output.squeeze(1) for name, output in outputs.items()}, memory


# The nets by name, each with example inputs as wide as the game's views.

FRAMES = 16


def seconds(rows: int, samples: int = Strategy.samples) -> dict[str, Tensor]:
    """For a strategist."""
    return {"samples": torch.rand(rows, samples, SAMPLE)}


def screens(rows: int) -> dict[str, Tensor]:
    """For a tactician."""
    mask = torch.ones(rows, OBJECTS, dtype=torch.bool)
    return {"objects": torch.rand(rows, OBJECTS, OBJECT), "mask": mask, "goal": torch.randn(rows, GOAL)}


def frames(*shape: int) -> dict[str, Tensor]:
    """For an executor, `[rows, ...]` or `[rows, frames, ...]`."""
    sizes = {"state": STATE, "goal": GOAL, "target": PLACE + ABOUT}
    return {name: torch.rand(*shape, size) for name, size in sizes.items()}


def strategist() -> tuple[nn.Module, tuple[Any, ...]]:
    """The bot's strategist."""
    return Strategist(), (seconds(32),)


def tactician() -> tuple[nn.Module, tuple[Any, ...]]:
    """The bot's tactician, which has no choice but to have a target."""
    return Tactician(Tactics(no_target=False)), (screens(32),)


def executor_mamba() -> tuple[nn.Module, tuple[Any, ...]]:
    """The bot's executor, with Mamba."""
    return Executor(), (frames(32, FRAMES),)


def executor_lstm() -> tuple[nn.Module, tuple[Any, ...]]:
    """The same with an LSTM, as the bot has it where Mamba is not installed."""
    return Executor(Execution(remembers="lstm")), (frames(32, FRAMES),)
