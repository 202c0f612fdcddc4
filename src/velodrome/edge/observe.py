"""Anyone's trainer, watched from outside: a closed budget, the cards of its nets, and what makes it slow.

watched = velodrome.observe(model)
model.learn(20_000)
print(watched)
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, TracebackType
from typing import Any, Self

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from velodrome.edge import watch
from velodrome.edge.account import BACKWARD, CAUSES, END, LOSS, OPTIMIZE, START, Account
from velodrome.edge.diary import Diary
from velodrome.edge.lines import Line, Lines, shown
from velodrome.edge.nets import Cards, Nets, own_methods
from velodrome.edge.patches import Patches
from velodrome.edge.places import PLACES
from velodrome.edge.sample import Sample
from velodrome.edge.sample import shown as cause_shown
from velodrome.edge.unseen import unseen
from velodrome.meter.budget import Budget
from velodrome.meter.card import Card
from velodrome.meter.operations import named
from velodrome.meter.trace import Trace
from velodrome.proof.causes import Cause
from velodrome.proof.evidence import NetFacts

MOST_CARDS, MOST_LINES, MOST_CAUSES = 4, 5, 8

_open: Observer | None = None


class Observer:
    """While open, everything that this process does with torch and with environments is accounted for, by thread.

    One at a time. `close` leaves nothing behind. The budget is that of the thread that opened it.
    """

    def __init__(self, *, trace: Trace | None = None, lines: bool = True, causes: bool = True):
        self.nets = Nets()
        self.ended: int | None = None
        self._trace, self._patches = trace, Patches()
        self._hooks: list[Any] = []
        self._thread = threading.get_ident()
        self._diaries: list[Diary] = []
        self._gate = watch.Gate(alone=False)
        self._here = watch.Here(self._diary, self.nets, self._gate)
        self._costs_ns = watch.costs_ns()
        self.diary = self._here.diary
        self.account = self.diary.account
        self.lines = Lines(self._at) if lines else None
        self.sample = Sample(self._here, self.diary) if causes else None

    def open(self) -> Self:
        """Put everything in its place and begin."""
        global _open
        if _open is not None:
            raise ValueError("something is being observed already: print what observe() returned, or close it, first")
        _open = self
        self._patches.cover(threading.Thread, {"start": self._starting})
        self._gate.alone = threading.active_count() == 1
        self._watch_torch()
        for place in PLACES:
            self._patches.when_there(place.module, self._watcher(place.kind, place.methods))
        self._found([each for each in gc.get_objects() if issubclass(type(each), torch.optim.Optimizer)])
        if self.lines is not None:
            self.lines.start()
        self.account.begin(time.perf_counter_ns())
        return self

    def close(self) -> None:
        """Stop, and take everything off again. Closing twice changes nothing."""
        global _open
        if self.ended is not None:
            return
        self.ended = time.perf_counter_ns()
        if self.sample is not None:
            self.sample.stop()
        self.diary.inside = -1
        self.diary.catch_up().ends(self.ended)
        if self.lines is not None:
            self.lines.stop()
        self.blind()
        for hook in self._hooks:
            hook.remove()
        self._patches.undo()
        _open = None if _open is self else _open

    def blind(self) -> None:
        """See nothing more, wherever a function of ours may still stand."""
        for diary in self._diaries:
            diary.busy = True
        self._gate.alone, self._gate.busy = False, True

    def budget(self) -> Budget:
        """The account until now, or until the end."""
        own = self.diary.catch_up().budget(self.ended or time.perf_counter_ns(), *self._costs_ns)
        tracks: dict[str, Budget] = {}
        for diary in list(self._diaries):
            account = diary.catch_up()
            track = account.budget(None, *self._costs_ns)
            if account is not self.account and track.spans:
                name = account.name if account.name not in tracks else f"{account.name}, {len(tracks) + 1}"
                tracks[name] = track
        looking_ns = self.lines.spent_ns if self.lines is not None else 0
        return Budget(own.wall_ns, own.spans, own.overhead_ns + looking_ns, tracks)

    def look_at(self, root: nn.Module) -> None:
        """Take a net's methods for passes through it, where they are."""
        for kind, name in own_methods(root):
            self._patches.cover(kind, {name: watch.methods(self._here)})

    def _at(self) -> tuple[str, bool] | None:
        """In which phase the thread is, and whether a call covers it; None where no one wants to know."""
        if not self.diary.has_begun or (self.sample is not None and self.sample.on):
            return None
        return self.diary.phase, self.diary.in_phase

    def _diary(self) -> Diary:
        """The diary of the thread that asks for one."""
        thread = threading.current_thread()
        main = threading.get_ident() == self._thread
        log = self._trace.log("main" if main else thread.name) if self._trace is not None else None
        account = Account(thread.name, time.perf_counter_ns(), log, starts=main)
        diary = Diary(account, self.nets.inside)
        diary.busy = self.ended is not None
        self._diaries.append(diary)
        return diary

    def _watch_torch(self) -> None:
        here, put = self._here, self._patches.put
        fronts = {"__call__": watch.passes(here), "zero_grad": self._zero_grad(), "named_parameters": self.nets.asks}
        self._patches.cover(nn.Module, fronts)
        self._patches.cover(torch.optim.Optimizer, {"__init__": self._finding, "zero_grad": self._zero_grad()})
        backward = watch.timed(here, watch.learns(BACKWARD))
        self._patches.cover(torch.Tensor, {"backward": backward})
        for name in ("backward", "grad"):
            put(torch.autograd, name, backward(getattr(torch.autograd, name)))
        for name in ("clip_grad_norm_", "clip_grad_value_"):
            put(torch.nn.utils, name, self._zero_grad()(getattr(torch.nn.utils, name)))
        put(torch, "compile", watch.compiled(here)(torch.compile))
        self._hooks = [
            register_optimizer_step_pre_hook(functools.partial(watch.update_begins, here)),
            register_optimizer_step_post_hook(functools.partial(watch.update_ends, here)),
        ]

    def _zero_grad(self) -> Any:
        return watch.timed(self._here, watch.learns(OPTIMIZE, samples=0))

    def _starting(self, inner: Callable[..., None]) -> Callable[..., None]:
        """The front of a thread's start."""

        @functools.wraps(inner)
        def start(*arguments: Any, **named: Any) -> None:
            if self.ended is None:
                self._gate.open()
            inner(*arguments, **named)

        return start

    def _finding(self, inner: Callable[..., None]) -> Callable[..., None]:
        """The front of an optimizer's constructor, which looks for the nets that it is to update."""

        def __init__(optimizer: torch.optim.Optimizer, *arguments: Any, **named: Any) -> None:
            inner(optimizer, *arguments, **named)
            if self.ended is None:
                self._found([optimizer])

        return __init__

    def _found(self, optimizers: list[torch.optim.Optimizer]) -> None:
        began = time.perf_counter_ns()
        with contextlib.suppress(Exception):  # whatever is odd about a net, its program must not hear of it from us
            for root in self.nets.find(optimizers) if optimizers else ():
                self.look_at(root)
        self._here.diary.account.spent_ns += time.perf_counter_ns() - began

    def _watcher(self, kind: str, methods: dict[str, watch.Record]) -> Callable[[ModuleType], None]:
        def arrived(module: ModuleType) -> None:
            base = getattr(module, kind, None)
            if isinstance(base, type):
                fronts = {name: watch.timed(self._here, record) for name, record in methods.items()}
                self._patches.cover_all(base, fronts)

        return arrived


