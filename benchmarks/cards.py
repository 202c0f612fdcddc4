"""Measures the card of every net: benchmarks/results/cards.json.

python benchmarks/cards.py
"""

from __future__ import annotations

import torch

from common import keep
from velodrome.meter.card import card
from velodrome.meter.machine import machine
from velodrome.nets import NETS, make_net


def main() -> None:
    """Measure them one after another, on one thread as lanes do."""
    torch.set_num_threads(1)
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
            "forward_and_backward_us": one.at().train_us.p50 if one.at().train_us else None,
            "of_the_ceiling": one.at().ceiling_share,
            "dead_parameters": one.dead_parameters,
        }
        for one in cards
    ]
    keep("cards", figures, ceilings=machine().to_json(), models=[one.to_json() for one in cards])


if __name__ == "__main__":
    main()
