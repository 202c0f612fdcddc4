"""Claims of the review of a real-time bot: a strategist, a tactician and an executor, and what would better them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from velodrome.audit.claim import (
    Finding,
    claim,
    judged,
    only_if,
    reaches,
    unknowable,
    worked_out,
)
from velodrome.audit.measure import (
    acting,
    counted,
    farthest,
    flops,
    learning,
    operations,
    seconds,
    times_as_fast,
    weights,
)
from velodrome.nets import make_net
from velodrome.nets.arena import (
    ABOUT,
    GOAL,
    OBJECT,
    OBJECTS,
    PLACE,
    STATE,
    Execution,
    Executor,
    Strategist,
    Strategy,
    Tactician,
    Tactics,
)
from velodrome.nets.arena import frames as frames_of
from velodrome.nets.arena import seconds as seconds_of
from velodrome.nets.hyena import Hyena
from velodrome.nets.mamba import Mamba

STRATEGIST, TACTICIAN = "arena/strategist", "arena/tactician"
MAMBA, LSTM = "arena/executor-mamba", "arena/executor-lstm"
ALL = (STRATEGIST, TACTICIAN, MAMBA)
ABOUT_SO = 0.1
"""What "about" may be off by."""
SAID_ALL, SAID_GPT = 1_600_000, 117_000_000
FRAME_S = 1 / 60
PROMISE = "no run stands behind the promise, and the play that it would show in is not here"
OTHERS = "nothing of that system is here"
RECORDINGS = "it takes recordings of people at play, which are not here"


def _looking_back(settings: Strategy, samples: int) -> int:
    """FLOPs of a strategist that sees so many samples."""
    return flops(Strategist(replace(settings, samples=samples)), seconds_of(1, samples))


def _executor(settings: Execution | None = None) -> Executor:
    return Executor(settings or Execution()).eval()


class _Step(nn.Module):
    """One frame of an executor as a pass of its own."""

    def __init__(self, executor: Executor):
        super().__init__()
        self.executor = executor

    def forward(self, frame: dict[str, Tensor], memory: dict[str, Tensor]) -> Mapping[str, Tensor]:
        """The outputs alone."""
        return self.executor.step(frame, memory)[0]


def _step_flops(settings: Execution, before: int) -> int:
    """FLOPs of the next frame after so many."""
    executor = _executor(settings)
    memory = executor.start(1)
    with torch.no_grad():
        for _ in range(before):
            _, memory = executor.step(frames_of(1), memory)
    return flops(_Step(executor), frames_of(1), memory)


def _encoder(*, norm_first: bool, nested: bool) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True, activation="gelu", norm_first=norm_first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.TransformerEncoder(layer, 4, enable_nested_tensor=nested)


def _promise(id: str, where: str, says: str, gain: float) -> None:
    """A promised gain in accuracy or convergence, which nothing measured."""
    claim(id, where=where, says=says, kind="skill", claimed=gain)(unknowable(PROMISE))


# -- sizes -------------------------------------------------------------------------------------------------------------

claim(
    "arena-01",
    where="Strategist",
    says="The strategist has about so many parameters.",
    kind="count",
    claimed=1_200_000,
    within=ABOUT_SO,
)(counted(STRATEGIST))
claim(
    "arena-02",
    where="Tactician",
    says="The tactician has about so many parameters.",
    kind="count",
    claimed=120_000,
    within=ABOUT_SO,
)(counted(TACTICIAN))
claim(
    "arena-03",
    where="Executor",
    says="With Mamba the executor has about so many parameters.",
    kind="count",
    claimed=250_000,
    within=ABOUT_SO,
)(counted(MAMBA))
claim(
    "arena-04",
    where="Executor",
    says="With an LSTM the executor has about so many parameters.",
    kind="count",
    claimed=1_300_000,
    within=ABOUT_SO,
)(counted(LSTM))


@claim(
    "arena-05",
    where="Model size",
    says="All three have about so many parameters.",
    kind="count",
    claimed=SAID_ALL,
    within=ABOUT_SO,
)
def all_three() -> int:
    """Counted in our nets of the same layers, the executor with Mamba."""
    return sum(weights(net) for net in ALL)


@claim(
    "arena-06", where="Model size", says="GPT-2 has so many parameters.", kind="count", claimed=SAID_GPT, within=0.05
)
def gpt() -> int:
    """By the formula for 12 layers of width 768, 50,257 words and 1,024 places, words shared by input and output."""
    return _gpt()


def _gpt() -> int:
    layers, width, words, places = 12, 768, 50_257, 1024
    return (words + places) * width + layers * (12 * width**2 + 13 * width) + 2 * width


@claim(
    "arena-07",
    where="Model size",
    says="All three are this many times smaller than GPT-2.",
    kind="ratio",
    claimed=73.0,
    within=0.05,
)
def smaller_than_gpt() -> float:
    """The formula's number of parameters over that of our nets of the same layers."""
    return _gpt() / sum(weights(net) for net in ALL)


