import copy

import pytest
import torch
from torch import nn

from velodrome.learn.adam import Adam, Average, decays, young
from velodrome.learn.lanes import Lanes

ALONE = Lanes(1, {})


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 300), nn.ReLU(), nn.Linear(300, 33))


def give_gradients(made: nn.Module, seed: int, scale: float) -> None:
    torch.manual_seed(seed)
    for parameter in made.parameters():
        parameter.grad = torch.randn_like(parameter) * scale


@pytest.mark.parametrize("clip", [float("inf"), 0.5])
@pytest.mark.parametrize("scale", [1e-6, 1.0])
def test_equals_torchs_adam_behind_its_clipping(clip: float, scale: float) -> None:
    theirs = net()
    ours = copy.deepcopy(theirs)
    reference = torch.optim.Adam(theirs.parameters(), lr=3e-3, eps=1e-5)
    optimizer = Adam(list(ours.parameters()), 3e-3)
    for seed in range(8):
        give_gradients(theirs, seed, scale)
        give_gradients(ours, seed, scale)
        expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        reference.step()
        optimizer.bring(0, list(ours.parameters()))
        assert optimizer.step(ALONE, clip) == pytest.approx(float(expected), rel=1e-5)
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=1e-5)


def test_gradients_of_lanes_are_added_up() -> None:
    whole, parted = net(), net()
    one, two = Adam(list(whole.parameters()), 1e-2), Adam(list(parted.parameters()), 1e-2, lanes=2)
    give_gradients(whole, 1, 1.0)
    one.bring(0, list(whole.parameters()))
    for lane, share in enumerate((0.25, 0.75)):
        give_gradients(parted, 1, share)
        two.bring(lane, list(parted.parameters()))
    assert two.step(ALONE) == pytest.approx(one.step(ALONE), rel=1e-5)
    torch.testing.assert_close(two.weights, one.weights, atol=1e-6, rtol=1e-5)


def test_what_got_no_gradient_does_not_move_and_what_got_one_before_goes_on() -> None:
    made = net()
    parameters = list(made.parameters())
    optimizer = Adam(parameters, 1e-2)
    give_gradients(made, 0, 1.0)
    parameters[0].grad = None
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer.bring(0, parameters)
    optimizer.step(ALONE)
    assert torch.equal(parameters[0], before[0])
    assert not torch.equal(parameters[2], before[2])
    moved = parameters[2].detach().clone()
    for parameter in parameters:
        parameter.grad = None
    optimizer.bring(0, parameters)
    optimizer.step(ALONE)
    assert not torch.equal(parameters[2], moved)  # its running mean is not spent


def test_it_goes_on_from_its_state() -> None:
    made = net()
    parameters = list(made.parameters())
    optimizer = Adam(parameters, 1e-2)
    for seed in range(3):
        give_gradients(made, seed, 1.0)
        optimizer.bring(0, parameters)
        optimizer.step(ALONE)
    other = copy.deepcopy(made)
    again = Adam(list(other.parameters()), 1e-2)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, step in ((made, optimizer), (other, again)):
        give_gradients(each, 9, 1.0)
        step.bring(0, list(each.parameters()))
        step.step(ALONE)
    assert torch.equal(optimizer.weights, again.weights)


def test_the_nets_weights_are_the_vector() -> None:
    made = net()
    optimizer = Adam(list(made.parameters()), 1e-2)
    optimizer.weights.fill_(2.0)
    assert all(bool((parameter == 2).all()) for parameter in made.parameters())
    made.load_state_dict({name: torch.ones_like(value) for name, value in made.state_dict().items()})
    assert bool((optimizer.weights == 1).all())


def test_an_average_follows_the_net_that_comes_first_and_only_where_it_is_told_to() -> None:
    net, critic = nn.Linear(3, 2), nn.Linear(3, 1)
    optimizer = Adam([*net.parameters(), *critic.parameters()], 1e-2)
    average = Average(net, optimizer, keep=0.75)
    before = [parameter.clone() for parameter in net.parameters()]
    with torch.no_grad():
        for parameter in (*net.parameters(), *critic.parameters()):
            parameter += 4
    for part in (slice(0, 7), slice(7, 12)):  # the net has 8 numbers, the critic 4
        average.follow(part)
    for own, was in zip(average.net.parameters(), before, strict=True):
        torch.testing.assert_close(own, was + 1)
    assert not any(parameter.requires_grad for parameter in average.net.parameters())
    average.follow(slice(8, 12))
    for own, was in zip(average.net.parameters(), before, strict=True):
        torch.testing.assert_close(own, was + 1)


def test_a_later_optimizer_of_the_same_weights_leaves_them_where_they_are() -> None:
    made = net()
    first = Adam(list(made.parameters()), 1e-2)
    second = Adam(list(made.parameters()), 1e-2)
    assert second.weights is first.weights
    for optimizer in (first, second, first):
        before = made[0].weight.detach().clone()
        give_gradients(made, 0, 1.0)
        optimizer.bring(0, list(made.parameters()))
        optimizer.step(ALONE)
        assert not torch.equal(made[0].weight, before)


def test_an_optimizer_whose_weights_were_taken_says_so() -> None:
    made, other = net(), nn.Linear(2, 2)
    first = Adam(list(made.parameters()), 1e-2)
    Adam([*made.parameters(), *other.parameters()], 1e-2)
    give_gradients(made, 0, 1.0)
    first.bring(0, list(made.parameters()))
    with pytest.raises(RuntimeError, match="another optimizer"):
        first.step(ALONE)


def test_what_does_not_learn_does_not_decay() -> None:
    made = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    made[2].requires_grad_(False)
    assert decays(made, 0.1) == [0.1, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_a_young_average_forgets_where_it_began() -> None:
    assert [young(0.9, steps) for steps in (0, 10, 90, 1000)] == [0, 0.5, 0.9, 0.9]
