"""Independent PPO on JaxMARL's simple spread, an iteration compiled whole, as JaxMARL's own baseline is set up.

Argument: `{agents, games, rows, epochs, parts, rate, widths, iterations, seed}`: a turn is so many iterations, each of
`rows` steps of every game and so many epochs in so many parts. It tells what a game earned each agent in the mean.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxmarl import make

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE)]
from turns import Record, take_turns  # noqa: E402

DISCOUNT, TRACE, CLIP, ENTROPY, VALUE, GRADIENT_CLIP = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5
LONGEST, ACTIONS = 25, 5


def layers(key: Any, sizes: list[int], last_gain: float) -> list[Any]:
    """Orthogonal weights, no biases to begin with."""
    found = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        key, own = jax.random.split(key)
        gain = last_gain if number == len(sizes) - 2 else 2**0.5
        found.append((jax.nn.initializers.orthogonal(gain)(own, (inputs, outputs)), jnp.zeros(outputs)))
    return found


def through(net: list[Any], x: Any) -> Any:
    """Layers with tanh between them."""
    for weight, bias in net[:-1]:
        x = jnp.tanh(x @ weight + bias)
    return x @ net[-1][0] + net[-1][1]


def main() -> None:
    asked: Record = json.loads(sys.argv[1])
    games, rows, epochs, parts = asked["games"], asked["rows"], asked["epochs"], asked["parts"]
    env: Any = make("MPE_simple_spread_v3", num_agents=asked["agents"], num_landmarks=asked["agents"])
    agents, seen = list(env.agents), 6 * asked["agents"]
    key = jax.random.PRNGKey(asked.get("seed", 0))
    key, own, other, start = jax.random.split(key, 4)
    net = {
        "actor": layers(own, [seen, *asked["widths"], ACTIONS], 0.01),
        "critic": layers(other, [seen, *asked["widths"], 1], 1.0),
    }
    optimizer = optax.chain(optax.clip_by_global_norm(GRADIENT_CLIP), optax.adam(asked["rate"], eps=1e-5))
    state = (net, optimizer.init(net))

    def stacked(by_agent: Any) -> Any:
        """`[agents * games, ...]` of what comes by agent."""
        return jnp.concatenate([by_agent[agent] for agent in agents])

    def act(net: Any, views: Any, key: Any) -> tuple[Any, Any, Any]:
        numbers = through(net["actor"], views)
        action = jax.random.categorical(key, numbers)
        sure = jnp.take_along_axis(jax.nn.log_softmax(numbers), action[:, None], 1)[:, 0]
        return action, sure, through(net["critic"], views)[:, 0]

    def play(net: Any, carry: Any, key: Any) -> tuple[Any, Any]:
        places, views = carry
        draw, steps = jax.random.split(key)
        action, sure, value = act(net, views, draw)
        chosen = dict(zip(agents, action.reshape(len(agents), games), strict=True))
        found, places, reward, done, _ = jax.vmap(env.step)(jax.random.split(steps, games), places, chosen)
        after = (places, stacked(found))
        return after, (views, action, sure, value, stacked(reward), jnp.tile(done["__all__"], len(agents)))

    def advantages(values: Any, rewards: Any, done: Any, last: Any) -> Any:
        def back(carry: Any, row: Any) -> tuple[Any, Any]:
            advantage, following = carry
            value, reward, over = row
            surprise = reward + DISCOUNT * following * (1 - over) - value
            advantage = surprise + DISCOUNT * TRACE * (1 - over) * advantage
            return (advantage, value), advantage

        return jax.lax.scan(back, (jnp.zeros_like(last), last), (values, rewards, done * 1.0), reverse=True)[1]

    def loss_of(net: Any, part: Any) -> Any:
        views, action, sure, value, advantage, wanted = part
        likely = jax.nn.log_softmax(through(net["actor"], views))
        now = jnp.take_along_axis(likely, action[:, None], 1)[:, 0]
        ratio = jnp.exp(now - sure)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
        found = through(net["critic"], views)[:, 0]
        near = value + jnp.clip(found - value, -CLIP, CLIP)
        error = 0.5 * jnp.maximum((found - wanted) ** 2, (near - wanted) ** 2).mean()
        spread = -(jnp.exp(likely) * likely).sum(1).mean()
        return VALUE * error - gain - ENTROPY * spread

    def iteration(carry: Any, key: Any) -> tuple[Any, Any]:
        (net, moments), places = carry
        draw, order = jax.random.split(key)
        places, (views, action, sure, value, reward, done) = jax.lax.scan(
            lambda at, own: play(net, at, own), places, jax.random.split(draw, rows)
        )
        advantage = advantages(value, reward, done, through(net["critic"], places[1])[:, 0])
        taken = [views, action, sure, value, advantage, advantage + value]
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), taken)

        def learn(carry: Any, key: Any) -> tuple[Any, Any]:
            shuffled = jax.random.permutation(key, len(flat[1]))
            mixed = jax.tree.map(lambda x: x[shuffled].reshape(parts, -1, *x.shape[1:]), flat)

            def step(carry: Any, part: Any) -> tuple[Any, Any]:
                net, moments = carry
                moved, moments = optimizer.update(jax.grad(loss_of)(net, part), moments, net)
                return (optax.apply_updates(net, moved), moments), None

            return jax.lax.scan(step, carry, mixed)

        learnt, _ = jax.lax.scan(learn, (net, moments), jax.random.split(order, epochs))
        return (learnt, places), reward.mean() * LONGEST

    @jax.jit
    def train(carry: Any, key: Any) -> Any:
        return jax.lax.scan(iteration, carry, jax.random.split(key, asked["iterations"]))

    views, places = jax.vmap(env.reset)(jax.random.split(start, games))
    carry: Any = (state, (places, stacked(views)))

    def turn() -> Record:
        nonlocal key, carry
        key, own = jax.random.split(key)
        began = time.perf_counter()
        carry, earned = jax.block_until_ready(train(carry, own))
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "steps": asked["iterations"] * rows * games, "return": float(earned[-5:].mean())}

    versions = {name: importlib.metadata.version(name) for name in ("jaxmarl", "jax")}
    take_turns(turn, {"side": "JaxMARL", "version": versions["jaxmarl"], "jax": versions["jax"]})


if __name__ == "__main__":
    main()
