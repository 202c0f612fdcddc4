"""What agents see, in two layouts, and what is legal.

"stock" is the layout of SMAC's own environment, with one central state for all. "madt" is that of the environment that
MADT and EVAFormer come with: other units' last actions and the agent's number are in it, and every agent has a central
state of its own, seen from where it stands.
"""

from __future__ import annotations

from velodrome.games.kernel import kernel, rule
from velodrome.games.skirmish.fight import alive, distance
from velodrome.games.skirmish.maps import SIDE, World
from velodrome.games.skirmish.rules import EAST, FIRST_TARGET, NORTH, NOTHING, SIGHT, SOUTH, WEST, can_move, legal
from velodrome.games.skirmish.units import HEAL

CENTRE = SIDE / 2


# -- sizes ------------------------------------------------------------------------------------------------------------


def traits(world: World) -> tuple[int, int]:
    """Numbers for an ally's health, shield and kind, and for an enemy's."""
    return int(1 + world.ally_shields + world.types), int(1 + world.enemy_shields + world.types)


def actions_of(world: World) -> int:
    """Nothing, stop, four directions, and one for each enemy."""
    return int(FIRST_TARGET + world.enemies)


def stock_sizes(world: World) -> tuple[int, int]:
    """Numbers of an agent's observation, and of the state."""
    (ours, theirs), n, m = traits(world), int(world.allies), int(world.enemies)
    seen = 4 + m * (4 + theirs) + (n - 1) * (4 + ours) + ours
    return seen, n * (3 + ours + actions_of(world)) + m * (2 + theirs)


def madt_sizes(world: World) -> tuple[int, int]:
    """Numbers of an agent's observation, and of its state."""
    (ours, theirs), n, m, last = traits(world), int(world.allies), int(world.enemies), actions_of(world)
    seen = (n - 1) * (4 + ours + last) + m * (4 + theirs) + 4 + (4 + ours + last) + n
    return seen, (n - 1) * (7 + ours + last) + m * (7 + theirs) + 4 + (6 + ours + last) + n


# -- parts of a layout: each writes from `at` on and returns where the next begins ------------------------------------


@rule
def put_type(world, u, out, at):  # type: ignore[no-untyped-def]
    """The kind, one of n."""
    for bit in range(world.types):
        out[at + bit] = world.type_bit[u] == bit
    return at + world.types


@rule
def shielded(world, u):  # type: ignore[no-untyped-def]
    """Whether the unit's side has shields."""
    return world.ally_shields if u < world.allies else world.enemy_shields


@rule
def traits_of(world, u):  # type: ignore[no-untyped-def]
    """How many numbers `put_traits` writes."""
    return 1 + shielded(world, u) + world.types


@rule
def put_health(game, world, u, out, at):  # type: ignore[no-untyped-def]
    """What is left of a unit."""
    out[at] = game.health[u] / world.health[u]
    return at + 1


@rule
def put_shield(game, world, u, out, at):  # type: ignore[no-untyped-def]
    """The shield, if the unit's side has any."""
    if not shielded(world, u):
        return at
    out[at] = game.shield[u] / world.shield[u] if world.shield[u] > 0 else 0.0
    return at + 1


@rule
def put_traits(game, world, u, out, at):  # type: ignore[no-untyped-def]
    """Health, shield and kind."""
    return put_type(world, u, out, put_shield(game, world, u, out, put_health(game, world, u, out, at)))


@rule
def put_traits_and_place(game, world, u, out, at):  # type: ignore[no-untyped-def]
    """Health and shield, where it stands, and its kind."""
    at = put_shield(game, world, u, out, put_health(game, world, u, out, at))
    return put_type(world, u, out, put_place(game, u, out, at))


@rule
def put_one_of(value, n, out, at):  # type: ignore[no-untyped-def]
    """One of n."""
    for k in range(n):
        out[at + k] = value == k
    return at + n


@rule
def put_place(game, u, out, at):  # type: ignore[no-untyped-def]
    """Where a unit stands on the map."""
    out[at] = (game.x[u] - CENTRE) / SIDE
    out[at + 1] = (game.y[u] - CENTRE) / SIDE
    return at + 2