@claim(
    "arena-08",
    where="Tactician",
    says="The tactician is quick enough for every frame; milliseconds of a decision.",
    kind="time",
    claimed=1e3 * FRAME_S,
    timed=True,
)
def quick() -> Finding:
    """One decision on one thread."""
    module, inputs = make_net(TACTICIAN)
    views = {name: view[:1] for name, view in inputs[0].items()}
    (taken,) = seconds(acting(module.eval(), (views,)))
    return judged(taken <= FRAME_S, 1e3 * taken, f"with {weights(TACTICIAN):,} parameters", "it takes longer")


# -- what goes in and how it is built ----------------------------------------------------------------------------------


@claim("arena-09", where="Strategist", says="A sample has so many numbers.", kind="count", claimed=192)
def sample() -> int:
    """The inputs of our net of the same layers."""
    _, inputs = make_net(STRATEGIST)
    return int(inputs[0]["samples"].shape[-1])


@claim(
    "arena-10", where="Strategist", says="It looks back so many seconds, a sample a second.", kind="count", claimed=60
)
def looks_back() -> int:
    """The samples of our strategist's default."""
    return Strategy().samples


@claim(
    "arena-11",
    where="Strategist",
    says="Its layers, heads, width and the width within layers.",
    kind="count",
    claimed="4, 4, 256, 1024",
)
def strategist_sizes() -> str:
    """Read off the transformer of our net, whose parameters are those of the bot."""
    settings = Strategy()
    module, _ = make_net(STRATEGIST)
    layers = module.get_submodule("over_time.layers")
    wide = max(weight.shape[0] for name, weight in layers.named_parameters() if "wide" in name and weight.dim() == 2)
    return f"{len(list(layers.children()))}, {settings.heads}, {settings.width}, {wide}"


@claim("arena-12", where="Strategist", says="The timing of its positions is learnt.", kind="statement")
def learnt_positions() -> Finding:
    """Whether any parameter of our strategist is a table of positions; sines are none."""
    module, _ = make_net(STRATEGIST)
    found = [name for name, weight in module.named_parameters() if weight.shape[0] == Strategy().samples]
    return judged(bool(found), bool(found), "a table is learnt", "they are fixed sines; nothing of them is learnt")


@claim(
    "arena-13", where="Tactician", says="Objects, and numbers of each, on its screen.", kind="count", claimed="16, 20"
)
def screen() -> str:
    """The inputs of our net."""
    _, inputs = make_net(TACTICIAN)
    return ", ".join(map(str, inputs[0]["objects"].shape[1:]))


@claim("arena-14", where="Executor", says="The executor is given so many numbers.", kind="count", claimed=162)
def executor_inputs() -> int:
    """State, goal, and what there is to know of the target."""
    return STATE + GOAL + PLACE + ABOUT


