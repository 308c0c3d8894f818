"""A folder of class folders, listed.

- Folders called `train`, `val` and `test`, or like them (`split_names`), are splits if a training folder holds folders and stands alone or
  beside another split; otherwise every folder is a class (so a class may be called "train" among buses and cars).
- Where labels are optional, a folder of images is one class, and so is a split that holds images and no folders.
- A class takes the images of its sub-folders too; see `walk` for what is looked at. Other files are counted and left alone.
- Classes are the union over the splits in natural order (2 before 10). Names that differ in their Unicode form only are one class. A class
  without
  any image is reported and left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from seewhy.core.errors import InputError
from seewhy.data.audit import Issue, Severity, count, some
from seewhy.data.formats import SIDECARS, is_image_name, suffix_of
from seewhy.data.sources.catalog import Catalog
from seewhy.data.sources.names import composed, natural_key, printable, unique
from seewhy.data.sources.split_names import did_you_mean, misspelt_splits, split_of
from seewhy.data.sources.walk import Images, Walk
from seewhy.data.split_rules import TRAIN, UNDECIDED

WARNED, MOST = 0.1, 0.5
"""Share of files left alone, of all that might be images, from which on it is a warning, and an error."""


def list_folder(root: str, *, labels_required: bool = True) -> Catalog:
    """List a folder of class folders, with or without splits; where labels are not required, also a folder of images.

    Raises:
        InputError: the folder cannot be read, or holds no images.
    """
    listed = _ClassFolders(root)
    top = listed.walk.listing("")
    if top.is_output:
        raise InputError(f"source: {printable(root)} is a run or a cache that seewhy wrote, not a folder of images")
    outputs = [name for name in top.inner if listed.walk.holds_outputs_only(name)]
    folders = [name for name in top.inner if name not in outputs]
    loose = any(is_image_name(entry.name) for entry in top.files)
    if loose and not labels_required and not any(Walk(root).images(name).paths for name in folders):
        listed.add_unlabelled("", UNDECIDED)
        return listed.catalog()
    listed.walk.outputs.extend(outputs)
    if not folders:
        raise InputError(
            f"source: {printable(root)} holds {'images but ' * loose}no class folders; "
            "put the images of each class into a folder with the class's name"
            + ", or train a generative model, which takes them as they are"
            * loose
        )
    splits = {name: split for name in folders if (split := split_of(name)) is not None}
    train = [name for name, split in splits.items() if split == TRAIN]
    labelled = any(listed.walk.listing(name).inner for name in train)
    if train and (len(set(splits.values())) > 1 or len(folders) == 1) and (labelled or not labels_required):
        listed.leave_alone([name for name in folders if name not in splits], set(splits.values()))
        add = listed.add_classes if labelled else listed.add_unlabelled
        for name, split in splits.items():
            add(name + "/", split)
    else:
        listed.find_misspelt(splits, folders)
        listed.add_classes("", UNDECIDED, leave=outputs)
    return listed.catalog()


def suggest_inner(catalog: Catalog) -> str | None:
    """Return the folder that was probably meant where the only class of a folder holds several folders itself."""
    inner = catalog.classes[0]
    if not os.path.isdir(os.path.join(catalog.root, inner)) or len(Walk(catalog.root).listing(inner).inner) < 2:
        return None
    return os.path.join(catalog.root, inner)


class _ClassFolders:
    """Collects the images below a root, split by split and class by class."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.walk = Walk(root)
        self.blocks: list[tuple[str, int, Images]] = []  # class, split, files
        self.class_names: set[str] = set()
        self.forms: dict[tuple[str, int], set[str]] = {}  # the folders' own names, by class and split
        self.beside: dict[str, int] = {}  # folders beside the splits, and how many images each holds
        self.misspelt: Mapping[str, str] = {}  # names of folders, and the splits that they seem to mean

    def add_classes(self, prefix: str, split: int, leave: Sequence[str] = ()) -> None:
        """Add every folder below `prefix` as a class of `split`."""
        listing = self.walk.listing(prefix.rstrip("/"))
        self.walk.stray.extend(prefix + entry.name for entry in listing.files)
        for name in listing.inner:
            if name in leave:
                continue
            label, outputs = composed(name), len(self.walk.outputs)
            images = self.walk.images(prefix + name)
            self.blocks.append((label, split, images))
            if images.paths or len(self.walk.outputs) == outputs:
                self.class_names.add(label)
                self.forms.setdefault((label, split), set()).add(name)

    def add_unlabelled(self, prefix: str, split: int) -> None:
        """Add everything below `prefix` as a class of `split`, named after the root."""
        label = composed(os.path.basename(os.path.realpath(self.root)))
        self.class_names.add(label)
        self.blocks.append((label, split, self.walk.images(prefix.rstrip("/"))))

    def leave_alone(self, folders: Sequence[str], splits: Iterable[int]) -> None:
        """Report folders beside the splits, with how many images they hold."""
        for name in folders:
            images = len(Walk(self.root).images(name).paths)
            if images:
                self.beside[name] = images
            else:
                self.walk.stray.append(name + "/")
        self.misspelt = misspelt_splits(self.beside, splits)

    def find_misspelt(self, splits: Mapping[str, int], folders: Sequence[str]) -> None:
        """Report folders that are called nearly like a split, and hold folders of the same names as one does."""
        inner = {name for split in splits for name in self.walk.listing(split).inner}
        near = misspelt_splits(folders, splits.values()) if inner else {}
        self.misspelt = {
            name: split for name, split in near.items() if inner.intersection(self.walk.listing(name).inner)
        }

    def catalog(self) -> Catalog:
        """Make the catalog of what the walk met."""
        blocks = [(label, split, images) for label, split, images in self.blocks if images.paths]
        if not blocks:
            raise InputError(f"source: {printable(self.root)} holds folders but no images in them{self._other_kinds()}")
        full = {label for label, _, _ in blocks}
        classes = tuple(sorted(full, key=natural_key))
        index = {name: k for k, name in enumerate(classes)}
        lengths = [len(images.paths) for _, _, images in blocks]
        paths = [path for _, _, images in blocks for path in images.paths]
        names = [printable(path) for path in paths]
        order = sorted(range(len(paths)), key=names.__getitem__)
        stats = np.concatenate([np.array(images.stats, np.int64) for _, _, images in blocks]).reshape(-1, 5)
        return Catalog(
            name=printable(os.path.basename(os.path.realpath(self.root))),
            kind="folder",
            classes=tuple(unique(printable(name) for name in classes)),
            labels=np.repeat([index[label] for label, _, _ in blocks], lengths)[order],
            splits=np.repeat([split for _, split, _ in blocks], lengths)[order],
            names=unique(names[row] for row in order),
            issues=tuple(self._issues(sorted(self.class_names - full, key=natural_key), classes, len(paths))),
            root=self.root,
            paths=[paths[row] for row in order],
            stats=stats[order],
        )

    def _other_kinds(self) -> str:
        """Return what files there are instead of images."""
        kinds = Counter(suffix_of(name) or "without a suffix" for name in self.walk.stray if not name.endswith("/"))
        return f" ({', '.join(f'{n:,} {kind}' for kind, n in kinds.most_common(4))})" if kinds else ""

    def _issues(self, empty: Sequence[str], classes: Sequence[str], images: int) -> list[Issue]:
        """Return what is wrong with what the walk met."""
        issues = []
        if empty:
            names = tuple(printable(name) for name in empty)
            message = f"{count(len(names), 'class')} without images, left out: {some(names)}"
            issues.append(Issue("empty_class", "warning", message, names))
        undecided = {split for _, split, _ in self.blocks} == {UNDECIDED}
        named = [name for name in classes if split_of(name) is not None or name in self.misspelt] if undecided else []
        if len(named) > 1:
            advice = did_you_mean(self.misspelt)
            advice = advice or "; for a split there must be a training folder that holds a folder for each class"
            message = (
                f"{count(len(named), 'class')} have names of splits and are taken for classes: {some(named)}{advice}"
            )
            issues.append(Issue("split_names", "warning", message, tuple(named)))
        twice = sorted(label for (label, _), forms in self.forms.items() if len(forms) > 1)
        if twice:
            message = f"folders that differ in the Unicode form of their names only are one class: {some(twice)}"
            issues.append(Issue("class_names", "note", message, tuple(twice)))
        return issues + self._beside(images) + self.walk.issues() + self._stray(images)

    def _beside(self, images: int) -> list[Issue]:
        """Report folders of images that are left out, for they stand beside splits and are none."""
        if not self.beside:
            return []
        names, left = tuple(printable(name) + "/" for name in self.beside), sum(self.beside.values())
        severity: Severity = "error" if left / (left + images) > MOST else "warning"
        message = (
            f"{count(len(names), 'folder')} beside the splits {'is' if len(names) == 1 else 'are'} none, {count(left, 'image')} left out: "
            f"{some(names)}{did_you_mean(self.misspelt)}"
        )
        return [Issue("split_names", severity, message, names)]

    def _stray(self, images: int) -> list[Issue]:
        """Report files that are left alone: the more of what might be images, the more seriously."""
        names = tuple(printable(name) for name in sorted(self.walk.stray))
        if not names:
            return []
        other = sum(not name.endswith((*SIDECARS, "/")) for name in map(str.lower, names))
        share = other / (other + images)
        severity: Severity = "error" if share > MOST else "warning" if share > WARNED and other > 1 else "note"
        message = (
            f"{count(len(names), 'file')} left alone that {'is' if len(names) == 1 else 'are'} no image of a class"
        )
        detail = "" if severity == "note" else f"; {share:.0%} of what might be images{self._other_kinds()}"
        return [Issue("stray_files", severity, f"{message}: {some(names)}{detail}", names)]
