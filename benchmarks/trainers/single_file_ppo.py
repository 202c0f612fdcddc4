"""PPO in one file: `python benchmarks/trainers/single_file_ppo.py [--updates 20]`.

It plays a vector of Gymnasium environments, as such scripts do, and knows nothing of Velodrome.
"""

from __future__ import annotations

import argparse
import time

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical


def tower(inputs: int, outputs: int, gain: float) -> nn.Sequential:
    """Two hidden layers, orthogonal weights."""
    layers = [nn.Linear(inputs, 64), nn.Linear(64, 64), nn.Linear(64, outputs)]
    for layer, scale in zip(layers, (2**0.5, 2**0.5, gain), strict=True):
        nn.init.orthogonal_(layer.weight, scale)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])


class Agent(nn.Module):
    """An actor and a critic."""

    def __init__(self, observation: int, actions: int):
        super().__init__()
        self.actor, self.critic = tower(observation, actions, 0.01), tower(observation, 1, 1.0)

    def decide(self, views: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The action, its logarithmic chance, the entropy and the value."""
        choice = Categorical(logits=self.actor(views))
        action = choice.sample() if action is None else action
        return action, choice.log_prob(action), choice.entropy(), self.critic(views)[:, 0]

    def worth(self, views: Tensor) -> Tensor:
        """The value alone."""
        return self.critic(views)[:, 0]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--envs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--minibatches", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2.5e-4)
    parser.add_argument("--discount", type=float, default=0.99)
    parser.add_argument("--trace", type=float, default=0.95)
    parser.add_argument("--clip", type=float, default=0.2)
    parser.add_argument("--entropy", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    asked = options()
    torch.manual_seed(asked.seed)
    np.random.seed(asked.seed)  # noqa: NPY002 - as such scripts do
    envs = gymnasium.make_vec(asked.env, num_envs=asked.envs, vectorization_mode="sync")
    width, actions = envs.single_observation_space.shape[0], envs.single_action_space.n
    agent = Agent(width, int(actions))
    optimizer = torch.optim.Adam(agent.parameters(), lr=asked.rate, eps=1e-5)

    shape = (asked.steps, asked.envs)
    views, chosen = torch.zeros(*shape, width), torch.zeros(shape, dtype=torch.long)
    chances, rewards, ends, values = (torch.zeros(shape) for _ in range(4))

    began, frames, finished = time.time(), 0, []
    seen, _ = envs.reset(seed=asked.seed)
    view, end = torch.as_tensor(seen), torch.zeros(asked.envs)
    returns_so_far = np.zeros(asked.envs)
    for update in range(1, asked.updates + 1):
        for step in range(asked.steps):
            frames += asked.envs
            views[step], ends[step] = view, end
            with torch.no_grad():
                action, chances[step], _, values[step] = agent.decide(view)
            chosen[step] = action
            seen, earned, terminated, truncated, _ = envs.step(action.numpy())
            done = np.logical_or(terminated, truncated)
            returns_so_far += earned
            finished += returns_so_far[done].tolist()
            returns_so_far[done] = 0
            rewards[step] = torch.as_tensor(earned, dtype=torch.float32)
            view, end = torch.as_tensor(seen), torch.as_tensor(done, dtype=torch.float32)

        with torch.no_grad():
            following, running = agent.worth(view), torch.zeros(asked.envs)
            advantages, alive = torch.zeros(shape), 1 - end
            for step in reversed(range(asked.steps)):
                surprise = rewards[step] + asked.discount * following * alive - values[step]
                running = surprise + asked.discount * asked.trace * alive * running
                advantages[step] = running
                following, alive = values[step], 1 - ends[step]
            returns = advantages + values

        flat = [each.flatten(0, 1) for each in (views, chosen, chances, advantages, returns)]
        size = asked.steps * asked.envs // asked.minibatches
        for _ in range(asked.epochs):
            for rows in torch.randperm(asked.steps * asked.envs).split(size):
                batch, actions_, old, advantage, target = (each[rows] for each in flat)
                _, new, entropy, value = agent.decide(batch, actions_)
                ratio = (new - old).exp()
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                held = ratio.clamp(1 - asked.clip, 1 + asked.clip)
                policy_loss = -torch.min(ratio * advantage, held * advantage).mean()
                value_loss = 0.5 * (value - target).square().mean()
                loss = policy_loss + 0.5 * value_loss - asked.entropy * entropy.mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
        if update % 10 == 0:
            speed = frames / (time.time() - began)
            print(f"update {update}: return {np.mean(finished[-50:] or [0.0]):.1f}, {speed:.0f} steps/s")
    envs.close()


if __name__ == "__main__":
    main()
