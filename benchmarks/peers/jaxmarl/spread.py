"""Random play of JaxMARL's simple spread. Argument: `{agents, games, steps}`."""

from __future__ import annotations

import json
import sys
from typing import Any

import jax
from jaxmarl import make
from random_play import Record, random_play


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    env: Any = make("MPE_simple_spread_v3", num_agents=asked["agents"], num_landmarks=asked["agents"])

    def choose(key: Any, state: Any) -> dict[str, Any]:
        return dict(zip(env.agents, jax.random.randint(key, (len(env.agents),), 0, 5), strict=True))

    random_play(env, choose, asked["games"], asked["steps"])


if __name__ == "__main__":
    main()
