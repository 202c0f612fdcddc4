"""The claims of the documents, what tests them, and the verb that tells of both."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from velodrome.audit import chosen, claims, records, verdicts
from velodrome.audit.claim import DOCUMENTS, KINDS, VERDICTS, Claim, Finding, agrees, claim, reaches
from velodrome.audit.findings import TOPICS, findings, picture, told
from velodrome.audit.tell import counts_of
from velodrome.audit.verdicts import found_now, kept
from velodrome.cli import main
from velodrome.mistake import Mistake
from velodrome.show.words import said

CLAIMS = claims()
UNTIMED = [each for each in CLAIMS.values() if not each.timed]
FIELDS = {"id", "document", "claim", "kind", "claimed", "measured", "verdict", "why"}


def answer(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["audit", *arguments, "--json"]) == 0
    read = json.loads(capfd.readouterr().out)
    assert isinstance(read, dict)
    return read


def test_there_are_enough_and_each_document_has_its_own() -> None:
    assert len(CLAIMS) >= 80
    assert {each.document for each in CLAIMS.values()} == set(DOCUMENTS.values())


@pytest.mark.parametrize("slug", DOCUMENTS)
def test_ids_are_in_order(slug: str) -> None:
    own = [each.id for each in CLAIMS.values() if each.slug == slug]
    assert own == [f"{slug}-{number:02d}" for number in range(1, len(own) + 1)]


@pytest.mark.parametrize("each", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_is_whole(each: Claim) -> None:
    assert each.where
    assert each.says.endswith(".")
    assert each.how.endswith(".")
    assert each.kind in KINDS
    assert each.claimed is not None


def test_the_same_id_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two claims territory-01"):
        claim("territory-01", where="here", says="It is so.", kind="count")(lambda: 1)


def test_every_claim_has_a_kept_verdict() -> None:
    assert list(kept()) == list(CLAIMS)
    for verdict in kept().values():
        assert verdict.finding.verdict in VERDICTS
        assert verdict.finding.why
        assert verdict.date
        assert verdict.machine["cpu"]


@pytest.mark.parametrize("each", UNTIMED, ids=lambda each: each.id)
def test_what_is_counted_is_as_kept(each: Claim) -> None:
    finding = each.examine()
    assert finding.verdict == kept()[each.id].finding.verdict, "run `velodrome audit --run --keep`"


@pytest.mark.parametrize(
    ("name", "module", "attribute", "value"),
    [
        ("territory-01", "velodrome.nets.territory", "PLANES", 6),
        ("decision-10", "velodrome.audit.decision", "Search", lambda: search_of(30)),
        ("hearts-18", "velodrome.nets.hearts", "CARDS", 53),
    ],
)
def test_a_verdict_changes_with_the_code(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, attribute: str, value: Any
) -> None:
    assert CLAIMS[name].examine().verdict == "holds"
    monkeypatch.setattr(f"{module}.{attribute}", value)
    assert CLAIMS[name].examine().verdict == "does not hold"


def search_of(population: int) -> Any:
    from velodrome.nets.evolution import Search

    return Search(population=population)


def test_without_a_checkout_what_takes_a_record_cannot_be_tested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    finding = CLAIMS["hearts-03"].examine()
    assert finding.verdict == "cannot be tested here"
    assert "hearts_report.json, which is not here" in finding.why


def test_agreement() -> None:
    assert agrees(5, 5) == Finding(5, "holds", "exactly")
    assert agrees(10.4, 10.0, 0.05) == Finding(10.4, "holds", "within 5 %")
    assert agrees(15, 10).verdict == "does not hold"
    assert agrees(15, 10).why == "1.5 times what is claimed"
    assert agrees(True, True).verdict == agrees("a, b", "a, b").verdict == "holds"
    assert agrees(False, True).verdict == agrees("a", "b").verdict == "does not hold"
    assert reaches(0.95, 1.0).verdict == reaches(7.0, 1.0).verdict == "holds"
    assert reaches(0.8, 1.0).verdict == "does not hold"


def test_values_are_said() -> None:
    values = (None, True, False, 6_763_387, 0.5, "32 x 32")
    assert [said(value) for value in values] == ["", "yes", "no", "6,763,387", "0.5", "32 x 32"]


# -- the verb -------------------------------------------------------------------------------------------------------


def test_the_kept_verdicts(capfd: pytest.CaptureFixture[str]) -> None:
    document = answer(capfd)
    assert [each["id"] for each in document["claims"]] == list(CLAIMS)
    for each in document["claims"]:
        assert set(each) >= FIELDS
        assert each["document"] in DOCUMENTS.values()
    assert sum(document["verdicts"].values()) == len(CLAIMS)


def test_the_kept_verdicts_as_text(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["audit"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line for line in lines if line in DOCUMENTS.values()] == list(DOCUMENTS.values())
    assert any(line.startswith("territory-03 ") and " ago" in line for line in lines)
    assert lines[-2].startswith(f"{len(CLAIMS)} claims: ")
    assert lines[-1].startswith("tested on ")


def test_one_claim_again(capfd: pytest.CaptureFixture[str]) -> None:
    before = verdicts.KEPT.read_bytes()
    document = answer(capfd, "--run", "territory-03")
    (one,) = document["claims"]
    assert (one["id"], one["measured"], one["verdict"]) == ("territory-03", 18_688, "holds")
    assert one["before"]["measured"] == 18_688
    assert one["date"] > one["before"]["date"]
    assert verdicts.KEPT.read_bytes() == before
    assert main(["audit", "--run", "territory-03"]) == 0
    told = capfd.readouterr().out
    assert "  now       18,688; holds: exactly (now, " in told
    assert "  before    18,688; holds: exactly (" in told


def test_a_documents_claims(capfd: pytest.CaptureFixture[str]) -> None:
    found = answer(capfd, "many")["claims"]
    assert {each["document"] for each in found} == {DOCUMENTS["many"]}
    assert answer(capfd, "many", "arena-01")["claims"][0]["id"] == "arena-01"


def test_new_verdicts_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "verdicts.json"
    monkeypatch.setattr(verdicts, "KEPT", elsewhere)
    assert answer(capfd, "territory-03")["claims"][0]["verdict"] is None
    answer(capfd, "--run", "--keep", "territory-03")
    answer(capfd, "--run", "--keep", "territory-01")
    assert list(json.loads(elsewhere.read_text())) == ["territory-01", "territory-03"]
    assert answer(capfd, "territory-03")["claims"][0]["verdict"] == "holds"
    verdicts.keep({}, chosen(["territory-01"]))
    assert list(json.loads(elsewhere.read_text())) == ["territory-01"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["territory-3"], "there is no claim 'territory-3'; did you mean territory-"),
        (["--keep"], "--keep keeps what --run finds: add --run"),
        (["--runs"], "there is no flag --runs; did you mean --run?"),
    ],
)
def test_mistakes(arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", *arguments]) == 2
    assert says in capfd.readouterr().err


def test_nothing_like_it() -> None:
    with pytest.raises(Mistake, match="there is no claim"):
        chosen(["qqqq"])


def test_counts_by_document() -> None:
    rows = counts_of(CLAIMS, {"many-05": found_now(Finding(1, "does not hold", "so"))})
    assert [row["document"] for row in rows] == [*DOCUMENTS.values(), "all"]
    assert rows[-1]["claims"] == len(CLAIMS)
    assert (rows[-1]["does not hold"], rows[-1]["holds"]) == (1, 0)


# -- the ten findings -----------------------------------------------------------------------------------------------


def test_ten_findings_are_told_with_a_picture_each() -> None:
    found = findings(CLAIMS, kept())
    assert len({one.id for one in found}) == 10
    for one in found:
        assert len(one.bars) >= 2, f"the verdict on {one.id} is another one: write its finding anew"
        assert picture(one).startswith("<svg ")
        assert "{" not in one.says


def test_a_finding_is_that_of_the_verdict() -> None:
    topic = next(each for each in TOPICS if each.id == "territory-29")
    one = told(topic, CLAIMS, {topic.id: found_now(Finding(33_024, "does not hold", "so"))})
    assert "Of the 82,432 parameters" in one.says
    assert "only 33,024 ever learn" in one.says
    assert [bar.value for bar in one.bars] == [82_432, 33_024]
    assert [bar.claimed for bar in one.bars] == [True, False]
    otherwise = told(topic, CLAIMS, {topic.id: found_now(Finding(82_432, "holds", "exactly"))})
    assert otherwise.says == "All parameters of the cross-attention are of use. This holds: exactly."
    assert not picture(otherwise)
    assert told(topic, CLAIMS, {}).says.endswith("not tested yet.")


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    topic = next(each for each in TOPICS if each.id == "arena-05")
    drawn = picture(told(topic, CLAIMS, {topic.id: found_now(Finding(3_200_000, "does not hold", "so"))}))
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn)]
    assert widths[0] == pytest.approx(widths[1] / 2)
    assert "3,200,000" in drawn


def test_the_page_is_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "audit.html"
    assert main(["audit", "--page", str(page), "territory-03"]) == 0
    assert "wrote" in capfd.readouterr().err
    assert page.read_text().count("<svg ") == 10
    assert main(["audit", "--page", str(tmp_path / "nowhere" / "audit.html")]) == 2
    assert "name another file" in capfd.readouterr().err
