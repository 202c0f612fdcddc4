"""Which changes are proposed, what becomes of them, and what is written down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made import PHASES, evidence, site, trial_of

from small import TOY
from velodrome.cli import main
from velodrome.mistake import Mistake
from velodrome.proof import tune as tuning
from velodrome.proof.causes import Cause, find
from velodrome.proof.changes import Change, joined, patched, propose
from velodrome.proof.guard import Guard
from velodrome.proof.processes import Setup
from velodrome.proof.tune import Judge, Tuning, Verdict, judged, put_together
from velodrome.recipes import find as find_recipe
from velodrome.recipes.tuned import Tuned, read_settings, write_settings
from velodrome.runs.settings import settings_to_json
from velodrome.show.tuning import as_document, sentences, write_pages

FLAGS = ["--games", "8", "--lanes", "1", "--ppo.batch", "64", "--ppo.minibatch", "32"]
FASTER = {name: 0.7 * seconds for name, seconds in PHASES.items()}
OTHER = {"weights": ("a", "b"), "metrics": ({"loss": 1.0}, {"loss": 2.0})}


def hearts() -> Setup:
    return Setup("hearts-attention", settings_to_json(find_recipe("hearts-attention").settings()))


def cause(*knobs: str, share: float = 0.5, larger: bool | None = None) -> Cause:
    return Cause("slow", "it is", share, knobs, "mend it", larger=larger)


def change(name: str = "games", value: Any = 80, **how: Any) -> Change:
    return Change(name, {name: value}, {name: 40}, how.pop("kind", "exact"), "slow", 0.3, **how)


def proposed(*causes: Cause) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for each in propose(find_recipe("hearts-attention"), hearts(), causes):
        found.setdefault(each.name, []).append(each.value)
    return found


def test_every_knob_of_a_cause_is_proposed_the_way_that_mends() -> None:
    assert proposed(cause("minibatch", larger=True)) == {"ppo.minibatch": [512, 128, 64]}
    assert proposed(cause("width", "layers", larger=False)) == {"width": [32, 64], "layers": [1]}
    assert proposed(cause("precision", "forced")) == {"ppo.precision": ["medium", "bfloat16"], "forced": ["played"]}
    assert proposed(cause("threads")) == {"threads": [1]}
    assert proposed(cause("unheard-of")) == {}


def test_values_that_a_recipe_refuses_are_not_proposed() -> None:
    assert 512 * 16 not in proposed(cause("minibatch", larger=True)).get("ppo.minibatch", [])
    small = patched(hearts(), {"ppo.batch": 100})
    values = [each.value for each in propose(find_recipe("hearts-attention"), small, [cause("minibatch", larger=True)])]
    assert values == [64]


def test_a_larger_minibatch_takes_a_larger_rate() -> None:
    (most, *_) = propose(find_recipe("hearts-attention"), hearts(), [cause("minibatch", larger=True)])
    assert most.patch == {"ppo.minibatch": 512, "ppo.rate": pytest.approx(1.2e-4)}
    assert most.says == "--ppo.minibatch 512 --ppo.rate 0.00012"


def test_what_is_safer_comes_first_at_an_equal_gain() -> None:
    found = propose(find_recipe("hearts-attention"), hearts(), [cause("precision", "width", share=0.4)])
    assert [each.kind for each in found][:2] == ["numeric", "numeric"]


def test_patches_join_and_apply() -> None:
    both = joined([change("games", 80), change("ppo.epochs", 5, kind="algorithmic")])
    assert both.kind == "algorithmic"
    settings = patched(hearts(), both.patch).settings
    assert (settings["games"], settings["ppo"]["epochs"]) == (80, 5)
    assert hearts().settings["games"] == 40
    assert patched(hearts(), {"threads": 2}).threads == 2
    with pytest.raises(Mistake, match="has no setting ppo"):
        patched(hearts(), {"ppo.speed": 3})


def test_switches_are_told_as_flags() -> None:
    assert change("ppo.fused", False).says == "--ppo.no-fused"
    assert change("fused", True).says == "--fused"
    assert change("widths", (64, 64)).says == "--widths 64 64"


def test_what_is_faster_and_learns_the_same_is_kept() -> None:
    assert judged(change(), trial_of(FASTER)).verdict == "kept"
    assert judged(change(), trial_of({})).verdict == "rejected"
    assert judged(change(), trial_of({}, spread=0.3)).verdict == "inconclusive"
    assert judged(change(), trial_of(FASTER, **OTHER)).verdict == "faster, skill unproven"


def test_a_little_gain_is_not_worth_other_learning() -> None:
    little = trial_of({name: 0.95 * seconds for name, seconds in PHASES.items()}, between=0.01, spread=0.02, **OTHER)
    found = judged(change(kind="algorithmic"), little)
    assert (found.verdict, little.verdict) == ("rejected", "faster")
    assert "too little for other learning" in found.why


def test_a_gain_in_phases_that_a_change_cannot_touch_is_not_believed() -> None:
    elsewhere = trial_of({"collect.infer": 0.3 * PHASES["collect.infer"]})
    assert judged(change(touches=("learn",)), elsewhere).verdict == "inconclusive"
    assert judged(change(touches=("collect",)), elsewhere).verdict == "kept"


class Made:
    """Trials whose outcome is known, in the place of real ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ratios: dict[str, float], skill: dict[str, str] | None = None):
        self.ratios, self.skill, self.tried = ratios, skill or {}, list[str]()
        monkeypatch.setattr(tuning, "trial", self.trial)
        monkeypatch.setattr(tuning, "compare_skill", self.compare)

    def _name(self, setup: Setup) -> str:
        settings, clean = setup.settings, hearts().settings
        return "+".join(
            sorted(str(name) for name in settings if settings[name] != clean[name] and name != "ppo")
            + sorted(f"ppo.{name}" for name in settings["ppo"] if settings["ppo"][name] != clean["ppo"][name])
        )

    def trial(self, first: Setup, second: Setup, **how: Any) -> Any:
        name = self._name(second)
        self.tried.append(name)
        same = {} if name == "forced" else OTHER
        return trial_of({phase: self.ratios.get(name, 1.0) * seconds for phase, seconds in PHASES.items()}, **same)

    def compare(self, first: Setup, second: Setup, budget_s: float, **how: Any) -> Guard:
        return Guard("algorithmic", self.skill.get(self._name(second), "passed"), "made up")  # type: ignore[arg-type]


