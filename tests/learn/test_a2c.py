"""Advantage actor-critic for teams: returns, what others' rewards count, and the bookkeeping of play."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from toys import Meadow
from velodrome.games import make
from velodrome.games.game import Array, Choice, Game, Score, Spec, View
from velodrome.games.kernel import seed_states
from velodrome.learn.a2c import A2c, Messages, TeamA2c, normalised
from velodrome.learn.actions import Actions
from velodrome.learn.team import UNTIMED, Spans, Table, returns
from velodrome.meter.clock import Clock
from velodrome.nets.neurcomm import Method, NeighbourNet, distances, line
from velodrome.nets.team import Channel, Played

VEHICLES = 3
TOLD = Messages(line(VEHICLES), 12)


def trainer(rows: int = 8, games: int = 2, method: Method = "neurcomm", **settings: Any) -> TeamA2c:
    torch.manual_seed(1)
    game = make("platoon", games, 1, vehicles=VEHICLES)
    net = NeighbourNet(line(VEHICLES), 5, "heed", 4, method, 8)
    return TeamA2c(game, net, A2c(rows=rows, **settings), distances(line(VEHICLES)), TOLD, seed=1, device="cpu")


def segment(looks: list[int], ended: list[int], rows: int = 4) -> Played:
    """One game of one agent; rewards 1, 2, 3, 4."""
    flags = {name: torch.zeros(rows + 1, 1, dtype=torch.bool) for name in ("looks", "ended")}
    flags["looks"][[*looks, rows]] = True
    flags["ended"][ended] = True
    reward = torch.arange(1.0, rows + 1).view(rows, 1, 1)
    return Played({}, {}, flags["looks"] & False, {}, {}, reward, flags["ended"][:-1], flags["looks"])


# -- returns ----------------------------------------------------------------------------------------------------------


def returned(played: Played, trace: float = 1.0) -> tuple[list[float], list[float]]:
    value = torch.tensor([0.5, -0.5, 1.5, 2.5, 8.0]).view(5, 1, 1)
    worth, advantage = returns(played, value, played.reward, 0.5, trace)
    assert torch.equal(worth - advantage, value[:-1])
    return worth.flatten().tolist(), advantage.flatten().tolist()


def test_returns_reach_to_the_end_of_the_segment() -> None:
    worth, _ = returned(segment([], []))
    last = 4 + 0.5 * 8
    assert worth == [1 + 0.5 * (2 + 0.5 * (3 + 0.5 * last)), 2 + 0.5 * (3 + 0.5 * last), 3 + 0.5 * last, last]


def test_what_is_cut_off_is_worth_what_was_expected() -> None:
    worth, advantage = returned(segment([2], []))
    assert worth == [1 + 0.5 * (2 + 0.5 * 1.5), 2 + 0.5 * 1.5, 1.5, 8.0]
    assert advantage[2] == 0


def test_after_an_end_comes_nothing() -> None:
    worth, _ = returned(segment([2], [1]))
    assert worth == [2.0, 2.0, 1.5, 8.0]


def test_traces_weigh_the_steps_of_the_estimate() -> None:
    _, advantage = returned(segment([], []), trace=0.5)
    surprises = [1 - 0.25 - 0.5, 2 + 0.75 + 0.5, 3 + 1.25 - 1.5, 4 + 4 - 2.5]
    assert advantage == pytest.approx(
        [sum(surprise * 0.25**steps for steps, surprise in enumerate(surprises[row:])) for row in range(4)]
    )


@pytest.mark.parametrize(
    ("reach", "wanted"),
    [(0.0, [1.0, 10.0, 100.0]), (1.0, [111.0] * 3), (0.5, [1 + 5 + 25, 0.5 + 10 + 50, 0.25 + 5 + 100])],
)
def test_how_much_others_count(reach: float, wanted: list[float]) -> None:
    """Nobody but oneself, everybody alike, or less the farther away."""
    counts = trainer(reach=reach).counts
    assert (torch.tensor([1.0, 10.0, 100.0]) @ counts).tolist() == wanted


def test_those_out_of_reach_do_not_count() -> None:
    away = torch.tensor([[0.0, math.inf], [math.inf, 0.0]])
    assert (0.9**away).tolist() == [[1, 0], [0, 1]]


# -- the bookkeeping of play ------------------------------------------------------------------------------------------


class Counting:
    """In the place of nets: remembers how many rows a game has had, and plays anything."""

    wants = ("globals",)

    def __init__(self, heads: dict[str, int]):
        self.heads = heads

    def start(self, rows: int) -> dict[str, Tensor]:
        return {"age": torch.zeros(rows)}

    def act(self, views: Any, memory: Any, spans: Any, generator: torch.Generator) -> Any:
        shape = memory["age"].shape
        outputs = {name: torch.randn(*shape, n, generator=generator) for name, n in self.heads.items()}
        return outputs, {"age": memory["age"] + 1}, {"age": memory["age"]}

    def unroll(self, played: Played, spans: Any) -> Any:
        raise NotImplementedError


LONGEST, GAMES, ROWS = 5, 6, 11


def table(seed: int = 0, games: int = GAMES) -> Table:
    game = Meadow(games, seed, longest=LONGEST)
    return Table(game, Counting(Actions(game.spec.action).heads), ROWS, torch.Generator().manual_seed(seed), "cpu")


def test_each_row_is_a_decision_or_a_last_look() -> None:
    at, over_before, ends, cuts = table(), torch.zeros(GAMES, dtype=torch.bool), 0, 0
    for _ in range(12):
        counts = at.play(Clock())
        played = at.played
        time = (played.views["globals"][..., 0, 0] * LONGEST).round()
        assert counts.game_steps == int((~played.looks).sum())
        assert counts.decisions == int((~played.looks[:-1]).sum()) * 3
        assert torch.equal(played.fresh[1:], time[1:] == 0)
        assert torch.equal(played.kept["age"], time[:-1, :, None].expand(ROWS, GAMES, 3))
        assert torch.equal(played.memory["age"], time[0][:, None].expand(GAMES, 3))
        assert torch.equal(played.fresh[0], over_before), "the next game begins after a last look alone"
        over = (played.ended | (time[:-1] == LONGEST - 1)) & ~played.looks[:-1]
        assert torch.equal(played.fresh[1:], played.looks[:-1])
        assert torch.equal(played.looks[1:-1], over[:-1])
        assert not played.reward[played.looks[:-1]].any()
        assert played.looks[-1].all()
        assert len(at.outcomes) == int(over.sum())
        ends += int((over & played.ended).sum())
        cuts += int((over & ~played.ended).sum())
        over_before = over[-1]
    assert ends > 5
    assert cuts > 5


def test_the_last_row_is_the_next_segments_first() -> None:
    at = table()
    at.play(Clock())
    seen, over = at.played.views["globals"][-1].clone(), torch.from_numpy(at.over)
    at.play(Clock())
    assert over.any()
    assert torch.equal(at.played.views["globals"][0][~over], seen[~over])
    assert not at.played.views["globals"][0][over][..., 0].any(), "a new game"


def test_games_kept_apart() -> None:
    """The first of each slot is broken off after another number of steps; then all play to the end."""
    game = make("platoon", 4, 0, vehicles=2)
    net = NeighbourNet(line(2), 5, "heed", 4, "ia2c", 4)
    at = Table(game, net, 150, torch.Generator().manual_seed(0), "cpu", apart=True)
    at.play(Clock())
    assert at.played.looks[:, 0].nonzero().flatten().tolist() == [150]
    assert at.over.tolist() == [True, False, False, False]
    at.play(Clock())
    assert at.played.fresh.nonzero().tolist() == [[0, 0]]
    assert at.over.tolist() == [False, True, False, False]
    for _ in range(2):
        at.play(Clock())
    assert at.game.records["time"].tolist() == [450, 300, 150, 600]
    assert not at.played.ended.any()
    assert len(at.outcomes) == 1, "the last slot's, and none that was broken off"


def test_a_table_goes_on_from_its_state() -> None:
    at, other = table(), table(seed=1)
    at.play(Clock())
    assert at.over.any()
    saved = copy.deepcopy(at.state())
    other.load(saved)
    for each in (at, other):
        each.play(Clock())
    for name, part in (at.played.views | at.played.action | at.played.kept | {"reward": at.played.reward}).items():
        theirs = other.played.views | other.played.action | other.played.kept | {"reward": other.played.reward}
        assert torch.equal(theirs[name], part), name
    assert torch.equal(at.played.fresh, other.played.fresh)


def test_who_takes_turns_is_no_team() -> None:
    with pytest.raises(ValueError, match="take turns"):
        Table(make("hearts", 1), Counting({}), 4, torch.Generator(), "cpu")


def test_a_team_shares_its_seats_with_nobody() -> None:
    policy = trainer().policy()
    views = {"seen": torch.zeros(4, 5), "seat": torch.tensor([0, 1, 2, 0]), "game": torch.tensor([0, 0, 0, 1])}
    with pytest.raises(ValueError, match="plays all seats"):
        policy.act(views, policy.start(4), torch.Generator())


# -- learning ---------------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_spec_by_hand() -> None:
    """Of each agent the mean over its decisions; over agents the sum."""
    at = trainer(reach=0.5, entropy=0.1, value=0.3, trace=1.0, normalise=False, reward_scale=0.01, discount=0.9)
    at.game.records["time"][0] = 597  # its time is up in the middle of the segment
    at.table.play(Clock())
    played = at.table.played
    assert played.looks[3].tolist() == [True, False]
    outputs = at.net.unroll(played, Spans(Clock(), "learn", "forward"))
    loss = at._loss(outputs, played)[0].detach()
    total, value = 0.0, outputs["value"].detach()
    for agent in range(VEHICLES):
        rows = []
        for game in range(2):
            worth = float(value[-1, game, agent])
            for row in reversed(range(8)):
                if played.looks[row, game]:
                    worth = float(value[row, game, agent])
                    continue
                reward = sum(0.5 ** abs(agent - j) * float(played.reward[row, game, j]) for j in range(VEHICLES))
                worth = 0.01 * reward + 0.9 * worth
                log_probs = outputs["heed"][row, game, agent].detach().log_softmax(-1)
                log_prob = float(log_probs[played.action["heed"][row, game, agent]])
                entropy = -float((log_probs.exp() * log_probs).sum())
                error = worth - float(value[row, game, agent])
                rows.append(0.3 * error**2 - log_prob * error - 0.1 * entropy)
        assert len(rows) == 15
        total += sum(rows) / len(rows)
    assert float(loss) == pytest.approx(total, rel=1e-4)


def test_normalised_advantages_of_each_agent() -> None:
    torch.manual_seed(0)
    advantage = torch.randn(10, 4, 3) * torch.tensor([1.0, 10.0, 100.0]) + 5
    decides = torch.rand(10, 4, 1) < 0.7
    found = normalised(advantage, decides / decides.sum())
    for agent in range(3):
        own = found[..., agent][decides[..., 0]]
        assert float(own.mean()) == pytest.approx(0, abs=1e-5)
        assert float(own.std(correction=0)) == pytest.approx(1, rel=1e-4)


def test_consensus_follows_each_update() -> None:
    """Nets that begin apart come nearer; those of the other siblings do not."""
    apart = {}
    for method in ("consenet", "ia2c"):
        at = trainer(method=method)
        cells = at.net.cells.weight  # type: ignore[attr-defined]
        before = float(cells.detach().std(0).mean())
        for _ in range(5):
            at.iterate(Clock())
        apart[method] = float(cells.detach().std(0).mean()) / before
    assert apart["consenet"] < 0.1
    assert apart["ia2c"] > 0.8


def test_padding_neither_counts_nor_learns() -> None:
    at = trainer()
    for _ in range(3):
        at.iterate(Clock())
    messages = at.net.reading.messages.stack()  # type: ignore[attr-defined]
    assert not messages[[0, 2], 8:].any()
    assert messages[1, 8:].all()


def test_time_goes_into_known_phases() -> None:
    spent = {}
    for method in ("neurcomm", "consenet"):
        at, clock = trainer(method=method), Clock()
        at.iterate(clock)
        spent[method] = {phase.name for phase in clock.budget().phases}
    assert spent["neurcomm"] - spent["consenet"] == {
        "collect.communicate", "collect.comprehend", "learn.comprehend",
    }  # fmt: skip


def test_the_rate_and_the_entropy_fall() -> None:
    at = trainer(rate_halves=2, entropy_halves=2, rate=0.01)
    rates = []
    for _ in range(3):
        at.iterate(Clock())
        rates.append(at.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.01, 0.01 / 1.5, 0.005])


def test_only_one_choice_of_which_all_is_legal() -> None:
    game = Meadow(2, 0)
    net: Any = NeighbourNet(line(3), 5, "keys", 2)
    with pytest.raises(ValueError, match="one choice"):
        TeamA2c(game, net, A2c(), distances(line(3)), TOLD, seed=0, device="cpu")


class Whispers(Game):
    """The last of three sees a coin; the first is paid if it says how the coin lay a row ago."""

    record = np.dtype([("luck", "u8"), ("coin", "i1"), ("before", "i1"), ("time", "i2")])

    def __init__(self, games: int, seed: int, **options: Any):
        spec = Spec(
            "whispers",
            3,
            3,
            {"seen": View((2,))},
            (Choice("say", 2),),
            Score("mean reward", "higher"),
            20,
            together=True,
        )
        super().__init__(spec, games, seed, **options)

    def seed_records(self, seed: int, start: Array, luck: Array) -> None:
        seed_states(seed, start, self.records["luck"])
        self.seat[:] = np.arange(3)

    def deal(self, lo: int, hi: int, which: Array) -> None:
        marked = np.arange(lo, hi)[which[lo:hi]]
        self.records["time"][marked] = 0
        self.toss(marked)
        self.rewards[marked], self.ended[marked], self.cut[marked] = 0, False, False
        self.look(lo, hi)

    def toss(self, marked: Array) -> None:
        records = self.records
        records["before"][marked] = records["coin"][marked]
        records["luck"][marked] = records["luck"][marked] * np.uint64(6364136223846793005) + np.uint64(
            1442695040888963407
        )
        records["coin"][marked] = records["luck"][marked] >> np.uint64(63)

    def play(self, lo: int, hi: int, action: dict[str, Array]) -> int:
        self.rewards[lo:hi] = 0
        goes_on = np.arange(lo, hi)[~self.cut[lo:hi]]
        self.rewards[goes_on, 0] = action["say"][goes_on, 0] == self.records["before"][goes_on]
        self.records["time"][goes_on] += 1
        self.toss(goes_on)
        self.cut[goes_on] = self.records["time"][goes_on] == 20
        self.look(lo, hi)
        return -1

    def look(self, lo: int, hi: int) -> None:
        self.views["seen"][lo:hi] = 0
        self.views["seen"][lo:hi, 2] = self.records["coin"][lo:hi, None] == [0, 1]


@pytest.mark.parametrize(
    ("method", "least", "most"), [("neurcomm", 0.95, 1.0), ("dial", 0.95, 1.0), ("ia2c", 0.3, 0.7)]
)
def test_messages_are_learnt_where_there_are_any(method: Method, least: float, most: float) -> None:
    torch.manual_seed(0)
    net = NeighbourNet(line(3), 2, "say", 2, method, 16)
    settings = A2c(
        rows=10, discount=0.5, reach=1.0, reward_scale=1.0, normalise=True, entropy=0.0, descent="adam",
        rate=0.02, clip=0.5,
    )  # fmt: skip
    at = TeamA2c(Whispers(32, 0), net, settings, distances(line(3)), TOLD, seed=0, device="cpu")
    for _ in range(75):
        at.iterate(Clock())
    earned = at.table.played.reward[1:, :, 0][~at.table.played.looks[1:-1]]
    assert least <= float(earned.mean()) <= most


def test_what_is_exchanged_goes_along_the_graph() -> None:
    told = TOLD.exchange()
    assert told.graph == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert (told.messages, told.bytes) == (4, 4 * 12 * 4)
    assert Messages(line(3), 0).exchange().messages == 0


@pytest.mark.parametrize("method", ["neurcomm", "fprint", "dial"])
@pytest.mark.parametrize("channel", [Channel(), Channel(lost=0.3, bits=4)])
def test_what_is_learnt_from_is_what_was_played(
    method: Method, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Across segments, games that begin, and last looks."""
    torch.manual_seed(0)
    net = NeighbourNet(line(VEHICLES), 5, "heed", 4, method, 8, channel)
    game = make("platoon", 4, 1, vehicles=VEHICLES)
    at = TeamA2c(game, net, A2c(rows=40), distances(line(VEHICLES)), TOLD, seed=1, device="cpu")
    for parameter in net.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    acted: list[Tensor] = []

    def act(*given: Any) -> Any:
        outputs = NeighbourNet.act(net, *given)
        acted.append(outputs[0]["heed"])
        return outputs

    monkeypatch.setattr(net, "act", act)
    begun = 0
    for _ in range(8):
        acted.clear()
        at.table.play(Clock())
        played = at.table.played
        with torch.no_grad():
            found = net.unroll(played, UNTIMED)["heed"][:-1]
        decides = ~played.looks[:-1]
        torch.testing.assert_close(found[decides], torch.stack(acted)[decides])
        begun += int(played.fresh[1:].sum())
    assert begun >= 2
