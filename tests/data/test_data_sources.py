from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from seewhy.core.errors import InputError
from seewhy.data.decoding import decode
from seewhy.data.sources import BUILTIN, builtin, is_builtin, list_images
from seewhy.data.sources.catalog import Numbered
from seewhy.data.sources.names import natural_key


def kinds(catalog) -> dict[str, str]:
    return {issue.kind: issue.message for issue in catalog.issues}


def test_class_folders_without_splits(folder):
    catalog = list_images(folder({"b": 2, "a": 3}))
    assert catalog.classes == ("a", "b")
    assert list(catalog.names) == ["a/000.jpg", "a/001.jpg", "a/002.jpg", "b/000.jpg", "b/001.jpg"]
    assert catalog.labels.tolist() == [0, 0, 0, 1, 1]
    assert set(catalog.splits.tolist()) == {-1}
    assert (catalog.kind, catalog.name, catalog.issues) == ("folder", "images", ())


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_splits_by_name(folder, val):
    root = folder({"train/a": 2, "train/b": 1, f"{val}/a": 1, "test/b": 1, "test/c": 1})
    catalog = list_images(root)
    assert catalog.classes == ("a", "b", "c"), "the union over the splits"
    assert dict(zip(catalog.names, catalog.splits.tolist(), strict=True)) == {
        "train/a/000.jpg": 0, "train/a/001.jpg": 0, "train/b/000.jpg": 0,
        f"{val}/a/000.jpg": 1, "test/b/000.jpg": 2, "test/c/000.jpg": 2,
    }  # fmt: skip


def test_a_class_may_be_called_train(folder):
    assert list_images(folder({"train": 2, "bus": 2, "car": 2})).classes == ("bus", "car", "train")
    assert list_images(folder({"train/old": 2, "bus": 2}, name="deep")).classes == ("bus", "train")


def test_other_folders_beside_splits_are_left_alone(folder):
    catalog = list_images(folder({"train/a": 2, "train/b": 2, "test/a": 1, "extra/x": 3}))
    assert catalog.classes == ("a", "b")
    assert kinds(catalog)["split_names"] == "1 folder beside the splits is none, 3 images left out: extra/"


def test_classes_are_sorted_naturally(folder):
    assert list_images(folder({"10": 1, "9": 1, "100": 1})).classes == ("9", "10", "100")
    assert sorted(["img10", "img2", "Img1"], key=natural_key) == ["Img1", "img2", "img10"]


def test_rubbish_is_ignored_or_counted(folder):
    root = folder({"a": 2, "b": 2})
    for name in (".DS_Store", "Thumbs.db", "a/.hidden.jpg", "a/Thumbs.db", "a/._000.jpg"):
        (root / name).write_bytes(b"x")
    (root / "__MACOSX").mkdir()
    (root / ".git").mkdir()
    (root / "readme.txt").write_text("x")
    (root / "b" / "labels.csv").write_text("x")
    catalog = list_images(root)
    assert len(catalog.names) == 4
    assert kinds(catalog) == {
        "stray_files": "2 files left alone that are no image of a class: b/labels.csv, readme.txt"
    }


def test_folders_inside_a_class_belong_to_it(folder):
    catalog = list_images(folder({"a/x/y": 2, "a/z": 1, "b": 1}))
    assert catalog.classes == ("a", "b")
    assert catalog.labels.tolist() == [0, 0, 0, 1]


def test_links_are_followed_and_loops_cut(folder):
    root = folder({"a/deep": 2, "b": 1})
    (root / "a" / "deep" / "up").symlink_to(root / "a")
    (root / "c").symlink_to(root / "b")
    catalog = list_images(root)
    assert catalog.classes == ("a", "b", "c")
    assert len(catalog.names) == 4
    assert kinds(catalog) == {
        "link_loop": "1 link leads to a folder that is listed already or above, not followed: a/deep/up"
    }


def test_unicode_very_long_and_undecodable_names(folder, encoded):
    root = folder({"größe 大": 1, "b": 1})
    (root / "b" / ("x" * 251 + ".jpg")).write_bytes(encoded(50))
    (root / "b" / "täst 🐈.JPEG").write_bytes(encoded(51))
    with open(os.fsencode(root / "b") + b"/\xff\xfe.png", "wb") as file:
        file.write(encoded(52, "PNG"))
    catalog = list_images(root)
    assert catalog.classes == ("b", "größe 大")
    assert len(catalog.names) == 5
    assert "b/täst 🐈.JPEG" in catalog.names
    assert r"b/\xff\xfe.png" in catalog.names
    "".join(catalog.names).encode()


