"""The verdicts that are kept with the package: what was found, when, and on what machine."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from velodrome.audit.claim import Claim, Finding
from velodrome.meter.machine import hardware
from velodrome.runs.files import plain, write_durably, writing_to

KEPT = Path(__file__).with_name("verdicts.json")
_MACHINE = ("cpu", "cores", "gpu", "torch")


@dataclass(frozen=True)
class Verdict:
    """A finding with its date and machine."""

    finding: Finding
    date: str
    machine: Mapping[str, Any]

    @property
    def age(self) -> datetime.timedelta:
        """How long ago it was found."""
        return datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(self.date)

    def to_json(self) -> dict[str, Any]:
        """As a JSON document."""
        found: dict[str, Any] = plain(dataclasses.asdict(self.finding))
        return found | {"date": self.date, "machine": dict(self.machine)}


def found_now(finding: Finding) -> Verdict:
    """A finding of this moment on this machine."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    whole = hardware()
    return Verdict(finding, now, {name: whole[name] for name in _MACHINE})


def kept() -> dict[str, Verdict]:
    """The kept verdicts by claim."""
    if not KEPT.is_file():
        return {}
    read = json.loads(KEPT.read_text(encoding="utf-8"))
    return {
        id: Verdict(Finding(each["measured"], each["verdict"], each["why"]), each["date"], each["machine"])
        for id, each in read.items()
    }


def keep(found: Mapping[str, Verdict], known: Mapping[str, Claim]) -> None:
    """Put these in place of the kept ones. Those of claims that there are no more go."""
    both = kept() | dict(found)
    document = {id: both[id].to_json() for id in known if id in both}
    with writing_to(KEPT, "run it in a checkout"):
        write_durably(KEPT, f"{json.dumps(document, indent=1, ensure_ascii=False)}\n".encode())
