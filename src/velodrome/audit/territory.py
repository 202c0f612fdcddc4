"""Claims of the comparison of two nets for a land-grab: one laid out flat, one with gates and a cross-attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from velodrome.audit.claim import Finding, claim, judged, reaches, unknowable, worked_out
from velodrome.audit.measure import (
    counted,
    dead,
    farthest,
    forward,
    kept_bytes,
    learning,
    parameters,
    times_as_fast,
    weights,
)
from velodrome.audit.records import record, taken
from velodrome.meter.tensors import with_rows
from velodrome.nets import make_net
from velodrome.nets.territory import Across, AttentionNet, LoneKey

OLD, NEW = "territory/flatten", "territory/attention"
MAP, FUSION = ("gates", "pooled"), ("fusion",)
TARGET = 500_000
"""Parameters that both nets were meant to have."""
MEGABYTE = 1e6
NO_GPU_FIGURES = "it names no GPU, no batch and no run that it was taken from"
HOME = "plains"
"""The maps of trainings."""


def _views(rows: int = 16) -> tuple[nn.Module, dict[str, Tensor]]:
    module, inputs = make_net(NEW)
    views: dict[str, Tensor] = with_rows(inputs, rows)[0]
    return module.eval(), views


def _layer(net: str, kind: type[nn.Module], inputs: int) -> Any:
    """The first layer of a kind with so many inputs."""
    module, _ = make_net(net)
    for part in module.modules():
        if isinstance(part, kind) and getattr(part, "in_features", None) == inputs:
            return part
    raise ValueError(f"{net} has no {kind.__name__} of {inputs} inputs")


def _idle() -> dict[str, int]:
    """The parameters, by name, of the published cross-attention that can have no gradient."""
    module, _ = make_net(NEW)
    return dead(module.get_submodule("cross"), (torch.randn(64, 256), torch.randn(64, 128)))


def _sides(net: str) -> str:
    """The sides of the maps that the convolutions over the map give."""
    module, inputs = make_net(net)
    sides: list[str] = []
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d) and part.out_channels > 1]
    hooks = [
        part.register_forward_hook(
            lambda _, __, out: sides.append(f"{out.shape[-1]} x {out.shape[-2]} x {out.shape[1]}")
        )
        for part in convolutions
    ]
    with torch.no_grad():
        module.eval()(*with_rows(inputs, 1))
    for hook in hooks:
        hook.remove()
    return ", ".join(sides)


def _trained() -> tuple[dict[str, Any], dict[str, float], dict[str, float]]:
    """The record of equal trainings, and the land that the old net and the new hold by map."""
    read = record("territory_nets_learning")
    rows = {line["net"]: line for line in read["together"]}
    old, new = (
        {key.removeprefix("land, "): float(value) for key, value in rows[net].items() if key.startswith("land, ")}
        for net in ("flatten", "attention")
    )
    return read, old, new


# -- the old net -------------------------------------------------------------------------------------------------------

claim(
    "territory-01",
    where="Old architecture",
    says="The old net has so many parameters.",
    kind="count",
    claimed=6_763_387,
)(counted(OLD))
claim(
    "territory-02",
    where="Old architecture",
    says="So many of them are in what looks at the map.",
    kind="count",
    claimed=6_503_072,
)(counted(OLD, "map"))
claim(
    "territory-03",
    where="Old architecture",
    says="So many are in what reads the sixteen numbers.",
    kind="count",
    claimed=18_688,
)(counted(OLD, "numbers"))
claim(
    "territory-04",
    where="Old architecture",
    says="So many are in the layer that joins both.",
    kind="count",
    claimed=164_096,
)(counted(OLD, *FUSION))
claim("territory-05", where="Old architecture", says="So many are in the actor.", kind="count", claimed=44_506)(
    counted(OLD, "heads.actor")
)
claim("territory-06", where="Old architecture", says="So many are in the critic.", kind="count", claimed=33_025)(
    counted(OLD, "heads.critic")
)


@claim(
    "territory-07",
    where="Old architecture",
    says="What looks at the map has this share of all parameters.",
    kind="ratio",
    claimed=0.96,
    within=0.01,
)
def share_of_the_map() -> float:
    """Counted in our net of the same layers."""
    return weights(OLD, "map") / weights(OLD)


@claim(
    "territory-08",
    where="The problem",
    says="One linear layer from 12,544 to 512 has so many weights.",
    kind="count",
    claimed=6_422_528,
)
def large_layer() -> int:
    """The weights of that layer in our net, its biases apart."""
    return int(_layer(OLD, nn.Linear, 64 * 14 * 14).weight.numel())


@claim(
    "territory-09",
    where="Old architecture",
    says="The convolutions give maps of these sizes.",
    kind="count",
    claimed="32 x 32 x 32, 16 x 16 x 64, 14 x 14 x 64",
)
def old_maps() -> str:
    """What each convolution of our net gives for one map."""
    return _sides(OLD)


@claim(
    "territory-10",
    where="Problem found",
    says="The old net is this many times as large as was intended.",
    kind="ratio",
    claimed=13.0,
    within=0.05,
)
def over_target() -> float:
    """Its parameters over the 500,000 intended."""
    return weights(OLD) / TARGET


@claim(
    "territory-11",
    where="Summary",
    says="The old net exceeds the target by this factor (1350 %).",
    kind="ratio",
    claimed=13.5,
    within=0.02,
)
def excess() -> float:
    """Its parameters beyond the target, over the target: what is over it, not what it is in all."""
    return (weights(OLD) - TARGET) / TARGET


# -- the new net -------------------------------------------------------------------------------------------------------

claim(
    "territory-12", where="New architecture", says="The new net has so many parameters.", kind="count", claimed=517_982
)(counted(NEW))
claim(
    "territory-13",
    where="New architecture",
    says="So many of them are in what looks at the map.",
    kind="count",
    claimed=208_003,
)(counted(NEW, *MAP))
claim(
    "territory-14",
    where="New architecture",
    says="So many are in what reads the sixteen numbers.",
    kind="count",
    claimed=18_688,
)(counted(NEW, "numbers"))
claim(
    "territory-15", where="New architecture", says="So many are in the cross-attention.", kind="count", claimed=82_432
)(counted(NEW, "cross"))
claim(
    "territory-16",
    where="New architecture",
    says="So many are in the layer that joins everything.",
    kind="count",
    claimed=131_328,
)(counted(NEW, *FUSION))
claim("territory-17", where="New architecture", says="So many are in the actor.", kind="count", claimed=44_506)(
    counted(NEW, "heads.actor")
)
claim("territory-18", where="New architecture", says="So many are in the critic.", kind="count", claimed=33_025)(
    counted(NEW, "heads.critic")
)


@claim(
    "territory-19",
    where="New architecture",
    says="The parts' shares: map, numbers, cross-attention, joining, actor, critic.",
    kind="ratio",
    claimed="40 %, 3.6 %, 16 %, 25 %, 8.6 %, 6.4 %",
)
def shares() -> str:
    """Counted in our net, rounded to as many digits."""
    parts = (MAP, ("numbers",), ("cross",), FUSION, ("heads.actor",), ("heads.critic",))
    whole = weights(NEW)
    return ", ".join(f"{100 * weights(NEW, *part) / whole:.2g} %" for part in parts)


@claim(
    "territory-20",
    where="CNN architecture",
    says="What looks at the map became this many times smaller.",
    kind="ratio",
    claimed=31.0,
    within=0.02,
)
def smaller_map() -> float:
    """Parameters of the old part over those of the new."""
    return weights(OLD, "map") / weights(NEW, *MAP)


@claim(
    "territory-21",
    where="Key improvements",
    says="The whole net became this many times smaller.",
    kind="ratio",
    claimed=13.0,
    within=0.02,
)
def smaller() -> float:
    """Parameters of the old net over those of the new."""
    return weights(OLD) / weights(NEW)


@claim(
    "territory-22",
    where="Summary",
    says="The new net exceeds its target of 500,000 by this share.",
    kind="ratio",
    claimed=0.03,
    within=0.02,
)
def new_excess() -> float:
    """Its parameters beyond the target, over the target."""
    return (weights(NEW) - TARGET) / TARGET


@claim(
    "territory-23",
    where="Key improvements",
    says="The linear layer behind the pooling has so many parameters.",
    kind="count",
    claimed=32_000,
    within=0.05,
)
def small_layer() -> int:
    """Counted in our net, biases included."""
    return weights(NEW, "pooled")


@claim(
    "territory-24",
    where="Spatial attention",
    says="Each spatial attention costs about so many parameters.",
    kind="count",
    claimed=200,
    within=0.15,
)
def gates() -> Finding:
    """The parameters of each of the three gates of our net."""
    module, _ = make_net(NEW)
    assert isinstance(module, AttentionNet)
    each = [parameters(gated.get_submodule("gate")) for gated in module.gates]
    ok = all(abs(number - 200) <= 30 for number in each)
    return judged(ok, ", ".join(map(str, each)), "each", f"all three together have {sum(each)}")


@claim(
    "territory-25",
    where="New architecture",
    says="The convolutions give maps of these sizes.",
    kind="count",
    claimed="32 x 32 x 32, 8 x 8 x 64, 4 x 4 x 128",
)
def new_maps() -> str:
    """What each convolution of our net gives for one map."""
    return _sides(NEW)


@claim(
    "territory-26",
    where="Fusion architecture",
    says="Joining and cross-attention have so many parameters.",
    kind="count",
    claimed=213_760,
)
def fusion() -> int:
    """Counted in our net of the same layers."""
    return weights(NEW, "cross", *FUSION)


@claim(
    "territory-27",
    where="CNN architecture",
    says="No convolution of the old net has a batch norm behind it, and all three of the new have.",
    kind="count",
    claimed="0, 3",
)
def batch_norms() -> str:
    """Batch norms counted in both nets."""
    return ", ".join(
        str(sum(isinstance(part, nn.BatchNorm2d) for part in make_net(net)[0].modules())) for net in (OLD, NEW)
    )


@claim(
    "territory-28",
    where="Migration guide",
    says="Checkpoints of the old net cannot be loaded into the new.",
    kind="statement",
)
def other_checkpoints() -> bool:
    """The weights of one are given to the other."""
    try:
        make_net(NEW)[0].load_state_dict(make_net(OLD)[0].state_dict())
    except RuntimeError:
        return True
    return False


# -- what its attention does -------------------------------------------------------------------------------------------


@claim(
    "territory-29",
    where="Cross-attention fusion",
    says="All parameters of the cross-attention are of use.",
    kind="count",
    claimed=82_432,
)
def of_use() -> Finding:
    """Its parameters less those that get no gradient from anything it gives, over many batches and weights."""
    idle = sum(_idle().values())
    used = weights(NEW, "cross") - idle
    return judged(not idle, used, "each gets a gradient", f"{idle:,} get none: those of its queries and keys")


@claim("territory-30", where="Cross-attention fusion", says="Its weights depend on the situation.", kind="statement")
def weights_of_the_cross() -> Finding:
    """The largest change of what it gives when its question is another one, as the softmax over one key has it."""
    cross = LoneKey().eval()
    told = torch.randn(64, 128)
    moved = farthest(cross(torch.randn(64, 256), told), cross(torch.randn(64, 256), told))
    return judged(
        moved > 0, moved, "another question, another answer", "a softmax over one key is 1, whatever is asked"
    )


@claim(
    "territory-31",
    where="Cross-attention fusion",
    says="The map asks the numbers, and what it asks matters.",
    kind="statement",
)
def map_asks() -> Finding:
    """Whether the queries, which are made of the map, get a gradient."""
    asks = "query.weight" not in _idle()
    return judged(asks, asks, "its queries learn", "its queries never get a gradient")


@claim("territory-32", where="Key improvements", says="The numbers ask the map, too.", kind="statement")
def numbers_ask() -> Finding:
    """Whether what the cross-attention gives depends on the map at all."""
    cross = LoneKey().eval()
    seen = torch.randn(64, 256, requires_grad=True)
    cross(seen, torch.randn(64, 128)).square().sum().backward()
    reach = float(seen.grad.abs().max()) if seen.grad is not None else 0.0
    return judged(
        reach > 0, reach > 0, "the map reaches them", "there is one direction, and nothing of the map passes it"
    )


@claim(
    "territory-33",
    where="Spatial attention",
    says="A gate gives one weight between 0 and 1 for each place.",
    kind="statement",
)
def gates_weigh() -> Finding:
    """The shapes and bounds of what our net's gates let pass."""
    module, views = _views()
    assert isinstance(module, AttentionNet)
    looks = module.looks(views)
    fits = all(look.dim() == 3 and look.min() >= 0 and look.max() <= 1 for look in looks.values())
    shapes = ", ".join(f"{look.shape[1]} x {look.shape[2]}" for look in looks.values())
    return judged(fits, shapes, "a number a place", "they are otherwise")