def test_empty_classes_are_reported_and_left_out(folder):
    root = folder({"a": 2, "b": 2})
    (root / "nothing").mkdir()
    catalog = list_images(root)
    assert catalog.classes == ("a", "b")
    assert kinds(catalog) == {"empty_class": "1 class without images, left out: nothing"}


def test_a_broken_link_is_listed_so_that_reading_it_reports_it(folder):
    root = folder({"a": 2, "b": 2})
    (root / "a" / "gone.jpg").symlink_to(root / "nowhere")
    assert "a/gone.jpg" in list_images(root).names


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "holds no class folders"),
        (lambda root: (root / "a").mkdir(), "holds folders but no images"),
        (
            lambda root: (root / "a.jpg").write_bytes(b"x"),
            "holds images but no class folders; put the images of each class",
        ),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, make, message):
    root = tmp_path / "set"
    root.mkdir()
    make(root)
    with pytest.raises(InputError, match=message):
        list_images(root)


def test_one_class_only(folder):
    with pytest.raises(
        InputError, match=r"images of one class only \(a\); a classifier needs at least two class folders$"
    ):
        list_images(folder({"a": 3}))
    with pytest.raises(InputError, match=r"did you mean '.*wrapped/inner'\?"):
        list_images(folder({"inner/a": 1, "inner/b": 1}, name="wrapped"))


def test_one_class_is_enough_where_it_is_asked_for(folder, tmp_path):
    assert list_images(folder({"a": 3}), labels="optional").classes == ("a",)
    path = archive(tmp_path, images=PIXELS, labels=np.full(6, 4))
    assert list_images(path, labels="optional").classes == ("4",)
    with pytest.raises(InputError, match="holds folders but no images"):
        list_images(folder({"a": 0}, name="none"), labels="optional")


def test_images_without_folders_are_a_class_where_one_is_enough(folder):
    catalog = list_images(folder({"": 3}, name="plain"), labels="optional")
    assert (catalog.classes, list(catalog.names)) == (("plain",), ["000.jpg", "001.jpg", "002.jpg"])
    assert set(catalog.splits.tolist()) == {-1}
    assert all(os.path.exists(os.path.join(catalog.root, path)) for path in catalog.paths)
    catalog = list_images(folder({"train": 2, "test": 1, "test/more": 1}, name="splits"), labels="optional")
    assert catalog.classes == ("splits",)
    assert dict(zip(catalog.names, catalog.splits.tolist(), strict=True)) == {
        "train/000.jpg": 0, "train/001.jpg": 0, "test/000.jpg": 2, "test/more/000.jpg": 2,
    }  # fmt: skip
    sorted_ = folder({"train/a": 1, "test/a": 1}, name="sorted")
    assert list_images(sorted_, labels="optional").classes == ("a",)
    with pytest.raises(InputError, match="holds images but no class folders"):
        list_images(folder({"": 3}, name="again"))


def test_unknown_sources_name_what_is_near(folder, monkeypatch):
    root = folder({"a": 1, "b": 1})
    with pytest.raises(
        InputError,
        match=r"'mnst' is neither a folder, nor an \.npz or \.tar file, nor a built-in name \(digits, .*did you mean 'mnist'",
    ):
        list_images("mnst")
    with pytest.raises(InputError, match=r"did you mean '.*/images'"):
        list_images(str(root.parent / "iamges"))
    with pytest.raises(InputError, match="there is no folder /absent"):
        list_images("/absent/place")
    with pytest.raises(InputError, match=r"is a file, but no \.npz or \.tar"):
        list_images(root / "a" / "000.jpg")


def test_a_built_in_name_wins_over_a_folder_unless_written_as_a_path(folder, monkeypatch):
    root = folder({"a": 1, "b": 1}, name="digits")
    monkeypatch.chdir(root.parent)
    assert list_images("digits").kind == "builtin"
    assert list_images("./digits").kind == "folder"
    assert list_images(Path("digits")).kind == "folder"
    assert is_builtin("digits")
    assert not is_builtin("./digits")


