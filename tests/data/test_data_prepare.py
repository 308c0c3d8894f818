from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy.data
from seewhy.core.errors import InputError
from seewhy.data import check, prepare, prepare_all
from seewhy.data.cache import Facts
from seewhy.data.dataset import PixelStore
from seewhy.data.prepare import _twins


def kinds(found) -> list[str]:
    return [issue.kind for issue in found.issues]


def test_digits():
    data = prepare("digits")
    assert (len(data.train), len(data.val), len(data.test)) == (1375, 153, 269)
    assert (data.channels, data.height, data.width, len(data.classes)) == (1, 8, 8, 10)
    assert data.audit.issues == ()
    assert not data.mirrorable
    keys = torch.cat([part.keys for part in data.parts.values()])
    assert sorted(keys.tolist()) == list(range(1797))
    assert data.train.names[0].startswith("digits/")
    assert data.summary() == "digits: 1,375 train, 153 val, 269 test; 10 classes; 8 x 8 pixels, grey"


def test_mean_and_deviation_are_those_of_the_training_part(folder):
    data = prepare(folder({"a": 20, "b": 20}))
    pixels = data.train.images(torch.arange(len(data.train))).double() / 255
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert data.std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), rel=1e-9)


def test_constant_pictures_can_be_normalised(tmp_path):
    images = np.full((10, 8, 8, 3), 200, np.uint8)
    np.savez(tmp_path / "flat.npz", images=images, labels=np.arange(10) % 2)
    data = prepare(tmp_path / "flat.npz")
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
def test_resolution_follows_the_pictures(folder, size, options, expected):
    data = prepare(folder({"a": 4, "b": 4}, size=size), **options)
    assert (data.height, data.width) == expected
    assert data.train.images(torch.arange(2)).shape == (2, 3, *expected)


def test_mixed_small_sizes_take_the_longest_side(folder, encoded):
    root = folder({"a": 4, "b": 4})
    (root / "a" / "wide.jpg").write_bytes(encoded(50, size=(30, 10)))
    data = prepare(root)
    assert (data.height, data.width) == (30, 30)
    assert kinds(data.audit) == ["mixed_sizes"]


def test_channels_follow_the_pictures(folder, encoded):
    grey = folder({"a": 4, "b": 4}, name="grey", mode="L")
    data = prepare(grey)
    assert (data.channels, data.mirrorable) == (1, False)
    assert prepare(grey, channels=3).channels == 3
    (grey / "a" / "x.jpg").write_bytes(encoded(50))
    assert prepare(grey).channels == 3
    colour = folder({"a": 4, "b": 4}, name="colour")
    assert (prepare(colour).channels, prepare(colour).mirrorable) == (3, True)
    assert prepare(colour, channels=1).train.images(torch.arange(1)).shape == (1, 1, 16, 16)


def test_bytes_and_pixels_are_the_same_pictures(folder):
    root = folder({"a": 20, "b": 20}, size=(40, 40))
    pixels, encoded = (prepare(root, cache=kind, resolution=24) for kind in ("pixels", "bytes"))
    rows = torch.randperm(len(pixels.train))
    assert torch.equal(pixels.train.images(rows), encoded.train.images(rows))
    assert (pixels.mean, pixels.std) == (encoded.mean, encoded.std)
    assert (pixels.train.decodes, encoded.train.decodes) == (False, True)
    assert pixels.fingerprint != encoded.fingerprint


