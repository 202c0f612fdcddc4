"""A card as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from velodrome.meter.card import Card, Latency


def table(card: Card) -> Iterator[str]:
    """The lines of the card."""
    yield f"{card.name}: {card.parameters:,} parameters, {_size(card.bytes)}, {_flops(card.flops)} a sample"
    yield f"{_size(card.activation_bytes)} of activations a sample"
    yield f"on {card.device} in {card.precision}" + (f", {card.threads} threads" if card.device == "cpu" else "")
    yield ""
    yield f"{'component':<24}{'parameters':>14}{'FLOPs':>10}{f'us at {card.batch}':>12}{'dead':>10}"
    for part in card.components:
        flops = "unknown" if part.flops is None else _short(part.flops)
        yield (
            f"{part.name:<24}{part.parameters:>14,}{flops:>10}{part.forward_us:>12.1f}{part.dead_parameters or '-':>10}"
        )
    yield ""
    yield f"{'batch':<8}{'forward us p50':>16}{'p95':>10}{'train us p50':>16}{'p95':>10}{'of ceiling':>12}  bound by"
    yield from (_latency_row(latency) for latency in card.latencies)
    yield from _findings(card)


def _latency_row(latency: Latency) -> str:
    train = latency.train_us
    trained = f"{train.p50:>16.1f}{train.p95:>10.1f}" if train else f"{'-':>16}{'-':>10}"
    forward = f"{latency.forward_us.p50:>16.1f}{latency.forward_us.p95:>10.1f}"
    return f"{latency.batch:<8}{forward}{trained}{latency.ceiling_share:>12.1%}  {latency.bound}"


def _findings(card: Card) -> Iterator[str]:
    if card.dead or card.dormant_parameters or card.unset_inputs or card.notes:
        yield ""
    for name, count in card.dead.items():
        yield f"dead: {count:,} of {name}"
    if card.dormant_parameters:
        yield f"dormant: {card.dormant_parameters:,} weights, as behind a ReLU that no random input turns on"
    for name, positions in card.unset_inputs.items():
        yield f"never set in real play: {len(positions):,} of {name}"
    yield from card.notes


def _short(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def _flops(number: int) -> str:
    return f"{_short(number)} FLOPs"


def _size(size_bytes: float) -> str:
    return f"{_short(size_bytes)}B" if size_bytes >= 1e3 else f"{size_bytes:.0f} B"
