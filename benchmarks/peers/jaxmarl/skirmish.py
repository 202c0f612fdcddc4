"""Random play of SMAX against its scripted enemy, legal actions alone. Argument: `{map, games, steps}`."""

from __future__ import annotations

import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
from jaxmarl import make
from jaxmarl.environments.smax import map_name_to_scenario
from random_play import Record, random_play


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    env: Any = make("HeuristicEnemySMAX", scenario=map_name_to_scenario(asked["map"]))

    def choose(key: Any, state: Any) -> dict[str, Any]:
        legal, keys = env.get_avail_actions(state), jax.random.split(key, len(env.agents))
        return {
            agent: jax.random.categorical(own, jnp.where(legal[agent] > 0, 0.0, -1e9))
            for agent, own in zip(env.agents, keys, strict=True)
        }

    random_play(env, choose, asked["games"], asked["steps"])


if __name__ == "__main__":
    main()
