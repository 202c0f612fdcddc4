"""Claims of the paper on what communication costs where many agents learn."""

from __future__ import annotations

import math

import torch

from velodrome.audit.claim import Finding, Test, agrees, claim, judged, only_if, unknowable, worked_out
from velodrome.audit.measure import flops
from velodrome.audit.records import record, row, taken
from velodrome.nets.graphs import Form, GraphNet
from velodrome.nets.minds import WIDTH
from velodrome.nets.tom2c import Minds, Sensors
from velodrome.recipes import find

NODES, HIDDEN = 3 * WIDTH, 288
"""Widths of the published graph net: of a node, and within."""
LEARNT, GRAPH = "ToM2C, coverage", "NeurComm, catch-up"
PUBLISHED = "as published"
SAID_LEARNT, SAID_GRAPH = 0.258, 0.722


def _graph_flops(agents: int, form: Form) -> int:
    """Of deciding who tells whom, once."""
    shape = (1, agents, NODES) if form == "shared" else (1, agents, agents, NODES)
    return flops(GraphNet(NODES, HIDDEN, form), torch.randn(shape))


def _doubled(form: Form, agents: int = 8) -> float:
    """The work of twice as many agents over that of so many."""
    return _graph_flops(2 * agents, form) / _graph_flops(agents, form)


def _scheme(recipe: str) -> tuple[str, str]:
    """How a recipe of ours trains, and how its agents communicate when they act."""
    found = find(recipe)
    assert found.team is not None
    scheme = found.team.scheme_of(found.settings())
    return scheme.training, scheme.communication


def _recorded(system: str, column: str, said: float) -> Test:
    def test() -> Finding:
        """The record of the published form at eight agents, timed in spans."""
        read = record("communication")
        found = float(row("communication", system=system, form=PUBLISHED)[column])
        near = agrees(found, said, 0.25)
        return Finding(found, near.verdict, f"{near.why}, {taken(read)}")

    return test


# -- how much of the time ---------------------------------------------------------------------------------------------

claim(
    "many-01",
    where="Key results",
    says="Learnt communication takes this share of acting in ToM2C.",
    kind="ratio",
    claimed=SAID_LEARNT,
)(_recorded(LEARNT, "broad", SAID_LEARNT))
claim(
    "many-02",
    where="Key results",
    says="Learnt communication takes this share of training in ToM2C.",
    kind="ratio",
    claimed=0.47,
)(_recorded(LEARNT, "all, broad", 0.47))
claim(
    "many-03",
    where="Key results",
    says="Communication along a graph takes this share of acting in NeurComm.",
    kind="ratio",
    claimed=SAID_GRAPH,
)(_recorded(GRAPH, "broad", SAID_GRAPH))


@claim(
    "many-04", where="Mechanism 1", says="Its time can be told apart from that of everything else.", kind="statement"
)
def told_apart() -> Finding:
    """The record: the share of acting that goes when agents of ToM2C tell each other nothing, over the share that spans
    give communication in the narrow sense."""
    read, found = record("communication"), row("communication", system=LEARNT, form=PUBLISHED)
    if not found["ablation"]:
        return only_if(None, "it is timed in spans: without it the agents do something else")
    share = float(found["ablation"]) / float(found["collecting, narrow"])
    why = f"of what spans say, {taken(read)}"
    return judged(0.75 <= share <= 1.25, share, why, why)


@claim(
    "many-05",
    where="Design tradeoffs",
    says="Learnt communication costs more than that along a given graph.",
    kind="ratio",
    claimed=1.0,
)
def learnt_costs_more() -> Finding:
    """The paper's own shares: learnt over given."""
    share = SAID_LEARNT / SAID_GRAPH
    return judged(share > 1, share, "by its own figures", "by its own figures it takes less")


claim("many-06", where="Confidence", says="No share that was measured is less than this.", kind="ratio", claimed=0.258)(
    worked_out(min(SAID_LEARNT, 0.47, SAID_GRAPH))
)

# -- how it grows -----------------------------------------------------------------------------------------------------


@claim(
    "many-07",
    where="Key results",
    says="ToM2C's update takes this many times as long with twice the agents.",
    kind="ratio",
    claimed=8.0,
)
def update_doubled() -> Finding:
    """The record of the published form at two to sixteen agents: growth for each doubling."""
    read = record("communication")
    found = float(row("communication", system=LEARNT, form=PUBLISHED)["update per doubling"])
    near = agrees(found, 8.0, 0.25)
    return Finding(found, near.verdict, f"{near.why}, {taken(read)}")


@claim(
    "many-08",
    where="Mechanism 2",
    says="Its communication is this many times the work with twice the agents.",
    kind="ratio",
    claimed=8.0,
    within=0.05,
)
def work_doubled() -> float:
    """FLOPs of the published graph net at sixteen agents over those at eight."""
    return _doubled("reference")


