"""`velodrome evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from velodrome.learn.evaluate import evaluate as play
from velodrome.learn.trainer import Trainer
from velodrome.mistake import Mistake
from velodrome.recipes.recipe import find
from velodrome.recipes.restore import build
from velodrome.runs.datasets import Recorder, refuse_a_set_in
from velodrome.runs.files import writing_to
from velodrome.runs.run import Run
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Count, Name, parse, refuse_below, subject
from velodrome.verbs.players import Opponent, agent_of, last_saved, opponent, refuse_untrained


@dataclass(frozen=True)
class Evaluate:
    """Measure how well a run plays, given by its folder; the result is also kept there. A recipe's name will do too: it
    is then the agent that ships with Velodrome, or an untrained one where none does."""

    against: Name = None
    """A bot of the game, the folder of another run, or "nobody" to have all seats; by default the game's last bot."""
    play: Name = None
    """Who plays in the agent's place: a bot of the game, or the folder of another run."""
    record: Name = None
    """A folder to write the episodes to, as a set to learn from; one that holds no set yet."""
    episodes: int = 1000
    """How many games to play, or starts where each is played in every seat."""
    untrained: bool = False
    """Of a recipe, the agent as it is before any training."""
    sample: bool = False
    """Draw actions as in training, rather than taking the likeliest."""
    seed: int = 0
    """The same seed plays the same games."""
    device: Name = None
    """cpu, cuda or mps; by default what the run was trained on."""
    threads: Count = None
    """Threads that torch may use for one operation."""
    json: bool = False
    """Answer with one JSON document."""


def evaluate(arguments: Sequence[str]) -> Answer:
    """Evaluate a run, or the agent of a recipe."""
    name, rest = subject("evaluate", "RUN", arguments)
    if name and not Run(Path(name)).exists:
        return _evaluate_recipe(name, rest)
    flags = parse("evaluate RUN", Evaluate, rest)
    _refuse_bad_flags(flags)
    refuse_untrained(name, flags.untrained)
    document = evaluated(Path(name), flags)
    return Answer(document, _text(name, document))


def evaluated(folder: Path, flags: Evaluate) -> dict[str, Any]:
    """Evaluate the run in `folder` and add the result to its evaluations."""
    restored = last_saved(folder, flags.device)
    totals = restored.checkpoint.state["totals"]
    record = {"iteration": totals["iteration"], "seconds": totals["seconds"]}
    record |= _scores(str(folder), restored.trainer, flags, flags.device or restored.config.device)
    if flags.play is None:  # else it tells nothing of this run
        run = Run(folder)
        with writing_to(folder, "make room there, or copy the run elsewhere"):
            run.append("evaluations.jsonl", record)
            run.flush()
        run.close()
    return {"run": str(folder)} | record


def _evaluate_recipe(name: str, arguments: Sequence[str]) -> Answer:
    flags, settings, agent = agent_of(
        "evaluate", name, Evaluate, arguments, lambda flags: not flags.untrained and flags.play is None
    )
    _refuse_bad_flags(flags)
    device = flags.device or "cpu"
    if agent is None:
        who, trainer = f"{name}, untrained", build(find(name), settings, flags.seed, device)
    else:
        who, trainer = agent.name, agent.trainer(device, settings)
    document = {"recipe": name, "agent": "untrained" if agent is None else "shipped"}
    document |= _scores(who, trainer, flags, device)
    return Answer(document, _text(who, document))


def _scores(who: str, trainer: Trainer, flags: Evaluate, device: str) -> dict[str, Any]:
    """The trainer's score, and those of the game's bots in its place unless it plays against a run."""
    if flags.threads:
        torch.set_num_threads(flags.threads)
    rival = opponent(flags.against, trainer.game, device)
    hero = (
        Opponent("the agent", trainer) if flags.play is None else opponent(flags.play, trainer.game, device, "--play")
    )
    if hero.player is None:
        raise Mistake(f"--play {flags.play}: name a bot of the game or the folder of a run")
    score = partial(play, game=trainer.game, against=rival.player, episodes=flags.episodes, seed=flags.seed)
    recorder = Recorder() if flags.record else None
    if flags.record:
        refuse_a_set_in(Path(flags.record))
    found = score(hero.player, greedy=not flags.sample, device=device, record=recorder)
    document = {"against": rival.name} | ({} if flags.play is None else {"played by": hero.name}) | found.to_json()
    if recorder is not None and flags.record is not None:
        about = {"who": who if flags.play is None else hero.name, "against": rival.name, "seed": flags.seed}
        card = recorder.write(Path(flags.record), about | {"sampled": flags.sample})
        document["recorded"] = {"folder": flags.record} | {name: card[name] for name in ("episodes", "steps", "hash")}
    if rival.player is None or isinstance(rival.player, str):
        bots = {bot: score(bot) for bot in dict.fromkeys(["random", *trainer.game.spec.bots])}
        document["baselines"] = {
            bot: {"score": one.score, "stderr": one.stderr, "by_role": one.by_role} for bot, one in bots.items()
        }
    return document


def _refuse_bad_flags(flags: Evaluate) -> None:
    refuse_below(flags, episodes=2, threads=1, seed=0)


def _text(who: str, document: dict[str, Any]) -> str:
    who = document.get("played by", who)
    lines = [
        f"{who}: {document['score_name']} {document['score']:.3f} ± {2 * document['stderr']:.3f} "
        f"against {document['against']} "
        f"({document['better']} is better; two standard errors, {document['episodes']:,} episodes)"
    ]
    if "recorded" in document:
        recorded = document["recorded"]
        lines.append(
            f"  {recorded['steps']:,} steps recorded in {recorded['folder']}, return {document['mean_return']:.2f}"
        )
    if document["by_role"]:
        lines.append(f"  {_by_role(document)}")
    for bot, one in document.get("baselines", {}).items():
        roles = f"; {_by_role(one)}" if one["by_role"] else ""
        lines.append(f"  the bot {bot} in its place: {one['score']:.3f} ± {2 * one['stderr']:.3f}{roles}")
    return "\n".join(lines)


def _by_role(scored: dict[str, Any]) -> str:
    return ", ".join(f"role {role} {score:.3f}" for role, score in scored["by_role"].items())
