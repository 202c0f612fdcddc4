"""Claims of the report on self-play in Hearts: where the time of its training goes, and what would make it shorter."""

from __future__ import annotations

from typing import Any

import torch

from velodrome.audit.claim import (
    Finding,
    Test,
    agrees,
    claim,
    judged,
    only_if,
    reaches,
    unknowable,
    untestable,
    worked_out,
)
from velodrome.audit.measure import acting, counted, learning, parameters, seconds, times_as_fast
from velodrome.audit.records import record, row, taken
from velodrome.meter.flops import count_flops
from velodrome.meter.tensors import with_rows
from velodrome.nets import make_net
from velodrome.nets.hearts import FEATURES, HISTORY, AttentionNet

NET, REDUCED, MINIMAL = "hearts/attention", "hearts/attention-reduced", "hearts/attention-minimal"
ITERATION_S, PASS_MS, ENCODER_MS, ENCODER_SHARE = 18.48, 5.59, 2.75, 0.464
BATCH, MINIBATCH, EPOCHS = 4000, 32, 10
NO_MACHINE = "the report does not name the machine that it was taken on"
MINUTE, HOUR = 60.0, 3600.0


def _share(what: str, said: float) -> Finding:
    """What the record of its settings, run by us, says of a share of the time."""
    read = record("hearts_report")
    found = float(row("hearts_report", "bottlenecks", what=what)["measured"])
    near = agrees(found, said, 0.25)
    return Finding(found, near.verdict, f"{near.why}, {taken(read)}")


def _portion(what: str, said: float) -> Test:
    def test() -> Finding:
        """The record of a training with the report's settings, timed in spans."""
        return _share(what, said)

    return test


def _advice(name: str, promised: float) -> Finding:
    """What the record of a trial of the advice says: how many times as fast, and whether skill was shown to stay."""
    read, found = record("hearts_report"), row("hearts_report", advice=name)
    times = 1 / float(found["ratio"])
    if times < 0.9 * promised:
        return judged(False, times, "", f"{times / promised:.2g} times what is promised, {taken(read)}")
    if found["verdict"] == "inconclusive":
        return untestable(f"a trial did not tell it from no change, {taken(read)}", times)
    if found["verdict"] != "kept":
        return only_if(times, f"it learns as well, which was not shown: {found['why']}, {taken(read)}")
    return judged(True, times, f"no worse at the game, {taken(read)}", "")


def _tried(name: str, promised: float) -> Test:
    def test() -> Finding:
        """The record of a trial of one piece of this advice, or all, beside the report's settings, in turn."""
        return _advice(name, promised)

    return test


def _dense(net: str, rows: int) -> tuple[AttentionNet, dict[str, Any]]:
    """A net and inputs as the report has them: all 5,088 numbers of an observation go through the input layer."""
    module, inputs = make_net(net)
    assert isinstance(module, AttentionNet)
    views = with_rows(inputs, rows)[0]
    return module.eval(), views | {"cards": torch.rand(rows, HISTORY, FEATURES)}


# -- where the time goes -----------------------------------------------------------------------------------------------

claim(
    "hearts-01", where="Heading", says="Twenty iterations took so many minutes.", kind="time", claimed=6.2, within=0.01
)(worked_out(20 * ITERATION_S / MINUTE))


@claim("hearts-02", where="Key findings", says="Policy updates are all of an iteration.", kind="ratio", claimed=1.0)
def updates() -> Finding:
    """What is left of an iteration beside collecting, in the record of a training with the report's settings."""
    read, collecting = (
        record("hearts_report"),
        row("hearts_report", "bottlenecks", what="data collection, of an iteration"),
    )
    found = 1 - float(collecting["measured"])
    why = f"the report itself gives a fifth of it to collecting, {taken(read)}"
    return judged(found >= 0.99, found, taken(read), why)


claim("hearts-03", where="Detailed timing", says="Passes through the net take this share.", kind="ratio", claimed=0.4)(
    _portion("forward passes, of an iteration", 0.4)
)


@claim(
    "hearts-04",
    where="Detailed timing",
    says="Passes through the net take so many seconds of an iteration.",
    kind="time",
    claimed=7.4,
)
def passes() -> Finding:
    """The minibatches of an iteration, times one pass of the report's own table."""
    minibatches = BATCH // MINIBATCH * EPOCHS
    found = minibatches * ENCODER_MS / ENCODER_SHARE / 1000
    near = agrees(found, 7.4, 0.01)
    if near.verdict != "holds":
        return near
    return only_if(
        found, f"going back costs nothing: it is {minibatches:,} minibatches of one pass forward, not a measurement"
    )


