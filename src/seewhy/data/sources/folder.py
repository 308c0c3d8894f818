"""A folder of class folders, listed.

- `train/`, `val/` (or `valid/`, `validation/`) and `test/` are parts if `train` holds folders and stands alone or beside
  another part; otherwise every folder is a class (so a class may be called "train" among buses and cars).
- Where one class is enough, as for generators, a folder of pictures is a class, and so is a part that holds pictures and no folders.
- A class takes the pictures of its sub-folders too. Links are followed, loops are cut.
- Names that begin with a dot, `__MACOSX`, `Thumbs.db` and `desktop.ini` do not exist. Other files that are no pictures by their
  suffix are counted and left alone.
- Classes are the union over the parts in natural order (2 before 10). A class without any picture is reported and left out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from seewhy.core.errors import InputError
from seewhy.data.audit import Issue, count, some
from seewhy.data.decode import SUFFIXES, is_image_name
from seewhy.data.sources.catalog import Catalog, natural_key
from seewhy.data.splits import UNDECIDED

_PARTS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}
_IGNORED = {"__macosx", "thumbs.db", "desktop.ini"}


def load_folder(root: str, fewest_classes: int = 2) -> Catalog:
    """List a folder of class folders, with or without parts."""
    walk = _Walk(root)
    folders, files = walk.listing("")
    one_will_do = fewest_classes == 1
    if not folders and one_will_do and walk.pictures(files):
        walk.unsorted("", UNDECIDED)
        return walk.catalog(fewest_classes)
    if not folders:
        loose = bool(walk.pictures(files))
        raise InputError(
            f"data: {root} holds {'images but ' * loose}no class folders; put the images of each class into a folder with the class's name"
            + ", or train a generator, which takes them as they are" * loose
        )
    parts = [name for name in folders if name.lower() in _PARTS]
    train = next((name for name in parts if name.lower() == "train"), None)
    sorted_ = train is not None and bool(walk.listing(train)[0])
    if train is not None and (len(parts) > 1 or len(folders) == 1) and (sorted_ or one_will_do):
        for other in (name for name in folders if name not in parts):
            walk.stray.append(other + "/")
        take = walk.classes if sorted_ else walk.unsorted
        for name in parts:
            take(name + "/", _PARTS[name.lower()])
    else:
        walk.classes("", UNDECIDED)
    return walk.catalog(fewest_classes)


class _Walk:
    """Collects the pictures below a root, part by part and class by class."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.found: list[tuple[str, str, int, int, int]] = []  # path, class, part, size, mtime_ns
        self.class_names: set[str] = set()
        self.stray: list[str] = []
        self.loops: list[str] = []
        self.closed: list[str] = []

    def listing(self, folder: str) -> tuple[list[str], list[os.DirEntry[str]]]:
        """Return the sub-folders' names and the files of a folder (relative path), without what is to be ignored."""
        folders, files = [], []
        try:
            with os.scandir(os.path.join(self.root, folder)) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower() in _IGNORED:
                        continue
                    if entry.is_dir():
                        folders.append(entry.name)
                    else:
                        files.append(entry)
        except OSError as error:
            if not folder:
                raise InputError(f"data: {self.root} cannot be read: {error.strerror}") from None
            self.closed.append(f"{_shown(folder)} ({error.strerror})")
        return sorted(folders, key=natural_key), files

    @staticmethod
    def pictures(files: Sequence[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
        """Return the files that are pictures by their suffix."""
        return [entry for entry in files if is_image_name(entry.name)]

    def classes(self, prefix: str, part: int) -> None:
        """Take every folder below `prefix` as a class of `part`."""
        folders, files = self.listing(prefix.rstrip("/"))
        self.stray.extend(prefix + entry.name for entry in files)
        for name in folders:
            self.class_names.add(name)
            self.take(prefix + name, name, part, ())

    def unsorted(self, prefix: str, part: int) -> None:
        """Take everything below `prefix` as a class of `part`, named after the root."""
        label = os.path.basename(os.path.realpath(self.root))
        self.class_names.add(label)
        self.take(prefix.rstrip("/"), label, part, ())

    def take(self, folder: str, label: str, part: int, above: tuple[tuple[int, int], ...]) -> None:
        """Take the pictures of a folder and of those below it; `above` are the folders that lead here."""
        try:
            stat = os.stat(os.path.join(self.root, folder))
        except OSError as error:
            self.closed.append(f"{_shown(folder)} ({error.strerror})")
            return
        here = (stat.st_dev, stat.st_ino)
        if here in above:
            self.loops.append(folder)
            return
        folders, files = self.listing(folder)
        for entry in files:
            path = _below(folder, entry.name)
            if not is_image_name(entry.name):
                self.stray.append(path)
                continue
            try:
                stat = entry.stat()
                self.found.append((path, label, part, stat.st_size, stat.st_mtime_ns))
            except OSError:  # a broken link: reading it will say so
                self.found.append((path, label, part, -1, -1))
        for name in folders:
            self.take(_below(folder, name), label, part, (*above, here))

    def catalog(self, fewest_classes: int) -> Catalog:
        """Make the catalogue of what was found."""
        self.found.sort()
        full = {label for _, label, _, _, _ in self.found}
        classes = tuple(sorted(full, key=natural_key))
        if len(classes) < fewest_classes:
            raise InputError(self._too_few(classes))
        index = {name: k for k, name in enumerate(classes)}
        digest = hashlib.blake2b(digest_size=16)
        for path, _, _, size, mtime in self.found:
            digest.update(os.fsencode(path) + b"\0%d\0%d\n" % (size, mtime))
        paths = [item[0] for item in self.found]
        return Catalog(
            name=os.path.basename(os.path.realpath(self.root)),
            kind="folder",
            classes=tuple(_shown(name) for name in classes),
            labels=np.array([index[item[1]] for item in self.found], np.int64),
            part=np.array([item[2] for item in self.found], np.int64),
            names=[_shown(path) for path in paths],
            content=digest.hexdigest(),
            issues=tuple(self._issues(sorted(self.class_names - full, key=natural_key))),
            root=self.root,
            paths=paths,
        )

    def _too_few(self, classes: Sequence[str]) -> str:
        """Word why a folder cannot be used."""
        if not classes:
            return f"data: {self.root} holds folders but no images ({', '.join(SUFFIXES)}) in them"
        inner = self.listing(classes[0])[0] if os.path.isdir(os.path.join(self.root, classes[0])) else []
        hint = f"; did you mean {os.path.join(self.root, classes[0])!r}?" if len(inner) > 1 else ""
        return f"data: {self.root} has images of one class only ({_shown(classes[0])}); a recogniser needs at least two class folders{hint}"

    def _issues(self, empty: Sequence[str]) -> list[Issue]:
        """Word what the walk met."""
        issues = []
        if empty:
            names = tuple(_shown(name) for name in empty)
            told = f"{count(len(names), 'class')} without images, left out: {some(names)}"
            issues.append(Issue("empty_class", "warning", told, names))
        if self.closed:
            verb = "is" if len(self.closed) == 1 else "are"
            told = f"{count(len(self.closed), 'folder')} cannot be read and {verb} left out: {some(self.closed)}"
            issues.append(Issue("unreadable", "error", told, tuple(self.closed)))
        if self.loops:
            names = tuple(_shown(name) for name in self.loops)
            told = f"{count(len(names), 'link')} to a folder above, not followed: {some(names)}"
            issues.append(Issue("link_loop", "warning", told, names))
        if self.stray:
            names = tuple(_shown(name) for name in sorted(self.stray))
            told = f"{count(len(names), 'file')} left alone that {'is' if len(names) == 1 else 'are'} no picture of a class: {some(names)}"
            issues.append(Issue("stray_files", "note", told, names))
        return issues


def _below(folder: str, name: str) -> str:
    """Return the path of what a folder holds, relative to the root, which is ""."""
    return f"{folder}/{name}" if folder else name


def _shown(path: str) -> str:
    """Return a path that can be printed and stored: bytes that are no UTF-8 become replacement characters."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "replace")