def test_the_fastest_value_whose_skill_is_proven_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    Made(
        monkeypatch,
        {"games": 0.5, "heads": 0.6, "layers": 0.7, "forced": 0.8},
        {"games": "failed", "layers": "unproven"},
    )
    judge = Judge(hearts(), 0, 0.01)
    names = {"games": 80, "heads": 2, "layers": 1, "forced": "played"}
    tried = list(judge.tried([change(name, value) for name, value in names.items()], float("inf"), 1))
    told = {found.change.name: found.verdict for found in judge.guarded(tried, 600)}
    assert told == {
        "games": "rejected", "heads": "kept", "layers": "faster, skill unproven", "forced": "kept",
    }  # fmt: skip
    unguarded = {found.change.name: found.verdict for found in judge.guarded(tried, 0)}
    assert unguarded["heads"] == "faster, skill unproven"
    assert unguarded["forced"] == "kept"


def test_a_spent_budget_leaves_the_rest_untried(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, {})
    (found,) = Judge(hearts(), 0, 100.0).tried([change()], until=0.0, others=1)
    assert found.verdict == "not tried"
    assert made.tried == []


def test_kept_changes_are_measured_together(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, {"games": 0.5, "heads": 0.6, "games+heads": 0.4})
    judge = Judge(hearts(), 0, 0.01)
    kept = [
        Verdict(change(name, value), "kept", "", trial_of(FASTER)) for name, value in {"games": 80, "heads": 2}.items()
    ]
    found = judge.all_together(kept, 100, 100)
    assert made.tried == ["games+heads"]
    assert (found.verdict, found.ratio) == ("kept", pytest.approx(0.4, abs=0.02))


