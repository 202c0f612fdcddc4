"""Replay memory that only ever grows at one end, so that a checkpoint writes only what is new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

Chunk = Mapping[str, Tensor | NDArray[Any]]


@dataclass(frozen=True)
class Stored:
    """Where a chunk lies on disk: the file is named by its content; the document says how to read it."""

    name: str
    document: Any


class Segments(Sequence[Chunk]):
    """An append-only list of chunks, each a dict of named tensors or arrays; a leaf of a trainer's state.

    A chunk must not change once it is appended: a checkpoint writes the chunks that are not yet on disk, and every
    later checkpoint refers to the same files. Old chunks may be dropped from the front; their files go when no
    checkpoint names them any more.
    """

    def __init__(self, chunks: Sequence[Chunk] = ()):
        self._chunks = list(chunks)
        self._stored: list[Stored | None] = [None] * len(self._chunks)

    def append(self, chunk: Chunk) -> None:
        """Add a chunk, which must not change from now on."""
        self._chunks.append(chunk)
        self._stored.append(None)

    def drop(self, oldest: int) -> None:
        """Forget the `oldest` first chunks."""
        del self._chunks[:oldest]
        del self._stored[:oldest]

    def stored(self, index: int) -> Stored | None:
        """Where chunk `index` lies on disk, if it has ever been saved."""
        return self._stored[index]

    def mark_stored(self, index: int, stored: Stored) -> None:
        """Note where chunk `index` lies, so that it is not written again."""
        self._stored[index] = stored

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, index: Any) -> Any:
        return self._chunks[index]

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._chunks)
