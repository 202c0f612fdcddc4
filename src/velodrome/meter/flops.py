"""FLOPs of a module's forward pass, counted twice: by the operations that torch runs, and by the shapes of layers.

A multiply-add is two FLOPs. Matrix products, convolutions, attention, recurrences and sums of embedding rows count;
elementwise work, normalisation and softmax do not, as is usual.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from velodrome.meter.components import Watch

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Count:
    """What one component did in one forward pass."""

    counted: int = 0
    """By operations."""
    formula: int = 0
    """By the shapes of the torch layers in it."""
    lent: int = 0
    """Counted for other components whose weights its own code used."""
    plain: bool = True
    """Whether torch's own layers are all there is in it, so that the formula is complete."""

    @property
    def flops(self) -> int:
        """The better known of the two, which is the larger: neither counts what is not there."""
        return max(self.counted, self.formula)

    @property
    def agrees(self) -> bool:
        """Whether the two are within 1 % where both are complete, and the formula is no more where it is a part."""
        short = self.counted < 0.99 * self.formula
        return not short and not (self.plain and self.counted > 1.01 * self.formula)


def count_flops(module: nn.Module, inputs: tuple[Any, ...], depth: int = 1) -> tuple[dict[str, Count], int]:
    """The count of each component over all rows of the inputs, and how many operations torch ran for them."""
    watch = _Layers(module, depth)
    operations = _Operations(watch)
    with torch.no_grad(), watch, operations:
        module(*inputs)
    plain = dict.fromkeys(watch.formula, True)
    for path, part in module.named_modules():
        plain[watch.names[path]] &= _is_torchs(part)
    counts = {
        name: Count(watch.counted[name], watch.formula[name], watch.lent[name], plain[name]) for name in watch.formula
    }
    return counts, operations.ran


class _Layers(Watch):
    """Applies the formulas of layers, and takes what a module says of work that torch cannot see.

    A method `forward_flops` (or `embed_flops` for a method `embed`) that takes the same arguments says how many FLOPs
    a call is; it is believed where torch saw none, such as in a compiled kernel.
    """

    def __init__(self, module: nn.Module, depth: int):
        super().__init__(module, depth)
        self.formula = dict.fromkeys(self.names.values(), 0)
        self.counted = dict.fromkeys(self.names.values(), 0)
        self.lent = dict.fromkeys(self.names.values(), 0)
        self.owner = {
            parameter.untyped_storage().data_ptr(): self.names[path.rpartition(".")[0]]
            for path, parameter in module.named_parameters()
        }
        self._inside_known = False

    def call(self, part: nn.Module, method: str, inner: Callable[..., Any], args: Any, named: Any) -> Any:
        """Make the call and count it, unless it is part of a layer that has a formula of its own."""
        outermost, before = not self._inside_known, sum(self.counted.values())
        formula = _formula(part) if method == "forward" else None
        self._inside_known = self._inside_known or formula is not None
        try:
            output = inner(*args, **named)
        finally:
            self._inside_known = not outermost
        if formula is not None and outermost:
            bound = inspect.signature(type(part).forward).bind(part, *args, **named)
            bound.apply_defaults()
            self.formula[self.current] += formula(part, bound.arguments, output)
        told = getattr(part, f"{method}_flops", None)
        if told is not None and sum(self.counted.values()) == before:
            self.counted[self.current] += int(told(*args, **named))
        return output


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every operation's FLOPs for the component whose parameters it takes, or else for the one at work."""

    def __init__(self, watch: _Layers):
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch = watch
        self.ran = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        formula = _OPERATIONS.get(func._overloadpacket) or flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:
                parts = func.decompose(*args, **named)
            if parts is not NotImplemented:
                return parts
        output = func(*args, **named)
        self.ran += 1
        if formula is not None:
            self._count(self._owner(args), int(formula(*args, **named, out_val=output)))
        return output

    def _count(self, owner: str, flops: int) -> None:
        self.watch.counted[owner] += flops
        if owner != self.watch.current:
            self.watch.lent[self.watch.current] += flops

    def _owner(self, args: Any) -> str:
        for tensor in args:
            if isinstance(tensor, Tensor) and not tensor.is_nested:
                owner = self.watch.owner.get(tensor.untyped_storage().data_ptr())
                if owner is not None:
                    return owner
        return self.watch.current


def attention_flops(queries: int, keys: int, width: int, value_width: int | None = None) -> int:
    """Every query with every key, and the weighted sum of values; `width` over all heads."""
    return 2 * queries * keys * (width + (width if value_width is None else value_width))


def _fused_attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return query.shape[:-2].numel() * attention_flops(query.shape[-2], key.shape[-2], query.shape[-1], value.shape[-1])


def _native_attention(query: Tensor, key: Tensor, value: Tensor, width: int, *_: Any, **__: Any) -> int:
    projections = query.numel() + key.numel() + value.numel() + query.numel()
    return 2 * width * projections + _over_sequences(query, key, width)


def _encoder_layer(source: Tensor, width: int, *others: Any, **_: Any) -> int:
    wide: Tensor = next(tensor for tensor in others[::-1] if isinstance(tensor, Tensor) and tensor.dim() == 2)
    dense = 4 * width * width + 2 * wide.numel()
    return 2 * _positions(source) * dense + _over_sequences(source, source, width)


def _over_sequences(query: Tensor, key: Tensor, width: int) -> int:
    pairs = zip(_lengths(query), _lengths(key), strict=True)
    return sum(attention_flops(queries, keys, width) for queries, keys in pairs)


