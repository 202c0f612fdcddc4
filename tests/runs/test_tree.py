"""State trees come back as they were, and hold nothing that could run."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from velodrome.runs.tree import Packer, Tree, unpack


def there_and_back(tree: Tree, weights: dict[str, torch.Tensor] | None = None) -> Tree:
    packer = Packer(weights)
    document = json.dumps(packer.pack(tree), allow_nan=False)
    tensors = safetensors.torch.load(safetensors.torch.save(packer.tensors))
    return unpack(json.loads(document), tensors, weights)


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bytes_of(one) == bytes_of(other)
    if isinstance(one, np.ndarray | np.generic):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return one == other or (one != one and other != other)


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
dtypes = st.one_of(arrays.scalar_dtypes(), arrays.array_dtypes()).filter(lambda dtype: not dtype.hasobject)
leaves = st.one_of(scalars, arrays.arrays(dtypes, arrays.array_shapes(min_dims=0, min_side=0, max_side=3)))
keys = st.one_of(st.text(), st.integers())
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(keys, inner), st.lists(inner).map(tuple)),
    max_leaves=20,
)


@given(trees)
@settings(deadline=None, max_examples=150)
def test_any_tree_comes_back_as_it_was(tree: Tree) -> None:
    assert same(there_and_back(tree), tree)


DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int64,
    torch.uint64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (3, 2)], ids=str)
def test_tensors_of_every_kind(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.arange(6).to(dtype)[: math.prod(shape)].reshape(shape)
    assert same(there_and_back([tensor]), [tensor])


def test_views_of_one_storage_come_back_apart() -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    tree = {"whole": whole, "row": whole[1], "turned": whole.T, "column": whole[:, 1]}
    assert same(there_and_back(tree), tree)


def test_what_json_has_no_word_for() -> None:
    tree = {"big": 2**200, "nan": math.nan, "infinite": [math.inf, -math.inf], 3: (1, (2,)), "zero": -0.0}
    back = there_and_back(tree)
    assert same(back, tree)
    assert math.copysign(1, back["zero"]) == -1


def test_records_come_back_aligned() -> None:
    records = np.zeros(5, np.dtype([("hand", "u8", 4), ("seat", "i1"), ("luck", "u8")], align=True))
    records["luck"] = 2**64 - 1
    back = there_and_back({"odd": np.zeros(3, np.uint8), "records": records})["records"]
    assert same(back, records)
    assert back.flags.aligned
    assert back.flags.writeable


def test_optimizer_and_generators() -> None:
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    tree = {
        "optimizer": optimizer.state_dict(),
        "torch": torch.Generator().get_state(),
        "numpy": np.random.default_rng(3).bit_generator.state,
    }
    assert same(there_and_back(tree), tree)


def test_weights_are_named_and_not_stored_twice() -> None:
    net = torch.nn.Linear(300, 200)
    weights = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    packer = Packer(weights)
    assert packer.pack(net.state_dict()) == {
        "map": {"weight": {"weight": "net.weight"}, "bias": {"weight": "net.bias"}}
    }
    assert packer.tensors == {}


def test_a_slice_of_a_weight_is_no_weight() -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    tree = {"slice": weight[0]}
    assert same(there_and_back(tree, {"net.weight": weight}), tree)


@pytest.mark.parametrize(
    "foreign",
    [object(), {1, 2}, b"bytes", np.array([object()]), torch.nn.Linear(1, 1)],
    ids=lambda foreign: type(foreign).__name__,
)
def test_foreign_objects_are_refused_by_place(foreign: Any) -> None:
    with pytest.raises(TypeError, match="state/trainer/0 "):
        Packer().pack({"trainer": [foreign]})


@pytest.mark.parametrize(
    "document",
    [
        {"array": "a", "dtype": "'|O'", "shape": [1]},
        {"array": "a", "dtype": "__import__('os').system('true')", "shape": [1]},
        {"object": "os.system"},
        {"segments": [{"file": "x", "chunk": None}]},
    ],
    ids=str,
)
def test_documents_that_ask_for_more_are_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpack(document, {"a": torch.zeros(8, dtype=torch.uint8)})
