"""Causes of slowness: each a measured fact, with what it costs at most, where in the code, and what may mend it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from velodrome.meter.hot import Hot
from velodrome.meter.operations import Site, Where, reads
from velodrome.proof.evidence import WAITING, Evidence

LEAST = 0.02
"""A cause that costs less than this part of an iteration is not worth a trial."""
LEARN = ("learn.forward", "learn.backward", "learn.optimize", "learn.sample")
_LONG_CALL_S = 1e-4
"""A loop over calls as long as this loses little by being one."""
_VIEWS = (
    "detach",
    "view",
    "_unsafe_view",
    "t",
    "transpose",
    "permute",
    "select",
    "slice",
    "alias",
    "unsqueeze",
    "expand",
)
_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")
_CONVOLUTIONS = ("convolution", "convolution_backward")
_SMALL_CALL = 2.0
"""An operation whose call costs more than its arithmetic takes about this many dispatches, autograd's part included."""


@dataclass(frozen=True)
class Cause:
    """Why time is lost."""

    name: str
    says: str
    """The evidence, in one sentence."""
    share: float
    """Of an iteration, what mending it would save at most."""
    knobs: tuple[str, ...]
    """The settings, by their last name, that bear on it."""
    advice: str
    """For code that has no such setting."""
    where: list[Where] = field(default_factory=list)
    larger: bool | None = None
    """Whether numbers have to become larger to mend it, or smaller; without it, either may help."""

    def mends(self, value: Any, other: Any) -> bool:
        """Whether a knob turned from one value to the other may mend this."""
        return self.larger is None or not _are_numbers(value, other) or (other > value) == self.larger

    def saved_by(self, value: Any, other: Any) -> float:
        """The part of an iteration that turning a knob from one value to the other is predicted to save.

        What is paid for each minibatch, or for each step of all games, is paid less often when they are larger.
        """
        if self.larger is None or not _are_numbers(value, other):
            return self.share
        part = value / other if self.larger else other / value
        return self.share * (1 - float(part))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "name": self.name,
            "says": self.says,
            "share": self.share,
            "knobs": list(self.knobs),
            "advice": self.advice,
            "where": [{"file": where.file, "line": where.line, "function": where.function} for where in self.where],
        }


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def find(seen: Evidence) -> list[Cause]:
    """The causes that the evidence shows, the dearest first."""
    found = [cause for look in LOOKS for cause in look(seen) if cause.share >= LEAST]
    return sorted(found, key=lambda cause: -cause.share)


def minibatches(seen: Evidence) -> Iterator[Cause]:
    """What a minibatch costs however few rows it has: the update of all weights, and the call of every operation."""
    steps = seen.entered("learn.backward")
    calls = sum(site.count for site in seen.sites if site.phase in LEARN)
    update_s = seen.seconds("learn.optimize")
    fixed_s = update_s + calls * _SMALL_CALL * seen.dispatch_us * 1e-6
    learn_s = sum(seen.seconds(phase) for phase in LEARN)
    if steps > 1 and learn_s and fixed_s > 0.2 * learn_s:
        yield Cause(
            "dispatch-bound minibatches",
            f"a minibatch takes {learn_s / steps * 1e3:.3g} ms, {min(fixed_s / learn_s, 1):.0%} of it however few rows "
            f"it has: {calls // steps} operations to call, and all weights to move",
            min(seen.share(fixed_s), seen.share(learn_s)),
            ("minibatch",),
            "take larger minibatches, with a learning rate to match",
            larger=True,
        )


def epochs(seen: Evidence) -> Iterator[Cause]:
    """Decisions that are learnt from many times: the later passes may teach little."""
    times = seen.learner_samples / max(seen.decisions, 1)
    learn_s = sum(seen.seconds(phase) for phase in LEARN)
    if times >= 5:
        yield Cause(
            "many passes over the same samples",
            f"every decision is learnt from {times:.0f} times, in {seen.share(learn_s):.0%} of an iteration",
            seen.share(learn_s),
            ("epochs",),
            "take fewer epochs, and play more instead",
            larger=False,
        )