@claim("territory-34", where="Spatial attention", says="Trained gates look at borders and threats.", kind="skill")
def gates_look() -> Finding:
    """The record of trained gates: the least of their weight on such places over the share of these places, where 1 is
    chance, at the lower end of its interval."""
    read = record("territory_gates")
    rows = [row for row in read["figures"] if row["net"] == "attention" and row["when"] == "trained"]
    least = min(row[f"{kind} interval"][0] for row in rows for kind in ("borders", "threats"))
    why = f"in the worst gate, {taken(read)}"
    return judged(least > 1, least, why, f"{why}: chance does as well")


@claim(
    "territory-35",
    where="Efficient CNN",
    says="With pooling over all places the position of things does not matter.",
    kind="statement",
)
def blind_to_place() -> Finding:
    """How much the pooled features change when everything on the map moves by a tile, as a share of what they hold."""
    module, _ = _views()
    assert isinstance(module, AttentionNet)
    board = torch.zeros(2, 128, 128, 5)
    patch = torch.rand(24, 24, 5)
    board[0, 48:72, 48:72], board[1, 49:73, 49:73] = patch, patch
    with torch.no_grad():
        x = board.permute(0, 3, 1, 2)
        for gated in module.gates:
            x, _ = gated(x)
        pooled = x.mean((2, 3))
        empty = torch.zeros(1, 5, 128, 128)
        for gated in module.gates:
            empty, _ = gated(empty)
        pooled = pooled - empty.mean((2, 3))
    moved = float((pooled[0] - pooled[1]).norm() / pooled[0].norm())
    return judged(moved < 0.01, moved, "nothing changes", "strides and margins tell places apart by less than 32 tiles")


