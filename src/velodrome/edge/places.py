"""Where the libraries of the field step environments and move data: names to watch once somebody has imported them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from velodrome.edge.account import SAMPLE
from velodrome.edge.watch import Record, learns, steps, waits


def num_envs(environment: Any) -> int:
    """Environments side by side."""
    return int(getattr(environment, "num_envs", 1))


def batch_size(environment: Any) -> int:
    """Environments in a tensor of them."""
    return int(environment.batch_size.numel())


def games(game: Any) -> int:
    """Games of our own."""
    return int(game.games)


@dataclass(frozen=True)
class Place:
    """Methods of a class and of all that derive from it."""

    module: str
    kind: str
    methods: dict[str, Record]


RESET = {"reset": waits("reset")}
VECTOR = {"step": steps(num_envs), "step_async": steps(num_envs, 0), "step_wait": steps(num_envs), **RESET}

PLACES = (
    Place("gymnasium.core", "Env", {"step": steps(), **RESET}),
    Place("gymnasium.vector.vector_env", "VectorEnv", VECTOR),
    Place("gym.core", "Env", {"step": steps(), **RESET}),
    Place("gym.vector.vector_env", "VectorEnv", VECTOR),
    Place("pettingzoo.utils.env", "AECEnv", {"step": steps(), **RESET}),
    Place("pettingzoo.utils.env", "ParallelEnv", {"step": steps(), **RESET}),
    Place("velodrome.games.game", "Game", {"step": steps(games), **RESET}),
    Place("stable_baselines3.common.vec_env.base_vec_env", "VecEnv", VECTOR),
    Place(
        "stable_baselines3.common.buffers",
        "BaseBuffer",
        {
            "add": waits("store"),
            "extend": waits("store"),
            "sample": learns(SAMPLE),
            "_get_samples": learns(SAMPLE),
            "compute_returns_and_advantage": learns(SAMPLE, 0),
        },
    ),
    Place(
        "torchrl.envs.common",
        "EnvBase",
        {"step": steps(batch_size), "step_and_maybe_reset": steps(batch_size), **RESET},
    ),
    Place(
        "torchrl.data.replay_buffers.replay_buffers",
        "ReplayBuffer",
        {"add": waits("store"), "extend": waits("store"), "sample": learns(SAMPLE)},
    ),
    Place(
        "ray.rllib.connectors.connector_pipeline_v2",
        "ConnectorPipelineV2",
        {"__call__": waits("encode")},
    ),
    Place("torch.utils.data.dataloader", "_BaseDataLoaderIter", {"__next__": learns(SAMPLE)}),
)
