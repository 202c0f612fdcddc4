from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from folders import bare_run, told_run, trained_run, write_lines

from velodrome.meter.budget import UNACCOUNTED
from velodrome.mistake import Mistake
from velodrome.show.charts import Series, line_chart, nice_ticks, number, phase_colour, thin
from velodrome.show.report import page_of, write_report
from velodrome.show.story import read, rolling_median
from velodrome.show.words import amount, duration, listed, measured, several, share, short, size


def test_verdict_names_what_how_long_how_good_and_where_the_time_went(tmp_path: Path) -> None:
    first, spent, worked = page_of(read(told_run(tmp_path / "run"))).verdict
    assert first.startswith("hearts trained for 1 min 5")
    assert "points against rule bots (the random bot 14.1 and the lowest bot 9.87); lower is better" in first
    assert "1.90 ± 0.24 against random bots" in first
    assert "lower is better" in first
    assert spent.startswith("Most of the time went to learn.backward (31 %)")
    assert worked == "100 iterations, 3.3 million game steps, 3.3 million decisions and 9.83 million learner samples."


def test_what_kind_of_learning_it_is_is_told(tmp_path: Path) -> None:
    page = page_of(read(told_run(tmp_path / "run", scheme="centralised training, learnt communication")))
    assert page.verdict[0].startswith("hearts (centralised training, learnt communication) trained for 1 min 5")
    assert ["scheme", "centralised training, learnt communication"] in page.setting_rows


def test_budget_on_the_page_closes(tmp_path: Path) -> None:
    page = page_of(read(trained_run(tmp_path / "run")))
    *parts, wall = page.budget_rows
    assert parts[-1][0] == UNACCOUNTED
    assert sum(float(row[1].replace(",", "")) for row in parts) == pytest.approx(
        float(wall[1].replace(",", "")), abs=0.1
    )
    assert sum(part.percent for part in page.bar) == pytest.approx(100, abs=0.05)
    assert [part.name for part in page.bar if part.striped] == [UNACCOUNTED]


def test_what_is_missing_is_left_out(tmp_path: Path) -> None:
    bare = write_report(bare_run(tmp_path / "bare"))["markdown"].read_text()
    assert "hearts has not finished an iteration yet." in bare
    assert [line for line in bare.splitlines() if line.startswith("## ")] == ["## Machine", "## Settings"]
    trained = write_report(trained_run(tmp_path / "trained"))["markdown"].read_text()
    assert "How well it plays is not known yet: velodrome evaluate trained --against random" in trained
    assert "## Where the time went" in trained


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="is no run"):
        write_report(tmp_path / "nothing")


def test_half_a_last_line_is_left_out(tmp_path: Path) -> None:
    folder = trained_run(tmp_path / "run", iterations=5)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 6, "seco')
    assert read(folder).iterations == 5


def test_a_long_run_is_still_a_small_page(tmp_path: Path) -> None:
    page = write_report(told_run(tmp_path / "run", iterations=4_000))["html"]
    assert page.stat().st_size < 1_000_000


def test_markdown_escapes_what_it_would_take_for_markup(tmp_path: Path) -> None:
    folder = bare_run(tmp_path / "run", settings={"note": "<script>a|b</script>\n# head `x`"})
    text = write_report(folder)["markdown"].read_text()
    assert "| note | &lt;script>a\\|b&lt;/script> # head \\`x\\` |" in text


def test_settings_and_machine_are_all_there(tmp_path: Path) -> None:
    page = page_of(read(told_run(tmp_path / "run")))
    assert ["ppo.minibatch", "2048"] in page.setting_rows
    assert ["ppo.rate", "0.001"] in page.setting_rows
    assert ["widths", "256, 256"] in page.setting_rows
    assert ["cores", "2"] in page.machine_rows


def test_throughput_is_work_over_time(tmp_path: Path) -> None:
    story = read(trained_run(tmp_path / "run", iterations=40))
    rows = {row[0]: row for row in page_of(story).rate_rows}
    assert rows["decisions/s"][1] == number(40 * 33_000 / story.budget.wall_s)
    assert rows["iterations/s"][1] == number(40 / story.budget.wall_s)
    middle = sorted(one.wall_s for one in story.budgets)
    assert rows["seconds/iteration"][2] == number((middle[19] + middle[20]) / 2)


