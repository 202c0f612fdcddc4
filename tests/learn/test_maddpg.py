"""MADDPG: what all agents learn at once is what each would learn by itself."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from velodrome.games import make
from velodrome.learn.maddpg import Maddpg, MultiAgentDdpg, SoftPolicy
from velodrome.meter.clock import Clock
from velodrome.nets.stacked import Actors, JointCritics, Layer, Stack

AGENTS, BATCH, WIDTHS = 3, 64, (16, 16)
CLOCK = Clock(enabled=False)
SETTINGS = Maddpg(batch=BATCH, memory=400, warm_up=100, between=20)


def trainer(agents: int = AGENTS, **settings: float) -> MultiAgentDdpg:
    torch.manual_seed(3)
    game = make("spread", 10, 0, agents=agents)
    return MultiAgentDdpg(game, replace(SETTINGS, **settings), WIDTHS, seed=1, device="cpu")


def alone(stack: Stack, agent: int) -> nn.Sequential:
    """One agent's net, in plain layers."""
    layers: list[nn.Module] = []
    for layer in stack.layers:
        assert isinstance(layer, Layer)
        plain = nn.Linear(layer.weight.shape[1], layer.weight.shape[2])
        plain.weight.data, plain.bias.data = (
            layer.weight[agent].T.detach().clone(),
            layer.bias[agent, 0].detach().clone(),
        )
        layers += [plain, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Loop:
    """The same algorithm, one agent after the other; all learn from how things stood before."""

    def __init__(self, stacked: MultiAgentDdpg):
        self.settings = stacked.settings
        self.nets = {name: [alone(net, i) for i in range(AGENTS)] for name, net in stacked.nets.items()}  # type: ignore[arg-type]
        self.targets = copy.deepcopy(self.nets)
        self.optimizers = {
            name: [torch.optim.Adam(net.parameters(), self.settings.rate) for net in nets]
            for name, nets in self.nets.items()
        }

    def learn(self, batch: dict[str, Tensor], noise: list[Tensor]) -> None:
        seen, action, then = batch["seen"], batch["action"], batch["then"]
        with torch.no_grad():
            following = [(self.targets["actors"][i](then[:, i]) - noise[0][i]).softmax(-1) for i in range(AGENTS)]
            joint_then = torch.cat([*then.unbind(1), *following], -1)
        joint = torch.cat([*seen.unbind(1), *action.unbind(1)], -1)
        for i in range(AGENTS):
            worth = self.targets["critics"][i](joint_then).squeeze(-1).detach()
            wanted = batch["reward"][:, i] + self.settings.discount * worth * ~batch["ended"]
            self._step("critics", i, F.mse_loss(self.nets["critics"][i](joint).squeeze(-1), wanted))
        for i in range(AGENTS):
            numbers = self.nets["actors"][i](seen[:, i])
            own = (numbers - noise[1][i]).softmax(-1)
            acts = [own if j == i else action[:, j] for j in range(AGENTS)]
            value = self.nets["critics"][i](torch.cat([*seen.unbind(1), *acts], -1))
            self._step("actors", i, self.settings.modest * numbers.square().mean() - value.mean())
        for name, nets in self.nets.items():
            for net, target in zip(nets, self.targets[name], strict=True):
                for new, slow in zip(net.parameters(), target.parameters(), strict=True):
                    slow.data += self.settings.follow * (new.data - slow.data)

    def _step(self, name: str, agent: int, loss: Tensor) -> None:
        parameters = list(self.nets[name][agent].parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient * min(1.0, self.settings.clip / float(gradient.norm()))
        self.optimizers[name][agent].step()


def test_all_at_once_learn_what_each_would() -> None:
    stacked = trainer()
    while not stacked.iterate(CLOCK).counts.learner_samples:
        pass
    stacked = refreshed(stacked)
    loop = Loop(stacked)
    for _ in range(10):
        chance = torch.Generator()
        chance.set_state(stacked.generator.get_state())
        batch = stacked.replay.draw(BATCH, chance)
        shape = (AGENTS, BATCH, 5)
        noise = [torch.empty(shape, dtype=torch.float64).exponential_(generator=chance).log() for _ in range(2)]
        stacked._learn(CLOCK)
        loop.learn(batch, noise)
    for name, net in stacked.nets.items():
        assert isinstance(net, Stack)
        target = stacked.targets[name]
        assert isinstance(target, Stack)
        for agent in range(AGENTS):
            for ours, theirs in ((net, loop.nets), (target, loop.targets)):
                for one, other in zip(alone(ours, agent).parameters(), theirs[name][agent].parameters(), strict=True):
                    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def refreshed(stacked: MultiAgentDdpg) -> MultiAgentDdpg:
    """In double precision, with optimizers that have not stepped yet."""
    stacked.nets = {name: net.double() for name, net in stacked.nets.items()}
    stacked.replay.rows = {
        name: part.double() if part.is_floating_point() else part for name, part in stacked.replay.rows.items()
    }
    stacked.optimizers = {
        name: torch.optim.Adam(net.parameters(), stacked.settings.rate) for name, net in stacked.nets.items()
    }
    stacked.targets = {name: copy.deepcopy(net).requires_grad_(False) for name, net in stacked.nets.items()}
    return stacked


def test_only_the_own_action_is_another() -> None:
    critics = JointCritics([0, 1, 2], 4, 2, [8])
    seen, action, own = torch.randn(5, 3, 4), torch.randn(5, 3, 2), torch.randn(3, 5, 2)
    joint = torch.cat([seen.flatten(1), action.flatten(1)], -1)
    found = critics.of_own(joint, own)
    for agent in range(3):
        acts = action.clone()
        acts[:, agent] = own[agent]
        plain = critics(torch.cat([seen.flatten(1), acts.flatten(1)], -1))[agent].squeeze(-1)
        torch.testing.assert_close(found[agent], plain)


def test_agents_that_share_a_critic_move_at_once() -> None:
    critics = JointCritics([0, 0, 1], 4, 2, [8])
    seen, action, own = torch.randn(5, 3, 4), torch.randn(5, 3, 2), torch.randn(3, 5, 2)
    joint = torch.cat([seen.flatten(1), action.flatten(1)], -1)
    found = critics.of_own(joint, own)
    for critic, agents in enumerate([[0, 1], [2]]):
        acts = action.clone()
        acts[:, agents] = own[agents].transpose(0, 1)
        plain = critics(torch.cat([seen.flatten(1), acts.flatten(1)], -1))[critic].squeeze(-1)
        torch.testing.assert_close(found[critic], plain)


@pytest.mark.parametrize("of", [[0, 0, 0], [0, 0, 1], [0, 1, 2]])
def test_agents_with_the_same_number_share_a_net(of: list[int]) -> None:
    actors, x = Actors(of, [4, 8, 2]), torch.randn(3, 5, 4)
    found = actors(x)
    for agent, net in enumerate(of):
        torch.testing.assert_close(found[agent], alone(actors, net)(x[agent]))


def test_who_shares_learns_from_the_mean_reward_of_its_role() -> None:
    team = MultiAgentDdpg(make("tag", 10, 0), replace(SETTINGS, shared=True), WIDTHS, seed=1, device="cpu")
    assert team.means is not None
    reward = torch.tensor([[3.0, 6.0, 0.0, -9.0]])
    assert (team.means @ reward.T).T.tolist() == [[3.0, -9.0]]
    assert [len(net.layers[0].weight) for net in team.nets.values()] == [2, 2]  # type: ignore[union-attr,index,arg-type]


@pytest.mark.parametrize("shared", [False, True])
def test_players_use_their_own_nets_in_any_order(shared: bool) -> None:
    policy = trainer(shared=shared).policy(greedy=True)
    assert isinstance(policy, SoftPolicy)
    views = {"seen": torch.randn(12, 18), "seat": torch.arange(12) % 3}
    whole, _ = policy.act(views, {}, torch.Generator())
    order = torch.tensor([7, 2, 11, 0, 5])
    some, _ = policy.act({name: view[order] for name, view in views.items()}, {}, torch.Generator())
    torch.testing.assert_close(some["push"], whole["push"][order])
    assert whole["push"].sum(-1).tolist() == pytest.approx([1.0] * 12)


def test_a_game_without_shares_is_refused() -> None:
    with pytest.raises(ValueError, match="control='shares'"):
        MultiAgentDdpg(make("spread", 2, 0, control="choice"), SETTINGS, WIDTHS, seed=0, device="cpu")