def _lengths(sequences: Tensor) -> list[int]:
    """How long each sequence of the batch is; a nested tensor holds them without padding."""
    if sequences.is_nested:
        return [part.shape[0] for part in sequences.unbind()]
    return [sequences.shape[1]] * sequences.shape[0]


def _rnn_layer(steps: Tensor, input_weight: Tensor, hidden_weight: Tensor, *_: Any, **__: Any) -> int:
    return 2 * _positions(steps) * (input_weight.numel() + hidden_weight.numel())


def _embedding_sum(weight: Tensor, indices: Tensor, *others: Any, **named: Any) -> int:
    scaled = named.get("per_sample_weights", others[4] if len(others) > 4 else None) is not None
    padding = named.get("padding_idx", others[6] if len(others) > 6 else -1)
    summed = int((indices != padding).sum())
    return summed * weight.shape[-1] * (2 if scaled else 1)


def _trilinear(one: Tensor, weight: Tensor, other: Tensor, *_: Any, **__: Any) -> int:
    return 2 * _positions(one) * weight.numel()


_aten = torch.ops.aten
_OPERATIONS: dict[Any, Callable[..., int]] = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _fused_attention,
    _aten._scaled_dot_product_fused_attention_overrideable: _fused_attention,
    _aten._native_multi_head_attention: _native_attention,
    _aten._transformer_encoder_layer_fwd: _encoder_layer,
    _aten.mkldnn_rnn_layer: _rnn_layer,
    _aten._embedding_bag: _embedding_sum,
    _aten._embedding_bag_forward_only: _embedding_sum,
    _aten._trilinear: _trilinear,
}
"""What torch's own table of formulas has nothing for."""


def _linear(layer: Any, given: Arguments, output: Tensor) -> int:
    return int(2 * layer.in_features * output.numel())


def _bilinear(layer: Any, given: Arguments, output: Tensor) -> int:
    return int(2 * layer.in1_features * layer.in2_features * output.numel())


def _convolution(layer: Any, given: Arguments, output: Tensor) -> int:
    taps = math.prod(layer.kernel_size)
    if layer.transposed:
        return int(2 * taps * (layer.out_channels // layer.groups) * given["input"].numel())
    return int(2 * taps * (layer.in_channels // layer.groups) * output.numel())


def _recurrent(layer: Any, given: Arguments, output: Any) -> int:
    given_input = given["input"]
    steps = given_input.data if isinstance(given_input, nn.utils.rnn.PackedSequence) else given_input
    weights = sum(int(matrix.numel()) for name, matrix in layer.named_parameters() if name.startswith("weight"))
    return 2 * _positions(steps) * weights


def _cell(layer: Any, given: Arguments, output: Any) -> int:
    return _positions(given["input"]) * 2 * int(layer.weight_ih.numel() + layer.weight_hh.numel())


def _attention(layer: Any, given: Arguments, output: Any) -> int:
    query, key, value = (_batch_first(given[name], layer.batch_first) for name in ("query", "key", "value"))
    width = int(layer.embed_dim)
    projections = query.numel() + key.numel() + value.numel() + _positions(query) * width
    return 2 * width * projections + _over_sequences(query, key, width)


def _encoder(layer: Any, given: Arguments, output: Tensor) -> int:
    source, width = _batch_first(given["src"], layer.self_attn.batch_first), int(layer.self_attn.embed_dim)
    dense = 4 * width * width + 2 * width * int(layer.linear1.out_features)
    return 2 * _positions(source) * dense + _over_sequences(source, source, width)


def _bag(layer: Any, given: Arguments, output: Tensor) -> int:
    indices, scaled = given["input"], given["per_sample_weights"] is not None
    summed = int((indices != layer.padding_idx).sum()) if layer.padding_idx is not None else indices.numel()
    return int(summed * layer.embedding_dim * (2 if scaled else 1))


def _positions(sequences: Tensor) -> int:
    return sequences.numel() // sequences.size(-1)


def _batch_first(sequences: Tensor, batch_first: bool) -> Tensor:
    """As a batch of sequences; one sequence alone is a batch of one."""
    if sequences.is_nested:
        return sequences
    if sequences.dim() == 2:
        return sequences[None]
    return sequences if batch_first else sequences.transpose(0, 1)


def _nothing(layer: Any, given: Arguments, output: Any) -> int:
    return 0


_LAYERS: list[tuple[tuple[type[nn.Module], ...], Callable[[Any, Arguments, Any], int]]] = [
    ((nn.Linear,), _linear),
    ((nn.Bilinear,), _bilinear),
    ((nn.modules.conv._ConvNd,), _convolution),
    ((nn.RNNBase,), _recurrent),
    ((nn.modules.rnn.RNNCellBase,), _cell),
    ((nn.MultiheadAttention,), _attention),
    ((nn.TransformerEncoderLayer,), _encoder),
    ((nn.EmbeddingBag,), _bag),
    ((nn.Embedding,), _nothing),
]
_WITHOUT = ("activation", "dropout", "normalization", "batchnorm", "instancenorm", "pooling", "flatten", "padding")
"""Those of torch's layers that multiply nothing, by the module of torch that they are in."""


def _formula(part: nn.Module) -> Callable[[Any, Arguments, Any], int] | None:
    for kinds, formula in _LAYERS:
        if isinstance(part, kinds):
            return formula
    home = type(part).__module__
    return _nothing if home in {f"torch.nn.modules.{name}" for name in _WITHOUT} else None


def _is_torchs(part: nn.Module) -> bool:
    return type(part).__module__.startswith("torch.nn.")
