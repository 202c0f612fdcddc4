"""A trained policy as an ONNX file, for programs that play: one greedy decision, from what is seen to what is done.

    velodrome.export("runs/hearts")            writes runs/hearts/policy.onnx

Inputs are the views that the policy looks at, masks of what is legal among them, and `memory.NAME` for what it
remembers. Outputs are the action's parts by name, `NAME.logits` of choices and bits, and `next.NAME`, to be given as
`memory.NAME` the next time. The first dimension is free: rows, or where a team plays as one, games.

Compiled kernels are for learning; what is written is the plain form of the same nets. Before the file gets its name, it
has been run on what was seen in games, and has done what the policy did there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import singledispatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import velodrome
from velodrome.games.game import Bits, Choice, Game, Spec
from velodrome.learn.actions import Actions, masked_logits
from velodrome.learn.agents import AgentPolicy
from velodrome.learn.maddpg import SoftPolicy
from velodrome.learn.players import seated
from velodrome.learn.policy import NetPolicy, after
from velodrome.learn.sequences import SequencePolicy
from velodrome.learn.team import UNTIMED, TeamPolicy, in_teams
from velodrome.learn.trainer import Memory, Policy, Trainer, Views
from velodrome.mistake import Mistake, callers_mistake
from velodrome.recipes.recipe import find
from velodrome.recipes.restore import restore
from velodrome.recipes.shipped import nets_of, shipped
from velodrome.runs.files import write_durably, writing_to
from velodrome.runs.run import Run
from velodrome.runs.settings import settings_to_json

NEEDED = ("onnx", "onnxruntime", "onnxscript")
WITHIN = 1e-4
"""How far the file's numbers may be from the net's."""
GAMES, STEPS = 8, 24
"""Played to check a file, and decisions in each."""
REMEMBERED, THEN = "memory.", "next."
GREEDY = (
    "the likeliest action is taken: of a choice the legal one with the highest logit, the first of equals; of bits "
    "those whose logit is above 0; of numbers the centre; of shares the mean. What a mask forbids has the logit -1e9."
)
_NO_CHANCE = torch.Generator()

Tensors = dict[str, Tensor]
Found = tuple[Tensors, Memory]
"""What is done and the numbers behind it, and what is then remembered."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and what checking it came to."""

    path: Path
    recipe: str
    game: str
    bytes: int
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    decisions: int
    """That were compared."""
    furthest: float
    """The largest difference between the file's numbers and the net's."""
    ties: int
    """Choices that differed, between logits nearer to each other than that."""

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return asdict(self) | {"path": str(self.path)}


def export(run: str | Path, out: str | Path | None = None) -> Exported:
    """Write the policy of a run, given by its folder, or the agent that ships for a recipe, as ONNX: into the run's
    folder as policy.onnx, or to `out`."""
    refuse_missing_packages()
    folder = Path(run)
    if Run(folder).exists:
        restored = restore(folder, "cpu")
        about = {"recipe": restored.config.recipe, "settings": restored.config.settings}
        path = folder / "policy.onnx" if out is None else Path(out)
        return write(restored.trainer, path, about | {"iteration": restored.checkpoint.iteration})
    if "/" in str(run) and ".py:" not in str(run):
        raise Mistake(f"{run} is not there: export takes the folder of a run, or a recipe")
    with callers_mistake():
        recipe = find(str(run))
    agent = shipped(recipe.name)
    if agent is None:
        raise Mistake(f"no agent of {run} ships with Velodrome; train one: velodrome train {run}, and export its run")
    path = Path(f"{recipe.name}.onnx") if out is None else Path(out)
    about = {"recipe": recipe.name, "settings": settings_to_json(agent.settings)}
    return write(agent.trainer(), path, about | {"iteration": agent.about.iterations})


