"""The trained agents that ship with the package: one file a recipe, the weights that its policy plays with.

agents/NAME.safetensors holds the weights, by the place of each net in the policy, and in its metadata how it was made:
what `About` holds. Made by `python benchmarks/agents.py`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

import velodrome
from velodrome.learn.trainer import Policy, Trainer
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import find
from velodrome.recipes.restore import build, restore
from velodrome.runs.files import plain, write_durably, writing_to
from velodrome.runs.run import Run
from velodrome.runs.settings import settings_from_json

AGENTS = Path(velodrome.__file__).parent / "agents"
_KEY = "velodrome"
"""Of the metadata: its value is one JSON document."""


@dataclass(frozen=True)
class About:
    """How a shipped agent was made, and how well it plays."""

    recipe: str
    settings: dict[str, Any]
    seed: int
    iterations: int
    seconds: float
    """Of training."""
    date: str
    machine: dict[str, Any]
    score: dict[str, Any]
    """The evaluation over games that nobody trained on: `score`, `stderr`, `interval`, `against`, and the trivial
    players' beside it."""
    notes: dict[str, Any] = field(default_factory=dict)
    velodrome: str = velodrome.__version__


@dataclass(frozen=True)
class Shipped:
    """The agent of a recipe that came with the package."""

    path: Path
    about: About
    settings: Any

    @property
    def name(self) -> str:
        """For people: whose agent this is."""
        return f"{self.about.recipe}, the agent that ships with Velodrome"

    def trainer(self, device: str = "cpu", settings: Any = None) -> Trainer:
        """A trainer whose policy is this agent, with other settings if its nets stay as they are."""
        other = settings is not None and settings != self.settings
        trainer = build(find(self.about.recipe), settings if other else self.settings, self.about.seed, device)
        try:
            put_weights(trainer, self._weights(), self.path)
        except Mistake as mistake:
            if not other:
                raise
            raise Mistake(
                f"the agent that ships for {self.about.recipe} has other nets than these settings ask for; leave them "
                "out, or add --untrained"
            ) from mistake
        return trainer

    def _weights(self) -> dict[str, Tensor]:
        try:
            return safetensors.torch.load(self.path.read_bytes())
        except (OSError, SafetensorError) as error:
            raise Mistake(f"{self.path} cannot be read ({error}); install Velodrome anew") from error


def shipped(recipe: str) -> Shipped | None:
    """The agent that ships with the package for this recipe; None where none does."""
    path = AGENTS / f"{recipe}.safetensors"
    if "/" in recipe or not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            document = json.loads((file.metadata() or {})[_KEY])
        about: About = settings_from_json(About, document, path.name)
        with callers_mistake():
            settings = settings_from_json(find(about.recipe).settings, about.settings)
    except (OSError, KeyError, SafetensorError, ValueError) as error:
        raise _unfit(path, error) from error
    return Shipped(path, about, settings)


def load(name: str | Path, device: str = "cpu") -> Trainer:
    """The trained agent of a run, given by its folder, or of a recipe, the one that ships with Velodrome: a trainer
    with its `game` and its `policy`."""
    if Run(Path(name)).exists:
        return restore(Path(name), device).trainer
    with callers_mistake():
        find(str(name))
    found = shipped(str(name))
    if found is None:
        raise Mistake(f"no agent of {name} ships with Velodrome; train one: velodrome train {name}")
    return found.trainer(device)


def write(path: Path, trainer: Trainer, about: About, half: bool = False) -> None:
    """Write the agent as it now stands; with `half` precision, in half of the room."""
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights_of_play(trainer).items()}
    if half:
        weights = {name: one.half() if one.dtype == torch.float32 else one for name, one in weights.items()}
    document = json.dumps(plain(dataclasses.asdict(about)), allow_nan=False)
    with writing_to(path, "make room there"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, safetensors.torch.save(weights, {_KEY: document}))


def weights_of_play(trainer: Trainer) -> dict[str, Tensor]:
    """All that the greedy policy's nets hold, named `net.parameter`."""
    nets = nets_of(trainer.policy(greedy=True))
    return {f"{where}.{name}": tensor for where, net in nets.items() for name, tensor in net.state_dict().items()}


def put_weights(trainer: Trainer, weights: Mapping[str, Tensor], path: Path) -> None:
    """Have the trainer's policies, greedy or not, play with these weights."""
    for greedy in (False, True):
        nets = nets_of(trainer.policy(greedy))
        wanted = {f"{where}.{name}" for where, net in nets.items() for name in net.state_dict()}
        if wanted != weights.keys():
            odd = sorted(wanted ^ weights.keys())[0]
            raise _unfit(path, f"{odd} is {'missing' if odd in wanted else 'too much'}")
        for where, net in nets.items():
            own = {name.removeprefix(f"{where}."): one for name, one in weights.items() if name.startswith(f"{where}.")}
            try:
                with torch.no_grad():
                    net.load_state_dict(own)
            except RuntimeError as error:
                raise _unfit(path, str(error).splitlines()[-1]) from error


def nets_of(policy: Policy, where: str = "") -> dict[str, nn.Module]:
    """The nets by which a policy plays, by their places in it."""
    found: dict[str, nn.Module] = {}
    for name, value in vars(policy).items():
        if isinstance(value, nn.Module):
            found[where + name] = value
        elif hasattr(value, "act"):
            found |= nets_of(value, f"{where}{name}.")
    return found


def _unfit(path: Path, why: object) -> Mistake:
    said = " ".join(str(why).split())[:200]
    return Mistake(
        f"the agent that ships for {path.stem} no longer fits its recipe ({said}); make it anew with "
        f"python benchmarks/agents.py {path.stem}, or train one: velodrome train {path.stem}"
    )
