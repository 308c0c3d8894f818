"""One walk through folders, for training and prediction alike: which files are images, and what is not looked at.

- Names that begin with a dot, and what systems, network stores and notebooks leave behind (`Thumbs.db`, `@eaDir`, `__pycache__`, ...), do
  not exist.
- Folders that hold what this package wrote (runs, entries of the cache) are no data.
- Links are followed, but no folder is entered twice: links to a folder above are cut, and mazes of links cost as much as their folders.
- Pipes, sockets and devices are named and left out. A file that cannot be looked at, such as a broken link, is kept: reading it says why.

The walk keeps its own stack, so that the depth of folders is limited by the system alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from stat import S_ISREG

from seewhy.core.errors import InputError
from seewhy.data.audit import Issue, count, some
from seewhy.data.formats import is_image_name
from seewhy.data.reading import special_kind
from seewhy.data.sources.names import natural_key, printable

IGNORED = frozenset({
    "__macosx", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "$recycle.bin", "recycler", "lost+found", "found.000",
    "system volume information", "@eadir", "@tmp", "@recycle", "@recently-snapshot", "@sharebin", "#recycle", "#snapshot", "temporary items",
    "network trash folder", "__pycache__", "__thumbs", "node_modules", "zbthumbnail.info", "picasa.ini",
})  # fmt: skip
"""Names, in small letters, that are treated as if they were not there."""


NO_FILE = (-1, -1, -1, -1, -1)

_MARKS = ("spec.toml", "request.toml", "data.json", "events.jsonl", "results.json", "entry.json", "facts.npz")
"""Files of a run (the first, and one of the next four), and of an entry of the cache (the last two)."""


@dataclass
class Images:
    """Image files.

    Attributes:
        paths: relative to the root.
        stats: five numbers for each, one after the other: size, modification and change time (ns), inode, device; -1 if it cannot be looked at.
    """

    paths: list[str] = field(default_factory=list)
    stats: list[int] = field(default_factory=list)


@dataclass
class Listing:
    """What one folder holds: names of folders, of links to folders, and the other entries."""

    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    files: list[os.DirEntry[str]] = field(default_factory=list)
    is_output: bool = False

    @property
    def inner(self) -> list[str]:
        """All folders, in natural order."""
        return sorted(self.folders + self.links, key=natural_key)


class Walk:
    """Walks below a root, and collects what it leaves out.

    Attributes:
        root: the folder.
        stray: files that are no images by their names.
        loops: links to folders that are entered already.
        closed: folders that cannot be read, with the reason.
        special: image names that are no files, with what they are.
        outputs: folders that hold what this package wrote.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.stray: list[str] = []
        self.loops: list[str] = []
        self.closed: list[str] = []
        self.special: list[str] = []
        self.outputs: list[str] = []
        self._above = _folders_above(root)

    def listing(self, folder: str) -> Listing:
        """List a folder (relative path, "" for the root), without what is to be ignored.

        Raises:
            InputError: the root cannot be read.
        """
        listing, names = Listing(), set[str]()
        try:
            with os.scandir(os.path.join(self.root, folder)) as entries:
                for entry in entries:
                    names.add(entry.name)
                    if entry.name.startswith(".") or entry.name.lower() in IGNORED:
                        continue
                    if not _is_folder(entry):
                        listing.files.append(entry)
                    elif entry.is_symlink():
                        listing.links.append(entry.name)
                    else:
                        listing.folders.append(entry.name)
        except OSError as error:
            if not folder:
                raise InputError(f"source: {printable(self.root)} cannot be read: {error.strerror}") from None
            self.closed.append(f"{printable(folder)} ({error.strerror})")
        listing.is_output = _is_output(names)
        return listing

    def images(self, start: str) -> Images:
        """Return the images of a folder and of those below it; real folders come before links, so that an image has its own path."""
        images = Images()
        entered, folders, links = set(self._above), [start], list[str]()
        while folders or links:
            by_link = not folders
            folder = links.pop() if by_link else folders.pop()
            try:
                status = os.stat(os.path.join(self.root, folder))
            except OSError as error:
                self.closed.append(f"{printable(folder)} ({error.strerror})")
                continue
            here = (status.st_dev, status.st_ino)
            if here in entered and folder:
                self.loops.append(folder)
                continue
            entered.add(here)
            listing = self.listing(folder)
            if listing.is_output:
                self.outputs.append(folder)
                continue
            self._take(folder, listing.files, images)
            folders.extend(below(folder, name) for name in sorted(listing.folders, reverse=True))
            links.extend(below(folder, name) for name in listing.links)
            links.sort(reverse=True)
        return images

    def _take(self, folder: str, files: list[os.DirEntry[str]], images: Images) -> None:
        """Add the files of a folder that are images by their names; what is left out is kept in mind."""
        prefix = f"{folder}/" if folder else ""
        for entry in files:
            path = prefix + entry.name
            if not is_image_name(entry.name):
                self.stray.append(path)
                continue
            try:
                status = entry.stat()
            except OSError:  # a broken link: reading it will say so
                images.paths.append(path)
                images.stats += NO_FILE
                continue
            if S_ISREG(status.st_mode):
                images.paths.append(path)
                images.stats += (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
            else:
                self.special.append(f"{printable(path)} ({special_kind(status.st_mode)})")

    def holds_outputs_only(self, folder: str) -> bool:
        """Whether a folder holds runs and the like, and no images beside them."""
        folders, has_output = [os.path.join(self.root, folder)], False
        while folders:
            path = folders.pop()
            if _is_output({name for name in _MARKS if os.path.exists(os.path.join(path, name))}):
                has_output = True
                continue
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        elif is_image_name(entry.name):
                            return False
            except OSError:
                return False
        return has_output

    def issues(self) -> list[Issue]:
        """Return what was left out, but for stray files."""
        issues = []
        if self.closed:
            verb = "is" if len(self.closed) == 1 else "are"
            message = f"{count(len(self.closed), 'folder')} cannot be read and {verb} left out: {some(self.closed)}"
            issues.append(Issue("unreadable", "error", message, tuple(self.closed)))
        if self.special:
            verb = "is no file" if len(self.special) == 1 else "are no files"
            message = f"{count(len(self.special), 'image name')} {verb}, left out: {some(self.special)}"
            issues.append(Issue("special_files", "warning", message, tuple(self.special)))
        if self.loops:
            names = tuple(sorted(printable(name) for name in self.loops))
            verb = "leads" if len(names) == 1 else "lead"
            message = f"{count(len(names), 'link')} {verb} to a folder that is listed already or above, not followed: {some(names)}"
            issues.append(Issue("link_loop", "warning", message, names))
        if self.outputs:
            names = tuple(sorted(printable(name) for name in self.outputs))
            verb = "was" if len(names) == 1 else "were"
            message = (
                f"{count(len(names), 'folder')} {verb} written by seewhy (runs, caches) and no data: {some(names)}"
            )
            issues.append(Issue("own_output", "note", message, names))
        return issues


def below(folder: str, name: str) -> str:
    """Return the path of what a folder holds, relative to the root, which is ""."""
    return f"{folder}/{name}" if folder else name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or one that may not be followed
        return False


def _is_output(names: set[str]) -> bool:
    """Whether a folder of these names is a run or an entry of the cache."""
    return (_MARKS[0] in names and not names.isdisjoint(_MARKS[1:5])) or names.issuperset(_MARKS[5:])


def _folders_above(root: str) -> set[tuple[int, int]]:
    """Return device and inode of the root and of the folders above it, which no link may lead to."""
    above, path = set(), os.path.realpath(root)
    while True:
        try:
            status = os.stat(path)
            above.add((status.st_dev, status.st_ino))
        except OSError:
            pass
        parent = os.path.dirname(path)
        if parent == path:
            return above
        path = parent