def games(seen: Evidence) -> Iterator[Cause]:
    """Whether acting spends its time on calls rather than on rows, or on more rows than caches hold."""
    infer_s, steps = seen.seconds("collect.infer"), seen.entered("collect.infer")
    acting = [site for site in seen.sites if site.phase == "collect.infer"]
    calls = sum(site.count for site in acting)
    called_s = calls * _SMALL_CALL * seen.dispatch_us * 1e-6
    stepping_s = seen.seconds("collect.step")
    largest = max((4 * site.elements for site in acting), default=0)
    if infer_s and called_s > 0.3 * infer_s and steps > 1:
        yield Cause(
            "too few games at once",
            f"acting takes {infer_s / steps * 1e3:.3g} ms a step, {min(called_s / infer_s, 1):.0%} of it to call "
            f"{calls // steps} operations",
            seen.share(min(called_s, infer_s) + 0.5 * stepping_s),
            ("games", "workers"),
            "play more games at once, so that one call of the net acts for more of them",
            larger=True,
        )
    elif infer_s and steps <= 4 and largest > 2**24:
        yield Cause(
            "too many games at once",
            f"acting goes over {largest / 1e6:.0f} MB in one operation, {steps} times an iteration",
            seen.share(0.2 * infer_s),
            ("games",),
            "play fewer games at once for more steps, so that what a step touches stays in the caches",
            larger=False,
        )


def sparse_input(seen: Evidence) -> Iterator[Cause]:
    """Products with rows of zeros, and columns that never change."""
    sparse = [site for site in seen.sites if site.name in _PRODUCTS and 0.9 <= site.zeros < 1]
    if sparse:
        zeros = sum(site.zeros * site.seconds for site in sparse) / sum(site.seconds for site in sparse)
        yield Cause(
            "sparse input",
            f"{zeros:.0%} of what these products multiply is zero",
            seen.share(sum(site.seconds * site.zeros for site in _with_their_backward(sparse, seen.sites))),
            ("input", "observation"),
            "give the first layer the places of what is set and sum those rows of its weights (an embedding bag)",
            _places(sparse),
        )
    if seen.constant_inputs > 0.3:
        first = max(
            (site for site in seen.sites if site.name in _PRODUCTS), key=lambda site: site.elements, default=None
        )
        yield Cause(
            "constant input",
            f"{seen.constant_inputs:.0%} of the numbers that the nets read were the same in every row",
            seen.share(seen.constant_inputs * (first.seconds if first else 0.0)),
            ("input", "observation"),
            "leave them out, or fold them into the first layer's bias",
            _places([first] if first else []),
        )


def dead_weights(seen: Evidence) -> Iterator[Cause]:
    """Weights that no output depends on cost their products and their updates all the same."""
    whole, dead = sum(net.parameters for net in seen.nets), sum(net.dead for net in seen.nets)
    if dead > 0.01 * whole:
        by_weights_s = dead / whole * sum(seen.seconds(phase) for phase in (*LEARN, "collect.infer"))
        # what is dead has a gradient of nothing but zeros, and the forward pass takes half as long as the backward pass
        of_zeros_s = 1.5 * sum(site.seconds for site in seen.sites if site.name in _PRODUCTS and site.zeros == 1)
        names = [f"{net.name}.{part}" for net in seen.nets for part in net.dead_in][:5]
        yield Cause(
            "dead weights",
            f"{dead:,} of {whole:,} weights reach no output: {', '.join(names)}",
            seen.share(max(by_weights_s, of_zeros_s)),
            ("dead", "net"),
            "take them out",
        )


def loops(seen: Evidence) -> Iterator[Cause]:
    """One operation called again and again on what could be one call, or Python that does arithmetic."""
    layered = {(site.phase, site.where) for site in seen.sites if site.name in _PRODUCTS}
    looping = [site for site in seen.sites if _is_loop(site, layered)]
    functions = {(site.phase, site.where.file, site.where.function) for site in looping}
    functions |= _interpreted(seen)
    costs = defaultdict[tuple[str, str, str], float](float)
    for hot in seen.hot:
        if (hot.phase, hot.where.file, hot.where.function) in functions:
            costs[hot.phase, hot.where.file, hot.where.function] += hot.share
    if costs:
        most = max((site.most for site in looping), default=0)
        told = f", one operation up to {most} times in a row on inputs of one shape" if looping else ""
        yield Cause(
            "Python loops",
            f"{len(functions)} functions do in a Python loop what one call could do{told}: "
            f"{', '.join(sorted({function for _, _, function in costs}))}",
            sum(costs.values()) * 0.8,
            ("agents", "candidates", "steps"),
            "make what is looped over (agents, steps, candidates) a dimension of the tensors, or compile the loop",
            [hot.where for hot in seen.hot if (hot.phase, hot.where.file, hot.where.function) in functions][:5],
        )


