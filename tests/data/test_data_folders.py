"""Folders as they are found: own output, debris, names of splits, names that look alike, and files that are no files."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import unicodedata

import pytest

from seewhy.core.errors import InputError
from seewhy.data import check_dataset, decode_file, decode_many, find_images, list_images, load_dataset
from seewhy.data.sources.split_names import split_of
from seewhy.data.split_rules import TEST, TRAIN, VAL


def issue(catalog, kind):
    (found,) = [issue for issue in catalog.issues if issue.kind == kind]
    return found


# what seewhy wrote


def write_run(where, encoded):
    (where / "augmented").mkdir(parents=True)
    for name in ("spec.toml", "request.toml", "data.json"):
        (where / name).write_text("x")
    (where / "augmented" / "flip.png").write_bytes(encoded(90, "PNG"))


@pytest.mark.parametrize("where", ["runs/one", "one", "a/one", "deep/er/runs/one"])
def test_runs_in_the_folder_of_the_data_are_no_data(folder, encoded, where):
    root = folder({"a": 6, "b": 6})
    before = load_dataset(root)
    for name in (where, f"{where}-2"):
        write_run(root / name, encoded)
    after = load_dataset(root)
    assert after.classes == ("a", "b")
    assert after.fingerprint == before.fingerprint
    assert [issue.kind for issue in after.audit.issues] == ["own_output"]
    assert after.audit.issues[0].severity == "note"


def test_runs_beside_images_without_classes_are_no_data(folder, encoded):
    root = folder({"": 12})
    before = load_dataset(root, labels="optional").fingerprint
    write_run(root / "runs" / "one", encoded)
    (root / "notes").mkdir()
    assert load_dataset(root, labels="optional").fingerprint == before


def test_the_cache_in_the_folder_of_the_data_is_no_data(folder):
    root = folder({"a": 6, "b": 6})
    before = load_dataset(root, cache_dir=root / "cache").fingerprint
    after = load_dataset(root, cache_dir=root / "cache")
    assert (after.classes, after.fingerprint) == (("a", "b"), before)


def test_a_run_itself_is_refused(tmp_path, encoded):
    write_run(tmp_path / "run", encoded)
    for use in (lambda: list_images(tmp_path / "run"), lambda: list(find_images([tmp_path / "run"]))):
        with pytest.raises(InputError, match=r"is a run or a cache that seewhy wrote"):
            use()


def test_a_class_that_holds_a_file_of_a_runs_name_is_a_class(folder):
    root = folder({"a": 6, "b": 6})
    (root / "a" / "spec.toml").write_text("x")
    assert list_images(root).classes == ("a", "b")


# names of splits, and debris


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (
            TRAIN,
            "train Train TRAINING trn train_set training-images train2017 TrainSet traindata images_train train_data",
        ),
        (VAL, "val valid Validation dev eval validation_set valImages val2017 dev-set Evaluation development"),
        (TEST, "test Testing tst test_set testset TEST_IMAGES test2017 testdata"),
        (None, "trainer bus test_track contest validity train2 devil 2017 tests étest train_test images evaluator"),
    ],
)
def test_names_of_splits(split, names):
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


@pytest.mark.parametrize(
    "names", ["Training Validation Testing", "train_set dev tst", "images_train images_val images_test"]
)
def test_usual_names_of_splits_are_splits(folder, names):
    train, val, test = names.split()
    catalog = list_images(folder({f"{train}/a": 2, f"{train}/b": 2, f"{val}/a": 1, f"{test}/b": 1}))
    assert catalog.classes == ("a", "b")
    assert catalog.splits.tolist() == [
        {train: TRAIN, val: VAL, test: TEST}[name.split("/")[0]] for name in catalog.names
    ]


def test_classes_that_are_called_like_splits_are_warned_of(folder):
    catalog = list_images(folder({"Training": 4, "Testing": 4}))
    assert issue(catalog, "split_names").paths == ("Testing", "Training")
    assert issue(catalog, "split_names").severity == "warning"
    assert not list_images(folder({"train": 2, "bus": 2}, name="vehicles")).issues


@pytest.mark.parametrize(
    ("images", "severity", "left"), [(1, "warning", "1 image"), (4, "warning", "4 images"), (9, "error", "9 images")]
)
def test_a_folder_of_images_beside_the_splits_is_no_file_left_alone(folder, images, severity, left):
    found = issue(list_images(folder({"train/a": 4, "train/b": 2, "validation/b": 2, "tset/b": images})), "split_names")
    assert (
        found.message
        == f"1 folder beside the splits is none, {left} left out: tset/; did you mean 'test' by 'tset'? Rename it"
    )
    assert (found.severity, found.paths) == (severity, ("tset/",))


def test_a_misspelt_split_beside_the_training_folder_is_warned_of(folder):
    catalog = list_images(folder({"train/a": 2, "train/b": 2, "tset/a": 2}))
    assert catalog.classes == ("train", "tset")
    assert "taken for classes: train, tset; did you mean 'test' by 'tset'?" in issue(catalog, "split_names").message
    catalog = list_images(folder({"trian/a": 2, "test/a": 2}, name="other"))
    assert "did you mean 'train' by 'trian'?" in issue(catalog, "split_names").message
    assert not list_images(folder({"train/steam": 2, "van/red": 2}, name="vehicles")).issues


DEBRIS = (
    "@eaDir .ipynb_checkpoints __pycache__ lost+found $RECYCLE.BIN System@Volume@Information #recycle @Recycle .Trash-1000 __MACOSX .thumbnails "
    "node_modules .git"
)


@pytest.mark.parametrize("name", DEBRIS.split())
def test_debris_is_no_class_and_no_image(folder, encoded, name):
    name = name.replace("@Volume@", " Volume ")
    root = folder({"a": 3, "b": 3})
    for where in (root, root / "a"):
        (where / name).mkdir()
        (where / name / "000.jpg").write_bytes(encoded(70))
    catalog = list_images(root)
    assert (catalog.classes, len(catalog.names), catalog.issues) == (("a", "b"), 6, ())
    assert len(list(find_images([root]))) == 6


def test_what_is_left_out_is_said_the_louder_the_more_it_is(folder):
    root = folder({"a": 10, "b": 10})
    for share, severity in ((1, "note"), (4, "warning"), (30, "error")):
        for k in range(share):
            (root / "a" / f"{k}.heic").write_bytes(b"x")
        found = issue(list_images(root), "stray_files")
        assert found.severity == severity
        assert ("%" in found.message) == (severity != "note")


def test_texts_beside_images_are_only_noted(folder):
    root = folder({"a": 5, "b": 5})
    for k in range(30):
        (root / "a" / f"{k}.json").write_text("{}")
        (root / "a" / f"{k}.txt").write_text("{}")
    assert issue(list_images(root), "stray_files").severity == "note"


def test_images_of_every_format_are_taken(folder, encoded):
    root = folder({"a": 3, "b": 3})
    for form, suffix in (("AVIF", "avif"), ("PPM", "ppm"), ("JPEG2000", "jp2"), ("TGA", "tga"), ("QOI", "qoi")):
        (root / "a" / f"x.{suffix}").write_bytes(encoded(60 + len(form) * ord(form[0]), form))
    data = load_dataset(root)
    assert sum(len(split) for split in data.splits.values()) == 11
    assert data.audit.issues == ()


def test_prediction_walks_as_training_does(folder, encoded, tmp_path):
    root = folder({"a": 3, "b/deep": 3})
    (root / "a" / ".hidden.jpg").write_bytes(encoded(60))
    (root / ".trash").mkdir()
    (root / ".trash" / "x.jpg").write_bytes(encoded(61))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "y.jpg").write_bytes(encoded(62))
    (root / "b" / "link").symlink_to(tmp_path / "elsewhere")
    (root / "b" / "up").symlink_to(root)
    (root / "a" / "notes.txt").write_text("x")
    catalog = list_images(root)
    assert sorted(find_images([root])) == sorted(os.path.join(root, path) for path in catalog.paths)


def test_patterns_and_files_that_predict_takes(folder, monkeypatch):
    root = folder({"a": 3, "b": 3})
    (root / "a" / "notes.txt").write_text("x")
    assert len(list(find_images([f"{root}/a/*"]))) == 3, "of a pattern's matches the images"
    assert list(find_images([f"{root}/a/*.txt"])) == [f"{root}/a/notes.txt"], "or all where none is called like one"
    assert list(find_images([f"{root}/a/notes.txt"])) == [f"{root}/a/notes.txt"], "a file is taken at its word"
    assert len(list(find_images([f"{root}/**/*.jpg"]))) == len(list(find_images([f"{root}/*"]))) == 6
    monkeypatch.setenv("HOME", str(root))
    assert len(list(find_images(["~/a", "~/b/000.jpg"]))) == 4
    for wrong in ("~/c", f"{root}/*.png", "a\0b", "", "x" * 300, "\udcff.jpg"):
        with pytest.raises(InputError):
            list(find_images([wrong]))


# names


def test_names_that_are_not_utf_8_stay_distinct(folder, encoded):
    root = folder({"a": 3})
    for raw in (b"\xe9t\xe9", b"\xe8t\xe8"):
        os.mkdir(os.fsencode(root) + b"/" + raw)
        for k in range(3):
            with open(os.fsencode(root) + b"/" + raw + b"/%d\xff.jpg" % k, "wb") as file:
                file.write(encoded(raw[0] + k))
    data = load_dataset(root)
    assert data.classes == ("a", r"\xe8t\xe8", r"\xe9t\xe9")
    assert [sum(column) for column in zip(*data.counts().values(), strict=True)] == [3, 3, 3]
    assert len(set(data.train.names)) == len(data.train.names)
    "".join((*data.classes, *data.train.names)).encode()


def test_composed_and_decomposed_names_are_one_class(folder):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    root = folder({f"train/{composed}": 4, "train/b": 4, f"test/{decomposed}": 2, "test/b": 2})
    catalog = list_images(root)
    assert catalog.classes == ("b", composed)
    assert [issue.kind for issue in catalog.issues] == []
    both = list_images(folder({composed: 2, decomposed: 2, "b": 2}, name="both"))
    assert both.classes == ("b", composed)
    assert len(set(both.names)) == 6
    assert issue(both, "class_names").paths == (composed,)


@pytest.mark.parametrize(
    "source",
    [
        "x" * 300,
        "\ud800/x",
        "/" + "x" * 5000,
        "a\0b",
        "\udcff\udcfe",
        "~nobody/x",
        "",
        b"\xff",
        3,
        None,
        2.5,
        {1, 2},
        ["a"],
    ],
)
def test_what_is_no_source_is_refused_in_words(source):
    with pytest.raises(InputError, match=r"^(source|the)"):
        list_images(source)


def test_the_home_folder_is_written_as_a_tilde(folder, monkeypatch, tmp_path):
    root = folder({"a": 3, "b": 3})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEEWHY_CACHE", "~/own-cache")
    assert load_dataset("~/images").classes == ("a", "b")
    assert (tmp_path / "own-cache").is_dir()
    monkeypatch.setenv("SEEWHY_DATA", "~/own-data")
    from seewhy.data.sources.builtin import data_folder

    assert data_folder() == tmp_path / "own-data"
    assert root.is_dir()


# files that are no files


def within(seconds, work):
    """Return what `work` returns; fail if it takes longer."""
    result = []
    thread = threading.Thread(target=lambda: result.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "hangs"
    return result[0]


def test_pipes_sockets_and_devices_are_named_and_not_opened(folder, tmp_path):
    root = folder({"a": 6, "b": 6})
    os.mkfifo(root / "a" / "pipe.jpg")
    (root / "a" / "zero.jpg").symlink_to("/dev/zero")
    (root / "b" / "pipe-link.png").symlink_to(root / "a" / "pipe.jpg")
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.relpath(root / "b" / "s.jpg"))
    audit = within(30, lambda: check_dataset(root))
    server.close()
    (found,) = audit.of("special_files")
    assert sorted(found.paths) == [
        *("a/pipe.jpg (a named pipe)", "a/zero.jpg (a device)", "b/pipe-link.png (a named pipe)", "b/s.jpg (a socket)"),
    ]
    assert audit.of("unreadable") == ()
    assert len(within(30, lambda: list(find_images([root])))) == 12


def test_pipes_and_devices_that_are_named_themselves_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    sources = [str(tmp_path / "pipe.jpg"), "/dev/zero", "/dev/null", str(tmp_path), "a\0b.jpg"]
    _, failures = within(30, lambda: decode_many(sources, resolution=8, channels=3))
    assert [position for position, _ in failures] == [0, 1, 2, 3, 4]
    assert "is a named pipe" in failures[0][1]
    with pytest.raises(InputError, match="is a device, not a file"):
        decode_file("/dev/zero", resolution=8, channels=3)


def test_links_to_themselves_cost_nobody_else(folder):
    root = folder({"a": 6, "b": 6})
    (root / "a" / "self.jpg").symlink_to("self.jpg")
    (root / "a" / "0.jpg").symlink_to("1.jpg")
    (root / "a" / "1.jpg").symlink_to("0.jpg")
    (root / "loop").symlink_to("loop")
    data = load_dataset(root)
    assert sum(len(split) for split in data.splits.values()) == 12
    (found,) = data.audit.of("unreadable")
    assert found.paths == ("a/0.jpg", "a/1.jpg", "a/self.jpg")


def test_links_that_double_cost_as_much_as_their_folders(folder, encoded):
    root = folder({"a": 2, "b": 2})
    maze = root / "a" / "maze"
    for level in range(22):
        here = root / "a" / f"level{level}"
        here.mkdir()
        (here / "x.jpg").write_bytes(encoded(60 + level))
        for name in ("left", "right"):
            (here / name).symlink_to(root / "a" / f"level{level + 1}")
    (root / "a" / "level22").mkdir()
    maze.symlink_to(root / "a" / "level0")
    catalog = within(30, lambda: list_images(root))
    assert len(catalog.names) == 4 + 22
    assert len(issue(catalog, "link_loop").paths) == 45


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_links_to_folders_above_are_no_classes(folder, target):
    root = folder({"a": 3, "b": 3})
    (root / "up").symlink_to(target)
    catalog = list_images(root)
    assert (catalog.classes, len(catalog.names)) == (("a", "b"), 6)
    assert issue(catalog, "link_loop").paths == ("up",)


@pytest.fixture
def deep_root(folder):
    """A folder whose deep tree is removed afterwards by a program that can: pytest's own cleaning recurses."""
    root = folder({"a": 3, "b": 3})
    yield root
    subprocess.run(["rm", "-rf", str(root)], check=True)


def test_twelve_hundred_nested_folders(deep_root, encoded):
    root = deep_root
    here = os.getcwd()
    try:
        os.chdir(root / "a")
        for _ in range(1200):
            os.mkdir("d")
            os.chdir("d")
        with open("x.jpg", "wb") as file:
            file.write(encoded(50))
    finally:
        os.chdir(here)
    assert len(within(60, lambda: list_images(root)).names) == 7
    assert len(within(60, lambda: list(find_images([root])))) == 7
    try:
        os.chdir(root / "a")
        for _ in range(1200):
            os.chdir("d")
        for _ in range(400):
            os.mkdir("a-rather-long-name")
            os.chdir("a-rather-long-name")
    finally:
        os.chdir(here)
    catalog = within(60, lambda: list_images(root))
    assert "File name too long" in issue(catalog, "unreadable").message
