"""Run folders made by code, for tests of what is shown. Their figures are invented by a seeded generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from velodrome.meter.budget import Budget, Spent
from velodrome.runs.checkpoint import FORMAT

SHARES = {
    "collect.infer": 0.17,
    "collect.step": 0.07,
    "collect.encode": 0.03,
    "learn.sample": 0.02,
    "learn.forward": 0.22,
    "learn.backward": 0.31,
    "learn.optimize": 0.12,
    "sync": 0.02,
    "wait": 0.01,
    "save": 0.015,
}


def budget(generator: np.random.Generator, wall_s: float, slower: dict[str, float] | None = None) -> Budget:
    """An iteration of about `wall_s`, some of its phases `slower` by a factor."""
    factors = slower or {}
    spent = {
        name: wall_s * share * factors.get(name, 1.0) * generator.lognormal(0, 0.05) for name, share in SHARES.items()
    }
    spans = {name: Spent(round(seconds * 1e9), 16) for name, seconds in spent.items()}
    for parent in ("collect", "learn"):
        inside = sum(span.ns for name, span in spans.items() if name.startswith(f"{parent}."))
        spans[parent] = Spent(round(inside * 1.004), 1)
    outside = sum(span.ns for name, span in spans.items() if "." not in name)
    return Budget(round(outside * 1.006), spans, overhead_ns=round(outside * 0.002))


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def config(**changes: Any) -> dict[str, Any]:
    ppo = {"batch": 32768, "minibatch": 2048, "rate": 1e-3}
    settings = {"games": 1024, "lanes": 2, "widths": [256, 256], "ppo": ppo}
    machine = {"cpu": "A processor of 2 cores", "cores": 2, "memory_gb": 8.0, "torch": "2.13.0"}
    plain = {"recipe": "hearts", "settings": settings, "seed": 3, "device": "cpu", "machine": machine, "format": FORMAT}
    return plain | {"threads": 1, "started": "2026-11-20T08:00:00Z", "velodrome": "0.1.0"} | changes


def bare_run(folder: Path, **changes: Any) -> Path:
    """A run that has been started and no more."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config(**changes)))
    return folder


def trained_run(
    folder: Path, iterations: int = 100, seed: int = 0, slower: dict[str, float] | None = None, **changes: Any
) -> Path:
    """A run with metrics and budgets."""
    bare_run(folder, **changes)
    generator = np.random.default_rng(seed)
    budgets = [budget(generator, 1.2, slower) for _ in range(iterations)]
    seconds = np.cumsum([one.wall_s for one in budgets])
    write_lines(folder / "budget.jsonl", [{"iteration": i + 1} | one.to_json() for i, one in enumerate(budgets)])
    write_lines(folder / "metrics.jsonl", [_point(generator, i, seconds, budgets[i]) for i in range(iterations)])
    return folder


def _point(generator: np.random.Generator, i: int, seconds: Any, spent: Budget) -> dict[str, Any]:
    progress = (i + 1) / len(seconds)
    counts = {"game_steps": 33_000, "decisions": 33_000, "learner_samples": 98_304}
    return (
        {"iteration": i + 1, "seconds": float(seconds[i]), "iteration_s": spent.wall_s}
        | counts
        | {
            "entropy": 1.7 * (1 - 0.6 * progress) + generator.normal(0, 0.02),
            "kl": float("nan") if i == 0 else 0.01 * generator.lognormal(0, 0.3),
            "explained_variance": progress**0.5 * 0.8,
            "gradient_norm": generator.lognormal(-0.5, 0.2),
            "memory_mb": 800 + 2 * progress,
        }
    )


def evaluation(against: str, score: float, seconds: float, trivial: float) -> dict[str, Any]:
    baselines = {"random": {"score": trivial, "stderr": 0.05}, "lowest": {"score": trivial * 0.7, "stderr": 0.05}}
    return {
        "iteration": 1, "seconds": seconds, "against": against, "score": score, "stderr": 0.12, "score_name": "points",
        "better": "lower", "episodes": 1000, "duplicate": 4, "baselines": baselines,
    }  # fmt: skip


def card() -> dict[str, Any]:
    forward, train = {"p50": 48.1, "p95": 61.0}, {"p50": 171.0, "p95": 240.0}
    latency = {"batch": 32, "forward_us": forward, "train_us": train, "ceiling_share": 0.21, "bound": "dispatch"}
    return {
        "name": "hearts/compact",
        "parameters": 173_365,
        "components": [
            {"name": "input", "parameters": 159_744, "flops": None, "forward_us": 21.3},
            {"name": "heads", "parameters": 13_621, "flops": 27_136, "forward_us": 9.8},
        ],
        "bytes": 693_460,
        "flops": 346_624,
        "forward_us": forward,
        "train_us": train,
        "dead_parameters": 0,
        "batch": 32,
        "latencies": [latency],
        "notes": ["input takes 60% of the forward time, and no FLOPs were counted in it"],
    }


def profile() -> dict[str, Any]:
    rates = {"game_steps_per_s": 28e3, "decisions_per_s": 28e3, "learner_samples_per_s": 84e3, "iterations_per_s": 0.85}
    plain = {"wall_s": 11.8, "iteration_s": {"p50": 1.18, "p95": 1.25}}
    return {"recipe": "hearts", "iterations": 10, "throughput": rates, "plain": plain, "memory_mb": 812.7}


def told_run(folder: Path, **changes: Any) -> Path:
    """A run with everything a report can show."""
    trained_run(folder, **changes)
    moments = np.linspace(10, 118, 9)
    rule = [evaluation("rule", 14.1 * np.exp(-t / 60) + 4.2, float(t), 14.1) for t in moments]
    write_lines(folder / "evaluations.jsonl", [*rule, evaluation("random", 1.9, 119.0, 6.5)])
    (folder / "cards.json").write_text(json.dumps({"models": [card()], "batch": 1}))
    (folder / "profile.json").write_text(json.dumps(profile()))
    verdicts = [{"change": "--ppo.minibatch 4096", "verdict": "kept", "gain": 1.18, "phases": {"learn.optimize": 0.6}}]
    write_lines(folder / "verdicts.jsonl", verdicts)
    return folder
