"""Labels files: encodings, separators, columns, and rows that say nothing or too much."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from seewhy.core.errors import InputError
from seewhy.data import SplitOptions, TableOptions, list_images, load_dataset
from seewhy.data.split_rules import TEST, TRAIN, UNDECIDED, VAL

ROWS = [("a/0.jpg", "cat"), ("a/1.jpg", "dög"), ("b/0.jpg", "cat"), ("b/1.jpg", "dög"), ("b/2.jpg", "cat")]


@pytest.fixture
def images(folder: Callable[..., Path]) -> Path:
    """Five images in two folders that mean nothing: a/000.jpg, ... renamed to a/0.jpg, ..."""
    root = folder({"a": 2, "b": 3})
    for path in root.glob("*/*.jpg"):
        path.rename(path.with_name(f"{int(path.stem)}.jpg"))
    return root


def write(root: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("file", "label"), **how: str) -> str:
    text = how.get("before", "") + "\r\n".join(how.get("separator", ",").join(row) for row in [header, *rows])
    path = root.parent / "labels.csv"
    path.write_bytes(text.encode(how.get("encoding", "utf-8")))
    return str(path)


def listed(root: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("file", "label"), **options: str):
    table = {name: options.pop(name) for name in list(options) if name.endswith("_column") or name == "group"}
    return list_images(root, table=TableOptions(labels=write(root, rows, header, **options), **table))


def said(catalog) -> dict[str, str]:
    return {name: catalog.classes[k] for name, k in zip(catalog.names, catalog.labels.tolist(), strict=True)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_table_is_read_in_any_common_form(images, encoding, separator):
    catalog = listed(images, ROWS, encoding=encoding, separator=separator)
    assert said(catalog) == dict(ROWS)
    assert ("Windows-1252" in catalog.issues[-1].message) == (encoding == "cp1252")


def test_a_hint_for_a_spreadsheet_is_no_column(images):
    assert said(listed(images, ROWS, before="sep=;\n", separator=";")) == dict(ROWS)


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "./{}",
        "images/{}",
        "C:\\photos\\images\\{}",
        "/home/somebody/images/{}",
    ],
)
def test_paths_of_other_machines_are_understood(images, form):
    rows = [(form.format(name if "\\" not in form else name.replace("/", "\\")), label) for name, label in ROWS]
    assert said(listed(images, rows)) == dict(ROWS)


def test_names_alone_do_where_they_decide_and_are_refused_where_not(images, folder):
    (images / "b" / "2.jpg").rename(images / "b" / "UNIQUE.JPG")
    rows = [*ROWS[:-1], ("unique", "cat")]
    assert said(listed(images, rows))["b/UNIQUE.JPG"] == "cat"
    with pytest.raises(InputError, match=r"image_column: '0.jpg' in labels.csv may be any of a/0.jpg, b/0.jpg"):
        listed(images, [("0.jpg", "cat"), *ROWS])


def test_a_file_in_another_folder_is_not_taken_for_the_one_named(images):
    catalog = listed(images, [*ROWS, ("c/2.jpg", "cat")])
    assert [issue.paths for issue in catalog.issues if issue.kind == "missing_files"] == [("c/2.jpg",)]


def test_rows_that_cannot_be_used_are_left_out_and_told(images):
    rows = [*ROWS, ROWS[0], ("none.jpg", "cat"), ("b/1.jpg", "cat"), ("b/2.jpg", "")]
    catalog = listed(images, rows[:4] + rows[5:])
    assert said(catalog) == {"a/0.jpg": "cat", "a/1.jpg": "dög", "b/0.jpg": "cat"}
    kinds = {issue.kind: issue.paths for issue in catalog.issues}
    assert kinds["missing_files"] == ("none.jpg",)
    assert kinds["contradictory_rows"] == ("b/1.jpg",)
    assert kinds["unlabelled"] == ("b/2.jpg",)
    assert kinds["doubled_rows"] == ("a/0.jpg",)
    with pytest.raises(InputError, match=r"strict: 1 row of labels.csv names no image that is there"):
        load_dataset(images, table=TableOptions(labels=write(images, [*ROWS, ("none.jpg", "cat")])), strict=True)


def test_images_without_a_row_are_told(images):
    issues = listed(images, ROWS[:3]).issues
    assert [issue.paths for issue in issues if issue.kind == "unlisted"] == [("b/1.jpg", "b/2.jpg")]


@pytest.mark.parametrize(
    ("rows", "header", "options", "message"),
    [
        ([(*row, "x") for row in ROWS], ("file", "p", "q"), {}, r"label_column: which column of labels.csv .* p, q"),
        (ROWS, ("file", "label"), {"label_column": "lable"}, r"label_column: 'lable' is not known; .*label"),
        ([("x.jpg", "cat")], ("file", "label"), {}, r"image_column: no column of labels.csv names images"),
        (ROWS, ("label", "label"), {}, r"several columns called 'label'"),
        (
            [*ROWS, ("a/0.jpg",)],
            ("file", "label"),
            {},
            r"line 7 of labels.csv has 1 field, but the first line names 2 columns",
        ),
        ([], ("file", "label"), {}, r"labels.csv holds no rows"),
        (
            [(*row, "extra") for row in ROWS],
            ("file", "label", "use"),
            {"split_column": "use"},
            r"must say train, val, test",
        ),
        (
            ROWS,
            ("file", "label"),
            {"group": "lable"},
            r"group: 'lable' is not found in the names of .*did you mean 'label'",
        ),
        (ROWS, ("file", "label"), {"group": "("}, r"group: '\(' is no regular expression"),
    ],
)
def test_what_is_wrong_is_said(images, rows, header, options, message):
    with pytest.raises(InputError, match=message):
        listed(images, rows, header, **options)


def test_a_column_says_the_split(images):
    words = ["Train", "training", "valid", "test", "TRAIN"]
    rows = [(*row, word) for row, word in zip(ROWS, words, strict=True)]
    catalog = listed(images, rows, ("file", "label", "split"))
    assert catalog.splits.tolist() == [TRAIN, TRAIN, VAL, TEST, TRAIN]
    renamed = listed(images, rows, ("file", "label", "which"), split_column="which", label_column="label")
    assert renamed.splits.tolist() == catalog.splits.tolist()
    assert set(listed(images, ROWS).splits.tolist()) == {UNDECIDED}


def test_classes_and_groups_are_part_of_what_a_data_set_is(images):
    def fingerprint(rows, header=("file", "label"), **table):
        options = TableOptions(labels=write(images, rows, header), **table)
        return load_dataset(images, table=options, split=SplitOptions(val_fraction=0, test_fraction=0)).fingerprint

    first = fingerprint(ROWS)
    assert first == fingerprint(ROWS[::-1])
    assert first != fingerprint([(name, label.upper()) for name, label in ROWS])
    assert first != fingerprint(ROWS, group="^.")


def test_a_table_belongs_to_a_folder(images):
    with pytest.raises(InputError, match=r"labels: goes with a folder of images, but digits is none"):
        list_images("digits", table=TableOptions(labels="labels.csv"))
    with pytest.raises(InputError, match=r"group: goes with a folder of images, but the arrays is none"):
        list_images((np.zeros((2, 4, 4), np.uint8), [0, 1]), table=TableOptions(group="x"))
    for source in (images, "digits"):
        with pytest.raises(InputError, match=r"label_column: is a column of the labels file, but there is none"):
            list_images(source, table=TableOptions(label_column="x"))
    with pytest.raises(InputError, match=r"labels: there is no file 'none.csv'; looked for"):
        list_images(images, table=TableOptions(labels="none.csv"))


def test_parquet_is_a_table(images, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = images / "labels.parquet"
    parquet.write_table(pyarrow.table({"file": [name for name, _ in ROWS], "label": [1, 2, 1, 2, None]}), path)
    catalog = list_images(images, table=TableOptions(labels="labels.parquet"))
    assert said(catalog) == {"a/0.jpg": "1", "a/1.jpg": "2", "b/0.jpg": "1", "b/1.jpg": "2"}
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"labels.parquet needs pyarrow to be read; install it"):
        list_images(images, table=TableOptions(labels="labels.parquet"))


def test_groups_of_class_folders_come_from_their_names(folder):
    root = folder({"cat": 6, "dog": 6})
    catalog = list_images(root, table=TableOptions(group=r"00(\d)"))
    assert list(catalog.groups) == [str(i) for i in range(6)] * 2
    with pytest.raises(InputError, match=r"group: 'dog' is not found in the names of 6 of 12 images: cat/000.jpg"):
        list_images(root, table=TableOptions(group="dog"))


def test_a_misspelt_split_stops_before_a_random_one_is_made(images):
    words = ["train", "train", "val", "tset", ""]
    rows = [(*row, word) for row, word in zip(ROWS, words, strict=True)]
    with pytest.raises(
        InputError, match=r"split_column: 'split' of labels.csv .* got nothing, tset in 2 rows; correct"
    ):
        listed(images, rows, ("file", "label", "split"))


def test_a_column_of_splits_that_says_something_else_is_told(images):
    words = ["train", "A", "B", "A", "B"]
    rows = [(*row, word) for row, word in zip(ROWS, words, strict=True)]
    catalog = listed(images, rows, ("file", "label", "set"))
    assert set(catalog.splits.tolist()) == {UNDECIDED}
    assert "; no split from column 'set', which mostly says other than train" in catalog.issues[-1].message
    assert "no split" not in listed(images, rows, ("file", "label", "set"), group="set").issues[-1].message


def test_a_column_of_splits_can_be_ignored(images):
    rows = [(*row, word) for row, word in zip(ROWS, ["train", "tset", "val", "test", "train"], strict=True)]
    catalog = listed(images, rows, ("file", "label", "split"), split_column="none")
    assert set(catalog.splits.tolist()) == {UNDECIDED}
    assert "; no split from column 'split', as was asked" in catalog.issues[-1].message
    rows = [(*row, "val") for row in ROWS]
    assert set(listed(images, rows, ("file", "label", "none"), split_column="none").splits.tolist()) == {VAL}


@pytest.mark.parametrize("strip", [str, lambda name: name.removesuffix(".jpg")])
def test_a_table_without_a_line_of_column_names_is_refused(images, strip):
    rows = [(strip(name), label) for name, label in ROWS]
    with pytest.raises(
        InputError, match=r"seems to have no line of column names: .* a/0.jpg is an image .* such as file,label"
    ):
        listed(images, rows[1:], rows[0])


def test_a_column_may_be_called_like_an_image_that_has_a_row(images):
    (images / "a" / "0.jpg").rename(images / "a" / "view1.jpg")
    (images / "b" / "0.jpg").rename(images / "b" / "view1.jpg")
    rows = [("a/view1.jpg", "cat"), *ROWS[1:2], *ROWS[3:]]
    assert said(listed(images, rows, ("view1", "label")))["a/view1.jpg"] == "cat"
    (images / "a" / "view1.jpg").rename(images / "a" / "file.jpg")
    assert "a/1.jpg" in said(listed(images, ROWS[1:2] + ROWS[3:]))


@pytest.mark.parametrize(
    ("encoding", "text", "message"),
    [
        ("utf-16-le", "", "labels.csv looks like UTF-16 without its mark; save it as UTF-8"),
        ("utf-16-be", "", "labels.csv looks like UTF-16 without its mark; save it as UTF-8"),
        ("utf-8", "\0", r"labels.csv is damaged or no text \(1 zero byte\); save it as UTF-8"),
    ],
)
def test_a_table_with_zero_bytes_is_no_utf_8(images, encoding, text, message):
    with pytest.raises(InputError, match=message):
        listed(images, [*ROWS, ("b/2.jpg", text)], encoding=encoding)


@pytest.mark.parametrize(
    ("before", "labels", "message"),
    [
        (
            "",
            {2: '"cat'},
            r"row of labels.csv that begins in line 4 is no CSV: .*; is a quotation mark in it never closed",
        ),
        ("sep=,\n", {2: '"cat'}, r"row of labels.csv that begins in line 5 is no CSV"),
        (
            "",
            {4: '"cat'},
            r"row of labels.csv that begins in line 6 is no CSV: .*; is a quotation mark in it never closed",
        ),
        ("", {2: '"cat', 3: '"dog"'}, r"row of labels.csv that begins in line 4 is no CSV"),
        ("", {2: '"cat', 3: 'dog"'}, r"'label' of labels.csv has a text of several lines, 'cat.*dog'; is a quotation"),
    ],
)
def test_a_quotation_mark_that_is_not_closed_loses_no_rows(images, before, labels, message):
    rows = [(name, labels.get(row, label)) for row, (name, label) in enumerate(ROWS)]
    with pytest.raises(InputError, match=message):
        listed(images, rows, before=before)
