"""A small game and a small trainer that are awkward in every way that the interfaces have to bear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from velodrome.games.game import Array, Bits, Box, Game, Score, Spec, View
from velodrome.games.kernel import below, draw, kernel, seed_states
from velodrome.games.transcript import transcript
from velodrome.learn.actions import Actions
from velodrome.learn.step import step
from velodrome.learn.trainer import Counts, Memory, Progress, Stages, Views
from velodrome.meter.clock import Clock
from velodrome.recipes import recipe
from velodrome.runs.segments import Segments

SIDE, SEATS = 5, 3
DASH, HIDE = 0, 1


# A fox (seat 0) hunts two hares on a square meadow. Everyone has breath for two special moves: a dash doubles the
# speed, and a hare that hides cannot be caught in that step.


@kernel
def deal(games, which):  # type: ignore[no-untyped-def]
    for i in range(len(games)):
        if which[i]:
            game = games[i]
            for n in range(2 * SEATS):
                game.start, bits = draw(game.start)
                game.at[n // 2, n % 2] = below(bits, 8 * SIDE) / 8
            game.alive[:], game.breath[:], game.time, game.over = 1, 2, 0, 0


@kernel
def play(games, aim, keys, longest, rewards, outcome):  # type: ignore[no-untyped-def]
    for i in range(len(games)):
        game, special = games[i], keys[i].sum(1) > 0
        rewards[i] = 0
        if game.over:
            continue
        for s in range(SEATS):
            known = keys[i, s].min() >= 0 and keys[i, s].max() <= 1 and np.abs(aim[i, s]).max() <= 1
            usable = not special[s] or (game.breath[s] > 0 and (s > 0 or not keys[i, s, HIDE]))
            if game.alive[s] and not (known and usable):
                return i
        for s in range(SEATS):
            if game.alive[s]:
                game.breath[s] -= special[s]
                game.at[s] = np.clip(game.at[s] + (1 + keys[i, s, DASH]) * aim[i, s], 0, SIDE - 0.01)
        for hare in range(1, SEATS):
            near = np.abs(game.at[hare] - game.at[0]).max() < 1
            if game.alive[hare] and near and not keys[i, hare, HIDE]:
                game.alive[hare] = 0
                rewards[i, 0] += 1
                rewards[i, hare] = -1
        game.time += 1
        game.over = 1 if not game.alive[1:].any() else 2 if game.time == longest else 0
        outcome[i, 0] = 1 - game.alive[1:].mean()
        outcome[i, 1:] = game.alive[1:]
    return -1


@kernel
def look(games, longest, acting, meadow, globals_, usable, state):  # type: ignore[no-untyped-def]
    for i in range(len(games)):
        game = games[i]
        acting[i] = game.alive
        for s in range(SEATS):
            meadow[i, s] = 0
            for other in range(SEATS):
                if game.alive[other]:
                    kind = 0 if other == s else 1 if other == 0 else 2
                    meadow[i, s, kind, int(game.at[other, 1]), int(game.at[other, 0])] = 1
                state[i, s, other, :2], state[i, s, other, 2] = game.at[other], game.alive[other]
            globals_[i, s, 0], globals_[i, s, 1] = game.time / longest, game.breath[s] / 2
            usable[i, s, DASH] = game.alive[s] and game.breath[s] > 0
            usable[i, s, HIDE] = usable[i, s, DASH] and s > 0


@kernel
def advise(games, direct, aim, keys):  # type: ignore[no-untyped-def]
    for i in range(len(games)):
        game = games[i]
        for s in range(SEATS):
            game.luck, bits = draw(game.luck)
            if direct:
                quarry = 0 if s > 0 else 1 if game.alive[1] else 2
                aim[i, s] = np.clip(game.at[quarry] - game.at[s], -1, 1) * (1 if s == 0 else -1)
            else:
                aim[i, s, 0], aim[i, s, 1] = below(bits, 201) / 100 - 1, below(bits << np.uint64(32), 201) / 100 - 1
            keys[i, s, DASH] = game.alive[s] and game.breath[s] > 0 and (direct or bits & np.uint64(1))


class Meadow(Game):
    record = np.dtype(
        [
            ("start", "u8"),
            ("luck", "u8"),
            ("at", "f4", (SEATS, 2)),
            ("alive", "i1", SEATS),
            ("breath", "i1", SEATS),
            ("time", "i2"),
            ("over", "i2"),
        ]
    )

    def __init__(self, games: int, seed: int, longest: int = 12, **options: Any):
        views = {
            "meadow": View((3, SIDE, SIDE), low=0, high=1, says="oneself, the fox and the hares still there"),
            "globals": View((2,), low=0, high=1, says="time gone, breath left"),
            "usable": View((2,), np.bool_, 0, 1, says="may dash, may hide"),
            "state": View((SEATS, 3), low=0, high=SIDE, says="everyone's place and whether there", private=True),
        }
        spec = Spec(
            "meadow", SEATS, SEATS, views, (Box("aim", 2), Bits("keys", 2, mask="usable")),
            Score("hares caught or own survival", "higher"), longest, ("random", "direct"),
            roles=(0, 1, 1), duplicate=SEATS, settings={"longest": longest},
        )  # fmt: skip
        super().__init__(spec, games, seed, **options)

    def seed_records(self, seed: int, start: Array, luck: Array) -> None:
        seed_states(seed, start, self.records["start"])
        seed_states(seed + 1, luck, self.records["luck"])
        self.seat[:] = np.arange(SEATS)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        deal(self.records[lo:hi], which[lo:hi])
        self.rewards[lo:hi][which[lo:hi]] = 0
        self.look(lo, hi)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        aim, keys = action["aim"][lo:hi], action["keys"][lo:hi]
        refused = play(self.records[lo:hi], aim, keys, self.spec.longest, self.rewards[lo:hi], self.outcome[lo:hi])
        self.look(lo, hi)
        return refused + lo if refused >= 0 else -1

    def look(self, lo: int, hi: int) -> None:
        look(self.records[lo:hi], self.spec.longest, self.acting[lo:hi], *(view[lo:hi] for view in self.views.values()))
        self.ended[lo:hi], self.cut[lo:hi] = self.records["over"][lo:hi] == 1, self.records["over"][lo:hi] == 2

    def advise(self, name: str, lo: int, hi: int, action: dict[str, Array]) -> None:
        advise(self.records[lo:hi], name == "direct", action["aim"][lo:hi], action["keys"][lo:hi])

    def describe(self, game: int) -> str:
        record = self.records[game]
        who = zip(("fox", "hare", "hare"), record["at"], record["alive"], record["breath"], strict=True)
        return f"time {record['time']}: " + ", ".join(
            f"{name} at {x:.2f} {y:.2f} with breath {breath}" if alive else f"{name} caught"
            for name, (x, y), alive, breath in who
        )


# A recurrent net that first imitates a bot, then repeats what went well, both from replay memory.


class Recalling(nn.Module):
    """A GRU over what a seat has seen, in sequences `[steps, rows, ...]`."""

    def __init__(self, heads: dict[str, int]):
        super().__init__()
        self.heads = heads
        self.see = nn.Linear(3 * SIDE * SIDE + 2 + SEATS, 64)
        self.remember = nn.GRUCell(64, 32)
        self.decide = nn.Linear(32, sum(heads.values()))

    def forward(self, views: Views, hidden: Tensor, fresh: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor]:
        """The outputs at every step, and the memory after the last; it is wiped where `fresh [steps, rows]`."""
        role = nn.functional.one_hot(views["seat"], SEATS)
        seen = self.see(torch.cat([views["meadow"].flatten(2), views["globals"], role], -1)).relu()
        steps = []
        for t, now in enumerate(seen):
            hidden = self.remember(now, hidden if fresh is None else hidden.masked_fill(fresh[t, :, None], 0))
            steps.append(hidden)
        outputs = self.decide(torch.stack(steps)).split(list(self.heads.values()), -1)
        return dict(zip(self.heads, outputs, strict=True)), hidden


@dataclass
class RecallingPolicy:
    net: Recalling
    actions: Actions
    device: str
    greedy: bool = False

    def start(self, rows: int) -> Memory:
        return {"hidden": torch.zeros(rows, 32)}

    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[dict[str, Tensor], Memory]:
        there = {name: view[None].to(self.device) for name, view in views.items()}
        outputs, hidden = self.net(there, memory["hidden"].to(self.device))
        action, _ = self.actions.sample(outputs, there, generator, self.greedy)
        return {name: part[0].cpu() for name, part in action.items()}, {"hidden": hidden.cpu()}


class Recaller:
    """Plays a segment into replay memory, then learns to do what was done there: all of it with a `teacher`, without
    one the more, the better it went."""

    def __init__(self, game: Game, net: Recalling, seed: int, device: str, teacher: str | None, rate: float):
        self.game, self.net, self.nets, self.teacher, self.device = game, net, {"net": net}, teacher, device
        self.actions, self.replay = Actions(game.spec.action), Segments()
        self.optimizer = torch.optim.Adam(net.parameters(), rate)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.memory = self.policy().start(game.games * SEATS)
        self.fresh = torch.ones(game.games * SEATS, dtype=torch.bool)

    def policy(self, greedy: bool = False) -> RecallingPolicy:
        return RecallingPolicy(self.net, self.actions, self.device, greedy)

    def iterate(self, clock: Clock) -> Progress:
        self.replay.append(self.collect(clock))
        self.replay.drop(max(0, len(self.replay) - 16))
        for _ in range(8):
            with clock("learn.sample"):
                which = int(torch.randint(len(self.replay), (), generator=self.generator, device=self.device))
                chunk = {name: tensor.to(self.device) for name, tensor in self.replay[which].items()}
            with clock("learn.forward"):
                outputs, _ = self.net(chunk, chunk["hidden"], chunk["fresh"])
                log_prob, entropy = self.actions.log_prob_and_entropy(outputs, chunk, chunk)
                loss = -((log_prob * chunk["worth"] + 0.01 * entropy) * chunk["acting"]).mean()
            step(loss, self.optimizer, clock, clip=1.0)
        decisions = int(chunk["acting"].sum())
        counts = Counts(self.game.games * self.game.spec.longest, decisions, 8 * decisions)
        return Progress(counts, {"loss": loss.item(), "entropy": entropy.mean().item()})

    @torch.no_grad()
    def collect(self, clock: Clock) -> dict[str, Tensor]:
        game, policy, before, rows = self.game, self.policy(), self.memory["hidden"], []
        for _ in range(game.spec.longest):
            with clock("collect.encode"):
                arrays = game.views | {"seat": game.seat, "acting": game.acting}
                now = {name: torch.from_numpy(array).flatten(0, 1).clone() for name, array in arrays.items()}
            with clock("collect.infer"):
                self.memory["hidden"] = self.memory["hidden"].masked_fill(self.fresh[:, None], 0)
                action, self.memory = policy.act(now, self.memory, self.generator)
                if self.teacher:
                    bot = game.bot(self.teacher)
                    action = {name: torch.from_numpy(part).flatten(0, 1) for name, part in bot.items()}
            with clock("collect.step"):
                game.step({name: part.numpy() for name, part in action.items()})
                now |= action | {"fresh": self.fresh, "reward": torch.from_numpy(game.rewards).flatten().clone()}
                over = game.ended | game.cut
                self.fresh = torch.from_numpy(over).repeat_interleave(SEATS)
                game.reset(over)
            rows.append(now)
        chunk = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return chunk | {"hidden": before, "worth": self.worth(chunk["reward"], chunk["fresh"])}

    def worth(self, reward: Tensor, fresh: Tensor) -> Tensor:
        """How much to repeat what was done: by what it earned later in the segment, beside others in that seat."""
        if self.teacher:
            return torch.ones_like(reward)
        earned = reward.clone()
        for t in reversed(range(len(reward) - 1)):
            earned[t] += earned[t + 1] * ~fresh[t + 1]
        seats = earned.unflatten(1, (-1, SEATS))
        return (seats - seats.mean((0, 1))).exp().flatten(1)

    def state(self) -> dict[str, Any]:
        held = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "replay": self.replay}
        played = {"game": self.game.snapshot(), "memory": self.memory, "fresh": self.fresh}
        return held | played | {"generator": self.generator.get_state()}

    def load(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.game.restore(state["game"])
        self.replay, self.memory, self.fresh = state["replay"], state["memory"], state["fresh"]


@dataclass(frozen=True)
class Settings:
    games: int = 32
    """Played side by side."""
    imitate: int = 4
    """Iterations of the first stage."""
    rate: float = 1e-2
    """Learning rate."""


@recipe("meadow", source="this file", says="a recurrent net imitates, then repeats what went well")
def meadow(settings: Settings, seed: int, device: str) -> Stages:
    torch.manual_seed(seed)
    net = Recalling(Actions(Meadow(1, seed).spec.action).heads).to(device)
    imitate, improve = (
        Recaller(Meadow(settings.games, seed + n), net, seed, device, teacher, settings.rate)
        for n, teacher in enumerate(("direct", None))
    )
    return Stages([(imitate, settings.imitate), (improve, 0)])


if __name__ == "__main__":  # python tests/toys.py > tests/golden/meadow.txt
    print(transcript(Meadow(1, 0), "direct"), end="")