@claim("arena-15", where="Activation functions", says="All three use one activation, GELU.", kind="statement")
def one_activation() -> Finding:
    """The activations among the parts and settings of our nets of the same layers."""
    used = {part.__class__.__name__.lower() for net in ALL for part in make_net(net)[0].modules()} & {"gelu", "relu"}
    used |= {Strategy().style.activation, Tactics().style.activation, Tactics().between.activation}
    return judged(used == {"gelu"}, ", ".join(sorted(used)), "and no other", "objects look at each other through ReLU")


@claim("arena-16", where="Normalization", says="All three use layer norm and no other.", kind="statement")
def one_norm() -> bool:
    """Whether any part of our nets of the same layers is another norm."""
    others = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm)
    return not any(isinstance(part, others) for net in ALL for part in make_net(net)[0].modules())


@claim("arena-17", where="Normalization", says="Batch norm does not work with one sample.", kind="statement")
def one_sample() -> Finding:
    """A batch norm of torch on one row, in training and in evaluation."""
    norm, raised = nn.BatchNorm1d(4), []
    for mode in (True, False):
        try:
            norm.train(mode)(torch.rand(1, 4))
            raised.append(False)
        except ValueError:
            raised.append(True)
    if raised == [True, False]:
        return only_if(True, "it is in training; in evaluation it takes one sample like any other number")
    return judged(all(raised), all(raised), "in either mode", "it takes one sample")


@claim("arena-18", where="Activation functions", says="GELU is not monotonic.", kind="statement")
def not_monotonic() -> Finding:
    """Where torch's GELU is least, and whether it is higher further left."""
    x = torch.linspace(-6, 0, 6001)
    least = int(torch.nn.functional.gelu(x).argmin())
    return judged(0 < least < 6000, float(x[least]), "it turns there", "it does not turn")


@claim(
    "arena-19",
    where="Activation functions",
    says="ReLU is the fastest, Mish is slow, GELU and SiLU lie between.",
    kind="time",
    claimed="relu < gelu, silu < mish",
    timed=True,
)
def activations() -> Finding:
    """Each over 65,536 numbers on one thread, in turn."""
    x = torch.randn(65_536)
    kinds = {"relu": nn.ReLU(), "gelu": nn.GELU(), "silu": nn.SiLU(), "mish": nn.Mish()}
    taken = dict(zip(kinds, seconds(*(acting(kind, (x,)) for kind in kinds.values())), strict=True))
    order = sorted(taken, key=lambda name: taken[name])
    ok = order[0] == "relu" and order[-1] == "mish"
    return judged(ok, " < ".join(order), "in that order", "they come in another order")


# -- advice for the strategist -----------------------------------------------------------------------------------------


@claim(
    "arena-20",
    where="Option 1: Pre-LN",
    says="Torch's layers norm behind the sums unless told otherwise.",
    kind="statement",
)
def default_norm() -> bool:
    """The default of torch's own layer."""
    return inspect.signature(nn.TransformerEncoderLayer).parameters["norm_first"].default is False


claim("arena-21", where="Option 1: Pre-LN", says="BERT norms before its parts.", kind="statement")(
    unknowable("BERT is not here; by its paper it norms behind the sums")
)
_promise("arena-22", "Option 1: Pre-LN", "It converges so much faster.", 0.05)


@claim(
    "arena-23",
    where="Option 2: Flash attention",
    says="enable_nested_tensor=True turns on something that was off.",
    kind="statement",
)
def turns_on() -> Finding:
    """The default of torch's own encoder."""
    already = inspect.signature(nn.TransformerEncoder).parameters["enable_nested_tensor"].default
    return judged(not already, not already, "it is off by default", "it is the default already")