def test_numbered_names():
    names = Numbered([("train", 3), ("test", 2)])
    assert list(names) == ["train/0", "train/1", "train/2", "test/0", "test/1"]
    assert names[-1] == "test/1"
    assert names[1:4] == ["train/1", "train/2", "test/0"]
    with pytest.raises(IndexError):
        names[5]


# npz


def archive(tmp_path, **arrays) -> Path:
    np.savez(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz"


PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 5, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_npz_of_images_and_labels(tmp_path):
    catalog = list_images(archive(tmp_path, images=PIXELS, labels=LABELS))
    assert np.array_equal(catalog.pixels, PIXELS)
    assert catalog.labels.tolist() == LABELS.tolist()
    assert (catalog.kind, catalog.name, catalog.classes) == ("npz", "set", ("0", "1", "2"))
    assert catalog.names[2] == "images/2"


@pytest.mark.parametrize("keys", ["x_{}|y_{}", "X_{}|y_{}", "images_{}|labels_{}", "{}_images|{}_labels"])
def test_npz_of_splits(tmp_path, keys):
    image, label = keys.split("|")
    arrays = {image.format("train"): PIXELS[:4, ..., 0], label.format("train"): LABELS[:4, None]}
    arrays |= {image.format("test"): PIXELS[4:, ..., 0], label.format("test"): LABELS[4:, None]}
    catalog = list_images(archive(tmp_path, **arrays))
    assert catalog.pixels.shape == (6, 5, 5, 1)
    assert catalog.splits.tolist() == [0, 0, 0, 0, 2, 2]
    assert list(catalog.names)[3:] == ["train/3", "test/0", "test/1"]


def test_npz_of_texts_is_sorted_naturally(tmp_path):
    catalog = list_images(archive(tmp_path, images=PIXELS, labels=np.array(["c10", "c9", "a", "c9", "a", "c10"])))
    assert catalog.classes == ("a", "c9", "c10")
    assert catalog.labels.tolist() == [2, 1, 0, 1, 0, 2]
    assert list_images(archive(tmp_path, images=PIXELS, labels=np.array([b"x", b"y"] * 3))).classes == ("x", "y")


def test_npz_with_class_names(tmp_path):
    catalog = list_images(archive(tmp_path, images=PIXELS, labels=LABELS, classes=np.array(["ant", "bee", "cow"])))
    assert catalog.classes == ("ant", "bee", "cow")


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.array([0.0, 0.5, 1.0, 0.25], np.float32), [0, 128, 255, 64]),
        (np.array([False, True, True, False]), [0, 255, 255, 0]),
        (np.array([0, 65535, 256, 511], np.uint16), [0, 255, 1, 1]),
        (np.array([0, 255, 7, 9], np.int64), [0, 255, 7, 9]),
    ],
)
def test_npz_conversions(tmp_path, images, expected):
    catalog = list_images(archive(tmp_path, images=images.reshape(4, 1, 1), labels=np.array([0, 1, 0, 1])))
    assert decode(catalog).store.pixels.ravel().tolist() == expected


