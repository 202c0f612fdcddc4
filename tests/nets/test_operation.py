import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from velodrome.nets.kernels.operation import Back, Groups, Room, operation
from velodrome.nets.kernels.places import Array


def test_arrays_in_a_room_keep_apart() -> None:
    room = Room()
    arrays = [room(3, 5), room(7), room(Room.LEAST), room(2, 2), room(0, 4)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [array.shape for array in arrays] == [(3, 5), (7,), (Room.LEAST,), (2, 2), (0, 4)]
    assert all((array == number).all() for number, array in enumerate(arrays))
    assert all(array.dtype == np.float32 for array in arrays)


def test_a_room_counts_what_was_taken_and_what_was_given() -> None:
    room = Room()
    room(3, 5)
    room(Room.LEAST)
    given = torch.zeros(9)
    room.inputs.append(given)
    assert [tensor.numel() for tensor in room.tensors()] == [9, 16, Room.LEAST]


def test_several_arrays_lie_in_one_piece() -> None:
    room = Room()
    room(Room.LEAST - 16)
    arrays = room.several([(5, 5), (Room.LEAST,), (3,)])
    assert [array.shape for array in arrays] == [(5, 5), (Room.LEAST,), (3,)]
    assert [tensor.numel() for tensor in room.tensors()] == [Room.LEAST - 16, 32 + Room.LEAST + 16]


def test_groups_are_in_the_order_of_their_weights() -> None:
    first, second = [torch.zeros(1), torch.zeros(2)], [torch.zeros(3)]
    groups = Groups(first, [], second)
    assert [weight.numel() for weight in groups.weights] == [1, 2, 3]
    assert groups.of(["a", "b", "c"]) == [["a", "b"], [], ["c"]]


class Scale(nn.Module):
    """Multiplies by one number, and adds another to a second output."""

    def __init__(self) -> None:
        super().__init__()
        self.factor, self.shift = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(5.0))
        self.groups = Groups([self.factor, self.shift])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        given = x.detach().numpy()

        def run(weights: list[Array], room: Room) -> tuple[tuple[Array, ...], Back]:
            factor, shift = weights
            scaled = room(*given.shape)
            np.multiply(given, factor, out=scaled)

            def back(gradients, places):  # type: ignore[no-untyped-def]
                places[0].array[()] = (gradients[0] * given).sum()
                places[1].array[()] = gradients[1].sum()
                return gradients[0] * factor

            return (scaled, np.full(1, shift, np.float32)), back

        return operation(run, self.groups.weights, x)


def test_an_operation_has_several_outputs_and_an_input_that_wants_a_gradient() -> None:
    net, x = Scale(), torch.tensor([1.0, 3.0], requires_grad=True)
    scaled, shifted = net(x)
    assert (scaled.tolist(), shifted.tolist()) == ([2.0, 6.0], [5.0])
    (scaled.sum() + 7 * shifted.sum()).backward()
    assert x.grad is not None
    assert (x.grad.tolist(), float(net.factor.grad), float(net.shift.grad)) == ([2.0, 2.0], 4.0, 7.0)  # type: ignore[arg-type]


def test_an_output_that_nobody_wants_has_no_gradient() -> None:
    net, x = Scale(), torch.tensor([1.0, 3.0])
    net(x)[0].sum().backward()
    assert float(net.shift.grad) == 0  # type: ignore[arg-type]


def test_without_gradients_nothing_is_kept() -> None:
    net = Scale()
    with torch.no_grad():
        assert all(output.grad_fn is None for output in net(torch.ones(2)))
    scaled, _ = net(torch.ones(2))
    scaled.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        scaled.sum().backward()


def test_a_copy_of_a_net_has_weights_of_its_own() -> None:
    net = Scale()
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.factor.fill_(10)
    assert other(torch.ones(1))[0].item() == 10
    assert net(torch.ones(1))[0].item() == 2