# -- speed and memory --------------------------------------------------------------------------------------------------


@claim(
    "territory-36",
    where="Memory usage",
    says="The old net's weights take so many MB.",
    kind="memory",
    claimed=27.0,
    within=0.02,
)
def old_bytes() -> float:
    """Four bytes for each parameter of our net."""
    return 4 * weights(OLD) / MEGABYTE


@claim(
    "territory-37",
    where="Memory usage",
    says="The new net's weights take so many MB.",
    kind="memory",
    claimed=2.0,
    within=0.05,
)
def new_bytes() -> float:
    """Four bytes for each parameter of our net."""
    return 4 * weights(NEW) / MEGABYTE


claim(
    "territory-38",
    where="Memory usage",
    says="The old net takes about so many MB of a GPU.",
    kind="memory",
    claimed=400,
)(unknowable(NO_GPU_FIGURES))
claim(
    "territory-39",
    where="Memory usage",
    says="The new net takes about so many MB of a GPU.",
    kind="memory",
    claimed=150,
)(unknowable(NO_GPU_FIGURES))


@claim(
    "territory-40",
    where="Memory usage",
    says="The old net takes this many times the memory of the new.",
    kind="memory",
    claimed=2.7,
)
def memory_ratio() -> Finding:
    """Bytes that learning from 128 rows keeps: weights, gradients, two moments, and what the way back needs."""
    (old, of_old), (new, of_new) = make_net(OLD), make_net(NEW)
    return reaches(kept_bytes(old, of_old, 128) / kept_bytes(new, of_new, 128), 2.7)


