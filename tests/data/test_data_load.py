from __future__ import annotations

import errno
import importlib
import os
import pkgutil
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy.data
from seewhy.core.errors import InputError
from seewhy.data import (
    DecodeOptions,
    SplitOptions,
    check_dataset,
    decode,
    list_images,
    load_dataset,
    load_for_evaluation,
    split,
)
from seewhy.data.dataset import PixelStore
from seewhy.data.facts import ImageFacts
from seewhy.data.splitting import find_duplicates


def kinds(audit) -> list[str]:
    return [issue.kind for issue in audit.issues]


def test_digits():
    data = load_dataset("digits")
    assert (len(data.train), len(data.val), len(data.test)) == (1375, 153, 269)
    assert (data.channels, data.height, data.width, len(data.classes)) == (1, 8, 8, 10)
    assert data.audit.issues == ()
    assert not data.flip_invariant
    sample_ids = torch.cat([split.sample_ids for split in data.splits.values()])
    assert sorted(sample_ids.tolist()) == list(range(1797))
    assert data.train.names[0].startswith("digits/")
    assert data.summary() == "digits: 1,375 train, 153 val, 269 test; 10 classes; 8 x 8 pixels, grey"


def test_mean_and_standard_deviation_are_those_of_the_training_split(folder):
    data = load_dataset(folder({"a": 20, "b": 20}))
    pixels = data.train.images(torch.arange(len(data.train))).double() / 255
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert data.std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), rel=1e-9)


def test_constant_images_can_be_normalised(tmp_path):
    images = np.full((10, 8, 8, 3), 200, np.uint8)
    np.savez(tmp_path / "flat.npz", images=images, labels=np.arange(10) % 2)
    data = load_dataset(tmp_path / "flat.npz")
    assert data.mean == pytest.approx([200 / 255] * 3)
    assert data.std == (1 / 255,) * 3


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        ((16, 16), {}, (16, 16)),
        ((20, 12), {}, (20, 20)),
        ((64, 30), {}, (64, 64)),
        ((65, 30), {}, (128, 128)),
        ((16, 16), {"resolution": 40}, (40, 40)),
    ],
)
def test_resolution_follows_the_images(folder, size, options, expected):
    data = load_dataset(folder({"a": 4, "b": 4}, size=size), decode=DecodeOptions(**options))
    assert (data.height, data.width) == expected
    assert data.train.images(torch.arange(2)).shape == (2, 3, *expected)


def test_mixed_small_sizes_take_the_longest_side(folder, encoded):
    root = folder({"a": 4, "b": 4})
    (root / "a" / "wide.jpg").write_bytes(encoded(50, size=(30, 10)))
    data = load_dataset(root)
    assert (data.height, data.width) == (30, 30)
    assert kinds(data.audit) == ["mixed_sizes"]


def test_a_large_image_among_small_ones_is_told_with_what_it_costs(folder, encoded):
    root = folder({"a": 4, "b": 4})
    (root / "a" / "wide.jpg").write_bytes(encoded(50, size=(80, 60)))
    data = load_dataset(root)
    assert (data.height, data.width) == (128, 128)
    assert "no side of more than 16, for which data.resolution 16 would do" in data.audit.of("mixed_sizes")[0].message
    assert "would do" not in load_dataset(root, decode=DecodeOptions(resolution=16)).audit.of("mixed_sizes")[0].message


def test_an_image_of_too_many_pixels_has_no_say_in_the_size(folder):
    root = folder({"a": 4, "b": 4})
    Image.new("RGB", (200, 200)).save(root / "a" / "bomb.png")
    data = load_dataset(root, decode=DecodeOptions(max_pixels=30_000))
    assert (data.height, data.width) == (16, 16)
    assert "unreadable" in kinds(data.audit)


def test_channels_follow_the_images(folder, encoded):
    grey = folder({"a": 4, "b": 4}, name="grey", mode="L")
    data = load_dataset(grey)
    assert (data.channels, data.flip_invariant) == (1, False)
    assert load_dataset(grey, decode=DecodeOptions(channels=3)).channels == 3
    (grey / "a" / "x.jpg").write_bytes(encoded(50))
    assert load_dataset(grey).channels == 3
    colour = folder({"a": 4, "b": 4}, name="colour")
    assert (load_dataset(colour).channels, load_dataset(colour).flip_invariant) == (3, True)
    assert load_dataset(colour, decode=DecodeOptions(channels=1)).train.images(torch.arange(1)).shape == (1, 1, 16, 16)