def _is_loop(site: Site, layered: Collection[tuple[str, Where]]) -> bool:
    """Products one after the other by the same weights, or of one input by many; or many small operations.

    Between the products of a line, its other operations belong to layers: the products decide.
    """
    if not site.phase or site.phase == "learn.optimize" or site.phase in WAITING:
        return False
    if site.seconds > _LONG_CALL_S * site.count:
        return False
    if site.name in _PRODUCTS:
        return site.phase != "learn.backward" and (site.same_weights >= 4 or site.side_by_side >= 4)
    if site.phase == "learn.backward" or (site.phase, site.where) in layered:
        return False  # the backward pass goes the way that the forward pass went
    return site.most >= 16 and site.elements < 2**16 and site.name not in _VIEWS


def _interpreted(seen: Evidence) -> set[tuple[str, str, str]]:
    """Functions in whose loops Python was found, and that hardly call torch: interpreted arithmetic."""
    looping = defaultdict[tuple[str, str, str], float](float)
    for hot in seen.hot:
        looping[hot.phase, hot.where.file, hot.where.function] += hot.share * hot.interpreting
    busy = defaultdict[tuple[str, str, str], float](float)
    for site in seen.sites:
        called_s = site.count * _SMALL_CALL * seen.dispatch_us * 1e-6
        busy[site.phase, site.where.file, site.where.function] += seen.share(site.seconds + called_s)
    return {
        key for key, found in looping.items() if key[0] not in WAITING and found >= 0.05 and busy[key] < 0.3 * found
    }


def spelt_attention(seen: Evidence) -> Iterator[Cause]:
    """Softmax between two products, with the whole matrix of weights written down."""
    products = [site for site in seen.sites if site.of_softmax and site.name in ("bmm", "baddbmm")]
    if products:
        phases = {site.phase for site in products} | {"learn.backward"}
        around = ("_softmax", "_softmax_backward_data", "bmm", "baddbmm", "native_dropout", "masked_fill", "div", "mul")
        own = [site for site in seen.sites if site.name in around and site.phase in phases and _is_deep(site)]
        yield Cause(
            "attention spelt out",
            f"{len(products)} products with a softmax's output, which is written to memory and read again",
            seen.share(0.6 * sum(site.seconds for site in own)),
            ("attention",),
            "call torch.nn.functional.scaled_dot_product_attention",
            _places(products),
        )


def copies(seen: Evidence) -> Iterator[Cause]:
    """Tables that are written out for every row of every call."""
    sites = [site for site in seen.sites if site.same_rows]
    if sites:
        yield Cause(
            "tables copied per call",
            f"{sum(site.same_rows for site in sites)} operations an iteration wrote one and the same row many times",
            seen.share(1.5 * sum(site.same_rows_s for site in sites)),
            ("positions", "tables"),
            "look the table up once and let it broadcast",
            _places(sites),
        )


def unused_gradients(seen: Evidence) -> Iterator[Cause]:
    """Acting needs no gradient, and recording it costs memory and time."""
    acting = [site for site in seen.sites if site.phase.startswith(("collect", "evaluate"))]
    sites = [site for site in acting if site.recorded]
    if sum(site.recorded for site in sites) > 0.2 * sum(site.count for site in acting):
        yield Cause(
            "gradients recorded where none are used",
            f"{sum(site.recorded for site in sites):,} operations while acting were recorded for a backward pass",
            0.3 * seen.share(seen.seconds("collect.infer")),
            ("acting",),
            "act under torch.no_grad()",
            _places(sites),
        )


def recomputed(seen: Evidence) -> Iterator[Cause]:
    """The same operation on the same numbers, in every epoch anew."""
    sites = [
        site
        for site in seen.sites
        if site.repeated_s and site.repeated >= 0.3 * site.count and not site.phase.startswith("collect.")
    ]
    if sites:
        yield Cause(
            "results recomputed",
            f"{sum(site.repeated for site in sites):,} operations an iteration were done on numbers seen before in it",
            1.2 * seen.share(sum(site.repeated_s for site in sites)),
            ("targets",),
            "compute it once before the epochs, and keep it",
            _places(sites),
        )


