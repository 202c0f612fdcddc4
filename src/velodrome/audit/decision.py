"""Claims of the document on a decision transformer whose mixer searches by evolution, beside one with attention."""

from __future__ import annotations

import torch
from torch import nn

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
from velodrome.audit.measure import dead, farthest, flops, operations
from velodrome.audit.records import record, row, taken
from velodrome.nets import make_net
from velodrome.nets.decision import Attention, Block, DecisionNet, Evolving
from velodrome.nets.evolution import Judge, Search, draw, search_plainly
from velodrome.nets.transformer import Attention as PlainAttention

WIDTH = 32
MAPS = ("MMM", "3s5z_vs_3s6z", "so_many_baneling", "8m_vs_9m", "3s_vs_4z", "bane_vs_bane")
MHSA_MS = (0.226, 0.214, 0.209, 0.221, 0.218, 0.213)
EVAL_MS = (0.212, 0.197, 0.201, 0.208, 0.204, 0.199)
TRAIN_MS = (28.230, 27.540, 29.120, 28.960, 27.980, 28.610)
MHSA, EVAL, TRAIN = 0.217, 0.206, 28.4
"""Their means, as the document has them."""
HOURS = {
    "3m": (5.9, 5.8), "8m": (7.1, 6.6), "3s5z_vs_3s6z": (8.9, 9.4), "so_many_baneling": (9.6, 9.8),
    "8m_vs_9m": (10.3, 10.1), "corridor": (11.1, 10.4),
}  # fmt: skip
THEIR_GPU = "it was taken on an RTX 4090, which is not here"
THEIR_GAME = "it was taken with StarCraft II on an RTX 4090; there is neither here"


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)


def _hours(name: str, recipe: str, said: float) -> Test:
    def test() -> Finding:
        """Not theirs: the record of our recipe's hours for a million steps on the same map, in our own game."""
        ours = row("million_steps", map=name, recipe=recipe)["hours"]
        return untestable(f"{THEIR_GAME}; beside it are our hours in a game of our own", float(ours))

    return test


# -- training and play ------------------------------------------------------------------------------------------------


@claim("decision-01", where="Introduction", says="The search runs in training alone.", kind="statement")
def in_training_alone() -> Finding:
    """Whether our mixer gives the same twice in evaluation, and something else each time in training."""
    mixer, x = Evolving(WIDTH), torch.randn(4, 3, WIDTH)
    same = [bool(torch.equal(mixer.train(mode)(x), mixer(x))) for mode in (True, False)]
    return judged(same == [False, True], same == [False, True], "in evaluation nothing is drawn", "it is otherwise")


@claim("decision-02", where="Code reference", says="In play the mixer draws its latent vector once.", kind="statement")
def one_draw() -> Finding:
    """The largest difference between two passes in evaluation of our mixer, which does as the published code does."""
    mixer, x = Evolving(WIDTH).eval(), torch.randn(4, 3, WIDTH)
    moved = farthest(mixer(x), mixer(x))
    return judged(moved > 0, moved, "chance has a part", "nothing is drawn: the mean is taken")


@claim("decision-03", where="Model context", says="It mixes tokens, as attention does.", kind="statement")
def mixes() -> Finding:
    """The largest change of a token behind our mixer when the tokens before it are others."""
    mixer, x = Evolving(WIDTH).eval(), torch.randn(4, 3, WIDTH)
    other = torch.cat([torch.randn(4, 2, WIDTH), x[:, 2:]], 1)
    moved = farthest(mixer(x)[:, 2], mixer(other)[:, 2])
    return judged(moved > 0, moved, "it depends on them", "each token goes through by itself")


