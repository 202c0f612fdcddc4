"""Every torch operation of a piece of work: from which line of code, in which phase, how often, and how long.

This is for finding causes, not for timing: recording makes each operation some tens of microseconds slower. Times are
those of the operations alone, without what recording adds.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import velodrome

MOST = 400_000
"""Operations are recorded up to so many, and let through after that."""
SAMPLED, SMALLEST, LARGEST = 8, 32, 2**21
"""Numbers that a tensor is told by, beside a weighted sum of all, and the sizes for which inputs are compared."""

_LIBRARY = tuple(str(Path(path).resolve()) for path in (Path(torch.__file__).parent, __file__))
_READS = {"_local_scalar_dense", "is_nonzero", "equal"}
_KEEPS_WEIGHTS = {"clone", "native_dropout", "mul", "_to_copy"}
"""What may come between a softmax and the product with its weights."""
_RANDOM = {"bernoulli", "bernoulli_", "native_dropout", "rand", "randn", "randperm", "multinomial", "exponential_"}


@dataclass(frozen=True)
class Where:
    """A line of code outside torch."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass
class Site:
    """One operation on inputs of one kind, from one line, in one phase."""

    phase: str
    name: str
    """Of the operation, such as `addmm`."""
    where: Where
    shapes: tuple[tuple[int, ...], ...]
    count: int = 0
    seconds: float = 0.0
    recorded: int = 0
    """Calls whose gradient was recorded."""
    repeated: int = 0
    """Calls on just the numbers of an earlier call."""
    repeated_s: float = 0.0
    same_rows: int = 0
    """Calls that wrote the same row again and again."""
    same_rows_s: float = 0.0
    of_softmax: int = 0
    """Products with what a softmax has given."""
    zeros: float = -1.0
    """The share of zeros in the first call's left factor; below 0 where the operation is no product."""
    half: bool = False
    """Whether a product was of numbers in half precision."""
    most: int = 0
    """Calls in one stretch of the phase."""
    same_weights: int = 0
    """Products, in one stretch, with one and the same right factor."""
    side_by_side: int = 0
    """Different right factors, in one stretch, of one left factor or of pieces of one."""
    contiguous: bool = True
    """Of a convolution's input: whether channels come before places in memory."""

    @property
    def elements(self) -> int:
        """Numbers that a call takes in."""
        return sum(_size(shape) for shape in self.shapes)


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """`with Operations(phase) as seen: ...`; `phase()` says in which phase the work is.

    `stretch()` gives something that differs from one stretch of a phase to the next, such as how often it was entered;
    without it, a stretch ends where the phase changes. `where(frame)` names the line that an operation is told to come
    from; by default the innermost that is no library's.
    """

    def __init__(
        self,
        phase: Callable[[], str] = str,
        stretch: Callable[[], object] | None = None,
        where: Callable[[FrameType], Where] | None = None,
        most: int = MOST,
    ):
        super().__init__()  # type: ignore[no-untyped-call]
        self._phase, self._mark, self._left = phase, stretch or phase, most
        self._where = where or (lambda frame: where_of(innermost(frame)))
        self._sites: dict[tuple[Any, ...], Site] = {}
        self._fingerprints: set[int] = set()
        self._softmaxed: set[int] = set()
        self._now: object = None
        self._stretch = _Stretch()
        self.threads = 1
        """Torch's, while the work was done."""

    @property
    def sites(self) -> list[Site]:
        """What was seen, the longest first."""
        return sorted(self._sites.values(), key=lambda site: -site.seconds)

    @property
    def full(self) -> bool:
        """Whether there was more than could be recorded."""
        return self._left <= 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Let the operation through, and take it down."""
        named = kwargs or {}
        if self._left <= 0:
            return func(*args, **named)
        self._left -= 1
        if self._left % 64 == 0:
            self.threads = max(self.threads, torch.get_num_threads())
        tensors = [leaf for leaf in tree_leaves((args, named)) if isinstance(leaf, Tensor)]
        recorded = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        site = self._site(func, tensors)
        again = self._seen_before(site, func, args, tensors)
        began = time.perf_counter()
        result = func(*args, **named)
        spent = time.perf_counter() - began
        site.count += 1
        site.most = max(site.most, self._stretch.called(id(site)))
        site.seconds += spent
        site.recorded += recorded
        if again:
            site.repeated += 1
            site.repeated_s += spent
        self._look(site, tensors, result, spent)
        return result

    def _site(self, func: Any, tensors: Sequence[Tensor]) -> Site:
        name, phase, where = func.overloadpacket.__name__, self._phase(), self._where(sys._getframe(2))
        if (mark := self._mark()) != self._now:
            self._now, self._stretch = mark, _Stretch()
        shapes = tuple(tuple(tensor.shape) for tensor in tensors[:4])
        key = (phase, name, where, shapes)
        if key not in self._sites:
            self._sites[key] = Site(phase, name, where, shapes)
        return self._sites[key]

    def _seen_before(self, site: Site, func: Any, args: Sequence[Any], tensors: Sequence[Tensor]) -> bool:
        """Whether such a call was made on the same numbers before; one that changes its inputs counts as new."""
        if site.name in _RANDOM or func._schema.is_mutable or func.is_view or not tensors:
            return False
        if not SMALLEST <= site.elements <= LARGEST:
            return False
        numbers = tuple(arg for arg in args if isinstance(arg, int | float | bool))
        mark = hash((site.name, site.shapes, numbers, *(_sample(tensor) for tensor in tensors)))
        if mark in self._fingerprints:
            return True
        self._fingerprints.add(mark)
        return False

    def _look(self, site: Site, tensors: Sequence[Tensor], result: Any, spent: float) -> None:
        if site.name in ("mm", "addmm", "bmm", "baddbmm"):
            left, right = tensors[-2:]
            if site.count == 1:
                site.zeros, site.half = _share_of_zeros(left), left.element_size() < 4
            uses, others = self._stretch.multiplied(id(site), _piece_of(left), (_memory(right), right._version))
            site.same_weights, site.side_by_side = max(site.same_weights, uses), max(site.side_by_side, others)
            site.of_softmax += self._is_softmaxed((left, right))
        elif site.name == "_softmax" and result.dim() > 2:
            self._softmaxed = {_memory(result)}
        elif site.name in ("convolution", "convolution_backward") and tensors[0].dim() == 4:
            site.contiguous = tensors[0].is_contiguous() and min(tensors[0].shape[1:]) > 1
        elif tensors and isinstance(result, Tensor) and _has_equal_rows(result):
            site.same_rows += 1
            site.same_rows_s += spent
        if site.name in _KEEPS_WEIGHTS and isinstance(result, Tensor) and self._is_softmaxed(tensors):
            self._softmaxed.add(_memory(result))

    def _is_softmaxed(self, tensors: Sequence[Tensor]) -> bool:
        return any(_memory(tensor) in self._softmaxed for tensor in tensors)


class _Stretch:
    """What happened in one stretch of a phase."""

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._uses: dict[tuple[int, tuple[int, int]], int] = {}
        self._beside: dict[tuple[int, Any], set[tuple[int, int]]] = {}

    def called(self, site: int) -> int:
        """How often, this time included."""
        self._calls[site] = self._calls.get(site, 0) + 1
        return self._calls[site]

    def multiplied(self, site: int, left: Any, right: tuple[int, int]) -> tuple[int, int]:
        """How often by this right factor, and by how many different ones that left factor or pieces beside it."""
        self._uses[site, right] = self._uses.get((site, right), 0) + 1
        beside = self._beside.setdefault((site, left), set())
        beside.add(right)
        return self._uses[site, right], len(beside)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _piece_of(tensor: Tensor) -> Any:
    """What a tensor is a piece of, or else the tensor itself: memory that was freed is used again for the next one."""
    storage = tensor.untyped_storage()
    is_piece = storage.nbytes() > tensor.numel() * tensor.element_size()
    return storage.data_ptr() if is_piece else (storage.data_ptr(), _sample(tensor))


def innermost(frame: FrameType | None) -> FrameType | None:
    """The innermost frame that is neither a library's nor the measuring's own."""
    while frame is not None and _is_library(frame.f_code):
        frame = frame.f_back
    return frame


def where_of(frame: FrameType | None) -> Where:
    """The line at which a frame is."""
    if frame is None:
        return Where("?", 0, "?")
    return Where(named(frame.f_code.co_filename), frame.f_lineno, frame.f_code.co_name)


@functools.cache
def named(file: str) -> str:
    """A file as a person knows it: from its package on, or from the working folder on."""
    for mark in ("site-packages/", "dist-packages/"):
        if mark in file:
            return file.rpartition(mark)[2]
    for root in (Path(velodrome.__file__).resolve().parents[1], Path.cwd()):
        if Path(file).is_relative_to(root):
            return Path(file).relative_to(root).as_posix()
    return file


@functools.cache
def _is_library(code: CodeType) -> bool:
    file = code.co_filename
    return file.startswith((*_LIBRARY, "<")) or "/lib/python3" in file


def reads(sites: Sequence[Site]) -> Iterator[Site]:
    """Where the host waits for a number."""
    return (site for site in sites if site.name in _READS)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for each in shape:
        size *= each
    return size


def _sample(tensor: Tensor) -> tuple[Any, ...]:
    flat = tensor.detach().reshape(-1)
    if len(flat) <= SAMPLED:
        return tuple(flat.tolist())
    return (float(flat.cpu().float() @ _weights(len(flat))), *flat[:SAMPLED].tolist())


@functools.lru_cache(32)
def _weights(size: int) -> Tensor:
    """Numbers by which a tensor is summed up, so that no two of its places can be exchanged unseen."""
    return torch.rand(size, generator=torch.Generator().manual_seed(size))


def _share_of_zeros(tensor: Tensor) -> float:
    return float((tensor == 0).double().mean()) if tensor.numel() else 0.0


def _has_equal_rows(tensor: Tensor) -> bool:
    """Whether a large tensor holds, in different memory, one row many times."""
    if tensor.dim() < 2 or len(tensor) < 8 or tensor[0].numel() < 32 or not all(tensor.stride()):
        return False
    first = tensor[0]
    return bool(
        (tensor[1] == first).all() and (tensor[len(tensor) // 2] == first).all() and (tensor[-1] == first).all()
    )