def test_profiled_speeds_stand_beside_those_of_the_training(tmp_path: Path) -> None:
    page = page_of(read(told_run(tmp_path / "run")))
    assert [row[-1] for row in page.rate_rows] == ["28,000", "28,000", "84,000", "0.85", "1.18"]
    assert "held 813 MB at most" in page.rate_note


def test_baselines_are_known_for_every_score_against_the_same_bot(tmp_path: Path) -> None:
    folder = told_run(tmp_path / "run")
    lines = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    write_lines(folder / "evaluations.jsonl", [line | {"baselines": {}} for line in lines[:-2]] + lines[-2:])
    assert all(score.baselines["random"][0] == 14.1 for score in read(folder).scores if score.against == "rule")


def test_curve_needs_two_moments(tmp_path: Path) -> None:
    folder = told_run(tmp_path / "run")
    lines = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    curve = page_of(read(folder)).curve
    assert curve is not None
    assert (curve.x_label, curve.y_label) == ("training time, seconds", "points, lower is better")
    assert [line.name for line in curve.lines] == ["against rule bots"]
    assert len(curve.lines[0].dots) == 9
    assert [level.name for level in curve.levels] == ["the lowest bot 9.87", "the random bot 14.1"]
    write_lines(folder / "evaluations.jsonl", lines[-1:])
    assert page_of(read(folder)).curve is None


def test_lines_hold_no_point_that_is_not_a_number() -> None:
    nan, infinite = float("nan"), float("inf")
    chart = line_chart("t", "x", "y", [Series("s", [1, 2, 3, 4], [nan, 5, infinite, 7])])
    assert chart is not None
    assert chart.lines[0].path == "M50.00 100.00L100.00 0.00"
    assert line_chart("t", "x", "y", [Series("s", [1.0], [nan])]) is None


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 17.2), (0.001, 0.0011), (5, 5), (0, 0), (1e9, 3e9), (-2, -1)])
def test_ticks_span_their_range_in_few_round_steps(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    steps = {round((b - a) / (ticks[1] - ticks[0]), 6) for a, b in itertools.pairwise(ticks)}
    assert 2 <= len(ticks) <= 6
    assert ticks[0] <= low <= high <= ticks[-1]
    assert steps == {1.0}


def test_neighbouring_ticks_differ() -> None:
    chart = line_chart("t", "x", "y", [Series("s", [0, 1], [800.0, 801.9])])
    assert chart is not None
    assert len({tick.text for tick in chart.y_ticks}) == len(chart.y_ticks)


def test_thinning_keeps_both_ends() -> None:
    thinned = thin(Series("s", list(range(1000)), list(range(1000))), most=7)
    assert (thinned.x[0], thinned.x[-1], len(thinned.x)) == (0, 999, 7)


def test_colours_are_fixed_and_told_apart() -> None:
    assert phase_colour("learn.forward") != phase_colour("learn.backward")
    assert phase_colour("warm-up.learn.forward") == phase_colour("warm-up")
    assert phase_colour("my own phase") == phase_colour("my own phase")


def test_rolling_median() -> None:
    assert rolling_median([1, 9, 2, 3], 3) == [1, 5, 2, 3]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (duration(0.0421), "42.1 ms"), (duration(59.94), "59.9 s"), (duration(120), "2 min"),
        (duration(119.6), "2 min"), (duration(3725), "1 h 2 min"), (short(0.00001234), "12.3 us"),
        (short(5e-9), "5 ns"), (share(0.31), "31 %"), (share(0.0123), "1.2 %"), (share(0.0001), "0.01 %"),
        (amount(3_300_000), "3.3 million"), (amount(12_345), "12,345"), (size(693_460), "693 kB"),
        (size(12), "12 bytes"), (several(1, "iterations"), "1 iteration"), (several(0, "decisions"), "0 decisions"),
        (listed(["a", "b", "c"]), "a, b and c"), (listed(["a"]), "a"), (measured(1.9, 0.24), "1.90 ± 0.24"),
        (measured(14.123, 3.1), "14.1 ± 3.1"), (measured(5, 0), "5"), (number(1234567), "1,234,567"),
        (number(0.000123), "0.000123"), (number(-2.5), "-2.5"), (number(3e-7), "3.00e-07"),
        (number(float("nan")), "not a number"),
    ],
)  # fmt: skip
def test_figures_in_words(said: str, expected: str) -> None:
    assert said == expected