def test_bad_files_are_named_and_left_out(folder, encoded):
    root = folder({"train/a": 12, "train/b": 12, "test/a": 3, "test/b": 3})
    (root / "train/a/000.jpg").write_bytes(encoded(1)[:200])
    (root / "train/a/001.jpg").write_bytes(b"")
    (root / "train/b/note.jpg").write_text("not a picture")
    (root / "test/b/gone.png").symlink_to(root / "nowhere")
    data = prepare(root)
    issue = data.audit.issues[0]
    assert (issue.kind, issue.severity) == ("unreadable", "error")
    assert issue.paths == ("test/b/gone.png", "train/a/000.jpg", "train/a/001.jpg", "train/b/note.jpg")
    assert issue.message.startswith(
        "4 files cannot be used and are left out: test/b/gone.png (cannot be read: No such file"
    )
    names = {name for part in data.parts.values() for name in part.names}
    assert not names & set(issue.paths)
    assert len(names) == 10 + 12 + 6
    with pytest.raises(InputError) as caught:
        prepare(root, strict=True)
    lines = str(caught.value).split("\n")
    assert lines[0].startswith("data.strict: 4 files cannot be used;")
    assert lines[2] == "  train/a/000.jpg is truncated: the file ends before the picture does"


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    root = folder({"a": 4, "b": 4})
    plain = os.open

    def refuse(path, *args, **kwargs):  # the superuser, as whom tests may run, is never refused by the system
        if str(path).endswith("a/000.jpg"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    (issue,) = prepare(root).audit.of("unreadable")
    assert issue.message == "1 file cannot be used and is left out: a/000.jpg (cannot be read: Permission denied)"


def test_a_class_of_bad_files_only_is_left_out(folder):
    root = folder({"a": 4, "b": 4, "c": 2})
    for path in (root / "b").iterdir():
        path.write_bytes(b"x")
    data = prepare(root)
    assert data.classes == ("a", "c")
    assert data.audit.of("empty_class")[0].message == "1 class without a usable image, left out: b"
    assert {data.classes[k] for part in data.parts.values() for k in part.labels.tolist()} == {"a", "c"}
    for label, name in zip(data.train.labels.tolist(), data.train.names, strict=True):
        assert name.startswith(data.classes[label])


def test_one_usable_class_or_none_is_an_error(folder):
    root = folder({"a": 4, "b": 2})
    for path in (root / "b").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(
        InputError, match=r"1 class of pictures with usable images \(a\); a recogniser needs at least two"
    ):
        prepare(root)
    for path in (root / "a").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(InputError, match=r"no picture in .* can be read: a/000\.jpg is not a JPEG"):
        prepare(root)
    with pytest.raises(InputError, match=r"0 classes of pictures"):
        prepare(root, resolution=16, channels=3)


def test_copies_across_a_given_split_are_leakage(folder, encoded):
    root = folder({"train/a": 12, "train/b": 12, "test/a": 3, "test/b": 3})
    (root / "test/a/000.jpg").write_bytes((root / "train/a/005.jpg").read_bytes())
    Image.open(root / "train/b/003.jpg").save(root / "test/b/same_pixels.png")
    (root / "train/b/conflict.jpg").write_bytes((root / "train/a/001.jpg").read_bytes())
    found = check(root)
    assert set(kinds(found)) >= {"leakage", "conflicting_labels"}
    leak = next(issue for issue in found.of("leakage") if "test part" in issue.message)
    assert leak.paths == ("test/a/000.jpg", "test/b/same_pixels.png")
    assert found.of("conflicting_labels")[0].paths == ("train/a/001.jpg", "train/b/conflict.jpg")


@pytest.mark.parametrize("kind", ["pixels", "bytes"])
def test_a_split_made_here_does_not_separate_copies(folder, kind):
    root = folder({"a": 30, "b": 30})
    for i in range(30):
        (root / "a" / f"copy{i:03}.jpg").write_bytes((root / "a" / f"{i:03}.jpg").read_bytes())
    data = prepare(root, cache=kind)
    assert data.audit.of("leakage") == ()
    assert "copies of another" in data.audit.of("duplicate")[0].message
    where = {name: part for part, names in data.parts.items() for name in names.names}
    assert all(where[f"a/{i:03}.jpg"] == where[f"a/copy{i:03}.jpg"] for i in range(30))


def test_equal_hashes_of_different_pixels_are_no_copies():
    pixels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    pixels[3] = 0
    facts = Facts.empty(4, 1)
    assert _twins(facts, PixelStore(pixels), np.zeros(4, np.int64)).tolist() == [0, 1, 2, 0]
    assert _twins(facts, PixelStore(pixels), np.array([-2, 0, 0, 0])).tolist() == [0, 1, 2, 3]


def test_check_tells_what_there_is(folder):
    root = folder({"train/a": 10, "train/b": 10, "test/a": 2, "test/c": 2})
    found = check(root)
    lines = found.summary.split("\n")
    assert lines[0] == "pictures: 18 train, 2 val, 4 test; 3 classes; 16 x 16 pixels, colour"
    assert [line.split() for line in lines[1:]] == [
        ["class", "train", "val", "test"],
        ["a", "9", "1", "2"],
        ["b", "9", "1", "0"],
        ["c", "0", "0", "2"],
    ]
    assert "can never be recognised: c" in found.of("missing_class")[0].message


def test_examination_takes_the_test_part_or_everything(folder):
    classes, part = prepare_all(folder({"train/a": 4, "train/b": 4, "test/a": 2, "test/b": 1}, name="divided"))
    assert classes == ("a", "b")
    assert sorted(part.names) == ["test/a/000.jpg", "test/a/001.jpg", "test/b/000.jpg"]
    _, part = prepare_all(folder({"a": 4, "b": 4}), val_fraction=0.5, resolution=16)
    assert len(part) == 8
    assert part.images(torch.arange(8)).shape == (8, 3, 16, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 1.0}, r"^data\.val_fraction: must be at least 0 and less than 1, got 1\.0"),
        ({"test_fraction": -0.1}, r"^data\.test_fraction: must be"),
        ({"cache": "pixel"}, r"^data\.cache: 'pixel' is not known; allowed: pixels, bytes; did you mean 'pixels'\?"),
        ({"resolution": 0}, r"^data\.resolution: must be at least 1"),
        ({"channels": 2}, r"^data\.channels: must be 1 \(grey\) or 3 \(colour\), got 2"),
    ],
)
def test_impossible_values(options, message):
    with pytest.raises(InputError, match=message):
        prepare("digits", **options)


def test_a_second_start_gives_the_same_data_set(folder):
    root = folder({"a": 20, "b": 20})
    first, second = prepare(root), prepare(root)
    assert first.fingerprint == second.fingerprint
    assert first.train.names == second.train.names
    assert (first.mean, first.std, first.audit) == (second.mean, second.std, second.audit)


def test_everything_public_is_there():
    assert all(hasattr(seewhy.data, name) for name in seewhy.data.__all__)