def test_npz_alpha_is_laid_on_white(tmp_path):
    pixels = np.array([[[[10, 20, 30, 255]]], [[[10, 20, 30, 0]]]], np.uint8)
    catalog = list_images(archive(tmp_path, images=pixels, labels=np.array([0, 1])))
    assert catalog.pixels.reshape(2, 3).tolist() == [[10, 20, 30], [255, 255, 255]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pixels": PIXELS}, r"must hold images and labels, or x_train, y_train and so on, got pixels; save it"),
        ({"x_test": PIXELS, "y_test": LABELS}, r"has no train split"),
        ({"images": PIXELS.astype(np.float32), "labels": LABELS}, r"must be uint8, or floating .* got float32 between 0 and 255; undo"),
        ({"images": np.full((6, 2, 2), np.nan), "labels": LABELS}, r"got float64 between nan and nan"),
        ({"images": PIXELS.astype(np.int32) - 1, "labels": LABELS}, r"integers must lie in 0\.\.255"),
        ({"images": PIXELS.astype(complex), "labels": LABELS}, r"got complex128"),
        ({"images": PIXELS.transpose(0, 3, 1, 2), "labels": LABELS}, r"got shape \(6, 3, 5, 5\); transpose to channels last"),
        ({"images": PIXELS[:0], "labels": LABELS[:0]}, r"must hold at least one image"),
        ({"images": PIXELS, "labels": LABELS[:4]}, r"must be one for each image, got 4 labels for 6 images"),
        ({"images": PIXELS, "labels": LABELS / 2}, r"must be \[N\] integers or texts, one for each image, got float64"),
        ({"images": PIXELS, "labels": np.zeros(6, int)}, r"has images of one class only \(0\)"),
        ({"images": PIXELS, "labels": LABELS, "classes": np.array(["a"])}, r"classes names 1 labels, 0 to 0, got labels 0 to 2"),
        ({"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS[:, :4], "y_test": LABELS}, r"the splits differ in shape"),
        ({"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS, "y_test": LABELS.astype(str)}, r"texts in one split and integers in another"),
        ({"images": PIXELS, "labels": np.array([{}] * 6)}, r"labels holds Python objects, which are not loaded"),
    ],
)  # fmt: skip
def test_npz_refusals(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        list_images(archive(tmp_path, **arrays))


def test_a_damaged_npz(tmp_path):
    path = archive(tmp_path, images=PIXELS, labels=LABELS)
    whole = path.read_bytes()
    for data in (b"", b"no archive", whole[:300], whole[:100] + b"\xff" * 50 + whole[150:]):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"set\.npz"):
            list_images(path)


# built-in


def test_digits_are_embedded():
    catalog = list_images("digits")
    assert catalog.pixels.shape == (1797, 8, 8, 1)
    assert (catalog.pixels.min(), catalog.pixels.max()) == (0, 255)
    assert catalog.classes == tuple("0123456789")
    assert np.bincount(catalog.labels).sum() == 1797


def test_mnist_is_found_in_the_data_folder():
    home = os.environ.get("SEEWHY_DATA")
    if not home or not (Path(home) / "MNIST" / "raw").is_dir():
        pytest.skip("SEEWHY_DATA names no folder with MNIST/raw")
    catalog = list_images("mnist")
    assert catalog.pixels.shape == (70_000, 28, 28, 1)
    assert (np.bincount(catalog.splits, minlength=3) == [60_000, 0, 10_000]).all()
    assert catalog.classes == tuple("0123456789")
    assert catalog.labels[:5].tolist() == [5, 0, 4, 1, 9]


@pytest.mark.parametrize("name", [name for name in BUILTIN if name != "digits"])
def test_a_missing_set_offline_says_where_its_files_belong(name, tmp_path, monkeypatch, capfd):
    def no_network(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setenv("SEEWHY_DATA", str(tmp_path / "data"))
    with pytest.raises(InputError) as caught:
        list_images(name)
    place = tmp_path / "data" / BUILTIN[name].where
    assert f"source: {name!r} is not in {place} and cannot be downloaded" in str(caught.value)
    assert "SEEWHY_DATA" in str(caught.value)
    assert capfd.readouterr().out == ""
    assert socket.getdefaulttimeout() is None, "the timeout of the rest of the program is as it was"


def test_a_data_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be downloaded"):
        builtin.load_builtin("kmnist", tmp_path / "file" / "data")


def test_importing_the_sources_does_not_import_heavy_packages():
    import subprocess

    code = (
        "import sys, seewhy.data.sources; print([m for m in ('sklearn', 'torchvision', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_arrays_that_are_not_read_are_told(tmp_path):
    images, labels = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4), np.array([0, 1] * 3)
    given = {"x_train": images, "y_train": labels, "x_tset": images, "y_tset": labels}
    np.savez(tmp_path / "d.npz", **given)
    for source in (given, tmp_path / "d.npz"):
        (left,) = list_images(source).issues
        assert (left.severity, left.paths) == ("warning", ("x_tset", "y_tset"))
        assert left.message.startswith(
            "2 arrays left alone: x_tset, y_tset; did you mean 'x_test' by 'x_tset'? Rename it;"
        )
    (left,) = list_images({"images": images, "labels": labels, "patients": labels}).issues
    assert (left.severity, left.message) == ("note", "1 array left alone: patients")
