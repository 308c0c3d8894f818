"""Sections that a model family brings to a report, and the blocks that they are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seewhy.core.errors import InputError, bad_value


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table; a long one collapses under its title.

    Attributes:
        head: the columns' names.
        rows: their cells; text stands as it is, numbers are written with four digits, None is a dash.
        title: its heading; may be empty.

    Raises:
        InputError: a row has another number of cells than the head.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head):
                raise InputError(f"rows of table {self.title!r}: must have {len(self.head)} cells, got {len(row)}")


@dataclass(frozen=True, eq=False)
class Sheet:
    """An image, such as a grid of samples, with its caption.

    Attributes:
        name: its heading, such as "samples".
        image: uint8 [H, W, C].
        caption: what it shows.
    """

    name: str
    image: NDArray[np.uint8]
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Frames:
    """Images through training, one shown at a time; a slider leafs through them.

    Attributes:
        sheets: in order; the last one is shown first.
        title: the heading.
        label: what the slider moves along.

    Raises:
        InputError: there is no sheet.
    """

    sheets: Sequence[Sheet]
    title: str = "Through training"
    label: str = "Epoch"

    def __post_init__(self) -> None:
        if len(self.sheets) == 0:
            raise bad_value(f"sheets of frames {self.title!r}", 0, "at least one")


@dataclass(frozen=True)
class Figures:
    """Figures as rows of (label, value), under a heading."""

    rows: Sequence[tuple[str, str]]
    title: str = "Figures"


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart under a heading.

    Attributes:
        spec: an Altair chart, or a callable without arguments that makes it.
        title: the heading, and what a screen reader says.
    """

    spec: Any
    title: str


Block: TypeAlias = Paragraph | Table | Sheet | Frames | Figures | Chart


@dataclass(frozen=True, eq=False)
class Section:
    """A section of the report that a model family brings.

    Attributes:
        title: in the heading and in the navigation.
        blocks: what it shows, in order.
        id: the anchor; by default the title in lower case with hyphens. The page makes it unique.
    """

    title: str
    blocks: Sequence[Block]
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section")