@dataclass
class Watched:
    """What is being observed, or was. Printing it ends the observation."""

    observer: Observer
    most_cards: int = MOST_CARDS
    notes: list[str] = field(default_factory=list)
    _cards: Cards | None = None
    _causes: list[Cause] | None = None

    def close(self) -> Budget:
        """End the observation and give its budget."""
        self.observer.close()
        return self.observer.budget()

    def budget(self) -> Budget:
        """The closed account since the observation began; it goes on."""
        return self.observer.budget()

    def cards(self) -> Cards:
        """The cards of the nets, measured when first asked for; this ends the observation."""
        self.close()
        if self._cards is None:
            self._cards = self.observer.nets.cards(self.most_cards)
        return self._cards

    def lines(self) -> list[Line]:
        """The lines of source that took most of what is in no phase."""
        if self.observer.lines is None:
            return []
        budget = self.budget()
        loss_ns = budget.spans[LOSS].ns if LOSS in budget.spans else 0
        return self.observer.lines.hottest(MOST_LINES, budget.unaccounted_share + loss_ns / max(budget.wall_ns, 1))

    def causes(self) -> list[Cause]:
        """What makes the training slow; this ends the observation. A short one tells of none."""
        sample, lines = self.observer.sample, self.observer.lines
        cards = {one.name: one for one in self.cards().cards}
        if sample is None or OPTIMIZE not in self.budget().spans:
            return []
        if self._causes is None:
            nets = [_facts(name, size, cards.get(name)) for name, size in self.observer.nets.sizes().items()]
            self._causes = sample.causes(self.budget(), nets, lines.hot() if lines is not None else [])
        return self._causes

    def counts(self) -> dict[str, int]:
        """What was done in all, the recorded stretch included."""
        account, sample = self.observer.account, self.observer.sample
        apart = (sample.game_steps, sample.counted[OPTIMIZE]) if sample is not None else (0, 0)
        return {
            "environment_steps": account.game_steps + apart[0],
            "optimizer_steps": account.samples(OPTIMIZE) + apart[1],
        }

    def throughput(self) -> dict[str, float]:
        """Environment steps and optimizer steps a second, from the first call that was seen to the last."""
        budget, account = self.budget(), self.observer.account
        apart_ns = sum(budget.spans[name].ns for name in (START, CAUSES, END) if name in budget.spans)
        seconds = budget.wall_s - apart_ns / 1e9
        counts = {"environment_steps": account.game_steps, "optimizer_steps": account.samples(OPTIMIZE)}
        return {f"{name}_per_s": count / seconds for name, count in counts.items() if count and seconds > 0}

    def findings(self) -> list[str]:
        """What is worth knowing beside the figures."""
        account = self.observer.account
        found = list(self.notes)
        if account.graph_decisions:
            found.append(
                f"{account.graph_decisions:,} decisions were made with gradients on: put acting under torch.no_grad()"
            )
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            found.append("times are the CPU's: what a GPU still had to do shows where the program waits for it")
        return found

    def to_json(self) -> dict[str, Any]:
        """As a JSON document, in the form that `velodrome profile` gives."""
        cards = self.cards()
        made = {"cards": [one.to_json() for one in cards.cards], "no_card": cards.missing}
        return document(self) | made | {"causes": [cause.to_json() for cause in self.causes()]}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        cards = self.cards()
        parts = [text(self), *(str(one) for one in cards.cards)]
        parts += [f"no card of {name}: {why}" for name, why in cards.missing.items()]
        causes = self.causes()
        if causes:
            told = "causes, the dearest first, with the part of an iteration that mending each would save at most"
            parts.append("\n".join([told, *map(cause_shown, causes[:MOST_CAUSES])]))
        return "\n\n".join(parts)


