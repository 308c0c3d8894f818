"""Checkpoints: whole or not there, verified, and without code.

    checkpoint/
      step-00000120/                        model.safetensors, average.safetensors (with EMA), frozen.safetensors (of weights that are not
                                            trained), optimizer.pt, watch.pt (of a watched run), state.json, checksums.json
      last.json, previous.json, best.json   {"folder": "step-00000120"}

A checkpoint is written into a hidden folder, flushed, and renamed; then the pointer files are replaced. Death at any
moment leaves the old pointer to the old, whole folder. Folders that no pointer names are removed at the next save: two generations are
kept, so that a run whose last one is damaged can go on from the one before. Weights are safetensors and the rest is read with
`weights_only=True`, so that a stranger's checkpoint runs no code; every file is compared with its checksum before it is used.

Weights that never change, such as a backbone under a linear head, are written once: later checkpoints have the same file by another name (a hard
link), so that each folder is whole by itself and the last one that goes takes the file with it.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.core import checksums
from seewhy.core.errors import InputError, RunError
from seewhy.core.files import naming, read_text, write_json
from seewhy.core.tensors import load_tensors, write_tensors

POINTERS = ("last", "previous", "best")

FROZEN = "frozen.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on.

    Attributes:
        step: steps taken.
        model: the network's parameters and buffers.
        average: the averaged weights, empty without EMA.
        optimizer: the optimiser's state_dict.
        state: the loop's own memory, as JSON.
        watch: what watching the run needs to go on, tensors and plain values; empty where it is not watched.
        frozen: names in `model` and `average` whose tensors are the same in every checkpoint of the run.
    """

    step: int
    model: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    state: Mapping[str, Any] = field(default_factory=dict)
    watch: Mapping[str, Any] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()


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
        former = self._pointer("last")
        if former not in (None, place.name):
            write_json(self.folder / "previous.json", {"folder": former})
        write_json(self.folder / "last.json", {"folder": place.name})
        self._clean()
        return place

    def _write(self, place: Path, checkpoint: Checkpoint) -> None:
        temporary = self.folder / f".{place.name}.{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            frozen = checkpoint.frozen
            write_tensors(_without(checkpoint.model, frozen), temporary / "model.safetensors")
            if checkpoint.average:
                write_tensors(_without(checkpoint.average, frozen), temporary / "average.safetensors")
            torch.save(dict(checkpoint.optimizer), temporary / "optimizer.pt")
            if checkpoint.watch:
                torch.save(dict(checkpoint.watch), temporary / "watch.pt")
            state = {"step": checkpoint.step, **checkpoint.state}
            (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
            checksums.record(temporary, sorted(path.name for path in temporary.iterdir()))
            if frozen:
                self._write_frozen(temporary, {name: checkpoint.model[name] for name in frozen})
            for path in (*temporary.iterdir(), temporary):
                _flush(path)
            os.rename(temporary, place)
            _flush(self.folder)
        except RunError as error:  # of the checksums: the folder as a whole is what cannot be written
            raise error.__cause__ or error from None
        except RuntimeError as error:  # torch's zip writer words a full disk this way
            raise OSError(None, str(error).split("\n")[0]) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _write_frozen(self, place: Path, tensors: Mapping[str, Tensor]) -> None:
        """Give a checkpoint the weights that never change: the file of the last one or, where there is none to link to, one of its own."""
        last = self._pointer("last")
        former = None if last is None else self.folder / last
        if former is not None and checksums.written(former, FROZEN):
            try:
                os.link(former / FROZEN, place / FROZEN)
                checksums.carry(former, place, FROZEN)
            except OSError:  # gone, or the disk knows no links
                pass
            else:
                return
        write_tensors(tensors, place / FROZEN)
        checksums.record(place, [FROZEN])

    def _clean(self) -> None:
        named = {self._pointer(name) for name in POINTERS}
        for path in self.folder.iterdir():
            if path.is_dir() and path.name.lstrip(".").startswith("step-") and path.name not in named:
                shutil.rmtree(path, ignore_errors=True)

    def _pointer(self, name: str) -> str | None:
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        try:
            folder = json.loads(read_text(path))["folder"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: is not a checkpoint pointer ({error}); restore it or start a new run") from None
        if not isinstance(folder, str) or Path(folder).name != folder:
            raise InputError(f"{path}: must name a folder beside it, got {folder!r}; restore it or start a new run")
        return folder

    def has(self, name: str) -> bool:
        """Whether there is a checkpoint called "last", "previous" or "best"."""
        return self._pointer(name) is not None

    def weights(self, name: str) -> dict[str, Tensor]:
        """Load the weights to predict with: the averaged ones if the run kept them, else the network's own."""
        place = self._place(name)
        averaged = checksums.written(place, "average.safetensors")
        return {**_frozen(place), **load_tensors(place / ("average.safetensors" if averaged else "model.safetensors"))}

    def load(self, name: str) -> Checkpoint:
        """Load a whole checkpoint, "last", "previous" or "best".

        Raises:
            InputError: there is none, it is damaged (names the file, and the checkpoint before if that is whole), or it holds objects other
                than tensors and plain values.
        """
        place = self._place(name)
        try:
            return self._read(place)
        except InputError as error:
            raise InputError(f"{error}{self._offer(name)}") from None

    def rewind(self) -> Checkpoint:
        """Make the checkpoint before the last one the last, remove the last one, and return what is loaded.

        The steps in between are taken again, with the same outcome; a best that was among them is found again.

        Raises:
            InputError: there is no checkpoint before, or it is damaged too.
        """
        loaded = self._read(self._place("previous"))
        gone, place = self._pointer("last"), self._place("previous")
        write_json(self.folder / "last.json", {"folder": place.name})
        if self._pointer("best") == gone:
            (self.folder / "best.json").unlink()
        (self.folder / "previous.json").unlink()
        self._clean()
        return loaded

    def _read(self, place: Path) -> Checkpoint:
        for file in ("state.json", "optimizer.pt"):
            checksums.verify(place / file)
        averaged = checksums.written(place, "average.safetensors")
        watched = checksums.written(place, "watch.pt")
        if watched:
            checksums.verify(place / "watch.pt")
        frozen = _frozen(place)
        state = json.loads(read_text(place / "state.json"))
        return Checkpoint(
            step=int(state.pop("step")),
            model={**frozen, **load_tensors(place / "model.safetensors")},
            average={**frozen, **load_tensors(place / "average.safetensors")} if averaged else {},
            optimizer=_load_plain(place / "optimizer.pt"),
            state=state,
            watch=_load_plain(place / "watch.pt") if watched else {},
        )

    def _offer(self, name: str) -> str:
        """Word what to do about a damaged checkpoint: go on from the one before, if that is whole."""
        if name != "last" or not self.has("previous"):
            return "; restore it, or start a new run"
        try:
            step = self._read(self._place("previous")).step
        except InputError:
            return "; the checkpoint before it is damaged too: restore one of them, or start a new run"
        return f"; the checkpoint before it, of step {step:,}, is whole: --resume {self.folder.parent} --previous goes on from there"

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


def _without(tensors: Mapping[str, Tensor], names: frozenset[str]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name not in names}


def _frozen(place: Path) -> dict[str, Tensor]:
    return load_tensors(place / FROZEN) if checksums.written(place, FROZEN) else {}


def _load_plain(path: Path) -> Any:
    """Read tensors and plain values; every way in which the file can be bad becomes an error that names it."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: holds objects that could run code, and was not loaded ({reason})") from None
    except (RuntimeError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is damaged: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
