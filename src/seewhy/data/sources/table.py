"""A labels file: a table of texts from CSV (any common encoding and separator) or Parquet.

The first line names the columns. UTF-8 with or without a byte order mark, UTF-16 with one, and Windows-1252 (what Excel writes in western
Europe) are read; commas, semicolons, tabs and bars separate. Every row has as many fields as there are columns.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.data.audit import count
from seewhy.data.sources.names import composed, printable
from seewhy.data.sources.paths import as_path

PARQUET = (".parquet", ".pq")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SEPARATORS = ",;\t|"
_SAMPLED = 50
"""Lines by which the separator is found."""


@dataclass(frozen=True)
class Table:
    """Texts by row and column.

    Attributes:
        name: of the file, for people.
        columns: their names, each once.
        rows: a text for each column; "" where nothing stands.
        guessed: the encoding, where nothing says it and it is not UTF-8; else "".
    """

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    guessed: str = ""

    def column(self, name: str) -> list[str]:
        """Return the texts of one column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def find_table(given: str, root: str) -> str:
    """Return the path of a labels file, which is looked for as it is given, in the folder of images, and beside it.

    Raises:
        InputError: there is no such file.
    """
    path = as_path(given, "labels")
    places = [path] if os.path.isabs(path) else [path, os.path.join(root, path), os.path.join(root, os.pardir, path)]
    for place in places:
        if os.path.isfile(place):
            return os.path.abspath(place)
    looked = ", ".join(printable(os.path.abspath(place)) for place in places)
    raise InputError(f"labels: there is no file {printable(path)!r}; looked for {looked}")


def read_table(path: str) -> Table:
    """Read a labels file.

    Raises:
        InputError: it cannot be read, is empty, a row has another number of fields than there are columns, or two columns have one name.
    """
    name = printable(os.path.basename(path))
    if path.lower().endswith(PARQUET):
        columns, rows = _parquet(name, path)
        guessed = ""
    else:
        text, guessed = _text(name, path)
        columns, rows = _csv(name, text)
    if not rows:
        raise InputError(f"labels: {name} holds no rows below its line of column names")
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise InputError(
            f"labels: {name} has several columns called {twice[0]!r}; give each a name of its own, or add a line of column names such as "
            "file,label where there is none"
        )
    return Table(name, columns, rows, guessed)


def _text(name: str, path: str) -> tuple[str, str]:
    """Return the text of a file, and its encoding if that had to be guessed."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"labels: {name} cannot be read: {error.strerror}") from None
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    if marked != "utf-16" and (zeros := data.count(0)):
        utf_16 = zeros > len(data) // 10
        what = (
            "looks like UTF-16 without its mark" if utf_16 else f"is damaged or no text ({count(zeros, 'zero byte')})"
        )
        raise InputError(f"labels: {name} {what}; save it as UTF-8")
    try:
        return data.decode(marked or "utf-8"), ""
    except UnicodeDecodeError as error:
        if marked is not None:
            raise InputError(f"labels: {name} is damaged: {error.reason} at byte {error.start:,}") from None
    try:
        return data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "Latin-1"


def _csv(name: str, text: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return column names and rows."""
    said, _, rest = text.partition("\n")
    separator, first = "", 1
    if said.strip().lower().startswith("sep=") and len(said.strip()) == len("sep=") + 1:  # a hint that Excel reads
        separator, text, first = said.strip()[-1], rest, 2
    separator = separator or _separator(text)
    columns: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    for line, row in _records(name, text, separator, first):
        if not any(row):
            continue
        if not columns:
            columns = row
        elif len(row) != len(columns):
            raise InputError(
                f"labels: line {line:,} of {name} has {count(len(row), 'field')}, but the first line names "
                f"{count(len(columns), 'column')} ({', '.join(columns)}); separated by {separator!r}"
            )
        else:
            rows.append(row)
    return columns, rows


def _records(name: str, text: str, separator: str, first: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the number of the line in which each row begins, counted from `first`, and its fields."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = first
    try:
        for fields in reader:
            yield line, tuple(composed(field.strip()) for field in fields)
            line = first + reader.line_num
    except csv.Error as error:
        raise InputError(
            f"labels: the row of {name} that begins in line {line:,} is no CSV: {error}; is a quotation mark in it never closed, or not doubled?"
        ) from None


def _separator(text: str) -> str:
    """Return the character that cuts the first lines into the most columns, evenly if one does."""
    lines = text.splitlines(keepends=True)[:_SAMPLED]

    def evenness(separator: str) -> tuple[bool, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        return len(set(widths)) == 1 and widths[0] > 1, widths[0] if widths else 0

    return max(_SEPARATORS, key=evenness)


def _parquet(name: str, path: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return column names and rows, values as texts."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"labels: {name} needs pyarrow to be read; install it (pip install 'seewhy[frames]') or save it as CSV"
        ) from None
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise InputError(f"labels: {name} cannot be read: {' '.join(str(error).split())[:160]}") from None
    columns = tuple(composed(str(column)) for column in table.column_names)
    values: list[list[Any]] = [column.to_pylist() for column in table.columns]
    rows = [
        tuple("" if value is None else composed(str(value).strip()) for value in row)
        for row in zip(*values, strict=True)
    ]
    return columns, rows
