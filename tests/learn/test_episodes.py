"""Whole games: what is kept of them, what is left out, and what each look turned out to be worth."""

from __future__ import annotations

import pytest
import torch
from counting import ORDERS, SEATS, Counting
from torch import Tensor

from velodrome.learn.agents import AgentPolicy, mostly_best
from velodrome.learn.episodes import Episodes, Rows, rows_of
from velodrome.meter.clock import Clock
from velodrome.nets.agent import AgentNet

GAMES = 6
LENGTHS = [1, 2, 3, 4, 1, 2]


def played(games: int = GAMES) -> Episodes:
    episodes = Episodes(Counting(games), ("state",))
    policy = AgentPolicy(AgentNet(2, "order", ORDERS, SEATS, 8), mostly_best(0.5), "legal", "cpu")
    for _ in range(2):  # the second time over what the first has left
        counts = episodes.play(policy, torch.Generator().manual_seed(1), Clock())
    assert counts.game_steps == sum(n % 4 + 1 for n in range(games))
    assert counts.decisions == SEATS * counts.game_steps
    return episodes


def test_every_game_is_kept_to_its_last_look_and_no_further() -> None:
    episodes = played()
    parts = episodes.whole()
    assert parts["length"].tolist() == LENGTHS
    assert parts["ended"].tolist() == [True, False] * 3
    assert episodes.outcome.tolist() == LENGTHS
    assert parts["seen"].shape == (GAMES, 5, SEATS, 2), "as long as the longest game and its last look"
    for game, length in enumerate(LENGTHS):
        behind = [0] * (4 - length)
        assert parts["seen"][game, :, 1, 0].tolist() == [*range(length + 1), *behind]
        assert parts["state"][game].tolist() == [[length, t] for t in range(length + 1)] + [[0, 0] for _ in behind]
        assert parts["reward"][game].tolist() == [*range(1, length + 1), 0, *behind]
        assert parts["legal"][game].any(-1).all(-1).tolist() == [True] * (length + 1) + [False] * len(behind)
        assert parts["order"][game, length + 1 :].eq(0).all()
    assert parts["order"].any()


def test_nothing_is_paid_at_a_last_look() -> None:
    short = Episodes(Counting(1))
    policy = AgentPolicy(AgentNet(2, "order", ORDERS, SEATS, 8), mostly_best(0.5), "legal", "cpu")
    short.parts["reward"][:] = 9
    short.play(policy, torch.Generator().manual_seed(1), Clock())
    assert short.whole()["reward"].tolist() == [[1, 0]]


def test_rows_are_looks_without_padding() -> None:
    parts = played().parts
    rows = rows_of(parts, torch.tensor([0, 3, 1, 5]))
    lengths = [4, 2, 2, 1]  # of games 3, 1, 5, 0
    assert rows.sizes.tolist() == [4, 4, 3, 1, 1]
    looks = [
        (game, step) for step in range(5) for game, length in zip([3, 1, 5, 0], lengths, strict=True) if step <= length
    ]
    assert len(looks) == len(rows.decides)
    for row, (game, step) in enumerate(looks):
        length = LENGTHS[game]
        for name in ("seen", "legal", "state", "reward", "order"):
            assert torch.equal(rows.parts[name][row], parts[name][game, step]), name
        earlier = parts["order"][game, step - 1] + 1 if step else torch.zeros(SEATS)
        assert rows.parts["before"][row].tolist() == earlier.tolist()
        assert bool(rows.decides[row]) == (step < length)
        assert bool(rows.ended[row]) == (step == length and game % 2 == 0)


def by_hand(rewards: list[float], worth: list[float], ended: bool, discount: float, trace: float) -> list[float]:
    """One episode: mixtures of all n-step returns, the definition of TD(lambda)."""
    length = len(rewards)
    worth = [*worth[:-1], 0.0 if ended else worth[-1]]

    def n_step(t: int, n: int) -> float:
        return sum(discount**k * rewards[t + k] for k in range(n)) + discount**n * worth[t + n]

    def mixture(t: int) -> float:
        left = length - t
        mixed = sum((1 - trace) * trace ** (n - 1) * n_step(t, n) for n in range(1, left))
        return mixed + trace ** (left - 1) * n_step(t, left)

    return [mixture(t) for t in range(length)] + [worth[-1]]


@pytest.mark.parametrize("trace", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("agents", [0, 2])
def test_returns_are_mixtures_of_n_step_returns(trace: float, agents: int) -> None:
    parts, which = played().parts, torch.tensor([3, 5, 2, 0])
    rows = rows_of(parts, which)
    torch.manual_seed(0)
    worth = torch.randn(len(rows.decides), *[agents] * (agents > 0))
    reward = rows.parts["reward"].view(-1, *[1] * (agents > 0))
    found = rows.returns(worth, reward, 0.9, trace)
    for agent in range(max(agents, 1)):
        said, told = (each[:, agent] if agents else each for each in (worth, found))
        for game, at in places(rows, [3, 2, 5, 0]).items():
            length = LENGTHS[game]
            expected = by_hand(parts["reward"][game, :length].tolist(), said[at].tolist(), game % 2 == 0, 0.9, trace)
            torch.testing.assert_close(told[at], torch.tensor(expected))


def places(rows: Rows, games: list[int]) -> dict[int, Tensor]:
    """The rows of each game, in the order of falling length."""
    sizes, found = rows.sizes.tolist(), {}
    for place, game in enumerate(games):
        found[game] = torch.tensor([sum(sizes[:step]) + place for step, size in enumerate(sizes) if place < size])
    return found


def test_a_game_that_is_not_a_teams_is_refused() -> None:
    from velodrome.games import make

    with pytest.raises(ValueError, match="all act at once, one choice each"):
        Episodes(make("hearts", 1, 0))