@claim(
    "territory-41",
    where="Training speed",
    says="In the old net's memory the new one learns from twice the batch.",
    kind="memory",
)
def twice_the_batch() -> Finding:
    """Bytes that learning keeps: the new net from 256 rows, over the old net from 128."""
    (old, of_old), (new, of_new) = make_net(OLD), make_net(NEW)
    share = kept_bytes(new, of_new, 256) / kept_bytes(old, of_old, 128)
    return judged(share <= 1, share, "it takes this share", "it takes more: norms and gates keep maps, too")


claim(
    "territory-42",
    where="Memory usage",
    says="A forward pass of the old net takes so many ms, of the new 6.",
    kind="time",
    claimed=8.0,
)(unknowable("it names no machine and no batch"))


@claim(
    "territory-43",
    where="Memory usage",
    says="A forward pass of the new net takes this share of the old's time.",
    kind="ratio",
    claimed=0.75,
    timed=True,
)
def forward_time() -> Finding:
    """Both on one row, in turn, on one thread."""
    share = 1 / times_as_fast(forward(OLD, 1), forward(NEW, 1))
    return judged(share <= 0.825, share, "it gains as much", "it gains less")


@claim(
    "territory-44",
    where="Training speed",
    says="Training becomes this many times as fast.",
    kind="ratio",
    claimed=1.37,
    timed=True,
)
def learning_time() -> Finding:
    """Passes forward and back over 32 rows, the old over the new, in turn, on one thread: what learning consists of."""
    (old, of_old), (new, of_new) = make_net(OLD), make_net(NEW)
    return reaches(times_as_fast(learning(old, with_rows(of_old, 32)), learning(new, with_rows(of_new, 32))), 1.37)


