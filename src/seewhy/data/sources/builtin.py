"""Data sets by name: sklearn's digits, embedded, and those that torchvision knows, fetched once into the data folder.

The data folder is `SEEWHY_DATA`, else `seewhy/data` in the user's cache folder. torchvision checks what it downloads against known
checksums. Offline the error says which files belong where.
"""

from __future__ import annotations

import contextlib
import io
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seewhy.core.errors import InputError
from seewhy.data.identity import digest
from seewhy.data.sources.arrays import Array
from seewhy.data.sources.catalog import Catalog, Numbered
from seewhy.data.sources.paths import home_path
from seewhy.data.split_rules import UNDECIDED

TIMEOUT = 20.0  # seconds without any answer from a server


@dataclass(frozen=True)
class Builtin:
    """A set known by name.

    Attributes:
        loader: class in torchvision.datasets, or "" for the embedded digits.
        where: the location of its files below the data folder.
        flip_invariant: whether a flipped image is as likely as the original.
    """

    loader: str
    where: str
    flip_invariant: bool


BUILTIN = {
    "digits": Builtin("", "", flip_invariant=False),
    "mnist": Builtin("MNIST", "MNIST/raw", flip_invariant=False),
    "fashion-mnist": Builtin("FashionMNIST", "FashionMNIST/raw", flip_invariant=True),
    "kmnist": Builtin("KMNIST", "KMNIST/raw", flip_invariant=False),
    "cifar10": Builtin("CIFAR10", "cifar-10-batches-py", flip_invariant=True),
    "cifar100": Builtin("CIFAR100", "cifar-100-python", flip_invariant=True),
    "svhn": Builtin("SVHN", ".", flip_invariant=False),
}


def cache_home() -> Path:
    """Return seewhy's folder in the user's cache folder."""
    return (home_path("XDG_CACHE_HOME") or Path.home() / ".cache") / "seewhy"


def cache_folder(cache_dir: Path | None = None) -> Path:
    """Return where decoded images are kept: the argument, else `SEEWHY_CACHE`, else the user's cache folder."""
    return Path(cache_dir or home_path("SEEWHY_CACHE") or cache_home()).expanduser()


def data_folder(data_dir: Path | None = None) -> Path:
    """Return where built-in sets live: the argument, else `SEEWHY_DATA`, else the user's cache folder."""
    if data_dir is not None:
        return data_dir.expanduser()
    return home_path("SEEWHY_DATA") or cache_home() / "data"


def load_builtin(name: str, data_dir: Path | None = None) -> Catalog:
    """Load a built-in set, downloading it if it is not in the data folder.

    Raises:
        InputError: the set is not there and cannot be fetched; says where its files belong.
    """
    if name == "digits":
        return _digits()
    root, entry = data_folder(data_dir), BUILTIN[name]
    train, test = (_torchvision(name, entry, root, train=train) for train in (True, False))
    images = np.concatenate([_pixels(train), _pixels(test)])
    labels = np.concatenate([_targets(train), _targets(test)]).astype(np.int64)
    sizes = [len(_targets(train)), len(_targets(test))]
    splits = np.repeat(np.array([0, 2], np.int64), sizes)
    digits = name in ("mnist", "svhn")  # torchvision's names are such as "0 - zero", or missing
    names = tuple(str(k) for k in range(10)) if digits else tuple(str(kind) for kind in train.classes)
    return Catalog(
        name=name,
        kind="builtin",
        classes=names,
        labels=labels,
        splits=splits,
        names=Numbered([("train", sizes[0]), ("test", sizes[1])]),
        content=digest(images, labels),
        flip_invariant=entry.flip_invariant,
        pixels=images,
    )


def _digits() -> Catalog:
    """1,797 handwritten digits of 8 x 8 pixels, shipped with scikit-learn; values 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    count = len(images)
    return Catalog(
        name="digits",
        kind="builtin",
        classes=tuple(str(k) for k in range(10)),
        labels=bunch.target.astype(np.int64),
        splits=np.full(count, UNDECIDED, np.int64),
        names=Numbered([("digits", count)]),
        content=digest(images, bunch.target),
        flip_invariant=False,
        pixels=images,
    )


def _torchvision(name: str, entry: Builtin, root: Path, *, train: bool) -> Any:
    """Make the torchvision data set, from the disk if it is there, else from the network."""
    from torchvision import datasets

    make: Callable[..., Any] = getattr(datasets, entry.loader)
    which: dict[str, Any] = {"split": "train" if train else "test"} if entry.loader == "SVHN" else {"train": train}
    try:
        return make(root=str(root), download=False, **which)
    except (RuntimeError, OSError):  # torchvision says so where files are missing or their checksum is wrong
        pass
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _short_timeout(), _quiet():
            return make(root=str(root), download=True, **which)
    except (RuntimeError, OSError) as error:  # URLError is an OSError
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        raise InputError(
            f"source: {name!r} is not in {root / entry.where} and cannot be downloaded ({reason[:160]}); put its files there, "
            "or name the folder that has them in SEEWHY_DATA"
        ) from None


@contextlib.contextmanager
def _short_timeout() -> Iterator[None]:
    """Give up on a silent server instead of waiting for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torchvision's prints off the standard output; show its progress on a terminal only."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        if not sys.stderr.isatty():
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield


def _pixels(dataset: Any) -> Array:
    """Return uint8 [N, H, W, C] of a torchvision data set."""
    images = np.asarray(dataset.data)
    if images.ndim == 3:
        return images[..., None]
    return images.transpose(0, 2, 3, 1) if images.shape[1] == 3 else images


def _targets(dataset: Any) -> Array:
    """Return the labels [N] of a torchvision data set."""
    return np.asarray(dataset.targets if hasattr(dataset, "targets") else dataset.labels)
