"""Content says which images these are: not names of folders, sizes or times."""

from __future__ import annotations

import errno
import os
import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image

from seewhy.data import DecodeOptions, SplitOptions, cache_build, codec, identity, load_dataset, reading
from seewhy.data.identity import FileIndex
from seewhy.data.sources import catalog


@pytest.fixture(autouse=True)
def rested(monkeypatch):
    """Trust the index at once, as it is trusted of files that have rested."""
    monkeypatch.setattr(identity, "REST", 0)


@pytest.fixture
def bitmaps(tmp_path):
    """Folders of BMP files of equal size and time: `bitmaps("name", {"a": 10, "b": 200})` with the grey value of each class."""

    def make(name, values):
        for label, value in values.items():
            for i in range(6):
                path = tmp_path / name / label / f"{i}.bmp"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (8, 8), value + i).save(path)
                os.utime(path, ns=(10**18, 10**18))
        return tmp_path / name

    return make


def values_by_class(data):
    """The values of the images of every class."""
    result = {name: [] for name in data.classes}
    for split in data.splits.values():
        means = split.images(torch.arange(len(split))).float().mean((1, 2, 3))
        for k, mean in zip(split.labels.tolist(), means.tolist(), strict=True):
            result[data.classes[k]].append(int(mean))
    return {name: sorted(values) for name, values in result.items()}


@pytest.mark.parametrize("kind", ["pixels", "bytes"])
def test_class_folders_that_exchange_their_names(bitmaps, kind):
    root = bitmaps("set", {"cat": 10, "dog": 200})
    options = DecodeOptions(cache=kind)
    before = load_dataset(root, decode=options)
    os.rename(root / "cat", root / "x")
    os.rename(root / "dog", root / "cat")
    os.rename(root / "x", root / "dog")
    after = load_dataset(root, decode=options)
    assert before.fingerprint != after.fingerprint
    assert values_by_class(before) == {"cat": list(range(10, 16)), "dog": list(range(200, 206))}
    assert values_by_class(after) == {"dog": list(range(10, 16)), "cat": list(range(200, 206))}


def test_files_that_exchange_their_names(bitmaps):
    root = bitmaps("set", {"cat": 10, "dog": 200})
    load_dataset(root)
    os.rename(root / "cat" / "0.bmp", root / "x")
    os.rename(root / "dog" / "0.bmp", root / "cat" / "0.bmp")
    os.rename(root / "x", root / "dog" / "0.bmp")
    assert values_by_class(load_dataset(root))["cat"] == [11, 12, 13, 14, 15, 200]


def test_another_folder_of_equal_layout_sizes_and_times(bitmaps):
    first, second = (
        load_dataset(bitmaps(name, {"cat": value, "dog": 100})) for name, value in (("one", 10), ("two", 50))
    )
    assert first.fingerprint != second.fingerprint
    assert values_by_class(second)["cat"] == list(range(50, 56))


def test_a_file_that_is_written_again_with_its_old_size_and_time(bitmaps):
    root = bitmaps("set", {"cat": 10, "dog": 200})
    load_dataset(root)
    Image.new("L", (8, 8), 77).save(root / "cat" / "0.bmp")
    os.utime(root / "cat" / "0.bmp", ns=(10**18, 10**18))
    assert values_by_class(load_dataset(root))["cat"] == [11, 12, 13, 14, 15, 77]


@pytest.mark.parametrize("change", ["mv", "cp", "touch", "link", "rename_root"])
@pytest.mark.parametrize("labels", ["required", "optional"])
def test_the_same_bytes_elsewhere_are_the_same_data_set(folder, tmp_path, monkeypatch, change, labels):
    root = folder({"cat": 6, "dog": 6}, name="photos")
    before = load_dataset(root, labels=labels)
    there = tmp_path / "other" / "photos"
    there.parent.mkdir()
    if change == "mv":
        os.rename(root, there)
    elif change == "cp":
        shutil.copytree(root, there)
    elif change == "touch":
        there = root
        for path in root.rglob("*.jpg"):
            os.utime(path)
    elif change == "link":
        there.symlink_to(root)
    else:
        there = root.rename(tmp_path / "renamed")
    monkeypatch.setattr(cache_build, "decode_into", None)  # nothing is decoded
    after = load_dataset(there, labels=labels)
    assert after.fingerprint == before.fingerprint
    assert after.train.names == before.train.names
    assert torch.equal(after.train.images(torch.arange(3)), before.train.images(torch.arange(3)))


def test_images_without_labels_in_a_renamed_folder_are_the_same(folder, tmp_path):
    root = folder({"": 12}, name="photos")
    before = load_dataset(root, labels="optional").fingerprint
    assert load_dataset(root.rename(tmp_path / "pictures"), labels="optional").fingerprint == before