@claim(
    "arena-24",
    where="Option 2: Flash attention",
    says="It makes training this many times as fast.",
    kind="ratio",
    claimed=1.2,
)
def nested_in_training() -> Finding:
    """Operations that torch runs for a training pass without it, over those with it."""
    x = torch.rand(4, 60, 256)
    without, given = (_encoder(norm_first=False, nested=nested).train() for nested in (False, True))
    share = operations(without, x) / operations(given, x)
    return judged(share >= 1.2, share, "fewer operations", "in training torch runs the same operations")


@claim(
    "arena-25",
    where="Option 2: Flash attention",
    says="Attention becomes this many times as fast with flash attention.",
    kind="ratio",
    claimed=2.0,
    timed=True,
)
def fused() -> Finding:
    """Passes forward and back of our strategist over 4 rows with attention in several operations, over those with
    torch's fused one, in turn, on one thread."""
    plain, one = (Strategist(Strategy(fused=fused)) for fused in (False, True))
    inputs = (seconds_of(4),)
    return reaches(times_as_fast(learning(plain, inputs), learning(one, inputs)), 2.0)


@claim(
    "arena-26",
    where="Recommended upgrades",
    says="Both first pieces of advice can be followed together.",
    kind="statement",
)
def both_together() -> Finding:
    """Whether torch's encoder still uses nested tensors when its layers norm first."""
    used = bool(_encoder(norm_first=True, nested=True).use_nested_tensor)
    return judged(used, used, "torch keeps both", "with norms first torch switches nested tensors off, and warns of it")


@claim(
    "arena-27",
    where="Option 3: Mamba",
    says="Mamba's work grows linearly with the sequence.",
    kind="ratio",
    claimed=2.0,
    within=0.02,
)
def mamba_grows() -> float:
    """FLOPs of our strategist with Mamba at 240 samples over those at 120."""
    settings = Strategy(over_time="mamba")
    return _looking_back(settings, 240) / _looking_back(settings, 120)


@claim(
    "arena-28",
    where="Option 3: Mamba",
    says="A transformer's work grows with the square of the sequence.",
    kind="ratio",
    claimed=4.0,
)
def transformer_grows() -> Finding:
    """FLOPs of our strategist at 120 samples over those at 60: four for a square, two for a line."""
    found = _looking_back(Strategy(), 120) / _looking_back(Strategy(), 60)
    if found > 3.8:
        return judged(True, found, "times the work for twice the samples", "")
    return only_if(
        found, f"sequences are much longer than {6 * Strategy().width:,}; at 60 its linear layers do nearly all"
    )


@claim(
    "arena-29",
    where="Option 3: Mamba",
    says="A strategist with Mamba is this many times as fast.",
    kind="ratio",
    claimed=1.1,
    timed=True,
)
def mamba_strategist() -> Finding:
    """Our strategists over 32 rows of 60 samples, the transformer's time over Mamba's, in turn, on one thread."""
    one, other = (Strategist(Strategy(over_time=kind)).eval() for kind in ("transformer", "mamba"))
    inputs = (seconds_of(32),)
    return reaches(times_as_fast(acting(one, inputs), acting(other, inputs)), 1.1)


@claim(
    "arena-30",
    where="Upgrade 2: Perceiver IO",
    says="Its work does not grow with the sequence.",
    kind="ratio",
    claimed=1.0,
    within=0.02,
)
def perceiver_grows() -> float:
    """FLOPs of our strategist with 64 latents at 240 samples over those at 120."""
    settings = Strategy(over_time="perceiver", latents=64)
    return _looking_back(settings, 240) / _looking_back(settings, 120)


@claim(
    "arena-31",
    where="Upgrade 2: Perceiver IO",
    says="Beyond 60 samples it saves this share of the work.",
    kind="ratio",
    claimed=0.3,
)
def perceiver_saves() -> Finding:
    """FLOPs of our strategist with 64 latents beside the transformer's, at 120 samples and from there on."""
    saved = {
        samples: 1
        - _looking_back(Strategy(over_time="perceiver", latents=64), samples) / _looking_back(Strategy(), samples)
        for samples in (60, 120, 240, 480)
    }
    enough = [samples for samples, share in saved.items() if share >= 0.3]
    if not enough:
        return judged(False, saved[480], "", "even at 480 samples")
    if enough[0] <= 120:
        return judged(True, saved[120], "at 120 samples", "")
    return only_if(saved[120], f"there are {enough[0]} samples or more; the share is that at 120")


