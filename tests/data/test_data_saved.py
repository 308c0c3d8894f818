"""Data sets that Hugging Face `datasets` has saved: the library itself writes them, and its own reading is the twin."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.data import DecodeOptions, SplitOptions, TableOptions, list_images, load_dataset
from seewhy.data.split_rules import TEST, TRAIN, UNDECIDED, VAL

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the library's own

NAMES = ("newt", "cat", "10", "9")
WHOLE = SplitOptions(val_fraction=0, test_fraction=0)


@pytest.fixture(autouse=True, scope="module")
def quiet():
    datasets.disable_progress_bars()


@pytest.fixture
def rows(encoded) -> Callable[..., list[dict]]:
    """Rows of images as `datasets` holds them, and of some other columns."""

    def make(n: int = 8, first: int = 0, **more) -> list[dict]:
        return [
            {
                "image": {"bytes": encoded(i), "path": f"{i}.jpg"},
                "label": i % 4,
                **{name: value(i) for name, value in more.items()},
            }
            for i in range(first, first + n)
        ]

    return make


def features(**more):
    return datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(NAMES)), **more})


def saved(path: Path, rows, shards: int = 1, **more) -> Path:
    datasets.Dataset.from_list(rows, features=features(**more)).save_to_disk(path, num_shards=shards)
    return path


def told(catalog) -> dict[str, tuple[str, ...]]:
    return {issue.kind: issue.paths for issue in catalog.issues}


@pytest.mark.parametrize("keep", ["pixels", "bytes", "none"])
def test_images_labels_and_names_are_those_that_the_library_reads(rows, tmp_path, keep):
    home = saved(tmp_path / "pets", rows(11), shards=3)
    data = load_dataset(home, decode=DecodeOptions(cache=keep), split=WHOLE)
    theirs = datasets.load_from_disk(home)
    assert data.classes == NAMES
    assert data.train.labels.tolist() == theirs["label"]
    assert data.train.names == [f"images/{i}.jpg" for i in range(11)]
    ours = data.train.images(torch.arange(11)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(ours, np.stack([np.asarray(image) for image in theirs["image"]]))
    assert (data.name, data.source_kind) == ("pets", "datasets")


def test_splits_of_a_dictionary_are_splits(rows, tmp_path):
    parts = {"train": rows(8), "validation": rows(4, 8), "test": rows(4, 12), "unsupervised": rows(4, 16)}
    whole = datasets.DatasetDict(
        {name: datasets.Dataset.from_list(part, features=features()) for name, part in parts.items()}
    )
    whole.save_to_disk(tmp_path / "all")
    catalog = list_images(tmp_path / "all")
    assert catalog.splits.tolist() == [TRAIN] * 8 + [VAL] * 4 + [TEST] * 4
    assert catalog.names[8] == "validation/8.jpg"
    assert told(catalog)["stray_files"] == ("unsupervised",)
    misspelt = datasets.DatasetDict({"tset" if name == "test" else name: part for name, part in whole.items()})
    misspelt.save_to_disk(tmp_path / "misspelt")
    (left,) = [issue for issue in list_images(tmp_path / "misspelt").issues if issue.kind == "stray_files"]
    assert left.message.endswith("tset, unsupervised; did you mean 'test' by 'tset'? Rename it")
    assert list_images(tmp_path / "all" / "test").splits.tolist() == [UNDECIDED] * 4
    del whole["train"]
    whole.save_to_disk(tmp_path / "no")
    with pytest.raises(InputError, match=r"none of the splits of .*no is for training: validation, test, unsupervised"):
        list_images(tmp_path / "no")


def test_columns_are_found_or_named(rows, tmp_path):
    words, patients = ["train", "dev", "test", "train"], [str(i // 2) for i in range(8)]
    table = rows(fold=lambda i: words[i // 2], subset=lambda i: words[i // 2], who=patients.__getitem__)
    text = datasets.Value("string")
    home = saved(tmp_path / "pets", table, fold=text, subset=text, who=text)
    catalog = list_images(home, table=TableOptions(group="who"))
    assert catalog.splits.tolist() == [TRAIN, TRAIN, VAL, VAL, TEST, TEST, TRAIN, TRAIN]
    assert list(catalog.groups) == patients
    (note,) = (issue.message for issue in catalog.issues if issue.kind == "labels_file")
    assert note == (
        "pets: images from column 'image', labels from column 'label', split from column 'subset', groups from column 'who'"
    )
    named = list_images(home, table=TableOptions(label_column="who", split_column="fold"))
    assert named.classes == ("0", "1", "2", "3")
    without = list_images(home, table=TableOptions(split_column="none"))
    assert set(without.splits.tolist()) == {UNDECIDED}
    assert list_images(home, table=TableOptions(group=r"(\d)\.jpg")).groups == list("01234567")
    with pytest.raises(
        InputError, match=r"label_column: 'whom' is not known; allowed: image, label, .*did you mean 'who'"
    ):
        list_images(home, table=TableOptions(label_column="whom"))
    with pytest.raises(InputError, match=r"labels: goes with a folder of images, but .*pets has labels of its own"):
        list_images(home, table=TableOptions(labels="labels.csv"))


def test_texts_and_numbers_are_labels_too(encoded, tmp_path):
    for values, classes in ((["b", "a10", "a9", "b"], ("a9", "a10", "b")), ([3, 10, 3, 4], ("3", "4", "10"))):
        table = [{"photo": encoded(i), "kind": value} for i, value in enumerate(values)]
        home = tmp_path / str(len(classes)) / str(values[0])
        datasets.Dataset.from_list(table).save_to_disk(home)
        catalog = list_images(home)
        assert catalog.classes == classes
        assert [catalog.classes[k] for k in catalog.labels] == [str(value) for value in values]
        assert catalog.names[1] == "images/1"


def test_rows_without_an_image_or_a_label_are_left_out_and_told(rows, tmp_path):
    table = rows()
    table[2]["image"] = None
    table[3]["label"], table[5]["label"] = -1, None
    catalog = list_images(saved(tmp_path / "pets", table))
    assert len(catalog.names) == 5
    assert told(catalog)["missing_files"] == ("images/2",)
    assert told(catalog)["unlabelled"] == ("images/3.jpg", "images/5.jpg")
    with pytest.raises(InputError, match=r"strict: 1 row without the bytes of an image"):
        load_dataset(tmp_path / "pets", strict=True)


def test_files_elsewhere_that_rows_name_are_not_opened(rows, encoded, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(encoded(1))
    home = saved(tmp_path / "pets", rows())
    import pyarrow

    path = home / "data-00000-of-00001.arrow"
    with pyarrow.memory_map(str(path)) as mapped:
        table = pyarrow.ipc.open_stream(mapped).read_all()
    images = [*table["image"].to_pylist()[1:], {"bytes": None, "path": str(secret)}]
    table = table.set_column(0, "image", pyarrow.array(images, table.schema.field("image").type))
    with pyarrow.ipc.new_stream(str(tmp_path / "new"), table.schema) as stream:
        stream.write_table(table)
    (tmp_path / "new").replace(path)
    assert told(list_images(home))["missing_files"] == (f"images/{secret}",)


def edited(path: Path, change: Callable[[dict], None]) -> None:
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held))


ARROW = "data-00000-of-00001.arrow"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda home: (home / ARROW).write_bytes((home / ARROW).read_bytes()[:3000]),
            rf"{ARROW} is damaged behind row 0: ",
        ),
        (lambda home: (home / ARROW).write_bytes(b"x" * 3000), rf"{ARROW} is damaged behind row 0: "),
        (lambda home: (home / ARROW).unlink(), rf"{ARROW} is missing, although state.json names it"),
        (lambda home: (home / "state.json").write_text("{"), r"state.json is damaged: "),
        (
            lambda home: edited(home / "state.json", lambda held: held["_data_files"][0].update(filename="../x.arrow")),
            r"state.json of pets names no Arrow files of its folder",
        ),
        (lambda home: edited(home / "dataset_info.json", lambda held: held.update(features=None)), r"names no columns"),
        (
            lambda home: edited(
                home / "dataset_info.json", lambda held: held["features"]["label"].update(names=["a", "b"])
            ),
            r"row 2 of pets has 2 as its label, but 2 are named, 0 to 1",
        ),
    ],
)
def test_what_is_damaged_is_named(rows, tmp_path, spoil, message):
    home = saved(tmp_path / "pets", rows())
    spoil(home)
    with pytest.raises(InputError, match=message):
        list_images(home)


def test_a_dictionary_leads_nowhere_else(rows, tmp_path):
    saved(tmp_path / "out", rows())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dataset_dict.json").write_text(json.dumps({"splits": ["../out"]}))
    with pytest.raises(InputError, match=r"dataset_dict.json of .*in names no splits"):
        list_images(tmp_path / "in")


def test_a_selection_of_rows_is_what_is_saved(rows, tmp_path):
    table = datasets.Dataset.from_list(rows(), features=features()).select([6, 1, 3]).shuffle(seed=1)
    table.save_to_disk(tmp_path / "pets")
    catalog = list_images(tmp_path / "pets")
    assert catalog.labels.tolist() == table["label"]


def test_several_columns_of_images_are_asked_about(rows, encoded, tmp_path):
    image = datasets.Image()
    table = rows(mask=lambda i: {"bytes": encoded(90 + i), "path": None})
    home = saved(tmp_path / "pets", table, mask=image)
    with pytest.raises(InputError, match=r"image_column: which of image, mask holds the images\?"):
        list_images(home)
    catalog = list_images(home, table=TableOptions(image_column="mask"))
    assert catalog.read(3) == encoded(93)
    assert catalog.names[3] == "images/3"


def test_the_missing_package_is_named(rows, tmp_path, monkeypatch):
    home = saved(tmp_path / "pets", rows())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"needs pyarrow to be read; install it \(pip install 'seewhy\[datasets\]'\)"):
        list_images(home)