def refuse_missing_packages() -> None:
    """Raise a `Mistake` if what writes or checks the file is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise Mistake(f"export needs {', '.join(missing)}: pip install 'velodrome[onnx]'")


def write(trainer: Trainer, path: Path, about: Mapping[str, Any]) -> Exported:
    """Write the trainer's greedy policy; `about` says of which recipe, settings and iteration."""
    if path.suffix != ".onnx":
        raise Mistake(f"--out {path}: the file's name has to end in .onnx")
    policy, spec = trainer.policy(greedy=True), trainer.game.spec
    refuse_what_has_no_file(policy, spec)
    decision, seen = Decision(policy, spec), seen_in_play(policy, trainer.game)
    first = decision.given(*seen[len(seen) // 2][:2])
    with torch.no_grad():
        outputs = _described(decision.decided(first))
    model = _model(decision, first, list(outputs))
    inputs = _described(first, policy, 0 if decision.alone else spec.seats)
    for name, value in _metadata(about, spec.name, decision.alone, inputs, outputs).items():
        model.metadata_props.add(key=f"velodrome.{name}", value=value)
    data: bytes = model.SerializeToString()
    check = checked(data, decision, seen)
    with writing_to(path, "choose another --out"):
        write_durably(path, data)
    found = check.decisions, check.furthest, check.ties
    return Exported(path, about["recipe"], spec.name, len(data), inputs, outputs, *found)


# -- the decision -----------------------------------------------------------------------------------------------------


class Decision(nn.Module):
    """A policy's decision, from tensors in the order of `inputs`."""

    def __init__(self, policy: Policy, spec: Spec):
        super().__init__()
        self.policy, self.spec = policy, spec
        self.nets = nn.ModuleList(nets_of(policy).values()).eval()
        self.alone = not isinstance(policy, TeamPolicy | SoftPolicy)
        """Whether each row decides by itself; else the seats of a game stand in a dimension of their own."""
        actions = Actions(spec.action)
        wants = ("seen",) if isinstance(policy, SoftPolicy) else next(iter(nets_of(policy).values())).wants
        self.views = tuple(dict.fromkeys([*wants, *sorted(actions.masks)]))  # type: ignore[misc]
        self.inputs = (*self.views, *(REMEMBERED + name for name in policy.start(spec.seats)))

    def given(self, views: Views, memory: Memory) -> Tensors:
        """The inputs, from what the policy sees and remembers in rows."""
        named = {name: views[name] for name in self.views}
        named |= {REMEMBERED + name: part for name, part in memory.items()}
        return named if self.alone else {name: in_teams(part, self.spec.seats) for name, part in named.items()}

    def decided(self, given: Mapping[str, Tensor]) -> Tensors:
        """The outputs by name."""
        memory = {name.removeprefix(REMEMBERED): part for name, part in given.items() if name not in self.views}
        found, remembered = decide(self.policy, self.spec, {name: given[name] for name in self.views}, memory)
        return found | {THEN + name: part for name, part in remembered.items()}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs."""
        return tuple(self.decided(dict(zip(self.inputs, inputs, strict=True))).values())


@singledispatch
def decide(policy: Any, spec: Spec, views: Views, memory: Memory) -> Found:
    """The greedy decision of one kind of policy."""
    raise Mistake(
        f"{type(policy).__name__}: policies of this kind have no ONNX file; those have in which one net decides, and "
        "nobody votes"
    )


@decide.register
def _(policy: NetPolicy, spec: Spec, views: Views, memory: Memory) -> Found:
    seen = {**views, **memory}
    return greedy(spec, policy.net(seen), views), after(policy.net, seen, memory)


@decide.register
def _(policy: AgentPolicy, spec: Spec, views: Views, memory: Memory) -> Found:
    outputs = policy.net({**views, **memory})
    found = greedy(spec, outputs, views)
    known = {"before": found[policy.net.part] + 1, "hidden": outputs.get("hidden")}
    return found, {name: known[name] for name in memory}


@decide.register
def _(policy: SequencePolicy, spec: Spec, views: Views, memory: Memory) -> Found:
    outputs, remembered = policy.net.act(views, memory)
    return greedy(spec, outputs, views), remembered


@decide.register
def _(policy: TeamPolicy, spec: Spec, views: Views, memory: Memory) -> Found:
    outputs, remembered, _ = policy.net.act(views, memory, UNTIMED, _NO_CHANCE, True)
    return greedy(spec, outputs, views), remembered


@decide.register
def _(policy: SoftPolicy, spec: Spec, views: Views, memory: Memory) -> Found:
    numbers = policy.actors(views["seen"].float().transpose(0, 1)).transpose(0, 1)
    return {policy.part: numbers.softmax(-1)}, {}


def greedy(spec: Spec, outputs: Mapping[str, Tensor], views: Views) -> Tensors:
    """The action that a net's outputs make likeliest, and the logits behind it."""
    action, _ = Actions(spec.action).sample(outputs, views, _NO_CHANCE, greedy=True)
    chosen = [part for part in spec.action if isinstance(part, Choice | Bits)]
    return action | {f"{part.name}.logits": masked_logits(part, outputs, views) for part in chosen}


def refuse_what_has_no_file(policy: Policy, spec: Spec) -> None:
    """Raise a `Mistake` for a policy that no file can stand for."""
    if decide.dispatch(type(policy)) is decide.dispatch(object):
        decide(policy, spec, {}, {})
    lossy = [part for net in nets_of(policy).values() for part in net.modules() if _loses(part)]
    if lossy:
        raise Mistake("messages of this team get lost by chance, and a file draws none; set lost to 0")


def _loses(module: nn.Module) -> bool:
    channel = getattr(module, "channel", None) or getattr(getattr(module, "minds", None), "channel", None)
    return bool(getattr(channel, "lost", 0.0))


# -- the file ---------------------------------------------------------------------------------------------------------


def _model(decision: Decision, first: Mapping[str, Tensor], outputs: list[str]) -> Any:
    """The decision as an ONNX model, whose first dimension is free."""
    names, tensors = list(first), tuple(first.values())
    free = tuple({0: torch.export.Dim("rows" if decision.alone else "games", min=1)} for _ in tensors)
    with torch.no_grad(), _quietly():
        try:
            program = torch.onnx.export(
                decision, tensors, dynamo=True, input_names=names, output_names=outputs,
                dynamic_shapes=(free,), verbose=False,
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            said = " ".join(str(error.__cause__ or error).split())[:200]
            raise Mistake(f"this policy's nets cannot be written as ONNX: {said}") from error
    assert program is not None
    model = program.model_proto
    fixed = [one.name for one in model.graph.input if not one.type.tensor_type.shape.dim[0].dim_param]
    if fixed:
        raise Mistake(f"this policy's nets cannot be written as ONNX: they fix how many rows there are of {fixed[0]}")
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """What the exporter says about itself helps nobody here."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [log.level for log in logs]
    try:
        for log in logs:
            log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def _described(tensors: Mapping[str, Tensor], policy: Policy | None = None, seats: int = 0) -> dict[str, Any]:
    """Type and shape by name, without the first dimension; of what is remembered, also what it begins with."""
    described: dict[str, Any] = {}
    for name, tensor in tensors.items():
        described[name] = {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape[1:])}
    for name, part in ({} if policy is None else policy.start(max(seats, 1))).items():
        first = part if seats else part[0]
        same = bool((first == first.flatten()[0]).all())
        described[REMEMBERED + name]["begins"] = first.flatten()[0].item() if same else first.tolist()
    return described


def _metadata(about: Mapping[str, Any], game: str, alone: bool, inputs: Any, outputs: Any) -> dict[str, str]:
    """What the file tells of itself; all values are texts, those of several things JSON."""
    settings = json.dumps(about["settings"], sort_keys=True)
    return {
        "version": velodrome.__version__,
        "recipe": about["recipe"],
        "game": game,
        "iteration": str(about["iteration"]),
        "settings": settings,
        "settings_digest": hashlib.sha256(settings.encode()).hexdigest(),
        "inputs": json.dumps(inputs),
        "outputs": json.dumps(outputs),
        "first_dimension": "rows: decisions, each by itself" if alone else "games: all seats of one decide together",
        "greedy": GREEDY,
    }


# -- the check --------------------------------------------------------------------------------------------------------


class Noted:
    """A policy whose decisions are kept."""

    def __init__(self, policy: Policy):
        self.own = policy
        self.kept: list[tuple[Views, Memory, Tensors]] = []

    def start(self, rows: int) -> Memory:
        """What the policy remembers at first."""
        return self.own.start(rows)

    def act(self, views: Views, memory: Memory, generator: torch.Generator) -> tuple[Tensors, Memory]:
        """What the policy does."""
        action, remembered = self.own.act(views, memory, generator)
        self.kept.append((views, memory, action))
        return action, remembered


def seen_in_play(
    policy: Policy, game: Game, games: int = GAMES, steps: int = STEPS
) -> list[tuple[Views, Memory, Tensors]]:
    """What the policy sees, remembers and does in the first decisions of a few games, all seats of which it plays."""
    played, noted = game.again(games), Noted(policy)
    player = seated(noted, played)
    for _ in range(steps):
        played.step(player.decide(played.acting))
        over = played.ended | played.cut
        if over.any():
            played.reset(over)
            player.begin(over)
    return noted.kept


def checked(data: bytes, decision: Decision, seen: Sequence[tuple[Views, Memory, Tensors]]) -> Check:
    """Run the file on what was seen, and raise a `Mistake` where it does not do what the policy did."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a kind for each thing that may be wrong, none of them public
        said = " ".join(str(error).split())[:200]
        raise Mistake(f"this policy's nets cannot be run as ONNX: {said}; nothing was written") from error
    check = Check()
    for views, memory, action in seen:
        given = decision.given(views, memory)
        with torch.no_grad():
            expected = decision.decided(given)
        found = session.run(list(expected), {name: part.numpy() for name, part in given.items()})
        named = {name: torch.from_numpy(part) for name, part in zip(expected, found, strict=True)}
        check.compare(decision, named, expected, action)
    return check


@dataclass
class Check:
    """How far a file's decisions were from those of its policy."""

    decisions: int = 0
    furthest: float = 0.0
    ties: int = 0

    def compare(self, decision: Decision, found: Tensors, expected: Tensors, action: Tensors) -> None:
        """Count what was decided at once in some rows; `action` is what the policy did there."""
        self.decisions += len(next(iter(action.values())))
        for name, part in expected.items():
            if part.is_floating_point():
                self._numbers(name, found[name], part)
        for name, done in action.items():
            own = (part if decision.alone else part.flatten(0, 1) for part in (found[name], expected[name]))
            if done.is_floating_point():
                for part in own:
                    self._numbers(name, part, done)
                continue
            logits = expected[f"{name}.logits"]
            for part in own:
                self._choices(name, part, done, logits if decision.alone else logits.flatten(0, 1))

    def _numbers(self, name: str, found: Tensor, expected: Tensor) -> None:
        far = float((found.double() - expected.double()).abs().max()) if expected.numel() else 0.0
        self.furthest = max(self.furthest, far)
        if not far <= WITHIN:
            raise Mistake(f"the file's {name} is {far:.2g} away from the policy's; nothing was written")

    def _choices(self, name: str, found: Tensor, done: Tensor, logits: Tensor) -> None:
        """Other choices only where their logits are as good as equal."""
        differs = found != done
        if done.dim() == logits.dim():  # bits
            near = logits.abs() <= WITHIN
        else:
            best, own = (logits.gather(-1, which.unsqueeze(-1)).squeeze(-1) for which in (done, found))
            near = (best - own).abs() <= WITHIN
        if (differs & ~near).any():
            raise Mistake(f"the file chooses another {name} than the policy does; nothing was written")
        self.ties += int(differs.sum())