@pytest.mark.parametrize("skill", ["passed", "failed"])
def test_what_is_open_alone_may_be_proven_together(skill: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, {"heads": 0.6, "games+heads": 0.4}, {"games+heads": skill})
    alone = Verdict(change("heads", 2), "kept", "", trial_of(FASTER))
    left_open = Verdict(change("games", 80), "faster, skill unproven", "not told apart", trial_of(FASTER))
    for guard_s, tries in ((0.0, []), (600.0, ["games+heads", "games+heads"])):  # beside the kept one, and as one
        found, told = Tuning(hearts(), evidence(), [], [alone, left_open]), list[Verdict]()
        made.tried.clear()
        put_together(found, Judge(hearts(), 0, 0.01), float("inf"), guard_s, told.append)
        assert made.tried == tries
    assert found.together is told[-1]
    assert found.best is (found.together if skill == "passed" else alone)
    assert ("together" in found.open[0].why) == (skill == "passed")
    assert [verdict.verdict for verdict in found.verdicts] == ["kept", "faster, skill unproven"]


def test_an_open_value_of_a_proven_setting_is_left_out() -> None:
    proven = Verdict(change("heads", 2), "kept", "", trial_of(FASTER))
    others = [Verdict(change(name, 1), "faster, skill unproven", "", trial_of(FASTER)) for name in ("heads", "games")]
    assert Tuning(hearts(), evidence(), [], [proven, *others]).open == others[1:]


def test_what_adds_nothing_to_the_others_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    Made(monkeypatch, {})
    judge = Judge(hearts(), 0, 0.01)
    ratios = {"games": 0.5, "heads": 0.9}
    kept = [
        Verdict(change(name, value), "kept", "", trial_of({phase: ratios[name] * s for phase, s in PHASES.items()}))
        for name, value in {"games": 80, "heads": 2}.items()
    ]
    told: list[Verdict] = []
    left = judge.pruned(kept, float("inf"), told.append)
    assert [found.verdict for found in left] == ["kept", "rejected"]
    assert [found.change.name for found in told] == ["heads"]
    assert [found.verdict for found in judge.pruned(kept, 0.0, told.append)] == ["kept", "kept"]


