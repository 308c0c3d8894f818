"""Checkpoints: whole or not there, and without code.

    checkpoint/
      step-00000120/          model.safetensors, average.safetensors (with EMA), optimizer.pt, state.json
      last.json, best.json    {"folder": "step-00000120"}

A checkpoint is written into a hidden folder, flushed, and renamed; then the pointer file is replaced. Death at any
moment leaves the old pointer to the old, whole folder. Folders that no pointer names are removed at the next save.
Weights are safetensors and the rest is read with `weights_only=True`, so that a stranger's checkpoint runs no code.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from seewhy.core.errors import InputError, RunError
from seewhy.core.files import naming, write_atomic, write_json


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on.

    Attributes:
        step: steps taken.
        model: the network's parameters and buffers.
        average: the averaged weights, empty without EMA.
        optimizer: the optimiser's state_dict.
        state: the loop's own memory, as JSON.
    """

    step: int
    model: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    state: Mapping[str, Any] = field(default_factory=dict)


class Checkpoints:
    """The checkpoint folder of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, checkpoint: Checkpoint, *, best: bool) -> Path:
        """Write a checkpoint, make it the last (and the best, if it is), and remove those no longer named.

        Raises:
            RunError: the disk is full or read-only; the former checkpoint stays.
        """
        place = self.folder / f"step-{checkpoint.step:08d}"
        with naming(place):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not place.exists():  # a resumed run that reaches a step again would write the same bits
                self._write(place, checkpoint)
        # Best before last: a death between the two replays the steps that lead here, and finds the same best again. The
        # other way round the run would go on from a state that already remembers this best, and never point to it.
        if best:
            write_json(self.folder / "best.json", {"folder": place.name})
        write_json(self.folder / "last.json", {"folder": place.name})
        self._clean()
        return place

    def _write(self, place: Path, checkpoint: Checkpoint) -> None:
        temporary = self.folder / f".{place.name}.{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            _save_tensors(checkpoint.model, temporary / "model.safetensors")
            if checkpoint.average:
                _save_tensors(checkpoint.average, temporary / "average.safetensors")
            torch.save(dict(checkpoint.optimizer), temporary / "optimizer.pt")
            state = {"step": checkpoint.step, **checkpoint.state}
            (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
            for path in (*temporary.iterdir(), temporary):
                _flush(path)
            os.rename(temporary, place)
            _flush(self.folder)
        except RuntimeError as error:  # torch's zip writer words a full disk this way
            raise OSError(None, str(error).split("\n")[0]) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _clean(self) -> None:
        named = {self._pointer(name) for name in ("last", "best")}
        for path in self.folder.iterdir():
            if path.is_dir() and path.name.lstrip(".").startswith("step-") and path.name not in named:
                shutil.rmtree(path, ignore_errors=True)

    def _pointer(self, name: str) -> str | None:
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        try:
            folder = json.loads(path.read_text(encoding="utf-8"))["folder"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: is not a checkpoint pointer ({error}); restore it or start a new run") from None
        if not isinstance(folder, str) or Path(folder).name != folder:
            raise InputError(f"{path}: must name a folder beside it, got {folder!r}; restore it or start a new run")
        return folder

    def has(self, name: str) -> bool:
        """Whether there is a checkpoint called "last" or "best"."""
        return self._pointer(name) is not None

    def weights(self, name: str) -> dict[str, Tensor]:
        """Load the weights to predict with: the averaged ones if the run kept them, else the network's own."""
        place = self._place(name)
        average = place / "average.safetensors"
        return load_tensors(average if average.exists() else place / "model.safetensors")

    def load(self, name: str) -> Checkpoint:
        """Load a whole checkpoint, "last" or "best".

        Raises:
            InputError: there is none, it is damaged, or it holds objects other than tensors and plain values.
        """
        place = self._place(name)
        average = place / "average.safetensors"
        state = json.loads(_read(place / "state.json", lambda path: path.read_text(encoding="utf-8")))
        return Checkpoint(
            step=int(state.pop("step")),
            model=load_tensors(place / "model.safetensors"),
            average=load_tensors(average) if average.exists() else {},
            optimizer=_read(place / "optimizer.pt", _load_plain),
            state=state,
        )

    def _place(self, name: str) -> Path:
        folder = self._pointer(name)
        if folder is None:
            raise InputError(
                f"{self.folder}: there is no {name} checkpoint; the run stopped before it saved one: train again"
            )
        return self.folder / folder


def snapshot_file(folder: Path, place: int) -> Path:
    """Return where a run in `folder` keeps its snapshot number `place`, from 1."""
    return folder / "snapshots" / f"{place:02d}.safetensors"


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name, whole or not at all; the folder is made."""
    with naming(path):
        path.parent.mkdir(exist_ok=True)
    write_atomic(path, lambda temporary: _save_tensors(tensors, temporary))


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    safetensors.torch.save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, str(path))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors by name; raises InputError if the file is missing or damaged."""
    tensors: dict[str, Tensor] = _read(path, lambda place: safetensors.torch.load_file(str(place)))
    return tensors


def _load_plain(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read(path: Path, load: Callable[[Path], Any]) -> Any:
    """Read a file of a checkpoint; every way in which it can be bad becomes an InputError that names it."""
    try:
        return load(path)
    except FileNotFoundError:
        raise InputError(f"{path}: is missing from the checkpoint; restore it or start a new run") from None
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: holds objects that could run code, and was not loaded ({reason})") from None
    except (SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is damaged: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