@claim(
    "arena-32",
    where="Upgrade 2: Perceiver IO",
    says="At the bot's 60 samples 64 latents are a compression.",
    kind="ratio",
    claimed=1.0,
)
def perceiver_compresses() -> Finding:
    """FLOPs of our strategist with 64 latents over the transformer's at 60 samples."""
    share = _looking_back(Strategy(over_time="perceiver", latents=64), 60) / _looking_back(Strategy(), 60)
    return judged(share < 1, share, "less work", "more work: there are more latents than samples")


_promise("arena-33", "Upgrade 4: Mixture of experts", "Four experts choose the mode so much better.", 0.10)
_promise("arena-34", "Upgrade 3: EMA", "Averaged weights score so much better.", 0.02)
_promise("arena-35", "Training improvements", "Smoothed labels score so much better.", 0.02)
_promise("arena-36", "Training improvements", "A cosine schedule scores so much better.", 0.03)

# -- the tactician -----------------------------------------------------------------------------------------------------


@claim("arena-37", where="Tactician", says="Its attention weights are a choice among targets.", kind="statement")
def choice() -> Finding:
    """The sum of the weights that our net of the same layers gives, and whether none is below 0."""
    module, inputs = make_net(TACTICIAN)
    with torch.no_grad():
        chances = module.eval()(*inputs)["target"].exp()
    off = float((chances.sum(-1) - 1).abs().max())
    return judged(off < 1e-4, 1 - off, "they sum to 1", "they do not sum to 1")


@claim("arena-38", where="Tactician", says="The order of objects does not matter to it.", kind="statement")
def order() -> Finding:
    """The largest change of what our net of the same layers finds when objects are shuffled."""
    module, inputs = make_net(TACTICIAN)
    views = inputs[0]
    shuffled = torch.randperm(OBJECTS)
    with torch.no_grad():
        one = module.eval()(views)
        other = module(views | {"objects": views["objects"][:, shuffled], "mask": views["mask"][:, shuffled]})
    moved = farthest(one["about"], other["about"])
    return judged(moved < 1e-4, moved, "but for rounding", "it changes what is found")


@claim(
    "arena-39",
    where="Tactician",
    says="Scoring each object beside the goal cannot take any number of objects.",
    kind="statement",
)
def scores_scale() -> Finding:
    """Our tactician that scores so, given 3 objects and then 40."""
    module = Tactician(Tactics(choice="scores")).eval()
    shapes = []
    for many in (3, 40):
        views = {"objects": torch.rand(2, many, OBJECT), "mask": torch.ones(2, many, dtype=torch.bool)}
        with torch.no_grad():
            shapes.append(module(views | {"goal": torch.randn(2, GOAL)})["target"].shape[-1])
    ok = shapes == [4, 41]
    return judged(not ok, not ok, "it fails", "each object has its own score, however many there are")


# -- the executor ------------------------------------------------------------------------------------------------------


@claim("arena-40", where="Executor", says="It keeps its state from frame to frame.", kind="statement")
def stateful() -> Finding:
    """How much a frame's pointer depends on the frame before: with what is remembered handed on, and with each frame a
    call of its own."""
    executor = _executor()
    frames = [frames_of(1) for _ in range(2)]

    def last(handed: bool, first: dict[str, Tensor]) -> Tensor:
        memory = executor.start(1)
        with torch.no_grad():
            for frame in [first, *frames[1:]]:
                out, after = executor.step(frame, memory)
                memory = after if handed else executor.start(1)
        return out["pointer"]

    moved = [farthest(last(handed, frames[0]), last(handed, frames_of(1))) for handed in (True, False)]
    if moved[0] > 0 and moved[1] == 0:
        return only_if(moved[0], "what it remembers is handed on; called frame by frame it forgets everything at once")
    return judged(moved[1] > 0, moved[1], "in either case", "it depends on no frame before")