claim(
    "territory-45",
    where="Training speed",
    says="From 45 to 60 frames a second is so much faster.",
    kind="ratio",
    claimed=0.33,
    within=0.02,
)(worked_out(60 / 45 - 1))
claim(
    "territory-46",
    where="Training speed",
    says="From 400 to 550 frames a second is so much faster.",
    kind="ratio",
    claimed=0.37,
    within=0.02,
)(worked_out(550 / 400 - 1))
claim(
    "territory-47",
    where="Training speed",
    says="One environment gives so many frames a second with the new net.",
    kind="time",
    claimed=60,
)(unknowable("it is an estimate by its own heading, of no named machine"))
claim(
    "territory-48",
    where="Training speed",
    says="Twelve environments give so many frames a second with the new net.",
    kind="time",
    claimed=550,
)(unknowable("it is an estimate by its own heading, of no named machine"))


@claim(
    "territory-49",
    where="Recommendation",
    says="It trains faster because it has 13 times fewer parameters.",
    kind="statement",
    timed=True,
)
def faster_for_its_size() -> Finding:
    """How many times as fast a pass over 32 rows is, beside how many times as small the net is."""
    gained = times_as_fast(forward(OLD, 32), forward(NEW, 32))
    fewer = weights(OLD) / weights(NEW)
    if gained < 1.1:
        return judged(False, gained, "", "it is no faster")
    return judged(gained > fewer / 2, gained, "as fast as it is small", "convolutions take the time, parameters do not")


@claim("territory-50", where="Expected benefits", says="The new net generalises better.", kind="skill")
def generalises() -> Finding:
    """The record of equal trainings: the land held on other maps over that held on those of the training, new over
    old."""
    read, old, new = _trained()
    share = float(np.mean([new[place] / old[place] for place in old if place != HOME]) / (new[HOME] / old[HOME]))
    return judged(share > 1.03, share, taken(read), taken(read))


@claim("territory-51", where="Migration guide", says="The new net plays better.", kind="skill")
def plays_better() -> Finding:
    """The record of equal trainings: the land that the new net holds over what the old one does."""
    read, old, new = _trained()
    share = new[HOME] / old[HOME]
    return judged(share > 1.03, share, taken(read), taken(read))


claim("territory-52", where="Recommendation", says="Agents of the old checkpoints stand idle.", kind="skill")(
    unknowable("it takes those checkpoints, which are not here")
)


@claim("territory-53", where="Migration guide", says="The old net has no attention at all.", kind="statement")
def without_attention() -> bool:
    """Whether our net of the same layers holds anything but convolutions and linear layers with weights."""
    plain = (nn.Conv2d, nn.Linear)
    return all(isinstance(part, plain) for part in make_net(OLD)[0].modules() if list(part.parameters(recurse=False)))


@claim(
    "territory-54",
    where="Cross-attention fusion",
    says="It learns which features of the map go with which number.",
    kind="statement",
)
def learns_interactions() -> Finding:
    """The weights of queries and keys that get no gradient: in the published net's attention, and in ours, which has
    several keys."""
    idle = sum(many for name, many in _idle().items() if name in ("query.weight", "key.weight"))
    ours = dead(Across(64, 4), (torch.randn(16, 9, 64), torch.randn(16, 16, 64)))
    left = sum(many for name, many in ours.items() if name in ("query.weight", "tell.weight"))
    why = f"so many weights never learn; of ours, in `territory/cross`, {left or 'none'}"
    return judged(not idle, idle, "all its queries and keys learn", why)