def test_other_learning_has_to_be_faster_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be told apart there stays if it learns the same, and goes if it does not."""
    monkeypatch.setattr(tuning, "trial", lambda *setups, **how: trial_of({}, spread=0.3))
    guards = {kind: Guard(kind, "passed", "") for kind in ("exact", "algorithmic")}  # type: ignore[arg-type]
    trials = {"games": trial_of(FASTER), "heads": trial_of({name: 0.9 * s for name, s in PHASES.items()})}
    for kind, verdict in (("exact", "kept"), ("algorithmic", "rejected")):
        kept = [Verdict(change(name, 2), "kept", "", found, guards[kind]) for name, found in trials.items()]
        left = Judge(hearts(), 0, 0.01).pruned(kept, float("inf"), lambda verdict: None)
        assert [found.verdict for found in left] == ["kept", verdict]


def test_changes_that_do_not_go_together_end_no_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(first: Setup, second: Setup, **how: Any) -> Any:
        raise Mistake("side b: minibatch 512 is larger than batch 100")

    monkeypatch.setattr(tuning, "trial", refuse)
    kept = [Verdict(change(name, 2), "kept", "", trial_of(FASTER)) for name in ("games", "heads")]
    said: list[str] = []
    left = Judge(hearts(), 0, 0.01, said.append).pruned(kept, float("inf"), lambda verdict: None)
    assert [found.verdict for found in left] == ["kept", "kept"]
    assert "larger than batch" in said[0]


def test_without_proof_of_all_the_best_single_change_is_taken() -> None:
    alone = Verdict(change("heads", 2), "kept", "", trial_of(FASTER))
    less = Verdict(change("games", 80), "kept", "", trial_of({"learn.backward": 0.02}))
    both = Verdict(joined([alone.change, less.change]), "faster, skill unproven", "", trial_of(FASTER))
    found = Tuning(hearts(), evidence(), [], [less, alone], both)
    assert found.best is alone
    assert found.tuned.settings["heads"] == 2
    assert found.tuned.settings["games"] == 40
    assert Tuning(hearts(), evidence(), []).tuned == hearts()


def test_the_pages_say_what_was_found(tmp_path: Path) -> None:
    seen = evidence(sites=[site("learn.forward", "addmm", zeros=0.97)])
    proven = Verdict(change("games", 80), "kept", "equal weights", trial_of(FASTER), Guard("exact", "passed", "equal"))
    sides = {label: {"seconds": 9.0, "score": score, "iterations": 4} for label, score in (("a", 5.0), ("b", 4.0))}
    skill = Guard("algorithmic", "unproven", "not told apart", [{"seed": 3, **sides}], {"random": 13.0})
    unproven = Verdict(change("heads", 2), "faster, skill unproven", "<why>", trial_of(FASTER, **OTHER), skill)
    refused = Verdict(change("layers", 1), "rejected", "no difference", trial_of({}))
    found = Tuning(hearts(), seen, find(seen), [proven, unproven, refused])
    paths = write_pages(tmp_path, found, 0)
    html, markdown = paths["html"].read_text(), paths["markdown"].read_text()
    assert len(sentences(found)) == 3
    for page in (html, markdown):
        for said in ("--games 80", "--heads 2", "sparse input", "Rejected", "skill unproven", "random 13"):
            assert said in page
    assert "&lt;why&gt;" in html
    assert "http" not in html.replace("http-equiv", "")
    document = json.loads(json.dumps(as_document(found)))
    assert [line["verdict"] for line in document["verdicts"]] == ["kept", "faster, skill unproven", "rejected"]
    assert document["tuned"] == {"games": 80}


def test_settings_in_a_file_are_trained_with(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = find_recipe(TOY)
    settings = recipe.settings(games=4)
    write_settings(tmp_path / "tuned.json", Tuned(TOY, settings, 1))
    assert read_settings(tmp_path / "tuned.json", recipe) == Tuned(TOY, settings, 1)
    run = tmp_path / "run"
    flags = ["--settings", str(tmp_path / "tuned.json"), "--iterations", "1", "--run", str(run), "--json"]
    assert main(["train", TOY, *flags]) == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["settings"]["games"], config["threads"]) == (4, 1)
    assert main(["train", TOY, *flags[:2], "--games", "8", "--iterations", "0", "--run", str(tmp_path / "other")]) == 0
    assert json.loads((tmp_path / "other" / "config.json").read_text())["settings"]["games"] == 8
    capfd.readouterr()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no settings"),
        ('{"recipe": "hearts", "settings": {}}', "is of the recipe hearts, not of"),
        ('{"recipe": "TOY", "settings": {"gamez": 3}}', "has no 'gamez'; did you mean games?"),
        ('{"recipe": "TOY", "settings": {}, "threads": 0}', "threads is 0"),
    ],
)
def test_bad_files_are_named(text: str, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tuned.json"
    path.write_text(text.replace("TOY", TOY))
    assert main(["train", TOY, "--settings", str(path), "--run", str(tmp_path / "run")]) == 2
    err = capfd.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_tuning_from_the_command_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "velodrome",
        "tune",
        "hearts",
        *FLAGS,
        "--budget",
        "1s",
        "--into",
        "here",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {"causes", "verdicts", "together", "tuned", "ratio", "says"} <= set(document)
    names = {path.name for path in (tmp_path / "here").iterdir()}
    assert names == {"tuned.json", "verdicts.jsonl", "causes.json", "report.html", "report.md"}
    lines = (tmp_path / "here" / "verdicts.jsonl").read_text().splitlines()
    assert len(lines) >= len(document["verdicts"])
    assert main(["tune", "hearts", "--into", str(tmp_path / "here")]) == 2
