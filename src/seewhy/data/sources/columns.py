"""Which column of a table says the labels, and which the split, by their names; and what a column or an expression says of groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from seewhy.core.errors import InputError, nearest, unknown_name
from seewhy.data.audit import Issue, count, some
from seewhy.data.sources.split_names import split_of
from seewhy.data.split_rules import SPLIT_NAMES, UNDECIDED

LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "classname",
    "labelname",
    "category",
    "target",
    "diagnosis",
    "species",
    "breed",
    "dx",
    "y",
)
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "phase")
"""Names of columns, in small letters without signs, by which they are found."""

NO_SPLIT = "none"
"""Said for the column of splits: none is wanted, whatever columns are called."""

Texts = Callable[[str], Sequence[str]]
"""Gives the texts of a column, "" where nothing stands."""


def validate_columns(columns: Sequence[str], **named: str | None) -> None:
    """Raise InputError where a column that was named is not there."""
    for name, given in named.items():
        if given is not None and given not in columns and (name, given) != ("split_column", NO_SPLIT):
            raise unknown_name(name, given, columns)


def label_column(where: str, left: Sequence[str], *, required: bool) -> str | None:
    """Return the one of the columns that is called like labels, else the only one that is left.

    Args:
        where: the table, for errors.
        left: columns that mean nothing else.
        required: whether there must be one.

    Raises:
        InputError: it cannot be told.
    """
    named = next((name for known in LABEL_NAMES for name in left if plain(name) == known), None)
    if named is None and len(left) == 1:
        named = left[0]
    if named is None and required:
        raise InputError(
            f"label_column: which column of {where} holds the labels? {', '.join(left) or 'There is none beside the images'}"
        )
    return named


def split_column(where: str, columns: Sequence[str], texts: Texts, named: str | None = None) -> str | None:
    """Return the column that was named, else the one that is called like a split, and whose texts are splits.

    Args:
        where: the table, for errors.
        columns: that may say the split.
        texts: of them.
        named: the column, or NO_SPLIT; None to find it.

    Raises:
        InputError: most of its texts are splits, but not all; one that mostly says something else is none.
    """
    if named is not None:
        return None if named == NO_SPLIT and named not in columns else named
    for name in columns:
        said = texts(name) if plain(name) in SPLIT_COLUMNS else ()
        odd = [text for text in said if split_of(text) is None]
        if said and not odd:
            return name
        if 2 * len(odd) < len(said):
            raise _no_splits(
                where,
                name,
                odd,
                "; correct these, or name another column (data.split_column; none if it says something else)",
            )
    return None


def unused_splits(columns: Sequence[str], *used: str | None, named: str | None) -> str | None:
    """Return in words which columns are called like a split, and are taken neither for it nor for anything else; None for none.

    Args:
        columns: that may say the split.
        used: of them.
        named: as `split_column` took it.
    """
    unused = [name for name in columns if plain(name) in SPLIT_COLUMNS and name not in used]
    if not unused:
        return None
    why = "another was named"
    if named is None:
        why = f"which mostly says other than {', '.join(SPLIT_NAMES)}"
    elif named == NO_SPLIT:
        why = "as was asked"
    return f"no split from {', '.join(quoted('column', name) or '' for name in unused)}, {why}"


def _no_splits(where: str, column: str, odd: Sequence[str], advice: str = "") -> InputError:
    """Return the error for a column of splits that says something else."""
    return InputError(
        f"split_column: {column!r} of {where} must say {', '.join(SPLIT_NAMES)}, got "
        f"{some([text or 'nothing' for text in sorted(set(odd))])} in {count(len(odd), 'row')}{advice}"
    )


def splits_of(where: str, column: str | None, texts: Texts, length: int) -> list[int]:
    """Return the split that each row says; UNDECIDED without a column.

    Raises:
        InputError: a text means none.
    """
    if column is None:
        return [UNDECIDED] * length
    said = texts(column)
    meant = {text: split_of(text) for text in set(said)}
    odd = [text for text in said if meant[text] is None]
    if odd:
        raise _no_splits(where, column, odd)
    return [split for text in said if (split := meant[text]) is not None]


def groups_of(where: str, group: str, columns: Sequence[str], texts: Texts, names: Sequence[str]) -> list[str]:
    """Return the group of each image: what a column says, or what a regular expression finds in its name.

    Args:
        where: the table, for errors.
        group: the column, or the expression.
        columns: of the table.
        texts: of its columns, by row of `names`.
        names: of the images.

    Raises:
        InputError: a row of the column is empty, or the expression is none, or is not found in every name.
    """
    if group in columns:
        groups = list(texts(group))
        empty = [name for text, name in zip(groups, names, strict=True) if not text]
        if empty:
            raise InputError(f"group: {group!r} of {where} is empty for {count(len(empty), 'image')}: {some(empty)}")
        return groups
    close = nearest(group, columns)
    beside = f"; columns of {where} are {', '.join(columns)}" + (f"; did you mean {close!r}?" if close else "")
    return groups_in(names, group, beside if columns else "")


def groups_in(names: Sequence[str], pattern: str, beside: str = "") -> list[str]:
    """Return what a regular expression finds in each name: its first group, else the whole match.

    Raises:
        InputError: it is none, or is not found in every name; `beside` is added to the message.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"group: {pattern!r} is no regular expression ({error}){beside}") from None
    found = [expression.search(name) for name in names]
    lacking = [name for name, match in zip(names, found, strict=True) if match is None]
    if lacking:
        raise InputError(
            f"group: {pattern!r} is not found in the names of {len(lacking):,} of {len(names):,} images: {some(lacking)}; "
            f"it must tell the group of each{beside}"
        )
    return [(match[1] if expression.groups else match[0]) or "" for match in found if match is not None]


def taken_from(where: str, unused: str | None = None, **said: str | None) -> Issue:
    """Return a note that tells what is said where, such as images="column 'file'"; None is left out. `unused`: of `unused_splits`."""
    parts = [f"{what} from {place}" for what, place in said.items() if place is not None]
    return Issue("labels_file", "note", f"{where}: {', '.join(parts)}" + (f"; {unused}" if unused else ""))


def quoted(what: str, name: str | None) -> str | None:
    """Return such as "column 'label'"; None for None."""
    return None if name is None else f"{what} {name!r}"


def plain(name: str) -> str:
    """Return a column's name in small letters without signs."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