@rule
def put_offset(game, agent, u, away, out, at):  # type: ignore[no-untyped-def]
    """How far a unit is from an agent, and in which direction."""
    out[at] = away / SIGHT
    out[at + 1] = (game.x[u] - game.x[agent]) / SIGHT
    out[at + 2] = (game.y[u] - game.y[agent]) / SIGHT
    return at + 3


@rule
def put_zeros(n, out, at):  # type: ignore[no-untyped-def]
    """Nothing to be seen."""
    for k in range(n):
        out[at + k] = 0
    return at + n


@rule
def put_moves(game, world, agent, out, at):  # type: ignore[no-untyped-def]
    """In which directions the agent can move."""
    for action in (NORTH, SOUTH, EAST, WEST):
        out[at + action - NORTH] = can_move(game, world, agent, action)
    return at + 4


@rule
def put_charge(game, world, u, out, at):  # type: ignore[no-untyped-def]
    """How far a weapon is from being ready; of a healer, its energy."""
    out[at] = (game.energy[u] if world.way[u] == HEAL else max(game.cooldown[u], 0.0)) / world.shown[u]
    return at + 1


@rule
def put_in_sight(game, world, agent, u, told, out, at):  # type: ignore[no-untyped-def]
    """What an agent sees of another unit: `told` first, then where and what it is; zeros if it is too far or dead."""
    away = distance(game, agent, u)
    if away >= SIGHT or not alive(game, u):
        return put_zeros(4 + traits_of(world, u), out, at)
    out[at] = told
    return put_traits(game, world, u, out, put_offset(game, agent, u, away, out, at + 1))


@rule
def put_enemies_in_sight(game, world, agent, may, out, at):  # type: ignore[no-untyped-def]
    """Every enemy, and whether it can be made a target."""
    for number in range(world.enemies):
        at = put_in_sight(game, world, agent, world.allies + number, may[FIRST_TARGET + number], out, at)
    return at


# -- stock ------------------------------------------------------------------------------------------------------------


@rule
def see_stock(game, world, agent, may, out):  # type: ignore[no-untyped-def]
    """An agent's observation: moves, enemies, allies, itself. `may` are its legal actions."""
    if not alive(game, agent):
        out[:] = 0
        return
    at = put_enemies_in_sight(game, world, agent, may, out, put_moves(game, world, agent, out, 0))
    for u in range(world.allies):
        if u != agent:
            at = put_in_sight(game, world, agent, u, True, out, at)
    put_traits(game, world, agent, out, at)


@rule
def survey_stock(game, world, out):  # type: ignore[no-untyped-def]
    """The state: allies, enemies, last actions."""
    at = 0
    for u in range(world.allies + world.enemies):
        allied = u < world.allies
        if not alive(game, u):
            at = put_zeros(2 + allied + traits_of(world, u), out, at)
            continue
        at = put_health(game, world, u, out, at)
        if allied:
            at = put_charge(game, world, u, out, at)
        at = put_shield(game, world, u, out, put_place(game, u, out, at))
        at = put_type(world, u, out, at)
    for agent in range(world.allies):
        at = put_one_of(game.last[agent], FIRST_TARGET + world.enemies, out, at)


# -- madt -------------------------------------------------------------------------------------------------------------


@rule
def put_number(game, world, agent, out):  # type: ignore[no-untyped-def]
    """The agent's number, behind all else; returns whether it lives: the dead know nothing more."""
    number = len(out) - world.allies
    put_one_of(agent, world.allies, out, number)
    if not alive(game, agent):
        put_zeros(number, out, 0)
    return alive(game, agent)


@rule
def put_self(game, world, agent, out, at):  # type: ignore[no-untyped-def]
    """The moves, and what stands where others have their distance."""
    at = put_moves(game, world, agent, out, at)
    out[at] = 1
    return put_zeros(3, out, at + 1)


