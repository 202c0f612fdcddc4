"""The report of a run: one page that opens offline, and the same as Markdown.

`story` reads the run folder, this module decides what is said and in which order, the templates how it looks.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from velodrome import __version__
from velodrome.meter.budget import UNACCOUNTED, Phase
from velodrome.show.charts import Chart, Series, Strip, Tick, line_chart, number, phase_colour, strips
from velodrome.show.facts import keep_facts
from velodrome.show.story import UNITS, Record, Score, Story, flat, read, rolling_median
from velodrome.show.words import amount, duration, listed, measured, several, share, short, size

Rows = list[list[str]]

SIGNS = (
    ("entropy", "Entropy of the policy", "nats"),
    ("kl", "KL from the policy that collected", "nats"),
    ("explained_variance", "Explained variance of the value", "1 is a perfect forecast"),
    ("gradient_norm", "Gradient norm", "before clipping"),
    ("score", "Score in training play", ""),
    ("memory_mb", "Memory", "MB"),
)
"""The metrics that people look for first: name, title, unit."""


@dataclass(frozen=True)
class Part:
    """A stretch of the budget bar."""

    name: str
    percent: float
    text: str
    colour: str
    striped: bool


@dataclass(frozen=True)
class Card:
    """What one net costs."""

    name: str
    says: str
    head: list[str]
    rows: Rows
    latency_head: list[str]
    latency_rows: Rows


@dataclass(frozen=True)
class Picture:
    """A position, or what of it a net looks at."""

    title: str
    data: str
    """PNG in base64."""


@dataclass(frozen=True)
class Table:
    """A table of the Markdown report."""

    title: str
    head: list[str]
    rows: Rows
    note: str = ""
    numbers_from: int = 1


@dataclass
class Page:
    """Everything that the templates show. What a run does not have stays empty and is left out."""

    title: str
    folder: str
    seed: str
    version: str = __version__
    verdict: list[str] = field(default_factory=list)
    bar: list[Part] = field(default_factory=list)
    bar_says: str = ""
    curve: Chart | None = None
    strips: list[Strip] = field(default_factory=list)
    strip_names: list[str] = field(default_factory=list)
    strip_ticks: list[Tick] = field(default_factory=list)
    score_head: list[str] = field(default_factory=list)
    score_rows: Rows = field(default_factory=list)
    score_note: str = ""
    budget_head: list[str] = field(default_factory=list)
    budget_rows: Rows = field(default_factory=list)
    budget_note: str = ""
    pace: Chart | None = None
    rate_head: list[str] = field(default_factory=list)
    rate_rows: Rows = field(default_factory=list)
    rate_note: str = ""
    small: list[Chart] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    looks: list[tuple[str, list[Picture]]] = field(default_factory=list)
    """Rows of pictures, and what each row shows."""
    trust: list[Chart] = field(default_factory=list)
    verdict_head: list[str] = field(default_factory=list)
    verdict_rows: Rows = field(default_factory=list)
    machine_rows: Rows = field(default_factory=list)
    setting_rows: Rows = field(default_factory=list)

    @property
    def tables(self) -> list[Table]:
        """The page as the tables of its Markdown version."""
        found = [
            Table("How well it plays", self.score_head, self.score_rows, self.score_note),
            Table("Where the time went", self.budget_head, self.budget_rows, self.budget_note),
            Table("Throughput", self.rate_head, self.rate_rows, self.rate_note),
            *(Table(chart.title, chart.head, chart.rows, chart.y_label, 0) for chart in self.charts),
            *(Table(f"What {card.name} costs", card.head, card.rows, card.says) for card in self.cards),
            *(Table(f"How fast {card.name} is", card.latency_head, card.latency_rows) for card in self.cards),
            Table("Changes tried", self.verdict_head, self.verdict_rows, numbers_from=9),
            Table("Machine", ["what", "which"], self.machine_rows, numbers_from=9),
            Table("Settings", ["setting", "value"], self.setting_rows, numbers_from=9),
        ]
        return [table for table in found if table.rows]

    @property
    def charts(self) -> list[Chart]:
        """The line charts that there are."""
        return [chart for chart in (self.curve, self.pace, *self.small, *self.trust) if chart is not None]


def write_report(run_folder: Path | str) -> dict[str, Path]:
    """Write report.html and report.md into the run folder; returns their paths under `html` and `markdown`."""
    folder = Path(run_folder)
    keep_facts(folder)
    page = page_of(read(folder))
    paths = {"html": folder / "report.html", "markdown": folder / "report.md"}
    write_whole(paths["html"], render_html(page))
    write_whole(paths["markdown"], render_markdown(page))
    return paths


def render_html(page: Page) -> str:
    """The self-contained page."""
    return environment().get_template("report.html").render(page=page).lstrip()


def render_markdown(page: Page) -> str:
    """The same for places that show Markdown."""
    return markdown_environment().get_template("report.md").render(page=page).rstrip() + "\n"


def page_of(story: Story) -> Page:
    """Decide what the report of this run says."""
    page = Page(title=story.recipe, folder=story.folder.name, seed=str(story.config.get("seed", "")))
    page.verdict = verdict(story)
    if story.budgets:
        page.bar, page.bar_says = _bar(story)
        page.budget_head, page.budget_rows = _budget_table(story)
        page.budget_note = _budget_note(story)
    _add_scores(page, story)
    _add_throughput(page, story)
    page.small = [chart for name, title, unit in SIGNS if (chart := _sign(story, name, title, unit)) is not None]
    page.cards = [_card(model) for model in story.cards]
    page.looks = _looks(story)
    page.trust = [chart for found in story.trust if (chart := _trust(found)) is not None]
    page.verdict_head, page.verdict_rows = _verdict_table(story.verdicts)
    page.machine_rows = pairs(flat(story.config.get("machine") or {}))
    page.setting_rows = pairs(_told(story.config) | flat(story.config.get("settings") or {}))
    return page


def _looks(story: Story) -> list[tuple[str, list[Picture]]]:
    return [
        (f"{name}, {look['position']}", [Picture(title, data) for title, data in look["pictures"].items()])
        for name, looks in story.looks.items()
        for look in looks
    ]


def _trust(found: Record) -> Chart | None:
    errors = [math.sqrt(right * (1 - right) / n) for right, n in zip(found["right"], found["times"], strict=True)]
    series = [
        Series("as often right as it says", [0.0, 1.0], [0.0, 1.0]),
        Series("this net", found["said"], found["right"], [2 * error for error in errors], dots=True),
    ]
    says = (
        f"How often the {found['of']} is right, by how sure of it the net is: {number(found['off'])} off in the mean, "
        f"over {several(sum(found['times']), 'times')} in games that the agent played to their end."
    )
    return line_chart(f"Its {found['of']}", "how sure it is", "part in which it is right", series, says=says)


def verdict(story: Story) -> list[str]:
    """The run in a few sentences: what was trained, for how long, how good it is, where its time went."""
    if not story.points:
        return [f"{story.recipe} has not finished an iteration yet."]
    return [sentence for sentence in (_trained(story) + _plays(story), _spent(story), _worked(story)) if sentence]


def _trained(story: Story) -> str:
    scheme = story.config.get("scheme")
    who = f"{story.recipe} ({scheme})" if scheme else story.recipe
    return f"{who} trained for {duration(story.seconds)} on {story.config.get('device', 'an unknown device')}"


def _plays(story: Story) -> str:
    latest = story.latest()
    if not latest:
        return f". How well it plays is not known yet: velodrome evaluate {story.folder.name} --against random"
    first, *others = latest
    told = [f"{_own(score)} against {opponent(score)}" for score in others]
    rest = f" It scores {listed(told)}." if told else ""
    own = f"{_own(first)} {first.score_name}"
    return f" and scores {own} against {opponent(first)}{_beside(first)}; {first.better} is better.{rest}"


def _own(score: Score) -> str:
    return measured(score.score, score.half)


def _beside(score: Score) -> str:
    """What other players reach against the same opponent."""
    told = [f"the {name} bot {number(value)}" for name, (value, _) in score.baselines.items() if name != score.against]
    return f" ({listed(told)})" if told else ""


def opponent(score: Score) -> str:
    """An opponent as a sentence names it: a bot, or the run in a folder."""
    return f"the run {Path(score.against).name}" if os.sep in score.against else f"{score.against} bots"


def _spent(story: Story) -> str:
    if not story.budgets:
        return ""
    largest = sorted(_parts(story), key=lambda part: -part[1])[:3]
    told = [f"{name} ({share(fraction)})" for name, fraction in largest]
    return f"Most of the time went to {listed(told)}."


def _worked(story: Story) -> str:
    counted = [several(total, name) for unit, name in UNITS.items() if (total := story.total(unit))]
    return f"{listed([several(story.iterations, 'iterations'), *counted])}."


def _parts(story: Story) -> list[tuple[str, float]]:
    """The budget as `(phase, share)`, everything under warming up and compiling taken together."""
    budget = story.budget
    parts: dict[str, float] = {}
    for phase in budget.phases:
        name = phase.name.split(".")[0] if _starts_up(phase.name) else phase.name
        parts[name] = parts.get(name, 0.0) + phase.share
    return [*parts.items(), (UNACCOUNTED, budget.unaccounted_share)]


def _bar(story: Story) -> tuple[list[Part], str]:
    parts = [
        Part(name, round(100 * fraction, 3), share(fraction), phase_colour(name), name == UNACCOUNTED)
        for name, fraction in _parts(story)
    ]
    return parts, "Shares of the training's wall clock: " + listed([f"{part.name} {part.text}" for part in parts])


def _budget_table(story: Story) -> tuple[list[str], Rows]:
    budget = story.budget
    rows = [_phase_row(phase) for phase in budget.phases if phase.samples and not _starts_up(phase.name)]
    starting = sum(phase.seconds for phase in budget.phases if _starts_up(phase.name))
    if starting:
        rows.insert(0, ["warm-up and compiling", f"{starting:,.2f}", share(starting / budget.wall_s), "", ""])
    rows.append([UNACCOUNTED, f"{budget.unaccounted:,.2f}", share(budget.unaccounted_share), "", ""])
    rows.append(["wall clock", f"{budget.wall_s:,.2f}", "100 %", f"{len(story.budgets):,} iterations", ""])
    return ["phase", "seconds", "share", "samples", "each"], rows


def _starts_up(phase: str) -> bool:
    """Whether it is a row of the first iteration, which is told apart."""
    return phase.split(".")[0] in ("warm-up", "compile")


def _phase_row(phase: Phase) -> list[str]:
    each = short(phase.seconds / phase.samples)
    return [phase.name, f"{phase.seconds:,.2f}", share(phase.share), f"{phase.samples:,}", each]


def _budget_note(story: Story) -> str:
    budget = story.budget
    beside = f" Beside it ran {listed(sorted(budget.tracks))}." if budget.tracks else ""
    return (
        f"Phases and the unaccounted row add up to the wall clock of the coordinating thread. Reading the clock took "
        f"{share(budget.overhead_share)} of it, inside the rows.{beside}"
    )


def _add_scores(page: Page, story: Story) -> None:
    latest = story.latest()
    if not latest:
        return
    page.curve = _curve(story)
    names = list(dict.fromkeys(name for score in latest for name in score.baselines))
    page.strips, page.strip_ticks = strips([(opponent(score), _marks(score, names)) for score in latest])
    page.strip_names = ["this run", *(f"the {name} bot" for name in names)]
    first = latest[0]
    page.score_head = ["against", first.score_name, *(f"the {name} bot" for name in names), "starts", "standard error"]
    page.score_rows = [_score_row(score, names) for score in latest]
    rotated = f" Each start is played {first.duplicate} times, the seats rotated." if first.duplicate > 1 else ""
    page.score_note = f"Intervals are two standard errors to each side; {first.better} is better.{rotated}"


def _marks(score: Score, names: Sequence[str]) -> list[tuple[str, float, float, int]]:
    trivial = [(f"the {name} bot", value, 0.0, 1 + names.index(name)) for name, (value, _) in score.baselines.items()]
    return [*trivial, ("this run", score.score, score.half, 0)]


def _score_row(score: Score, names: Sequence[str]) -> list[str]:
    beside = [number(score.baselines[name][0]) if name in score.baselines else "" for name in names]
    return [opponent(score), _own(score), *beside, f"{score.episodes:,}", number(score.stderr)]


def _curve(story: Story) -> Chart | None:
    """The score over the training, where it was taken more than once."""
    moments = {score.against: [one for one in story.scores if one.against == score.against] for score in story.scores}
    repeated = {name: taken for name, taken in moments.items() if len({one.seconds for one in taken}) > 1}
    if not repeated:
        return None
    longest = max(taken[-1].seconds for taken in repeated.values())
    word, unit = _time_unit(longest)
    series = [
        Series(f"against {opponent(taken[-1])}", [one.seconds / unit for one in taken], [one.score for one in taken],
               [one.half for one in taken], dots=True)
        for taken in repeated.values()
    ]  # fmt: skip
    last = max(story.scores, key=lambda one: one.seconds if one.against in repeated else -1.0)
    levels = [(f"the {name} bot", value) for name, (value, _) in last.baselines.items()] if len(series) == 1 else []
    ends = listed([f"{one.name} from {number(one.y[0])} to {number(one.y[-1])}" for one in series])
    return line_chart(
        "Learning curve", f"training time, {word}", f"{last.score_name}, {last.better} is better", series, levels,
        says=f"{last.score_name} over {duration(longest)} of training: {ends}",
    )  # fmt: skip


def _time_unit(seconds: float) -> tuple[str, float]:
    return ("seconds", 1.0) if seconds < 180 else ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)


def _sign(story: Story, name: str, title: str, unit: str) -> Chart | None:
    x, y = story.metric(name)
    if len(x) < 2:
        return None
    word, length = _time_unit(x[-1])
    series = Series(title, [at / length for at in x], y)
    says = f"{title}: from {number(y[0])} to {number(y[-1])}"
    return line_chart(title, f"training time, {word}", unit, [series], says=says)


def _add_throughput(page: Page, story: Story) -> None:
    seconds = np.array([budget.wall_s for budget in story.budgets])
    if not len(seconds):
        return
    window = max(3, min(50, len(seconds) // 10))
    x = list(range(1, len(seconds) + 1))
    slow = float(np.percentile(seconds, 95))
    page.pace = line_chart(
        "Time an iteration takes", "iteration", "seconds",
        [Series("each", x, list(seconds)), Series(f"median of the last {window}", x, rolling_median(seconds, window))],
        says=f"Seconds an iteration takes: median {number(float(np.median(seconds)))}, 95 % take under {number(slow)}",
        from_zero=True,
    )  # fmt: skip
    page.rate_head = ["", "whole run", "median iteration", "slow iteration (p95)"]
    page.rate_rows = _rate_rows(story, seconds)
    page.rate_note = "The whole run divides all work by all time; the slow iteration is the one that 95 % of them beat."
    if story.profile:
        _add_profile(page, story.profile)


def _rate_rows(story: Story, seconds: NDArray[np.float64]) -> Rows:
    middle, slow = float(np.median(seconds)), float(np.percentile(seconds, 95))
    rows = []
    for unit, name in UNITS.items():
        rates = story.rates(unit)
        if len(rates):
            told = (story.total(unit) / seconds.sum(), np.median(rates), np.percentile(rates, 5))
            rows.append([f"{name}/s", *(number(float(rate)) for rate in told)])
    rows.append(["iterations/s", number(len(seconds) / seconds.sum()), number(1 / middle), number(1 / slow)])
    rows.append(["seconds/iteration", number(float(seconds.mean())), number(middle), number(slow)])
    return rows


def _add_profile(page: Page, profile: Record) -> None:
    """Beside the speeds of the training those of `velodrome profile`, taken without spans."""
    speeds = {name.replace("_per_s", "/s").replace("_", " "): rate for name, rate in profile["throughput"].items()}
    page.rate_head.append("profiled, no spans")
    for row in page.rate_rows:
        row.append(number(speeds[row[0]]) if row[0] in speeds else "")
    page.rate_rows[-1][-1] = number(profile["plain"]["iteration_s"]["p50"])
    page.rate_note += (
        f" The last column is from {several(profile['iterations'], 'iterations')} without spans, profiled afterwards; "
        f"that process held {number(profile['memory_mb'])} MB at most."
    )


def _card(model: Record) -> Card:
    dead = model.get("dead_parameters", 0)
    says = [
        f"{model['parameters']:,} parameters, {size(model['bytes'])}, {amount(model['flops'])} FLOPs a sample",
        f"{dead:,} parameters are dead: they never get a gradient" if dead else "no dead parameters",
        *model.get("notes", []),
    ]
    parts = [
        [part["name"], f"{part['parameters']:,}", _flops(part["flops"]), number(part["forward_us"])]
        for part in model["components"]
    ]
    return Card(
        name=str(model["name"]),
        says="; ".join(says) + ".",
        head=["component", "parameters", "FLOPs", f"forward of {model.get('batch', 1)}, us"],
        rows=parts,
        latency_head=["batch", "forward, us", "p95", "and backward, us", "p95", "of the ceiling", "bound by"],
        latency_rows=[_latency(latency) for latency in model.get("latencies", [])],
    )


def _latency(latency: Record) -> list[str]:
    times = [latency["forward_us"], latency["train_us"] or {}]
    told = [number(each[key]) if key in each else "" for each in times for key in ("p50", "p95")]
    return [f"{latency['batch']:,}", *told, share(latency["ceiling_share"]), latency["bound"]]


def _flops(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _verdict_table(verdicts: list[Record]) -> tuple[list[str], Rows]:
    """The changes as they were recorded: one column a key, since each verdict carries its own evidence."""
    shown = [key for line in verdicts for key, value in line.items() if not isinstance(value, (dict, list))]
    head = list(dict.fromkeys(shown))
    return head, [[_said(line.get(key, "")) for key in head] for line in verdicts]


def _told(config: Record) -> Record:
    return {
        key: config[key] for key in ("recipe", "scheme", "seed", "device", "velodrome") if config.get(key, "") != ""
    }


def pairs(values: Record) -> Rows:
    """Names and values as rows."""
    return [[name, _said(value)] for name, value in values.items() if value is not None]


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def environment(**options: Any) -> jinja2.Environment:
    """For pages."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("velodrome.show"), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, **({"autoescape": True} | options),
    )  # fmt: skip


def script_of(*names: str) -> tuple[Markup, str]:
    """These scripts as one, to stand in a page, and the hash by which its policy lets it run."""
    script = "\n".join(
        files("velodrome.show").joinpath("templates", name).read_text(encoding="utf-8") for name in names
    )
    return Markup(script), base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def markdown_environment() -> jinja2.Environment:
    """For Markdown."""
    return environment(autoescape=False, finalize=_markdown_text)


_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*[]|"} | {"<": "&lt;", "&": "&amp;"})


def _markdown_text(value: Any) -> Any:
    """Whatever a template prints, with nothing in it that Markdown or HTML would take for markup."""
    return " ".join(str(value).split()).translate(_MARKDOWN)


def write_whole(path: Path, text: str) -> None:
    """Whole or not at all, so that a full disk leaves the last report standing."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
