"""PettingZoo, both ways: our games as its environments, its environments as our games.

    env = SeatsAec("hearts")
    env = SeatsParallel("hearts")
    game = from_pettingzoo("mpe2.simple_spread_v3", games=8)

Agents are called `seat_0`, `seat_1` and so on. All of them stay until the game is over; whoever has nothing to decide
(it is another's turn, or the seat has died) is not asked, and in the parallel form the action is ignored.
"""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from velodrome.edge.foreign import MASK, ForeignGame
from velodrome.edge.spaces import (
    Illegal,
    action_mask,
    action_space,
    blank,
    by_part,
    legalised,
    observation_space,
    observed,
)
from velodrome.games import make
from velodrome.games.game import Array, Game
from velodrome.mistake import Mistake

try:
    import pettingzoo
except ImportError as error:
    raise ImportError('the adapters need PettingZoo: pip install "velodrome[edge]"') from error
from gymnasium import spaces

Observation = dict[str, Array]


class _Seats:
    """What both forms share: one game, its agents, and what each of them saw last."""

    def __init__(self, game: str | Game, illegal: Illegal = "replace", render_mode: str | None = None, **options: Any):
        self.game = (make(game, **options) if isinstance(game, str) else game).again(1)
        spec = self.game.spec
        self.metadata: dict[str, Any] = {
            "name": f"velodrome_{spec.name}_v0",
            "render_modes": ["ansi"],
            "is_parallelizable": True,
        }
        self.render_mode, self.illegal = render_mode, illegal
        self.possible_agents = [f"seat_{seat}" for seat in range(spec.seats)]
        self.agents = list(self.possible_agents)
        self.observation_spaces = {agent: observation_space(spec) for agent in self.agents}
        self.action_spaces = {agent: action_space(spec) for agent in self.agents}
        private = [view for view in spec.views.values() if view.private]
        low, high = (
            np.concatenate([np.zeros(0), *(np.full(view.shape, getattr(view, bound)).ravel() for view in private)])
            for bound in ("low", "high")
        )
        self.state_space = spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        self._saw = blank(spec, spec.seats)

    def observation_space(self, agent: str) -> spaces.Dict:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def state(self) -> Array:
        """The private views in one row: for training, no player's to see."""
        spec, views = self.game.spec, self.game.views
        private = [views[name][0, 0].ravel() for name, view in spec.views.items() if view.private]
        return np.concatenate([np.zeros(0, np.float32), *private]).astype(np.float32)

    def render(self) -> str | None:
        """The position as text."""
        return self.game.describe(0) if self.render_mode else None

    def close(self) -> None:
        """There is nothing to close."""

    def _begin(self, seed: int | None) -> None:
        if seed is None:
            self.game.reset()
        else:
            self.game = self.game.again(1, seed=seed)
        self.agents = list(self.possible_agents)
        self._saw = blank(self.game.spec, self.game.spec.seats)
        self._look()

    def _look(self) -> None:
        for name, rows in self._saw.items():
            rows[self.game.seat[0]] = self.game.views[name][0]

    def _play(self, actions: dict[int, Any]) -> None:
        """Play the actions of these seats."""
        game = self.game
        spec = game.spec
        parts: dict[str, Array] = {
            part.name: np.zeros((1, spec.deciders, *part.shape), part.dtype) for part in spec.action
        }
        for row, seat in enumerate(game.seat[0].tolist()):
            if game.acting[0, row]:
                action = {name: part[None] for name, part in by_part(spec, actions[seat]).items()}
                if self.illegal == "replace":
                    action = legalised(
                        spec, action, {name: view[0, row : row + 1] for name, view in game.views.items()}
                    )
                for name, part in action.items():
                    parts[name][0, row] = part[0]
        game.step(parts)
        self._look()

    def _observation(self, agent: str) -> Observation:
        seat = self.possible_agents.index(agent)
        return {name: rows[seat] for name, rows in observed(self.game.spec, self._saw).items()}

    def _acting(self) -> list[str]:
        return [self.possible_agents[seat] for seat in self.game.seat[0][self.game.acting[0]].tolist()]

    def _info(self, agent: str) -> dict[str, Any]:
        """Whether the agent is to decide, its mask, and in the end its score."""
        seat = self.possible_agents.index(agent)
        info: dict[str, Any] = {"acting": agent in self._acting()}
        mask = action_mask(self.game.spec, self._saw)
        if mask is not None:
            info["action_mask"] = mask[seat]
        if self._over():
            info["outcome"] = float(self.game.outcome[0, seat])
        return info

    def _over(self) -> bool:
        return bool(self.game.ended[0] or self.game.cut[0])

    def _by_agent(self, values: Any) -> dict[str, Any]:
        return dict(zip(self.possible_agents, values, strict=True))