claim("hearts-05", where="Detailed timing", says="Collecting takes this share.", kind="ratio", claimed=0.2)(
    _portion("data collection, of an iteration", 0.2)
)
claim(
    "hearts-06", where="Detailed timing", says="Gradients and the optimizer take this share.", kind="ratio", claimed=0.4
)(_portion("gradients and optimizer, of an iteration", 0.4))
claim(
    "hearts-07",
    where="Detailed timing",
    says="The three parts add up to an iteration's seconds.",
    kind="time",
    claimed=ITERATION_S,
    within=0.001,
)(worked_out(7.40 + 3.70 + 7.38))
claim(
    "hearts-08", where="Detailed timing", says="An iteration takes so many seconds.", kind="time", claimed=ITERATION_S
)(unknowable(NO_MACHINE))
claim(
    "hearts-09", where="Component analysis", says="The encoder takes this share of a pass.", kind="ratio", claimed=0.464
)(_portion("encoder, of a forward pass", 0.464))
claim(
    "hearts-10",
    where="Component analysis",
    says="The input layer takes this share of a pass.",
    kind="ratio",
    claimed=0.11,
)(_portion("input projection, of a forward pass", 0.11))
claim(
    "hearts-11", where="Component analysis", says="Positions take this share of a pass.", kind="ratio", claimed=0.038
)(_portion("positions, of a forward pass", 0.038))
claim("hearts-12", where="Component analysis", says="Pooling takes this share of a pass.", kind="ratio", claimed=0.025)(
    _portion("pooling, of a forward pass", 0.025)
)
claim(
    "hearts-13", where="Component analysis", says="The heads take this share of a pass.", kind="ratio", claimed=0.016
)(_portion("heads, of a forward pass", 0.016))


@claim("hearts-14", where="Component analysis", says="The encoder is the slowest part of a pass.", kind="statement")
def slowest() -> Finding:
    """The largest part of a pass, in the record of a training with the report's settings."""
    read = record("hearts_report")
    parts = {
        line["what"].removesuffix(", of a forward pass"): float(line["measured"])
        for line in read["bottlenecks"]
        if line["what"].endswith("of a forward pass")
    }
    first = max(parts, key=lambda name: parts[name])
    return judged(first == "encoder", first, taken(read), taken(read))


claim(
    "hearts-15",
    where="Component analysis",
    says="The table of parts tells where the time of a pass goes.",
    kind="ratio",
    claimed=1.0,
    within=0.02,
)(worked_out(0.464 + 0.110 + 0.038 + 0.025 + 0.016))
claim(
    "hearts-16",
    where="Architecture comparison",
    says="A pass takes so many ms; so it does by the table of parts, too.",
    kind="time",
    claimed=PASS_MS,
    within=0.02,
)(worked_out(ENCODER_MS / ENCODER_SHARE))


@claim("hearts-17", where="Conclusion", says="The encoder is where most of the work is.", kind="ratio", claimed=0.5)
def work() -> Finding:
    """The encoder's share of all FLOPs of a pass over five dense observations, as the report's net is given them."""
    module, views = _dense(NET, 8)
    counts, _ = count_flops(module, (views,))
    share = counts["encoder"].flops / sum(count.flops for count in counts.values())
    rest = max((name for name in counts if name != "encoder"), key=lambda name: counts[name].flops)
    return judged(share >= 0.5, share, "most FLOPs are there", f"most FLOPs are in the part {rest!r}")


# -- the net -----------------------------------------------------------------------------------------------------------

claim(
    "hearts-18", where="Current configuration", says="The net has so many parameters.", kind="count", claimed=1_074_165
)(counted(NET))


@claim(
    "hearts-19",
    where="Current configuration",
    says="Its width, heads, layers and observations.",
    kind="count",
    claimed="128, 4, 2, 5",
)
def configuration() -> str:
    """Read off our net, whose number of parameters is the report's."""
    module, inputs = make_net(NET)
    assert isinstance(module, AttentionNet)
    layers = len({name.split(".")[1] for name, _ in module.encoder.named_parameters()})
    return f"{module.input.weight.shape[-1]}, {module.encoder.heads}, {layers}, {inputs[0]['cards'].shape[1]}"


