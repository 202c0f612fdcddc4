"""Replay memory of rows, laid out once: what is new is written over what is oldest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from velodrome.runs.segments import Segments

Rows = Mapping[str, Tensor]

MOST_CHUNKS = 64
"""Files that a checkpoint keeps of a memory."""


class Replay:
    """The last rows that came, about `capacity` of them; any may be drawn.

    A row may be a whole episode, `[looks, ...]`, of up to `longest` looks. Rows lie in chunks, which are views of the
    memory, no longer than their longest episode: a checkpoint writes those that are new, and the one that is being
    filled. When it is a chunk's turn again, all of its rows are forgotten at once.
    """

    def __init__(self, capacity: int, part: int, longest: int = 0):
        """Rows come in parts of one size."""
        parts = capacity // part
        if parts < 2:
            raise ValueError(f"a memory of {capacity} rows is too small for {part} at a time: make it larger")
        self.chunk, self.longest = part * -(-parts // MOST_CHUNKS), longest
        self.size = capacity // self.chunk * self.chunk
        self.rows: dict[str, Tensor] = {}
        self.full, self.at = Segments(), 0
        """Chunks that are full, the oldest first; where the next row will lie."""
        self._looks = 0
        """Of the longest episode in the chunk that is being filled."""

    def __len__(self) -> int:
        return len(self.full) * self.chunk + self.at % self.chunk

    def append(self, rows: Rows) -> None:
        """Take a part in."""
        if not self.rows:
            self.rows = {name: self._laid_out(part) for name, part in rows.items()}
        if self.at % self.chunk == 0:
            self._looks = 0
            if len(self.full) == self.size // self.chunk:
                self.full.drop(1)
        n = len(next(iter(rows.values())))
        for name, part in rows.items():
            place = self.rows[name][self.at : self.at + n]
            if self._of_looks(part):
                self._looks = max(self._looks, part.shape[1])
                place = place[:, : part.shape[1]]
            place.copy_(part)
        self.at += n
        if self.at % self.chunk == 0:
            self.full.append(self._rows(self.at - self.chunk, self.at))
            self.at %= self.size

    def _of_looks(self, part: Tensor) -> bool:
        return self.longest > 0 and part.dim() > 1

    def _laid_out(self, part: Tensor) -> Tensor:
        shape = part.shape[1:]
        if self._of_looks(part):
            shape = torch.Size((self.longest, *shape[1:]))
        return torch.empty(self.size, *shape, dtype=part.dtype)

    def _rows(self, lo: int, hi: int) -> dict[str, Tensor]:
        there = {name: part[lo:hi] for name, part in self.rows.items()}
        return {name: part[:, : self._looks] if self._of_looks(part) else part for name, part in there.items()}

    def pick(self, n: int, generator: torch.Generator) -> Tensor:
        """The numbers of any n rows, some perhaps twice."""
        back = torch.randint(len(self), (n,), generator=generator, device=generator.device).cpu()
        return (self.at + self.size - 1 - back) % self.size

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Any n rows."""
        which = self.pick(n, generator)
        return {name: part.index_select(0, which) for name, part in self.rows.items()}

    def state(self) -> dict[str, Any]:
        """What a bit-exact continuation needs."""
        begun = self.at % self.chunk
        return {"full": self.full, "begun": self._rows(self.at - begun, self.at) if begun else {}, "at": self.at}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        held: Segments = state["full"]
        begun = {name: torch.as_tensor(part) for name, part in state["begun"].items()}
        so_far = len(next(iter(begun.values()))) if begun else 0
        self.full, self.at = Segments(), (state["at"] - so_far - len(held) * self.chunk) % self.size
        for index, chunk in enumerate(held):
            self.append({name: torch.as_tensor(part) for name, part in chunk.items()})
            stored = held.stored(index)
            if stored is not None:
                self.full.mark_stored(index, stored)
        if begun:
            self.append(begun)
