"""Gymnasium, both ways: our games as its environments, its environments as our games.

A game with several seats is seen from one of them; the others are played by a bot or a policy.

    env = SeatEnv("hearts", seat=0, against="rule")
    envs = SeatVectorEnv("hearts", num_envs=64, against="rule")
    game = from_gymnasium("CartPole-v1", games=8)

After importing this module, `gymnasium.make("velodrome/hearts-v0")` and `gymnasium.make_vec` know our games too.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from velodrome.edge.foreign import MASK, ForeignGame
from velodrome.edge.spaces import Illegal, action_mask, action_space, by_part, observation_space, observed
from velodrome.edge.table import Table
from velodrome.games import GAMES, make
from velodrome.games.game import Array, Game
from velodrome.learn.players import Player
from velodrome.mistake import Mistake

try:
    import gymnasium
    from gymnasium.vector import AutoresetMode
    from gymnasium.vector.utils import batch_space
except ImportError as error:
    raise ImportError('the adapters need Gymnasium: pip install "velodrome[edge]"') from error


class SeatEnv(gymnasium.Env[dict[str, Array], Any]):
    """One seat of a game. The observation is a dict by the names of the game's views; `info["action_mask"]` says which
    choices are legal, and of a game that is over, `info["outcome"]` holds the score of every seat."""

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}

    def __init__(
        self,
        game: str | Game,
        seat: int = 0,
        against: Player = "random",
        illegal: Illegal = "replace",
        render_mode: str | None = None,
        **options: Any,
    ):
        self.render_mode = render_mode
        self.pattern = make(game, **options) if isinstance(game, str) else game
        self.spec_of_game = self.pattern.spec
        space: Any = observation_space(self.spec_of_game)
        self.observation_space = space
        self.action_space = action_space(self.spec_of_game)
        self.seat, self.against, self.illegal = seat, against, illegal
        self.table: Table | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start the next game; with `seed` the first of that seed."""
        super().reset(seed=seed)
        if seed is not None or self.table is None:
            game = self.pattern.again(1, seed=int(self.np_random.integers(2**31)))
            self.table = Table(game, self.seat, self.against, self.illegal)
        else:
            self.table.begin(np.ones(1, np.bool_))
        return self._told(self.table)

    def step(self, action: Any) -> tuple[dict[str, Array], float, bool, bool, dict[str, Any]]:
        """Play an action and let the others play until it is our turn again."""
        if self.table is None or self.table.over[0]:
            raise RuntimeError("the game is over or has not begun: call reset() before step()")
        table = self.table
        table.step({name: part[None] for name, part in by_part(self.spec_of_game, action).items()})
        observation, info = self._told(table)
        if table.over[0]:
            info["outcome"] = table.game.outcome[0].copy()
        return observation, float(table.rewards[0]), bool(table.ended[0]), bool(table.cut[0]), info

    def action_masks(self) -> Array:
        """The legal choices, under the name by which Stable-Baselines3's MaskablePPO asks for them."""
        assert self.table is not None
        mask = action_mask(self.spec_of_game, self.table.seen)
        if mask is None:
            raise ValueError(f"{self.spec_of_game.name} has no single masked choice")
        masks: Array = mask[0].astype(np.bool_)
        return masks

    def render(self) -> str | None:
        """The position as text."""
        if self.render_mode is None or self.table is None:
            return None
        return self.table.game.describe(0)

    def _told(self, table: Table) -> tuple[dict[str, Array], dict[str, Any]]:
        observation = {name: rows[0].copy() for name, rows in observed(self.spec_of_game, table.seen).items()}
        mask = action_mask(self.spec_of_game, table.seen)
        return observation, {} if mask is None else {"action_mask": mask[0]}