class SeatsParallel(_Seats, pettingzoo.ParallelEnv[str, Observation, Any]):  # type: ignore[misc]
    """All agents act at once. In a turn-based game one action counts: that of the agent whose info says `acting`."""

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Start the next game; with `seed` the first of that seed."""
        self._begin(seed)
        return self._told()

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        """Play one step."""
        self._play({self.possible_agents.index(agent): action for agent, action in actions.items()})
        rewards = self._by_agent(self.game.rewards[0].tolist())
        ended, cut = (
            self._by_agent([bool(flag[0])] * self.max_num_agents) for flag in (self.game.ended, self.game.cut)
        )
        observations, infos = self._told()
        if self._over():
            self.agents = []
        return observations, rewards, ended, cut, infos

    def _told(self) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        return {a: self._observation(a) for a in self.agents}, {a: self._info(a) for a in self.agents}


class SeatsAec(_Seats, pettingzoo.AECEnv[str, Observation, Any]):  # type: ignore[misc]
    """One agent acts at a time. Where several decide at once, their actions are gathered and then played together."""

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start the next game; with `seed` the first of that seed."""
        self._begin(seed)
        nothing = [0.0] * self.max_num_agents
        self.rewards, self._cumulative_rewards = self._by_agent(nothing), self._by_agent(nothing)
        self.terminations = self._by_agent([False] * self.max_num_agents)
        self.truncations = dict(self.terminations)
        self._ask()

    def _ask(self) -> None:
        """Whose turn it is, and what everyone is told."""
        self._waiting, self._chosen = self._acting(), dict[int, Any]()
        self.infos = {agent: self._info(agent) for agent in self.agents}
        if not self._over():
            self.agent_selection = self._waiting[0]

    def observe(self, agent: str) -> Observation:
        """What the agent sees, or saw last."""
        return self._observation(agent)

    def step(self, action: Any) -> None:
        """Take the action of `agent_selection`."""
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        self._chosen[self.possible_agents.index(agent)] = action
        self._waiting.pop(0)
        if self._waiting:
            self.agent_selection = self._waiting[0]
            return
        self._play(self._chosen)
        self.rewards = self._by_agent(self.game.rewards[0].tolist())
        self.terminations = self._by_agent([bool(self.game.ended[0])] * self.max_num_agents)
        self.truncations = self._by_agent([bool(self.game.cut[0])] * self.max_num_agents)
        self._accumulate_rewards()
        self._ask()
        if self._over():
            self._deads_step_first()


# -- the other way round --------------------------------------------------------------------------------------------


class PettingzooGame(ForeignGame):
    """Somebody's PettingZoo environments as a game: turn-based if they are AEC, simultaneous if they are parallel."""

    def __init__(
        self,
        games: int,
        seed: int,
        env: str | Callable[..., Any],
        longest: int | None = None,
        options: dict[str, Any] | None = None,
        threads: int = 1,
        first: int = 0,
        duplicate: bool = False,
    ):
        chosen = options or {}
        maker = _maker(env) if isinstance(env, str) else env

        def opened() -> _AecSlot | _ParallelSlot:
            made = maker(**chosen)
            return _ParallelSlot(made) if isinstance(made, pettingzoo.ParallelEnv) else _AecSlot(made)

        name = env if isinstance(env, str) else getattr(env, "__name__", "environment")
        settings = {"env": env, "longest": longest, "options": chosen}
        super().__init__(name, opened, longest, settings, games, seed, threads, first, duplicate)


def from_pettingzoo(
    env: str | Callable[..., Any],
    longest: int | None = None,
    games: int = 1,
    seed: int = 0,
    threads: int = 1,
    **options: Any,
) -> PettingzooGame:
    """A game that plays `env` in every slot: a module's name (its `parallel_env` if it has one, else its `env`) or a
    function that makes one.

    `longest` cuts a game after that many steps; it is needed where the environment has no `max_cycles` of its own.
    """
    return PettingzooGame(games, seed, env, longest, options, threads)


