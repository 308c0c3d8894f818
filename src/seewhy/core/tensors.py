"""Tensors by name as files: whole or not there, without code, and verified before they are used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from seewhy.core import checksums
from seewhy.core.errors import InputError, RunError
from seewhy.core.files import naming, write_atomic


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors into a file, which may be left half written; raises OSError if the disk is full or read-only."""
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    try:
        safetensors.torch.save_file(plain, str(path))
    except SafetensorError as error:  # its own word for every fault of the disk
        raise OSError(None, str(error)) from error


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors, whole or not at all, and their checksum beside them; the folder is made."""
    with naming(path):
        path.parent.mkdir(exist_ok=True)
    write_atomic(path, lambda temporary: write_tensors(tensors, temporary))
    checksums.record(path.parent, [path.name])


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors by name.

    Raises:
        InputError: the file is missing or damaged.
        RunError: it cannot be read.
    """
    try:
        checksums.verify(path)
        return safetensors.torch.load_file(str(path))
    except (SafetensorError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is damaged: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of tensors by name, of their types, shapes and bits: 16 hexadecimal digits."""
    found = hashlib.blake2b(digest_size=8)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