@rule
def see_madt(game, world, agent, may, out):  # type: ignore[no-untyped-def]
    """An agent's observation: allies, enemies, moves, itself, its number."""
    if not put_number(game, world, agent, out):
        return
    at, actions = 0, FIRST_TARGET + world.enemies
    for u in range(world.allies):
        if u != agent:
            at = put_in_sight(game, world, agent, u, True, out, at)
            seen = alive(game, u) and distance(game, agent, u) < SIGHT
            at = put_one_of(game.last[u], actions, out, at) if seen else put_zeros(actions, out, at)
    at = put_enemies_in_sight(game, world, agent, may, out, at)
    at = put_traits(game, world, agent, out, put_self(game, world, agent, out, at))
    put_one_of(game.last[agent], actions, out, at)


@rule
def survey_madt(game, world, agent, may, out):  # type: ignore[no-untyped-def]
    """An agent's state: as its observation, but of all living units, with their places on the map."""
    if not put_number(game, world, agent, out):
        return
    at, actions = 0, FIRST_TARGET + world.enemies
    for u in range(world.allies):
        if u == agent:
            continue
        if not alive(game, u):
            at = put_zeros(7 + traits_of(world, u) + actions, out, at)
            continue
        away = distance(game, agent, u)
        out[at] = away < SIGHT
        at = put_charge(game, world, u, out, put_offset(game, agent, u, away, out, at + 1))
        at = put_one_of(game.last[u], actions, out, put_traits_and_place(game, world, u, out, at))
    for number in range(world.enemies):
        u = world.allies + number
        if not alive(game, u):
            at = put_zeros(7 + traits_of(world, u), out, at)
            continue
        away = distance(game, agent, u)
        out[at] = may[FIRST_TARGET + number]
        at = put_offset(game, agent, u, away, out, at + 1)
        out[at] = away < SIGHT
        at = put_place(game, u, out, put_traits(game, world, u, out, at + 1))
    at = put_traits_and_place(game, world, agent, out, put_self(game, world, agent, out, at))
    put_one_of(game.last[agent], actions, out, at)


# -- all games --------------------------------------------------------------------------------------------------------


@rule
def put_legal(game, world, agent, may):  # type: ignore[no-untyped-def]
    """Which actions an agent may take."""
    for action in range(FIRST_TARGET + world.enemies):
        may[action] = legal(game, world, agent, action)


@kernel
def look(games, lo, hi, which, world, seat, acting, may):  # type: ignore[no-untyped-def]
    """Write who acts, and what each may do."""
    for i in range(lo, hi):
        if which[i]:
            for agent in range(world.allies):
                seat[i, agent] = agent
                acting[i, agent] = alive(games[i], agent)
                put_legal(games[i], world, agent, may[i, agent])


@kernel
def look_course(games, lo, hi, which, world, time, earned, before):  # type: ignore[no-untyped-def]
    """Write how far the battle is, what it has brought so far, and what each agent did last."""
    for i in range(lo, hi):
        if which[i]:
            time[i, :] = games[i].time
            earned[i, :] = games[i].earned_so_far
            for agent in range(world.allies):
                before[i, agent] = max(games[i].last[agent], NOTHING)


@kernel
def look_stock(games, lo, hi, which, world, may, seen):  # type: ignore[no-untyped-def]
    """Write every agent's observation."""
    for i in range(lo, hi):
        if which[i]:
            for agent in range(world.allies):
                see_stock(games[i], world, agent, may[i, agent], seen[i, agent])


@kernel
def look_stock_state(games, lo, hi, which, world, state):  # type: ignore[no-untyped-def]
    """Write the state, the same for every agent."""
    for i in range(lo, hi):
        if which[i]:
            survey_stock(games[i], world, state[i, 0])
            for agent in range(1, world.allies):
                state[i, agent] = state[i, 0]


@kernel
def look_madt(games, lo, hi, which, world, may, seen):  # type: ignore[no-untyped-def]
    """Write every agent's observation."""
    for i in range(lo, hi):
        if which[i]:
            for agent in range(world.allies):
                see_madt(games[i], world, agent, may[i, agent], seen[i, agent])


@kernel
def look_madt_state(games, lo, hi, which, world, may, state):  # type: ignore[no-untyped-def]
    """Write every agent's state."""
    for i in range(lo, hi):
        if which[i]:
            for agent in range(world.allies):
                survey_madt(games[i], world, agent, may[i, agent], state[i, agent])