@claim(
    "arena-41", where="Executor", says="Its long memory serves a bot that is called frame by frame.", kind="statement"
)
def learns_from_frames() -> Finding:
    """The largest gradient of the rates of forgetting when each sequence is one frame from an empty memory."""
    block = Mamba(256)
    block(torch.randn(32, 1, 256))[0].square().sum().backward()
    reach = float(block.scan.rate_logs.grad.abs().max()) if block.scan.rate_logs.grad is not None else 0.0
    return judged(
        reach > 0,
        reach > 0,
        "its rates have a gradient",
        "from single frames its rates get no gradient: there is nothing to remember",
    )


@claim(
    "arena-42",
    where="Executor",
    says="A frame costs Mamba the same after any number of frames.",
    kind="ratio",
    claimed=1.0,
)
def mamba_step() -> float:
    """FLOPs of a step after 40 frames over those after one."""
    return _step_flops(Execution(), 40) / _step_flops(Execution(), 1)


@claim(
    "arena-43",
    where="Executor",
    says="A frame costs an LSTM more, the more frames there were.",
    kind="ratio",
    claimed=40.0,
)
def lstm_step() -> Finding:
    """FLOPs of a step after 40 frames over those after one."""
    settings = Execution(remembers="lstm")
    grown = _step_flops(settings, 40) / _step_flops(settings, 1)
    return judged(grown > 1, grown, "it grows", "an LSTM's step costs the same for ever, too")


@claim(
    "arena-44", where="Executor", says="In play, Mamba is faster than an LSTM.", kind="ratio", claimed=1.0, timed=True
)
def mamba_faster() -> Finding:
    """One frame of either executor on one thread: the LSTM's time over Mamba's."""
    frame = frames_of(1)
    sides = []
    for remembers in ("lstm", "mamba"):
        executor = _executor(Execution(remembers=remembers))
        sides.append(acting(_Step(executor), (frame, executor.start(1))))
    found = times_as_fast(*sides)
    return judged(found > 1.1, found, "it is", "there is no gain to speak of")


@claim("arena-45", where="Executor", says="Mamba takes less memory than an LSTM.", kind="memory", claimed=1.0)
def mamba_memory() -> Finding:
    """Numbers that one row remembers, Mamba's over the LSTM's."""
    sizes = [
        sum(part.numel() for part in _executor(settings).start(1).values())
        for settings in (Execution(), Execution(remembers="lstm"))
    ]
    share = sizes[0] / sizes[1]
    return judged(
        share < 1, share, "it remembers fewer numbers", f"it remembers {sizes[0]:,} numbers, the LSTM {sizes[1]:,}"
    )


_promise("arena-46", "Executor, option 1", "With 128 states it moves so much better.", 0.03)
_promise("arena-47", "Executor, option 2", "With two blocks it follows fast targets so much better.", 0.05)


@claim(
    "arena-48",
    where="Executor, option 3",
    says="Hyena is this many times as fast in play.",
    kind="ratio",
    claimed=1.2,
    timed=True,
)
def hyena() -> Finding:
    """The next frame after 60: a step of Mamba, over Hyena's pass over all of them, which has no step."""
    frames = 60
    block, operator = Mamba(256).eval(), Hyena(256, frames).eval()
    memory = block.start(1)

    class Next(nn.Module):
        """A step of Mamba."""

        def forward(self, x: Tensor) -> Tensor:
            """What it gives."""
            return block.step(x, memory)[0]

    return reaches(
        times_as_fast(acting(Next(), (torch.rand(1, 256),)), acting(operator, (torch.rand(1, frames, 256),))), 1.2
    )