claim(
    "hearts-20",
    where="Architecture comparison",
    says="The reduced net has so many parameters.",
    kind="count",
    claimed=401_269,
)(counted(REDUCED))
claim(
    "hearts-21",
    where="Architecture comparison",
    says="The minimal net has so many parameters.",
    kind="count",
    claimed=183_285,
)(counted(MINIMAL))


@claim(
    "hearts-22",
    where="Architecture comparison",
    says="The reduced net's pass is this many times as fast.",
    kind="ratio",
    claimed=2.04,
    timed=True,
)
def reduced() -> Finding:
    """Passes of both over 32 dense observations without gradients, in turn, on one thread."""
    (large, of_large), (small, of_small) = _dense(NET, 32), _dense(REDUCED, 32)
    return reaches(times_as_fast(acting(large, (of_large,)), acting(small, (of_small,))), 2.04)


@claim(
    "hearts-23",
    where="Architecture comparison",
    says="The minimal net's pass is this many times as fast.",
    kind="ratio",
    claimed=1.92,
    timed=True,
)
def minimal() -> Finding:
    """Passes of both over 32 dense observations without gradients, in turn, on one thread."""
    (large, of_large), (small, of_small) = _dense(NET, 32), _dense(MINIMAL, 32)
    return reaches(times_as_fast(acting(large, (of_large,)), acting(small, (of_small,))), 1.92)


@claim(
    "hearts-24",
    where="Architecture comparison",
    says="The reduced net is faster than the minimal.",
    kind="statement",
    timed=True,
)
def reduced_beside_minimal() -> Finding:
    """Passes of both over 32 dense observations without gradients, in turn, on one thread: minimal over reduced."""
    (large, of_large), (small, of_small) = _dense(REDUCED, 32), _dense(MINIMAL, 32)
    share = 1 / times_as_fast(acting(large, (of_large,)), acting(small, (of_small,)))
    return judged(share > 1.03, share, "it takes less time", "the minimal net takes less time, as it has less to do")


@claim(
    "hearts-25",
    where="Option 2",
    says="A plain net of 512, 512 and 256 is the fastest choice.",
    kind="statement",
    timed=True,
)
def plain_net() -> Finding:
    """Passes forward and back over 32 rows: the plain net's time over the minimal attention net's, in turn, on one
    thread."""
    (plain, of_plain), (small, of_small) = make_net("hearts/mlp"), make_net(MINIMAL)
    share = times_as_fast(learning(plain, with_rows(of_plain, 32)), learning(small, with_rows(of_small, 32)))
    more = parameters(plain) / parameters(small)
    return judged(
        share < 1,
        share,
        "it takes less time than the minimal net",
        f"it takes longer than the minimal net, with {more:.0f} times its weights",
    )


@claim("hearts-26", where="Option 2", says="The plain net is the simpler one.", kind="count", claimed=1_074_165)
def plain_size() -> Finding:
    """Parameters of a plain net of those widths on the same 5,088 numbers, with both heads; fewer than the attention
    net's would be simpler."""
    plain, _ = make_net("hearts/mlp")
    found = parameters(plain)
    return judged(found <= 1_074_165, found, "fewer", f"{found / 1_074_165:.2g} times the attention net's")


# -- throughput --------------------------------------------------------------------------------------------------------

claim(
    "hearts-27", where="Training throughput", says="So many iterations a minute.", kind="time", claimed=3.2, within=0.02
)(worked_out(MINUTE / ITERATION_S))
claim(
    "hearts-28",
    where="Training throughput",
    says="A hundred iterations take so many minutes.",
    kind="time",
    claimed=31,
    within=0.02,
)(worked_out(100 * ITERATION_S / MINUTE))
claim(
    "hearts-29",
    where="Training throughput",
    says="A thousand iterations take so many hours.",
    kind="time",
    claimed=5.1,
    within=0.02,
)(worked_out(1000 * ITERATION_S / HOUR))

# -- advice ------------------------------------------------------------------------------------------------------------

