"""What communication costs, as the paper that asked measured it: results/communication.json.

    python benchmarks/communication.py [--minutes 6]

Each system is measured at every number of agents in its published form and in ours, with and without what agents tell
each other (`velodrome scale`). Shares are told at eight agents, growth from four to sixteen, and the figures of the
paper stand beside ours. Interrupted, it goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from common import Disturbance, Lines, keep, velodrome

AGENTS = (2, 3, 4, 6, 8, 12, 16)
AT = 8
"""The number of agents at which shares are told."""
DOUBLED = (4, 16)
PLATOON = ("platoon-neurcomm", "--hold", "1", "--a2c.rows", "60")
"""Decisions and segments as published."""
TOM2C = ("coverage-tom2c", "--minds.hidden", "288", "--games", "2")
"""As wide as published. Of more games at once, the published form keeps more than fits into the memory of a small
machine: with sixteen agents it is some 70 MB for each decision of a segment."""
FORMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("ToM2C, coverage", "as published"): (*TOM2C, "--minds.graph", "reference"),
    ("ToM2C, coverage", "factored"): TOM2C,
    ("ToM2C, coverage", "one shared graph (another algorithm)"): (*TOM2C, "--minds.graph", "shared"),
    ("NeurComm, catch-up", "as published"): (*PLATOON, "--form", "plain", "--games", "1"),
    ("NeurComm, catch-up", "stacked"): (*PLATOON, "--games", "1"),
    ("NeurComm, catch-up", "stacked, 32 games"): (*PLATOON, "--games", "32"),
    **{
        (f"{method}, catch-up", "stacked, 32 games"): (*PLATOON, "--method", method, "--games", "32")
        for method in ("ia2c", "fprint", "consenet", "commnet", "dial")
    },
    ("MADDPG, spread", "stacked"): ("spread-maddpg",),
}  # fmt: skip
"""By system and form: the recipe and its settings."""
SAID = {
    "ToM2C, coverage": {"collecting": 0.258, "all": 0.47, "per doubling": 8.0},
    "NeurComm, catch-up": {"collecting": 0.722},
}
"""Of the paper: the share of communication while playing and in all, and how much longer an update takes for twice as
many agents."""


def scaled(system: str, form: str, minutes: float) -> dict[str, Any]:
    """All sizes of one form."""
    others = Disturbance()
    found = velodrome(
        "scale", *FORMS[system, form], "--over", "agents", "--values", *map(str, AGENTS), "--budget",
        f"{60 * minutes:.0f}s", "--threads", "2",
    )  # fmt: skip
    return {"system": system, "form": form, "others_took": others.share(), **found}


def figures_of(row: dict[str, Any]) -> dict[str, Any]:
    """What the paper tells of a system, as we found it."""
    point = next(each for each in row["points"] if each["value"] == AT)
    talk, said = point["communication"], SAID.get(row["system"], {})
    gone = talk["ablation"]
    return {
        "system": row["system"],
        "form": row["form"],
        "collecting, narrow": talk["narrow"]["collect"],
        "broad": talk["broad"]["collect"],
        "ablation": gone["collect"] and gone["collect"]["ratio"],
        "said of collecting": said.get("collecting"),
        "all, narrow": talk["narrow"]["iteration"],
        "all, broad": talk["broad"]["iteration"],
        "all, ablation": gone["iteration"] and gone["iteration"]["ratio"],
        "said of all": said.get("all"),
        "update per doubling": per_doubling(row["points"]),
        "said per doubling": said.get("per doubling"),
    }


def per_doubling(points: Sequence[dict[str, Any]]) -> float:
    """How many times as long an update takes, for each doubling of the agents."""
    low, high = (next(each for each in points if each["value"] == n) for n in DOUBLED)
    return float((high["update_s"] / low["update_s"]) ** 0.5)


def beside_the_first(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By size: how many times as fast each form is as its system's published one."""
    found = []
    for row in rows:
        first = next(each for each in rows if each["system"] == row["system"])
        if first is row:
            continue
        line = {"system": row["system"], "form": row["form"]}
        for ours, theirs in zip(row["points"], first["points"], strict=True):
            line[f"{ours['value']} agents"] = theirs["update_s"] / ours["update_s"]
        found.append(line)
    return found


def laws_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """How each kind of time grows."""
    return [
        {
            "system": row["system"], "form": row["form"], "time": name, "k": law["k"], "interval": law["k_interval"],
            "per doubling": law["per_doubling"], "of it": law["per_doubling_interval"],
        }
        for name, law in row["laws"].items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0, help="of each form")
    options = parser.parse_args()
    lines = Lines("communication")
    for system, form in FORMS:
        if not lines.has(system=system, form=form):
            lines.add(scaled(system, form, options.minutes))
    laws = [law for row in lines.rows for law in laws_of(row)]
    keep(
        "communication", [figures_of(row) for row in lines.rows], laws=laws, updates=beside_the_first(lines.rows),
        agents=AT, sides=lines.rows,
    )  # fmt: skip
    lines.close()


if __name__ == "__main__":
    main()