@claim("arena-49", where="Residual connections", says="A net whose output is 0 points at the target.", kind="statement")
def silent_points() -> Finding:
    """The largest distance from the target, in shares of the screen, with our executor's last layer set to zero."""
    executor = _executor()
    last = executor.output[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        off = _off(executor)
    return judged(off < 1e-3, off, "it is no further off", "it is further off")


@claim("arena-50", where="Residual connections", says="An untrained net points at the target.", kind="statement")
def untrained_points() -> Finding:
    """The largest distance from the target, in shares of the screen, over 256 frames of our new executor."""
    off = _off(_executor())
    return judged(off < 0.05, off, "it is no further off", "it is further off")


@claim("arena-51", where="Residual connections", says="It cannot learn to point at nothing.", kind="statement")
def always_points() -> Finding:
    """Our executor with a bias of 20 on the pointer: how far it then is from the target, in shares of the screen."""
    executor = _executor()
    last = executor.output[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias[:PLACE] = 20.0
    off = _off(executor)
    return judged(off < 0.05, off, "it is no further off", "what is added can outweigh the target")


def _off(executor: Executor) -> float:
    frame = frames_of(256)
    place = 0.02 + 0.96 * torch.rand(256, PLACE)
    frame["target"][:, :PLACE] = place
    with torch.no_grad():
        pointer = executor.step(frame, executor.start(256))[0]["pointer"].sigmoid()
    return farthest(pointer, place)


# -- the whole ---------------------------------------------------------------------------------------------------------


@claim(
    "arena-52",
    where="Model size",
    says="All three keep up with 60 frames a second; milliseconds of a frame.",
    kind="time",
    claimed=1e3 * FRAME_S,
    timed=True,
)
def keeps_up() -> Finding:
    """One thread of a CPU: an executor's step, a sixth of a tactician's and a sixtieth of a strategist's decision."""
    executor = _executor()
    tactician, screen_of = make_net(TACTICIAN)
    screen_of = ({name: view[:1] for name, view in screen_of[0].items()},)
    step, pick, plan = seconds(
        acting(_Step(executor), (frames_of(1), executor.start(1))),
        acting(tactician.eval(), screen_of),
        acting(Strategist().eval(), (seconds_of(1),)),
    )
    found = 1e3 * (step + pick / 6 + plan / 60)
    return judged(found <= 1e3 * FRAME_S, found, "it takes less than a frame", "it takes more than a frame")


claim("arena-53", where="Model size", says="They train in minutes.", kind="time")(unknowable(RECORDINGS))
claim("arena-54", where="Model size", says="They do not overfit.", kind="skill")(unknowable(RECORDINGS))
claim("arena-55", where="AlphaStar", says="AlphaStar has about so many parameters.", kind="count", claimed=50_000_000)(
    unknowable(OTHERS)
)
claim("arena-56", where="AlphaStar", says="AlphaStar is held to so many actions a minute.", kind="count", claimed=22)(
    unknowable(OTHERS)
)
claim(
    "arena-57", where="OpenAI Five", says="OpenAI Five has about so many parameters.", kind="count", claimed=160_000_000
)(unknowable(OTHERS))
claim("arena-58", where="OpenAI Five", says="OpenAI Five trained for so many months.", kind="time", claimed=10)(
    unknowable(OTHERS)
)
claim(
    "arena-59",
    where="Component scores",
    says="The marks of the table come to this in the mean.",
    kind="count",
    claimed=9.8,
    within=0.005,
)(worked_out((9 + 6 * 10) / 7))
claim(
    "arena-60",
    where="Executive summary",
    says="The mark of the summary is that of the table.",
    kind="count",
    claimed=9.5,
    within=0.005,
)(worked_out((9 + 6 * 10) / 7))
