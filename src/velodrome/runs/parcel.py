"""State trees as bytes, to be sent to another process; packed as in a checkpoint, so that reading executes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import safetensors.torch

from velodrome.runs.segments import Segments, Stored
from velodrome.runs.tree import Packer, Tree, unpack


@dataclass(frozen=True)
class Parcel:
    """A packed tree; chunks of replay memory lie in it apart."""

    document: Any
    tensors: bytes
    chunks: tuple[bytes, ...]

    @classmethod
    def of(cls, tree: Tree) -> Parcel:
        """Pack a tree."""
        chunks: list[bytes] = []

        def keep(chunk: Tree) -> Stored:
            packer = Packer()
            document = packer.pack(chunk)
            chunks.append(safetensors.torch.save(packer.tensors))
            return Stored(str(len(chunks) - 1), document)

        packer = Packer(keep_segment=keep)
        document = packer.pack(_nowhere_stored(tree))
        return cls(document, safetensors.torch.save(packer.tensors), tuple(chunks))

    def open(self) -> Tree:
        """The tree; nothing in it shares memory with anything."""

        def read(stored: Stored) -> Tree:
            return unpack(stored.document, safetensors.torch.load(self.chunks[int(stored.name)]))

        return _nowhere_stored(unpack(self.document, safetensors.torch.load(self.tensors), read_segment=read))


def _nowhere_stored(tree: Tree) -> Tree:
    """The tree with replay memory that knows of no files: those of one process are not another's."""
    if isinstance(tree, Segments):
        return Segments(list(tree))
    if isinstance(tree, dict):
        return {name: _nowhere_stored(part) for name, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_nowhere_stored(part) for part in tree)
    return tree
