"""How times grow, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from velodrome.proof.plan import PARTS
from velodrome.show.tables import plain_text
from velodrome.show.words import share, short


def told(document: Mapping[str, Any]) -> str:
    """The answer of `velodrome scale`: a table of the sizes, the laws, and what was asked of them."""
    lines = [_table(document["over"], document["points"])]
    for name, law in document["laws"].items():
        low, high = law["k_interval"]
        doubled, (least, most) = law["per_doubling"], law["per_doubling_interval"]
        growth = f"{short(law['a'])} + {short(law['b'])} x n^{law['k']:.2f} (exponent {low:.2f} to {high:.2f})"
        if not law["changes"]:
            growth = "does not change for sure"
        lines.append(
            f"{name}: {growth}, off by {share(law['misfit'])} at most; "
            f"{doubled:.2f} times as long for each doubling ({least:.2f} to {most:.2f})"
        )
        for n, told in law["predicted"].items():
            early, late = told["interval"]
            lines.append(f"  at {n}: {short(told['s'])} ({short(early)} to {short(late)})")
    if document["plan"] is not None:
        lines += ["", _planned(document["plan"])]
    if document["bound"] is not None:
        lines.append(_bound(document["over"], document["bound"]))
    return "\n".join(lines)


def _table(over: str, points: Sequence[Mapping[str, Any]]) -> str:
    heads = ("iterations/s", "decisions/s", "iteration", "update", "decision p50", "p99", "narrow", "broad", "ablation")
    told = any(point["exchange"] for point in points)
    table = Table(over, *heads, *(("messages", "bytes") if told else ()), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for point in points:
        talk, latency = point["communication"], point["decision_ms"]
        gone = talk["ablation"]["iteration"]
        row = [
            str(point["value"]), f"{point['iterations_per_s']:.3g}", f"{point['decisions_per_s']:,.0f}",
            short(point["iteration_s"]), short(point["update_s"]), *(short(latency[q] / 1e3) for q in ("p50", "p99")),
            *(share(talk[scope]["iteration"]) for scope in ("narrow", "broad")),
            share(gone["ratio"]) if gone else "-",
        ]  # fmt: skip
        if told:
            row += [f"{point['exchange'][name]:.3g}" for name in ("messages", "bytes")]
        table.add_row(*row)
    return plain_text(table)


def _planned(found: Mapping[str, Any]) -> str:
    """What workers on machines of their own would give."""
    heads = ("iteration", "its own work", "waits", "sync", "speedup", "efficiency")
    table = Table("workers", *heads, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in found["rows"]:
        times = (row[name] for name in ("iteration_s", "work_s", "wait_s", "sync_s"))
        table.add_row(
            str(row["workers"]), *(short(time) for time in times), f"{row['speedup']:.1f}", share(row["efficiency"])
        )
    end = "each was still worth it" if found["why"] is None else f"beyond, {PARTS[found['why']]}"
    return f"{plain_text(table)}\n{found['enough']} workers are enough: {end}"


def _bound(over: str, bound: Mapping[str, Any]) -> str:
    bend = "the curve does not bend" if bound["knee"] is None else f"the curve bends at {over} {bound['knee']}"
    limit = f"{bound['latency_ms']:g} ms"
    if bound["update_ms"] is not None:
        limit += f", updates within {bound['update_ms']:g} ms"
    if bound["most_decisions_per_s"] is None:
        return f"no size decides within {limit} in 99 of 100 cases; {bend}"
    lines = [f"within {limit}; {bend}"]
    for what in ("iterations", "decisions"):
        best = bound[f"most_{what}_per_s"]
        lines.append(
            f"  most {what}: {over} {best['value']}, {best['iterations_per_s']:.3g} iterations/s, "
            f"{best['decisions_per_s']:,.0f} decisions/s, p50 {best['p50_ms']:.3g} ms, p99 {best['p99_ms']:.3g} ms, "
            f"update {best['update_ms']:.3g} ms"
        )
    return "\n".join(lines)
