import numpy as np
import torch

from velodrome.nets.kernels.places import Place, bring, offer
from velodrome.nets.kernels.sparse import listed_linear, packed_linear, unpack


def example(rows: int = 37, features: int = 64, width: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(0)
    dense = random.random((rows, features)) < random.random((rows, 1))  # from nearly empty to nearly full rows
    dense[0], dense[1] = False, True
    bits = torch.from_numpy(np.packbits(dense, axis=1, bitorder="little"))
    return (
        bits,
        torch.from_numpy(dense).float(),
        torch.randn(features, width, generator=torch.Generator().manual_seed(0)),
    )


def test_unpacked_bits_are_the_features() -> None:
    bits, dense, _ = example()
    assert torch.equal(unpack(bits, 64), dense)
    assert torch.equal(unpack(bits, 61), dense[:, :61])


def test_output_and_gradients_equal_the_dense_product() -> None:
    bits, dense, weight = example()
    bias, pull = torch.randn(12), torch.randn(37, 12)
    ours = [weight.clone().requires_grad_(), bias.clone().requires_grad_()]
    plain = [weight.clone().requires_grad_(), bias.clone().requires_grad_()]
    out, expected = packed_linear(bits, *ours), dense @ plain[0] + plain[1]
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    out.backward(pull)
    expected.backward(pull)
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-4, rtol=1e-5)


def test_rows_of_a_view_and_no_rows_at_all() -> None:
    bits, _, weight = example()
    bias = torch.zeros(12)
    whole = packed_linear(bits, weight, bias)
    assert torch.equal(packed_linear(bits[::3], weight, bias), whole[::3])
    assert packed_linear(bits[:0], weight, bias).shape == (0, 12)


def test_lists_equal_the_dense_product() -> None:
    _, dense, weight = example()
    padding, longest = 64, int(dense.sum(1).max()) + 2
    lists = torch.full((len(dense), longest), padding, dtype=torch.int16)
    for row, features in zip(lists, dense, strict=True):
        chosen = features.nonzero().squeeze(1).short()
        row[1 : 1 + len(chosen)] = chosen  # padding may stand anywhere
    pull = torch.randn(37, 12)
    ours, plain = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    out, expected = listed_linear(lists, padding, ours, torch.ones(12)), dense @ plain + 1
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    out.backward(pull)
    expected.backward(pull)
    torch.testing.assert_close(ours.grad, plain.grad, atol=1e-4, rtol=1e-5)
    in_double = listed_linear(lists, padding, weight.double(), torch.ones(12).double())
    torch.testing.assert_close(in_double.float(), expected.detach(), atol=1e-5, rtol=1e-5)


def test_gradients_in_a_place_leave_nothing_behind_for_the_next() -> None:
    _, _, weight = example()
    place, other = Place(torch.full_like(weight, 7.0)), Place(torch.zeros(12))

    def compare(features: list[list[int]]) -> None:
        lists, pull = torch.tensor(features, dtype=torch.int16), torch.randn(len(features), 12)
        ours, offered = weight.clone().requires_grad_(), weight.clone().requires_grad_()
        bias = torch.ones(12, requires_grad=True)
        listed_linear(lists, 64, ours, torch.ones(12)).backward(pull)
        offer([offered, bias], [place, other])
        listed_linear(lists, 64, offered, bias).backward(pull)
        assert torch.equal(place.tensor, ours.grad)
        assert torch.equal(other.tensor, pull.sum(0))

    for features in ([[0, 1], [1, 5]], [[2, 2]], [[1, 63], [0, 1]]):
        compare(features)
    ones = weight.clone().requires_grad_()
    ones.grad, place.written = torch.ones_like(weight), False
    bring([ones], [place])  # by someone who does not know of rows
    assert torch.equal(place.tensor, ones.grad)
    compare([[3, 4]])
