"""`velodrome watch`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from velodrome.learn.trainer import Trainer
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import find
from velodrome.recipes.restore import build
from velodrome.recipes.shipped import Shipped
from velodrome.runs.files import writing_to
from velodrome.runs.run import Run
from velodrome.show.minds import filmed
from velodrome.show.watch import write_page
from velodrome.show.words import several, size
from velodrome.verbs.answer import Answer
from velodrome.verbs.flags import Folder, Name, parse, refuse_below, subject
from velodrome.verbs.players import NOBODY, Opponent, agent_of, last_saved, opponent, refuse_untrained


@dataclass(frozen=True)
class Watch:
    """Play a few games and write them as one page that replays them in a browser, with what the net sees and wants. A
    run's agent plays as it was last saved; a recipe's is the one that ships with Velodrome, or a new net where none
    does."""

    episodes: int = 3
    """How many games to play."""
    against: Name = None
    """A bot of the game, or the folder of another run, for all seats but one; by default the agent has all."""
    untrained: bool = False
    """Of a recipe, a new net."""
    sample: bool = False
    """Draw actions as in training, rather than taking the likeliest. A new net always does."""
    out: Folder = None
    """The page's file; by default watch.html in the run's folder, or RECIPE.html here."""
    seed: int = 0
    """The same seed plays the same games."""
    device: Name = None
    """cpu, cuda or mps; by default what the run was trained on."""
    json: bool = False
    """Answer with one JSON document."""


@dataclass(frozen=True)
class Agent:
    """Who is watched."""

    name: str
    trainer: Trainer
    says: str
    """How it came to be."""
    learnt: bool
    page: Path
    """Where its page goes by default."""
    device: str


def watch(arguments: Sequence[str]) -> Answer:
    """Play, and write the page."""
    name, rest = subject("watch", "RECIPE|RUN", arguments)
    if name and Run(Path(name)).exists:
        flags = parse("watch RUN", Watch, rest)
        _refuse_bad_flags(flags)
        refuse_untrained(name, flags.untrained)
        return _watched(_agent_of_run(Path(name), flags), flags)
    if not name:
        parse("watch RECIPE|RUN", Watch, rest)
    flags, settings, agent = agent_of("watch", name, Watch, rest, lambda flags: not flags.untrained)
    _refuse_bad_flags(flags)
    return _watched(_agent_of_recipe(name, settings, flags, agent), flags)


def _refuse_bad_flags(flags: Watch) -> None:
    refuse_below(flags, episodes=1, seed=0)
    if flags.out is not None and flags.out.is_dir():
        raise Mistake(f"--out {flags.out} is a folder; name a file in it")


def _agent_of_run(folder: Path, flags: Watch) -> Agent:
    restored = last_saved(folder, flags.device)
    iterations = several(restored.checkpoint.state["totals"]["iteration"], "iterations")
    says = f"The agent of the run {folder.name}, after {iterations} of {restored.config.recipe}."
    device = flags.device or restored.config.device
    return Agent(str(folder), restored.trainer, says, True, folder / "watch.html", device)


def _agent_of_recipe(name: str, settings: Any, flags: Watch, agent: Shipped | None) -> Agent:
    """The agent that ships for a recipe, or a new net, which has learnt nothing."""
    device, page = flags.device or "cpu", Path(f"{name.rsplit(':', 1)[-1]}.html")
    if agent is not None:
        says = f"The agent that ships with Velodrome, after {several(agent.about.iterations, 'iterations')} of {name}."
        return Agent(name, agent.trainer(device, settings), says, True, page, device)
    trainer = build(find(name), settings, flags.seed, device)
    says = f"A new net, which has learnt nothing yet: velodrome train {name} teaches it."
    return Agent(name, trainer, says, False, page, device)


def _watched(agent: Agent, flags: Watch) -> Answer:
    rival = opponent(flags.against or NOBODY, agent.trainer.game, agent.device)
    path = flags.out or agent.page
    with writing_to(path, "choose another --out"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with callers_mistake():
        films = filmed(
            agent.trainer, rival.player, games=flags.episodes, seed=flags.seed, device=agent.device,
            greedy=agent.learnt and not flags.sample, say=lambda line: print(f"velodrome: {line}", file=sys.stderr),
        )  # fmt: skip
    verdict = [agent.says, _played(agent, rival, flags)]
    with writing_to(path, "choose another --out"):
        found = write_page(path, Path(agent.name).name, verdict, flags.seed, films)
    document = {
        "page": str(path),
        "bytes": found,
        "agent": agent.name,
        "trained": agent.learnt,
        "against": rival.name,
        "games": [{"decisions": len(film.scenes) - 1, "end": film.end} for film in films],
    }
    return Answer(document, f"{path}, {size(found)}: open it in a browser")


def _played(agent: Agent, rival: Opponent, flags: Watch) -> str:
    spec = agent.trainer.game.spec
    who = "The agent has the only seat" if spec.seats == 1 else f"The agent has all {spec.seats} seats"
    if rival.player is not None:
        others = f"the bot {rival.name}" if rival.name == rival.player else f"the run {Path(rival.name).name}"
        who = f"The agent has one seat, {others} the others"
    how = "takes the likeliest action" if agent.learnt and not flags.sample else "draws actions as in training"
    return f"{several(flags.episodes, 'games')} of {spec.name}. {who}, and {how}."
