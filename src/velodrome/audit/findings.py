"""Ten findings that a reader would most want to know: a sentence and a picture each, with the figures of verdicts.

A sentence is written for one verdict. Should a claim get another one, the page says what the claim says, and that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

from velodrome.audit.claim import Claim, Verdict
from velodrome.audit.tell import NEVER, sentence
from velodrome.audit.verdicts import Verdict as Kept
from velodrome.show.words import said

Figures = Callable[[str], float]
"""What was measured for the claim of that id."""


@dataclass(frozen=True)
class Bar:
    """A line of a picture; what a document says is drawn hollow."""

    name: str
    value: float
    claimed: bool = False


@dataclass(frozen=True)
class Told:
    """A finding as it is shown."""

    id: str
    says: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Topic:
    """What a finding is about."""

    id: str
    verdict: Verdict
    """For which it is written."""
    says: str
    """With `{}` for what is claimed, what was measured, and then `more`."""
    claimed: str
    """What the hollow bar is called; nothing, where there is no such figure."""
    measured: str
    more: tuple[tuple[str, str, Callable[[Figures], float]], ...] = ()
    """Names of further bars, the format of their figures in the sentence, and what they are."""


def _of(id: str) -> Callable[[Figures], float]:
    return lambda figure: figure(id)


TOPICS = (
    Topic(
        "hearts-39",
        "holds",
        "All that the Hearts report advises, taken together, makes training {1} times as fast; it promised {0}, and "
        "the agents play no worse.",
        "promised",
        "measured",
    ),
    Topic(
        "hearts-06",
        "does not hold",
        "Going back through the net and moving its weights take {1} of a Hearts iteration, where the report estimates "
        "{0}; playing takes {2}, not a fifth.",
        "learning, by the report",
        "learning, measured",
        (("playing, measured", "{:.2g}", _of("hearts-05")),),
    ),
    Topic(
        "hearts-25",
        "does not hold",
        "The plain net that is to be the fastest choice takes {1} times as long as the smallest attention net.",
        "",
        "the plain net",
        (("the smallest attention net", "{:.0f}", lambda figure: 1.0),),
    ),
    Topic(
        "territory-29",
        "does not hold",
        "Of the {0} parameters of the map net's cross-attention only {1} ever learn: its softmax has a single key.",
        "parameters",
        "parameters that learn",
    ),
    Topic(
        "territory-49",
        "does not hold",
        "A map net with {2} times fewer parameters is {1} times as fast: convolutions take the time, not parameters.",
        "",
        "times as fast",
        (("times fewer parameters", "{:.0f}", _of("territory-21")),),
    ),
    Topic(
        "arena-05",
        "does not hold",
        "The real-time bot has {1} parameters, not {0}: its layers do not add up to what is said of them.",
        "said",
        "counted",
    ),
    Topic(
        "arena-48",
        "does not hold",
        "In play Hyena is {1} times as fast as Mamba, not {0}: it has no step, and sees the whole past each frame.",
        "promised",
        "measured",
    ),
    Topic(
        "arena-25",
        "does not hold",
        "Flash attention makes the bot's attention {1} times as fast, not {0}: over sixty samples there is nothing to "
        "save.",
        "promised",
        "measured",
    ),
    Topic(
        "many-09",
        "does not hold",
        "The work of learnt communication grows with the power {1} of the agents, not {0}: everyone draws a graph "
        "of all.",
        "power, said",
        "power, measured",
    ),
    Topic(
        "decision-43",
        "holds only if",
        "The evolutionary search takes {1} times as long as attention only if candidates are judged one by one; judged "
        "together, {2} times.",
        "said",
        "one by one",
        (("all together", "{:.2g}", lambda figure: figure("decision-43") / figure("decision-48")),),
    ),
)


def told(topic: Topic, claims: Mapping[str, Claim], verdicts: Mapping[str, Kept]) -> Told:
    """The finding as the verdicts are."""
    claim, kept = claims[topic.id], verdicts.get(topic.id)
    if kept is None:
        return Told(topic.id, f"{claim.says} {NEVER}.", ())
    if kept.finding.verdict != topic.verdict:
        return Told(topic.id, f"{claim.says} This {sentence(kept.finding)}.", ())

    def figure(id: str) -> float:
        measured = verdicts[id].finding.measured
        assert isinstance(measured, int | float)
        return float(measured)

    more = [(name, form, of(figure)) for name, form, of in topic.more]
    numbers = [said(claim.claimed), said(kept.finding.measured), *(form.format(value) for _, form, value in more)]
    hollow = [Bar(topic.claimed, float(claim.claimed), claimed=True)] if topic.claimed else []  # type: ignore[arg-type]
    bars = [*hollow, Bar(topic.measured, figure(topic.id)), *(Bar(name, value) for name, _, value in more)]
    return Told(topic.id, topic.says.format(*numbers), tuple(bars))


def findings(claims: Mapping[str, Claim], verdicts: Mapping[str, Kept]) -> list[Told]:
    """All ten."""
    return [told(topic, claims, verdicts) for topic in TOPICS]


# -- their pictures ---------------------------------------------------------------------------------------------------

WIDE, LINE, NAMES, LONGEST = 560, 30, 210, 262
"""The picture's width and the height of a bar's line; where bars begin, and how long the longest is."""
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:var(--quiet,#7b838d)}.own{fill:var(--own,#3d7fc4)}"
    ".said{fill:none;stroke:var(--hollow,#8a929b);stroke-width:1.5}"
)


def picture(one: Told) -> str:
    """Its bars as an SVG that needs nothing else; empty where there are none."""
    if not one.bars:
        return ""
    highest = max(bar.value for bar in one.bars)
    lines = [_line(number, bar, highest) for number, bar in enumerate(one.bars)]
    names = "; ".join(f"{bar.name}: {said(_whole(bar.value))}" for bar in one.bars)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {LINE * len(lines)}" width="{WIDE}" '
            f'role="img" aria-label="{escape(names)}">',
            f"<style>{STYLE}</style>",
            *lines,
            "</svg>",
        ]
    )


def _line(number: int, bar: Bar, highest: float) -> str:
    top, length = LINE * number, max(2.0, LONGEST * bar.value / highest)
    kind = "said" if bar.claimed else "own"
    return (
        f'<text x="{NAMES - 10}" y="{top + 20}" text-anchor="end">{escape(bar.name)}</text>'
        f'<rect class="{kind}" x="{NAMES}" y="{top + 6}" width="{length:.1f}" height="{LINE - 12}" rx="2"/>'
        f'<text x="{NAMES + length + 8:.1f}" y="{top + 20}">{said(_whole(bar.value))}</text>'
    )


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value
