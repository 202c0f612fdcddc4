"""State trees: dicts and lists with tensors, arrays, numbers and strings, as a JSON document and named tensors.

The document holds everything but the numbers in bulk. A scalar or a list stands for itself; everything else is an
object with one key that says what it is:

    {"map": {...}}                  a dict with string keys       {"pairs": [[key, value], ...]}   any other dict
    {"tuple": [...]}                a tuple                       {"float": "nan"}                 what JSON lacks
    {"tensor": name}                a tensor of this checkpoint   {"weight": name}                 a weight of a net
    {"array": name, dtype, shape}   a NumPy array, as bytes       {"scalar": name, dtype}          a NumPy scalar
    {"segments": [{"file": name, "chunk": tree}, ...]}            append-only replay memory, each chunk its own file

Reading executes nothing: no class is looked up by name, and no dtype that holds objects is accepted.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from velodrome.runs.segments import Segments, Stored

Tree = Any
KeepSegment = Callable[[Tree], Stored]
ReadSegment = Callable[[Stored], Tree]


class Packer:
    """Packs one tree; its tensors gather in `tensors`, the files of its replay memory in `segments`.

    A tensor that shares its memory with one of `weights` is not stored again but refers to it.
    """

    def __init__(self, weights: Mapping[str, Tensor] | None = None, keep_segment: KeepSegment | None = None):
        self.tensors: dict[str, Tensor] = {}
        self.segments: set[str] = set()
        self._weights = {_memory(weight): name for name, weight in (weights or {}).items() if weight.numel()}
        self._keep_segment = keep_segment

    def pack(self, node: Tree, path: str = "") -> Any:
        """The JSON document for `node`; `path` says in messages and tensor names where it is."""
        if node is None or type(node) in (bool, int, str):
            return node
        if type(node) is float:
            return node if math.isfinite(node) else {"float": str(node)}
        if isinstance(node, Tensor):
            return self._pack_tensor(node, path)
        if isinstance(node, np.ndarray | np.generic):
            return self._pack_array(node, path)
        if isinstance(node, Segments):
            return self._pack_segments(node, path)
        if isinstance(node, dict):
            return self._pack_dict(node, path)
        if isinstance(node, list | tuple):
            items = [self.pack(item, f"{path}/{index}") for index, item in enumerate(node)]
            return items if isinstance(node, list) else {"tuple": items}
        raise TypeError(f"state{path} is a {type(node).__name__}, which a checkpoint does not hold")

    def _pack_dict(self, node: dict[Any, Tree], path: str) -> Any:
        packed = [(key, self.pack(item, f"{path}/{key}")) for key, item in node.items()]
        if all(type(key) is str for key in node):
            return {"map": dict(packed)}
        return {"pairs": [[self.pack(key), item] for key, item in packed]}

    def _pack_tensor(self, tensor: Tensor, path: str) -> Any:
        weight = self._weights.get(_memory(tensor)) if tensor.numel() else None
        if weight is not None:
            return {"weight": weight}
        return {"tensor": self._keep(tensor.detach(), path)}

    def _pack_array(self, array: NDArray[Any] | np.generic, path: str) -> Any:
        if array.dtype.hasobject:
            raise TypeError(f"state{path} is an array of Python objects, which a checkpoint does not hold")
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        name = self._keep(torch.from_numpy(raw.copy()), path)
        dtype = repr(np.lib.format.dtype_to_descr(array.dtype))
        if isinstance(array, np.generic):
            return {"scalar": name, "dtype": dtype}
        return {"array": name, "dtype": dtype, "shape": list(array.shape)}

    def _pack_segments(self, segments: Segments, path: str) -> Any:
        if self._keep_segment is None:
            raise TypeError(f"state{path}: Segments do not nest")
        for index, chunk in enumerate(segments):
            if segments.stored(index) is None:
                segments.mark_stored(index, self._keep_segment(dict(chunk)))
        stored = [segments.stored(index) for index in range(len(segments))]
        self.segments.update(one.name for one in stored if one is not None)
        return {"segments": [{"file": one.name, "chunk": one.document} for one in stored if one is not None]}

    def _keep(self, tensor: Tensor, path: str) -> str:
        name = path.lstrip("/") or "value"
        while name in self.tensors:
            name += "'"
        # Safetensors refuses tensors that share memory or have gaps; on the CPU a view may do either.
        self.tensors[name] = tensor.cpu().clone(memory_format=torch.contiguous_format)
        return name


def unpack(
    document: Any,
    tensors: Mapping[str, Tensor],
    weights: Mapping[str, Tensor] | None = None,
    read_segment: ReadSegment | None = None,
) -> Tree:
    """The tree that `Packer.pack` made `document` of. Raises ValueError, KeyError or TypeError if it is damaged."""

    def tree(node: Any) -> Tree:
        if isinstance(node, list):
            return [tree(item) for item in node]
        if not isinstance(node, dict):
            return node
        kind = next(iter(node))
        if kind not in readers:
            raise ValueError(f"a checkpoint holds no {kind!r}")
        return readers[kind](node)

    def segments(node: Any) -> Segments:
        if read_segment is None:
            raise ValueError("Segments do not nest")
        stored = [Stored(one["file"], one["chunk"]) for one in node["segments"]]
        read = Segments([read_segment(one) for one in stored])
        for index, one in enumerate(stored):
            read.mark_stored(index, one)
        return read

    readers: dict[str, Callable[[Any], Tree]] = {
        "map": lambda node: {key: tree(item) for key, item in node["map"].items()},
        "pairs": lambda node: {tree(key): tree(item) for key, item in node["pairs"]},
        "tuple": lambda node: tuple(tree(item) for item in node["tuple"]),
        "float": lambda node: float(node["float"]),
        "tensor": lambda node: tensors[node["tensor"]],
        "weight": lambda node: (weights or {})[node["weight"]],
        "array": lambda node: _array(tensors[node["array"]], node["dtype"], node["shape"]),
        "scalar": lambda node: _array(tensors[node["scalar"]], node["dtype"], [1])[0],
        "segments": segments,
    }
    return tree(document)


def _array(raw: Tensor, dtype: str, shape: list[int]) -> NDArray[Any]:
    kind: np.dtype[Any] = np.lib.format.descr_to_dtype(ast.literal_eval(dtype))
    if kind.hasobject:
        raise ValueError("a checkpoint holds no Python objects")
    aligned = raw.numpy().copy()  # compiled rules take aligned records only, and a file aligns nothing
    return aligned.view(kind).reshape(shape)


def _memory(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.device, tensor.dtype, tuple(tensor.shape), tensor.stride()
