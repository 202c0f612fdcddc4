"""Random play of JaxMARL's games, compiled whole: a step for every game, and what is over starts anew.

What is seen is added up, so that nothing of it can be left out. XLA takes all cores that the process may use.
"""

from __future__ import annotations

import importlib.metadata
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE)]
from turns import Record, take_turns  # noqa: E402


def random_play(env: Any, choose: Callable[[Any, Any], Any], games: int, steps: int) -> None:
    """Take turns of so many steps in each of so many games; `choose` maps a key and a state to every agent's action."""

    def one_step(key: Any, state: Any) -> tuple[Any, Any]:
        draw, play = jax.random.split(key)
        seen, state, reward, *_ = env.step(play, state, choose(draw, state))
        return state, sum(jnp.sum(each) for each in seen.values()) + sum(reward.values())

    @jax.jit
    def play(key: Any, states: Any) -> tuple[Any, Any]:
        def body(carry: Any, key: Any) -> tuple[Any, Any]:
            states, total = jax.vmap(one_step)(jax.random.split(key, games), carry)
            return states, total.sum()

        return jax.lax.scan(body, states, jax.random.split(key, steps))  # type: ignore[no-any-return]

    key = jax.random.PRNGKey(0)
    _, states = jax.vmap(env.reset)(jax.random.split(key, games))

    def turn() -> Record:
        nonlocal key, states
        key, own = jax.random.split(key)
        began = time.perf_counter()
        states, totals = jax.block_until_ready(play(own, states))
        return {"seconds": time.perf_counter() - began, "steps": steps * games, "seen": float(totals.sum())}

    for _ in range(2):  # compiled for the states as they begin, then for those that a turn leaves
        turn()
    versions = {name: importlib.metadata.version(name) for name in ("jaxmarl", "jax")}
    take_turns(turn, {"side": "JaxMARL", "version": versions["jaxmarl"], "jax": versions["jax"]})