def test_bytes_and_pixels_are_the_same_images(folder):
    root = folder({"a": 20, "b": 20}, size=(40, 40))
    pixels, encoded = (
        load_dataset(root, decode=DecodeOptions(cache=kind, resolution=24)) for kind in ("pixels", "bytes")
    )
    rows = torch.randperm(len(pixels.train))
    assert torch.equal(pixels.train.images(rows), encoded.train.images(rows))
    assert (pixels.mean, pixels.std) == (encoded.mean, encoded.std)
    assert (pixels.train.decodes, encoded.train.decodes) == (False, True)
    assert pixels.fingerprint != encoded.fingerprint


def test_bad_files_are_named_and_left_out(folder, encoded):
    root = folder({"train/a": 12, "train/b": 12, "test/a": 3, "test/b": 3})
    (root / "train/a/000.jpg").write_bytes(encoded(1)[:200])
    (root / "train/a/001.jpg").write_bytes(b"")
    (root / "train/b/note.jpg").write_text("not an image")
    (root / "test/b/gone.png").symlink_to(root / "nowhere")
    data = load_dataset(root)
    issue = data.audit.issues[0]
    assert (issue.kind, issue.severity) == ("unreadable", "error")
    assert issue.paths == ("test/b/gone.png", "train/a/000.jpg", "train/a/001.jpg", "train/b/note.jpg")
    assert issue.message.startswith(
        "4 files cannot be used and are left out: test/b/gone.png (cannot be read: No such file"
    )
    names = {name for split in data.splits.values() for name in split.names}
    assert not names & set(issue.paths)
    assert len(names) == 10 + 12 + 6
    with pytest.raises(InputError) as caught:
        load_dataset(root, strict=True)
    lines = str(caught.value).split("\n")
    assert lines[0].startswith("strict: 4 files cannot be used;")
    assert lines[2] == "  train/a/000.jpg is truncated: the file ends before the image does"


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    root = folder({"a": 4, "b": 4})
    plain = os.open

    def refuse(path, *args, **kwargs):  # the superuser, as whom tests may run, is never refused by the system
        if str(path).endswith("a/000.jpg"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    (issue,) = load_dataset(root).audit.of("unreadable")
    assert issue.message == "1 file cannot be used and is left out: a/000.jpg (cannot be read: Permission denied)"


def test_a_class_of_bad_files_only_is_left_out(folder):
    root = folder({"a": 4, "b": 4, "c": 2})
    for path in (root / "b").iterdir():
        path.write_bytes(b"x")
    data = load_dataset(root)
    assert data.classes == ("a", "c")
    assert data.audit.of("empty_class")[0].message == "1 class without a usable image, left out: b"
    assert {data.classes[k] for split in data.splits.values() for k in split.labels.tolist()} == {"a", "c"}
    for label, name in zip(data.train.labels.tolist(), data.train.names, strict=True):
        assert name.startswith(data.classes[label])


def test_one_usable_class_or_none_is_an_error(folder):
    root = folder({"a": 4, "b": 2})
    for path in (root / "b").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"1 class of images with usable images \(a\); a classifier needs at least two"
    ):
        load_dataset(root)
    for path in (root / "a").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(InputError, match=r"no image in .* can be read: a/000\.jpg is not a JPEG"):
        load_dataset(root)
    with pytest.raises(InputError, match=r"0 classes of images"):
        load_dataset(root, decode=DecodeOptions(resolution=16, channels=3))


def test_duplicates_across_a_given_split_are_leakage(folder, encoded):
    root = folder({"train/a": 12, "train/b": 12, "test/a": 3, "test/b": 3})
    (root / "test/a/000.jpg").write_bytes((root / "train/a/005.jpg").read_bytes())
    Image.open(root / "train/b/003.jpg").save(root / "test/b/same_pixels.png")
    (root / "train/b/conflict.jpg").write_bytes((root / "train/a/001.jpg").read_bytes())
    audit = check_dataset(root)
    assert set(kinds(audit)) >= {"leakage", "conflicting_labels"}
    leak = next(issue for issue in audit.of("leakage") if "test split" in issue.message)
    assert leak.paths == ("test/a/000.jpg", "test/b/same_pixels.png")
    assert audit.of("conflicting_labels")[0].paths == ("train/a/001.jpg", "train/b/conflict.jpg")


@pytest.mark.parametrize("kind", ["pixels", "bytes"])
def test_a_split_made_here_does_not_separate_duplicates(folder, kind):
    root = folder({"a": 30, "b": 30})
    for i in range(30):
        (root / "a" / f"copy{i:03}.jpg").write_bytes((root / "a" / f"{i:03}.jpg").read_bytes())
    data = load_dataset(root, decode=DecodeOptions(cache=kind))
    assert data.audit.of("leakage") == ()
    assert "duplicates of another" in data.audit.of("duplicate")[0].message
    where = {name: split for split, names in data.splits.items() for name in names.names}
    assert all(where[f"a/{i:03}.jpg"] == where[f"a/copy{i:03}.jpg"] for i in range(30))