def host_reads(seen: Evidence) -> Iterator[Cause]:
    """Numbers fetched from tensors one by one."""
    sites = [site for site in reads(seen.sites) if site.phase.startswith(("learn", "collect"))]
    count, steps = sum(site.count for site in sites), seen.entered("learn.backward")
    if count > 12 * steps:
        lines = {(site.phase, site.where) for site in sites if site.count > 0.25 * _calls_at(seen, site)}
        found = sum(hot.share for hot in seen.hot if (hot.phase, hot.where) in lines)
        yield Cause(
            "host reads in inner loops",
            f"{count:,} numbers an iteration are fetched from tensors one by one, {count // steps} a minibatch",
            max(found, seen.share(count * 3 * seen.dispatch_us * 1e-6)),
            ("reads",),
            "keep sums in tensors, and read them once an iteration",
            _places(sites),
        )


def _calls_at(seen: Evidence, site: Site) -> int:
    """How many operations that line called in that phase."""
    return sum(other.count for other in seen.sites if (other.phase, other.where) == (site.phase, site.where))


def optimizer(seen: Evidence) -> Iterator[Cause]:
    """An optimizer that calls several operations for every tensor."""
    steps = seen.entered("learn.optimize")
    own = [site for site in seen.sites if site.phase == "learn.optimize"]
    calls = sum(site.count for site in own) / steps
    if calls >= 12 and not any("fused" in site.name for site in own):
        yield Cause(
            "optimizer not fused",
            f"an update calls {calls:.0f} operations",
            0.7 * seen.share(seen.seconds("learn.optimize")),
            ("fused", "optimizer"),
            "pass fused=True to the optimizer",
            _places(own),
        )


def threads(seen: Evidence) -> Iterator[Cause]:
    """Threads that fight, threads that wait for each other, and cores that nobody uses."""
    waits = seen.share(sum(seen.seconds(phase) for phase in WAITING)) > 0.3
    workers = max(seen.tracks + (not waits), 1)  # whoever mostly waits takes no core
    if seen.threads * workers > seen.cores:
        yield Cause(
            "thread counts that fight",
            f"{workers} processes or threads with {seen.threads} torch threads each on {seen.cores} cores",
            0.3,
            ("threads", "workers"),
            f"give each torch.set_num_threads({max(seen.cores // workers, 1)})",
        )
    elif seen.threads > 1:
        yield Cause(
            "many threads where processes would do",
            f"torch splits single operations over {seen.threads} threads, and {seen.busy_cores:.2g} cores were busy",
            0.2,
            ("threads", "lanes", "workers"),
            "use one torch thread, and a process for each core",
        )
    elif workers < seen.cores:
        yield Cause(
            "idle cores",
            f"{workers} of {seen.cores} cores have something to do",
            1 - workers / seen.cores,
            ("lanes", "workers"),
            "use a process for each core",
            larger=True,
        )


def handed_back_memory(seen: Evidence) -> Iterator[Cause]:
    """Memory that the C library returns to the system, which then has to clear every page of it again."""
    cost = seen.share(seen.faults * seen.fault_us * 1e-6)
    if seen.faults > 1000:
        yield Cause(
            "memory handed back at every step",
            f"{seen.faults:,} pages an iteration had to be brought in again, {seen.fault_us:.2g} us each",
            2 * cost,
            ("keep_memory",),
            "call velodrome.learn.memory.keep_freed_memory(), or set MALLOC_TOP_PAD_ and MALLOC_MMAP_THRESHOLD_",
        )


def stragglers(seen: Evidence) -> Iterator[Cause]:
    """Waiting for the slowest worker."""
    waited, uneven, told = seen.share(sum(seen.seconds(phase) for phase in WAITING)), 1.0, ""
    if seen.busy_tracks:  # workers that were busy for as long have nobody to wait for
        mean_s = sum(seen.busy_tracks) / len(seen.busy_tracks)
        uneven = 1 - mean_s / max(*seen.busy_tracks, 1e-9)
        told = f", since the busiest worker does {max(seen.busy_tracks) / max(mean_s, 1e-9):.2g} times the mean"
    if waited > 0.1 and uneven > 0.1:
        yield Cause(
            "stragglers",
            f"{waited:.0%} of an iteration is waiting for others{told}",
            waited * uneven,
            ("share_out", "lanes", "workers"),
            "share the work out so that all end together, or do not wait for the longest game",
        )