def observe(*what: Any, cards: int = MOST_CARDS, causes: bool = True) -> Watched:
    """Watch a trainer from here on: `watched = observe(model)`, let it train, `print(watched)`.

    `what` is whatever it trains with: a model of Stable-Baselines3, an RLlib algorithm, nets and their optimizers, a
    TorchRL collector, loss and optimizer; or nothing, since what is seen is all that this process does. No library is
    imported for it. `cards` is of how many nets there will be cards; without `causes` no stretch is recorded for them.
    """
    for each in what:
        _refuse_what_does_not_train(each)
    observer = Observer(causes=causes).open()
    try:
        for each in what:
            for net in _nets_of(each):
                observer.look_at(net)
                observer.nets.roots[id(net)] = net
    except BaseException:
        observer.close()
        raise
    return Watched(observer, cards, [note for each in what for note in unseen(each)])


def document(watched: Watched) -> dict[str, Any]:
    """The budget and what goes with it, as `velodrome profile` has it."""
    return {
        **watched.budget().to_profile(),
        "throughput": watched.throughput(),
        "counts": watched.counts(),
        "lines": [{"file": named(each.file), "line": each.line, "share": each.share} for each in watched.lines()],
        "notes": watched.findings(),
    }


def text(watched: Watched) -> str:
    """The budget and what goes with it, for a person."""
    lines = [str(watched.budget())]
    rates = watched.throughput()
    if rates:
        lines += ["", *(f"{rate:>14,.4g} {_in_words(name)}" for name, rate in rates.items())]
    hottest = watched.lines()
    if hottest:
        lines += ["", "most of what is in no phase, or is loss, was seen at", *(shown(line) for line in hottest)]
    return "\n".join([*lines, *(f"note: {note}" for note in watched.findings())])


def _in_words(name: str) -> str:
    return name.removesuffix("_per_s").replace("_", " ") + "/s"


def _refuse_what_does_not_train(given: Any) -> None:
    if given is None or isinstance(given, str | bytes | int | float | dict | list | tuple | set | type):
        raise TypeError(
            f"observe() takes what trains, such as a net and its optimizer or a library's model, not {given!r:.60}"
        )


def _nets_of(given: Any) -> list[nn.Module]:
    """The nets that an object is or has as its own."""
    held = [given, *(getattr(given, name, None) for name in ("policy", "module", "net", "model"))]
    return [each for each in held if isinstance(each, nn.Module)]


def _facts(name: str, size: int, card: Card | None) -> NetFacts:
    dead = card.dead if card is not None else {}
    return NetFacts(name, size, sum(dead.values()), list(dead)[:5])


def _blind_in_child() -> None:
    if _open is not None:
        _open.blind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_blind_in_child)