def test_equal_hashes_of_different_pixels_are_no_duplicates():
    pixels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    pixels[3] = 0
    facts = ImageFacts.empty(4, 1)
    assert find_duplicates(facts, PixelStore(pixels), np.zeros(4, np.int64)).tolist() == [0, 1, 2, 0]
    assert find_duplicates(facts, PixelStore(pixels), np.array([-2, 0, 0, 0])).tolist() == [0, 1, 2, 3]


def test_the_audit_describes_the_data_set(folder):
    root = folder({"train/a": 10, "train/b": 10, "test/a": 2, "test/c": 2})
    audit = check_dataset(root)
    lines = audit.summary.split("\n")
    assert lines[0] == "images: 18 train, 2 val, 4 test; 3 classes; 16 x 16 pixels, colour"
    assert [line.split() for line in lines[1:]] == [
        ["class", "train", "val", "test"],
        ["a", "9", "1", "2"],
        ["b", "9", "1", "0"],
        ["c", "0", "0", "2"],
    ]
    assert "can never be recognised: c" in audit.of("missing_class")[0].message


def test_evaluation_takes_the_test_split_or_everything(folder):
    classes, split = load_for_evaluation(folder({"train/a": 4, "train/b": 4, "test/a": 2, "test/b": 1}, name="divided"))
    assert classes == ("a", "b")
    assert sorted(split.names) == ["test/a/000.jpg", "test/a/001.jpg", "test/b/000.jpg"]
    _, split = load_for_evaluation(
        folder({"a": 4, "b": 4}), split=SplitOptions(val_fraction=0.5), decode=DecodeOptions(resolution=16)
    )
    assert len(split) == 8
    assert split.images(torch.arange(8)).shape == (8, 3, 16, 16)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SplitOptions(val_fraction=1.0), r"^val_fraction: must be at least 0 and less than 1, got 1\.0"),
        (lambda: SplitOptions(test_fraction=-0.1), r"^test_fraction: must be"),
        (
            lambda: DecodeOptions(cache="pixel"),
            r"^cache: 'pixel' is not known; allowed: pixels, bytes, none; did you mean 'pixels'\?",
        ),
        (lambda: DecodeOptions(resolution=0), r"^resolution: must be at least 1"),
        (lambda: DecodeOptions(channels=2), r"^channels: must be 1 \(grey\) or 3 \(colour\), got 2"),
        (lambda: list_images("digits", labels="none"), r"^labels: 'none' is not known; allowed: required, optional"),
    ],
)
def test_values_that_are_not_allowed(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_the_steps_can_be_taken_one_by_one(folder):
    root = folder({"a": 20, "b": 20})
    (root / "b" / "000.jpg").write_bytes(b"x")
    decoded = decode(list_images(root), DecodeOptions(channels=1))
    assert decoded.shape == (16, 16, 1)
    assert [name for name, _ in decoded.unreadable] == ["b/000.jpg"]
    stepwise = split(decoded, SplitOptions(seed=4))
    whole = load_dataset(root, decode=DecodeOptions(channels=1), split=SplitOptions(seed=4))
    assert stepwise.summary() == whole.summary()
    assert (stepwise.fingerprint, stepwise.audit) == (whole.fingerprint, whole.audit)
    for name, rows in whole.splits.items():
        assert torch.equal(rows.sample_ids, stepwise.splits[name].sample_ids)
    assert decode(list_images(root), DecodeOptions(channels=1)).fingerprint == decoded.fingerprint


def test_images_without_labels_are_one_class_where_labels_are_optional(folder):
    root = folder({"": 20})
    data = load_dataset(root, labels="optional")
    assert data.summary() == "images: 15 train, 2 val, 3 test; 1 class; 16 x 16 pixels, colour"
    with pytest.raises(InputError, match="holds images but no class folders"):
        load_dataset(root)
    for path in root.iterdir():
        path.write_bytes(b"x")
    with pytest.raises(InputError, match=r"0 classes of images with usable images .* there must be at least one"):
        load_dataset(root, labels="optional", decode=DecodeOptions(resolution=16, channels=3))


def test_a_second_start_gives_the_same_data_set(folder):
    root = folder({"a": 20, "b": 20})
    first, second = load_dataset(root), load_dataset(root)
    assert first.fingerprint == second.fingerprint
    assert first.train.names == second.train.names
    assert (first.mean, first.std, first.audit) == (second.mean, second.std, second.audit)


def test_everything_public_is_there_and_no_name_shadows_a_module():
    assert all(hasattr(seewhy.data, name) for name in seewhy.data.__all__)
    for module in pkgutil.walk_packages(seewhy.data.__path__, "seewhy.data."):
        importlib.import_module(module.name)
        assert isinstance(
            pkgutil.resolve_name(module.name.replace("seewhy.data", "seewhy.data:", 1).replace(":.", ":")), ModuleType
        )
