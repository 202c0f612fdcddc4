"""What a library does out of sight of an observation in this process. Nothing is imported for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def unseen(given: Any) -> Iterator[str]:
    """What of this object's work is not seen, in sentences."""
    package = type(given).__module__.split(".")[0]
    kinds = {kind.__name__ for kind in type(given).__mro__}
    if package == "ray" or ("Algorithm" in kinds and hasattr(given, "env_runner_group")):
        yield from _of_rllib(given)
    if "SubprocVecEnv" in _names(getattr(given, "env", None)):
        yield "environments play in other processes: collect.step is the time this one waits for them"


def _of_rllib(algorithm: Any) -> Iterator[str]:
    config = getattr(algorithm, "config", None)
    runners, learners = getattr(config, "num_env_runners", 0), getattr(config, "num_learners", 0)
    if runners:
        yield f"{_elsewhere(runners, 'env runner')}: its playing is not seen, nor are its steps counted"
    if learners:
        yield f"{_elsewhere(learners, 'learner')}: its learning is not seen"


def _elsewhere(number: int, who: str) -> str:
    return f"{number} {who}{'' if number == 1 else 's'} work{'s' * (number == 1)} in a process of its own"


def _names(environment: Any) -> set[str]:
    """The classes of an environment and of those that it wraps."""
    names: set[str] = set()
    while environment is not None and len(names) < 20:
        names.add(type(environment).__name__)
        environment = vars(environment).get("venv") if hasattr(environment, "__dict__") else None
    return names
