"""Checkpoints: written beside, flushed, renamed; checked against a manifest before anything in them is used.

    checkpoints/
      iteration-00000120/
        weights.safetensors    the nets' weights, by net and parameter
        state.safetensors      the tensors of the rest of the state
        state.json             the rest of the state (see tree.py)
        manifest.json          format, version, and the SHA-256 of every file above
      segments/
        3f5a...safetensors     a chunk of replay memory, named by its SHA-256, shared between checkpoints

A checkpoint that is being written or removed has a name that starts with a dot. One that turned out to be damaged is
renamed to `damaged-...` when training goes on from an older one; nothing removes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

import velodrome
from velodrome.mistake import Mistake
from velodrome.runs.files import flush_folder, write_durably, write_flushed
from velodrome.runs.segments import Stored
from velodrome.runs.tree import Packer, Tree, unpack

FORMAT = 2
"""Rises when files that an older Velodrome wrote can no longer be read."""
_NAMED = "iteration-"


class Damaged(Exception):
    """A checkpoint whose files are not what was written."""


@dataclass
class Checkpoint:
    """A checkpoint that was read and found whole."""

    iteration: int
    folder: Path
    state: Tree
    weights: dict[str, Tensor]
    damaged: list[str] = field(default_factory=list)
    """What is wrong with the newer checkpoints that were passed over, a line each."""


def refuse_other_format(where: Path, document: Mapping[str, Any]) -> None:
    """Raise a `Mistake` if `document` was written in a format that this version does not read."""
    if document.get("format") != FORMAT:
        raise Mistake(
            f"{where} was written by Velodrome {document.get('velodrome')} in format {document.get('format')}; this is "
            f"{velodrome.__version__}, which reads format {FORMAT}: use that version, or start a new run"
        )


class Checkpoints:
    """The checkpoints of one run, newest last."""

    def __init__(self, folder: Path, keep: int = 2):
        if keep < 1:
            raise ValueError(f"keep={keep}: at least one checkpoint is kept")
        self.folder, self.keep = folder, keep

    def found(self) -> list[Path]:
        """Their folders, whole or not."""
        return sorted(path for path in self.folder.glob(f"{_NAMED}*") if path.is_dir())

    # -- writing ----------------------------------------------------------------------------------------------

    def save(self, iteration: int, state: Tree, weights: Mapping[str, Tensor]) -> Path:
        """Save as iteration `iteration`, then remove what is no longer kept. Only the run's owner may call this."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"{_NAMED}{iteration:08d}"
        beside = self.folder / f".writing-{target.name}"
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir()
            self._write(beside, iteration, state, weights)
            os.rename(beside, target)
        except OSError:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        flush_folder(self.folder)
        self._tidy()
        return target

    def _write(self, folder: Path, iteration: int, state: Tree, weights: Mapping[str, Tensor]) -> None:
        packer = Packer(weights, self._keep_segment)
        document = packer.pack(state)
        files = {
            "weights.safetensors": safetensors.torch.save({name: _plain(tensor) for name, tensor in weights.items()}),
            "state.safetensors": safetensors.torch.save(packer.tensors),
            "state.json": json.dumps(document, allow_nan=False).encode(),
        }
        for name, data in files.items():
            write_flushed(folder / name, data)
        manifest = {
            "format": FORMAT,
            "velodrome": velodrome.__version__,
            "iteration": iteration,
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
            "segments": sorted(packer.segments),
        }
        write_flushed(folder / "manifest.json", json.dumps(manifest, indent=1).encode())
        flush_folder(folder)

    def _keep_segment(self, chunk: Tree) -> Stored:
        packer = Packer()
        document = packer.pack(chunk)
        data = safetensors.torch.save(packer.tensors)
        name = f"{hashlib.sha256(data).hexdigest()}.safetensors"
        folder = self.folder / "segments"
        if not (folder / name).exists():
            folder.mkdir(exist_ok=True)
            write_durably(folder / name, data)
        return Stored(name, document)

    def _tidy(self) -> None:
        for path in self.found()[: -self.keep]:
            doomed = path.with_name(f".removing-{path.name}")
            os.rename(path, doomed)
        for path in self.folder.glob(".*-*"):
            shutil.rmtree(path, ignore_errors=True)
        needed = {name for path in self.found() for name in _manifest_segments(path)}
        for path in (self.folder / "segments").glob("*"):
            if path.name not in needed:
                path.unlink(missing_ok=True)

    def set_aside_damaged(self, good: Checkpoint) -> None:
        """Rename the checkpoints newer than `good`, the newest that could be read, out of the way."""
        for path in self.found():
            if path.name > good.folder.name:
                aside = path.with_name(f"damaged-{path.name}")
                shutil.rmtree(aside, ignore_errors=True)
                os.rename(path, aside)

    # -- reading ----------------------------------------------------------------------------------------------

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; None if there is none yet. All damaged is a `Mistake`."""
        damaged: list[str] = []
        for path in reversed(self.found()):
            try:
                checkpoint = self.read(path)
            except Damaged as error:
                if not path.exists():  # a training that goes on meanwhile has removed it for a newer one
                    return self.newest()
                damaged.append(f"{path} is damaged: {error}")
                continue
            checkpoint.damaged = damaged
            return checkpoint
        if damaged:
            raise Mistake(f"{damaged[0]}; no older checkpoint is whole, start a new run")
        return None

    def read(self, folder: Path) -> Checkpoint:
        """Check every file against the manifest, then unpack. Raises `Damaged`; nothing read is ever executed."""
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
            refuse_other_format(folder, manifest)
            files = {name: _checked(folder / name, digest) for name, digest in manifest["files"].items()}
            weights = safetensors.torch.load(files["weights.safetensors"])
            tensors = safetensors.torch.load(files["state.safetensors"])
            state = unpack(json.loads(files["state.json"]), tensors, weights, self._read_segment)
            return Checkpoint(manifest["iteration"], folder, state, weights)
        except Mistake:
            raise
        except FileNotFoundError as error:
            raise Damaged(f"{Path(error.filename).name} is missing") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SyntaxError) as error:
            raise Damaged(_reason(error)) from error
        except SafetensorError as error:
            raise Damaged(f"not a safetensors file ({error})") from error

    def _read_segment(self, stored: Stored) -> Tree:
        path = self.folder / "segments" / Path(stored.name).name
        data = _checked(path, path.stem)
        return unpack(stored.document, safetensors.torch.load(data))


def weights_of(nets: Mapping[str, Any]) -> dict[str, Tensor]:
    """All weights and buffers of a trainer's nets, named `net.parameter`."""
    return {
        f"{net}.{name}": tensor.detach() for net, module in nets.items() for name, tensor in module.state_dict().items()
    }


def digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of all weights, in the order of their names."""
    whole = hashlib.sha256()
    for name in sorted(weights):
        tensor = _plain(weights[name])
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone().contiguous()


def _checked(path: Path, digest: str) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{path.name} does not match its checksum")
    return data


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return "its manifest or state is not JSON"
    return " ".join(str(error).split()) or type(error).__name__


def _manifest_segments(folder: Path) -> list[str]:
    try:
        return list(json.loads((folder / "manifest.json").read_bytes())["segments"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