def _maker(module: str) -> Callable[..., Any]:
    try:
        found = import_module(module)
    except ImportError as error:
        raise Mistake(f"{module} cannot be imported: {error}{_hint(module, error.name or '')}") from error
    maker: Callable[..., Any] | None = getattr(found, "parallel_env", None) or getattr(found, "env", None)
    if maker is None:
        raise Mistake(f"{module} has neither parallel_env nor env")
    return maker


def _hint(module: str, missing: str) -> str:
    """What to do about a missing module: take the nearest one beside it, or install the package."""
    package, _, name = module.rpartition(".")
    if missing and "." not in missing:
        return f"; try pip install {missing}"
    if missing != module:
        return ""
    beside = [found.name for found in pkgutil.iter_modules(import_module(package).__path__)]
    near = difflib.get_close_matches(name, beside)
    return f"; did you mean {' or '.join(f'{package}.{each}' for each in near)}?" if near else ""


class _PettingzooSlot:
    """What both forms share."""

    def __init__(self, env: Any):
        self.env, self.agents = env, list(env.possible_agents)
        self.observation_space, self.action_space = (
            env.observation_space(self.agents[0]),
            env.action_space(self.agents[0]),
        )
        for agent in self.agents:
            if (env.observation_space(agent), env.action_space(agent)) != (self.observation_space, self.action_space):
                raise Mistake(f"{agent} has other spaces than {self.agents[0]}; pad them to be alike first")
        self.limit: int | None = getattr(env.unwrapped, "max_cycles", None)
        self.masks: list[Any] = []

    def _rewards(self, by_agent: dict[str, float]) -> list[float]:
        return [float(by_agent.get(agent, 0.0)) for agent in self.agents]

    @staticmethod
    def _mask(observation: Any, info: dict[str, Any]) -> Any:
        return info.get(MASK, observation.get(MASK) if isinstance(observation, dict) else None)


class _AecSlot(_PettingzooSlot):
    """One agent decides at a time."""

    deciders = 1

    def __init__(self, env: Any):
        super().__init__(env)
        self.limit = self.limit and self.limit * len(self.agents)

    def begin(self, seed: int) -> None:
        self.env.reset(seed=seed)
        self.ended = self.cut = False
        self.rewards = self._rewards({})
        self._look()

    def play(self, actions: list[Any]) -> None:
        env = self.env
        env.step(actions[0])
        self.rewards = self._rewards(env.rewards)
        dead = {agent: env.terminations[agent] or env.truncations[agent] for agent in env.agents}
        if all(dead.values()):
            self.ended = any(env.terminations.values())
            self.cut = not self.ended
        else:
            while env.terminations[env.agent_selection] or env.truncations[env.agent_selection]:
                env.step(None)
        self._look()

    def _look(self) -> None:
        agent = self.env.agent_selection
        observation = self.env.observe(agent)
        self.seat, self.acting = [self.agents.index(agent)], [True]
        self.observations, self.masks = [observation], [self._mask(observation, self.env.infos.get(agent, {}))]


class _ParallelSlot(_PettingzooSlot):
    """All agents decide at once."""

    def __init__(self, env: Any):
        super().__init__(env)
        self.deciders = len(self.agents)
        self.seat = list(range(self.deciders))

    def begin(self, seed: int) -> None:
        observations, infos = self.env.reset(seed=seed)
        self.ended = self.cut = False
        self.rewards = self._rewards({})
        self._see(observations, infos, set(self.agents))

    def play(self, actions: list[Any]) -> None:
        given = {agent: action for agent, action in zip(self.agents, actions, strict=True) if agent in self.env.agents}
        observations, rewards, terminations, truncations, infos = self.env.step(given)
        self.rewards = self._rewards(rewards)
        if all(terminations[agent] or truncations[agent] for agent in given):
            self.cut = any(truncations[agent] and not terminations[agent] for agent in given)
            self.ended = not self.cut
        left = {agent for agent in given if not terminations[agent]} if self.cut else set(self.env.agents)
        self._see(observations, infos, left)

    def _see(self, observations: dict[str, Any], infos: dict[str, Any], left: set[str]) -> None:
        self.acting = [agent in left for agent in self.agents]
        self.observations = [observations.get(agent) for agent in self.agents]
        self.masks = [self._mask(observations.get(agent), infos.get(agent, {})) for agent in self.agents]
