"""The folders that the page was given: where runs and studies lie, and where data may lie. Nothing outside them is read, written or removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seewhy.core.errors import InputError
from seewhy.core.files import user_path
from seewhy.spec.initial import SPEC

STUDY = "study.toml"
"""As `seewhy.comparison.folder` calls it, which needs torch."""

BUILTIN = ("digits", "mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100", "svhn")
"""Data sets by name, as `seewhy.data` calls them, which needs torch."""

DEPTH = 4
"""How far below a given folder runs are looked for."""


class NotGivenError(InputError):
    """A path lies outside the given folders, or there is nothing of the kind."""


@dataclass(frozen=True)
class Places:
    """The given folders.

    Attributes:
        runs: with runs and studies.
        data: with images that may be checked and trained on.
    """

    runs: tuple[Path, ...]
    data: tuple[Path, ...] = ()

    def found(self) -> Iterator[Path]:
        """Yield the folders of runs and studies, those within a run or a study left out."""
        for root in self.runs:
            yield from _found(root, DEPTH)

    def key(self, folder: Path) -> str:
        """Return the name of a folder in addresses: the number of the given folder that it lies in, and the way from there."""
        for number, root in enumerate(self.runs):
            if folder.is_relative_to(root):
                way = folder.relative_to(root).as_posix()
                return str(number) if way == "." else f"{number}/{way}"
        raise NotGivenError(f"{folder}: lies in none of the given folders")

    def folder(self, key: str, file: str) -> Path:
        """Return the folder of a name in an address.

        Args:
            key: as `key` gives it.
            file: that there must be in it.

        Raises:
            NotGivenError: it leads out of the given folders, or there is none.
        """
        number, _, way = key.partition("/")
        try:
            root = self.runs[int(number)] if number.isascii() and number.isdecimal() else None
        except (IndexError, ValueError):  # a number of thousands of digits
            root = None
        if root is None or not _is_file_within(root, way, file):
            raise NotGivenError(f"{key[:300]}: there is nothing of this name in the given folders")
        return root / way

    def run(self, key: str) -> Path:
        """Return the folder of a run."""
        return self.folder(key, SPEC)

    def study(self, key: str) -> Path:
        """Return the folder of a study."""
        return self.folder(key, STUDY)

    def new_run(self, name: str) -> Path:
        """Return the folder of a run that is to be made, below the first given folder.

        Raises:
            NotGivenError: it lies outside, or where runs are not looked for.
            InputError: it is no name here.
        """
        root = self.runs[0]
        if "\0" in name or not name.strip():
            raise NotGivenError(f"out: must be the name of a folder below {root}, got {name!r}")
        folder = user_path(root / name, "out")
        if not is_within(folder, root) or folder.resolve() == root.resolve():
            raise NotGivenError(f"out: must be the name of a folder below {root}, got {name!r}")
        way = folder.resolve().relative_to(root.resolve())
        within = [
            parent for parent in way.parents if (root / parent / SPEC).is_file() or (root / parent / STUDY).is_file()
        ]
        if within or len(way.parts) > DEPTH or any(part.startswith(".") for part in way.parts):
            raise NotGivenError(
                f"out: must be at most {DEPTH} names below {root}, none of which begins with a dot, and lie in no run or study, since "
                f"runs are looked for there alone; got {name!r}"
            )
        return folder

    @staticmethod
    def is_builtin(source: str) -> bool:
        """Whether a text names a built-in data set."""
        return source in BUILTIN

    def data_name(self, text: object) -> str:
        """Return data that somebody names, as a specification does: a built-in name, or a path in a given folder.

        Raises:
            InputError: nothing is named; NotGivenError: it lies elsewhere.
        """
        if not isinstance(text, str) or not text.strip():
            raise InputError("source: must be a built-in name, a folder of images or an .npz file")
        name = text.strip()
        return name if self.is_builtin(name) else str(self.source(name))

    def source(self, text: str) -> Path:
        """Return a path to data; raises NotGivenError unless it lies in a given folder."""
        path = user_path(text, "source")
        if any(is_within(path, root) for root in self.data):
            return path
        given = ", ".join(map(str, self.data)) or "none"
        raise NotGivenError(
            f"source: must be a built-in name, or lie in a folder that the page was given ({given}), got {text!r}"
        )


def _is_file_within(root: Path, way: str, file: str) -> bool:
    try:
        return is_within(root / way, root) and (root / way / file).is_file()
    except (OSError, ValueError):  # no name of a file: too long, or with a NUL
        return False


def is_within(path: Path, root: Path) -> bool:
    """Whether a path, all links followed, lies in a folder."""
    return path.resolve().is_relative_to(root.resolve())


def _found(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / SPEC).is_file() or (folder / STUDY).is_file():
        yield folder
        return
    try:
        inside = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in inside if depth else ():
        if not name.startswith("."):
            yield from _found(folder / name, depth - 1)