def layout(seen: Evidence) -> Iterator[Cause]:
    """Convolutions over memory in which the channels of a place lie far apart."""
    sites = [site for site in seen.sites if site.name in _CONVOLUTIONS and site.contiguous]
    if sites:
        yield Cause(
            "slow memory layout for convolutions",
            f"{sum(site.count for site in sites):,} convolutions an iteration on inputs with channels first in memory",
            0.3 * seen.share(sum(site.seconds for site in sites)),
            ("layout",),
            "net.to(memory_format=torch.channels_last), and the inputs too",
            _places(sites),
        )


def precision(seen: Evidence) -> Iterator[Cause]:
    """Large products in full float32, where this CPU has something faster."""
    sites = [site for site in seen.sites if site.name in _PRODUCTS and site.seconds > 50e-6 * site.count]
    sites = [site for site in sites if not site.half]
    if seen.matmul_precision == "highest" and sites:
        found = seen.share(sum(site.seconds for site in sites))
        yield Cause(
            "full float32 precision",
            f"{found:.0%} of an iteration is large products of float32 matrices",
            0.4 * found,
            ("precision",),
            'torch.set_float32_matmul_precision("medium") or bfloat16, with its error checked on the CPU at hand',
            _places(sites),
        )


def uncompiled(seen: Evidence) -> Iterator[Cause]:
    """Many small operations that a compiler might join."""
    calls = sum(site.count for site in seen.sites if site.phase in ("learn.forward", "learn.backward"))
    cost = seen.share(calls * _SMALL_CALL * seen.dispatch_us * 1e-6)
    yield Cause(
        "operations called one by one",
        f"calling {calls:,} operations takes about {cost:.0%} of an iteration",
        0.3 * cost,
        ("compile",),
        "torch.compile may join them; on a CPU small training steps are often slower compiled: measure it",
    )


def large_net(seen: Evidence) -> Iterator[Cause]:
    """Most of the time is the net's own arithmetic: a smaller net may do."""
    own = sum(seen.seconds(phase) for phase in ("learn.forward", "learn.backward", "learn.optimize", "collect.infer"))
    products = sum(site.seconds for site in seen.sites if site.name in (*_PRODUCTS, *_CONVOLUTIONS))
    if seen.share(own) > 0.4:
        yield Cause(
            "a net larger than its task may need",
            f"{seen.share(own):.0%} of an iteration is the net ({sum(net.parameters for net in seen.nets):,} weights), "
            f"{seen.share(products):.0%} its products",
            0.5 * seen.share(own),
            ("width", "widths", "layers", "heads", "net"),
            "try a smaller one",
            larger=False,
        )


LOOKS: tuple[Callable[[Evidence], Iterable[Cause]], ...] = (
    minibatches,
    epochs,
    games,
    sparse_input,
    dead_weights,
    loops,
    spelt_attention,
    copies,
    unused_gradients,
    recomputed,
    host_reads,
    optimizer,
    threads,
    handed_back_memory,
    stragglers,
    layout,
    precision,
    uncompiled,
    large_net,
)


def _places(sites: Sequence[Site], most: int = 5) -> list[Where]:
    """The lines of these operations, the dearest first."""
    ordered = sorted(sites, key=lambda site: -site.seconds)
    return list(dict.fromkeys(site.where for site in ordered))[:most]


def _with_their_backward(products: Sequence[Site], sites: Sequence[Site]) -> list[Site]:
    """These products, and those of the backward pass in which their left factor comes again, turned over."""
    turned = {site.shapes[-2][::-1] for site in products if len(site.shapes) >= 2}
    back = [
        site
        for site in sites
        if site.name == "mm" and site.shapes and site.shapes[0] in turned and site not in products
    ]
    return [*products, *back]


def _is_deep(site: Site) -> bool:
    return any(len(shape) >= 3 for shape in site.shapes)


def lines(hot: Sequence[Hot], most: int = 10) -> list[Hot]:
    """The lines at which Python is found most."""
    return sorted(hot, key=lambda each: -each.share)[:most]
