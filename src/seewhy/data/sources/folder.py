"""A folder of class folders, listed.

- `train/`, `val/` (or `valid/`, `validation/`) and `test/` are splits if `train` holds folders and stands alone or beside
  another split; otherwise every folder is a class (so a class may be called "train" among buses and cars).
- Where labels are optional, a folder of images is one class, and so is a split that holds images and no folders.
- A class takes the images of its sub-folders too. Links are followed, loops are cut.
- Names that begin with a dot, `__MACOSX`, `Thumbs.db` and `desktop.ini` do not exist. Other files that are no images by their
  suffix are counted and left alone.
- Classes are the union over the splits in natural order (2 before 10). A class without any image is reported and left out.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from seewhy.core.errors import InputError
from seewhy.data.audit import Issue, count, some
from seewhy.data.codec import SUFFIXES, is_image_name
from seewhy.data.sources.catalog import Catalog, natural_key
from seewhy.data.split_rules import TEST, TRAIN, UNDECIDED, VAL

_SPLITS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST}
_IGNORED = {"__macosx", "thumbs.db", "desktop.ini"}


def list_folder(root: str, *, labels_required: bool = True) -> Catalog:
    """List a folder of class folders, with or without splits; where labels are not required, also a folder of images.

    Raises:
        InputError: the folder cannot be read, or holds no images.
    """
    walk = _Walk(root)
    folders, files = walk.listing("")
    loose = any(is_image_name(entry.name) for entry in files)
    if not folders and loose and not labels_required:
        walk.add_unlabelled("", UNDECIDED)
        return walk.catalog()
    if not folders:
        raise InputError(
            f"source: {root} holds {'images but ' * loose}no class folders; put the images of each class into a folder with the class's name"
            + ", or train a generative model, which takes them as they are" * loose
        )
    splits = [name for name in folders if name.lower() in _SPLITS]
    train = next((name for name in splits if name.lower() == "train"), None)
    labelled = train is not None and bool(walk.listing(train)[0])
    if train is not None and (len(splits) > 1 or len(folders) == 1) and (labelled or not labels_required):
        walk.stray.extend(name + "/" for name in folders if name not in splits)
        add = walk.add_classes if labelled else walk.add_unlabelled
        for name in splits:
            add(name + "/", _SPLITS[name.lower()])
    else:
        walk.add_classes("", UNDECIDED)
    return walk.catalog()


def suggest_inner(catalog: Catalog) -> str | None:
    """Return the folder that was probably meant where the only class of a folder holds several folders itself."""
    inner = catalog.classes[0]
    if not os.path.isdir(os.path.join(catalog.root, inner)) or len(_Walk(catalog.root).listing(inner)[0]) < 2:
        return None
    return os.path.join(catalog.root, inner)


class _Walk:
    """Collects the images below a root, split by split and class by class."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.images: list[tuple[str, str, int, int, int]] = []  # path, class, split, size, mtime_ns
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
                raise InputError(f"source: {self.root} cannot be read: {error.strerror}") from None
            self.closed.append(f"{_printable(folder)} ({error.strerror})")
        return sorted(folders, key=natural_key), files

    def add_classes(self, prefix: str, split: int) -> None:
        """Add every folder below `prefix` as a class of `split`."""
        folders, files = self.listing(prefix.rstrip("/"))
        self.stray.extend(prefix + entry.name for entry in files)
        for name in folders:
            self.class_names.add(name)
            self.add(prefix + name, name, split, ())

    def add_unlabelled(self, prefix: str, split: int) -> None:
        """Add everything below `prefix` as a class of `split`, named after the root."""
        label = os.path.basename(os.path.realpath(self.root))
        self.class_names.add(label)
        self.add(prefix.rstrip("/"), label, split, ())

    def add(self, folder: str, label: str, split: int, above: tuple[tuple[int, int], ...]) -> None:
        """Add the images of a folder and of those below it; `above` are the folders that lead here."""
        try:
            stat = os.stat(os.path.join(self.root, folder))
        except OSError as error:
            self.closed.append(f"{_printable(folder)} ({error.strerror})")
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
                self.images.append((path, label, split, stat.st_size, stat.st_mtime_ns))
            except OSError:  # a broken link: reading it will say so
                self.images.append((path, label, split, -1, -1))
        for name in folders:
            self.add(_below(folder, name), label, split, (*above, here))

    def catalog(self) -> Catalog:
        """Make the catalog of what the walk met."""
        self.images.sort()
        full = {label for _, label, _, _, _ in self.images}
        if not full:
            raise InputError(f"source: {self.root} holds folders but no images ({', '.join(SUFFIXES)}) in them")
        classes = tuple(sorted(full, key=natural_key))
        index = {name: k for k, name in enumerate(classes)}
        digest = hashlib.blake2b(digest_size=16)
        for path, _, _, size, mtime in self.images:
            digest.update(os.fsencode(path) + b"\0%d\0%d\n" % (size, mtime))
        paths = [image[0] for image in self.images]
        return Catalog(
            name=os.path.basename(os.path.realpath(self.root)),
            kind="folder",
            classes=tuple(_printable(name) for name in classes),
            labels=np.array([index[image[1]] for image in self.images], np.int64),
            splits=np.array([image[2] for image in self.images], np.int64),
            names=[_printable(path) for path in paths],
            content=digest.hexdigest(),
            issues=tuple(self._issues(sorted(self.class_names - full, key=natural_key))),
            root=self.root,
            paths=paths,
        )

    def _issues(self, empty: Sequence[str]) -> list[Issue]:
        """Return what is wrong with what the walk met."""
        issues = []
        if empty:
            names = tuple(_printable(name) for name in empty)
            message = f"{count(len(names), 'class')} without images, left out: {some(names)}"
            issues.append(Issue("empty_class", "warning", message, names))
        if self.closed:
            verb = "is" if len(self.closed) == 1 else "are"
            message = f"{count(len(self.closed), 'folder')} cannot be read and {verb} left out: {some(self.closed)}"
            issues.append(Issue("unreadable", "error", message, tuple(self.closed)))
        if self.loops:
            names = tuple(_printable(name) for name in self.loops)
            message = f"{count(len(names), 'link')} to a folder above, not followed: {some(names)}"
            issues.append(Issue("link_loop", "warning", message, names))
        if self.stray:
            names = tuple(_printable(name) for name in sorted(self.stray))
            message = f"{count(len(names), 'file')} left alone that {'is' if len(names) == 1 else 'are'} no image of a class: {some(names)}"
            issues.append(Issue("stray_files", "note", message, names))
        return issues


def _below(folder: str, name: str) -> str:
    """Return the path of what a folder holds, relative to the root, which is ""."""
    return f"{folder}/{name}" if folder else name


def _printable(path: str) -> str:
    """Return a path that can be printed and stored: bytes that are no UTF-8 become replacement characters."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "replace")