def test_an_archive_is_known_by_its_arrays(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1), dtype=np.uint8)
    path, prints = tmp_path / "set.npz", []
    for pixels, labels in (
        (images, np.arange(40) % 2),
        (images[::-1], np.arange(40) % 2),
        (images, np.arange(40) % 4 // 2),
    ):
        np.savez(path, images=pixels, labels=labels)
        os.utime(path, ns=(10**18, 10**18))
        prints.append(load_dataset(path).fingerprint)
    assert len(set(prints)) == 3
    copy = tmp_path / "other" / "set.npz"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    assert load_dataset(copy).fingerprint == prints[-1]
    assert load_dataset((images, np.arange(40) % 4 // 2)).fingerprint == prints[-1]


def test_unchanged_files_are_not_read_again(folder, monkeypatch):
    root = folder({"cat": 6, "dog": 6})
    load_dataset(root)
    reads = []
    monkeypatch.setattr(catalog, "read_bytes", lambda path: reads.append(path) or reading.read_bytes(path))
    load_dataset(root)
    assert reads == []
    os.utime(root / "cat" / "000.jpg")
    load_dataset(root)
    assert [path[-11:] for path in reads] == ["cat/000.jpg"]


def test_a_file_that_has_not_rested_is_not_trusted(folder, tmp_path, monkeypatch):
    root = folder({"cat": 1, "dog": 1})
    stats = np.array(
        [[*(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev)] for s in map(os.stat, root.rglob("*.jpg"))]
    )
    paths = [str(path.relative_to(root)) for path in root.rglob("*.jpg")]

    def unknown_after_saving(rest):
        monkeypatch.setattr(identity, "REST", rest)
        index = FileIndex.open(tmp_path, str(root), paths, stats)
        index.read(lambda row: (root / paths[row]).read_bytes())
        index.save()
        return len(FileIndex.open(tmp_path, str(root), paths, stats).unknown)

    assert unknown_after_saving(int(time.time_ns() - stats[:, 2].min() + 10**10)) == 2
    assert unknown_after_saving(0) == 0


def test_a_damaged_index_is_read_anew(folder, own_cache):
    root = folder({"cat": 6, "dog": 6})
    before = load_dataset(root).fingerprint
    (index,) = own_cache.glob("files-*.npz")
    whole = index.read_bytes()
    for damaged in (b"", whole[:100], whole[:200] + b"\0" * (len(whole) - 200)):
        index.write_bytes(damaged)
        assert load_dataset(root).fingerprint == before


def refusing(monkeypatch, name, error):
    """Make the system refuse to open one file, as it never does to the superuser."""
    plain = os.open

    def opened(path, *args, **kwargs):
        if str(path).endswith(name):
            raise OSError(error, os.strerror(error), path)
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", opened)


@pytest.mark.parametrize("kind", ["pixels", "bytes"])
@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_an_error_that_passes_is_not_kept(folder, monkeypatch, error, kind):
    root, options = folder({"cat": 6, "dog": 6}), DecodeOptions(cache=kind)
    with monkeypatch.context() as patch:
        refusing(patch, "cat/000.jpg", error)
        for _ in range(2):  # the second from the cache
            (issue,) = load_dataset(root, decode=options).audit.of("unreadable")
            assert issue.paths == ("cat/000.jpg",)
            assert os.strerror(error) in issue.message
    data = load_dataset(root, decode=options)
    assert data.audit.of("unreadable") == ()
    assert sum(len(split) for split in data.splits.values()) == 12


def test_memory_that_was_short_is_not_kept(folder, monkeypatch):
    root = folder({"cat": 6, "dog": 6}, size=(20, 20))
    options = DecodeOptions(resolution=16, channels=3)
    with monkeypatch.context() as patch:
        patch.setattr(codec, "fit_into", lambda *given: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(ValueError, match="0 classes"):
            load_dataset(root, decode=options)
    assert load_dataset(root, decode=options).audit.of("unreadable") == ()


def test_hashes_find_images_that_a_run_was_trained_on(folder, tmp_path):
    root = folder({"cat": 20, "dog": 20})
    trained = load_dataset(root, split=SplitOptions(test_fraction=0.5)).train
    copy = shutil.copytree(root, tmp_path / "copy")
    for number, path in enumerate(sorted(copy.rglob("*.jpg"))):
        if number % 2:
            path.rename(path.with_name(f"renamed-{number}.jpg"))
        else:
            Image.open(path).save(path.with_suffix(".png"))
            path.unlink()
    seen = load_dataset(copy, split=SplitOptions(val_fraction=0.0, test_fraction=0.0)).train.overlap(trained.hashes)
    assert int(seen.sum()) == len(trained)
    assert trained.take(torch.tensor([3, 1])).hashes.tolist() == trained.hashes[[3, 1]].tolist()
