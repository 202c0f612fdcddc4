"""Measures the card of every net: benchmarks/results/cards.json.

python benchmarks/cards.py
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from velodrome.meter.card import card
from velodrome.meter.machine import hardware, machine
from velodrome.nets import NETS, make_net

RESULT = Path(__file__).resolve().parent / "results" / "cards.json"


def main() -> None:
    """Measure them one after another, on one thread as trainers with lanes do."""
    cards = []
    for name in NETS:
        net, inputs = make_net(name)
        cards.append(card(net, *inputs, name=name))
        print(cards[-1], end="\n\n")
    figures = [
        {
            "net": one.name,
            "parameters": one.parameters,
            "flops_a_sample": one.flops,
            "batch": one.batch,
            "forward_us": one.at().forward_us.p50,
            "forward_and_backward_us": one.at().train_us.p50 if (one.at().train_us) else None,
            "of_the_ceiling": one.at().ceiling_share,
            "dead_parameters": one.dead_parameters,
        }
        for one in cards
    ]
    record = {
        "command": "python benchmarks/cards.py",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": hardware(),
        "ceilings": machine().to_json(),
        "figures": figures,
        "models": [one.to_json() for one in cards],
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