@claim(
    "decision-04",
    where="Forward skeleton",
    says="With three tokens a step it decides by what it sees.",
    kind="statement",
)
def three_tokens() -> Finding:
    """How much the third token of a step, where the decision is read, depends on the second, which is what is seen,
    behind two blocks of either mixer."""
    moved = {}
    for name in ("mhsa", "evae"):
        mixers: list[nn.Module] = [Attention(WIDTH, 2) if name == "mhsa" else Evolving(WIDTH) for _ in range(2)]
        blocks = nn.Sequential(*(Block(WIDTH, mixer) for mixer in mixers)).eval()
        x = torch.randn(4, 3, WIDTH)
        other = torch.cat([x[:, :1], torch.randn(4, 1, WIDTH), x[:, 2:]], 1)
        moved[name] = farthest(blocks(x)[:, 2], blocks(other)[:, 2])
    if moved["evae"] > 0:
        return judged(True, moved["evae"], "with either mixer", "")
    return judged(False, moved["evae"], "", f"attention moves by {moved['mhsa']:.2g}, the other decides blindly")


@claim(
    "decision-05",
    where="Training and deployment",
    says="Attention costs the same in training and in play.",
    kind="ratio",
    claimed=1.0,
)
def same_in_both() -> float:
    """Operations that torch runs for a pass of our net with attention, in training over those in evaluation."""
    module, inputs = make_net("skirmish/madt")
    return operations(module.train(), *inputs) / operations(module.eval(), *inputs)


@claim("decision-06", where="Mitigation", says="Settings of the search do not change play.", kind="statement")
def play_is_unchanged() -> Finding:
    """The same weights in evaluation, with a search of 20 candidates and with one draw."""
    one, other = Evolving(WIDTH).eval(), Evolving(WIDTH, Search(population=1, generations=0)).eval()
    other.load_state_dict(one.state_dict())
    x = torch.randn(4, 1, WIDTH)
    moved = farthest(one(x), other(x))
    return judged(moved == 0, moved, "there is no difference", "there is a difference")


# -- what is counted --------------------------------------------------------------------------------------------------


@claim("decision-07", where="Notation", says="A population is of so many.", kind="count", claimed=20)
def population() -> int:
    """The default of our search, whose algorithm is the published one."""
    return Search().population


@claim("decision-08", where="Notation", says="There are so many generations.", kind="count", claimed=3)
def generations() -> int:
    """The default of our search, whose algorithm is the published one."""
    return Search().generations


@claim("decision-09", where="Notation", says="The latent vector has half of the width.", kind="ratio", claimed=0.5)
def latent() -> float:
    """The numbers of our mixer's latent vector over its width."""
    return Evolving(WIDTH).mean.out_features / WIDTH


def _judged(judge: Judge, search: Search, part: nn.Module | None = None) -> int:
    """Evaluations of a candidate, or passes of a part, in a search written candidate by candidate."""
    seen: list[int] = []
    hook = (part or judge).register_forward_hook(lambda *_: seen.append(1))
    mean, x = torch.randn(2, judge.genes), torch.randn(2, 2 * judge.genes)
    with torch.no_grad():
        search_plainly(judge, mean, torch.ones_like(mean), x, search, draw(search, mean))
    hook.remove()
    return len(seen)