class SeatVectorEnv(gymnasium.vector.VectorEnv[dict[str, Array], Any, Array]):
    """One seat of many games side by side, stepped together in compiled code.

    `autoreset_mode` is declared in `metadata`: next-step (Gymnasium's own default), same-step with `final_obs` in
    `infos`, or disabled, where `reset(options={"reset_mask": ...})` starts the games that are over.
    """

    def __init__(
        self,
        game: str | Game,
        num_envs: int = 1,
        seat: int = 0,
        against: Player = "random",
        illegal: Illegal = "replace",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int = 1,
        **options: Any,
    ):
        self.pattern = make(game, **options) if isinstance(game, str) else game
        self.num_envs, self.threads = num_envs, threads
        self.seat, self.against, self.illegal = seat, against, illegal
        self.mode = AutoresetMode(autoreset_mode)
        self.metadata = {"autoreset_mode": self.mode}
        self.single_observation_space = observation_space(self.pattern.spec)
        self.single_action_space = action_space(self.pattern.spec)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.table: Table | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start the next games, only those in `options["reset_mask"]` if it is given; with `seed` the first of it."""
        if isinstance(seed, list):
            raise ValueError("one seed is enough: game number n of a seed is always the same, so give an int")
        super().reset(seed=seed)
        which = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs)), np.bool_)
        if seed is not None or self.table is None:
            game = self.pattern.again(self.num_envs, seed=int(self.np_random.integers(2**31)), threads=self.threads)
            self.table = Table(game, self.seat, self.against, self.illegal)
        else:
            self.table.begin(which)
        return observed(self.pattern.spec, self.table.seen), self._infos(self.table)

    def step(self, actions: Any) -> tuple[dict[str, Array], Array, Array, Array, dict[str, Any]]:
        """Play an action in every game."""
        if self.table is None:
            raise RuntimeError("the games have not begun: call reset() before step()")
        table, before = self.table, self.table.over.copy()
        if self.mode == AutoresetMode.DISABLED and before.any():
            raise RuntimeError(f"game {before.argmax()} is over: reset it with options={{'reset_mask': ...}}")
        table.step(by_part(self.pattern.spec, actions), ~before)
        if self.mode == AutoresetMode.NEXT_STEP:
            table.begin(before)
        rewards, ended, cut = table.rewards.astype(np.float64), table.ended.copy(), table.cut.copy()
        over = ended | cut
        ending = self._endings(table, over)
        if self.mode == AutoresetMode.SAME_STEP:
            table.begin(over)
        return observed(self.pattern.spec, table.seen), rewards, ended, cut, self._infos(table) | ending

    def _infos(self, table: Table) -> dict[str, Any]:
        mask = action_mask(self.pattern.spec, table.seen)
        return {} if mask is None else {"action_mask": mask, "_action_mask": np.ones(self.num_envs, np.bool_)}

    def _endings(self, table: Table, over: Array) -> dict[str, Any]:
        """What is told of games that are over; the last observation too, where the next one takes its place."""
        infos: dict[str, Any] = {}
        if over.any():
            infos |= {"outcome": table.game.outcome.copy(), "_outcome": over}
        if over.any() and self.mode == AutoresetMode.SAME_STEP:
            final = observed(self.pattern.spec, table.seen)
            for index in np.flatnonzero(over).tolist():
                told = {name: rows[index] for name, rows in final.items()}
                infos = self._add_info(infos, {"final_obs": told, "final_info": {}}, index)
        return infos


# -- the other way round --------------------------------------------------------------------------------------------


class GymnasiumGame(ForeignGame):
    """Somebody's Gymnasium environments as a game for one."""

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
        def opened() -> _GymnasiumSlot:
            return _GymnasiumSlot(_registered(env, chosen) if isinstance(env, str) else env(**chosen))

        chosen = options or {}
        name = env if isinstance(env, str) else getattr(env, "__name__", "environment")
        settings = {"env": env, "longest": longest, "options": chosen}
        super().__init__(name, opened, longest, settings, games, seed, threads, first, duplicate)


def from_gymnasium(
    env: str | Callable[..., Any],
    games: int = 1,
    seed: int = 0,
    threads: int = 1,
    longest: int | None = None,
    **options: Any,
) -> GymnasiumGame:
    """A game that plays `gymnasium.make(env, **options)`, or `env(**options)`, in every slot.

    `longest` cuts a game after that many steps; it is needed where the environment declares no limit of its own.
    """
    return GymnasiumGame(games, seed, env, longest, options, threads)


def _registered(env: str, options: dict[str, Any]) -> Any:
    try:
        return gymnasium.make(env, disable_env_checker=True, **options)
    except gymnasium.error.UnregisteredEnv as error:
        near = difflib.get_close_matches(env, gymnasium.registry)
        hint = f"did you mean {' or '.join(near)}?" if near else "gymnasium.pprint_registry() lists those there are"
        raise Mistake(f"Gymnasium knows no environment {env!r}; {hint}") from error
    except (gymnasium.error.Error, ImportError) as error:
        raise Mistake(f"{env}: {' '.join(str(error).split())}") from error


class _GymnasiumSlot:
    """One environment, as `ForeignGame` wants it."""

    agents = ["agent"]
    deciders = 1

    def __init__(self, env: Any):
        self.env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.limit: int | None = env.spec.max_episode_steps if env.spec is not None else None
        self.seat, self.acting = [0], [True]

    def begin(self, seed: int) -> None:
        self._see(*self.env.reset(seed=seed))
        self.rewards, self.ended, self.cut = [0.0], False, False

    def play(self, actions: list[Any]) -> None:
        observation, reward, self.ended, self.cut, info = self.env.step(actions[0])
        self.rewards = [float(reward)]
        self._see(observation, info)

    def _see(self, observation: Any, info: dict[str, Any]) -> None:
        self.observations: list[Any] = [observation]
        self.masks: list[Any] = [info.get(MASK, observation.get(MASK) if isinstance(observation, dict) else None)]


def _register() -> None:
    here = __name__
    for name in GAMES:
        identifier = f"velodrome/{name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"{here}:SeatEnv",
                vector_entry_point=f"{here}:SeatVectorEnv",
                kwargs={"game": name},
            )


_register()