@claim(
    "many-09",
    where="Mechanism 2",
    says="Its work grows with this power of the agents: it is quadratic.",
    kind="count",
    claimed=2.0,
    within=0.1,
)
def power() -> float:
    """The binary logarithm of that growth: each agent judges the edges of a graph of its own, so it is cubic."""
    return math.log2(_doubled("reference"))


claim(
    "many-10",
    where="Mechanism 2",
    says="Quadratic growth explains eightfold time for twice the agents.",
    kind="ratio",
    claimed=8.0,
)(worked_out(2.0**2))


@claim("many-11", where="Mechanism 2", says="Sparser communication grows more slowly.", kind="ratio", claimed=8.0)
def sparser() -> Finding:
    """FLOPs at sixteen agents over those at eight, with one graph for all in place of one for each."""
    found = _doubled("shared")
    return judged(found < 0.9 * 8, found, "with one graph for all, which is another algorithm", "as fast")


@claim(
    "many-12",
    where="Mechanism 1",
    says="What can be worked out beforehand need not be paid each time.",
    kind="ratio",
    claimed=1.0,
)
def factored() -> Finding:
    """FLOPs of the published graph net at eight agents, over those of the same function with each layer over pairs
    multiplied once a node."""
    found = _graph_flops(8, "reference") / _graph_flops(8, "factored")
    return judged(found > 1.1, found, "so many times less work with the same outcome", "it saves nothing")


@claim(
    "many-13",
    where="Failure signatures",
    says="Each agent's share of the work grows with their number.",
    kind="ratio",
    claimed=1.0,
)
def each_agents_work() -> Finding:
    """FLOPs of the published graph net for each agent, at sixteen over those at four."""
    found = (_graph_flops(16, "reference") / 16) / (_graph_flops(4, "reference") / 4)
    return judged(found > 1, found, "each has so many times as much to do", "it does not")


@claim("many-14", where="Confidence", says="Beyond eight agents it may grow otherwise.", kind="ratio", claimed=8.0)
def beyond_eight() -> Finding:
    """FLOPs of the published graph net at 32 agents over those at sixteen, if these are another power."""
    found = _doubled("reference", 16)
    return judged(abs(found - 8) > 0.4, found, "by another power", "it goes on by the same power")


# -- kinds of learning ------------------------------------------------------------------------------------------------


@claim(
    "many-15",
    where="Taxonomy",
    says="MADDPG trains centrally, and its agents tell each other nothing in play.",
    kind="statement",
    claimed="centralised, none",
)
def maddpg() -> str:
    """The scheme of our recipe: what each agent learns from, and what of others enters its decisions."""
    return ", ".join(_scheme("spread-maddpg"))


@claim(
    "many-16",
    where="Taxonomy",
    says="ToM2C trains centrally and learns what to tell.",
    kind="statement",
    claimed="centralised, learnt",
)
def tom2c() -> str:
    """The scheme of our recipe: what each agent learns from, and what of others enters its decisions."""
    return ", ".join(_scheme("coverage-tom2c"))


@claim(
    "many-17",
    where="Taxonomy",
    says="NeurComm trains in a decentralised way along a given graph.",
    kind="statement",
    claimed="decentralised, graph",
)
def neurcomm() -> str:
    """The scheme of our recipe: what each agent learns from, and what of others enters its decisions."""
    return ", ".join(_scheme("platoon-neurcomm"))


@claim(
    "many-18", where="Mechanism 3", says="Central training does away with communication when acting.", kind="statement"
)
def central_training() -> Finding:
    """The schemes of our two recipes that train centrally."""
    quiet, telling = _scheme("spread-maddpg"), _scheme("coverage-tom2c")
    ok = [communication == "none" for _, communication in (quiet, telling)]
    if ok == [True, False]:
        return only_if(
            ", ".join((quiet[1], telling[1])),
            "the agents learn no messages: MADDPG's are silent in play, ToM2C's are not",
        )
    return judged(all(ok), ", ".join((quiet[1], telling[1])), "", "neither is silent")


@claim(
    "many-19", where="First experiments", says="Each of the three runs with one agent as a baseline.", kind="statement"
)
def one_agent() -> Finding:
    """Our ToM2C, asked for one agent."""
    try:
        Sensors(1, 2, Minds())
    except ValueError:
        return judged(False, False, "", "ToM2C has nobody to think of then")
    return judged(True, True, "", "")


# -- what it leaves open ----------------------------------------------------------------------------------------------

claim("many-20", where="Method", says="It was measured on a multi-core CPU.", kind="statement")(
    unknowable("it names neither the processor nor the number of cores")
)
claim("many-21", where="Key results", says="Throughput was measured, in iterations a second.", kind="statement")(
    unknowable("the document tells no figure of it")
)
claim("many-22", where="Limitations", says="On a GPU other parts may be the slow ones.", kind="statement")(
    unknowable("it takes a GPU, and the records of ours are of a CPU")
)