@claim(
    "decision-10", where="Complexity", says="A pass in training judges so many candidates.", kind="count", claimed=80
)
def candidates() -> int:
    """Counted in a search written as the document has it, candidate by candidate."""
    return _judged(Judge(WIDTH, WIDTH // 2), Search())


@claim("decision-11", where="Complexity", says="The search takes so many evaluations.", kind="count", claimed=80)
def needed() -> Finding:
    """Candidates that are new: the first population, and each generation's children; the elites' fitness is known."""
    search = Search()
    found = search.population + search.generations * search.children
    if found == 80:
        return judged(True, found, "all are of new candidates", "")
    return only_if(found, "elites are judged again though their fitness is known; so many are of new candidates")


@claim("decision-12", where="Complexity", says="Evaluations grow with (G + 1) times M.", kind="ratio", claimed=2.0)
def evaluations_grow() -> float:
    """Counted with 40 candidates over those with 20."""
    judge = Judge(WIDTH, WIDTH // 2)
    return _judged(judge, Search(population=40)) / _judged(judge, Search())


@claim(
    "decision-13",
    where="Complexity",
    says="A candidate's work grows with the square of the width.",
    kind="ratio",
    claimed=4.0,
    within=0.05,
)
def candidate_grows() -> float:
    """FLOPs of judging a candidate at width 64 over those at 32."""
    one, other = (
        flops(Judge(width, width // 2), torch.randn(8, width // 2), torch.randn(8, width))
        for width in (2 * WIDTH, WIDTH)
    )
    return one / other


@claim(
    "decision-14",
    where="Complexity",
    says="Attention takes 4TC^2 + 2T^2C multiplications; here for T = 60, C = 32.",
    kind="count",
    claimed=60 * 4 * WIDTH**2 + 2 * 60**2 * WIDTH,
)
def attention_work() -> int:
    """Half of the FLOPs of our attention in several operations, for one sequence."""
    return flops(PlainAttention(WIDTH, 2, fused=False), torch.randn(1, 60, WIDTH)) // 2


@claim(
    "decision-15", where="Complexity", says="The quadratic term is attention's bottleneck.", kind="ratio", claimed=0.5
)
def bottleneck() -> Finding:
    """Its share of attention's work at the published default, a context of one step with the state alone."""
    default = DecisionNet("seen", 8, "order", 4)
    tokens = default.context
    share = 2 * tokens / (4 * WIDTH + 2 * tokens)
    if share > 0.5:
        return judged(True, share, "of the work", "")
    return only_if(share, f"there are more than {2 * WIDTH} tokens; by default there is {tokens}, and it is this share")


@claim(
    "decision-16", where="Training and deployment", says="Attention looks at pairs of tokens.", kind="count", claimed=0
)
def pairs() -> Finding:
    """Weights of queries and keys that can have no gradient, in our net at the published default."""
    module, inputs = make_net("skirmish/madt")
    idle = sum(many for name, many in dead(module, inputs).items() if ".query." in name or ".key." in name)
    if not idle:
        return judged(True, 0, "all queries and keys learn", "")
    return only_if(idle, "there is more than one token; at the default's one these weights never learn")


@claim(
    "decision-17",
    where="Complexity",
    says="In play the mixer's work grows linearly with the context.",
    kind="ratio",
    claimed=2.0,
    within=0.001,
)
def play_grows() -> float:
    """FLOPs of our mixer in evaluation with 120 tokens over those with 60."""
    return flops(Evolving(WIDTH), torch.randn(1, 120, WIDTH)) / flops(Evolving(WIDTH), torch.randn(1, 60, WIDTH))


@claim(
    "decision-18",
    where="Complexity",
    says="In play a token takes about C^2 multiplications.",
    kind="ratio",
    claimed=1.0,
    within=0.5,
)
def play_work() -> float:
    """Half of our mixer's FLOPs in evaluation for one token, over the square of its width."""
    return flops(Evolving(WIDTH), torch.randn(1, 1, WIDTH)) / 2 / WIDTH**2


@claim(
    "decision-19",
    where="Complexity",
    says="Judging takes as many passes of the decoder as of the fitness net; so many of each.",
    kind="count",
    claimed="80, 80",
)
def passes() -> str:
    """Counted in a search written as the document has it, candidate by candidate."""
    judge = Judge(WIDTH, WIDTH // 2)
    return ", ".join(str(_judged(judge, Search(), part)) for part in (judge.out, judge.verdict))


# -- end to end -------------------------------------------------------------------------------------------------------

for _number, (_name, (_theirs, _own)) in enumerate(HOURS.items()):
    claim(
        f"decision-{20 + 2 * _number}",
        where="Experiment A",
        says=f"A million steps on {_name} take so many hours with attention.",
        kind="time",
        claimed=_theirs,
    )(_hours(_name, "skirmish-madt", _theirs))
    claim(
        f"decision-{21 + 2 * _number}",
        where="Experiment A",
        says=f"A million steps on {_name} take so many hours with the search.",
        kind="time",
        claimed=_own,
    )(_hours(_name, "skirmish-eva", _own))


@claim(
    "decision-32",
    where="Experiment A",
    says="On most maps the hours differ by half an hour at most.",
    kind="statement",
)
def half_an_hour() -> Finding:
    """Counted in the document's own table."""
    near = sum(abs(one - other) <= 0.5 + 1e-9 for one, other in HOURS.values())
    return judged(near > len(HOURS) / 2, near, "as its own table has it", "its own table has fewer")


@claim(
    "decision-33",
    where="Experiment A",
    says="The search hardly lengthens a training from end to end.",
    kind="ratio",
    claimed=1.0,
)
def end_to_end() -> Finding:
    """The record of a million steps on 8m in our own game: hours with the search over those with attention."""
    read = record("million_steps")
    plain, search = (row("million_steps", map="8m", recipe=f"skirmish-{name}") for name in ("madt", "eva"))
    ratio = search["hours"] / plain["hours"]
    if ratio <= 1.1:
        return judged(True, ratio, taken(read), "")
    share = plain["collect share"]
    return only_if(
        ratio,
        f"the game takes nearly all of the time; where playing is {share:.0%} of it, the search shows, {taken(read)}",
    )


@claim(
    "decision-34",
    where="Experiment A",
    says="The game decides how long a training takes, and not the mixer.",
    kind="ratio",
    claimed=0.5,
)
def game_decides() -> Finding:
    """The record of a million steps on 8m in our own game: the share of learning with the search."""
    read = record("million_steps")
    share = row("million_steps", map="8m", recipe="skirmish-eva")["learn share"]
    if share < 0.5:
        return judged(True, share, taken(read), "")
    return only_if(share, f"the game is slow; beside a compiled one learning takes this share, {taken(read)}")


# -- the mixers alone -------------------------------------------------------------------------------------------------

claim(
    "decision-35",
    where="Experiment B",
    says="Attention's mean over six maps, ms.",
    kind="time",
    claimed=MHSA,
    within=0.005,
)(worked_out(_mean(MHSA_MS)))
claim(
    "decision-36",
    where="Experiment B",
    says="The mixer's mean over six maps in play, ms.",
    kind="time",
    claimed=EVAL,
    within=0.005,
)(worked_out(_mean(EVAL_MS)))
claim(
    "decision-37",
    where="Experiment B",
    says="The mixer's mean over six maps in training, ms.",
    kind="time",
    claimed=TRAIN,
    within=0.005,
)(worked_out(_mean(TRAIN_MS)))
claim(
    "decision-38",
    where="Experiment B",
    says="By these means, training takes this many times as long.",
    kind="ratio",
    claimed=130.8,
    within=0.002,
)(worked_out(TRAIN / MHSA))
claim(
    "decision-39",
    where="Experiment B",
    says="By these means, play takes this share of attention's time.",
    kind="ratio",
    claimed=0.95,
    within=0.005,
)(worked_out(EVAL / MHSA))
claim(
    "decision-40",
    where="Experiment B",
    says="A pass of attention takes so many ms on their machine.",
    kind="time",
    claimed=MHSA,
)(unknowable(THEIR_GPU))
claim(
    "decision-41",
    where="Experiment B",
    says="A pass of the mixer in play takes so many ms on their machine.",
    kind="time",
    claimed=EVAL,
)(unknowable(THEIR_GPU))
claim(
    "decision-42",
    where="Experiment B",
    says="A pass of the mixer in training takes so many ms on their machine.",
    kind="time",
    claimed=TRAIN,
)(unknowable(THEIR_GPU))


@claim(
    "decision-43",
    where="Experiment B",
    says="In training the mixer takes this many times as long as attention.",
    kind="ratio",
    claimed=130.8,
)
def search_over_attention() -> Finding:
    """The record of both mixers on 64 rows: the search as the document writes it over attention, and ours over it."""
    read, found = record("mixers"), record("mixers")["figures"][0]
    plainly, ours = found["reference ms"] / found["mhsa ms"], found["search over mhsa"]
    if plainly >= 65 and ours < 65:
        return only_if(
            plainly, f"candidates are judged one by one; judged together it is {ours:.2g} times, {taken(read)}"
        )
    return judged(ours >= 65, ours, taken(read), f"times as long, {taken(read)}")


@claim(
    "decision-44",
    where="Experiment B",
    says="In play the mixer takes this share of attention's time.",
    kind="ratio",
    claimed=0.95,
)
def play_over_attention() -> Finding:
    """The record of both mixers on as many tokens, in contexts of 1 to 120."""
    read = record("mixers")
    rows = read["sweeps"]["context"]
    first = rows[0]["evae over mhsa"]
    if first <= 1.05:
        return judged(True, first, taken(read), "")
    longer = next((each["context"] for each in rows if each["evae over mhsa"] <= 1.05), None)
    if longer is None:
        return judged(False, first, "", f"times its time, {taken(read)}")
    return only_if(
        first, f"the context is {longer} tokens or more; at the default's one it is this share, {taken(read)}"
    )


@claim(
    "decision-45",
    where="Experiment B",
    says="Whatever the map, the search takes about as long; longest over shortest.",
    kind="ratio",
    claimed=max(TRAIN_MS) / min(TRAIN_MS),
)
def all_maps() -> Finding:
    """The record of the search as the document writes it, with each map's number of agents."""
    read = record("mixers")
    times = [row("mixers", "maps", map=name)["reference ms"] for name in MAPS]
    spread = max(times) / min(times)
    if spread < 1.2:
        return judged(True, spread, taken(read), "")
    return only_if(
        spread, f"calls cost more than what they compute, as on a GPU; on a CPU more agents take longer, {taken(read)}"
    )


def _exponent(what: str) -> Finding:
    read = record("mixers")
    found = row("mixers", "exponents", side="reference", **{"time by": what})["exponent"]
    near = agrees(found, 1.0, 0.1)
    return Finding(found, near.verdict, f"written candidate by candidate, {near.why}, {taken(read)}")


@claim(
    "decision-46",
    where="Mitigation",
    says="Its time grows with this power of the population.",
    kind="count",
    claimed=1.0,
)
def by_population() -> Finding:
    """The record of the search as the document writes it, over five populations: the slope of the logarithms."""
    return _exponent("population")


@claim(
    "decision-47",
    where="Mitigation",
    says="Its time grows with this power of the generations and one.",
    kind="count",
    claimed=1.0,
)
def by_generations() -> Finding:
    """The record of the search as the document writes it, over four numbers of generations: the slope of the
    logarithms."""
    return _exponent("generations + 1")


@claim(
    "decision-48",
    where="Mitigation",
    says="Judging candidates together is this many times as fast.",
    kind="ratio",
    claimed=1.0,
)
def together() -> Finding:
    """The record of both on 64 rows: candidate by candidate, over all together."""
    read = record("mixers")
    found = reaches(read["figures"][0]["reference over search"], 1.0)
    return Finding(found.measured, found.verdict, taken(read))


@claim(
    "decision-49",
    where="Summary",
    says="In play the mixer gains on attention as the context grows.",
    kind="ratio",
    claimed=1.0,
)
def gains() -> Finding:
    """The record of both mixers in play: attention's time over the mixer's at 120 tokens, over that at one."""
    read = record("mixers")
    rows = read["sweeps"]["context"]
    gained = rows[0]["evae over mhsa"] / rows[-1]["evae over mhsa"]
    return judged(gained > 1.1, gained, taken(read), taken(read))


@claim("decision-50", where="Mitigation", says="Half precision shortens the search.", kind="ratio", claimed=1.0)
def half_precision() -> Finding:
    """Not at all: the document means a GPU."""
    return untestable(THEIR_GPU)