claim(
    "hearts-30",
    where="Recommendation 1",
    says="The reduced net alone makes an iteration this many times as fast.",
    kind="ratio",
    claimed=2.0,
)(_tried("reduced net (1.1)", 2.0))
claim(
    "hearts-31",
    where="Recommendation 2",
    says="Fewer epochs and larger minibatches make it this many times as fast.",
    kind="ratio",
    claimed=1.5,
)(_tried("6 epochs (2)", 1.5))
claim(
    "hearts-32",
    where="Recommendation 2",
    says="Minibatches of 64 make an iteration faster.",
    kind="ratio",
    claimed=1.0,
)(_tried("minibatch 64 (2)", 1.0))
claim(
    "hearts-33",
    where="Recommendation 2",
    says="Minibatches of 128 make an iteration faster.",
    kind="ratio",
    claimed=1.0,
)(_tried("minibatch 128 (2)", 1.0))
claim(
    "hearts-34",
    where="Recommendation 2",
    says="A batch of 6,000 makes a decision cheaper.",
    kind="ratio",
    claimed=1.0,
)(_tried("batch 6000 (2)", 1.0))
claim(
    "hearts-35",
    where="Recommendation 3",
    says="Twice the runners with twice the games are this many times as fast.",
    kind="ratio",
    claimed=1.5,
)(_tried("twice the runners, and twice their games (3)", 1.5))
claim(
    "hearts-36",
    where="Expected improvements",
    says="All of the first option is this many times as fast.",
    kind="ratio",
    claimed=6.0,
)(_tried("all of option 1", 6.0))
claim(
    "hearts-37",
    where="Expected improvements",
    says="Gains multiply: 2.04, 1.5 and 2 are about so much together.",
    kind="ratio",
    claimed=6.0,
    within=0.05,
)(worked_out(2.04 * 1.5 * 2))
claim(
    "hearts-38",
    where="Expected improvements",
    says="An iteration then takes so many seconds (3 minutes).",
    kind="time",
    claimed=180.0,
    within=0.05,
)(worked_out(ITERATION_S / 6))
claim(
    "hearts-39",
    where="Expected improvements",
    says="Everything together is this many times as fast.",
    kind="ratio",
    claimed=8.0,
)(_tried("all of option 1", 8.0))
claim(
    "hearts-40",
    where="Expected improvements",
    says="Eight to ten times as fast is so many iterations a minute.",
    kind="time",
    claimed=25.0,
    within=0.05,
)(worked_out(8 * MINUTE / ITERATION_S))
claim(
    "hearts-41",
    where="Expected improvements",
    says="A thousand iterations then take so many minutes, or 40.",
    kind="time",
    claimed=30.0,
    within=0.05,
)(worked_out(1000 * ITERATION_S / MINUTE / 10))
claim("hearts-42", where="Phase 2", says="Mixed precision makes it faster.", kind="ratio", claimed=1.0)(
    _tried("mixed precision (phase 2)", 1.0)
)
claim("hearts-43", where="Phase 2", says="Gradient accumulation makes it faster.", kind="ratio", claimed=1.0)(
    _tried("gradient accumulation (phase 2)", 1.0)
)


@claim("hearts-44", where="Phase 2", says="A GPU makes it faster.", kind="ratio", claimed=1.0, timed=True)
def on_gpu() -> Finding:
    """Passes forward and back over 32 rows of the net, on the CPU and on a GPU if there is one."""
    if not torch.cuda.is_available():
        return untestable("this machine has no GPU")
    module, views = _dense(NET, 32)
    here = learning(module, (views,))
    there_module, there_views = _dense(NET, 32)
    moved = {name: view.cuda() for name, view in there_views.items()}
    there = learning(there_module.cuda(), (moved,))

    def settled() -> None:
        there()
        torch.cuda.synchronize()

    return reaches(times_as_fast(here, settled), 1.0)


@claim("hearts-45", where="Conclusion", says="A smaller net learns as well.", kind="skill")
def learns_as_well() -> Finding:
    """The record of equal trainings with the reduced net: whether it was shown to be no worse."""
    read, found = record("hearts_report"), row("hearts_report", advice="reduced net (1.1)")
    guard = found["guard"]
    if guard["verdict"] == "passed":
        return judged(True, guard["says"], taken(read), "")
    return untestable(f"trainings of this length do not tell: {guard['says']}, {taken(read)}", guard["verdict"])


@claim(
    "hearts-46",
    where="Key findings",
    says="The net's size is what makes an iteration slow.",
    kind="ratio",
    claimed=0.8,
    timed=True,
)
def size_matters() -> Finding:
    """The share of a pass over 32 rows that goes when the rows are one: what is left is paid however little there is to
    compute."""
    (module, views), (_, one) = _dense(NET, 32), _dense(NET, 1)
    whole, least = seconds(acting(module, (views,)), acting(module, (one,)))
    share = 1 - least / whole
    return judged(
        share >= 0.8,
        share,
        "so much of a pass goes with its rows",
        "of a pass goes with its rows; the rest is there for one row, too",
    )
