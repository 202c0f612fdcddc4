"""Random play of JaxMARL's simple spread, compiled whole, a turn so many steps.

Every step draws an action for each agent, plays it, starts games that are over anew, and adds up what is seen, so that
nothing of it can be left out. Argument: `{agents, games, steps}`; XLA takes all cores that the process may use.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxmarl import make

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE)]
from turns import Record, take_turns  # noqa: E402


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    env: Any = make("MPE_simple_spread_v3", num_agents=asked["agents"], num_landmarks=asked["agents"])

    def one_step(key: Any, state: Any) -> tuple[Any, Any]:
        draw, play = jax.random.split(key)
        chosen = jax.random.randint(draw, (len(env.agents),), 0, 5)
        seen, state, reward, *_ = env.step(play, state, dict(zip(env.agents, chosen, strict=True)))
        return state, sum(jnp.sum(each) for each in seen.values()) + sum(reward.values())

    @jax.jit
    def play(key: Any, states: Any) -> tuple[Any, Any]:
        def body(carry: Any, key: Any) -> tuple[Any, Any]:
            states, total = jax.vmap(one_step)(jax.random.split(key, asked["games"]), carry)
            return states, total.sum()

        return jax.lax.scan(body, states, jax.random.split(key, asked["steps"]))  # type: ignore[no-any-return]

    key = jax.random.PRNGKey(0)
    _, states = jax.vmap(env.reset)(jax.random.split(key, asked["games"]))

    def turn() -> Record:
        nonlocal key, states
        key, own = jax.random.split(key)
        began = time.perf_counter()
        states, totals = jax.block_until_ready(play(own, states))
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "steps": asked["steps"] * asked["games"], "seen": float(totals.sum())}

    for _ in range(2):  # compiled for the states as they begin, then for those that a turn leaves
        turn()
    versions = {name: importlib.metadata.version(name) for name in ("jaxmarl", "jax")}
    take_turns(turn, {"side": "JaxMARL", "version": versions["jaxmarl"], "jax": versions["jax"]})


if __name__ == "__main__":
    main()
